"""Decode the tiles of a conv file to its latent, bit-exactly; fill lost tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from neuralcodec import parallel
from neuralcodec.arrays import Box, Floats, Progress, quiet
from neuralcodec.coding.damage import CONTEXT, fill, groups
from neuralcodec.coding.tiling import boxes, latent_size
from neuralcodec.entropy.coder import Draw, SymbolReader
from neuralcodec.errors import DamagedFileError
from neuralcodec.format.container import Container
from neuralcodec.format.header import Header
from neuralcodec.models.conv import STRIDE

if TYPE_CHECKING:
    from neuralcodec.models.protocols import TileModel


class Latents(NamedTuple):
    """y_hat `(h, w, C)` of a part of the plane of latent positions."""

    box: Box
    values: Floats

    def at(self, box: Box) -> Floats:
        """Return the values in a box within this one."""
        return self.values[box.moved(-self.box.top, -self.box.left).slices]


def decode_latents(
    file: Container,
    codec: TileModel,
    area: Box | None = None,
    *,
    known: Latents | None = None,
    report: Progress = quiet,
) -> Latents:
    """Decode y_hat of all tiles that overlap an area: the exact part, the same on every machine.

    Args:
        area: in latent positions; None is the whole plane.
        known: an earlier result, for an area as wide that reaches down to this one or further. Its tiles are
            not decoded again.
    """
    header = file.header
    size = header.tile // STRIDE
    plane = Box.whole(latent_size(header.height, STRIDE), latent_size(header.width, STRIDE))
    box = (area or plane).shrunk(size).scaled(size).within(plane)
    y_hat = Latents(box, np.empty((*box.shape, codec.prior.latent), np.float32))
    fresh = box
    if known is not None:
        common = box.within(known.box)
        y_hat.at(common)[:] = known.at(common)
        fresh = box._replace(top=common.bottom)

    def read_tile(tile: Box) -> None:
        number = tile.top // size * header.tiles_across + tile.left // size
        y_hat.at(tile)[:] = _decode_tile(file, codec, number, tile)

    parallel.run(read_tile, list(boxes(fresh, size)), codec.threads, report)
    return y_hat


def sample_tiles(codec: TileModel, header: Header, draw: Draw, report: Progress = quiet) -> list[bytes]:
    """Draw the segments of all tiles, in raster order, from the prior."""
    plane = Box.whole(latent_size(header.height, STRIDE), latent_size(header.width, STRIDE))
    tiles = list(enumerate(boxes(plane, header.tile // STRIDE)))

    def draw_tile(tile: tuple[int, Box]) -> bytes:
        number, box = tile
        sampler = draw(codec.prior.tables, number)
        codec.prior.code(sampler, header.quality_row, *box.shape)
        return sampler.finish()

    return parallel.run(draw_tile, tiles, codec.threads, report)


def recover_latents(file: Container, codec: TileModel, area: Box) -> tuple[Latents, list[int]]:
    """Decode y_hat in an area of a file that may be damaged; fill lost tiles from those around them.

    What is wrong with a tile whose checksum fits is added to `file.damage`.

    Returns:
        Latents of the whole plane, valid only in tiles that overlap `area`, and the numbers of those of these
        tiles that are lost.
    """
    header = file.header
    plane = Box.whole(latent_size(header.height, STRIDE), latent_size(header.width, STRIDE))
    area = area.within(plane)
    tiles = list(boxes(plane, header.tile // STRIDE))
    values = np.empty((*plane.shape, codec.prior.latent), np.float32)
    lost, read = set(file.lost), set(file.lost)

    def read_tile(number: int) -> str | None:
        try:
            values[tiles[number].slices] = _decode_tile(file, codec, number, tiles[number])
        except DamagedFileError as error:
            return f"tile {number}: {error}"
        return None

    def read_tiles(near: list[Box]) -> list[Box]:
        """Read the tiles that overlap these boxes; return the groups of lost tiles with their context."""
        numbers = sorted({n for box in near for n in _tiles_of(header, box)} - read)
        read.update(numbers)
        for number, problem in zip(
            numbers, parallel.run(read_tile, numbers, codec.threads, quiet), strict=True
        ):
            if problem:
                lost.add(number)
                file.damage.append(problem)
        return [box.grown(CONTEXT).within(plane) for box in groups([tiles[number] for number in lost])]

    around = [box for box in read_tiles([area]) if box.overlaps(area)]
    around = read_tiles(around)
    if len(lost) > len(file.lost):
        around = read_tiles([plane])  # a tile that fails only now may lie beside others that would fail
    for box in around:
        if box.overlaps(area):
            fill(values, [tiles[number] for number in lost], box)
    return Latents(plane, values), sorted(number for number in lost if tiles[number].overlaps(area))


def _tiles_of(header: Header, box: Box) -> Iterator[int]:
    """Yield the numbers of the tiles that a box of latent positions overlaps."""
    top, bottom, left, right = box.shrunk(header.tile // STRIDE)
    for row in range(top, bottom):
        yield from range(row * header.tiles_across + left, row * header.tiles_across + right)


def _decode_tile(file: Container, codec: TileModel, number: int, box: Box) -> Floats:
    reader = SymbolReader(codec.prior.tables, file.tiles[number])
    return codec.prior.code(reader, file.header.quality_row, box.height, box.width)
