"""Round the networks of a prior to exact integers, and measure what that costs.

Each row is rounded as finely as the exact range of float32 sums allows. Building the integer prior from the
result proves that bound for every layer.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from neuralcodec.entropy.coder import SymbolWriter, zigzag
from neuralcodec.entropy.exact import EXACT, FRACTION_BITS, ONE, Integers, Range
from neuralcodec.entropy.layers import CONTEXT_STEP, Chain, Kind
from neuralcodec.entropy.prior import INDEX_DROP, LATENT_CLIP
from neuralcodec.entropy.tables import Index, Int32, Tables
from neuralcodec.errors import NeuralCodecError
from neuralcodec.format.varint import write_varint
from neuralcodec.models.prior import ContextStep

Tensors: TypeAlias = "dict[str, npt.NDArray[Any]]"

_FINEST_SHIFT = 16


def chain_layers(
    module: nn.Module, chain: Chain, prefix: str, inputs: Range
) -> tuple[dict[str, Integers], Range]:
    """Round the layers of a chain; return them by name, and the range of the outputs."""
    layers: dict[str, Integers] = {}
    for part in chain:
        conv = module.get_submodule(part.name)
        assert isinstance(conv, nn.Conv2d)
        layer = layers[prefix + part.name] = to_integers(conv, inputs)
        inputs = layer.output(inputs).clip(part.low * ONE, part.high * ONE)
        if part.kind is Kind.UP:
            inputs = inputs.of_squares()
    return layers, inputs


def step_layers(steps: nn.ModuleList, prefix: str, features: Range) -> dict[str, Integers]:
    """Round the layers of all context steps; return them by name."""
    layers: dict[str, Integers] = {}
    for k, step in enumerate(steps):
        assert isinstance(step, ContextStep)
        latent = step.head.out_channels // 2
        x = features.concat(Range.uniform(latent, -LATENT_CLIP, LATENT_CLIP))
        body, x = chain_layers(step, CONTEXT_STEP, f"{prefix}.{k}.", x)
        layers |= body
        drop = np.repeat([0, INDEX_DROP], latent)
        layers[f"{prefix}.{k}.head"] = to_integers(step.head, x, drop)
    return layers


def stored(layers: dict[str, Integers]) -> Tensors:
    parts = ("weight", "bias", "shift")
    return {f"exact.{name}.{part}": getattr(layer, part) for name, layer in layers.items() for part in parts}


@torch.no_grad()
def to_integers(conv: nn.Conv2d, inputs: Range, drop: npt.NDArray[np.int64] | None = None) -> Integers:
    """Round a layer, each row with the largest shift for which every sum stays exact.

    Args:
        drop: further bits to drop from each output, `(outputs,)`.

    Raises:
        NeuralCodecError: a row's weights are too large for any shift.
    """
    assert conv.bias is not None
    weight = conv.weight.flatten(1).double().numpy()  # (outputs, inputs) or (channels, 9)
    bias = conv.bias.double().numpy()
    magnitude = inputs.magnitude[:, None] if conv.groups > 1 else inputs.magnitude[None]
    extra = np.zeros(len(bias), np.int64) if drop is None else drop
    shift = np.full(len(bias), -1, np.int64)
    for candidate in range(_FINEST_SHIFT + 1):
        scaled = np.rint(weight * 2**candidate)
        offset = np.abs(bias) * 2 ** (candidate + FRACTION_BITS) + 2.0 ** (candidate + extra)
        fits = ((np.abs(scaled) * magnitude).sum(1) + offset < EXACT) & (np.abs(scaled).max(1) < 2**15)
        shift = np.where(fits, candidate, shift)
    if shift.min() < 0:
        raise NeuralCodecError("a layer of the prior has weights too large for exact sums")
    power = 2.0**shift
    total = shift + extra
    half = np.where(total > 0, 2.0 ** (total - 1), 0.0)
    return Integers(
        np.rint(weight * power[:, None]).astype(np.int16),
        (np.rint(bias * power * 2**FRACTION_BITS) + half).astype(np.int32),
        total.astype(np.int8),
    )


def rates(bits: dict[str, float], pixels: int) -> dict[str, float]:
    report = {name: value / pixels for name, value in bits.items()}
    return report | {"rate_loss": report["bpp_integer"] / report["bpp_float"] - 1}


class CountingWriter(SymbolWriter):
    """A writer that also adds up the ideal code lengths."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self.bits = 0.0

    def exchange(self, symbols: Int32 | None, index: Index) -> Int32:
        escapes = len(self._escapes)
        coded = super().exchange(symbols, index)
        self.bits += float(self._tables.bits(coded, index).sum())
        self.bits += sum(8 * len(write_varint(zigzag(s))) for s in self._escapes[escapes:])
        return coded
