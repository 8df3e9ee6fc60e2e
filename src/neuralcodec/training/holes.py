"""Draw holes: the masks that pictures are spoilt with, for training and for measuring.

Scratches and text are what people remove from scans and screenshots; strokes and boxes are the holes of
Suvorov et al. 2022 ("Resolution-robust large mask inpainting with Fourier convolutions").
"""

from __future__ import annotations

import math
import string

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Mask = npt.NDArray[np.bool_]

#: The kinds of holes, with how wide they are in pixels: the letters of text are so high.
KINDS = {"scratches": (3, 6), "text": (14, 34), "strokes": (15, 40), "boxes": (48, 80)}
#: What share of a picture its holes may have at most, and how many shapes are drawn on 256x256 pixels.
_MOST, _SHAPES = 0.3, {"scratches": 4, "text": 3, "strokes": 2, "boxes": 2}


def draw_holes(rng: np.random.Generator, kind: str, height: int, width: int) -> Mask:
    """Draw holes of one of `KINDS`: `(height, width)`, True where a picture is lost; never none or all."""
    image = Image.new("1", (width, height))
    draw = ImageDraw.Draw(image)
    low, high = KINDS[kind]
    for _ in range(max(1, round(_SHAPES[kind] * height * width / 256**2))):
        size = int(rng.integers(low, high + 1))
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        if kind == "text":
            _write(rng, draw, x, y, size)
        elif kind == "boxes":
            draw.rectangle((x - size / 2, y - size / 2, x + size / 2 - 1, y + size / 2 - 1), fill=1)
        else:
            _stroke(rng, draw, (x, y), size, straight=kind == "scratches")
        mask = np.asarray(image)
        if mask.mean() > _MOST:
            break
    mask = np.asarray(image).copy()
    if not mask.any() or mask.all():
        mask[:] = False
        mask[height // 3 : height // 3 + low, width // 3 : width // 3 + low] = True
    return mask


def _stroke(
    rng: np.random.Generator, draw: ImageDraw.ImageDraw, start: tuple[float, float], size: int, straight: bool
) -> None:
    """Draw a line of a pen of some width that wanders, or as a scratch nearly keeps its direction."""
    angle = rng.uniform(0, 2 * math.pi)
    points = [start]
    for _ in range(int(rng.integers(3, 7))):
        angle += rng.normal(0, 0.15 if straight else 0.9)
        length = rng.uniform(20, 60) if straight else rng.uniform(0.8, 2.5) * size
        points.append((points[-1][0] + length * math.cos(angle), points[-1][1] + length * math.sin(angle)))
    draw.line(points, fill=1, width=size, joint="curve")
    for x, y in (points[0], points[-1]):
        draw.ellipse((x - size / 2, y - size / 2, x + size / 2, y + size / 2), fill=1)


def _write(rng: np.random.Generator, draw: ImageDraw.ImageDraw, x: float, y: float, size: int) -> None:
    """Write a few words around a point."""
    letters = list(string.ascii_letters + string.digits + ":.,-")
    words = ("".join(rng.choice(letters, rng.integers(3, 9))) for _ in range(rng.integers(2, 5)))
    draw.text((x, y), " ".join(words), fill=1, font=ImageFont.load_default(size), anchor="mm")
