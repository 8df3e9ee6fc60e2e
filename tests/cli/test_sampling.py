"""`ncodec sample` and `ncodec interpolate`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from PIL import Image

import neuralcodec
from neuralcodec.cli.main import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("model", ["conv", "gru"])
def test_sample(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["sample", "s.png", "-q", "40", "--size", "96x64", "--seed", "1", "--model", model]
    assert main(call) == 0
    first = np.asarray(Image.open("s.png"))
    assert first.shape == (64, 96, 3)
    assert f"{model} → s.png  96x64  quality 40  " in capsys.readouterr().err
    assert main([*call, "-f"]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open("s.png")), first)
    assert main([*call, "-f", "--seed", "2"]) == 0
    assert not np.array_equal(np.asarray(Image.open("s.png")), first)


def test_a_sample_as_the_file_it_is(here: Path) -> None:
    options = ["-q", "40", "--size", "96x64", "--temperature", ".8", "--quiet"]
    for name in ("s.nc", "s.png"):
        assert main(["sample", name, *options]) == 0
    decoded = neuralcodec.decode((here / "s.nc").read_bytes(), as_array=True)
    np.testing.assert_array_equal(decoded, np.asarray(Image.open("s.png")))


@pytest.mark.parametrize("model", ["conv", "gru"])
def test_interpolate(model: str, here: Path) -> None:
    for seed in (0, 1):
        Image.fromarray(photograph(64, 80, seed=seed)).save(here / f"{seed}.png")
    assert main(["interpolate", "0.png", "1.png", "--steps", "4", "--model", model]) == 0
    names = sorted(path.name for path in (here / "interpolation").iterdir())
    assert names == ["sheet.png", "step-1.png", "step-2.png", "step-3.png", "step-4.png"]
    assert main(["encode", "0.png", "a.nc", "--model", model]) == 0
    decoded = neuralcodec.decode((here / "a.nc").read_bytes(), as_array=True)
    np.testing.assert_array_equal(np.asarray(Image.open("interpolation/step-1.png")), decoded)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "s.png", "--size", "768"], "a width and a height in pixels such as 768x512"),
        (["sample", "s.png", "--size", "0x5"], "a width and a height in pixels such as 768x512"),
        (["sample", "s.png", "--size", "99999x99999"], "more than"),
        (["sample", "s.png", "--temperature", "0"], "must be a number above 0"),
        (["sample", "s.png", "--seed", "-1"], "must not be below 0"),
        (["sample", "s.png", "--model", "none"], "no model"),
        (["sample", "s.xyz"], "xyz"),
        (["sample", "there.png"], "there.png exists: -f overwrites"),
        (["interpolate", "there.png", "none.png"], "none.png: no such file"),
        (["interpolate", "there.png", "other.png"], "64x48 pixels, the other 48x64: make them of one size"),
        (["interpolate", "there.png", "there.png", "--steps", "1"], "--steps is 2 to 100"),
        (["interpolate", "-", "-"], "only one of the two"),
        (["interpolate", "there.png", "there.png", "-o", "there.png"], "there.png is not a folder"),
        (["interpolate", "there.png", "there.png", "-o", "old"], "exists: -f overwrites"),
    ],
)
def test_refused(arguments: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(photograph(48, 64)).save(here / "there.png")
    Image.fromarray(photograph(64, 48)).save(here / "other.png")
    (here / "old").mkdir()
    (here / "old" / "step-1.png").touch()
    before = sorted(here.rglob("*"))
    assert main(arguments) != 0
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert sorted(here.rglob("*")) == before
