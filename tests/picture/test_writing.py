"""Pictures out: what each format keeps, and what is said of the rest."""

import io
from pathlib import Path

import numpy as np
import pytest

from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.picture.formats import format_for
from neuralcodec.picture.reading import load
from neuralcodec.picture.writing import save
from picture.samples import EXIF, H, W, noise, same


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_lossless(format: str, channels: int, tmp_path: Path) -> None:
    picture = load(noise(H, W, channels))
    save(picture, tmp_path / "out", format)
    back = load(tmp_path / "out")
    if format == "WEBP":
        back.pixels = back.pixels[..., : picture.pixels.shape[2]]
    same(picture, back)


@pytest.mark.parametrize("format", ["ppm", "BMP", ".bmp", "pgm"])
def test_plain_formats(format: str) -> None:
    for channels in (1, 3):
        picture, buffer = load(noise(H, W, channels)), io.BytesIO()
        save(picture, buffer, format)
        same(picture, load(buffer.getvalue()))
        picture.exif = EXIF
        (note,) = save(picture, buffer, format)
        assert note.endswith("cannot hold all metadata, left out: EXIF")


def test_transparency_needs_a_format_for_it() -> None:
    for format in ("JPEG", "PPM", "BMP"):
        with pytest.raises(UsageError, match="use PNG"):
            save(load(noise(H, W, 4)), io.BytesIO(), format)


def test_jpeg_is_good() -> None:
    array = np.repeat(np.arange(240, dtype=np.uint8)[:, None, None], 3, axis=2).repeat(16, axis=1)
    buffer = io.BytesIO()
    save(load(array), buffer, "jpg")
    assert np.abs(load(buffer.getvalue()).pixels.astype(int) - array).max() <= 3


def test_format_for() -> None:
    assert [format_for(path) for path in ("a.png", "b.JPG", Path("c.tiff"), "d.x.webp", "e.avif")] == [
        "PNG",
        "JPEG",
        "TIFF",
        "WEBP",
        "AVIF",
    ]
    for path in ("a.xyz", "noextension", "a.nc"):
        with pytest.raises(UsageError, match=r"use one of \.png"):
            format_for(path)
    with pytest.raises(UsageError, match=r"\.xyz"):
        save(load(noise(H, W)), io.BytesIO(), "xyz")


def test_failures_leave_no_file(tmp_path: Path) -> None:
    picture = load(noise(H, W, 3))
    with pytest.raises(NeuralCodecError, match=r"cannot write .*no/such"):
        save(picture, tmp_path / "no/such/place.png", "PNG")
    for format, side in (("JPEG", 65501), ("WEBP", 16384)):
        with pytest.raises(UsageError, match=f"{format} holds up to {side - 1} pixels a side"):
            save(load(noise(1, side)), tmp_path / "out", format)
    for format, quality in (("PNG", 90), ("JPEG", 0), ("WEBP", 101), ("JPEG", 5.5)):
        with pytest.raises(UsageError, match="quality"):
            save(picture, tmp_path / "out", format, quality=quality)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
