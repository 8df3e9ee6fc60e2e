"""The errors that reach a user. Each carries the exit code `ncodec` ends with."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuralcodec.coding.damage import Damage


class NeuralCodecError(Exception):
    """Something failed that the message explains in one line."""

    exit_code = 1


class UsageError(NeuralCodecError):
    """The call itself is wrong: an option, a value, a missing or existing file."""

    exit_code = 2


class DamagedFileError(NeuralCodecError):
    """The input is damaged, cut short, not an `.nc` file, or asks for more than the limits allow."""

    exit_code = 3


class NeuralCodecWarning(UserWarning):
    """Something of the input could not be kept, such as 16-bit precision; the work goes on."""


class DamageWarning(NeuralCodecWarning):
    """A damaged file was decoded as far as it goes; `damage` says what of the picture is missing."""

    def __init__(self, damage: Damage) -> None:
        first, *others = damage.notes
        more = f" (and {len(others)} more)" if others else ""
        super().__init__(f"{damage}; {first}{more}")
        self.damage = damage


# Python shows one text once for each line of a program. The next picture that the line reads is news all the
# same, unless the program has a filter of its own.
warnings.simplefilter("always", NeuralCodecWarning, append=True)


def warn(notes: Iterable[str], *, stacklevel: int) -> None:
    """Give each note as a `NeuralCodecWarning`; a `stacklevel` of 2 is that of the function's caller."""
    for note in notes:
        warnings.warn(note, NeuralCodecWarning, stacklevel=stacklevel + 1)
