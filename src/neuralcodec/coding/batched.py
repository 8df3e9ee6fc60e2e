"""The conv codec for work in torch: batches of tensors to `.nc` files and back, and a differentiable pass.

    codec = neuralcodec.load_model("conv")
    files = codec.compress(x, quality=50)    # x: (B, 3, H, W) in [0, 1]; a list of B `.nc` files
    x_hat = codec.decompress(files)          # (B, 3, H, W) in [0, 1]
    x_hat, bits = codec(x, quality=50)       # the same pixels with gradients, and bits for each picture
    model = codec.at(quality=50)             # in the form of CompressAI's models: likelihoods, strings, shape

The transforms are those of `Transforms`, in float32 unless the caller's autocast says otherwise, on the
device that `to` chose. The prior is the integer one that files are written with. It runs on the CPU, and its
rate is that of the coder; the gradient of the rate is that of `SoftPrior`. Some pictures of a batch may have
one layer and others two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec import parallel
from neuralcodec.arrays import Floats
from neuralcodec.coding.compression_model import CompressionModel, Estimate
from neuralcodec.coding.latents import decode_latents
from neuralcodec.coding.tensors import Coded, Estimated, TileCoder
from neuralcodec.errors import UsageError
from neuralcodec.format import container
from neuralcodec.format.container import Container
from neuralcodec.format.header import CONV, Header
from neuralcodec.models.conv import QUALITY, STRIDE, TILE
from neuralcodec.models.conv.network import Base, blocks_of
from neuralcodec.models.conv.runner import Model
from neuralcodec.options import checked_quality
from neuralcodec.weights import WeightsFile

#: One quality for all pictures of a batch, or one for each.
Quality: TypeAlias = "float | Sequence[float] | Tensor"
#: What coding a latent gives.
Part = TypeVar("Part", Coded, Estimated)


class Reconstruction(NamedTuple):
    """Pixels `(B, 3, H, W)`, not clipped, and the bits of each picture's coded tiles `(B,)`, float32."""

    x_hat: Tensor
    bits: Tensor


class _Levels(NamedTuple):
    """Levels `(B,)` of the base, the numbers of pictures that have a second layer, and the levels of it."""

    base: Tensor
    two: list[int]
    detail: Tensor


class _Coded(NamedTuple, Generic[Part]):
    """A batch: its latent and what coding made of that; likewise of those pictures that have details.

    `base` is None where nobody asked for it.
    """

    headers: list[Header]
    levels: _Levels
    y: Tensor
    parts: list[Part]
    base: Base | None
    y2: Tensor | None
    details: list[Part]


