"""The integer prior against a second implementation in 64-bit integers, and against itself as a reader."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from threadpoolctl import threadpool_limits

from neuralcodec import weights
from neuralcodec.entropy.coder import SYMBOL_LIMIT, SymbolReader, SymbolWriter
from neuralcodec.entropy.prior import IntegerPrior
from neuralcodec.entropy.tables import SCALE_COUNT, SILENT_INDEX
from neuralcodec.errors import DamagedFileError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Exchange = tuple[npt.NDArray[np.int32] | None, npt.NDArray[np.uint8]]
Arrays = dict[str, npt.NDArray[Any]]

SIZES = [(1, 1), (4, 4), (5, 7), (32, 32)]


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return dict(weights.read(weights.by_name("conv")).arrays)


@pytest.fixture(scope="module")
def prior(arrays: Arrays) -> IntegerPrior:
    return IntegerPrior(arrays)


def latents(arrays: Arrays, height: int, width: int, seed: int, spread: float) -> tuple[Floats, Floats]:
    """y and z with fractions of 1/64, so that no rounding is a matter of precision."""
    rng = np.random.default_rng((seed, height, width))
    rows, columns = -(-height // 4), -(-width // 4)
    channels = len(arrays["exact.steps.0.head.bias"]) // 2

    def draw(*shape: int) -> Floats:
        x = rng.laplace(0, spread, shape)
        return (np.rint(x * 64) / 64).astype(np.float32)

    y = draw(4 * rows, 4 * columns, channels)
    y[height:], y[:, width:] = 0, 0
    return y, draw(rows, columns, arrays["z.mean"].shape[1])


class Recorder(SymbolWriter):
    """A writer that remembers what it was given."""

    def __init__(self, prior: IntegerPrior) -> None:
        super().__init__(prior.tables)
        self.calls: list[Exchange] = []

    def exchange(
        self, symbols: npt.NDArray[np.int32] | None, index: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.int32]:
        seen = super().exchange(symbols, index)
        self.calls.append((seen, index.copy()))
        return seen


# ---- the second implementation: the specification in int64, nothing shared with the code under test -------


def layer(arrays: Arrays, name: str, x: Ints, low: int, high: int) -> Ints:
    weight, bias, shift = (arrays[f"exact.{name}.{p}"].astype(np.int64) for p in ("weight", "bias", "shift"))
    if "blur" in name or "spatial" in name:
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        height, width = x.shape[:2]
        taps = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
        total = np.stack(taps, -1) * weight
        return ((total.sum(-1) + bias) >> shift).clip(low, high)
    return ((x @ weight.T + bias) >> shift).clip(low, high)


def shuffled(x: Ints) -> Ints:
    """Channels `(C, 2, 2)` of a position to a square of positions."""
    height, width, channels = x.shape
    parts = x.reshape(height, width, channels // 4, 2, 2)
    out = np.empty((2 * height, 2 * width, channels // 4), np.int64)
    for i in range(2):
        for j in range(2):
            out[i::2, j::2] = parts[..., i, j]
    return out


def settle(value: Floats, mean: Ints, index: Ints) -> tuple[Ints, Ints]:
    """Symbols, and decoded values in sixteenths."""
    distance = np.rint(value.astype(np.float64) - mean / 16)
    symbols = distance.clip(-SYMBOL_LIMIT, SYMBOL_LIMIT).astype(np.int64)
    symbols[index == SILENT_INDEX] = 0
    return symbols, 16 * symbols + mean


def reference(
    arrays: Arrays, quality: int, size: tuple[int, int], y: Floats, z: Floats
) -> tuple[list[tuple[Ints, Ints]], Ints]:
    """Symbols and scale indices of each of the five groups in coding order; y_hat in sixteenths."""
    height, width = size
    z_mean = np.broadcast_to(arrays["z.mean"][quality].astype(np.int64), z.shape)
    z_index = np.broadcast_to(arrays["z.index"][quality].astype(np.int64), z.shape)
    symbols, z_hat = settle(z, z_mean, z_index)
    coded = [(symbols.ravel(), z_index.ravel())]

    x = layer(arrays, "hyper_out", z_hat.clip(-8192, 8192), 0, 1024)
    x = shuffled(layer(arrays, "hyper_up1", x, 0, 1024))
    x = layer(arrays, "hyper_blur1", x, -8192, 8192)
    x = layer(arrays, "hyper_mid", x, 0, 1024)
    x = shuffled(layer(arrays, "hyper_up2", x, 0, 1024))
    features = layer(arrays, "hyper_blur2", x, -1024, 1024)

    channels = y.shape[2]
    quarter = channels // 4
    y_hat = np.zeros(y.shape, np.int64)
    for step in range(4):
        x = np.concatenate((features, y_hat.clip(-8192, 8192)), axis=2)
        x = layer(arrays, f"steps.{step}.mix", x, 0, 1024)
        x = layer(arrays, f"steps.{step}.spatial", x, -8192, 8192)
        x = layer(arrays, f"steps.{step}.expand", x, 0, 1024)
        out = layer(arrays, f"steps.{step}.head", x, -(2**40), 2**40)
        means = out[..., :channels].clip(-(2**17), 2**17)
        indices = out[..., channels:].clip(0, SCALE_COUNT - 1)
        means[height:], means[:, width:] = 0, 0
        indices[height:], indices[:, width:] = 0, 0
        step_symbols, step_indices = [], []
        decoded = y_hat.copy()
        for place in range(4):
            i, j = divmod(place, 2)
            group = slice((place ^ step) * quarter, ((place ^ step) + 1) * quarter)
            at = (slice(i, None, 2), slice(j, None, 2), group)
            symbols, decoded[at] = settle(y[at], means[at], indices[at])
            step_symbols.append(symbols.ravel())
            step_indices.append(indices[at].ravel())
        y_hat = decoded
        coded.append((np.concatenate(step_symbols), np.concatenate(step_indices)))
    return coded, y_hat[:height, :width]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("quality", "spread"), [(0, 0.7), (37, 3.0), (100, 40.0)])
def test_equals_64_bit_integers(
    arrays: Arrays, prior: IntegerPrior, size: tuple[int, int], quality: int, spread: float
) -> None:
    """Symbols, scale indices and y_hat of both implementations are the same numbers."""
    y, z = latents(arrays, *size, seed=quality, spread=spread)
    recorder = Recorder(prior)
    y_hat = prior.code(recorder, quality, *size, (y, z))
    coded, expected = reference(arrays, quality, size, y, z)
    assert len(recorder.calls) == len(coded) == 5
    for (symbols, index), (reference_symbols, reference_index) in zip(recorder.calls, coded, strict=True):
        assert (index == reference_index).all()
        assert (symbols == reference_symbols).all()
    assert y_hat.shape == (*size, y.shape[2])
    assert (y_hat.astype(np.float64) * 16 == expected).all()


def test_equals_64_bit_integers_on_extreme_latents(arrays: Arrays, prior: IntegerPrior) -> None:
    """Values far beyond every clip: the bound of the sums has to hold here too."""
    rng = np.random.default_rng(5)
    y, z = latents(arrays, 8, 8, seed=1, spread=1.0)
    extremes = np.array([-600_000, -8192, -512, 0, 512, 8192, 600_000], np.float32)
    y = np.where(rng.random(y.shape) < 0.5, y, rng.choice(extremes, y.shape)).astype(np.float32)
    z = np.where(rng.random(z.shape) < 0.5, z, rng.choice(extremes, z.shape)).astype(np.float32)
    writer = SymbolWriter(prior.tables)
    y_hat = prior.code(writer, 50, 8, 8, (y, z))
    _, expected = reference(arrays, 50, (8, 8), y, z)
    assert (y_hat.astype(np.float64) * 16 == expected).all()
    reader = SymbolReader(prior.tables, writer.finish())
    assert (prior.code(reader, 50, 8, 8) == y_hat).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("quality", "threads"), [(0, (1, 2)), (37, (2, 2)), (100, (2, 1))])
def test_a_reader_sees_what_the_writer_saw(
    arrays: Arrays, prior: IntegerPrior, size: tuple[int, int], quality: int, threads: tuple[int, int]
) -> None:
    y, z = latents(arrays, *size, seed=2, spread=4.0)
    with threadpool_limits(threads[0], "blas"):
        writer = SymbolWriter(prior.tables)
        written = prior.code(writer, quality, *size, (y, z))
    with threadpool_limits(threads[1], "blas"):
        reader = SymbolReader(prior.tables, writer.finish())
        read = prior.code(reader, quality, *size)
    assert read.dtype == np.float32
    assert read.tobytes() == written.tobytes()


def test_the_decoded_is_near_the_latent(arrays: Arrays, prior: IntegerPrior) -> None:
    """Half a step away at most, where the scale is not silent."""
    y, z = latents(arrays, 12, 8, seed=3, spread=3.0)
    recorder = Recorder(prior)
    y_hat = prior.code(recorder, 60, 12, 8, (y, z))
    loud = np.zeros(y.shape, bool)
    quarter = y.shape[2] // 4
    for step, (_, index) in enumerate(recorder.calls[1:]):
        parts = index.reshape(4, 6, 4, quarter)
        for place in range(4):
            i, j = divmod(place, 2)
            group = (place ^ step) * quarter
            loud[i::2, j::2, group : group + quarter] = parts[place] != SILENT_INDEX
    assert loud.any()
    assert np.abs(y_hat - y)[loud].max() <= 0.5


def test_what_lies_beyond_the_tile_costs_nothing(arrays: Arrays, prior: IntegerPrior) -> None:
    """Two tiles that differ in the padding alone give the same y_hat, and never more bytes."""
    y, z = latents(arrays, 5, 7, seed=4, spread=3.0)
    changed = y.copy()
    changed[5:], changed[:, 7:] = 9, -9
    segments, decoded = [], []
    for values in (y, changed):
        writer = SymbolWriter(prior.tables)
        decoded.append(prior.code(writer, 50, 5, 7, (values, z)))
        segments.append(writer.finish())
    assert segments[0] == segments[1]
    assert (decoded[0] == decoded[1]).all()


def test_damaged_segments(arrays: Arrays, prior: IntegerPrior) -> None:
    """Wrong latents or DamagedFileError, and every number stays finite and in its range."""
    rng = np.random.default_rng(6)
    y, z = latents(arrays, 8, 8, seed=5, spread=3.0)
    writer = SymbolWriter(prior.tables)
    prior.code(writer, 50, 8, 8, (y, z))
    segment = np.frombuffer(writer.finish(), np.uint8)
    read = 0
    for _ in range(20):
        damaged = segment.copy()
        damaged[rng.integers(len(damaged), size=3)] = rng.integers(0, 256, 3)
        damaged = damaged[: rng.integers(1, len(damaged) + 1)]
        try:
            y_hat = prior.code(SymbolReader(prior.tables, damaged.tobytes()), 50, 8, 8)
        except DamagedFileError:
            continue
        read += 1
        assert np.abs(y_hat).max() <= SYMBOL_LIMIT + 2**17 / 16
        assert (y_hat * 16 == np.rint(y_hat * 16)).all()
    assert read


@pytest.mark.parametrize("name", ["hyper_mid", "steps.2.spatial", "steps.3.head"])
def test_arrays_that_break_the_bound_are_refused(arrays: Arrays, name: str) -> None:
    broken = dict(arrays)
    broken[f"exact.{name}.weight"] = np.full_like(arrays[f"exact.{name}.weight"], 2**15 - 1)
    with pytest.raises(ValueError, match="beyond the exact range"):
        IntegerPrior(broken)
