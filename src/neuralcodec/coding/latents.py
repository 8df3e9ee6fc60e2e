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
    from neuralcodec.models.protocols import TileDecoder


class Latents(NamedTuple):
    """What a part of the plane of latent positions decodes to.

    Args:
        values: y_hat `(h, w, C)`.
        detail: the latent of the detail layer `(2h, 2w, D)`; None without one.
    """

    box: Box
    values: Floats
    detail: Floats | None = None

    @classmethod
    def empty(cls, box: Box, codec: TileDecoder, *, detail: bool) -> Latents:
        """Make latents whose values are still to be filled in."""
        latents = np.empty((*box.shape, codec.prior.latent), np.float32)
        if not detail or codec.detail_prior is None:
            return cls(box, latents)
        return cls(
            box, latents, np.empty((2 * box.height, 2 * box.width, codec.detail_prior.latent), np.float32)
        )

    def at(self, box: Box) -> Floats:
        """Return the values in a box within this one."""
        return self.values[self._inside(box).slices]

    def detail_at(self, box: Box) -> Floats | None:
        """Return the detail latent in a box within this one; None without a detail layer."""
        return None if self.detail is None else self.detail[self._inside(box).scaled(2).slices]

    def _inside(self, box: Box) -> Box:
        return box.moved(-self.box.top, -self.box.left)


def decode_latents(
    file: Container,
    codec: TileDecoder,
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
    latents = Latents.empty(box, codec, detail=file.layers > 1)
    fresh = box
    if known is not None:
        common = box.within(known.box)
        latents.at(common)[:] = known.at(common)
        copy_detail(latents, known.detail_at(common), common)
        fresh = box._replace(top=common.bottom)

    def read_tile(tile: Box) -> None:
        number = tile.top // size * header.tiles_across + tile.left // size
        latents.at(tile)[:] = _decode_tile(file, codec, number, tile)
        if latents.detail is not None:
            copy_detail(latents, _decode_detail(file, codec, number, latents.at(tile)), tile)

    parallel.run(read_tile, list(boxes(fresh, size)), codec.threads, report)
    return latents


def copy_detail(latents: Latents, detail: Floats | None, box: Box) -> None:
    """Set the detail latent in a box, if there is a detail layer."""
    target = latents.detail_at(box)
    if target is not None and detail is not None:
        target[:] = detail


def sample_tiles(codec: TileDecoder, header: Header, draw: Draw, report: Progress = quiet) -> list[bytes]:
    """Draw the segments of all tiles, in raster order, from the prior."""
    plane = Box.whole(latent_size(header.height, STRIDE), latent_size(header.width, STRIDE))
    tiles = list(enumerate(boxes(plane, header.tile // STRIDE)))

    levels = codec.levels(header.quality)

    def draw_tile(tile: tuple[int, Box]) -> list[bytes]:
        number, box = tile
        sampler = draw(codec.prior.tables, number)
        y_hat = codec.prior.code(sampler, levels.base_row, *box.shape)
        if levels.detail is None or codec.detail_prior is None:
            return [sampler.finish()]
        second = draw(codec.prior.tables, number + len(tiles))
        codec.detail_prior.code(second, levels.detail_row, y_hat)
        return [sampler.finish(), second.finish()]

    drawn = parallel.run(draw_tile, tiles, codec.threads, report)
    return [segment for layer in zip(*drawn, strict=True) for segment in layer]


def recover_latents(file: Container, codec: TileDecoder, area: Box) -> tuple[Latents, list[int]]:
    """Decode y_hat in an area of a file that may be damaged; fill lost tiles from those around them.

    What is wrong with a tile whose checksum fits is added to `file.damage`.

    Returns:
        Latents of the whole plane, valid only in tiles that overlap `area`, and the numbers of those of these
        tiles that are lost, or of which only the base is there.
    """
    header = file.header
    plane = Box.whole(latent_size(header.height, STRIDE), latent_size(header.width, STRIDE))
    area = area.within(plane)
    tiles = list(boxes(plane, header.tile // STRIDE))
    latents = Latents.empty(plane, codec, detail=file.layers > 1)
    if latents.detail is not None:
        latents.detail[:] = 0  # nothing is added to a base whose details are lost
    count = header.tile_count
    known_lost = {number for number in file.lost if number < count}
    lost, read = set(known_lost), set(known_lost)
    blurred: dict[int, str] = {}  # tiles whose base alone is there, and why

    def read_tile(number: int) -> str | None:
        box = tiles[number]
        try:
            latents.at(box)[:] = _decode_tile(file, codec, number, box)
        except DamagedFileError as error:
            return f"tile {number}: {error}"
        if latents.detail is not None:
            try:
                if number + count in file.lost:
                    raise DamagedFileError("it is lost")
                copy_detail(latents, _decode_detail(file, codec, number, latents.at(box)), box)
            except DamagedFileError as error:
                blurred[number] = f"tile {number}, detail layer: {error}"
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
    if len(lost) > len(known_lost):
        around = read_tiles([plane])  # a tile that fails only now may lie beside others that would fail
    for box in around:
        if box.overlaps(area):
            fill(latents.values, [tiles[number] for number in lost], box)
    file.damage += [line for number, line in sorted(blurred.items()) if number + count not in file.lost]
    damaged = [number for number in sorted(lost | blurred.keys()) if tiles[number].overlaps(area)]
    return latents, damaged


def _tiles_of(header: Header, box: Box) -> Iterator[int]:
    """Yield the numbers of the tiles that a box of latent positions overlaps."""
    top, bottom, left, right = box.shrunk(header.tile // STRIDE)
    for row in range(top, bottom):
        yield from range(row * header.tiles_across + left, row * header.tiles_across + right)


def _decode_tile(file: Container, codec: TileDecoder, number: int, box: Box) -> Floats:
    reader = SymbolReader(codec.prior.tables, file.tiles[number])
    return codec.prior.code(reader, codec.levels(file.header.quality).base_row, box.height, box.width)


def _decode_detail(file: Container, codec: TileDecoder, number: int, y_hat: Floats) -> Floats:
    """Decode the detail latent of a tile whose base is `y_hat`."""
    levels = codec.levels(file.header.quality)
    if codec.detail_prior is None or levels.detail is None:
        raise DamagedFileError("the file has a second layer, which its quality has not")
    reader = SymbolReader(codec.prior.tables, file.tiles[file.header.tile_count + number])
    return codec.detail_prior.code(reader, levels.detail_row, y_hat)
