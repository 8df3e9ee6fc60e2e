"""The integer prior with gradients: the rate of a latent as the coder will pay it.

It is built from `IntegerPrior` itself, so the weights store nothing more. It computes on the same integers:
means, widths and decoded latents are those of the coder. Backwards, rounding down counts as the identity, and
clipping as zero beyond its bounds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from neuralcodec.entropy import exact
from neuralcodec.entropy.detail import DetailPrior
from neuralcodec.entropy.prior import LATENT_CLIP, LATENT_ONE, STEPS, IntegerPrior, Step
from neuralcodec.entropy.tables import SCALE_COUNT, SILENT_INDEX, TOTAL, Tables
from neuralcodec.models.prior import element_bits


class Coded(NamedTuple):
    """A latent as it would be coded.

    Attributes:
        y_hat: `(h, w, C)` in quantization steps, as a decoder sees it; its gradient is that of y.
        y_bits, z_bits: of each element, `(h, w, C)` and `(⌈h/4⌉, ⌈w/4⌉, C_z)`: ideal code lengths by the
            coder's tables. The gradient is that of the values before rounding: of y by the Gaussians that the
            tables stand for, of z by the lines between the entries of its tables.
    """

    y_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor

    @property
    def bits(self) -> float:
        """All bits together."""
        return float(self.y_bits.detach().double().sum() + self.z_bits.detach().double().sum())


class _SoftSteps:
    """The four steps that a latent is coded in.

    Args:
        table: the table of each scale index, `(SCALE_COUNT,)`.
    """

    def __init__(self, steps: list[Step], tables: Tables, table: Tensor) -> None:
        self.steps = [_Step(step) for step in steps]
        self.lengths, self.table = _Lengths(tables), table

    def code(self, y: Tensor, features: Tensor, inside: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Code a latent `(h, w, C)`, h and w even; return y_hat and the bits of each element.

        Args:
            features: φ `(h, w, F)`.
            inside: 1 at positions that are coded, `(h, w, 1)`, and 0 at the others, which are zero.
        """
        parts = _to_places(y).chunk(STEPS, 2)  # the groups of channels, each (4, n, C/4)
        mask = None if inside is None else _to_places(inside)
        known: list[list[Tensor | None]] = [[None] * STEPS for _ in range(4)]  # by place and group
        lengths: list[list[Tensor | None]] = [[None] * STEPS for _ in range(4)]
        for k, step in enumerate(self.steps):
            context = _from_places(_assembled(known, parts[0]), *y.shape[:2])
            mean, index = step(features, context.mul(LATENT_ONE).clamp(-LATENT_CLIP, LATENT_CLIP))
            if mask is not None:
                mean, index = mean * mask, index * mask
            values = torch.stack([parts[place ^ k][place] for place in range(4)])
            distance = values - mean
            coded = index.detach() > SILENT_INDEX
            symbols = distance.detach().round() * coded
            bits = self.lengths(symbols, self.table[index.detach().long()])
            if distance.requires_grad:
                bits = _with_gradient_of(bits, element_bits(distance, index) * coded)
            decoded = _with_gradient_of((symbols + mean).detach(), values)
            for place in range(4):
                known[place][place ^ k] = decoded[place]
                lengths[place][place ^ k] = bits[place]
        y_hat, y_bits = (_from_places(_assembled(each, parts[0]), *y.shape[:2]) for each in (known, lengths))
        return y_hat, y_bits


class SoftPrior(_SoftSteps):
    """The networks of an `IntegerPrior` in torch, for one tile at a time."""

    def __init__(self, prior: IntegerPrior) -> None:
        super().__init__(prior.steps, prior.tables, torch.arange(SCALE_COUNT))
        self.hyper_synthesis = _stack(prior.hyper_synthesis)
        self.z_index = torch.from_numpy(prior.z_index.astype(np.int64))
        self.z_mean = torch.from_numpy(prior.z_mean).float() / LATENT_ONE

    def __call__(self, y: Tensor, z: Tensor, row: int) -> Coded:
        """Code a tile.

        Args:
            y: `(h, w, C)`, of any size.
            z: `(⌈h/4⌉, ⌈w/4⌉, C_z)`.
            row: of the tables of z, 0 to 100.
        """
        z_mean = self.z_mean[row]
        z_distance = z - z_mean
        residual = _with_gradient_of(z_distance.detach().round(), z_distance)  # exact, unlike the usual order
        features = (residual + z_mean) * LATENT_ONE
        features = self.hyper_synthesis(features.clamp(-LATENT_CLIP, LATENT_CLIP))
        z_index = self.z_index[row].expand(residual.shape)
        z_bits = self.lengths(residual.detach(), z_index)
        if z.requires_grad:
            z_bits = _with_gradient_of(z_bits, self.lengths.between(z_distance, z_index))

        height, width = y.shape[:2]
        beyond = (0, 0, 0, -width % 4, 0, -height % 4)
        inside = F.pad(torch.ones(height, width, 1), beyond) if any(beyond) else None
        y_hat, y_bits = self.code(F.pad(y, beyond), features, inside)
        return Coded(y_hat[:height, :width], y_bits[:height, :width], z_bits)


class SoftDetailPrior(_SoftSteps):
    """The networks of a `DetailPrior` in torch, for one tile at a time."""

    def __init__(self, prior: DetailPrior) -> None:
        super().__init__(prior.steps, prior.tables, torch.from_numpy(prior.table.astype(np.int64)))
        self.features = _stack(prior.features)
        self.rows = torch.from_numpy(prior.rows).float()
        self.low, self.high = float(prior.low), float(prior.high)

    def __call__(self, y: Tensor, base: Tensor, row: int) -> Coded:
        """Code the detail latent of a tile.

        Args:
            y: `(2h, 2w, D)`.
            base: y_hat of the tile's base `(h, w, C)`.
            row: see `DetailPrior.code`.
        """
        features = self.features((base * LATENT_ONE).clamp(-LATENT_CLIP, LATENT_CLIP))
        features = (features + self.rows[row]).clamp(self.low, self.high)
        return Coded(*self.code(y, features), torch.zeros(()))


