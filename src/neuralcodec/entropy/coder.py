"""Symbols to bytes and back: constriction's range coder, with symbols grouped by table.

Grouping needs one call for each table instead of one for each symbol: about 14 ns a symbol. The writer, the
reader and the sampler share one method, `exchange`. So one function (`entropy.prior`) writes, reads and draws
a tile, and the three cannot drift apart.

A segment is a varint count of escapes, that many varints (the symbols, zigzag), then the words of the range
coder in little-endian order without the zero bytes at their end.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Protocol, TypeAlias

import constriction
import numpy as np
import numpy.typing as npt

from neuralcodec.entropy.tables import SILENT_INDEX, Index, Int32, Tables
from neuralcodec.errors import DamagedFileError
from neuralcodec.format.varint import parse_varint, write_varint

#: The encoder clips symbols beyond this; the decoder refuses them.
SYMBOL_LIMIT = 1 << 19

_WHERE = "the escaped symbols of a tile"


class SymbolCoder(Protocol):
    """One end of a segment: a writer, a reader or a sampler."""

    def exchange(self, symbols: Int32 | None, index: Index) -> Int32:
        """Code one symbol for each table number in `index` `(n,)`.

        A writer takes the symbols and returns what a reader will see. A reader and a sampler take None.
        """
        ...


class SymbolWriter:
    """Writes symbols to one segment."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._range = constriction.stream.queue.RangeEncoder()
        self._escapes: list[int] = []

    def exchange(self, symbols: Int32 | None, index: Index) -> Int32:
        if symbols is None:
            raise ValueError("a writer needs symbols")
        symbols = np.clip(symbols, -SYMBOL_LIMIT, SYMBOL_LIMIT)
        symbols[index == SILENT_INDEX] = 0
        order, groups = _grouped(index, len(self._tables.radius))
        arranged = symbols[order]
        radius = self._tables.radius[index[order]]
        entries = arranged + radius
        outside = np.flatnonzero(np.abs(arranged) > radius)
        self._escapes += arranged[outside].tolist()
        entries[outside] = 2 * radius[outside] + 1
        for table, start, end in groups:
            self._range.encode(entries[start:end], self._tables.models[table])
        return symbols

    def finish(self) -> bytes:
        """Return the segment."""
        head = write_varint(len(self._escapes)) + b"".join(write_varint(zigzag(s)) for s in self._escapes)
        words = np.asarray(self._range.get_compressed()).astype("<u4").tobytes()
        return head + words.rstrip(b"\0")


class SymbolReader:
    """Reads a segment back. A damaged one gives wrong symbols or raises DamagedFileError, nothing else."""

    def __init__(self, tables: Tables, segment: bytes) -> None:
        self._tables = tables
        count, offset = parse_varint(segment, 0, _WHERE)
        if count > len(segment):
            raise DamagedFileError("a tile claims more escaped symbols than it has bytes")
        escapes = array("q")  # at most eight bytes for each byte of the segment; a list would take 36
        for _ in range(count):
            value, offset = parse_varint(segment, offset, _WHERE)
            escapes.append((value >> 1) ^ -(value & 1))
        self._escapes = iter(escapes)
        words = segment[offset:]
        words += bytes(-len(words) % 4 + 4)
        self._range = constriction.stream.queue.RangeDecoder(np.frombuffer(words, "<u4").astype(np.uint32))

    def exchange(self, symbols: Int32 | None, index: Index) -> Int32:
        if symbols is not None:
            raise ValueError("a reader takes no symbols")
        order, groups = _grouped(index, len(self._tables.radius))
        radius = self._tables.radius[index[order]]
        entries = radius.copy()  # symbols of zero
        try:
            for table, start, end in groups:
                entries[start:end] = self._range.decode(self._tables.models[table], end - start)
        except AssertionError:
            raise DamagedFileError("a tile's data do not fit its probability tables") from None
        arranged = entries - radius
        for place in np.flatnonzero(arranged == radius + 1):
            value = next(self._escapes, None)
            if value is None or abs(value) > SYMBOL_LIMIT:
                raise DamagedFileError("a tile's escaped symbols are damaged")
            arranged[place] = value
        out = np.empty_like(arranged)
        out[order] = arranged
        return out


class SymbolSampler:
    """Draws symbols from the tables and writes them to a segment, as if a reader read random bits.

    It takes the place of a reader; a reader can read its segment.

    Args:
        rng: equal generators give equal symbols; at a temperature of 1, on every machine.
        temperature: probabilities are raised to the power of 1 / temperature. 1 draws by the tables as they
            are; below 1, likely symbols come even oftener. An escape is the first symbol beyond the table.
    """

    def __init__(self, tables: Tables, rng: np.random.Generator, temperature: float = 1.0) -> None:
        self._tables, self._rng, self._temperature = tables, rng, temperature
        self._writer = SymbolWriter(tables)

    def exchange(self, symbols: Int32 | None, index: Index) -> Int32:
        if symbols is not None:
            raise ValueError("a sampler takes no symbols")
        order, groups = _grouped(index, len(self._tables.radius))
        arranged = np.zeros(len(index), np.int32)
        for table, start, end in groups:
            arranged[start:end] = self._draw(table, end - start)
        out = np.empty_like(arranged)
        out[order] = arranged
        return self._writer.exchange(out, index)

    def _draw(self, table: int, count: int) -> Int32:
        radius, start = int(self._tables.radius[table]), self._tables.starts[table]
        counts = self._tables.counts[start : start + 2 * radius + 2].astype(np.float64)
        if self._temperature != 1:
            counts = (counts / counts.max()) ** (1 / self._temperature)
        total = np.cumsum(counts)
        entries = np.searchsorted(total, self._rng.random(count) * total[-1], side="right")
        symbols = entries.astype(np.int32) - radius
        escaped = entries == 2 * radius + 1
        return np.where(escaped & (self._rng.random(count) < 0.5), -symbols, symbols)

    def finish(self) -> bytes:
        """Return the segment."""
        return self._writer.finish()


#: Makes the sampler of a segment, from the tables and the number of the segment.
Draw: TypeAlias = Callable[[Tables, int], SymbolSampler]


class SilentCoder:
    """Stands in for a segment that does not exist: every symbol is zero, so every value is its mean."""

    def exchange(self, symbols: Int32 | None, index: Index) -> Int32:
        return np.zeros(len(index), np.int32)


def _grouped(index: Index, tables: int) -> tuple[npt.NDArray[np.intp], list[tuple[int, int, int]]]:
    """Return the order that sorts `index` by table, and of each table that is coded where its group is."""
    order = np.argsort(index, kind="stable")
    ends = np.cumsum(np.bincount(index, minlength=tables)).tolist()
    groups = [(table, ends[table - 1], ends[table]) for table in range(1, tables)]
    return order, [group for group in groups if group[1] < group[2]]


def zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1
