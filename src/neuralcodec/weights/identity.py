"""What the id of weights stands for: the decoder, whatever encoder comes with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

#: By the decoder's hash, ids from when an id was the SHA-256 of the whole file, encoder included.
RELEASED: Mapping[str, str] = {
    "78f0273f97b9350e50c508a49fdb40383d3e757139a349fa1a1698768b9bdc31": "157adb15",
    "4a3b558a17353158d7d03d8e5183a42c6dda17ac156394b245442b33ed6083c8": "ae1edfda",
    "1eb53bdef15c6bbf0a7aeaa116c1867b6371893cee7056856f6a59d9479641d8": "96604f79",
    "3a1bb561cafd27d0a67c75f186d8b0941feb4f7f68e28df7fe8f76ec5aa6384b": "7a5eea88",
}

_ID_BYTES = 4
#: How the names of the arrays begin that no decoder needs; `encoder.` are those of another encoder alone.
_ENCODER = ("transforms.analysis", "transforms.hyper_analysis", "transforms.detail_analysis", "encoder.")


def decoder_hash(codec: str, model: Mapping[str, int], arrays: Mapping[str, Any]) -> str:
    """Hash, by SHA-256 in hex, what a decoder needs: codec, sizes, and all arrays but the encoder's.

    docs/format.md has the layout of what is hashed.
    """
    digest = hashlib.sha256(_line([codec, model]))
    for name in sorted(arrays):
        if not is_encoder(name):
            array = arrays[name]
            digest.update(_line([name, array.dtype.name, array.shape]))
            stored = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
            digest.update(stored.reshape(-1).view("u1"))  # without a copy
    return digest.hexdigest()


def is_encoder(name: str) -> bool:
    """Tell whether the array of this name is one that no decoder needs."""
    return name.startswith(_ENCODER)


_as_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode  # one encoder for all lines


def _line(parts: Any) -> bytes:
    return _as_json(parts).encode() + b"\n"


def id_of(decoder: str) -> str:
    """Return the id, in hex, of the decoder with this hash."""
    return RELEASED.get(decoder, decoder[: 2 * _ID_BYTES])
