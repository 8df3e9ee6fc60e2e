"""The forms that families of models have in training and export; `Family.trained` names their modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from torch import Tensor, nn

from neuralcodec.coding.families import family_of
from neuralcodec.entropy import canary
from neuralcodec.errors import UsageError
from neuralcodec.format.header import CODECS, codec_named

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from neuralcodec.training.data import CropSampler
    from neuralcodec.training.integers import Tensors
    from neuralcodec.training.objectives import Terms

C = TypeVar("C", bound="DataclassInstance")
M = TypeVar("M", bound=nn.Module)


class Objective(Protocol):
    """One codec in training."""

    #: The network; it has `transforms`, which start from components of a block transform, and a `prior`.
    model: Any
    #: The number of those components that the linear shortcuts start with.
    components: int

    def terms(self, replica: nn.Module, x: Tensor, sampler: CropSampler, step: int) -> list[Terms]:
        """Run a step on pixels `(B, 3, H, W)` in [0, 1]."""
        ...

    def begin(self, crops: Iterator[Tensor]) -> None:
        """Prepare what starts from pictures, given crops `(B, 3, H, W)` of pixels in [0, 1] without end."""

    def points(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Code one picture: pixels `(1, 3, H, W)` and bits `(1,)` at each quality, from the lowest."""
        ...


class Form(Protocol[C, M]):
    """A family that can be trained: a configuration of type C makes a model of type M."""

    #: A dataclass of numbers: the sizes of the model, as a recipe's table and a weights file hold them.
    config: type[C]

    def sizes(self, config: C) -> dict[str, int]:
        """Return the sizes that a weights file states."""
        return asdict(config)

    def model(self, config: C) -> M:
        """Make the network, untrained; its `transforms` goes into a weights file as it is."""

    def objective(self, config: C, *, detail_share: float = 0.0) -> Objective:
        """Make the network together with the terms that a training step minimises.

        Args:
            detail_share: share of the crops that are coded in two layers; with 1, the base is not trained.

        Raises:
            UsageError: the model has no detail layer.
        """

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
        UsageError: the codec has none.
    """
    if codec not in trained_codecs():
        raise UsageError(
            f"there is no training for the codec {codec!r}, only for {', '.join(trained_codecs())}"
        )
    name = family_of(codec_named(codec)).trained
    assert name is not None
    form: Form[Any, Any] = import_module(name).FORM
    return form


def trained_codecs() -> list[str]:
    """List the names of the codecs that a recipe can train."""
    return [codec.name for codec in CODECS.values() if family_of(codec).trained is not None]
