"""The examples of the README run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from neuralcodec.cli import main

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


def test_first_commands(folder: Path) -> None:
    lines = re.findall(r"^\$ ncodec (.*)$", blocks("console")[0], re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["encode", "decode"]
    for line in lines:
        assert main(line.split()) == 0
    assert (folder / "photo.nc").stat().st_size < (folder / "photo.png").stat().st_size


def test_every_command_and_target_exists() -> None:
    for command in re.findall(r"^\$ ncodec (\w+)", README, re.MULTILINE):
        assert main([command, "--help"]) == 0
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
