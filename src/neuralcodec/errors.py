"""Errors and warnings that reach a user. Each error carries the exit code that `ncodec` ends with."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from neuralcodec.arrays import Damage


class NeuralCodecError(Exception):
    """A failure that the message explains in one line."""

    exit_code = 1


class UsageError(NeuralCodecError, ValueError):
    """A wrong call: an option, a value, a missing or existing file."""

    exit_code = 2


class DamagedFileError(NeuralCodecError):
    """An input that is damaged, cut short, not an `.nc` file, or asks for more than the limits allow."""

    exit_code = 3


def describe(error: BaseException) -> str:
    """Describe an error of any class in one line."""
    text = error.strerror if isinstance(error, OSError) else None
    text = " ".join((text or str(error)).split())
    if isinstance(error, NeuralCodecError | OSError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def line(error: Exception) -> str:
    """Put the message of an error on one line."""
    text = error.strerror if isinstance(error, OSError) else None
    return " ".join((text or str(error) or type(error).__name__).split())


class NeuralCodecWarning(UserWarning):
    """The warning that something of the input was not kept, such as 16-bit precision; the work goes on."""


class DamageWarning(NeuralCodecWarning):
    """The warning that a damaged file was decoded as far as it goes; `damage` says what is missing."""

    def __init__(self, damage: Damage) -> None:
        first, *others = damage.notes
        more = f" (and {len(others)} more)" if others else ""
        super().__init__(f"{damage}; {first}{more}")
        self.damage = damage


def warn(notes: Iterable[str | NeuralCodecWarning]) -> None:
    """Warn of each note at the line that called this package.

    By default, Python shows the same text only once for each line of a program. Here the text is shown for
    every picture that the line reads: Python gets no record of what was shown. A program's own filters apply.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_inside(frame):
        frame = frame.f_back
    name = frame.f_globals.get("__name__")
    for note in notes:
        category = NeuralCodecWarning if isinstance(note, str) else type(note)
        warnings.warn_explicit(note, category, frame.f_code.co_filename, frame.f_lineno, name)


def _is_inside(frame: FrameType) -> bool:
    """Tell whether a frame is of this package, or of Pillow, which calls the plugin."""
    return str(frame.f_globals.get("__name__")).partition(".")[0] in ("neuralcodec", "PIL")
