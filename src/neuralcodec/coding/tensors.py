"""Latents of one picture in torch, tile by tile: to segments of a file, or to the bits those would have.

The prior is the integer one that files are written with. It runs on the CPU; bits with a gradient are those
of `SoftPrior`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from neuralcodec import parallel
from neuralcodec.arrays import Box, Floats
from neuralcodec.coding.soft_prior import SoftDetailPrior, SoftPrior
from neuralcodec.coding.tiling import boxes
from neuralcodec.entropy.coder import SymbolWriter
from neuralcodec.entropy.rounding import Rounding, error_weight
from neuralcodec.format.header import Header
from neuralcodec.models.conv import STRIDE
from neuralcodec.models.conv.runner import Model


class Coded(NamedTuple):
    """Segments of the tiles, and the latent `(C, h, w)` as a decoder sees it, with the latent's gradient."""

    segments: list[bytes]
    y_hat: Tensor


class Estimated(NamedTuple):
    """What coding would give, each `(·, h, w)` with gradients; of details, z and its bits are a zero."""

    z: Tensor
    y_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor

    @property
    def bits(self) -> Tensor:
        """All bits together."""
        return self.y_bits.sum() + self.z_bits.sum()


class TileCoder:
    """The coder of pictures of one weights file; its hyper-analysis may be in training."""

    def __init__(self, model: Model) -> None:
        self._model, self._hyper_analysis = model, model.transforms.hyper_analysis

    def code(self, y: Tensor, header: Header) -> Coded:
        """Code the latent `(C, h, w)` of the base."""
        prior, levels = self._model.prior, self._model.levels(header.quality)
        rounding = Rounding(prior.tables, error_weight(levels.base / self._model.levels.highest))
        latent, tiles = y.detach().permute(1, 2, 0), []
        for box in _tiles(latent, header):
            with torch.no_grad():
                z = self._hyper(latent[box.slices])
            beyond = ((0, -box.height % 4), (0, -box.width % 4), (0, 0))
            tiles.append((box, np.pad(_array(latent[box.slices]), beyond), _array(z)))

        def write(writer: SymbolWriter, tile: tuple[Box, Floats, Floats]) -> Floats:
            return prior.code(writer, levels.base_row, *tile[0].shape, tile[1:], rounding=rounding)

        return self._written(y, tiles, write)

    def code_detail(self, y: Tensor, base: Tensor, header: Header) -> Coded:
        """Code the detail latent `(D, 2h, 2w)` of a picture whose base decodes to `(C, h, w)`."""
        prior, row = self._model.detail_prior, self._model.levels(header.quality).detail_row
        assert prior is not None
        latent, decoded = _array(y.permute(1, 2, 0)), _array(base.permute(1, 2, 0))
        tiles = [
            (box.scaled(2), decoded[box.slices], latent[box.scaled(2).slices])
            for box in _tiles(decoded, header)
        ]

        def write(writer: SymbolWriter, tile: tuple[Box, Floats, Floats]) -> Floats:
            return prior.code(writer, row, *tile[1:])

        return self._written(y, tiles, write)

    def estimate(self, y: Tensor, header: Header) -> Estimated:
        """Estimate what `code` makes of the latent `(C, h, w)` of the base."""
        prior, row = SoftPrior(self._model.prior), self._model.levels(header.quality).base_row
        latent = y.permute(1, 2, 0)
        found = []
        for box in _tiles(latent, header):
            tile = latent[box.slices]
            z = self._hyper(tile).float().cpu()
            found.append((box, Estimated(z, *prior(tile.float().cpu(), z, row))))
        return _assembled(found)

    def estimate_detail(self, y: Tensor, base: Tensor, header: Header) -> Estimated:
        """Estimate what `code_detail` makes of the detail latent `(D, 2h, 2w)`."""
        assert self._model.detail_prior is not None
        prior, row = SoftDetailPrior(self._model.detail_prior), self._model.levels(header.quality).detail_row
        latent, decoded = y.permute(1, 2, 0), base.permute(1, 2, 0)
        none = torch.zeros(1, 1, 1)
        found = []
        for box in _tiles(decoded, header):
            tile = latent[box.scaled(2).slices].float().cpu()
            coded = prior(tile, decoded[box.slices].float().cpu(), row)
            found.append((box, Estimated(none, coded.y_hat, coded.y_bits, none)))
        return _assembled(found)

    def _hyper(self, y: Tensor) -> Tensor:
        """Compute z `(⌈h/4⌉, ⌈w/4⌉, C_z)` from a tile `(h, w, C)`."""
        padded = F.pad(y, (0, 0, 0, -y.shape[1] % 4, 0, -y.shape[0] % 4)).permute(2, 0, 1)[None]
        return self._hyper_analysis(padded)[0].permute(1, 2, 0)

    def _written(
        self,
        y: Tensor,
        tiles: list[tuple[Box, Floats, Floats]],
        write: Callable[[SymbolWriter, tuple[Box, Floats, Floats]], Floats],
    ) -> Coded:
        y_hat = np.empty((*y.shape[1:], len(y)), np.float32)

        def one(tile: tuple[Box, Floats, Floats]) -> bytes:
            writer = SymbolWriter(self._model.prior.tables)
            y_hat[tile[0].slices] = write(writer, tile)
            return writer.finish()

        segments = parallel.run(one, tiles, self._model.threads)
        decoded = torch.from_numpy(y_hat).permute(2, 0, 1).to(y)
        return Coded(segments, decoded + (y - y.detach()))  # exactly what is decoded


def _tiles(latent: Tensor | Floats, header: Header) -> Iterator[Box]:
    """Yield the tiles of a base's latent `(h, w, C)`, in its positions."""
    return boxes(Box.whole(*latent.shape[:2]), header.tile // STRIDE)


def _assembled(tiles: list[tuple[Box, Estimated]]) -> Estimated:
    rows: list[list[Estimated]] = []
    for box, tile in tiles:
        if box.left == 0:
            rows.append([])
        rows[-1].append(tile)
    return Estimated(
        *(
            torch.cat([torch.cat([tile[n] for tile in row], 1) for row in rows]).permute(2, 0, 1)
            for n in range(len(Estimated._fields))
        )
    )


def _array(x: Tensor) -> Floats:
    return np.ascontiguousarray(x.detach().float().cpu().numpy())
