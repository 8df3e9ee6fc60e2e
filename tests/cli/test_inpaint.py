"""`ncodec inpaint`, and the options of `encode` that mend."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from PIL import Image

import neuralcodec
from neuralcodec.cli.main import main

pytestmark = pytest.mark.usefixtures("tiny_encoders")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photograph(90, 120)).save("photo.png")
    mask = np.zeros((90, 120), np.uint8)
    mask[30:40, 50:70] = 255
    Image.fromarray(mask).save("mask.png")
    Image.fromarray(mask.T).save("turned.png")
    Image.fromarray(0 * mask).save("empty.png")
    return tmp_path


def test_a_picture_and_a_file(files: Path) -> None:
    assert main(["inpaint", "photo.png", "clean.png", "--mask", "mask.png", "--quiet"]) == 0
    assert main(["inpaint", "photo.png", "again.png", "--region", "50,30,20,10"]) == 0
    assert main(["inpaint", "photo.png", "clean.nc", "--mask", "mask.png", "-q", "40"]) == 0
    assert main(["encode", "photo.png", "coded.nc", "--mask", "mask.png", "-q", "40"]) == 0
    clean, again = (np.asarray(Image.open(name)) for name in ("clean.png", "again.png"))
    assert np.array_equal(clean, again)
    changed = (clean != photograph(90, 120)).any(2)
    assert changed[30:40, 50:70].any() and changed.sum() <= 200
    assert Path("clean.nc").read_bytes() == Path("coded.nc").read_bytes()
    assert Path("clean.nc").read_bytes() == neuralcodec.encode("clean.png", quality=40)
    assert main(["inpaint", "clean.nc", "twice.png", "--region", "1,1,5,5", "--quiet"]) == 0


def test_an_orientation_goes_into_the_pixels(files: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned, as the mask is
    Image.open("photo.png").save("turned-photo.png", exif=exif)
    assert main(["inpaint", "turned-photo.png", "out.png", "--mask", "turned.png", "--quiet"]) == 0
    assert Image.open("out.png").size == (90, 120)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["photo.png", "out.png", "--mask", "turned.png"], "the mask has 90x120 pixels, the picture 120x90"),
        (["photo.png", "out.png", "--mask", "empty.png"], "the mask marks no pixel"),
        (["photo.png", "out.png", "--mask", "none.png"], "none.png"),
        (["photo.png", "out.png", "--region", "0,0,120,90"], "nothing is left to fill it from"),
        (["photo.png", "out.png", "--region", "100,0,30,9"], "the region is not within the 120x90 pixels"),
        (["photo.png", "out.png"], "one of the arguments --mask --region is required"),
        (["photo.png", "photo.png", "--region", "1,1,2,2"], "is an input, which is never overwritten"),
        (["photo.png", "mask.png", "--mask", "mask.png", "-f"], "is an input, which is never overwritten"),
        (["photo.png", "mask.png", "--region", "1,1,2,2"], "mask.png exists: -f overwrites"),
        (["photo.png", "out.xyz", "--region", "1,1,2,2"], "no format to write has the extension"),
        (["photo.png", "out.png", "-q", "4", "--region", "1,1,2,2"], "--quality is of an .nc file"),
        (["photo.png", "-", "--region", "1,1,2,2"], "OUT is a file"),
    ],
)
def test_refused(files: Path, words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert main(["inpaint", *words]) == 2
    error = capsys.readouterr().err
    assert why in error and error.startswith("ncodec: error: ") and error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_denoising(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).normal(0, 20, (90, 120, 3))
    Image.fromarray((photograph(90, 120) + noise).clip(0, 255).astype(np.uint8)).save("noisy.png")
    assert main(["encode", "--denoise", "auto", "noisy.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["denoised"] == pytest.approx(20, rel=0.25)
    assert Path("noisy.nc").read_bytes() == neuralcodec.encode("noisy.png", denoise="auto")
    assert main(["encode", "--denoise", "strong", "noisy.png", "strong.nc"]) == 0
    assert main(["encode", "--denoise", "60", "noisy.png", "-f"]) == 2
    assert "must be auto, light, strong or a number from 0 to 50" in capsys.readouterr().err
    assert main(["encode", "--mask", "mask.png", "noisy.png", "photo.png", "-o", "."]) == 2
