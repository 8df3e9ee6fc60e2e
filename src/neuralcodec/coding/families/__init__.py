"""The families of models, each under its codec in a header.

A new family needs a row of `CODECS` in `format/header.py`, a line here, and files of its own: a
`protocol.Family`, with its networks in a folder of `models`.
"""

from __future__ import annotations

from neuralcodec.coding.families import conv, gru
from neuralcodec.coding.families.protocol import Family
from neuralcodec.format.header import Codec

FAMILIES: dict[Codec, Family] = {family.codec: family for family in (conv.FAMILY, gru.FAMILY)}


def family_of(codec: Codec) -> Family:
    """Return the family of a codec."""
    return FAMILIES[codec]
