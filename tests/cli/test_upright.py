"""Pictures that EXIF turns are compared as they are seen, whatever keeps that in which way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from PIL import Image, ImageOps

from neuralcodec.bench.images import gather, pixels_of
from neuralcodec.cli.main import main

TURNED = [("jpg", 6), ("tif", 8), ("png", 3), ("webp", 5)]


def save_turned(suffix: str, orientation: int, height: int = 180, width: int = 240) -> tuple[Path, Path]:
    """A file with an orientation, and a PNG of the same pixels, turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned, upright = Path(f"turned.{suffix}"), Path("upright.png")
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(photograph(height, width)).save(turned, exif=exif, **options)
    with Image.open(turned) as image:
        ImageOps.exif_transpose(image).convert("RGB").save(upright)
    return turned, upright


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("suffix", "orientation"), TURNED)
def test_compare(suffix: str, orientation: int, capsys: pytest.CaptureFixture[str]) -> None:
    turned, upright = save_turned(suffix, orientation)
    assert main(["compare", str(turned), str(upright), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ms_ssim"], found["psnr"]) == (1, None)
    with Image.open(upright) as image:
        assert (found["width"], found["height"]) == image.size


def test_compare_with_a_file_whose_pixels_were_turned(capsys: pytest.CaptureFixture[str]) -> None:
    turned, _ = save_turned("jpg", 6)
    for options in ([], ["--strip"]):
        assert main(["encode", *options, str(turned), "x.nc", "-f", "--quiet"]) == 0
        assert main(["compare", str(turned), "x.nc", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["width"], found["height"]) == (180, 240)
        assert found["ms_ssim"] > 0.8


@pytest.mark.usefixtures("tiny_gru")
@pytest.mark.parametrize("original", ["turned.jpg", "upright.png"])
def test_a_sheet_of_stages(original: str) -> None:
    save_turned("jpg", 6)
    assert main(["encode", "turned.jpg", "x.nc", "--model", "gru", "--quiet"]) == 0
    assert main(["progressive", "x.nc", "-o", "stages", "--against", original, "--quiet"]) == 0
    with Image.open("stages/stage-8.png") as image, Image.open("stages/sheet.png") as sheet:
        assert ImageOps.exif_transpose(image).size == (180, 240)
        seen = sheet.crop((8, 8, 8 + 180, 8 + 240))  # the first of them, by the margin
        expected = np.asarray(Image.open("stages/stage-1.png").rotate(-90, expand=True).convert("RGB"))
        assert np.array_equal(np.asarray(seen), expected)


@pytest.mark.parametrize(("suffix", "orientation"), TURNED)
def test_what_a_benchmark_measures(suffix: str, orientation: int) -> None:
    turned, upright = save_turned(suffix, orientation)
    assert np.array_equal(pixels_of(turned), pixels_of(upright))
    (photo,), _ = gather([turned])
    with Image.open(upright) as image:
        assert (photo.width, photo.height) == image.size
