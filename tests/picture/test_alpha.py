"""The alpha plane: lossless, small, and safe against hostile bytes."""

import lzma
import random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from neuralcodec.errors import DamagedFileError
from neuralcodec.picture.alpha import pack_alpha, unpack_alpha
from picture.samples import noise


def shape_with_soft_edge() -> np.ndarray:
    image = Image.new("L", (800, 600))
    ImageDraw.Draw(image).ellipse((100, 50, 700, 550), fill=255)
    return np.asarray(image.resize((200, 150), Image.Resampling.LANCZOS))


@pytest.mark.parametrize(
    ("alpha", "most"),
    [
        (np.full((1000, 1000), 255, np.uint8), 2),
        (np.zeros((1, 1), np.uint8), 2),
        (np.arange(256, dtype=np.uint8)[None].repeat(200, axis=0), 150),
        (np.arange(200, dtype=np.uint8)[:, None].repeat(256, axis=1), 150),
        (shape_with_soft_edge(), 1800),
        (noise(60, 50), 3020),
        (np.array([[0, 255]], np.uint8), 20),
    ],
)
def test_lossless_and_small(alpha: np.ndarray, most: int) -> None:
    data = pack_alpha(alpha)
    assert len(data) <= most
    height, width = alpha.shape
    back = unpack_alpha(data, width, height)
    assert back.dtype == np.uint8 and back.flags.writeable
    np.testing.assert_array_equal(back, alpha)


def test_every_filter() -> None:
    """The layout of docs/format.md, undone pixel by pixel."""
    residual = noise(5, 7)
    filters: list[dict[str, int]] = [{"id": lzma.FILTER_LZMA2, "dict_size": 4096}]
    packed = lzma.compress(residual.tobytes(), lzma.FORMAT_RAW, filters=filters)
    for coding in range(4):
        plane = residual.astype(int)
        if coding & 2:
            for y in range(1, 5):
                plane[y] += plane[y - 1]
        if coding & 1:
            for x in range(1, 7):
                plane[:, x] += plane[:, x - 1]
        np.testing.assert_array_equal(unpack_alpha(bytes([coding]) + packed, 7, 5), plane % 256)


def test_hostile_bytes() -> None:
    rng = random.Random(4)
    whole = pack_alpha(shape_with_soft_edge())
    for _ in range(300):
        data = bytearray(whole)
        data[rng.randrange(len(data))] = rng.randrange(256)
        data = data[: rng.randrange(len(data))] if rng.random() < 0.5 else data
        try:
            assert unpack_alpha(bytes(data), 200, 150).shape == (150, 200)
        except DamagedFileError as error:
            assert "\n" not in str(error)


def test_what_does_not_fit_is_refused() -> None:
    data = pack_alpha(shape_with_soft_edge())
    wrong = [b"", b"\4", b"\4\1\1", b"\5\1", b"\0", b"\0\0", b"\xff", data + b"\0", data[:-1]]
    for bad in wrong:
        with pytest.raises(DamagedFileError, match="alpha plane is damaged"):
            unpack_alpha(bad, 200, 150)
    for width, height in ((200, 149), (200, 151), (1, 1)):
        with pytest.raises(DamagedFileError, match=f"{width}x{height}"):
            unpack_alpha(data, width, height)


def test_a_bomb_does_not_expand() -> None:
    filters: list[dict[str, int]] = [{"id": lzma.FILTER_LZMA2, "preset": 0}]
    bomb = b"\0" + lzma.compress(bytes(2**26), lzma.FORMAT_RAW, filters=filters)
    with pytest.raises(DamagedFileError, match="10x10"):
        unpack_alpha(bomb, 10, 10)
