"""The Pillow plugin, held to what Pillow's own plugins are tested for."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import neuralcodec
import neuralcodec.pillow_plugin

MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def picture(mode: str = "RGB", width: int = 70, height: int = 45) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [(rows * (3 + k) + columns * 2) % 256 for k in range(MODES[mode])]
    array = np.stack(planes, 2).astype(np.uint8)
    return Image.fromarray(array[..., 0] if mode == "L" else array)


def saved(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "NC", **options)
    return out.getvalue()


@pytest.mark.parametrize("mode", MODES)
def test_round_trip_is_the_codec(mode: str) -> None:
    image = picture(mode)
    data = saved(image, quality=70)
    assert data == neuralcodec.encode(image, quality=70)
    with Image.open(io.BytesIO(data)) as opened:
        assert (opened.format, opened.mode, opened.size) == ("NC", mode, image.size)
        assert opened.info["quality"] == 70
        assert opened.n_frames == 1 and not opened.is_animated
        np.testing.assert_array_equal(np.asarray(opened), np.asarray(neuralcodec.decode(data)))


def test_extension_and_mime(tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    picture().save(path)
    with Image.open(path) as opened:
        assert opened.get_format_mimetype() == "image/x-neuralcodec"
        opened.convert("L").save(tmp_path / "y.png")


def test_opening_loads_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    picture().save(path)
    code = (
        "import sys, neuralcodec.pillow_plugin; from PIL import Image;"
        f"im = Image.open({str(path)!r}); assert im.size == (70, 45); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_metadata_round_trip() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = b"\0" * 16 + b"RGB " + b"\0" * 108
    data = saved(picture(), exif=exif, icc_profile=profile, xmp=b"<x:xmpmeta/>")
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.info["exif"] == exif.tobytes()
        assert opened.getexif()[0x0112] == 6
        assert opened.info["icc_profile"] == profile
        assert opened.info["xmp"] == b"<x:xmpmeta/>"
        again = saved(opened)  # taken over from info
    assert Image.open(io.BytesIO(again)).info["exif"] == exif.tobytes()
    with Image.open(io.BytesIO(data)) as opened:
        stripped = saved(opened, exif=b"", icc_profile=None, xmp=None)
    assert not {"exif", "icc_profile", "xmp"} & Image.open(io.BytesIO(stripped)).info.keys()


def test_saving_leaves_the_image_alone() -> None:
    image = picture()
    image.info["note"] = 1
    saved(image, exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    assert image.info == {"note": 1}


def test_palette_with_transparency() -> None:
    image = picture("L").convert("P")
    image.info["transparency"] = 0
    with Image.open(io.BytesIO(saved(image))) as opened:
        assert opened.mode == "RGBA"
        expected = np.asarray(image.convert("RGBA"))[..., 3]
        np.testing.assert_array_equal(np.asarray(opened)[..., 3], expected)


def test_file_pointer_stays_usable() -> None:
    data = saved(picture())
    with io.BytesIO(data) as stream:
        with Image.open(stream) as opened:
            opened.load()
        stream.seek(0)
        with Image.open(stream) as opened:
            opened.load()
            opened.load()


def test_foreign_and_damaged_files() -> None:
    data = saved(picture())
    for bad in (b"CDF\x01" + bytes(100), data[:-1], data[: len(data) // 2], data[:40] + b"?" + data[41:]):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(bad))


def test_bad_options_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(neuralcodec.UsageError):
        picture().save(tmp_path / "x.nc", quality=101)
    assert not (tmp_path / "x.nc").exists()


def test_threads() -> None:
    data = saved(picture())
    expected = np.asarray(Image.open(io.BytesIO(data)))

    def decode(_: int) -> bool:
        return np.array_equal(np.asarray(Image.open(io.BytesIO(data))), expected)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(decode, range(12)))


def test_no_leak() -> None:
    data = saved(picture())

    def opened_objects() -> int:
        Image.open(io.BytesIO(data)).load()
        gc.collect()
        return sum(isinstance(o, neuralcodec.pillow_plugin.NcImageFile) for o in gc.get_objects())

    first = opened_objects()
    assert [opened_objects() for _ in range(5)] == [first] * 5
