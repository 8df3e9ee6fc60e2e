"""The examples of the README run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import photograph
from PIL import Image

from neuralcodec.bench import scores
from neuralcodec.cli.main import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a reader is in: it holds `photo.png`."""
    (tmp_path / "photo.png").write_bytes((ROOT / "sample_images" / "chelsea.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("code", blocks("python"))
def test_python_examples(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {})


#: What makes an example fast enough for a test: fewer measurements, a training of a second.
SHORTER = {
    "bench": ["--against", "jpeg", "--qualities", "30,60", "--rounds", "0"],
    "train": ["--minutes", "0.01", "--threads", "1"],
}


@pytest.mark.parametrize("block", [text for text in blocks("console") if "$ ncodec" in text])
def test_commands(block: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every console example, line by line; benchmarks without the metrics that take long."""
    monkeypatch.setattr(scores, "available", tuple)
    for name, size in (("photos", (512, 768)), ("held-out", (512, 768))):
        (folder / name).mkdir()
        Image.fromarray(photograph(*size)).save(folder / name / "a.png")
    for line in re.findall(r"^\$ ncodec (.*)$", block, re.MULTILINE):
        command, *arguments = line.split()
        assert main([command, *arguments, *SHORTER.get(command, [])]) == 0, line


def test_files_are_smaller(folder: Path) -> None:
    assert main(["encode", "photo.png"]) == 0
    assert (folder / "photo.nc").stat().st_size < (folder / "photo.png").stat().st_size


def test_every_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link
