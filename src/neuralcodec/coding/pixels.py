"""Helpers of all families: pixels in the shape that models take, progress, and a cache."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuralcodec.arrays import Pixels, Progress


@dataclass
class Kept:
    """A cache of what does not depend on the quality, for encodes of one picture by one model.

    Args:
        features: what the model made of the pixels of each window; about 8 bytes for each pixel.
        alpha: the coded alpha plane.
    """

    features: dict[Hashable, Any] = field(default_factory=dict)
    alpha: bytes | None = None


def part(report: Progress, start: float, end: float) -> Progress:
    """Report the progress of a part of the work, from one share of the whole to another."""
    return lambda share: report(start + share * (end - start))


def grey(pixels: Pixels) -> Pixels:
    """Average three channels that differ only by rounding to one, `(h, w, 1)`."""
    return pixels.mean(2, keepdims=True, dtype=np.float32).round().astype(np.uint8)


def box_reduced(pixels: Pixels, reduce: int) -> Pixels:
    """Average squares of `reduce` pixels to a side, of `(H, W, C)` or `(H, W)`; the last may be narrower."""
    if reduce == 1:
        return pixels
    total = pixels.astype(np.uint32)
    counts = np.ones((), np.uint32)
    for axis in (0, 1):
        starts = np.arange(0, pixels.shape[axis], reduce)
        total = np.add.reduceat(total, starts, axis)
        sizes = np.minimum(starts + reduce, pixels.shape[axis]) - starts
        counts = counts[..., None] * sizes.astype(np.uint32)
    counts = counts.reshape(*counts.shape[:2], *[1] * (pixels.ndim - 2))
    return ((total + counts // 2) // counts).astype(np.uint8)


def padded_pixels(pixels: Pixels, place: tuple[slice, slice]) -> Pixels:
    """Take the pixels `(h, w, 3)` at `place`; where it reaches beyond, the last row and column repeat."""
    values = pixels[place]
    rows, columns = (s.stop - s.start - n for s, n in zip(place, values.shape, strict=False))
    if rows or columns:
        values = np.pad(values, ((0, rows), (0, columns), (0, 0)), mode="edge")
    return np.require(np.broadcast_to(values, (*values.shape[:2], 3)), requirements=["C", "W"])
