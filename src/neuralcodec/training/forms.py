"""The forms that families and their encoders have in training and export; `Family` names their modules."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from torch import Tensor, nn

from neuralcodec.coding.families import FAMILIES
from neuralcodec.entropy import canary
from neuralcodec.errors import UsageError
from neuralcodec.training.start import start_from_weights

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from neuralcodec.training.data import CropSampler
    from neuralcodec.training.integers import Tensors
    from neuralcodec.training.objectives import Terms
    from neuralcodec.weights import WeightsFile
    from neuralcodec.weights.denoiser import DenoiserFile

C = TypeVar("C", bound="DataclassInstance")
M = TypeVar("M", bound=nn.Module)


class Objective(Protocol):
    """One codec, or one companion of a codec, or the network that takes noise out, in training."""

    #: The network; of a codec it has `transforms`, which start from components of a block transform, and a
    #: `prior`.
    model: Any
    #: The number of those components that the linear shortcuts start with.
    components: int
    #: Of a companion, the hash of the decoder that it is for.
    decoder: str | None = None

    def start(self, file: WeightsFile | None, components: Callable[[int], Tensor]) -> None:
        """Give the model its first values.

        Args:
            file: weights to begin with.
            components: computes so many principal components of blocks `(N, 768)`, for a start from nothing.

        Raises:
            UsageError: the file does not fit.
        """
        if file is None:
            self.model.transforms.start_from_components(components(self.components))
        else:
            start_from_weights(self.model, file)

    def terms(self, replica: nn.Module, x: Tensor, sampler: CropSampler, step: int) -> list[Terms]:
        """Run a step on pixels `(B, 3, H, W)` in [0, 1]."""
        ...

    def round_latents(self, rounded: bool) -> None:
        """Round latents from here on, instead of adding noise to them."""
        self.model.prior.noise = not rounded

    def begin(self, crops: Iterator[Tensor]) -> None:
        """Prepare what starts from pictures, given crops `(B, 3, H, W)` of pixels in [0, 1] without end."""

    def points(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Code one picture: pixels `(1, 3, H, W)` and bits `(1,)` at each quality, from the lowest."""
        ...


class Trainable(Protocol[C]):
    """What a recipe can train: a family, or a `PartForm`."""

    #: A dataclass of numbers: the sizes of the model, as a recipe's table and a weights file hold them.
    config: type[C]

    def objective(self, config: C, *, detail_share: float = 0.0) -> Objective:
        """Make the network together with the terms that a training step minimises.

        Args:
            detail_share: share of the crops that are coded in two layers; with 1, the base is not trained.

        Raises:
            UsageError: the model has no detail layer.
        """


class PartForm(Trainable[C]):
    """The form of what is no codec by itself; its `config` has sizes of its own."""

    def sizes(self, config: C) -> dict[str, int]:
        """Return the sizes that its weights file states."""
        return asdict(config)

    @abstractmethod
    def export(
        self, averaged: dict[str, Tensor], config: C, decoder: str | None, out: Path
    ) -> WeightsFile | DenoiserFile:
        """Write the averaged weights of a run.

        Args:
            averaged: by the names of the model's parameters.
            decoder: of a companion, the hash of the decoder that it is for.
            out: the file, or a folder, in which its name is kind and id.

        Raises:
            UsageError: a decoder that it is for is not here. NeuralCodecError: the file cannot be written.
        """


class Form(Trainable[C], Protocol[C, M]):
    """A family that can be trained: a configuration of type C makes a model of type M."""

    def sizes(self, config: C) -> dict[str, int]:
        """Return the sizes that a weights file states."""
        return asdict(config)

    def model(self, config: C) -> M:
        """Make the network, untrained; its `transforms` goes into a weights file as it is."""

    def integer_arrays(self, model: M, images: Path | None = None) -> Tensors:
        """Round the prior to integers, with the tables of an untrained start.

        Args:
            images: photographs to find the levels of qualities with, where a model asks for that. Its
                configuration may change.

        Raises:
            NeuralCodecError: a network cannot be made exact.
        """

    def integer_prior(self, config: C, arrays: Tensors) -> canary.Prior:
        """Build the prior that codes from the arrays of a weights file."""

    def measure(self, model: M, arrays: Tensors, images: Path) -> dict[str, float]:
        """Measure bits per pixel on a folder of images.

        Returns:
            `bpp_float` of the trained prior, `bpp_integer` of the integer one, `bpp_coded` of the coded
            segments, and `rate_loss` of the second against the first.
        """

    def fitted(self, model: M, arrays: Tensors, photos: Path) -> Tensors:
        """Fit the probability tables to a folder of photographs.

        Raises:
            UsageError: there is no usable photograph, or the family does not fit its tables.
        """
        raise UsageError("the tables of this codec are not fitted to photographs: leave out --fit")


def form_of(codec: str) -> Form[Any, Any]:
    """Find the form of a codec by its name.

    Raises:
        UsageError: there is none.
    """
    modules = _codecs()
    if codec not in modules:
        raise UsageError(f"there is no training for the codec {codec!r}, only for {', '.join(modules)}")
    form: Form[Any, Any] = import_module(modules[codec]).FORM
    return form


def trainable(name: str) -> Trainable[Any]:
    """Find what a recipe can train by its name.

    Raises:
        UsageError: there is none.
    """
    modules = _modules()
    if name not in modules:
        raise UsageError(f"there is no training for {name!r}, only for {', '.join(modules)}")
    form: Trainable[Any] = import_module(modules[name]).FORM
    return form


def trained() -> list[str]:
    """List the names of what a recipe can train."""
    return list(_modules())


def _modules() -> dict[str, str]:
    """Map the names of what can be trained to modules."""
    return (
        _codecs()
        | {kind: module for f in FAMILIES.values() for kind, module in f.companions.items()}
        | {"denoise": "neuralcodec.training.denoise"}
    )


def _codecs() -> dict[str, str]:
    return {f.codec.name: f.trained for f in FAMILIES.values() if f.trained is not None}
