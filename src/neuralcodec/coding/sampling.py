"""The codec as a VAE: draw a latent from its prior, walk from one latent to another.

The prior that codes files is a distribution like any other, so files can be drawn from it. What comes out
are textures rather than scenes: the prior was trained to know how a latent goes on, not what a picture is of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from neuralcodec import parallel, weights
from neuralcodec.arrays import Progress, quiet
from neuralcodec.coding.codec import encode_file, start_file
from neuralcodec.coding.families import family_of
from neuralcodec.entropy.coder import SymbolSampler
from neuralcodec.entropy.tables import Tables
from neuralcodec.errors import UsageError
from neuralcodec.format.container import DEFAULT_LIMITS, Container
from neuralcodec.options import DEFAULT_MODEL, checked_whole, is_whole
from neuralcodec.picture.picture import Picture


@parallel.computing()
def sample_file(
    width: int,
    height: int,
    *,
    quality: float | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    seed: int = 0,
    temperature: float = 1.0,
    progress: Progress | None = None,
) -> Container:
    """Draw an `.nc` file from the prior: decoded, it is the sample, and its bits are what the sample costs.

    Args:
        quality, model: as in `encode_file`.
        seed: from 0; the same seed gives the same file.
        temperature: above 0; 1 draws from the prior itself, below 1 likely symbols come oftener.

    Raises:
        UsageError: an argument is out of range, or the picture too large for the model.
    """
    if not 0 < temperature < float("inf"):
        raise UsageError(f"temperature must be a number above 0, not {temperature!r}")
    if not is_whole(seed) or int(seed) < 0:
        raise UsageError(f"seed must be a whole number from 0, not {seed!r}")
    width, height = checked_whole("width", width), checked_whole("height", height)
    if width * height > DEFAULT_LIMITS.max_pixels:
        raise UsageError(f"{width}x{height} pixels are more than {DEFAULT_LIMITS.max_pixels}")
    stored, header = start_file((width, height), quality=quality, model=model)

    def draw(tables: Tables, number: int) -> SymbolSampler:
        # One generator for each segment: the order in which threads come to them does not matter.
        return SymbolSampler(tables, np.random.default_rng((int(seed), number)), temperature)

    family = family_of(header.codec)
    # Only the exact part is needed, which always runs on the CPU.
    return Container(header, family.sample(family.load(stored, "cpu"), header, draw, progress or quiet))


def interpolate(
    one: Picture,
    other: Picture,
    shares: Sequence[float],
    *,
    quality: float | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    device: str | None = None,
) -> Iterator[Picture]:
    """Decode latents on the line between those of two pictures; transparency and metadata take no part.

    Args:
        shares: for each picture wanted, the share of the way from the one (0) to the other (1).
        quality, model, device: as in `encode_file`.

    Raises:
        UsageError: the pictures are not of one size, or an argument is out of range.
    """
    height, width = one.pixels.shape[:2]
    if other.pixels.shape[:2] != (height, width):
        there = "{1}x{0}".format(*other.pixels.shape)
        raise UsageError(f"one picture has {width}x{height} pixels, the other {there}: make them of one size")
    colours = max(picture.pixels.shape[2] for picture in (one, other))

    def coded(picture: Picture) -> Container:
        pixels = np.broadcast_to(picture.pixels, (height, width, colours))
        whole = Picture(np.ascontiguousarray(pixels))
        return encode_file(whole, quality=quality, model=model, device=device)

    start, end = coded(one), coded(other)
    family = family_of(start.header.codec)
    with parallel.computing():
        loaded = family.load(weights.by_name(model), device)
    for pixels in parallel.each_computing(family.interpolate(loaded, start, end, shares)):
        yield Picture(pixels)
