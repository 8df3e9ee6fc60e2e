"""The conv family: fewest bytes, pictures of any size, regions at the cost of a region."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neuralcodec.coding.families.protocol import Decoded, Family
from neuralcodec.format.header import CONV, Header
from neuralcodec.models.conv import HALO, QUALITY, STRIDE, TILE
from neuralcodec.options import MOST_EFFORT

if TYPE_CHECKING:
    from neuralcodec.arrays import Box, Pixels, Progress
    from neuralcodec.coding.batched import BatchedCodec
    from neuralcodec.coding.pixels import Kept
    from neuralcodec.format.container import Container


class ConvFamily(Family):
    """See `neuralcodec.models.conv`; `tilewise` is its way of a picture."""

    codec = CONV
    summary = "fewest bytes"
    quality = QUALITY
    tile = TILE
    efforts = MOST_EFFORT
    margin = HALO * STRIDE

    def encode(
        self,
        path: Path,
        pixels: Pixels,
        header: Header,
        *,
        effort: int,
        report: Progress,
        kept: Kept | None,
    ) -> list[bytes]:
        from neuralcodec.coding.tilewise import encode_tiles
        from neuralcodec.models.conv.runner import load

        return encode_tiles(load(path), pixels, header, effort=effort, report=report, kept=kept)

    def decode(
        self, path: Path, file: Container, region: Box, *, stages: int, partial: bool, report: Progress
    ) -> Decoded:
        from neuralcodec.coding.latents import recover_latents
        from neuralcodec.coding.tilewise import decode_region
        from neuralcodec.models.conv.runner import load

        model = load(path)
        if not partial:
            return Decoded(decode_region(model, file, region, report))
        recovered, lost = recover_latents(file, model, region.shrunk(STRIDE).grown(HALO))
        return Decoded(decode_region(model, file, region, report, recovered), lost)

    def batched(self, path: Path) -> BatchedCodec:
        from neuralcodec.coding.batched import BatchedCodec

        return BatchedCodec(path)


FAMILY = ConvFamily()
