"""The families of models, each under its codec in a header.

A new family needs a row of `CODECS` in `format/header.py`, a line here, and files of its own: a
`protocol.Family`, with its networks in a folder of `models`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from neuralcodec.coding.families import conv, gru
from neuralcodec.coding.families.protocol import Family
from neuralcodec.errors import UsageError
from neuralcodec.format.header import Codec
from neuralcodec.options import DEFAULT_EFFORT

if TYPE_CHECKING:
    from neuralcodec.weights import WeightsFile

FAMILIES: dict[Codec, Family] = {family.codec: family for family in (conv.FAMILY, gru.FAMILY)}


def family_of(codec: Codec) -> Family:
    """Return the family of a codec."""
    return FAMILIES[codec]


def expect(file: WeightsFile, layers: int | None = None, *, effort: int = DEFAULT_EFFORT) -> None:
    """Begin to load, in a thread, what a process needs whose first work is with these weights.

    Args:
        layers: stages, or layers, to decode; None to encode.
    """
    from neuralcodec.models.graphs import has_graphs, prepare
    from neuralcodec.models.runtime import ONNX, runtime

    with suppress(UsageError):  # whoever loads the model raises it again
        if runtime(effort=effort, graphs=has_graphs(file)) == ONNX:
            prepare(file, family_of(file.codec).graphs(file, layers))
