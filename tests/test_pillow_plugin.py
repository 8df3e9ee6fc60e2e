"""The Pillow plugin, held to what Pillow's own plugins are tested for."""

from __future__ import annotations

import gc
import io
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

import neuralcodec
import neuralcodec.pillow_plugin
from neuralcodec.format.header import CONV, Header, write_header

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
    assert saved(image) == neuralcodec.encode(image)
    refined = saved(image, quality=70, effort=2)
    assert refined == neuralcodec.encode(image, quality=70, effort=2) != data
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


def test_opening_reads_the_header_and_the_metadata_only() -> None:
    """The pixels' chunks are skipped, however large they are."""

    class Counted(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.count += len(data)
            return data

    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    data = saved(Image.fromarray(noise), quality=90, xmp=b"<x:xmpmeta/>")
    with Counted(data) as stream:
        opened = Image.open(stream)
        assert opened.size == (300, 300)
        assert opened.info["xmp"] == b"<x:xmpmeta/>"
        assert stream.count < 300 < len(data) / 10


def test_frames() -> None:
    with Image.open(io.BytesIO(saved(picture()))) as opened:
        assert opened.tell() == 0
        opened.seek(0)
        with pytest.raises(EOFError):
            opened.seek(1)


def test_file_pointer_stays_usable() -> None:
    data = saved(picture())
    with io.BytesIO(data) as stream:
        with Image.open(stream) as opened:
            opened.load()
        assert not stream.closed
        stream.seek(0)
        with Image.open(stream) as opened:
            opened.load()
            opened.load()


def test_files_that_pillow_opened_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    picture().save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        opened = Image.open(path)
        stream = opened.fp
        opened.load()
        assert stream is not None and stream.closed
        assert opened.getpixel((1, 1))
        del opened, stream
        with Image.open(path):
            pass
        gc.collect()
    path.unlink()  # nothing holds it, which matters on Windows


def test_pixels_are_out_of_reach_once_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    picture().save(path)
    with Image.open(path) as opened:
        pass
    with pytest.raises(ValueError, match="closed"):
        opened.load()


def test_what_pillow_does_with_images(tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    picture().save(path)
    expected = np.asarray(Image.open(path))
    np.testing.assert_array_equal(np.asarray(pickle.loads(pickle.dumps(Image.open(path)))), expected)
    np.testing.assert_array_equal(np.asarray(Image.open(path).copy()), expected)
    np.testing.assert_array_equal(np.asarray(Image.open(path).crop((2, 3, 20, 30))), expected[3:30, 2:20])
    with Image.open(path) as opened:
        opened.thumbnail((32, 32))
        assert opened.size == (32, 21)
    with Image.open(path, formats=["NC"]) as opened:
        assert opened.format == "NC"
    with pytest.raises(UnidentifiedImageError):
        Image.open(path, formats=["PNG"])


def test_files_that_are_not_ours() -> None:
    data = saved(picture())
    netcdf = b"CDF\x01" + bytes(100)
    for bad in (netcdf, data[:2], data[:9], b"\x8eNC\xff" + data[4:]):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(bad))
    newer_netcdf = b"\x89HDF\r\n\x1a\n" + bytes(100)
    assert Image.open(io.BytesIO(newer_netcdf)).format == "HDF5"  # Pillow's own way to leave it to others


@pytest.mark.parametrize("size", [0.2, 0.5, 0.99])
def test_truncated_file(size: float) -> None:
    """As with Pillow's own formats: it opens, and what lacks shows when the pixels are needed."""
    data = saved(picture(), exif=Image.Exif().tobytes())
    cut = data[: int(size * len(data))]
    opened = Image.open(io.BytesIO(cut))
    assert opened.size == (70, 45)
    with pytest.raises(OSError, match="cut short"):
        opened.load()
    with pytest.raises(OSError, match="cut short"):
        Image.open(io.BytesIO(cut)).verify()


def test_damaged_file() -> None:
    data = bytearray(
        saved(picture(), quality=50, xmp=b"<x:xmpmeta/>", icc_profile=b"\0" * 16 + b"RGB " + b"\0" * 108)
    )
    intact = Image.open(io.BytesIO(data))
    intact.verify()
    assert {"icc_profile", "xmp"} < intact.info.keys()
    data[-12] ^= 1  # in the XMP packet
    opened = Image.open(io.BytesIO(data))
    assert "icc_profile" in opened.info
    assert "xmp" not in opened.info
    for check in (opened.load, opened.verify):
        with pytest.raises(OSError, match="checksum"):
            check()


def test_what_is_left_where_pillow_is_to_load_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(saved(picture(), quality=50, xmp=b"<x:xmpmeta/>"))
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    data[-12] ^= 1  # in the XMP packet
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.warns(neuralcodec.DamageWarning) as caught:
        opened = Image.open(io.BytesIO(data)).convert("RGB")
    assert opened.tobytes() == whole.tobytes() and caught[0].filename == __file__
    with pytest.raises(OSError, match="damaged"):
        Image.open(io.BytesIO(data[:60])).load()  # of which nothing is left


def test_any_damage_is_an_error_of_pillow() -> None:
    data, rng = saved(picture(), xmp=b"<x:xmpmeta/>"), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        with pytest.raises(OSError), warnings.catch_warnings():  # UnidentifiedImageError is one
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            try:
                Image.open(io.BytesIO(damaged)).load()
            except Image.DecompressionBombError as error:
                raise OSError from error


def test_huge_claims_stop_at_pillows_limit() -> None:
    header = Header(CONV, b"abcd", 2**17, 2**17, 50, 512, grey=False, alpha=False)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(write_header(header)))


