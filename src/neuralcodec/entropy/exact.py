"""Integer networks in numpy whose result is the same on every machine.

All values are integers in fixed point, `FRACTION_BITS` bits after the point, held in float32 arrays. A
float32 sum of integers is exact as long as every partial sum stays below 2^24, in any order and with any
blocking or fused multiply-add. Scaling a column of weights by a power of two changes the exponents only. So
a layer is one matrix product of the fastest kind, followed by rounding down. When a layer is built, the bound
is proved for its weights from the range of its inputs. A file whose weights break the bound is refused.

Layers take and return arrays `(h, w, C)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralcodec.arrays import Floats
from neuralcodec.entropy.layers import Chain, Kind
from neuralcodec.parallel import in_strips

#: The activation 1.0 is stored as 128.
FRACTION_BITS = 7
ONE = 1 << FRACTION_BITS
#: Sums below this are exact in float32.
EXACT = 1 << 24

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Range:
    """The least and the greatest value that each channel can have, `(C,)` int64."""

    low: Ints
    high: Ints

    @classmethod
    def uniform(cls, channels: int, low: int, high: int) -> Range:
        return cls(np.full(channels, low, np.int64), np.full(channels, high, np.int64))

    def concat(self, other: Range) -> Range:
        return Range(np.concatenate((self.low, other.low)), np.concatenate((self.high, other.high)))

    def clip(self, low: int | Ints, high: int | Ints) -> Range:
        return Range(self.low.clip(low, high), self.high.clip(low, high))

    def of_squares(self) -> Range:
        """Merge every four channels, which are the places of a 2x2 square, into one."""
        return Range(self.low.reshape(-1, 4).min(1), self.high.reshape(-1, 4).max(1))

    @property
    def magnitude(self) -> Ints:
        return np.maximum(np.abs(self.low), np.abs(self.high))


@dataclass(frozen=True)
class Integers:
    """A layer in stored form: `(weight @ x + bias) >> shift` for each row, rounded down.

    Attributes:
        weight: int16 `(outputs, inputs)`; for a depthwise layer `(channels, 9)`.
        bias: int32 `(outputs,)`; it includes half of `1 << shift`, so that rounding down rounds to nearest.
        shift: int8 `(outputs,)`, 0 to 23.
    """

    weight: npt.NDArray[np.int16]
    bias: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int8]

    def rows(self, which: npt.NDArray[np.intp]) -> Integers:
        """Return the layer with only these outputs."""
        return Integers(self.weight[which], self.bias[which], self.shift[which])

    def output(self, inputs: Range) -> Range:
        """Compute the range of the outputs from that of the inputs.

        Raises:
            ValueError: a partial sum could leave the exact range.
        """
        if self.shift.min() < 0 or self.shift.max() > 23:
            raise ValueError("shift out of range")
        low, high = inputs.low.astype(np.float64), inputs.high.astype(np.float64)
        weight = self.weight.astype(np.float64)
        size = np.abs(weight)
        product: Callable[..., Any] = np.matmul
        if weight.shape == (len(low), 9):  # depthwise; inputs beyond the border are zero
            low, high = np.minimum(low, 0), np.maximum(high, 0)
            weight, size, product = weight.sum(1), size.sum(1), np.multiply
        # Sums in double precision are exact to far beyond the bound that is tested here.
        if not (product(size, np.maximum(np.abs(low), np.abs(high))) + np.abs(self.bias) < EXACT).all():
            raise ValueError("the weights allow sums beyond the exact range")
        middle, reach = product(weight, low + high), product(size, high - low)
        least, most = ((middle + sign * reach) / 2 + self.bias for sign in (-1, 1))
        return Range(least.astype(np.int64) >> self.shift, most.astype(np.int64) >> self.shift)

    def scaled(self) -> tuple[Floats, Floats]:
        """Return weight, transposed for `x @ weight`, and bias, both divided exactly by `1 << shift`."""
        factor = np.ldexp(np.float32(1), -self.shift.astype(np.int32))
        weight = self.weight.astype(np.float32) * factor[:, None]
        return np.ascontiguousarray(weight.T), self.bias.astype(np.float32) * factor


class Dense:
    """A 1x1 convolution. It treats several inputs as if they were concatenated, and missing ones as zero.

    Args:
        low, high: what the outputs are clipped to, a number or one for each.
    """

    def __init__(
        self, integers: Integers, inputs: Range, low: int | Ints, high: int | Ints, *, shuffle: bool = False
    ) -> None:
        self.range = integers.output(inputs).clip(low, high)
        if shuffle:  # from the order (C, 2, 2) of a pixel shuffle to (2, 2, C)
            order = np.arange(len(integers.bias)).reshape(-1, 4).T.ravel()
            integers = Integers(integers.weight[order], integers.bias[order], integers.shift[order])
            self.range = self.range.of_squares()
        self.weight, self.bias = integers.scaled()
        self.low, self.high, self.shuffle = np.asarray(low, np.float32), np.asarray(high, np.float32), shuffle

    def __call__(self, *inputs: Floats) -> Floats:
        height, width = inputs[0].shape[:2]
        flat = [x.reshape(height * width, x.shape[2]) for x in inputs]
        firsts = np.cumsum([0, *(x.shape[1] for x in flat)])
        weights = [self.weight[first : first + x.shape[1]] for x, first in zip(flat, firsts, strict=False)]
        out = np.empty((height * width, len(self.bias)), np.float32)

        def compute(start: int, stop: int) -> None:
            total = out[start:stop]
            np.matmul(flat[0][start:stop], weights[0], out=total)
            for x, weight in zip(flat[1:], weights[1:], strict=True):
                np.add(total, x[start:stop] @ weight, out=total)
            np.add(total, self.bias, out=total)
            _clip(total, self.low, self.high)

        in_strips(compute, len(out), _STRIP)
        if not self.shuffle:
            return out.reshape(height, width, -1)
        out = out.reshape(height, width, 2, 2, -1).transpose(0, 2, 1, 3, 4)
        return out.reshape(2 * height, 2 * width, -1)


class Depthwise:
    """A zero-padded 3x3 convolution of each channel by itself, computed as a sum of nine shifted products."""

    def __init__(self, integers: Integers, inputs: Range, low: int, high: int) -> None:
        self.range = integers.output(inputs).clip(low, high)
        weight, self.bias = integers.scaled()
        self.taps = weight.reshape(3, 3, -1)
        self.low, self.high = np.asarray(low, np.float32), np.asarray(high, np.float32)

    def __call__(self, x: Floats) -> Floats:
        return convolve_channels(x, self.taps, self.bias, lambda total: _clip(total, self.low, self.high))


def convolve_channels(
    x: Floats, taps: Floats, bias: Floats, finish: Callable[[Floats], object] = lambda _: None
) -> Floats:
    """Convolve each channel of `(h, w, C)`, padded with zeros, with `taps` `(3, 3, C)`.

    Args:
        bias: `(C,)`, added to the result.
        finish: changes the result in place, a strip at a time.
    """
    height, width, channels = x.shape
    padded = np.zeros((height + 2, width + 2, channels), np.float32)
    padded[1:-1, 1:-1] = x
    # Of each row, the nine that its taps see, w·C numbers each: numpy's inner loop is then long.
    row, column, number = padded.strides
    shape, strides = (height, 3, 3, width * channels), (row, row, column, number)
    seen = np.lib.stride_tricks.as_strided(padded, shape, strides, writeable=False)
    taps, bias = np.tile(taps, (1, 1, width)), np.tile(bias, width)
    out = np.empty((height, width * channels), np.float32)

    def compute(start: int, stop: int) -> None:
        total = out[start:stop]
        np.einsum("rijk,ijk->rk", seen[start:stop], taps, out=total)
        np.add(total, bias, out=total)
        finish(total)

    in_strips(compute, height, max(1, _STRIP // 2 // width))
    return out.reshape(height, width, channels)


class Stack:
    """The layers of a chain of `entropy.layers`, one after another.

    Args:
        stored: returns a layer's integers by its name.
        inputs: the range of the inputs; that of several is concatenated.

    Raises:
        ValueError: a sum could leave the exact range, or a layer does not fit the one before.
    """

    def __init__(self, chain: Chain, stored: Callable[[str], Integers], inputs: Range) -> None:
        self.layers: list[Dense | Depthwise] = []
        for part in chain:
            low, high, integers = part.low * ONE, part.high * ONE, stored(part.name)
            self.layers.append(
                Depthwise(integers, inputs, low, high)
                if part.kind is Kind.SPATIAL
                else Dense(integers, inputs, low, high, shuffle=part.kind is Kind.UP)
            )
            inputs = self.layers[-1].range
        self.range = inputs

    def __call__(self, *inputs: Floats) -> Floats:
        for layer in self.layers:
            inputs = (layer(*inputs),)
        return inputs[0]


#: Positions that a layer computes at a time: few enough for its sums to stay in a cache.
_STRIP = 512


def _clip(total: Floats, low: Floats, high: Floats) -> None:
    """Round down and clip, in place."""
    np.floor(total, out=total)
    if low.ndim:  # several bounds are faster in two steps, one is faster in one
        np.minimum(np.maximum(total, low, out=total), high, out=total)
    else:
        np.clip(total, low, high, out=total)
