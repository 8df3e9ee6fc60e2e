"""Encode and decode with the recurrent model, stage after stage, each over all tiles.

    encode:  what is left over ─analysis─► y ─tiles─► prior, coder ─► segments of a stage
                     ▲                                      │
                     └───────────── synthesis ◄─── y_hat ───┘
    decode:  segments of a stage ─tiles─► coder, prior ─► y_hat ─synthesis─► pixels

The transforms run over the whole picture, since their states have to be kept for the next stage anyway.
Segments lie in the file stage by stage, in raster order within a stage, so the start of a file is the whole
picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neuralcodec import parallel
from neuralcodec.arrays import Box, Floats, Pixels, Progress, quiet
from neuralcodec.coding.pixels import grey, padded_pixels
from neuralcodec.coding.tiling import boxes, latent_size
from neuralcodec.entropy.coder import Draw, SilentCoder, SymbolCoder, SymbolReader, SymbolWriter
from neuralcodec.format.container import Container
from neuralcodec.format.header import Header
from neuralcodec.models.gru import STRIDE

if TYPE_CHECKING:
    from neuralcodec.models.protocols import StageDecoder, StageModel

#: Later stages leave a tile as it is once its mean squared error, in 8-bit levels, is at most this
#: (45 dB).
GOOD_ENOUGH = 2.05


def encode_stages(codec: StageModel, pixels: Pixels, header: Header, report: Progress = quiet) -> list[bytes]:
    """Encode pixels to the segments of all stages that the header's quality stands for.

    A tile that is good enough gets empty segments from then on.

    Args:
        pixels: `(H, W, 3)`, or `(H, W, 1)` of a grey picture.
    """
    encoder = codec.encoder(padded_pixels(pixels, _plane(header).scaled(STRIDE).slices))
    walk = _TileWalk(codec, header)
    active = [True] * len(walk.tiles)
    segments: list[bytes] = []
    for stage in range(header.stages):
        y = encoder.latent()

        def write_tile(index: int, y: Floats = y, active: list[bool] = active) -> bytes:
            box = walk.tiles[index]
            if not active[index]:
                walk.code(index, SilentCoder())
                return b""
            writer = SymbolWriter(codec.prior.tables)
            padding = ((0, box.height % 2), (0, box.width % 2), (0, 0))
            walk.code(index, writer, np.pad(y[box.slices], padding))
            return writer.finish()

        segments += parallel.run(write_tile, range(len(walk.tiles)), codec.threads)
        encoder.add(walk.finish_stage())
        error = encoder.squared_error()
        active = [
            still and float(error[box.slices].mean()) > GOOD_ENOUGH
            for still, box in zip(active, walk.tiles, strict=True)
        ]
        report((stage + 1) / header.stages)
    return segments


def decode_stages(
    codec: StageModel, segments: Sequence[bytes], header: Header, report: Progress = quiet
) -> Iterator[StageDecoder]:
    """Yield the decoder after each whole stage among `segments`: one object, which shows its last stage.

    Raises:
        DamagedFileError: a segment is damaged.
    """
    decoder = codec.decoder(*_plane(header).shape)
    for y_hat in decode_latents(codec, segments, header):
        decoder.add(y_hat)
        report(decoder.stage / header.stages)
        yield decoder


def decode_latents(codec: StageModel, segments: Sequence[bytes], header: Header) -> Iterator[Floats]:
    """Decode y_hat `(H/16, W/16, C)` of each whole stage: the exact part, the same on every machine."""
    walk = _TileWalk(codec, header)
    count = len(walk.tiles)

    for first in range(0, len(segments) - count + 1, count):

        def read_tile(index: int, first: int = first) -> None:
            segment = segments[first + index]
            walk.code(index, SymbolReader(codec.prior.tables, segment) if segment else SilentCoder())

        parallel.run(read_tile, range(count), codec.threads)
        yield walk.finish_stage()


def sample_stages(codec: StageModel, header: Header, draw: Draw, report: Progress = quiet) -> list[bytes]:
    """Draw the segments of all stages from the prior, each stage given those before it."""
    walk = _TileWalk(codec, header)
    count = len(walk.tiles)
    segments: list[bytes] = []
    for stage in range(header.stages):

        def draw_tile(index: int, first: int = stage * count) -> bytes:
            sampler = draw(codec.prior.tables, first + index)
            walk.code(index, sampler)
            return sampler.finish()

        segments += parallel.run(draw_tile, range(count), codec.threads)
        walk.finish_stage()
        report((stage + 1) / header.stages)
    return segments


def interpolate(
    codec: StageModel, one: Container, other: Container, shares: Sequence[float]
) -> Iterator[Pixels]:
    """Decode latents between those of two files of one header, in all stages: `(H, W, 1 or 3)`."""
    header = one.header
    ends = [list(decode_latents(codec, file.tiles, header)) for file in (one, other)]
    for share in shares:
        decoder = codec.decoder(*_plane(header).shape)
        for start, end in zip(*ends, strict=True):
            decoder.add(start + np.float32(share) * (end - start))
        yield _shown(decoder, header, Box.whole(header.height, header.width))


class _TileWalk:
    """The exact state of all tiles, which both directions keep from stage to stage."""

    def __init__(self, codec: StageModel, header: Header) -> None:
        self._prior = codec.prior
        plane = _plane(header)
        self._shape = (*plane.shape, codec.prior.latent)
        self.tiles = list(boxes(plane, header.tile // STRIDE))
        self._features = [codec.prior.start(box.height, box.width) for box in self.tiles]
        self._y_hat = np.empty(self._shape, np.float32)
        self._stage = 0

    def code(self, index: int, coder: SymbolCoder, y: Floats | None = None) -> None:
        """Write or read the current stage of one tile; tiles may be coded in parallel."""
        box = self.tiles[index]
        self._y_hat[box.slices], self._features[index] = self._prior.code(
            coder, self._stage, self._features[index], box.shape, y
        )

    def finish_stage(self) -> Floats:
        """Return y_hat of the stage, and go on to the next."""
        y_hat, self._y_hat = self._y_hat, np.empty(self._shape, np.float32)
        self._stage += 1
        return y_hat


def decode_pictures(codec: StageModel, file: Container, stages: int) -> Iterator[Pixels]:
    """Decode pixels `(H, W, 1 or 3)` after each of so many stages."""
    header = file.header
    segments = file.tiles[: stages * header.tile_count]
    for decoder in decode_stages(codec, segments, header):
        yield _shown(decoder, header, Box.whole(header.height, header.width))


def decode_region(
    codec: StageModel, file: Container, region: Box, stages: int, report: Progress = quiet
) -> Pixels:
    """Decode a region `(h, w, 1 or 3)` after so many stages; only the last is turned into pixels."""
    segments = file.tiles[: stages * file.header.tile_count]
    *_, decoder = decode_stages(codec, segments, file.header, report)
    return _shown(decoder, file.header, region)


def _shown(decoder: StageDecoder, header: Header, region: Box) -> Pixels:
    pixels = decoder.pixels()[region.slices]
    return grey(pixels) if header.grey else np.ascontiguousarray(pixels)


def _plane(header: Header) -> Box:
    """Return the box of all latent positions of a picture."""
    return Box.whole(latent_size(header.height, STRIDE), latent_size(header.width, STRIDE))
