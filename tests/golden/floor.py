"""What files of the sample pictures take and show:  python tests/golden/floor.py  writes `floor.json` anew.

`tests/coding/test_floor.py` compares every change with these numbers, so that a slip that costs bytes fails.
New weights, or a change of the encoder that moves the numbers for good, come with a new `floor.json`: what
was gained or paid then stands in the change itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neuralcodec.coding.codec import decode_picture, encode_picture
from neuralcodec.coding.progressive import frames
from neuralcodec.picture.metrics import ms_ssim
from neuralcodec.picture.picture import Picture
from neuralcodec.picture.reading import load

PICTURES = sorted((Path(__file__).parents[2] / "sample_images").glob("*.png"))
INDEX = Path(__file__).with_name("floor.json")
QUALITIES = (5, 50, 90)
STAGES = (1, 4, 8)
#: The gru model is slow: it codes the middle of each picture, so many pixels to a side.
SIDE = 256


class Point(NamedTuple):
    """Bytes of a file without metadata, and the MS-SSIM of what it shows."""

    bytes: int
    ms_ssim: float


def points(model: str, path: Path) -> dict[str, Point]:
    """Three points of a picture by quality (`conv`) or number of stages (`gru`)."""
    pixels = load(path).pixels
    if model == "conv":
        files = {quality: encode_picture(Picture(pixels), quality=quality) for quality in QUALITIES}
        shown = {quality: decode_picture(data).pixels for quality, data in files.items()}
        return {str(q): Point(len(files[q]), ms_ssim(pixels, shown[q])) for q in QUALITIES}
    top, left = ((side - SIDE) // 2 for side in pixels.shape[:2])
    pixels = np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
    stages = [*frames(encode_picture(Picture(pixels), quality=100, model=model))]
    return {str(n): Point(stages[n - 1].size, ms_ssim(pixels, stages[n - 1].picture.pixels)) for n in STAGES}


def main() -> None:
    measured = {model: {path.stem: points(model, path) for path in PICTURES} for model in ("conv", "gru")}
    INDEX.write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
