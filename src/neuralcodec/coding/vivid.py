"""A vivid picture from an ordinary file: a second synthesis invents texture that low rates left out.

It decodes a latent with a little noise, since in a plain area, where all of the latent is zero, it could only
repeat one pattern. The noise depends on the place alone, so a region is the part of the picture that it was.

Realism is how far its weights lie between those of the true synthesis and its own. Where the picture has
lettering, and at high qualities, the true synthesis has the word.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralcodec.arrays import Box, Floats, Pixels
from neuralcodec.errors import UsageError
from neuralcodec.models.conv import HALO, STRIDE
from neuralcodec.models.protocols import TileDecoder
from neuralcodec.options import DITHER
from neuralcodec.picture.content import lettering
from neuralcodec.weights.companions import companion_of
from neuralcodec.weights.stored import not_weights

if TYPE_CHECKING:
    from neuralcodec.coding.families.protocol import Family
    from neuralcodec.format.container import Container
    from neuralcodec.weights import WeightsFile

KIND = "vivid"
#: Positions beyond a pixel's own whose pixels decide whether it is lettering, and how far that fades out.
GUARD = 3


def load_decoder(
    family: Family, stored: WeightsFile, file: Container, realism: float, device: str | None
) -> Any:
    """Load the model that decodes a file at a realism of 0 to 1.

    Raises:
        UsageError: realism is above 0, and the weights have no vivid decoder.
        NeuralCodecError: that of the weights is no file of this version.
    """
    model = family.load(stored, device)
    if not realism:
        return model
    if KIND not in family.companions:
        raise UsageError(f"realism: the {family.codec.name} model has no vivid decoder; leave it at 0")
    vivid = companion_of(stored, KIND)
    try:
        full, last = (vivid.said["sizes"][f"{name}_quality"] for name in ("full", "last"))
        share = realism * min(max((last - file.header.quality) / (last - full), 0.0), 1.0)
    except (LookupError, TypeError, ArithmeticError) as error:
        raise not_weights(vivid.path, error) from None
    if not share or file.layers > 1:
        return model
    return VividDecoder(model, family.load(replace(vivid, share=share), device), share)


class VividDecoder:
    """A model for decoding in one layer, with two syntheses."""

    def __init__(self, true: TileDecoder, vivid: TileDecoder, share: float) -> None:
        self.prior, self.detail_prior, self.levels = true.prior, true.detail_prior, true.levels
        self.halo = true.halo + GUARD
        self._true, self._vivid = true, vivid
        self._noise = DITHER * share
        self._box: Box | None = None

    @property
    def threads(self) -> int:
        """Number of threads that the transforms use, and the rest should."""
        return self._true.threads

    def at(self, box: Box) -> VividDecoder:
        """Return the decoder of a box of positions."""
        placed = copy.copy(self)
        placed._box = box
        return placed

    def synthesise(
        self, y_hat: Floats, quality: float, reduce: int = 1, detail: Floats | None = None
    ) -> Pixels:
        """Decode y_hat `(h, w, C)`: pixels `(16 h / reduce, 16 w / reduce, 3)`, means of `reduce` a side."""
        noise = noise_at(self._box or Box.whole(*y_hat.shape[:2]), y_hat.shape[2])
        pixels = self._vivid.synthesise(y_hat + self._noise * noise, quality)
        guarded = lettering(pixels)
        whole = Box.whole(*guarded.shape)
        for marked in rectangles(guarded > 0, 2 * HALO):
            box = marked.grown(1).within(whole)  # the guard fades out over a position
            seen = box.grown(HALO).within(whole)
            true = self._true.synthesise(np.ascontiguousarray(y_hat[seen.slices]), quality)
            inner = box.moved(-seen.top, -seen.left).scaled(STRIDE)
            _blend(pixels[box.scaled(STRIDE).slices], true[inner.slices], _share(guarded, box))
        height, width = (side // reduce for side in pixels.shape[:2])
        squares = pixels.reshape(height, reduce, width, reduce, 3)
        return squares.mean((1, 3), dtype=np.float32).round().astype(np.uint8) if reduce > 1 else pixels


def noise_at(box: Box, channels: int) -> Floats:
    """Make noise `(h, w, channels)`, even in [-1, 1), the same for a position in every box."""
    rows = np.arange(box.top, box.bottom, dtype=np.uint32)[:, None, None]
    columns = np.arange(box.left, box.right, dtype=np.uint32)[:, None]
    bits = rows * np.uint32(0x9E3779B1) + columns * np.uint32(0x85EBCA77)
    bits = (bits ^ (bits >> 15)) * np.uint32(0x2C1B3C6D) + np.arange(channels, dtype=np.uint32) * np.uint32(
        0xC2B2AE3D
    )
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    return (bits ^ (bits >> 15)).astype(np.float32) * np.float32(2.0**-31) - np.float32(1)


def _share(guarded: Floats, box: Box) -> Floats:
    """Enlarge the guard to the pixels of a box `(H, W, 1)`, linearly from the middle of each position."""
    from PIL import Image

    around = box.grown(1).within(Box.whole(*guarded.shape))
    image = Image.fromarray(guarded[around.slices])
    size = around.width * STRIDE, around.height * STRIDE
    inner = box.moved(-around.top, -around.left).scaled(STRIDE)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))[inner.slices][..., None]


def _blend(pixels: Pixels, other: Pixels, share: Floats) -> None:
    """Replace a share of pixels, in place."""
    pixels[:] = (pixels + share * (other.astype(np.float32) - pixels)).round().astype(np.uint8)


def rectangles(marked: Any, gap: int) -> Iterator[Box]:
    """Cover the marked elements of a plane by boxes that lie at least `gap` apart in rows or in columns."""
    for top, bottom in _runs(marked.any(1), gap):
        for left, right in _runs(marked[top:bottom].any(0), gap):
            yield Box(top, bottom, left, right)


def _runs(marked: Any, gap: int) -> list[tuple[int, int]]:
    places = np.flatnonzero(marked)
    parts = np.split(places, np.flatnonzero(np.diff(places) > gap) + 1) if len(places) else []
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]