class BatchedCodec(nn.Module):
    """One weights file as a module, for pictures of any size: edges are repeated to multiples of 16.

    Args:
        quality: the default of all methods.
    """

    def __init__(self, file: WeightsFile, quality: float = QUALITY) -> None:
        super().__init__()
        self._model, self._quality = Model(file, torch.device("cpu")), quality
        self._coder = TileCoder(self._model)
        self.transforms = self._model.transforms.requires_grad_(True)

    @parallel.computing()
    def forward(self, x: Tensor, quality: Quality | None = None) -> Reconstruction:
        """Code and decode pixels `(B, 3, H, W)` in [0, 1].

        The gradient of `x_hat` passes the rounding and the prior as if they were not there
        (straight-through). That of `bits` reaches the latents, and so all analyses; the prior stays as it is.

        Args:
            quality: 0 to 100, one for all pictures or one for each.

        Raises:
            UsageError: the shape is wrong, or a pixel or the quality is out of range or NaN.
        """
        out = self._code(x, quality, self._coder.code, self._coder.code_detail)
        sizes = [sum(map(len, each.segments)) for each in out.parts]
        for n, each in zip(out.levels.two, out.details, strict=True):
            sizes[n] += sum(map(len, each.segments))
        bits = torch.tensor(sizes, device=x.device, dtype=torch.float32) * 8
        if out.y.requires_grad:
            pairs = zip(out.y, out.headers, strict=True)
            estimates = [self._coder.estimate(y, header).bits for y, header in pairs]
            if out.y2 is not None:
                for n, y2 in zip(out.levels.two, out.y2, strict=True):
                    detail = self._coder.estimate_detail(y2, out.parts[n].y_hat, out.headers[n])
                    estimates[n] = estimates[n] + detail.bits
            estimated = torch.stack(estimates).to(bits)
            bits = bits + (estimated - estimated.detach())
        return Reconstruction(self._decoded(out, x), bits)

    def at(self, quality: float | None = None) -> CompressionModel:
        """Return this codec at one quality in the form of CompressAI's models; they share parameters.

        Raises:
            UsageError: the quality is out of range.
        """
        return CompressionModel(self, self._quality if quality is None else quality)

    @parallel.computing()
    def estimate(self, x: Tensor, quality: float) -> Estimate:
        """Code and decode pixels `(B, 3, H, W)` in [0, 1] in torch alone, without the coder.

        Raises:
            UsageError: the shape is wrong, or a pixel or the quality is out of range or NaN.
        """
        out = self._code(x, quality, self._coder.estimate, self._coder.estimate_detail)

        def joined(parts: list[Estimated], name: str) -> Tensor:
            return torch.stack([getattr(each, name) for each in parts]).to(out.y)

        latents = {"y": out.y, "z": joined(out.parts, "z"), "y_hat": joined(out.parts, "y_hat")}
        bits = {"y": joined(out.parts, "y_bits"), "z": joined(out.parts, "z_bits")}
        if out.y2 is not None:
            latents |= {"y2": out.y2, "y2_hat": joined(out.details, "y_hat")}
            bits["y2"] = joined(out.details, "y_bits")
        return Estimate(self._decoded(out, x), latents, bits)

    @parallel.computing()
    @torch.no_grad()
    def compress(self, x: Tensor, quality: Quality | None = None) -> list[bytes]:
        """Encode each picture of `(B, 3, H, W)` in [0, 1] to a file that `neuralcodec.decode` reads too.

        It takes one pass: unlike `neuralcodec.encode`, it does not correct mean colours at low qualities.

        Raises:
            UsageError: the shape is wrong, or a pixel or the quality is out of range or NaN.
        """
        out = self._code(x, quality, self._coder.code, self._coder.code_detail, decoded=False)
        segments = [part.segments for part in out.parts]
        for n, detail in zip(out.levels.two, out.details, strict=True):
            segments[n] = segments[n] + detail.segments
        files = zip(out.headers, segments, strict=True)
        return [container.write(Container(header, tiles)) for header, tiles in files]

    @parallel.computing()
    @torch.no_grad()
    def decompress(self, files: Sequence[bytes]) -> Tensor:
        """Decode files of these weights and of one size: `(B, 3, H, W)` in [0, 1], not rounded to 8 bits.

        Raises:
            DamagedFileError: a file is damaged or not an `.nc` file.
            UsageError: there is no file, one is of other weights, or the sizes differ.
        """
        parsed = [container.read(data) for data in files]
        sizes = {(file.header.height, file.header.width) for file in parsed}
        if len(sizes) != 1:
            raise UsageError(f"a batch must have pictures of one size, not {sorted(sizes)}")
        if any(file.header.weights_id != self._model.id for file in parsed):
            raise UsageError("a file was written with other weights than these")
        latents = [decode_latents(file, self._model) for file in parsed]
        levels = self._levels([file.header for file in parsed])
        there = [latents[n].detail is not None for n in levels.two]  # a file may end with its first layer
        levels = _Levels(
            levels.base,
            [n for n, is_there in zip(levels.two, there, strict=True) if is_there],
            levels.detail[torch.tensor(there, dtype=torch.bool, device=self._device)],
        )
        base = self.transforms.base(self._tensor([each.values for each in latents]), levels.base)
        details = [each.detail for each in latents if each.detail is not None]
        x_hat = self._pixels(base, self._tensor(details) if details else None, levels)
        [(height, width)] = sizes
        return x_hat[..., :height, :width].clamp(0, 1)

    def _tensor(self, latents: list[Floats]) -> Tensor:
        """Stack latents `(h, w, C)` to `(B, C, h, w)`."""
        return torch.from_numpy(np.stack(latents)).to(self._device, self._dtype).permute(0, 3, 1, 2)

    def _code(
        self,
        x: Tensor,
        quality: Quality | None,
        code: Callable[[Tensor, Header], Part],
        code_detail: Callable[[Tensor, Tensor, Header], Part],
        *,
        decoded: bool = True,
    ) -> _Coded[Part]:
        """Analyse pixels, and code each latent by the functions given.

        Args:
            decoded: whether the base is asked for.
        """
        x, headers = self._checked(x), self._headers(x, quality)
        levels = self._levels(headers)
        down, right = (-side % STRIDE for side in x.shape[2:])
        blocks = blocks_of(F.pad(x, (0, right, 0, down), mode="replicate"))
        y = self.transforms.latent(self.transforms.features(blocks), levels.base)
        parts = [code(each, header) for each, header in zip(y, headers, strict=True)]
        if not (decoded or levels.two):
            return _Coded(headers, levels, y, parts, None, None, [])
        base = self.transforms.base(torch.stack([part.y_hat for part in parts]).to(y), levels.base)
        if not levels.two:
            return _Coded(headers, levels, y, parts, base, None, [])
        y2 = self.transforms.analyse_detail(blocks[levels.two], _some(base, levels.two), levels.detail)
        details = [
            code_detail(each, parts[n].y_hat, headers[n]) for each, n in zip(y2, levels.two, strict=True)
        ]
        return _Coded(headers, levels, y, parts, base, y2, details)

    def _decoded(self, out: _Coded[Part], x: Tensor) -> Tensor:
        """Decode what was coded, in the size of x."""
        assert out.base is not None
        y2_hat = torch.stack([part.y_hat for part in out.details]).to(out.y) if out.details else None
        return self._pixels(out.base, y2_hat, out.levels)[..., : x.shape[2], : x.shape[3]]

    def _pixels(self, base: Base, y2_hat: Tensor | None, levels: _Levels) -> Tensor:
        blocks = base.blocks
        if y2_hat is not None:
            above = self.transforms.synthesise_detail(y2_hat, _some(base, levels.two), levels.detail)
            blocks = blocks.index_copy(0, torch.tensor(levels.two, device=blocks.device), above)
        return F.pixel_shuffle(blocks, 8)

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def _checked(self, x: Tensor) -> Tensor:
        """Check pixels and convert them to the type of the weights."""
        if x.dim() != 4 or x.shape[1] != 3 or not x.is_floating_point() or 0 in x.shape:
            raise UsageError(f"pixels must be floats (B, 3, H, W) in [0, 1], not {x.dtype} {tuple(x.shape)}")
        if not torch.compiler.is_compiling():  # an export has no values to look at
            low, high = (float(value) for value in x.detach().aminmax())
            if not (low >= 0 and high <= 1):  # so is NaN
                raise UsageError(f"pixels must be in [0, 1], not {low:g} to {high:g}: scale or clamp them")
        return x.to(self._dtype)

    def _headers(self, x: Tensor, quality: Quality | None) -> list[Header]:
        header = Header(
            codec=CONV,
            weights_id=self._model.id,
            width=x.shape[3],
            height=x.shape[2],
            quality=QUALITY,
            tile=TILE,
            grey=False,
            alpha=False,
        )
        qualities = _qualities(self._quality if quality is None else quality, len(x))
        return [replace(header, quality=each) for each in qualities]

    def _levels(self, headers: Sequence[Header]) -> _Levels:
        levels = [self._model.levels(header.quality) for header in headers]
        details = {n: each.detail for n, each in enumerate(levels) if each.detail is not None}
        base, detail = (
            torch.tensor(list(values), device=self._device, dtype=torch.float32)
            for values in ([each.base for each in levels], details.values())
        )
        return _Levels(base, [*details], detail)


def _some(base: Base, numbers: list[int]) -> Base:
    return Base(base.fine[numbers], base.blocks[numbers])


def _qualities(quality: Quality, count: int) -> list[float]:
    """Return one checked quality for each picture."""
    if isinstance(quality, Tensor):
        quality = quality.tolist()
    if not isinstance(quality, Sequence) or isinstance(quality, str):
        return [checked_quality(quality)] * count
    if len(quality) != count:
        raise UsageError(f"{len(quality)} qualities for {count} pictures: give one, or one for each")
    return [checked_quality(each) for each in quality]
