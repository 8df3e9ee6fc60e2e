"""Draws the pictures of docs/restoration.md from sample pictures: noise left out, holes filled.

    python benchmarks/restoration.py [--model NAME]

Writes `docs/restoration-noise.webp` and `docs/restoration-holes.webp`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from made_noise import camera_noise
from neuralcodec.coding import targets
from neuralcodec.coding.codec import decode_picture
from neuralcodec.coding.inpaint import inpaint
from neuralcodec.options import DEFAULT_MODEL
from neuralcodec.picture.metrics import psnr
from neuralcodec.picture.picture import Picture
from neuralcodec.picture.reading import load
from neuralcodec.training.holes import draw_holes

if TYPE_CHECKING:
    from neuralcodec.arrays import Pixels

ROOT = Path(__file__).resolve().parent.parent
SIDE, LINE = 300, 24
QUALITY, NOISE = 60.0, 25.0


def sample(name: str, top: int, left: int) -> Pixels:
    """The middle of a sample picture."""
    pixels = load(ROOT / "sample_images" / f"{name}.png").pixels
    return np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])


def sheet(rows: list[list[tuple[str, Pixels]]]) -> Image.Image:
    """Pictures in rows, with a line of text above each."""
    image = Image.new("RGB", (len(rows[0]) * (SIDE + 8) - 8, len(rows) * (SIDE + LINE)), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    for row, pictures in enumerate(rows):
        for column, (text, pixels) in enumerate(pictures):
            place = column * (SIDE + 8), row * (SIDE + LINE)
            draw.text(place, text, fill="black", font=font)
            image.paste(Image.fromarray(pixels), (place[0], place[1] + LINE))
    return image


def noise_row(clean: Pixels, model: str) -> list[tuple[str, Pixels]]:
    noisy = camera_noise(np.random.default_rng(0), clean, NOISE)
    row = [(f"noisy, {psnr(clean, noisy):.1f} dB", noisy)]
    for name, denoise in (("as it is", None), ("--denoise auto", "auto")):
        data = targets.encode(Picture(noisy), quality=QUALITY, model=model, denoise=denoise).data
        shown = decode_picture(data).pixels
        row.append((f"{name}: {len(data):,} bytes, {psnr(clean, shown):.1f} dB", shown))
    return row


def hole_row(clean: Pixels, kind: str, model: str) -> list[tuple[str, Pixels]]:
    hole = draw_holes(np.random.default_rng(1), kind, *clean.shape[:2])
    spoilt = np.where(hole[..., None], 255, clean).astype(np.uint8)
    return [
        (kind, spoilt),
        ("inpainted", inpaint(Picture(spoilt), hole, model=model).pixels),
        ("as it was", clean),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    cat, woman, cup = sample("chelsea", 0, 90), sample("astronaut", 0, 100), sample("coffee", 60, 150)
    pages = {
        "noise": [noise_row(clean, args.model) for clean in (cat, woman)],
        "holes": [hole_row(clean, kind, args.model) for clean, kind in ((woman, "scratches"), (cup, "text"))],
    }
    for name, rows in pages.items():
        out = ROOT / "docs" / f"restoration-{name}.webp"
        sheet(rows).save(out, quality=88)
        print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
