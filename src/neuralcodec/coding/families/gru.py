"""The gru family: files in stages, which may be cut anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from neuralcodec.coding.families.protocol import Decoded, Family
from neuralcodec.format.header import GRU, Header
from neuralcodec.options import DEFAULT_EFFORT

if TYPE_CHECKING:
    from neuralcodec.arrays import Box, Pixels, Progress
    from neuralcodec.coding.pixels import Kept
    from neuralcodec.entropy.coder import Draw
    from neuralcodec.format.container import Container
    from neuralcodec.models.protocols import StageModel
    from neuralcodec.weights import WeightsFile


class GruFamily(Family):
    """The family of `neuralcodec.models.gru`; `stagewise` codes its pictures."""

    codec = GRU
    trained = "neuralcodec.training.gru"
    summary = "a file in stages that may be cut anywhere"
    quality = 100.0  # a file may be cut later, so it has all stages
    tile = 512
    #: Encoding takes about 125 bytes a pixel, mostly for states: the conv codec is for larger pictures.
    max_pixels = 2**24

    def load(self, file: WeightsFile, device: str | None, *, effort: int = DEFAULT_EFFORT) -> StageModel:
        from neuralcodec.models.graphs import has_graphs
        from neuralcodec.models.runtime import ONNX, runtime

        if runtime(device, effort=effort, graphs=has_graphs(file)) == ONNX:
            from neuralcodec.models.gru import light

            return light.load(file)
        from neuralcodec.models.gru import runner

        return runner.load(file, device)

    def encode(
        self,
        model: StageModel,
        pixels: Pixels,
        header: Header,
        *,
        effort: int,
        report: Progress,
        kept: Kept | None,
    ) -> list[bytes]:
        from neuralcodec.coding.stagewise import encode_stages

        return encode_stages(model, pixels, header, report)

    def decode(
        self,
        model: StageModel,
        file: Container,
        region: Box,
        *,
        stages: int,
        reduce: int,
        partial: bool,
        report: Progress,
    ) -> Decoded:
        from neuralcodec.coding.pixels import box_reduced
        from neuralcodec.coding.stagewise import decode_region

        return Decoded(box_reduced(decode_region(model, file, region, stages, report), reduce))

    def decode_stages(self, model: StageModel, file: Container, *, stages: int) -> Iterator[Pixels]:
        from neuralcodec.coding.stagewise import decode_pictures

        return decode_pictures(model, file, stages)

    def sample(self, model: StageModel, header: Header, draw: Draw, report: Progress) -> list[bytes]:
        from neuralcodec.coding.stagewise import sample_stages

        return sample_stages(model, header, draw, report)

    def interpolate(
        self, model: StageModel, one: Container, other: Container, shares: Sequence[float]
    ) -> Iterator[Pixels]:
        from neuralcodec.coding.stagewise import interpolate

        return interpolate(model, one, other, shares)


FAMILY = GruFamily()
