"""What callers may ask of an encoder, with the defaults, for the API, the command line and the benchmark."""

from __future__ import annotations

from numbers import Integral, Real

from neuralcodec.errors import UsageError

#: Name of the weights that encode where the caller names none.
DEFAULT_MODEL = "conv"
DEFAULT_EFFORT, MOST_EFFORT = 1, 9


def checked_quality(quality: object) -> float:
    """Round a quality to the hundredths that a file can say.

    Raises:
        UsageError: it is no number from 0 to 100.
    """
    if isinstance(quality, Real) and not isinstance(quality, bool) and 0 <= float(quality) <= 100:
        return round(float(quality), 2)
    raise UsageError(f"quality must be a number from 0 to 100, not {quality!r}")


def checked_effort(effort: object) -> int:
    """Return an effort as an integer.

    Raises:
        UsageError: it is no whole number from 1 to 9.
    """
    if isinstance(effort, Integral) and not isinstance(effort, bool) and 1 <= int(effort) <= MOST_EFFORT:
        return int(effort)
    raise UsageError(f"effort must be a whole number from {DEFAULT_EFFORT} to {MOST_EFFORT}, not {effort!r}")