class _Lengths:
    """The ideal code lengths of the coder's tables, in bits; see `Tables.bits`."""

    def __init__(self, tables: Tables) -> None:
        self.bits = torch.from_numpy(np.log2(TOTAL) - np.log2(tables.counts)).float()
        self.starts, self.radius = torch.from_numpy(tables.starts), torch.from_numpy(tables.radius).long()

    def __call__(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Look up the lengths of whole `symbols` by the tables `index`, both of one shape."""
        radius, symbols = self.radius[index], symbols.long()
        entry = torch.where(symbols.abs() <= radius, symbols + radius, 2 * radius + 1)
        return self.bits[self.starts[index] + entry] * (index != SILENT_INDEX)

    def between(self, distance: Tensor, index: Tensor) -> Tensor:
        """Interpolate the lengths at real distances, linearly."""
        low = distance.detach().floor()
        share = distance - low
        return torch.lerp(self(low, index), self(low + 1, index), share)


def _with_gradient_of(value: Tensor, smooth: Tensor) -> Tensor:
    return value + (smooth - smooth.detach())


class _Settle(torch.autograd.Function):
    """Rounds down and clips; the gradient passes within the bounds."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward((x >= low) & (x <= high))
        return x.floor().clamp_(low, high)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return grads[0] * inside, None, None


def _settle(x: Tensor, low: float, high: float) -> Tensor:
    if not x.requires_grad:  # an exporter knows these two alone
        return x.floor().clamp(low, high)
    settled: Tensor = _Settle.apply(x, low, high)  # type: ignore[no-untyped-call]
    return settled


class _Dense:
    """`exact.Dense` in torch; it shares the weights."""

    def __init__(self, layer: exact.Dense) -> None:
        self.weight, self.bias = torch.from_numpy(layer.weight), torch.from_numpy(layer.bias)
        self.low, self.high, self.shuffle = float(layer.low), float(layer.high), layer.shuffle

    def __call__(self, x: Tensor) -> Tensor:
        height, width = x.shape[:2]
        out = _settle(torch.addmm(self.bias, x.flatten(0, 1), self.weight), self.low, self.high)
        if not self.shuffle:
            return out.view(height, width, -1)
        out = out.view(height, width, 2, 2, -1).transpose(1, 2)
        return out.reshape(2 * height, 2 * width, -1)


class _Depthwise:
    """`exact.Depthwise` in torch."""

    def __init__(self, layer: exact.Depthwise) -> None:
        self.weight = torch.from_numpy(layer.taps).permute(2, 0, 1)[:, None].contiguous()
        self.bias = torch.from_numpy(layer.bias)
        self.low, self.high = float(layer.low), float(layer.high)

    def __call__(self, x: Tensor) -> Tensor:
        out = F.conv2d(x.permute(2, 0, 1)[None], self.weight, self.bias, padding=1, groups=x.shape[2])
        return _settle(out, self.low, self.high)[0].permute(1, 2, 0)


def _stack(stack: exact.Stack) -> Callable[[Tensor], Tensor]:
    """Make an `exact.Stack` in torch; it takes several inputs as one."""
    layers = [
        _Dense(layer) if isinstance(layer, exact.Dense) else _Depthwise(layer) for layer in stack.layers
    ]
    return lambda x: functools.reduce(lambda value, layer: layer(value), layers, x)


class _Step:
    """Means, in quantization steps, and scale indices, each `(4, h/2 · w/2, C/4)`, the four places first."""

    def __init__(self, step: Step) -> None:
        self.body = _stack(step.body)
        size = step.latent // 4
        self.means, self.indices = _Heads(step.heads, slice(size)), _Heads(step.heads, slice(size, None))

    def __call__(self, features: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        corners = _to_places(self.body(torch.cat((features, known), 2)))
        return self.means(corners) / LATENT_ONE, self.indices(corners)


class _Heads:
    """Some outputs, of one range, of the four layers of the four places."""

    def __init__(self, layers: list[exact.Dense], which: slice) -> None:
        self.weight = torch.stack([torch.from_numpy(layer.weight[:, which]) for layer in layers])
        self.bias = torch.stack([torch.from_numpy(layer.bias[which]) for layer in layers])[:, None]
        self.low, self.high = float(layers[0].low[which][0]), float(layers[0].high[which][0])

    def __call__(self, corners: Tensor) -> Tensor:
        return _settle(torch.baddbmm(self.bias, corners, self.weight), self.low, self.high)


def _to_places(x: Tensor) -> Tensor:
    """Split `(h, w, ·)` into the four places of every square: `(4, h/2 · w/2, ·)`."""
    squares = x.view(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1)
    return squares.permute(1, 3, 0, 2, 4).reshape(4, -1, x.shape[2])


def _from_places(x: Tensor, height: int, width: int) -> Tensor:
    squares = x.view(2, 2, height // 2, width // 2, -1)
    return squares.permute(2, 0, 3, 1, 4).reshape(height, width, -1)


def _assembled(known: list[list[Tensor | None]], like: Tensor) -> Tensor:
    """Join what is known, by place and group of channels, to `(4, n, C)`, with zeros for the rest."""
    zeros = torch.zeros_like(like[0])
    return torch.stack([torch.cat([zeros if g is None else g for g in groups], 1) for groups in known])
