"""The conv codec for work in torch: batches of tensors to `.nc` files and back, and a differentiable pass.

    codec = neuralcodec.load_model("conv")
    files = codec.compress(x, quality=50)    # x: (B, 3, H, W) in [0, 1]; a list of B `.nc` files
    x_hat = codec.decompress(files)          # (B, 3, H, W) in [0, 1]
    x_hat, bits = codec(x, quality=50)       # the same pixels with gradients, and bits for each picture
    model = codec.at(quality=50)             # in the form of CompressAI's models: likelihoods, strings, shape

The transforms are those of `Transforms`, in float32 unless the caller's autocast says otherwise, on the
device that `to` chose. The prior is the integer one that files are written with. It runs on the CPU, and its
rate is that of the coder; the gradient of the rate is that of `SoftPrior`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec import parallel
from neuralcodec.arrays import Box, Floats
from neuralcodec.coding.latents import decode_latents
from neuralcodec.coding.soft_prior import SoftPrior
from neuralcodec.coding.tiling import boxes
from neuralcodec.entropy.coder import SymbolWriter
from neuralcodec.entropy.rounding import Rounding, error_weight
from neuralcodec.errors import UsageError
from neuralcodec.format import container
from neuralcodec.format.container import Container
from neuralcodec.format.header import CONV, Header
from neuralcodec.models.conv import QUALITY, STRIDE, TILE
from neuralcodec.models.conv.runner import Model
from neuralcodec.options import checked_quality
from neuralcodec.weights import WeightsFile

#: One quality for all pictures of a batch, or one for each.
Quality: TypeAlias = "float | Sequence[float] | Tensor"


class Reconstruction(NamedTuple):
    """Pixels `(B, 3, H, W)`, not clipped, and the bits of each picture's coded tiles `(B,)`, float32."""

    x_hat: Tensor
    bits: Tensor


class Estimate(NamedTuple):
    """What coding in torch gives, all with gradients.

    Attributes:
        x_hat: pixels `(B, 3, H, W)`, not clipped.
        y, y_hat: `(B, C, h, w)` with h = ⌈H/16⌉ and w = ⌈W/16⌉, in quantization steps.
        z: `(B, C_z, ⌈h/4⌉, ⌈w/4⌉)`, likewise.
        y_bits, z_bits: of each element, by the coder's tables.
    """

    x_hat: Tensor
    y: Tensor
    z: Tensor
    y_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor


class _Estimated(NamedTuple):  # of one picture, or of a tile of it
    z: Tensor
    y_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor


