"""Options of encoding and decoding, with defaults and checks, for the API, command line and benchmark."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import TypeGuard

from neuralcodec.arrays import Box
from neuralcodec.errors import UsageError

#: Name of the weights that encode where the caller names none.
DEFAULT_MODEL = "conv"
DEFAULT_EFFORT, MOST_EFFORT = 1, 9
#: The most noise that is left out of a file, a standard deviation in 8-bit levels, and words for less.
MOST_NOISE = 50.0
DENOISE_WORDS = {"light": 10.0, "strong": 25.0}
#: Half the width, in quantization steps, of the noise on a latent that is decoded vividly: what it invents
#: in a plain area, where the latent is zero, has to come from somewhere.
DITHER = 0.05
#: Factors by which a decoder may reduce each side of a picture.
REDUCES = (1, 2, 4, 8, 16)


def checked_quality(quality: object) -> float:
    """Round a quality to the hundredths that a file can store.

    Raises:
        UsageError: it is no number from 0 to 100.
    """
    return round(_checked_number("quality", quality, 100), 2)


def checked_realism(realism: object) -> float:
    """Return a realism as a number.

    Raises:
        UsageError: it is no number from 0 to 1.
    """
    return _checked_number("realism", realism, 1)


def _checked_number(name: str, value: object, most: int) -> float:
    if isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) <= most:
        return float(value)
    raise UsageError(f"{name} must be a number from 0 to {most}, not {value!r}")


def checked_effort(effort: object) -> int:
    """Return an effort as an integer.

    Raises:
        UsageError: it is no whole number from 1 to 9.
    """
    if is_whole(effort) and 1 <= int(effort) <= MOST_EFFORT:
        return int(effort)
    raise UsageError(f"effort must be a whole number from {DEFAULT_EFFORT} to {MOST_EFFORT}, not {effort!r}")


def checked_whole(name: str, value: object) -> int:
    """Return a count as an integer.

    Raises:
        UsageError: it is no whole number above 0.
    """
    if is_whole(value) and int(value) > 0:
        return int(value)
    raise UsageError(f"{name} must be a whole number above 0, not {value!r}")


def checked_region(region: object) -> Box | None:
    """Return the box of a region `(x, y, width, height)`; None, for all of a picture, stays None.

    Raises:
        UsageError: it is not four whole numbers.
    """
    if region is None:
        return None
    numbers = list(region) if isinstance(region, Iterable) else []
    if len(numbers) == 4 and all(map(is_whole, numbers)):
        x, y, width, height = map(int, numbers)
        return Box(y, y + height, x, x + width)
    raise UsageError(f"region must be x, y, width and height in whole pixels, not {region!r}")


def checked_reduce(reduce: object) -> int:
    """Return a factor to reduce by.

    Raises:
        UsageError: it is not 1, 2, 4, 8 or 16.
    """
    if is_whole(reduce) and int(reduce) in REDUCES:
        return int(reduce)
    raise UsageError(f"reduce must be 1, 2, 4, 8 or 16, not {reduce!r}")


def is_whole(value: object) -> TypeGuard[Integral]:
    """Tell whether a value is an integer of Python or numpy, but not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)
