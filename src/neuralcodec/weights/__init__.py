"""The trained weights in this package, found by name when encoding and by hash when decoding.

A weights file is safetensors: float16 arrays `transforms.*`, the integer prior, and as metadata the codec,
the sizes of its model and what it was trained for. Its id in a file's header is the start of its SHA-256, so
a file can only be decoded with the very weights that wrote it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError
from neuralcodec.format.header import Codec, codec_named

_FOLDER = Path(__file__).parent
_ID_BYTES = 4


@dataclass(frozen=True)
class Tradeoff:
    """What a model was trained for; stored beside its weights, for encoders to aim at the same.

    The defaults are those of the weights that say nothing.
    """

    lambda_low: float = 0.15
    lambda_high: float = 320.0
    ms_ssim_weight: float = 1.0
    ssimulacra2_weight: float = 0.0
    mse_weight: float = 1.0
    mse_growth: float = 1.0  # the MSE counts so many times as much at the highest level as at the lowest
    flat_weight: float = 0.0


@dataclass(frozen=True)
class Weights:
    """A weights file in memory: arrays by name, the sizes of the model, and what it was trained for."""

    id: bytes
    codec: str
    model: Mapping[str, int]
    tradeoff: Tradeoff
    arrays: Mapping[str, Any]


def weights_id(path: Path) -> bytes:
    """The four bytes that a header names the file by."""
    return hashlib.sha256(path.read_bytes()).digest()[:_ID_BYTES]


@functools.cache
def shipped() -> dict[bytes, str]:
    """Names of the weights in this package by id. The newest of a model is the one without a date."""
    return {weights_id(path): path.stem for path in sorted(_FOLDER.glob("*.safetensors"))}


@functools.cache
def codec(path: Path) -> Codec:
    """The codec that a weights file is for.

    Raises:
        NeuralCodecError: it is no weights file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return codec_named(json.loads((file.metadata() or {})["neuralcodec"])["codec"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise NeuralCodecError(f"{path} is not a weights file: {error}") from None


def by_name(name: str) -> Path:
    """The weights that `model=name` encodes with.

    Raises:
        UsageError: there is no such model.
    """
    path = _FOLDER / f"{name}.safetensors"
    if "/" in name or not path.is_file():
        raise UsageError(f"no model named {name!r}; there is {', '.join(sorted(shipped().values()))}")
    return path


def by_id(identity: bytes) -> Path:
    """The weights that a file was written with.

    Raises:
        DamagedFileError: this package does not have them.
    """
    name = shipped().get(identity)
    if name is None:
        raise DamagedFileError(
            f"the file needs weights {identity.hex()}, which this version does not have: "
            "the header is damaged, or another version of neuralcodec wrote it"
        )
    return _FOLDER / f"{name}.safetensors"


def read(path: Path) -> Weights:
    """Load a weights file.

    Raises:
        NeuralCodecError: it is no weights file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            described = json.loads((file.metadata() or {})["neuralcodec"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        tradeoff = Tradeoff(**described.get("tradeoff", {}))
        return Weights(weights_id(path), described["codec"], described["model"], tradeoff, arrays)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise NeuralCodecError(f"{path} is not a weights file: {error}") from None
