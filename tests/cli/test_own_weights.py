"""Weights of one's own: from `ncodec train` to `ncodec decode`."""

import functools
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from conftest import photograph
from PIL import Image
from tiny import TINY_MODEL

from neuralcodec import weights
from neuralcodec.cli.main import main
from neuralcodec.training import loop
from neuralcodec.training.recipe import read_recipe


def toml(name: str, table: object) -> str:
    lines = (f"{key} = {value}" for key, value in asdict(table).items())  # type: ignore[call-overload]
    return "\n".join([f"[{name}]", *lines, ""])


def test_train_export_encode_decode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "block_components", functools.partial(loop.block_components, samples=1000))
    Path("photos").mkdir()
    for seed in range(2):
        Image.fromarray(photograph(200, 240, seed=seed)).save(f"photos/{seed}.png")
    training = replace(read_recipe(Path("conv")).training, batch=1, crop=192)
    Path("tiny.toml").write_text(toml("conv", TINY_MODEL) + toml("training", training))
    assert (
        main(
            [
                "train",
                "tiny.toml",
                "--data",
                "photos",
                "--out",
                "run",
                "--minutes",
                ".01",
                "--precision",
                "float32",
            ]
        )
        == 0
    )
    assert main(["export", "run/checkpoint.safetensors", "mine.safetensors"]) == 0
    found = re.search(r"^id: ([0-9a-f]{8})$", capsys.readouterr().out, re.MULTILINE)
    assert found
    assert main(["encode", "--model", "mine.safetensors", "photos/0.png", "a.nc"]) == 0
    assert Path("a.nc").read_bytes()[5:9].hex() == found[1]

    decode = [sys.executable, "-m", "neuralcodec", "decode", "a.nc", "a.png"]
    refused = subprocess.run(decode, capture_output=True, text=True, check=False)
    assert refused.returncode == 3
    assert f"needs weights {found[1]}" in refused.stderr
    assert "NCODEC_WEIGHTS" in refused.stderr
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    subprocess.run(decode, capture_output=True, check=True)
    assert Image.open("a.png").size == (240, 200)

    assert main(["export", "run/checkpoint.safetensors", "."]) == 0  # in a folder, named by its id
    assert Path(f"conv-{found[1]}.safetensors").read_bytes() == Path("mine.safetensors").read_bytes()
    assert (
        main(
            [
                "train",
                "tiny.toml",
                "--data",
                "photos",
                "--out",
                "more",
                "--minutes",
                ".001",
                "--start",
                "mine.safetensors",
            ]
        )
        == 0
    )
