"""The programs of docs/examples run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from conftest import photograph
from PIL import Image
from tiny import write_conv_weights

FOLDER = Path(__file__).parent.parent / "docs" / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested() -> None:
    assert [path.stem for path in FOLDER.glob("*.py")] == ["rate_distortion"]


def test_rate_distortion_steps_on_own_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(2):
        Image.fromarray(photograph(256, 280, seed=seed)).save(photos / f"{seed}.png")
    own = write_conv_weights(tmp_path / "own.safetensors")
    losses = example("rate_distortion").train(photos, 2, own.path)
    assert len(losses) == 2 and all(0 < loss < 100 for loss in losses)
    assert "bytes for a crop, which decode to (256, 256)" in capsys.readouterr().out
