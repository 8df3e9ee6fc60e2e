"""PNG chunks beside the pixels: kept, understood, or named as lost, and never in the way."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from neuralcodec.errors import DamagedFileError
from neuralcodec.picture.exif import orientation, resolution
from neuralcodec.picture.icc import matching_icc
from neuralcodec.picture.picture import Picture
from neuralcodec.picture.reading import load
from picture.samples import EXIF, EXIFS, RGB_ICC, XMP, H, W, chunk, file_of, noise, noted

PIXELS = noise(H, W, 3)
FILE = file_of(Image.fromarray(PIXELS))
SRGB = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)


def read(*chunks: bytes, words: tuple[str, ...] = ()) -> Picture:
    """The picture with further chunks behind its header; its pixels are what they were."""
    picture = noted(load(FILE[:33] + b"".join(chunks) + FILE[33:]), *words)
    np.testing.assert_array_equal(picture.pixels, PIXELS)
    return picture


def raw_profile(name: str, data: bytes) -> bytes:
    text = f"\n{name}\n{len(data):8}\n".encode() + b"\n".join(
        data.hex().encode()[i : i + 72] for i in range(0, 2 * len(data), 72)
    )
    return chunk(b"zTXt", f"Raw profile type {name}".encode() + b"\0\0" + zlib.compress(text))


@pytest.mark.parametrize("kind", [b"tEXt", b"eXIf", b"iCCP", b"tIME"])
def test_a_bad_checksum_beside_the_pixels(kind: bytes) -> None:
    read(chunk(kind, b"key\0" + bytes(20), damaged=True), words=("wrong checksum",))


def test_damage_of_the_pixels_is_damage() -> None:
    with pytest.raises(DamagedFileError, match="checksum"):
        read(chunk(b"tRNS", bytes(6), damaged=True))
    for damaged in (FILE[: len(FILE) // 2], FILE[:-40], FILE.replace(b"IHDR", b"IHDS")):
        with pytest.raises(DamagedFileError):
            load(damaged)


def test_long_and_many_texts() -> None:
    bomb = zlib.compress(bytes(50_000_000))
    read(chunk(b"zTXt", b"workflow\0\0" + bomb), words=("PNG text (workflow)",))
    read(chunk(b"iTXt", b"prompt\0\1\0\0\0" + bomb), words=("PNG text (prompt)",))
    read(*[chunk(b"tEXt", b"k%d\0" % i + bytes(2000)) for i in range(200)], words=("k4, …)",))
    read(chunk(b"tEXt", b"a\x1b\n\xe9\0b"), words=(r"PNG text (a??\xe9)",))
    read(chunk(b"iCCP", b"name\0\0" + bomb), words=("ICC profile, which is damaged or too long",))
    read(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb), words=("XMP, which is damaged",))


def test_texts_take_no_memory() -> None:
    bomb = zlib.compress(bytes(16_000_000))
    tracemalloc.start()
    read(*[chunk(b"zTXt", b"k%d\0\0" % i + bomb) for i in range(40)], words=("PNG text",))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_texts_of_a_kind_that_pillow_reads_as_its_own() -> None:
    names = (b"transparency", b"icc_profile", b"exif", b"dpi", b"interlace")
    read(*[chunk(b"tEXt", name + b"\0" + b"x") for name in names], words=("PNG text (transparency",))


def test_metadata() -> None:
    for packed, xmp in ((b"\0\0", XMP), (b"\1\0", zlib.compress(XMP))):
        assert read(chunk(b"iTXt", b"XML:com.adobe.xmp\0" + packed + b"\0\0" + xmp)).xmp == XMP
    large = RGB_ICC + bytes(3_000_000)
    assert read(chunk(b"iCCP", b"name\0\0" + zlib.compress(large))).icc == large
    assert read(chunk(b"eXIf", EXIF)).exif == EXIF


@pytest.mark.parametrize("name", ["exif", "APP1"])
def test_exif_in_a_raw_profile(name: str) -> None:
    picture = read(raw_profile(name, b"Exif\0\0" + EXIF))
    assert picture.exif == EXIF and orientation(picture.exif) == 6
    assert read(chunk(b"eXIf", EXIFS["plain"]), raw_profile(name, EXIF)).exif == EXIFS["plain"]


def test_other_raw_profiles() -> None:
    assert read(raw_profile("xmp", XMP)).xmp == XMP
    assert read(raw_profile("icc", RGB_ICC)).icc == RGB_ICC
    read(raw_profile("iptc", bytes(30)), words=("left out: IPTC",))
    read(chunk(b"tEXt", b"Raw profile type exif\0no digits"), words=("left out: a damaged 'exif' profile",))


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 100000))],
        [chunk(b"gAMA", struct.pack(">I", 45455)), chunk(b"cHRM", SRGB)],
        [chunk(b"cICP", bytes([1, 13, 0, 1]))],
    ],
)
def test_srgb_in_other_words(chunks: list[bytes]) -> None:
    assert read(*chunks).icc is None


@pytest.mark.parametrize(
    ("chunks", "gamma", "red"),
    [
        ([chunk(b"gAMA", struct.pack(">I", 100000))], 1.0, 0.4361),
        ([chunk(b"gAMA", struct.pack(">I", 55556))], 1.8, 0.4361),
        ([chunk(b"cHRM", P3)], None, 0.5151),
        ([chunk(b"cICP", bytes([12, 13, 0, 1]))], None, 0.5151),
        ([chunk(b"cICP", bytes([9, 8, 0, 1])), chunk(b"sRGB", b"\0")], 1.0, 0.6734),
    ],
)
def test_other_colours_get_a_profile(chunks: list[bytes], gamma: float | None, red: float) -> None:
    """X of the red primary, adapted to D50, as sRGB, Display P3 and Rec. 2020 have it; and the gamma."""
    profile = read(*chunks).icc
    assert profile is not None and matching_icc(profile, False, []) == profile
    tags = {profile[at : at + 4]: struct.unpack_from(">II", profile, at + 4) for at in range(132, 252, 12)}
    place, _ = tags[b"rXYZ"]
    assert struct.unpack_from(">i", profile, place + 8)[0] / 65536 == pytest.approx(red, abs=0.0005)
    place, _ = tags[b"rTRC"]
    kind, value = struct.unpack_from(">H2xi", profile, place + 8)
    assert (kind, value / 65536) == (0, pytest.approx(gamma, abs=0.001)) if gamma else kind == 3


def test_a_made_profile_does_what_it_says() -> None:
    linear = read(chunk(b"gAMA", struct.pack(">I", 100000))).icc
    p3 = read(chunk(b"cICP", bytes([12, 13, 0, 1]))).icc
    srgb = ImageCms.createProfile("sRGB")
    for profile, colour, expected in (
        (linear, (55, 55, 55), (128, 128, 128)),
        (p3, (200, 100, 50), (214, 95, 33)),
    ):
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        shown = ImageCms.profileToProfile(Image.new("RGB", (1, 1), colour), source, srgb)
        assert shown is not None and np.abs(np.subtract(shown.getpixel((0, 0)), expected)).max() <= 2


def test_colours_that_are_not_understood() -> None:
    for code, name in ((16, "PQ"), (18, "HLG"), (99, "transfer characteristics 99")):
        read(chunk(b"cICP", bytes([9, code, 0, 1])), words=(name,))
    read(chunk(b"cICP", bytes([77, 13, 0, 1])), words=("colour primaries 77",))
    read(chunk(b"cICP", bytes([1, 13, 0, 0])), words=("narrow range",))
    read(chunk(b"cHRM", bytes(32)), words=("impossible",))
    read(chunk(b"cHRM", b"\xff" * 32), words=("impossible",))


def test_resolution() -> None:
    def physical(x: int, y: int, unit: int = 1) -> bytes:
        return chunk(b"pHYs", struct.pack(">IIB", x, y, unit))

    assert resolution(read(physical(11811, 11811)).exif or b"") == pytest.approx((300, 300), abs=0.01)
    for default in (physical(2835, 2835), physical(3780, 3780), physical(1, 1, 0), physical(0, 0)):
        assert read(default).exif is None
    read(physical(11811, 11811), chunk(b"eXIf", EXIF), words=("its resolution of 300 dpi",))


def test_what_is_behind_and_what_moves() -> None:
    noted(load(FILE + b"\0\0\0\x18ftypmp42" + bytes(3000)), "a video behind it")
    noted(load(FILE + bytes(range(256)) * 20), "5,120 bytes behind it")
    noted(load(FILE + bytes(3000)))
    second = Image.new("RGB", (W, H))
    noted(load(file_of(Image.fromarray(PIXELS), save_all=True, append_images=[second])), "2 frames")
