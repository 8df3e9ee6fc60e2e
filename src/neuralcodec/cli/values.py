"""Parsers of option values, which reject bad ones with a clear message."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError

from neuralcodec.arrays import Box
from neuralcodec.options import DENOISE_WORDS, MOST_NOISE

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def quality(text: str) -> float:
    return _up_to(text, 100)


def realism(text: str) -> float:
    return _up_to(text, 1)


def _up_to(text: str, most: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise ArgumentTypeError(f"must be a number from 0 to {most}, not {text!r}")
    return value


def size(text: str) -> int:
    parts = re.fullmatch(r"(\d{1,15}|\d*\.\d+) ?([a-z]*)", text.strip().lower(), re.ASCII)
    unit = _UNITS.get(parts[2]) if parts else None
    if not parts or not unit or (size := round(float(parts[1]) * unit)) < 1:
        raise ArgumentTypeError(f"must be a number of bytes such as 24000, 24kB or 1.5MiB, not {text!r}")
    return size


def width_and_height(text: str) -> tuple[int, int]:
    parts = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text.strip().lower(), re.ASCII)
    if not parts or not (int(parts[1]) and int(parts[2])):
        raise ArgumentTypeError(f"must be a width and a height in pixels such as 768x512, not {text!r}")
    return int(parts[1]), int(parts[2])


def ms_ssim(text: str) -> float:
    value = positive(text)
    if value >= 1:
        raise ArgumentTypeError(f"must be between 0 and 1, not {text!r}")
    return value


def score(text: str) -> float:
    value = positive(text)
    if value >= 100:
        raise ArgumentTypeError(f"must be between 0 and 100, not {text!r}")
    return value


def lossy_quality(text: str) -> int:
    value = whole(text)
    if not 1 <= value <= 100:
        raise ArgumentTypeError(f"must be 1 to 100, not {value}")
    return value


def setting(text: str) -> int:
    value = whole(text)
    if not 0 <= value <= 100:
        raise ArgumentTypeError(f"must be 0 to 100, not {value}")
    return value


def effort(text: str) -> int:
    value = whole(text)
    if not 1 <= value <= 9:
        raise ArgumentTypeError(f"must be 1 to 9, not {value}")
    return value


def noise(text: str) -> str | float:
    if text == "auto" or text in DENOISE_WORDS:
        return text
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_NOISE:
        words = ", ".join(["auto", *DENOISE_WORDS])
        raise ArgumentTypeError(f"must be {words} or a number from 0 to {MOST_NOISE:g}, not {text!r}")
    return value


def count(text: str) -> int:
    value = whole(text)
    if value < 1:
        raise ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def port(text: str) -> int:
    value = whole(text)
    if not 0 <= value <= 65535:
        raise ArgumentTypeError(f"must be 0 to 65535, not {value}")
    return value


def whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def natural(text: str) -> int:
    value = whole(text)
    if value < 0:
        raise ArgumentTypeError(f"must not be below 0, not {value}")
    return value


def region(text: str) -> Box:
    try:
        x, y, width, height = (int(word) for word in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"must be X,Y,W,H in pixels, not {text!r}") from None
    return Box(y, y + height, x, x + width)


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value


def not_negative(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"must be a number of at least 0, not {text!r}")
    return value
