"""HEIF, AVIF, JPEG 2000 and JPEG XL: size, depth and colour before any decoder."""

from __future__ import annotations

import io
import struct
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image, features

from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.picture import boxes
from neuralcodec.picture.opening import register_plugins
from neuralcodec.picture.picture import upright
from neuralcodec.picture.reading import load
from picture.samples import EXIF, RGB_ICC, XMP, H, W, exif_of, file_of, needs_avif, noise, noted

register_plugins()
needs_heif = pytest.mark.skipif(find_spec("pillow_heif") is None, reason="needs the extra heif")
needs_jxl = pytest.mark.skipif(find_spec("pillow_jxl") is None, reason="needs the extra jxl")
DEEP = np.linspace(0, 65535, H * W).astype(np.uint16).reshape(H, W)


def heic(**options: object) -> bytes:
    """Ten bits a sample."""
    import pillow_heif

    image = pillow_heif.from_bytes("RGB;16", (W, H), np.repeat(DEEP[..., None], 3, 2).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, quality=95, **options)
    return buffer.getvalue()


@needs_heif
@pytest.mark.parametrize(
    ("codes", "words", "profile"),
    [((1, 13), (), False), ((12, 13), (), True), ((9, 16), ("PQ",), False), ((9, 18), ("HLG",), False)],
)
def test_heic_of_ten_bits(codes: tuple[int, int], words: tuple[str, ...], profile: bool) -> None:
    names = dict(zip(("color_primaries", "transfer_characteristics"), codes, strict=True))
    data = heic(**names, matrix_coefficients=6, full_range_flag=1, save_nclx_profile=True)
    picture = noted(load(data), "10-bit pixels were reduced", *words)
    assert bool(picture.icc) == profile
    assert np.abs(picture.pixels[..., 1] - DEEP / 257).mean() < 3


@needs_heif
def test_heic_with_metadata() -> None:
    image = Image.fromarray(noise(H, W, 3))
    data = file_of(image, "HEIF", exif=b"Exif\0\0" + EXIF, xmp=XMP, icc_profile=RGB_ICC)
    picture = load(data)
    assert picture.icc == RGB_ICC and picture.xmp == XMP and picture.exif is not None
    assert upright(picture).pixels.shape[:2] == (W, H)
    noted(load(data + struct.pack(">I4s", 108, b"mpvd") + bytes(100)), "a video behind it")


@needs_avif
def test_avif() -> None:
    data = file_of(Image.fromarray(noise(H, W, 3)), "AVIF", exif=EXIF, icc_profile=RGB_ICC)
    assert upright(load(data)).pixels.shape[:2] == (W, H)
    plain = file_of(Image.fromarray(noise(H, W, 3)), "AVIF")
    at = plain.find(b"colrnclx")
    assert plain[at + 8 : at + 12] == struct.pack(">HH", 1, 13) and load(plain).icc is None
    for codes, words, profile in (((12, 13), (), True), ((9, 16), ("PQ",), False), ((1, 1), (), False)):
        picture = noted(load(plain[: at + 8] + struct.pack(">HH", *codes) + plain[at + 12 :]), *words)
        assert bool(picture.icc) == profile
    deep = plain.replace(b"pixi\0\0\0\0\3\x08\x08\x08", b"pixi\0\0\0\0\3\x0a\x0a\x0a")
    assert deep != plain and boxes.inspect_heif(deep).bits == 10
    gain = plain.replace(b"infe", b"infe", 1)
    place = gain.find(b"infe") - 4
    entry = struct.pack(">I", 21) + b"infe\2\0\0\0\0\x09\0\0tmap\0"
    assert boxes.inspect_heif(_grown(gain, place, entry)).lost == ["its HDR part (a gain map)"]


@needs_avif
def test_avif_with_exif_that_its_reader_refuses() -> None:
    image, block = Image.fromarray(noise(H, W, 3)), exif_of({0x010F: "six"})
    data = file_of(image, "AVIF", exif=block)
    for wrong in (bytes(len(block)), block[:8] + b"\xff\xff" + block[10:], block.replace(b"\x0f", b"\x12")):
        assert load(data.replace(block, wrong)).pixels.shape == (H, W, 3)
    noted(load(data.replace(block, bytes(len(block)))), "EXIF, which is malformed")


def _grown(data: bytes, place: int, entry: bytes) -> bytes:
    """The file with a further entry in `iinf`; only its boxes are right, not its offsets."""
    for name in (b"meta", b"iinf"):
        at = data.find(name) - 4
        data = (
            data[:at] + struct.pack(">I", struct.unpack_from(">I", data, at)[0] + len(entry)) + data[at + 4 :]
        )
    return data[:place] + entry + data[place:]


@needs_jxl
@pytest.mark.parametrize(("width", "height"), [(W, H), (64, 48), (1920, 1080), (5000, 1), (301, 301)])
def test_the_size_and_depth_of_a_jxl(width: int, height: int) -> None:
    for pixels, bits in (
        (np.zeros((height, width, 3), np.uint8), 8),
        (np.zeros((height, width), np.uint16), 16),
    ):
        data = file_of(Image.fromarray(pixels), "JXL", lossless=True)
        size, facts = boxes.inspect_jxl(data)
        assert (size, facts.bits) == ((width, height), bits)


@needs_jxl
def test_the_limit_of_a_jxl_counts_before_its_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of(Image.new("RGB", (200, 100)), "JXL", exif=b"Exif\0\0" + EXIF)
    monkeypatch.setitem(Image.OPEN, "JXL", (lambda *_: pytest.fail("it was opened"), Image.OPEN["JXL"][1]))
    with pytest.raises(DamagedFileError, match="too large: 200x100"):
        load(data, max_pixels=10_000)


@pytest.mark.skipif(not features.check("jpg_2000"), reason="Pillow was built without JPEG 2000")
def test_jpeg2000() -> None:
    picture = noted(load(file_of(Image.fromarray(DEEP), "JPEG2000")), "16-bit")
    assert np.abs(picture.pixels[..., 0] - DEEP / 257).max() <= 1
    noted(load(file_of(Image.fromarray(noise(H, W, 3)), "JPEG2000", no_jp2=True)))


def test_hostile_boxes() -> None:
    rng = np.random.default_rng(0)
    head = struct.pack(">I8s", 20, b"ftypavif") + bytes(8)
    for size in (0, 1, 7, 8, 2**31, 2**32 - 1):
        data = head + struct.pack(">I4s", size, b"meta") + rng.bytes(200)
        assert boxes.inspect_heif(data).bits >= 8
    for start in (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x4f\xff\x51"):
        for length in range(0, 60, 7):
            boxes.inspect_jxl(start + rng.bytes(length))
            boxes.inspect_jpeg2000(start + rng.bytes(length))


def test_programs_are_never_started() -> None:
    """Pillow reads PostScript through Ghostscript, and others of these formats through the system."""
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    metafile = struct.pack("<IIiiii", 1, 108, 0, 0, 10, 10) + bytes(16) + b" EMF" + bytes(64)
    for data in (postscript, metafile, b"\xd7\xcd\xc6\x9a" + bytes(60), b"GRIB" + bytes(60)):
        with pytest.raises(DamagedFileError, match="no picture of a known format"):
            load(data)


def test_closed_images_and_pointers() -> None:
    stream = io.BytesIO()
    Image.fromarray(noise(H, W, 3)).save(stream, "PNG")
    assert load(stream).pixels.shape == (H, W, 3)  # it goes to the start, as Pillow does
    with Image.open(stream) as image:
        pass
    with pytest.raises(UsageError, match="closed"):
        load(image)
