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
from neuralcodec.entropy.prior import LATENT_CLIP, LATENT_ONE, STEPS, IntegerPrior, Step
from neuralcodec.entropy.tables import SILENT_INDEX, Index
from neuralcodec.models.prior import element_bits


class Coded(NamedTuple):
    """A latent as it would be coded.

    Attributes:
        y_hat: `(h, w, C)` in quantization steps, as a decoder sees it; its gradient is that of y.
        bits: of y and z together, ideal code lengths by the coder's tables.
        smooth_bits: of the latent before rounding, by the Gaussians that the tables stand for. Its gradient
            is of use.
    """

    y_hat: Tensor
    bits: float
    smooth_bits: Tensor


class SoftPrior:
    """The networks of an `IntegerPrior` in torch, for one tile at a time."""

    def __init__(self, prior: IntegerPrior) -> None:
        self.hyper_synthesis = _stack(prior.hyper_synthesis)
        self.steps = [_Step(step) for step in prior.steps]
        self.tables, self.z_index = prior.tables, prior.z_index
        self.z_mean = torch.from_numpy(prior.z_mean).float() / LATENT_ONE

    def __call__(self, y: Tensor, z: Tensor, row: int) -> Coded:
        """Code a tile.

        Args:
            y: `(h, w, C)`, of any size.
            z: `(⌈h/4⌉, ⌈w/4⌉, C_z)`; no gradient passes to it.
            row: of the tables of z, 0 to 100.
        """
        z_mean = self.z_mean[row]
        residual = (z - z_mean).round()
        features = (residual + z_mean) * LATENT_ONE
        features = self.hyper_synthesis(features.clamp(-LATENT_CLIP, LATENT_CLIP))
        bits = self._bits(residual, np.broadcast_to(self.z_index[row], residual.shape))

        height, width = y.shape[:2]
        y = F.pad(y, (0, 0, 0, -width % 4, 0, -height % 4))
        inside = torch.zeros(*y.shape[:2], 1)
        inside[:height, :width] = 1
        parts = _to_places(y).chunk(STEPS, 2)  # the groups of channels, each (4, n, C/4)
        mask = None if inside.all() else _to_places(inside)
        known: list[list[Tensor | None]] = [[None] * STEPS for _ in range(4)]  # by place and group
        smooth_bits = torch.zeros(())
        for k, step in enumerate(self.steps):
            context = _from_places(_assembled(known, parts[0]), *y.shape[:2])
            mean, index = step(features, context.mul(LATENT_ONE).clamp(-LATENT_CLIP, LATENT_CLIP))
            if mask is not None:
                mean, index = mean * mask, index * mask
            values = torch.stack([parts[place ^ k][place] for place in range(4)])
            distance = values - mean
            coded = index.detach() > SILENT_INDEX
            symbols = distance.detach().round() * coded
            bits += self._bits(symbols, index.detach().numpy().astype(np.uint8))
            smooth_bits = smooth_bits + (element_bits(distance, index) * coded).sum()
            decoded = (symbols + mean).detach() + (values - values.detach())  # exact, unlike the usual order
            for place in range(4):
                known[place][place ^ k] = decoded[place]
        y_hat = _from_places(_assembled(known, parts[0]), *y.shape[:2])
        return Coded(y_hat[:height, :width], bits, smooth_bits)

    def _bits(self, symbols: Tensor, index: Index) -> float:
        return float(self.tables.bits(symbols.detach().numpy().astype(np.int32), index).sum())


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
        self.means, self.indices = _Heads(step.means), _Heads(step.indices)

    def __call__(self, features: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        corners = _to_places(self.body(torch.cat((features, known), 2)))
        return self.means(corners) / LATENT_ONE, self.indices(corners)


class _Heads:
    """The four layers of the four places."""

    def __init__(self, layers: list[exact.Dense]) -> None:
        self.weight = torch.stack([torch.from_numpy(layer.weight) for layer in layers])
        self.bias = torch.stack([torch.from_numpy(layer.bias) for layer in layers])[:, None]
        self.low, self.high = float(layers[0].low), float(layers[0].high)

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
