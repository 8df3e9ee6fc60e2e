"""What every way of coding a picture needs: its pixels in the shape that models take, progress, reuse."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuralcodec.arrays import Pixels, Progress


@dataclass
class Kept:
    """What does not depend on the quality, for other encodes of the same picture by the same model.

    Args:
        features: of each window, what the model made of its pixels; about 8 bytes for each pixel.
        alpha: the coded alpha plane.
    """

    features: dict[Hashable, Any] = field(default_factory=dict)
    alpha: bytes | None = None


def part(report: Progress, start: float, end: float) -> Progress:
    """Report the progress of a part of the work, from one share of the whole to another."""
    return lambda share: report(start + share * (end - start))


def grey(pixels: Pixels) -> Pixels:
    """Make one channel `(h, w, 1)` of three that differ by rounding alone."""
    return pixels.mean(2, keepdims=True, dtype=np.float32).round().astype(np.uint8)


def padded_pixels(pixels: Pixels, place: tuple[slice, slice]) -> Pixels:
    """Take the pixels `(h, w, 3)` at `place`; where it reaches beyond, the last row and column repeat."""
    values = pixels[place]
    rows, columns = (s.stop - s.start - n for s, n in zip(place, values.shape, strict=False))
    if rows or columns:
        values = np.pad(values, ((0, rows), (0, columns), (0, 0)), mode="edge")
    return np.require(np.broadcast_to(values, (*values.shape[:2], 3)), requirements=["C", "W"])
