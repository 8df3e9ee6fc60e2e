"""The recurrent codec's way of a picture: stage after stage, each over all tiles.

    encode:  what is left over ─analysis─► y ─tiles─► prior, coder ─► segments of a stage
                     ▲                                      │
                     └───────────── synthesis ◄─── y_hat ───┘
    decode:  segments of a stage ─tiles─► coder, prior ─► y_hat ─synthesis─► pixels

The transforms run over the whole picture, since their states have to be kept for the next stage anyway.
Segments lie in the file stage by stage, in raster order within a stage, so the start of a file is the whole
picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neuralcodec import parallel
from neuralcodec.coding.tiling import LATENT_STRIDE, Box, boxes, latent_size
from neuralcodec.entropy.coder import SilentCoder, SymbolCoder, SymbolReader, SymbolWriter
from neuralcodec.entropy.exact import Floats
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format.container import Container
from neuralcodec.format.header import GRU, Header

if TYPE_CHECKING:
    from neuralcodec.models.conv.runner import Pixels
    from neuralcodec.models.gru.runner import RecurrentModel, StageDecoder

#: Encoding takes about 125 bytes a pixel, most of it states: larger ones are for the conv codec.
MAX_PIXELS = 2**24
#: A tile whose mean squared error is below this, in 8-bit levels (45 dB), is good enough for later stages
#: to leave it as it is.
GOOD_ENOUGH = 2.05

Progress = Callable[[float], None]


def encode_stages(
    codec: RecurrentModel, pixels: Pixels, header: Header, report: Progress = lambda share: None
) -> list[bytes]:
    """The segments of all stages that the header's quality stands for.

    A tile that is good enough gets empty segments from then on.

    Args:
        pixels: `(16·h, 16·w, 3)`, the picture padded to whole latent positions.

    Raises:
        UsageError: the picture is too large for this codec.
    """
    check_size(header)
    from neuralcodec.models.gru.runner import StageEncoder

    encoder = StageEncoder(codec, pixels)
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
    codec: RecurrentModel, segments: Sequence[bytes], header: Header, report: Progress = lambda share: None
) -> Iterator[StageDecoder]:
    """The decoder after each whole stage among `segments`: one object, that shows its last stage.

    Raises:
        DamagedFileError: a segment is damaged.
    """
    from neuralcodec.models.gru.runner import StageDecoder

    decoder = StageDecoder(codec, latent_size(header.height), latent_size(header.width))
    for y_hat in decode_latents(codec, segments, header):
        decoder.add(y_hat)
        report(decoder.stage / header.stages)
        yield decoder


def decode_latents(codec: RecurrentModel, segments: Sequence[bytes], header: Header) -> Iterator[Floats]:
    """y_hat `(H/16, W/16, C)` of each whole stage: the exact part, the same on every machine."""
    walk = _TileWalk(codec, header)
    count = len(walk.tiles)

    for first in range(0, len(segments) - count + 1, count):

        def read_tile(index: int, first: int = first) -> None:
            segment = segments[first + index]
            walk.code(index, SymbolReader(codec.prior.tables, segment) if segment else SilentCoder())

        parallel.run(read_tile, range(count), codec.threads)
        yield walk.finish_stage()


class _TileWalk:
    """The exact state of all tiles: what both directions keep from stage to stage."""

    def __init__(self, codec: RecurrentModel, header: Header) -> None:
        self._prior = codec.prior
        self._shape = (latent_size(header.height), latent_size(header.width), codec.prior.latent)
        self.tiles = list(boxes(Box.whole(*self._shape[:2]), header.tile // LATENT_STRIDE))
        self._features = [codec.prior.start(box.height, box.width) for box in self.tiles]
        self._y_hat = np.empty(self._shape, np.float32)
        self._stage = 0

    def code(self, index: int, coder: SymbolCoder, y: Floats | None = None) -> None:
        """Write or read the present stage of one tile; tiles may be coded in parallel."""
        box = self.tiles[index]
        self._y_hat[box.slices], self._features[index] = self._prior.code(
            coder, self._stage, self._features[index], box.shape, y
        )

    def finish_stage(self) -> Floats:
        """y_hat of the stage; the next one is for `code` then."""
        y_hat, self._y_hat = self._y_hat, np.empty(self._shape, np.float32)
        self._stage += 1
        return y_hat


def stages_to_decode(file: Container, stage: int | None) -> int:
    """How many stages to decode: `stage`, or all that the file holds whole.

    Raises:
        UsageError: the file has fewer. DamagedFileError: the picture is larger than this codec takes.
    """
    if file.header.codec != GRU:
        if stage is not None:
            raise UsageError("the file has no stages: it was written by the conv model")
        return 1
    if problem := _size_problem(file.header):
        raise DamagedFileError(problem)
    held = len(file.tiles) // file.header.tile_count
    if not held:
        raise DamagedFileError("damaged file: not even the first stage is whole")
    if stage is not None and not 1 <= stage <= held:
        raise UsageError(f"the file has stages 1 to {held}, not {stage}")
    return stage or held


def decode_pictures(path: Path, file: Container, stages: int, report: Progress) -> Iterator[Pixels]:
    """Pixels `(H, W, 3)` after each of so many stages."""
    for decoder in _decoders(path, file, stages, report):
        yield decoder.pixels()[: file.header.height, : file.header.width]


def decode_picture(path: Path, file: Container, stages: int, report: Progress) -> Pixels:
    """Pixels `(H, W, 3)` after so many stages; only the last is turned into pixels."""
    *_, decoder = _decoders(path, file, stages, report)
    return decoder.pixels()[: file.header.height, : file.header.width]


def _decoders(path: Path, file: Container, stages: int, report: Progress) -> Iterator[StageDecoder]:
    from neuralcodec.models.gru.runner import load

    segments = file.tiles[: stages * file.header.tile_count]
    return decode_stages(load(path), segments, file.header, report)


def check_size(header: Header) -> None:
    """Raises UsageError for a picture that is too large for this codec."""
    if problem := _size_problem(header):
        raise UsageError(f"{problem}; the conv model takes it")


def _size_problem(header: Header) -> str | None:
    if header.width * header.height <= MAX_PIXELS:
        return None
    return f"{header.width}x{header.height} pixels are more than the {MAX_PIXELS} that the gru model takes"
