"""How noisy a picture is taken to be, and the picture without that, which any codec then encodes."""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Real

import numpy as np

from neuralcodec import parallel
from neuralcodec.arrays import Box, Pixels, Progress, quiet
from neuralcodec.coding.pixels import padded_pixels
from neuralcodec.errors import UsageError
from neuralcodec.models.denoise import SIDE, load
from neuralcodec.options import DENOISE_WORDS, MOST_NOISE
from neuralcodec.picture.noise import noise_of
from neuralcodec.picture.picture import Picture
from neuralcodec.weights import denoiser

#: About the side in pixels of what the network cleans at a time, and how far around that it looks.
_CELL, _MARGIN = 640, 64
#: From here on the estimate is believed. Of clean photographs, 99 of 100 are estimated at up to 2.7; with
#: noise of 5, as many at 5.0 and more.
_SURE = 3.0
#: Below it the network decides, in windows of this side at a quarter and three quarters of height and width.
#: Asked about this noise, it takes next to nothing off clean photographs, and 1.5 levels and more off those
#: of old or small cameras, whose noise is alike in neighbours and so hidden from the estimate.
_WINDOW, _ASKED, _LEAST_OFF = 160, 6.0, 1.5


def noise_level(pixels: Pixels, wanted: str | float | None, device: str | None = None) -> float:
    """Find the noise to encode for, a standard deviation in 8-bit levels; 0 is none to take out.

    Args:
        wanted: `auto`, which estimates it, `light`, `strong`, a number of at least 0, or None.

    Raises:
        UsageError: it is none of these, or there are no weights for `auto`.
    """
    if wanted is None:
        return 0.0
    if isinstance(wanted, str):
        if wanted == "auto":
            estimated = noise_of(pixels)
            return min(estimated if estimated >= _SURE else _hidden(pixels, device), MOST_NOISE)
        if wanted not in DENOISE_WORDS:
            words = ", ".join(["auto", *DENOISE_WORDS])
            raise UsageError(f"denoise must be {words} or a number from 0 to {MOST_NOISE:g}, not {wanted!r}")
        return DENOISE_WORDS[wanted]
    if isinstance(wanted, bool) or not isinstance(wanted, Real) or not 0 <= wanted <= MOST_NOISE:
        raise UsageError(f"denoise must be a number from 0 to {MOST_NOISE:g}, not {wanted!r}")
    return float(wanted)


@parallel.computing()
def _hidden(pixels: Pixels, device: str | None) -> float:
    """Find noise that only the network sees; 0 where it sees none."""
    network, plane, off = load(denoiser.find(), device), Box.whole(*pixels.shape[:2]), []
    for row, column in ((1, 1), (1, 3), (3, 1), (3, 3)):
        top = max(min(plane.height * row // 4 - _WINDOW // 2, plane.height - _WINDOW), 0)
        left = max(min(plane.width * column // 4 - _WINDOW // 2, plane.width - _WINDOW), 0)
        box = Box(top, top + _WINDOW, left, left + _WINDOW).within(plane)
        seen = padded_pixels(pixels, box.grown_to(SIDE).slices)
        difference = (seen - network.clean(seen, _ASKED))[: box.height, : box.width]
        off.append(float(np.square(difference).mean()))
    found = math.sqrt(math.fsum(off) / len(off))
    return max(found, _ASKED) if found >= _LEAST_OFF else 0.0


@parallel.computing()
def without_noise(
    picture: Picture, noise: float, *, device: str | None = None, progress: Progress = quiet
) -> Picture:
    """Take noise out of a picture; the alpha stays as it is.

    Args:
        noise: its standard deviation in 8-bit levels; of 0, the picture stays as it is.
        device: as in `encode_file`.

    Raises:
        UsageError: there are no weights for that.
    """
    if not noise:
        return picture
    network = load(denoiser.find(), device)
    pixels = np.empty_like(picture.pixels)
    plane = Box.whole(*pixels.shape[:2])
    cells = [Box(*rows, *columns) for rows in _parts(plane.height) for columns in _parts(plane.width)]
    for number, cell in enumerate(cells):
        read = cell.grown(_MARGIN).within(plane)
        seen = padded_pixels(picture.pixels, read.grown_to(SIDE).slices)
        found = network.clean(seen, noise)[cell.moved(-read.top, -read.left).slices]
        if pixels.shape[2] == 1:
            found = found.mean(2, keepdims=True)
        pixels[cell.slices] = found.round().clip(0, 255).astype(np.uint8)
        progress((number + 1) / len(cells))
    return replace(picture, pixels=pixels)


def _parts(length: int) -> list[tuple[int, int]]:
    """Divide a side into parts that are about as long as each other and begin at multiples of `SIDE`."""
    count = max(1, math.ceil((length - 2 * _MARGIN) / _CELL))
    part = math.ceil(length / count / SIDE) * SIDE
    return [(start, min(start + part, length)) for start in range(0, length, part)]
