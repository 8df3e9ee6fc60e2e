"""Another encoder for a decoder that exists, in training.

What it writes is read by every decoder that reads the files of before, since bits mean what they meant. Such
a run gains a part of what efforts above 1 gain, at no cost for who encodes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neuralcodec.errors import UsageError
from neuralcodec.models.conv.config import ConvConfig, EncoderConfig
from neuralcodec.models.conv.network import ConvCodec
from neuralcodec.training.companions import CompanionForm, CompanionObjective
from neuralcodec.training.conv import ConvObjective
from neuralcodec.training.export_graphs import write_graphs
from neuralcodec.weights.companions import write_encoder

if TYPE_CHECKING:
    from neuralcodec.training.integers import Tensors
    from neuralcodec.weights import WeightsFile


class EncoderObjective(CompanionObjective, ConvObjective):
    """The objective of the codec, of which only the encoder follows it."""

    kind = "encoder"

    def __init__(self, detail_share: float = 0.0) -> None:
        self.detail_share = detail_share

    def make(self, codec: ConvConfig) -> ConvCodec:
        if self.detail_share and not codec.detail:
            raise UsageError("detail_share is of weights with a detail layer, and these have none")
        return ConvCodec(codec)


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
