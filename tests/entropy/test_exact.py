"""Integer layers: equal to 64-bit integers at the edge of what float32 can sum, in any order."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from threadpoolctl import threadpool_limits

from neuralcodec import parallel
from neuralcodec.arrays import Floats
from neuralcodec.entropy.exact import EXACT, Dense, Depthwise, Integers, Range

Ints = npt.NDArray[np.int64]
LOW, HIGH = -8192, 8192


def integers(weight: Ints, magnitude: Ints, rng: np.random.Generator) -> Integers:
    """A layer whose largest possible sum misses the bound by one, in every row."""
    room = EXACT - 1 - (np.abs(weight) * magnitude).sum(1)
    assert room.min() > 0
    bias = np.where(rng.random(len(weight)) < 0.5, room, -room)
    shift = rng.integers(0, 24, len(weight))
    return Integers(weight.astype(np.int16), bias.astype(np.int32), shift.astype(np.int8))


def inputs_at_the_edge(inputs: Range, height: int, width: int, rng: np.random.Generator) -> Floats:
    """Values of which half lie at an end of their range."""
    x = rng.integers(inputs.low, inputs.high + 1, (height, width, len(inputs.low)))
    ends = np.where(rng.random(x.shape) < 0.5, inputs.low, inputs.high)
    return np.where(rng.random(x.shape) < 0.5, x, ends).astype(np.float32)


def reference_dense(layer: Integers, x: Floats, low: int, high: int) -> Ints:
    weight, bias, shift = (a.astype(np.int64) for a in (layer.weight, layer.bias, layer.shift))
    return ((x.astype(np.int64) @ weight.T + bias) >> shift).clip(low, high)


def reference_depthwise(layer: Integers, x: Floats, low: int, high: int) -> Ints:
    weight, bias, shift = (a.astype(np.int64) for a in (layer.weight, layer.bias, layer.shift))
    padded = np.pad(x.astype(np.int64), ((1, 1), (1, 1), (0, 0)))
    total = np.empty(x.shape, np.int64)
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            patch = padded[row : row + 3, column : column + 3].reshape(9, -1)
            total[row, column] = (patch.T * weight).sum(1)
    return ((total + bias) >> shift).clip(low, high)


def dense_case(seed: int, channels: int = 96, outputs: int = 40) -> tuple[Integers, Range, Floats]:
    rng = np.random.default_rng(seed)
    inputs = Range(rng.integers(-900, 0, channels), rng.integers(0, 900, channels))
    limit = EXACT // (2 * channels * 900)
    weight = rng.integers(-limit, limit + 1, (outputs, channels))
    x = inputs_at_the_edge(inputs, 9, 7, rng)
    layer = integers(weight, inputs.magnitude, rng)
    # One position that reaches the largest sum there is, and one its negative.
    signs = np.sign(layer.bias[0])
    worst = np.where(np.abs(inputs.low) > inputs.high, inputs.low, inputs.high)
    layer.weight[0] = np.sign(worst) * np.abs(layer.weight[0]) * signs
    x[0, 0] = worst
    return layer, inputs, x


def depthwise_case(seed: int, channels: int = 24) -> tuple[Integers, Range, Floats]:
    rng = np.random.default_rng(seed)
    inputs = Range(rng.integers(-1024, 500, channels), rng.integers(500, 1025, channels))
    limit = EXACT // (10 * 1024)
    weight = rng.integers(-limit, limit + 1, (channels, 9))
    layer = integers(weight, inputs.magnitude[:, None], rng)
    return layer, inputs, inputs_at_the_edge(inputs, 6, 8, rng)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("bounds", [(0, 1024), (LOW, HIGH), (-EXACT, EXACT)])
def test_dense_equals_integers(seed: int, bounds: tuple[int, int]) -> None:
    layer, inputs, x = dense_case(seed)
    out = Dense(layer, inputs, *bounds)(x)
    assert out.dtype == np.float32
    assert (out == reference_dense(layer, x, *bounds)).all()
    assert np.abs(reference_dense(layer, x, -EXACT, EXACT) << layer.shift).max() > 0.99 * EXACT


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("bounds", [(0, 1024), (LOW, HIGH), (-EXACT, EXACT)])
def test_depthwise_equals_integers(seed: int, bounds: tuple[int, int]) -> None:
    layer, inputs, x = depthwise_case(seed)
    out = Depthwise(layer, inputs, *bounds)(x)
    assert out.dtype == np.float32
    assert (out == reference_depthwise(layer, x, *bounds)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (2, 2), (2, 600), (41, 30)])
def test_depthwise_of_small_and_large_planes(shape: tuple[int, int]) -> None:
    layer, inputs, _ = depthwise_case(1)
    x = inputs_at_the_edge(inputs, *shape, np.random.default_rng(2))
    assert (Depthwise(layer, inputs, LOW, HIGH)(x) == reference_depthwise(layer, x, LOW, HIGH)).all()


def test_dense_of_a_plane_of_many_strips() -> None:
    layer, inputs, _ = dense_case(1)
    x = inputs_at_the_edge(inputs, 41, 30, np.random.default_rng(2))
    dense, first = Dense(layer, inputs, LOW, HIGH), x.shape[2] // 3
    expected = reference_dense(layer, x, LOW, HIGH)
    assert (dense(x) == expected).all()
    [in_threads] = parallel.run(lambda x: dense(x[..., :first], x[..., first:]), [x], 3)
    assert (in_threads == expected).all()


def test_dense_with_a_pixel_shuffle() -> None:
    """Outputs `(C, 2, 2)` of a position become a square of four positions."""
    layer, inputs, x = dense_case(3)
    dense = Dense(layer, inputs, LOW, HIGH, shuffle=True)
    plain = reference_dense(layer, x, LOW, HIGH)
    out = dense(x)
    assert out.shape == (18, 14, 10)
    for row, column, channel in np.ndindex(out.shape):
        part = 4 * channel + 2 * (row % 2) + column % 2
        assert out[row, column, channel] == plain[row // 2, column // 2, part]
    assert (out >= dense.range.low).all()
    assert (out <= dense.range.high).all()


@pytest.mark.parametrize("make", [dense_case, depthwise_case])
def test_outputs_stay_in_the_stated_range(make: Callable[[int], tuple[Integers, Range, Floats]]) -> None:
    """The range of a layer is the input range of the next, so it must hold, and be tight for 1x1."""
    layer, inputs, x = make(5)
    stated = layer.output(inputs)
    kind, reference = (Dense, reference_dense) if make is dense_case else (Depthwise, reference_depthwise)
    out = reference(layer, x, -EXACT, EXACT)
    assert (out >= stated.low).all()
    assert (out <= stated.high).all()
    clipped = kind(layer, inputs, -5, 11).range
    assert clipped.low.min() >= -5
    assert clipped.high.max() <= 11
    if make is dense_case:  # the extreme inputs reach the ends
        weight = layer.weight.astype(np.int64)
        for row in range(len(weight)):
            top = np.where(weight[row] > 0, inputs.high, inputs.low).astype(np.float32)[None, None]
            assert reference_dense(layer, top, -EXACT, EXACT)[0, 0, row] == stated.high[row]
            low = np.where(weight[row] > 0, inputs.low, inputs.high).astype(np.float32)[None, None]
            assert reference_dense(layer, low, -EXACT, EXACT)[0, 0, row] == stated.low[row]


@pytest.mark.parametrize("make", [dense_case, depthwise_case])
def test_weights_beyond_the_bound_are_refused(
    make: Callable[[int], tuple[Integers, Range, Floats]],
) -> None:
    layer, inputs, _ = make(6)
    layer.output(inputs)
    layer.bias[2] += np.sign(layer.bias[2])
    with pytest.raises(ValueError, match="beyond the exact range"):
        layer.output(inputs)


@pytest.mark.parametrize("shift", [-1, 24])
def test_shifts_out_of_range_are_refused(shift: int) -> None:
    layer, inputs, _ = dense_case(7)
    layer.shift[0] = shift
    with pytest.raises(ValueError, match="shift"):
        Dense(layer, inputs, LOW, HIGH)


def test_the_order_of_the_inputs_does_not_matter() -> None:
    layer, inputs, x = dense_case(8)
    order = np.random.default_rng(0).permutation(x.shape[2])
    permuted = Integers(layer.weight[:, order], layer.bias, layer.shift)
    ranges = Range(inputs.low[order], inputs.high[order])
    expected = Dense(layer, inputs, LOW, HIGH)(x)
    assert (Dense(permuted, ranges, LOW, HIGH)(np.ascontiguousarray(x[..., order])) == expected).all()


def test_split_inputs_and_split_rows_give_the_same() -> None:
    layer, inputs, x = dense_case(9)
    dense = Dense(layer, inputs, LOW, HIGH)
    expected = dense(x)
    assert (dense(x[..., :31], x[..., 31:50], x[..., 50:]) == expected).all()
    for cut in (1, 4):
        assert (np.concatenate((dense(x[:cut]), dense(x[cut:]))) == expected).all()
    single = [dense(x[i : i + 1, j : j + 1]) for i in range(x.shape[0]) for j in range(x.shape[1])]
    assert (np.stack(single).reshape(expected.shape) == expected).all()


def test_the_number_of_threads_does_not_matter() -> None:
    layer, inputs, _ = dense_case(10, channels=288, outputs=256)
    x = inputs_at_the_edge(inputs, 64, 48, np.random.default_rng(0))
    dense = Dense(layer, inputs, LOW, HIGH)
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            results.append(dense(x))
    assert (results[0] == results[1]).all()
    assert (results[0] == reference_dense(layer, x, LOW, HIGH)).all()


def test_a_sum_beyond_the_bound_would_be_wrong() -> None:
    """Why the bound is there: one more bit and float32 loses it."""
    assert np.float32(EXACT - 1) + np.float32(1) == EXACT
    assert np.float32(EXACT) + np.float32(1) == EXACT