@pytest.mark.parametrize("mode", ["1", "P", "PA", "I;16", "CMYK", "YCbCr", "LAB", "HSV", "RGBX", "RGBa"])
@pytest.mark.filterwarnings("ignore::neuralcodec.NeuralCodecWarning")
def test_other_modes_are_converted(mode: str) -> None:
    image = picture("RGB") if mode != "I;16" else picture("L")
    try:
        image = image.convert(mode)
    except ValueError:
        image = image.convert("RGBA").convert(mode)
    with Image.open(io.BytesIO(saved(image))) as opened:
        assert opened.mode in MODES
        assert opened.size == image.size


def test_floating_point_is_refused() -> None:
    with pytest.raises(neuralcodec.UsageError, match="floating-point"):
        saved(picture("L").convert("F"))


def test_streams_that_cannot_seek_are_written() -> None:
    class Pipe(io.RawIOBase):
        written = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.written += bytes(data)  # type: ignore[call-overload]
            return len(data)  # type: ignore[arg-type]

    pipe = Pipe()
    picture().save(pipe, "NC")
    assert pipe.written == saved(picture())


def test_film_keeps_its_first_frame() -> None:
    out = io.BytesIO()
    picture().save(out, "GIF", save_all=True, append_images=[picture("L")])
    with Image.open(out) as film, pytest.warns(neuralcodec.NeuralCodecWarning, match="2 frames"):
        data = saved(film)
    assert Image.open(io.BytesIO(data)).size == (70, 45)


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


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a process is asked of Linux")
def test_no_leak() -> None:
    data = saved(picture(width=300, height=300))  # 270 kB of pixels

    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def use(count: int) -> None:
        for _ in range(count):
            Image.open(io.BytesIO(data)).load()
            with suppress(OSError):
                Image.open(io.BytesIO(data[:-20])).load()

    use(10)
    before = resident()
    use(40)
    assert resident() - before < 4_000_000  # 10.8 MB if pixels stayed
    assert not any(type(o) is neuralcodec.pillow_plugin.NcImageFile for o in gc.get_objects())


@pytest.mark.usefixtures("tiny_gru")
def test_the_gru_model_is_saved_with_all_its_stages() -> None:
    image = picture()
    assert saved(image, model="gru") == neuralcodec.encode(image, model="gru")
