"""Draws the figure of docs/vivid.md from sample pictures: original, true, vivid, and AVIF at as many bytes.

    python benchmarks/vivid_figure.py [--quality Q]

Writes `docs/vivid.webp`: crops at 200 %.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from neuralcodec.bench.peers import Avif
from neuralcodec.coding import targets
from neuralcodec.coding.codec import decode_picture
from neuralcodec.picture.reading import load
from restoration import ROOT, SIDE, sheet

if TYPE_CHECKING:
    from neuralcodec.arrays import Pixels

QUALITY = 30.0


class Crop(NamedTuple):
    """A place in a sample picture, what is seen there, and its upper left corner."""

    sample: str
    seen: str
    top: int
    left: int


CROPS = [
    Crop("astronaut", "face", 70, 165),
    Crop("astronaut", "lettering", 300, 200),
    Crop("chelsea", "fur", 90, 60),
    Crop("coffee", "wood", 20, 20),
    Crop("rocket", "sky", 40, 100),
]


def avif(pixels: Pixels, most: int) -> tuple[Pixels, int]:
    """The largest AVIF of at most so many bytes, and its size; the smallest if none is."""
    peer = Avif()
    best = peer.encode(pixels, 0)
    for quality in range(1, 100):
        if len(data := peer.encode(pixels, quality)) > most:
            break
        best = data
    return peer.decode(best), len(best)


def row(crop: Crop, quality: float) -> list[tuple[str, Pixels]]:
    picture = load(ROOT / "sample_images" / f"{crop.sample}.png")
    data = targets.encode(picture, quality=quality).data
    other, size = avif(picture.pixels, len(data))
    columns = [(f"{crop.sample}: {crop.seen}", picture.pixels)]
    columns += [(f"realism {r}: {len(data):,} bytes", decode_picture(data, realism=r).pixels) for r in (0, 1)]
    columns.append((f"AVIF: {size:,} bytes", other))
    cut = np.s_[crop.top : crop.top + SIDE // 2, crop.left : crop.left + SIDE // 2]
    return [(text, pixels[cut].repeat(2, 0).repeat(2, 1)) for text, pixels in columns]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quality", type=float, default=QUALITY)
    args = parser.parse_args()
    out = ROOT / "docs" / "vivid.webp"
    sheet([row(crop, args.quality) for crop in CROPS]).save(out, quality=90, method=6)
    print(out)


if __name__ == "__main__":
    main()
