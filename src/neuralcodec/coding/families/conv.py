"""The conv family: fewest bytes, pictures of any size, regions at the cost of a region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from neuralcodec.arrays import Box, quiet
from neuralcodec.coding.families.protocol import Decoded, Family
from neuralcodec.errors import UsageError
from neuralcodec.format.header import CONV, Header
from neuralcodec.models.conv import BASE_QUALITY, DETAIL_HALO, HALO, QUALITY, STRIDE, TILE
from neuralcodec.options import DEFAULT_EFFORT, MOST_EFFORT

if TYPE_CHECKING:
    from neuralcodec.arrays import Pixels, Progress
    from neuralcodec.coding.batched import BatchedCodec
    from neuralcodec.coding.latents import Latents
    from neuralcodec.coding.pixels import Kept
    from neuralcodec.entropy.coder import Draw
    from neuralcodec.format.container import Container
    from neuralcodec.models.protocols import TileDecoder, TileModel
    from neuralcodec.weights import WeightsFile


class ConvFamily(Family):
    """The family of `neuralcodec.models.conv`; `tilewise` codes its pictures."""

    codec = CONV
    trained = "neuralcodec.training.conv"
    summary = "fewest bytes"
    quality = QUALITY
    tile = TILE
    efforts = MOST_EFFORT
    companions = MappingProxyType(
        {kind: f"neuralcodec.training.{kind}" for kind in ("encoder", "inpaint", "vivid")}
    )

    def load(self, file: WeightsFile, device: str | None, *, effort: int = DEFAULT_EFFORT) -> TileModel:
        from neuralcodec.models.graphs import has_graphs
        from neuralcodec.models.runtime import ONNX, require_torch, runtime

        light_runtime = runtime(device, effort=effort, graphs=has_graphs(file)) == ONNX
        if file.encodes and file.kind is not None:
            require_torch(f"an encoder to {file.kind}")
            if light_runtime:
                raise UsageError(f"an encoder to {file.kind}: runtime onnx has none; leave it to torch")
            from neuralcodec.models.conv import mending

            return mending.load(file, device)
        if light_runtime:
            from neuralcodec.models.conv import light

            return light.load(file)
        from neuralcodec.models.conv import runner

        return runner.load(file, device)

    def graphs(self, file: WeightsFile, layers: int | None) -> Sequence[str]:
        if layers is not None:
            return ["detail_synthesis" if layers > 1 else "synthesis"]
        detail = ["detail_analysis"] if file.said["model"].get("detail") else []
        return ["features", "latent", "hyper_analysis", *detail]

    def stages(self, model: TileModel, header: Header) -> int:
        return 1 if model.levels(header.quality).detail is None else 2

    def default_quality(self, file: WeightsFile) -> float:
        return QUALITY if file.said["model"].get("detail") else BASE_QUALITY

    def margin(self, file: Container) -> int:
        return (DETAIL_HALO if file.layers > 1 else HALO) * STRIDE

    def quality_of(self, file: WeightsFile, stages: int) -> float:
        return float(file.said["model"]["base_quality"])

    def encode(
        self,
        model: TileModel,
        pixels: Pixels,
        header: Header,
        *,
        effort: int,
        report: Progress,
        kept: Kept | None,
    ) -> list[bytes]:
        from neuralcodec.coding.tilewise import encode_tiles

        return encode_tiles(model, pixels, header, effort=effort, report=report, kept=kept)

    def decode(
        self,
        model: TileDecoder,
        file: Container,
        region: Box,
        *,
        stages: int,
        reduce: int,
        partial: bool,
        report: Progress,
    ) -> Decoded:
        from neuralcodec.coding.latents import recover_latents
        from neuralcodec.coding.pixels import box_reduced
        from neuralcodec.coding.tilewise import decode_region, halo_of
        from neuralcodec.models.conv.thumbnail import LEAST, thumbnail_of

        if stages == 1 or (reduce >= LEAST and thumbnail_of(file.header.weights_id)):
            file = replace(file, tiles=file.tiles[: file.header.tile_count])
        recovered: Latents | None = None
        lost: list[int] = []
        if partial:
            recovered, lost = recover_latents(file, model, region.shrunk(STRIDE).grown(halo_of(model, file)))
        ends = (0, file.header.height, 0, file.header.width)
        if any(edge % reduce and edge != end for edge, end in zip(region, ends, strict=True)):
            # The region's squares do not coincide with those of the synthesis.
            pixels = decode_region(model, file, region, report, recovered)
            return Decoded(box_reduced(pixels, reduce), lost)
        return Decoded(decode_region(model, file, region, report, recovered, reduce=reduce), lost)

    def decode_stages(self, model: TileDecoder, file: Container, *, stages: int) -> Iterator[Pixels]:
        whole = Box.whole(file.header.height, file.header.width)
        for count in range(1, stages + 1):
            decoded = self.decode(model, file, whole, stages=count, reduce=1, partial=False, report=quiet)
            yield decoded.pixels

    def sample(self, model: TileModel, header: Header, draw: Draw, report: Progress) -> list[bytes]:
        from neuralcodec.coding.latents import sample_tiles

        return sample_tiles(model, header, draw, report)

    def interpolate(
        self, model: TileModel, one: Container, other: Container, shares: Sequence[float]
    ) -> Iterator[Pixels]:
        from neuralcodec.coding.tilewise import interpolate

        return interpolate(model, one, other, shares)

    def batched(self, file: WeightsFile, device: str) -> BatchedCodec:
        from neuralcodec.coding.batched import BatchedCodec
        from neuralcodec.models.device import transforms_device

        return BatchedCodec(file, self.default_quality(file)).to(transforms_device(device))


FAMILY = ConvFamily()
