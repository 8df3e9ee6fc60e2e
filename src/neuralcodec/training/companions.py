"""Encoders for a decoder that exists, and other decoders for its files, in training and export.

Such a run begins with the weights of a codec, whose decoder and prior stay as they are. What is trained goes
into a weights file of its own, which names that decoder.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import torch
from torch import Tensor

from neuralcodec.errors import UsageError
from neuralcodec.format.header import CONV
from neuralcodec.models.conv.config import ConvConfig
from neuralcodec.models.conv.network import ConvCodec
from neuralcodec.training.forms import Objective, PartForm
from neuralcodec.training.start import start_from_weights
from neuralcodec.weights import WeightsFile
from neuralcodec.weights.companions import with_decoder, write_companion
from neuralcodec.weights.identity import is_encoder

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from neuralcodec.training.integers import Tensors

C = TypeVar("C", bound="DataclassInstance")


class CompanionObjective(Objective):
    """A companion in training. Its model is a `ConvCodec` of which `trains` says what changes."""

    kind: str
    components = 0

    def begin(self, crops: Iterator[Tensor]) -> None:
        """Have nothing to prepare."""

    @abstractmethod
    def make(self, codec: ConvConfig) -> ConvCodec:
        """Make the model for a codec of some sizes, with what it has of its own untrained."""

    def start(self, file: WeightsFile | None, components: Callable[[int], Tensor]) -> None:
        if file is None:
            raise UsageError(f"{self.kind} needs --start: the weights whose decoder it is for")
        if file.codec != CONV:
            raise UsageError(
                f"{self.kind} is for weights of {CONV.name}, and {file.path.name} is of {file.codec.name}"
            )
        self.model = self.make(ConvConfig(**file.said["model"]))
        start_from_weights(self.model, file)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self.trains(name))
        self.decoder = file.decoder

    def trains(self, name: str) -> bool:
        """Tell whether this parameter changes."""
        return is_encoder(name)

    def stored(self, name: str) -> str | None:
        """Return the name, in a weights file, of a parameter that was trained; None for one left out."""
        return name


class CompanionForm(PartForm[C]):
    """The form of a kind of companion; its `config` has the sizes that the codec does not have."""

    kind: str

    @abstractmethod
    def make(self, config: C, detail_share: float = 0.0) -> CompanionObjective:
        """Make the objective, which has no model before its start."""

    def objective(self, config: C, *, detail_share: float = 0.0) -> Objective:
        return self.make(config, detail_share)

    def export(self, averaged: dict[str, Tensor], config: C, decoder: str | None, out: Path) -> WeightsFile:
        assert decoder is not None
        objective = self.make(config)
        file = with_decoder(decoder)
        objective.start(file, _no_components)
        objective.model.load_state_dict(averaged, strict=False)
        trained = {n: p.detach() for n, p in objective.model.named_parameters() if objective.trains(n)}
        arrays: Tensors = {
            stored: trained[name].to(torch.float16).numpy()
            for name in trained
            if (stored := objective.stored(name)) is not None
        }
        return self.write(out, arrays, config, file)

    def write(self, out: Path, arrays: Tensors, config: C, decoder: WeightsFile) -> WeightsFile:
        """Write what was trained for a decoder; see `PartForm.export`."""
        return write_companion(out, arrays, decoder=decoder, kind=self.kind, sizes=self.sizes(config))


def _no_components(count: int) -> NoReturn:
    raise UsageError("it does not start from components")
