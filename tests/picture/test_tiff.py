"""TIFF: samples mean what the file says, and what would be read as another picture is refused."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError
from neuralcodec.picture.exif import first_directory, resolution
from neuralcodec.picture.picture import Picture
from neuralcodec.picture.reading import load
from neuralcodec.picture.writing import save
from picture.samples import EXIFS, PHOTO, PLACE, SCENE, H, W, file_of, noise, noted, tiff_file

DEEP = np.linspace(0, 65535, H * W).astype(np.uint16).reshape(H, W)
EIGHT = (DEEP / 257).round().astype(int)


def twelve(values: np.ndarray) -> bytes:
    """Two values in three bytes."""
    first, second = values.reshape(-1, 2).astype(int).T
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1).astype(np.uint8).tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits(order: str) -> None:
    for photometric, values in ((1, DEEP), (0, 65535 - DEEP)):
        data = tiff_file(values.astype(order + "u2").tobytes(), W, H, 16, photometric, order=order)
        picture = noted(load(data), "16-bit")
        assert np.abs(picture.pixels[..., 0] - EIGHT).max() <= 1


@pytest.mark.parametrize("photometric", [0, 1])
def test_twelve_bits(photometric: int) -> None:
    values = DEEP >> 4 if photometric else 4095 - (DEEP >> 4)
    picture = noted(load(tiff_file(twelve(values), W, H, 12, photometric)), "12-bit")
    assert np.abs(picture.pixels[..., 0] - EIGHT).max() <= 1


def test_images_that_pillow_has_open() -> None:
    for data in (
        tiff_file((65535 - DEEP).tobytes(), W, H, 16, 0),
        tiff_file(twelve(DEEP >> 4), W, H, 12, 1),
    ):
        picture = noted(load(Image.open(io.BytesIO(data))), "-bit")
        assert np.abs(picture.pixels[..., 0] - EIGHT).max() <= 1
    with pytest.raises(UsageError, match="planes"):
        load(
            Image.open(io.BytesIO(tiff_file(bytes(6 * H * W), W, H, 16, 2, samples=3, tags={284: (3, [2])})))
        )


@pytest.mark.parametrize(
    ("maximum", "bits"), [(4095, "12-bit"), (1023, "10-bit"), (65535, "16-bit"), (16383, "14-bit")]
)
def test_ranges_of_a_pnm(maximum: int, bits: str) -> None:
    values = (DEEP.astype(int) * maximum // 65535).astype(">u2")
    grey = b"P5\n# made\n%d %d\n%d\n" % (W, H, maximum) + values.tobytes()
    colour = b"P6 %d %d %d\n" % (W, H, maximum) + np.repeat(values[..., None], 3, 2).tobytes()
    for data in (grey, colour):
        picture = noted(load(data), bits)
        assert np.abs(picture.pixels - EIGHT[..., None]).max() <= 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff_file(bytes(4 * H * W), W, H, 16, 1, samples=2, tags={338: (3, [2])}), "2 samples of 16 bits"),
        (
            tiff_file(bytes(12 * H * W), W, H, 32, 2, samples=3, tags={339: (3, [3])}),
            "3 floating-point samples",
        ),
        (tiff_file(bytes(H * W * 2), W, H, 10, 1), "1 sample of 10 bits"),
        (tiff_file(bytes(H * W * 2), W, H, 14, 1), "1 sample of 14 bits"),
        (
            tiff_file(bytes(H * W * 6), W, H, 12, 2, samples=3, tags={284: (3, [2])}),
            "3 samples of 12 bits",
        ),
        (tiff_file(bytes(H * W * 2), W, H, 16, 1, tags={339: (3, [2])}), "signed"),
        (tiff_file(bytes(H * W), W, H, 8, 1, tags={339: (3, [2])}), "signed"),
        (tiff_file(bytes(H * W * 4), W, H, 32, 1), "32-bit pixels"),
    ],
)
def test_layouts_that_are_not_supported(data: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load(data)


RGB8 = bytes(3 * H * W)


@pytest.mark.parametrize(
    "data",
    [
        tiff_file(bytes(2 * H * W), W, H, 16, 32803),
        tiff_file(bytes(6 * H * W), W, H, 16, 34892, samples=3),
        tiff_file(RGB8, W, H, 8, 2, samples=3, tags={50706: (1, [1, 4, 0, 0])}),
        tiff_file(RGB8, W, H, 8, 2, samples=3, order=">", tags={254: (4, [1]), 330: (4, [8])}),
        b"II*\0\x10\0\0\0CR\2\0" + bytes(100),
        b"FUJIFILMCCD-RAW 0201" + bytes(100),
        b"\0\0\0\x18ftypcrx " + bytes(100),
    ],
)
def test_raw_files_are_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="a camera's raw file"):
        load(data)


def test_a_raw_picture_below_a_preview() -> None:
    preview = tiff_file(RGB8, W, H, 8, 2, samples=3, tags={330: (4, [2**16])})
    sensor = tiff_file(bytes(2 * H * W), W, H, 16, 32803)
    moved = preview.ljust(2**16, b"\0") + sensor[8:]
    with pytest.raises(UsageError, match="a camera's raw file"):
        load(moved)


def test_what_else_the_tags_say() -> None:
    four = tiff_file(bytes(4 * H * W), W, H, 8, 2, samples=4, tags={338: (3, [0])})
    assert noted(load(four), "a further channel").alpha is None
    dark = tiff_file((DEEP >> 4).tobytes(), W, H, 16, 1, tags={281: (3, [4095])})
    noted(load(dark), "its largest value is said to be 4095 of 65535", "16-bit")


@pytest.mark.parametrize(
    "options", [{"big_tiff": True}, {"compression": "tiff_lzw"}, {"compression": "packbits"}]
)
def test_other_containers(options: dict[str, object]) -> None:
    pixels = noise(H, W, 3)
    picture = load(file_of(Image.fromarray(pixels), "TIFF", tiffinfo={270: "a rocket"}, **options))
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.exif is not None and b"a rocket" in picture.exif


def test_exif_goes_round() -> None:
    picture, buffer = Picture(noise(H, W, 3), exif=EXIFS["sub-directories, big-endian"]), io.BytesIO()
    save(picture, buffer, "TIFF")
    back = load(buffer.getvalue())
    assert back.exif is not None and back.notes == ()
    block = Image.Exif()
    block.load(back.exif)
    assert {tag: block[tag] for tag in SCENE} == SCENE
    assert {tag: block.get_ifd(0x8769)[tag] for tag in PHOTO} == PHOTO
    assert block.get_ifd(0x8825) == PLACE
    np.testing.assert_array_equal(
        back.pixels, picture.pixels[::-1, ::-1]
    )  # Pillow turns the pixels of a TIFF
    assert 0x0112 not in {entry.tag for entry in first_directory(back.exif).entries}


def test_resolution() -> None:
    for dpi, kept in (((300, 300), (300, 300)), ((72, 72), None), ((96, 96), None), ((400, 200), (400, 200))):
        picture = load(file_of(Image.fromarray(noise(H, W, 3)), "TIFF", dpi=dpi))
        assert (picture.exif and resolution(picture.exif)) == kept


# ---- planes -----------------------------------------------------------------------------------------------


def planar_file(planes: np.ndarray, order: str, strips: int, *, packed: bool) -> bytes:
    """A TIFF of planes `(n, H, W)` in strips of some rows, perhaps deflated."""
    count, height, width = planes.shape
    rows = -(-height // strips)
    parts = [
        plane[top : top + rows].astype(planes.dtype.newbyteorder(order)).tobytes()
        for plane in planes
        for top in range(0, height, rows)
    ]
    parts = [zlib.compress(part) if packed else part for part in parts]
    first = 8 + 2 + 12 * 16 + 4 + 2 * count + 4 * 2 * len(parts)  # room for the directory and its values
    first += -first % 2
    starts = [first + sum(map(len, parts[:number])) for number in range(len(parts))]
    tags = {284: (3, [2]), 278: (4, [rows]), 279: (4, list(map(len, parts))), 259: (3, [8 if packed else 1])}
    if count in (2, 4):
        tags[338] = (3, [2])
    bits, photometric = 8 * planes.itemsize, 1 if count == 2 else 2
    shell = tiff_file(
        b"", width, height, bits, photometric, samples=count, order=order, tags={**tags, 34675: (1, [0] * 8)}
    )
    # The offsets of the strips replace the single one of the helper.
    return with_offsets(shell, order, starts, first) + b"".join(parts)


def with_offsets(shell: bytes, order: str, starts: list[int], first: int) -> bytes:
    """Turn a tag that is there for its place into the offsets of all strips, and fill up to the first."""
    entries = [
        shell[at : at + 12]
        for at in range(10, 10 + 12 * int.from_bytes(shell[8:10], "little" if order == "<" else "big"), 12)
    ]
    kept = [entry for entry in entries if struct.unpack(order + "H", entry[:2])[0] not in (273, 34675)]
    place = len(shell)
    listed = struct.pack(f"{order}{len(starts)}I", *starts)
    where = listed if len(listed) <= 4 else struct.pack(order + "I", place)
    kept.append(struct.pack(order + "HHI", 273, 4, len(starts)) + where)
    kept.sort(key=lambda entry: struct.unpack(order + "H", entry[:2])[0])
    head = shell[:8] + struct.pack(order + "H", len(kept)) + b"".join(kept) + bytes(4)
    whole = head + shell[len(head) :] + listed
    assert len(whole) <= first
    return whole.ljust(first, b"\0")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("count", "kind"), [(2, "u1"), (2, "u2"), (3, "u1"), (3, "u2"), (4, "u2")])
def test_planes_are_laid_together(count: int, kind: str, order: str, packed: bool) -> None:
    deep = np.stack([np.roll(DEEP, 40 * number, 1) for number in range(count)])
    planes = deep if kind == "u2" else (deep >> 8).astype("u1")
    for strips in (1, 3):
        picture = load(planar_file(planes, order, strips, packed=packed))
        found = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
        assert found.shape == (H, W, count)
        assert np.abs(found - deep.transpose(1, 2, 0) / 257).max() <= 1
        assert any("16-bit" in note for note in picture.notes) == (kind == "u2")


def test_damaged_planes_are_damage() -> None:
    data = planar_file(np.stack([DEEP] * 3), "<", 3, packed=True)
    for broken in (data[:-40], data[: len(data) // 2], data.replace(b"\x78\x9c", b"\0\0")):
        with pytest.raises(NeuralCodecError):
            load(broken)
    with pytest.raises(DamagedFileError, match="too large"):
        load(data, max_pixels=W * H - 1)
