"""Checkpoints of runs: what they hold, and how they are read."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open
from torch import Tensor

from neuralcodec.errors import NeuralCodecError
from neuralcodec.training.forms import trainable
from neuralcodec.weights import Tradeoff

CHECKPOINT = "checkpoint.safetensors"


def training_of(path: Path) -> dict[str, float]:
    """Read the `[training]` table that a checkpoint was trained by; empty if it does not say."""
    with safe_open(path, "pt") as file:
        table: dict[str, float] = json.loads((file.metadata() or {}).get("training", "{}"))
    return table


class Checkpoint(NamedTuple):
    """The state of a run: tensors by name, its codec, the sizes of the model, and how far it came.

    Of an encoder, `codec` is its kind, and `decoder` the hash of the decoder that it is for.
    """

    tensors: dict[str, Tensor]
    codec: str
    model: Any  # a dataclass, the `config` of the codec's form
    run: dict[str, float]
    decoder: str | None = None

    @property
    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights, by the names of the model's parameters."""
        return {name.removeprefix("ema."): t for name, t in self.tensors.items() if name.startswith("ema.")}


def tradeoff_of(run: dict[str, float], prefix: str = "") -> Tradeoff:
    """Return the trade-off that a checkpoint states; where it states none, the default."""
    names = [f.name for f in fields(Tradeoff)]
    return Tradeoff(**{name: run[prefix + name] for name in names if prefix + name in run})


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        NeuralCodecError: the file is missing or is not a checkpoint.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        codec = metadata["codec"]
        model = trainable(codec).config(**json.loads(metadata["model"]))
        run = json.loads(metadata["run"])
        return Checkpoint(tensors, codec, model, run, metadata.get("decoder"))
    except Exception as error:
        raise NeuralCodecError(f"{path} is not a checkpoint of `ncodec train`: {error}") from None
