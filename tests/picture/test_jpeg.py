"""JPEG segments beside the pixels: kept, or named as lost, never in the way; and missing ends."""

from __future__ import annotations

import io

import numpy as np
import pytest
from conftest import photograph
from PIL import Image

from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.picture.exif import resolution
from neuralcodec.picture.picture import Picture
from neuralcodec.picture.reading import load
from picture.samples import EXIF, EXIFS, GREY_ICC, RGB_ICC, XMP, file_of, noted, segment

PHOTO = Image.fromarray(photograph(96, 128))
FILE = file_of(PHOTO, "JPEG")
XAP, EXTENSION = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
VIDEO = b"\0\0\0\x18ftypmp42" + bytes(5000)


def read(*segments: bytes, behind: bytes = b"", words: tuple[str, ...] = ()) -> Picture:
    """The picture with further segments; its pixels are what they were."""
    picture = noted(load(FILE[:2] + b"".join(segments) + FILE[2:] + behind), *words)
    np.testing.assert_array_equal(picture.pixels, np.asarray(Image.open(io.BytesIO(FILE))))
    return picture


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 4}, {"quality": 98}]
)
def test_only_the_end_is_missing(options: dict[str, int]) -> None:
    whole = file_of(PHOTO, "JPEG", **options)
    for cut in (whole[:-2], whole[:-1]):
        picture = noted(load(cut), "its end marker is missing")
        np.testing.assert_array_equal(picture.pixels, load(whole).pixels)
    for less in (12, 40, len(whole) // 2):
        with pytest.raises(DamagedFileError, match=r"cut short|truncated"):
            load(whole[:-less])


def test_scans_that_are_missing_are_damage() -> None:
    whole = file_of(PHOTO, "JPEG", progressive=True)
    for marker in (b"\xff\xda", b"\xff\xc4"):
        with pytest.raises(DamagedFileError, match="truncated"):
            load(whole[: whole.rfind(marker)])


def test_what_is_lost_is_named() -> None:
    read(segment(0xFE, b"made by hand"), words=("left out: a comment",))
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x06\x1c\x02\x78\0\1a"
    read(segment(0xED, iptc), segment(0xFE, b"x"), words=("left out: IPTC, a comment",))
    read(segment(0xE1, EXTENSION + bytes(100)), words=("left out: extended XMP",))
    read(segment(0xEB, b"JP\0\1\0\0\0\1jumbc2pa"), words=("left out: content credentials",))


def test_what_is_behind_is_named() -> None:
    read(segment(0xE1, XAP + b"<x GCamera:MotionPhoto='1'/>"), behind=VIDEO, words=("left out: a video",))
    read(behind=VIDEO, words=("left out: a video behind it",))
    gain = "left out: its HDR part (a gain map)"
    read(segment(0xE1, XAP + b"<x hdrgm:Version='1.0'/>"), behind=FILE, words=(gain,))
    read(behind=FILE[:2] + segment(0xE1, XAP + b"<x HDRGainMapVersion='1'/>") + FILE[2:], words=(gain,))
    read(behind=FILE, words=("left out: a further picture behind it",))
    read(behind=bytes(range(256)) * 20, words=("left out: 5,120 bytes behind it",))
    read(behind=b"SEFH" + bytes(300) + b"SEFT")  # which some cameras put behind every picture
    noted(load(file_of(PHOTO, "MPO", save_all=True, append_images=[PHOTO])), "a further picture")


@pytest.mark.parametrize("kind", EXIFS)
def test_every_exif_block(kind: str) -> None:
    block = b"Exif\0\0" + EXIFS[kind]
    parts = [block[:60_000], *([b"Exif\0\0" + block[60_000:]] if len(block) > 60_000 else [])]
    assert read(*[segment(0xE1, part) for part in parts]).exif == EXIFS[kind]


def test_the_first_block_counts() -> None:
    blocks = [segment(0xE1, b"Exif\0\0" + EXIFS[kind]) for kind in ("plain", "sub-directories")]
    assert read(*blocks).exif == EXIFS["plain"]
    assert read(*[segment(0xE1, XAP + xmp) for xmp in (XMP, b"other")]).xmp == XMP


def test_profiles() -> None:
    def part(number: int, of: int, data: bytes) -> bytes:
        return segment(0xE2, b"ICC_PROFILE\0" + bytes([number, of]) + data)

    assert read(part(2, 2, RGB_ICC[300:]), part(1, 2, RGB_ICC[:300])).icc == RGB_ICC
    for damaged in (part(1, 3, RGB_ICC), part(0, 0, RGB_ICC)):
        assert read(damaged, words=("of which parts are missing",)).icc is None
    assert read(part(1, 1, RGB_ICC[:200]), words=("it is cut short",)).icc is None
    assert read(part(1, 1, b"short"), words=("dropped",)).icc is None
    assert read(part(1, 1, GREY_ICC), words=("it is for 'GRAY'",)).icc is None


def test_resolution() -> None:
    assert resolution(load(file_of(PHOTO, "JPEG", dpi=(300, 150))).exif or b"") == (300, 150)
    for default in (72, 96):
        assert load(file_of(PHOTO, "JPEG", dpi=(default, default))).exif is None
    with_exif = file_of(PHOTO, "JPEG", dpi=(300, 300), exif=b"Exif\0\0" + EXIF)
    assert noted(load(with_exif), "its resolution of 300 dpi").exif == EXIF


def test_fill_and_kinds_that_are_not_supported() -> None:
    read(b"\xff\xff\xff")
    twelve = FILE.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c")
    with pytest.raises(UsageError, match="not supported: JPEG: cannot handle 12-bit"):
        load(twelve)


def test_inverted_cmyk() -> None:
    """Adobe's programs store CMYK inverted."""
    data = file_of(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")
    assert b"Adobe" in data
    red, green, blue = noted(load(data), "CMYK").pixels[8, 8].tolist()
    assert red > 230 and green < 25 and blue < 25
