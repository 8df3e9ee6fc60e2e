"""Segments: what is written is read, at the ideal length; damage gives one kind of error."""

import contextlib
import random
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt
import pytest

from neuralcodec.entropy.coder import SYMBOL_LIMIT, SymbolReader, SymbolSampler, SymbolWriter
from neuralcodec.entropy.tables import SCALE_COUNT, SILENT_INDEX, TOTAL, gaussian_tables
from neuralcodec.errors import DamagedFileError

TABLES = gaussian_tables()
Symbols = npt.NDArray[np.int32]
Index = npt.NDArray[np.uint8]


def draw(count: int, seed: int, *, spread: float = 1.0) -> tuple[Symbols, Index]:
    """Symbols that are distributed as their tables say, or `spread` times as wide."""
    rng = np.random.default_rng(seed)
    index = rng.integers(0, SCALE_COUNT, count).astype(np.uint8)
    scale = 0.11 * np.exp(0.1 * index) * spread
    symbols = np.rint(rng.normal(size=count) * scale).astype(np.int32)
    return np.where(index == SILENT_INDEX, 0, symbols), index


def write(*batches: tuple[Symbols, Index]) -> bytes:
    writer = SymbolWriter(TABLES)
    for symbols, index in batches:
        seen = writer.exchange(symbols.copy(), index)
        assert seen.dtype == np.int32
        assert (seen == symbols).all()
    return writer.finish()


def assert_reads(segment: bytes, *batches: tuple[Symbols, Index]) -> None:
    reader = SymbolReader(TABLES, segment)
    for symbols, index in batches:
        assert (reader.exchange(None, index) == symbols).all()


@pytest.mark.parametrize("count", [0, 1, 2, 63, 5000])
def test_round_trip(count: int) -> None:
    batches = [draw(count, seed) for seed in range(3)]
    assert_reads(write(*batches), *batches)


def test_round_trip_of_escapes() -> None:
    """Values up to ±2^19 next to usual ones, in tables of every width but the silent one."""
    symbols, index = draw(4000, 1, spread=8)
    index[index == SILENT_INDEX] = 1
    symbols[::97] = SYMBOL_LIMIT
    symbols[5::97] = -SYMBOL_LIMIT
    for place, table in enumerate(range(1, SCALE_COUNT)):  # both sides of the border of each table
        radius = int(TABLES.radius[table])
        index[4 * place : 4 * place + 4] = table
        symbols[4 * place : 4 * place + 4] = (radius, -radius, radius + 1, -radius - 1)
    batches = [(symbols, index), draw(100, 2)]
    assert_reads(write(*batches), *batches)


def test_symbols_beyond_the_limit_are_clipped_for_both_sides() -> None:
    index = np.full(3, 5, np.uint8)
    writer = SymbolWriter(TABLES)
    seen = writer.exchange(np.array([SYMBOL_LIMIT + 7, -SYMBOL_LIMIT - 1, 0], np.int32), index)
    assert seen.tolist() == [SYMBOL_LIMIT, -SYMBOL_LIMIT, 0]
    assert (SymbolReader(TABLES, writer.finish()).exchange(None, index) == seen).all()


def test_silent_symbols_cost_nothing_and_are_zero_for_both_sides() -> None:
    index = np.full(10_000, SILENT_INDEX, np.uint8)
    writer = SymbolWriter(TABLES)
    seen = writer.exchange(np.arange(10_000, dtype=np.int32), index)
    assert not seen.any()
    segment = writer.finish()
    assert segment == b"\0"
    assert not SymbolReader(TABLES, segment).exchange(None, index).any()


def test_the_writer_leaves_its_arguments_alone() -> None:
    index = np.zeros(4, np.uint8)
    symbols = np.arange(4, dtype=np.int32)
    SymbolWriter(TABLES).exchange(symbols, index)
    assert symbols.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [0, 10, 1000, 50_000])
def test_size_is_near_the_ideal(count: int) -> None:
    symbols, index = draw(count, 3)
    segment = write((symbols, index))
    ideal = TABLES.bits(symbols, index).sum() / 8
    assert ideal - 8 <= len(segment) <= 1.01 * ideal + 64


def test_each_end_has_its_direction() -> None:
    index = np.ones(1, np.uint8)
    with pytest.raises(ValueError, match="needs symbols"):
        SymbolWriter(TABLES).exchange(None, index)
    with pytest.raises(ValueError, match="takes no symbols"):
        SymbolReader(TABLES, b"\0").exchange(np.zeros(1, np.int32), index)