class BatchedCodec(nn.Module):
    """One weights file as a module, for pictures of any size: edges are repeated to multiples of 16."""

    def __init__(self, file: WeightsFile) -> None:
        super().__init__()
        self._model = Model(file, torch.device("cpu"))
        self.transforms = self._model.transforms.requires_grad_(True)

    @parallel.computing()
    def forward(self, x: Tensor, quality: Quality = QUALITY) -> Reconstruction:
        """Code and decode pixels `(B, 3, H, W)` in [0, 1].

        The gradient of `x_hat` passes the rounding and the prior as if they were not there
        (straight-through). That of `bits` reaches y and z, and so both analyses; the prior stays as it is.

        Args:
            quality: 0 to 100, one for all pictures or one for each.

        Raises:
            UsageError: the shape is wrong, or a pixel or the quality is out of range or NaN.
        """
        x, headers = self._checked(x), self._headers(x, quality)
        y, level = self._analyse(x, quality)
        coded = [self._code(values, header) for values, header in zip(_arrays(y), headers, strict=True)]
        decoded = np.stack([y_hat for _, y_hat in coded]).transpose(0, 3, 1, 2)
        y_hat = y + (torch.from_numpy(decoded).to(y) - y).detach()
        x_hat = self.transforms.synthesise(y_hat, level)[..., : x.shape[2], : x.shape[3]]
        bits = torch.tensor([8.0 * sum(map(len, segments)) for segments, _ in coded], device=x.device)
        if y.requires_grad:
            estimates = [self._estimate(values, header) for values, header in zip(y, headers, strict=True)]
            estimated = torch.stack([each.y_bits.sum() + each.z_bits.sum() for each in estimates]).to(bits)
            bits = bits + (estimated - estimated.detach())
        return Reconstruction(x_hat, bits)

    def at(self, quality: float = QUALITY) -> CompressionModel:
        """Return this codec at one quality in the form of CompressAI's models; they share parameters.

        Raises:
            UsageError: the quality is out of range.
        """
        return CompressionModel(self, quality)

    @parallel.computing()
    def estimate(self, x: Tensor, quality: Quality = QUALITY) -> Estimate:
        """Code and decode pixels `(B, 3, H, W)` in [0, 1] in torch alone, without the coder.

        Args:
            quality: 0 to 100, one for all pictures or one for each.

        Raises:
            UsageError: the shape is wrong, or a pixel or the quality is out of range or NaN.
        """
        x, headers = self._checked(x), self._headers(x, quality)
        y, level = self._analyse(x, quality)
        parts = [self._estimate(values, header) for values, header in zip(y, headers, strict=True)]
        z, y_hat, y_bits, z_bits = (torch.stack(part).to(y) for part in zip(*parts, strict=True))
        x_hat = self.transforms.synthesise(y_hat, level)[..., : x.shape[2], : x.shape[3]]
        return Estimate(x_hat, y, z, y_hat, y_bits, z_bits)

    @parallel.computing()
    @torch.no_grad()
    def compress(self, x: Tensor, quality: Quality = QUALITY) -> list[bytes]:
        """Encode each picture of `(B, 3, H, W)` in [0, 1] to a file that `neuralcodec.decode` reads too.

        It takes one pass: unlike `neuralcodec.encode`, it does not correct mean colours at low qualities.

        Raises:
            UsageError: the shape is wrong, or a pixel or the quality is out of range or NaN.
        """
        x, headers = self._checked(x), self._headers(x, quality)
        y, _ = self._analyse(x, quality)
        pairs = zip(_arrays(y), headers, strict=True)
        return [container.write(Container(header, self._code(values, header)[0])) for values, header in pairs]

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
        decoded = np.stack([decode_latents(file, self._model).values for file in parsed])
        y_hat = torch.from_numpy(decoded).to(self._device, self._dtype).permute(0, 3, 1, 2)
        x_hat = self.transforms.synthesise(y_hat, self._levels([file.header.quality for file in parsed]))
        [(height, width)] = sizes
        return x_hat[..., :height, :width].clamp(0, 1)

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

    def _headers(self, x: Tensor, quality: Quality) -> list[Header]:
        qualities = _qualities(quality, len(x))
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
        return [replace(header, quality=each) for each in qualities]

    def _analyse(self, x: Tensor, quality: Quality) -> tuple[Tensor, Tensor]:
        """Compute y `(B, C, H/16, W/16)` and the level `(B,)`."""
        level = self._levels(_qualities(quality, len(x)))
        down, right = (-side % STRIDE for side in x.shape[2:])
        return self.transforms.analyse(F.pad(x, (0, right, 0, down), mode="replicate"), level), level

    def _levels(self, qualities: Sequence[float]) -> Tensor:
        """Find the level `(B,)` of each picture.

        Raises:
            UsageError: a quality stands for two layers.
        """
        levels = [self._model.levels(quality) for quality in qualities]
        if any(each.detail is not None for each in levels):
            most = self._model.levels.first
            raise UsageError(f"batches have one layer: with these weights, a quality below {most}")
        return torch.tensor([each.base for each in levels], device=self._device, dtype=torch.float32)

    def _estimate(self, y: Tensor, header: Header) -> _Estimated:
        """Estimate what the coder makes of y `(C, h, w)`, tile by tile, on the CPU, with gradients."""
        prior, latent = SoftPrior(self._model.prior), y.permute(1, 2, 0)
        rows: list[list[_Estimated]] = []
        for box in boxes(Box.whole(*latent.shape[:2]), header.tile // STRIDE):
            tile = latent[box.slices]
            z = self._hyper(tile).float().cpu()
            coded = prior(tile.float().cpu(), z, self._model.levels(header.quality).base_row)
            if box.left == 0:
                rows.append([])
            rows[-1].append(_Estimated(z, *coded))
        planes = (
            torch.cat([torch.cat([tile[n] for tile in row], 1) for row in rows]).permute(2, 0, 1)
            for n in range(len(_Estimated._fields))
        )
        return _Estimated(*planes)

    def _hyper(self, y: Tensor) -> Tensor:
        """Compute z `(⌈h/4⌉, ⌈w/4⌉, C_z)` from a tile `(h, w, C)`."""
        padded = F.pad(y, (0, 0, 0, -y.shape[1] % 4, 0, -y.shape[0] % 4)).permute(2, 0, 1)[None]
        return self.transforms.hyper_analysis(padded)[0].permute(1, 2, 0)

    @torch.no_grad()
    def _code(self, y: Floats, header: Header) -> tuple[list[bytes], Floats]:
        """Code y `(h, w, C)` to the segments of the tiles, and y_hat `(h, w, C)` as a decoder sees it."""
        prior = self._model.prior
        levels = self._model.levels(header.quality)
        rounding = Rounding(prior.tables, error_weight(levels.base / self._model.levels.highest))
        y_hat = np.empty_like(y)
        tiles = []
        for box in boxes(Box.whole(*y.shape[:2]), header.tile // STRIDE):
            values = np.pad(y[box.slices], ((0, -box.height % 4), (0, -box.width % 4), (0, 0)))
            z = self.transforms.hyper_analysis(
                torch.from_numpy(values).to(self._device, self._dtype).permute(2, 0, 1)[None]
            )
            tiles.append((box, values, _arrays(z)[0]))

        def write(tile: tuple[Box, Floats, Floats]) -> bytes:
            box, values, z = tile
            writer = SymbolWriter(prior.tables)
            y_hat[box.slices] = prior.code(
                writer, levels.base_row, *box.shape, (values, z), rounding=rounding
            )
            return writer.finish()

        return parallel.run(write, tiles, self._model.threads), y_hat


class CompressionModel(nn.Module):
    """A codec at one quality, with the methods and results of CompressAI's models (Bégaint et al. 2020).

    model = neuralcodec.load_model().at(quality=50)
    out = model(x)  # x: (B, 3, H, W) in [0, 1]
    out["x_hat"], out["likelihoods"]["y"], out["likelihoods"]["z"], out["latents"]["y_hat"]
    compressed = model.compress(x)
    model.decompress(compressed["strings"], compressed["shape"])["x_hat"]  # `forward` exports to ONNX
    """

    #: Bits of the least likely element, so that likelihoods are above zero in float32.
    _MOST_BITS = 100.0

    def __init__(self, codec: BatchedCodec, quality: float) -> None:
        super().__init__()
        self.codec, self.quality = codec, checked_quality(quality)

    def forward(self, x: Tensor) -> dict[str, Any]:
        """Code and decode pixels `(B, 3, H, W)` in [0, 1] in torch alone.

        Returns:
            `x_hat` `(B, 3, H, W)`, not clipped; `likelihoods`, in which `y` `(B, C, h, w)` and `z`
            `(B, C_z, ⌈h/4⌉, ⌈w/4⌉)` are the probabilities of the elements as they are coded; and `latents`
            with `y`, `z` and `y_hat`. All have gradients: rounding counts as the identity.

        Raises:
            UsageError: the shape is wrong, or a pixel is not in [0, 1].
        """
        out = self.codec.estimate(x, self.quality)
        likelihoods = {
            name: torch.exp2(-bits.clamp_max(self._MOST_BITS))
            for name, bits in (("y", out.y_bits), ("z", out.z_bits))
        }
        latents = {"y": out.y, "z": out.z, "y_hat": out.y_hat}
        return {"x_hat": out.x_hat, "likelihoods": likelihoods, "latents": latents}

    def compress(self, x: Tensor) -> dict[str, Any]:
        """Encode each picture of `(B, 3, H, W)` in [0, 1].

        Returns:
            `strings`, one list of B `.nc` files, which hold y and z; and `shape`, the height and width of z.

        Raises:
            UsageError: the shape is wrong, or a pixel is not in [0, 1].
        """
        shape = torch.Size(-(-side // (4 * STRIDE)) for side in x.shape[2:])
        return {"strings": [self.codec.compress(x, self.quality)], "shape": shape}

    def decompress(self, strings: Sequence[Sequence[bytes]], shape: Sequence[int]) -> dict[str, Tensor]:
        """Decode what `compress` gave: `x_hat` `(B, 3, H, W)` in [0, 1]. The files say their own shape.

        Raises:
            DamagedFileError: a file is damaged or not an `.nc` file.
            UsageError: there is not one list of files, one is of other weights, or the sizes differ.
        """
        if len(strings) != 1:
            raise UsageError(f"{len(strings)} lists of strings: the files of a batch are one list")
        return {"x_hat": self.codec.decompress(strings[0])}

    def update(self, force: bool = False) -> bool:
        """Say that no table has changed: those of the coder are stored with the weights."""
        return False


def _qualities(quality: Quality, count: int) -> list[float]:
    """Return one checked quality for each picture."""
    if isinstance(quality, Tensor):
        quality = quality.tolist()
    if not isinstance(quality, Sequence) or isinstance(quality, str):
        return [checked_quality(quality)] * count
    if len(quality) != count:
        raise UsageError(f"{len(quality)} qualities for {count} pictures: give one, or one for each")
    return [checked_quality(each) for each in quality]


def _arrays(x: Tensor) -> list[Floats]:
    """Return each sample of `(B, C, h, w)` as `(h, w, C)`."""
    return list(np.ascontiguousarray(x.detach().float().permute(0, 2, 3, 1).cpu().numpy()))
