"""Another encoder for a decoder that exists, in training.

What it writes is read by every decoder that reads the files of before, since bits mean what they meant.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from neuralcodec.errors import UsageError
from neuralcodec.models.conv.config import ConvConfig, EncoderConfig
from neuralcodec.models.conv.detail import DetailOutput
from neuralcodec.models.conv.network import ConvCodec
from neuralcodec.models.prior import PriorOutput
from neuralcodec.training.companions import CompanionForm, CompanionObjective
from neuralcodec.training.conv import ConvObjective
from neuralcodec.training.export_graphs import write_graphs
from neuralcodec.weights.companions import write_encoder

if TYPE_CHECKING:
    from neuralcodec.training.integers import Tensors
    from neuralcodec.weights import WeightsFile


P = TypeVar("P", PriorOutput, DetailOutput)


class EncoderObjective(CompanionObjective, ConvObjective):
    """The objective of the codec, of which only the encoder follows it.

    Args:
        detail_share: as of `ConvObjective`. With 1 only the detail layer's encoder learns.
    """

    kind = "encoder"

    def __init__(self, detail_share: float = 0.0) -> None:
        self.detail_share = detail_share

    def make(self, codec: ConvConfig) -> ConvCodec:
        if self.detail_share and not codec.detail:
            raise UsageError("detail_share is of weights with a detail layer, and these have none")
        model = ConvCodec(codec)
        model.prior.register_forward_hook(_decoded)
        if codec.detail:
            model.detail_prior.register_forward_hook(_decoded)
        return model

    def start(self, file: WeightsFile | None, components: Callable[[int], Tensor]) -> None:
        super().start(file, components)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(parameter.requires_grad and self.learns(name, self.detail_share))


def _decoded(prior: nn.Module, given: tuple[Tensor, ...], out: P) -> P:
    """Let the decoder's gradient reach the latent, the first of what a prior is given, by `OthersErrors`."""
    y_hat: Tensor = OthersErrors.apply(out.y_hat, given[0])  # type: ignore[no-untyped-call]
    return out._replace(y_hat=y_hat)


class OthersErrors(torch.autograd.Function):
    """The identity on a decoded latent, with a gradient in which no element sees its own rounding error.

    As in `neuralcodec.coding.refine`, that error times the curvature is most of the gradient. It says nothing
    of where the latent should be, but drives it towards the border between two symbols.
    """

    @staticmethod
    def forward(ctx: Any, y_hat: Tensor, y: Tensor) -> Tensor:
        """Take a decoded latent `(B, C, h, w)` and the one that was rounded."""
        ctx.save_for_backward(y_hat - y)
        return y_hat.view_as(y_hat)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Take out what a regression over each channel says that the error itself contributes."""
        (gradient,), (error,) = gradients, ctx.saved_tensors
        curvature = (gradient * error).sum((2, 3), keepdim=True) / error.square().sum((2, 3), keepdim=True)
        return gradient - curvature.nan_to_num().clamp_min(0) * error, None


class EncoderForm(CompanionForm[EncoderConfig]):
    """See `CompanionForm`; what is written is a codec with both halves, not a part."""

    config = EncoderConfig
    kind = "encoder"

    def make(self, config: EncoderConfig, detail_share: float = 0.0) -> CompanionObjective:
        return EncoderObjective(detail_share)

    def write(self, out: Path, arrays: Tensors, config: EncoderConfig, decoder: WeightsFile) -> WeightsFile:
        file = write_encoder(out, arrays, decoder=decoder)
        write_graphs(file.path)
        return file


FORM = EncoderForm()