def try_to_read(segment: bytes, *indices: Index) -> bool:
    """Whether a segment is read without complaint. Any other exception, a panic included, fails the test."""
    try:
        reader = SymbolReader(TABLES, segment)
        for index in indices:
            symbols = reader.exchange(None, index)
            assert symbols.shape == index.shape
            assert np.abs(symbols).max(initial=0) <= SYMBOL_LIMIT
    except DamagedFileError:
        return False
    return True


def test_damage_gives_one_kind_of_error() -> None:
    """Mutations, cuts and noise: wrong symbols or DamagedFileError, whatever the bytes."""
    rng = random.Random(4)
    batches = [draw(300, seed, spread=2) for seed in (5, 6)]
    indices = [index for _, index in batches]
    segment = write(*batches)
    outcomes = set()
    for _ in range(400):
        damaged = bytearray(segment)
        for _ in range(rng.choice((1, 1, 3, 20))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        if rng.random() < 0.3:
            damaged = damaged[: rng.randrange(len(damaged))]
        outcomes.add(try_to_read(bytes(damaged), *indices))
    for _ in range(400):
        outcomes.add(try_to_read(rng.randbytes(rng.randrange(200)), *indices))
    assert outcomes == {True, False}


@pytest.mark.parametrize(
    "segment",
    [
        b"",
        b"\x80",  # a varint without end
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\x7f",  # claims 2^35 escapes
        b"\x05\x01",  # fewer escapes than claimed
        b"\x00" + b"\xff" * 40,  # the highest quantile each time: only escapes, none there
    ],
)
def test_malformed_segments_are_refused(segment: bytes) -> None:
    assert not try_to_read(segment, np.full(20, 9, np.uint8))


def test_an_escape_beyond_the_limit_is_refused() -> None:
    index = np.full(1, 9, np.uint8)
    good = write((np.array([SYMBOL_LIMIT], np.int32), index))
    assert try_to_read(good, index)
    assert good[:4] == b"\x01\x80\x80\x40"  # one escape, zigzag 2^20
    assert not try_to_read(b"\x01\x82\x80\x40" + good[4:], index)


def test_an_empty_batch_of_a_damaged_segment() -> None:
    assert try_to_read(b"\0", np.zeros(0, np.uint8))


# ---- a decoder written from docs/format.md, to pin what the specification says of the range coder ---------


def entries_of(segment: bytes, indices: list[int]) -> list[int]:
    """Table entries in the order of coding, by the arithmetic of the specification alone."""
    starts = np.concatenate(([0], np.cumsum(2 * TABLES.radius + 2))).tolist()
    edges: dict[int, list[int]] = {}
    for table in set(indices):
        counts = TABLES.counts[starts[table] : starts[table + 1]].tolist()
        scale, total, edges[table] = np.float32(2**24 - len(counts)), 0, []
        for entry, count in enumerate(counts):
            edges[table].append(entry + int(np.float32(total / TOTAL) * scale))
            total += count
        edges[table].append(2**24)

    segment += bytes(-len(segment) % 4)
    words = iter(int.from_bytes(segment[at : at + 4], "little") for at in range(0, len(segment), 4))
    mask, low, width = 2**64 - 1, 0, 2**64 - 1
    point = next(words, 0) << 32 | next(words, 0)
    entries = []
    for table in indices:
        unit = width >> 24
        share = ((point - low) & mask) // unit
        entry = int(np.searchsorted(edges[table], share, side="right")) - 1
        entries.append(entry)
        low = (low + unit * edges[table][entry]) & mask
        width = unit * (edges[table][entry + 1] - edges[table][entry])
        if width < 2**32:
            low, width = low << 32 & mask, width << 32
            point = (point << 32 & mask) | next(words, 0)
    return entries


def test_the_specified_arithmetic_reads_a_segment() -> None:
    symbols, index = draw(3000, 7)
    segment = write((symbols, index))
    order = [i for table in range(1, SCALE_COUNT) for i in np.flatnonzero(index == table).tolist()]
    radius = TABLES.radius[index]
    inside = np.abs(symbols) <= radius
    expected = np.where(inside, symbols + radius, 2 * radius + 1)[order].tolist()
    # Here every escape fits one byte of varint: the count, then as many bytes.
    escapes = int((~inside).sum())
    assert escapes == segment[0] < 128
    assert entries_of(segment[1 + escapes :], index[order].tolist()) == expected


def test_portable_models_only() -> None:
    """The conversion of tables must stay the one that uses IEEE basic operations alone."""
    model: Any = TABLES.models[20]
    symbols = np.arange(2 * int(TABLES.radius[20]) + 2, dtype=np.int32)
    encoder = constriction.stream.queue.RangeEncoder()
    encoder.encode(symbols, model)
    words = np.asarray(encoder.get_compressed()).astype("<u4").tobytes()
    assert entries_of(words, [20] * len(symbols)) == symbols.tolist()


# ---- drawing ---------------------------------------------------------------------------------------------


def entropies() -> npt.NDArray[np.float64]:
    """Of each table, in bits; nothing is coded with the silent one."""
    shares = [np.float64(share) for share in TABLES.shares()]
    bits = np.array([-(share * np.log2(share)).sum() for share in shares])
    bits[SILENT_INDEX] = 0
    return bits


def test_samples_have_the_shares_of_their_table() -> None:
    count, table = 200_000, 22
    drawn = SymbolSampler(TABLES, np.random.default_rng(1)).exchange(None, np.full(count, table, np.uint8))
    radius = int(TABLES.radius[table])
    start = TABLES.starts[table]
    expected = TABLES.counts[start : start + 2 * radius + 1] / TOTAL
    seen = np.bincount(drawn[np.abs(drawn) <= radius] + radius, minlength=2 * radius + 1) / count
    np.testing.assert_allclose(seen, expected, atol=5 * np.sqrt(expected.max() / count))


def test_the_mean_code_length_of_samples_is_the_entropy() -> None:
    index = np.random.default_rng(0).integers(0, SCALE_COUNT, 400_000).astype(np.uint8)
    sampler = SymbolSampler(TABLES, np.random.default_rng(1))
    drawn = sampler.exchange(None, index)
    entropy = entropies()[index].sum()
    assert TABLES.bits(drawn, index).sum() == pytest.approx(entropy, rel=0.003)
    # And so is the length of the segment, but for the values of escapes.
    assert 8 * len(sampler.finish()) == pytest.approx(entropy, rel=0.005)


def test_a_sample_is_a_segment_that_a_reader_reads() -> None:
    batches = [draw(3000, seed)[1] for seed in range(3)]
    sampler = SymbolSampler(TABLES, np.random.default_rng(4), temperature=1.3)
    drawn = [sampler.exchange(None, index) for index in batches]
    assert_reads(sampler.finish(), *zip(drawn, batches, strict=True))


def test_to_read_random_bits_is_to_draw() -> None:
    """What a reader makes of noise has the same mean code length; a little noise is no segment at all."""
    index = np.full(50, 30, np.uint8)
    source, read = random.Random(0), []
    for _ in range(1000):
        with contextlib.suppress(DamagedFileError):
            read.append(SymbolReader(TABLES, b"\0" + source.randbytes(60)).exchange(None, index))
    assert len(read) > 950
    long = np.full(50_000, 30, np.uint8)
    drawn = SymbolSampler(TABLES, np.random.default_rng(0)).exchange(None, long)
    bits = TABLES.bits(np.concatenate(read), np.full(50 * len(read), 30, np.uint8)).mean()
    assert bits == pytest.approx(TABLES.bits(drawn, long).mean(), rel=0.01)


def test_temperature_and_seed() -> None:
    index = draw(5000, 3)[1]

    def spread(temperature: float, seed: int = 7) -> Symbols:
        return SymbolSampler(TABLES, np.random.default_rng(seed), temperature).exchange(None, index)

    assert (spread(1) == spread(1)).all()
    assert (spread(1) != spread(1, seed=8)).any()
    widths = [np.abs(spread(temperature)).mean() for temperature in (0.01, 0.5, 1, 2)]
    assert widths == sorted(widths)
    assert widths[0] < 0.1 * widths[2]


def test_a_sampler_takes_no_symbols() -> None:
    with pytest.raises(ValueError, match="takes no symbols"):
        SymbolSampler(TABLES, np.random.default_rng(0)).exchange(np.zeros(1, np.int32), np.zeros(1, np.uint8))
