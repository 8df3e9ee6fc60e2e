"""Drawn pictures for training: text, interfaces, line art. Folders of photographs hold none of these."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

_LETTERS = np.array(list("etaoinshrdlucmfwygpbvkETAOINSHRDL0123456789.,;:-()"))
_ODDS = np.array([12, 9, 8, 8, 7, 7, 6, 6, 6, 4, 4, 3, 3, 2.5, 2.5, 2.5, 2, 2, 2, 2, 1, 1] + [0.5] * 28)


def draw(rng: np.random.Generator, size: int) -> Pixels:
    """Draw a picture `(size, size, 3)`, a pure function of the state of `rng`."""
    light = rng.random() < 0.7
    paper, ink = (_pale(rng), _dark(rng)) if light else (_dark(rng), _pale(rng))
    image = Image.new("RGB", (size, size), paper)
    pen = ImageDraw.Draw(image)
    (_page, _interface, _line_art)[rng.integers(3)](rng, pen, size, ink)
    return np.asarray(image)


def _page(rng: np.random.Generator, pen: ImageDraw.ImageDraw, size: int, ink: Colour) -> None:
    """Draw lines of text, as a scan or an article has them."""
    height = int(rng.integers(9, 40))
    top, left = (int(n) for n in rng.integers(-20, 20, 2))
    while top < size:
        heading = rng.random() < 0.1
        pen.text((left, top), _words(rng, size // max(height // 2, 1)), ink, _font(height * (1 + heading)))
        top += int(height * (1.3 + heading))


def _interface(rng: np.random.Generator, pen: ImageDraw.ImageDraw, size: int, ink: Colour) -> None:
    """Draw panels with borders, labels and buttons."""
    for _ in range(int(rng.integers(4, 14))):
        x, y = (int(n) for n in rng.integers(-30, size, 2))
        width, height = (int(n) for n in rng.integers(20, size, 2))
        fill = _pale(rng) if rng.random() < 0.6 else _any(rng)
        border, corner = int(rng.integers(0, 3)), int(rng.integers(0, 12))
        place = (x, y, x + width, y + height // 2)
        pen.rounded_rectangle(place, corner, fill, _any(rng) if border else None, max(border, 1))
        label = int(rng.integers(9, 24))
        colour = ink if sum(fill) > 380 else _pale(rng)
        for line in range(int(rng.integers(1, 4))):
            pen.text(
                (x + 8, y + 6 + line * label * 3 // 2), _words(rng, width // label), colour, _font(label)
            )


def _line_art(rng: np.random.Generator, pen: ImageDraw.ImageDraw, size: int, ink: Colour) -> None:
    """Draw lines, curves, circles and hatching, as drawings, maps and charts have them."""
    for _ in range(int(rng.integers(4, 24))):
        width = int(rng.integers(1, 5))
        colour = ink if rng.random() < 0.6 else _any(rng)
        kind = rng.integers(4)
        x, y, reach = (int(n) for n in rng.integers(0, size, 3))
        if kind == 0:
            steps = np.array((x, y)) + rng.normal(0, size / 12, (24, 2)).cumsum(0)
            pen.line([(float(a), float(b)) for a, b in steps], colour, width, "curve")
        elif kind == 1:
            fill = _any(rng) if rng.random() < 0.4 else None
            pen.ellipse((x - reach // 3, y - reach // 4, x + reach // 3, y + reach // 4), fill, colour, width)
        elif kind == 2:
            gap = int(rng.integers(3, 12))
            for offset in range(0, reach // 2, gap):
                pen.line((x + offset, y, x + offset - reach // 4, y + reach // 3), colour, 1)
        else:
            angle = rng.random() * 2 * np.pi
            end = (x + reach * float(np.cos(angle)), y + reach * float(np.sin(angle)))
            pen.line(((x, y), end), colour, width)


@functools.cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _words(rng: np.random.Generator, letters: int) -> str:
    text = rng.choice(_LETTERS, max(letters, 1), p=_ODDS / _ODDS.sum())
    text[rng.random(len(text)) < 0.18] = " "
    return "".join(text)


def _pale(rng: np.random.Generator) -> Colour:
    base = 255 if rng.random() < 0.5 else int(rng.integers(200, 256))
    return _colour(base - rng.integers(0, 12, 3))


def _dark(rng: np.random.Generator) -> Colour:
    return _colour(rng.integers(0, 70) + rng.integers(0, 12, 3))


def _any(rng: np.random.Generator) -> Colour:
    return _colour(rng.integers(0, 256, 3))


def _colour(values: npt.NDArray[np.int64]) -> Colour:
    red, green, blue = (int(v) for v in np.clip(values, 0, 255))
    return red, green, blue
