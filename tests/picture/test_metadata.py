"""Metadata never cost the picture: every kind of them into every format, and what is lost is said."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from conftest import photograph
from PIL import Image

from neuralcodec.picture.exif import (
    first_directory,
    orientation,
    resolution,
    with_resolution,
    without_orientation,
)
from neuralcodec.picture.picture import Picture, upright
from neuralcodec.picture.reading import load
from neuralcodec.picture.writing import save
from picture.samples import EXIFS, GREY_ICC, PHOTO, PLACE, RGB_ICC, SCENE, XMP, exif_of, needs_avif

COLOUR = photograph(24, 40)
FORMATS = ["png", "jpg", "webp", pytest.param("avif", marks=needs_avif), "tif", "ppm", "bmp"]
LARGE_ICC = RGB_ICC + bytes(1_500_000 - len(RGB_ICC))


def check_pixels(data: bytes, picture: Picture, *, lossy: bool) -> Picture:
    """The file shows what the picture shows, also to a reader that is not ours."""
    back = load(data)
    shown, expected = upright(back).pixels, upright(picture).pixels
    assert shown.shape[:2] == expected.shape[:2]
    assert np.abs(shown.astype(int) - expected).mean() < (6 if lossy else 0.01)
    return back


def written(picture: Picture, format: str, **options: object) -> tuple[bytes, tuple[str, ...]]:
    buffer = io.BytesIO()
    notes = save(picture, buffer, format, **options)  # type: ignore[arg-type]
    assert len(notes) <= 1
    return buffer.getvalue(), notes


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", EXIFS)
def test_exif(kind: str, format: str) -> None:
    picture = Picture(COLOUR, exif=EXIFS[kind])
    data, notes = written(picture, format)
    back = check_pixels(data, picture, lossy=format in ("jpg", "avif"))
    legible = bool(first_directory(EXIFS[kind]).entries)
    if format in ("ppm", "bmp") or (format == "jpg" and kind == "70 kB"):
        assert back.exif is None and "EXIF" in notes[0]
    elif format in ("png", "jpg", "webp"):
        assert back.exif == picture.exif and not notes
    elif legible and not {"text", "cut", "itself"} & set(kind.split()):
        assert not notes
        read = Image.open(io.BytesIO(data)).getexif()
        assert {tag: read.get(tag) for tag in SCENE} == SCENE
        if "sub" in kind or "file" in kind:
            inner = read.get_ifd(0x8769)
            assert {tag: inner.get(tag) for tag in PHOTO} == PHOTO
        if "sub" in kind:
            assert read.get_ifd(0x8825) == PLACE


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("key", ["icc", "large icc", "grey icc", "xmp", "large xmp"])
def test_profiles_and_xmp(key: str, format: str) -> None:
    pixels = COLOUR[..., 1:2] if "grey" in key else COLOUR
    icc = {"icc": RGB_ICC, "large icc": LARGE_ICC, "grey icc": GREY_ICC}.get(key)
    xmp = {"xmp": XMP, "large xmp": XMP.replace(b"\xc3", b"x" * 70_000 + b"\xc3")}.get(key)
    picture = Picture(pixels, icc=icc, xmp=xmp)
    data, notes = written(picture, format)
    back = check_pixels(data, picture, lossy=format in ("jpg", "avif"))
    lost = format in ("ppm", "bmp") or (format, key) in {
        ("jpg", "large xmp"),
        ("webp", "grey icc"),
        ("avif", "grey icc"),
    }
    assert (back.icc, back.xmp) == ((None, None) if lost else (icc, xmp))
    assert bool(notes) == lost
    assert not lost or ("XMP" if xmp else "ICC profile") in notes[0]


@pytest.mark.parametrize("format", FORMATS)
def test_all_that_is_lost_is_one_note(format: str) -> None:
    picture = Picture(COLOUR, None, RGB_ICC, EXIFS["70 kB"], XMP)
    _, notes = written(picture, format)
    lost = {"ppm": "ICC profile, EXIF, XMP", "bmp": "ICC profile, EXIF, XMP", "jpg": "EXIF"}.get(format)
    assert [note.split("left out: ")[1] for note in notes] == ([lost] if lost else [])


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_into_every_format(turn: int, format: str) -> None:
    entry = b"\1\x12\0\3\0\0\0\1\0"
    block = EXIFS["plain, big-endian"].replace(entry + b"\6", entry + bytes([turn]))
    picture = Picture(COLOUR, exif=block)
    assert orientation(picture.exif or b"") == turn
    data, _ = written(picture, format)
    check_pixels(data, picture, lossy=format in ("jpg", "avif"))


def test_an_orientation_alone_is_not_lost_with_its_block() -> None:
    picture = Picture(COLOUR, exif=exif_of({0x0112: 6}))
    for format in ("ppm", "bmp"):
        data, notes = written(picture, format)
        check_pixels(data, picture, lossy=False)
        assert not notes


@pytest.mark.parametrize("format", FORMATS)
def test_strip(format: str) -> None:
    picture = Picture(COLOUR, None, RGB_ICC, EXIFS["plain, big-endian"], XMP)
    data, notes = written(picture, format, strip=True)
    back = check_pixels(data, picture, lossy=format in ("jpg", "avif"))
    assert (back.icc, back.exif, back.xmp, notes) == (None, None, None, ())


@pytest.mark.parametrize("format", FORMATS)
def test_hostile_exif_never_costs_the_picture(format: str) -> None:
    rng = np.random.default_rng(5)
    for seed in range(40):
        block = bytearray(EXIFS[["sub-directories", "of another file", "plain, big-endian"][seed % 3]])
        for place in rng.integers(0, len(block), 12):
            block[place] = rng.integers(256)
        picture = Picture(COLOUR, exif=bytes(block[: rng.integers(8, len(block))] if seed % 2 else block))
        data, _ = written(picture, format)
        check_pixels(data, picture, lossy=format in ("jpg", "avif"))


def test_orientation_is_taken_out_in_place() -> None:
    for kind, block in EXIFS.items():
        less = without_orientation(block)
        assert len(less) == len(block) and orientation(less) == 1
        entries = {e.tag: e for e in first_directory(block).entries}
        entries.pop(0x0112, None)
        assert {e.tag: e for e in first_directory(less).entries} == entries, kind


def test_resolution() -> None:
    block = with_resolution(300, 299.72)
    assert resolution(block) == (300, 299.72)
    metric = block.replace(struct.pack("<HHII", 0x0128, 3, 1, 2), struct.pack("<HHII", 0x0128, 3, 1, 3))
    assert resolution(metric) == pytest.approx((762, 761.2888))
    for format, exact in (("png", 0.05), ("jpg", 0.5), ("tif", 0.001)):
        data, _ = written(Picture(COLOUR, exif=block), format)
        image = Image.open(io.BytesIO(data))
        assert image.info["dpi"] == pytest.approx((300, 299.72), abs=exact)
    for kind in EXIFS.values():
        assert resolution(kind) is None


def test_a_quality_is_for_lossy_formats() -> None:
    picture = Picture(COLOUR)
    for format in ("jpg", "webp"):
        sizes = [len(written(picture, format, quality=quality)[0]) for quality in (20, 90)]
        assert sizes[0] < sizes[1]
