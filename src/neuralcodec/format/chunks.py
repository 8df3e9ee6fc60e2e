"""The chunks of an `.nc` file: type, length, payload and a checksum that also gives the chunk's number.

The checksum covers the header and the number of the chunk among those of its type. The chunk stores neither,
so they cost no byte. A chunk can be identified wherever it is found, whatever is damaged before it: behind
damage, `parse_chunks` searches for the next chunk whose checksum fits, and goes on there.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from neuralcodec.errors import DamagedFileError
from neuralcodec.format.varint import parse_varint, write_varint

TILE, ALPHA, ICC, EXIF, XMP, END = "T", "A", "i", "e", "x", "Z"
_TYPES = "".join((TILE, ALPHA, ICC, EXIF, XMP, END)).encode()
#: A known type and, not consumed, the varint behind it.
_CANDIDATE = re.compile(rb"([%s])(?=([\x00-\x7f]|[\x80-\xff]{1,4}[\x01-\x7f]))" % _TYPES)
_CRC_BYTES = 4
#: Bytes that a search may put through the checksum, for each byte of the file. Damage takes about 20. Only
#: bytes made to look like many long chunks take more; on these the search gives up.
_SEARCH_EFFORT = 1000


def _undo_table() -> list[int]:
    """Tabulate what eight steps back of the CRC-32 shift register add, by its highest byte."""
    table = []
    for value in range(256):
        register = value << 24
        for _ in range(8):
            register = ((register ^ 0xEDB88320) << 1) | 1 if register >> 31 else register << 1
        table.append(register & 0xFFFFFFFF)
    return table


_UNDO = _undo_table()


class Chunk(NamedTuple):
    """A chunk whose checksum fits.

    Args:
        kind: its type.
        number: how many chunks of its type the writer put before it.
        offset: of its first byte in the file.
    """

    kind: str
    number: int
    offset: int
    payload: bytes

    def __str__(self) -> str:
        return _name(self.kind, self.offset)


class _Span(NamedTuple):
    """The place of a chunk: its type at `offset`, payload from `start` to `stop`, checksum up to `end`."""

    kind: str
    offset: int
    start: int
    stop: int
    end: int

    def __str__(self) -> str:
        return _name(self.kind, self.offset)


def _name(kind: str, offset: int) -> str:
    return f"chunk {kind!r} at byte {offset}"


def write_chunk(kind: str, number: int, payload: bytes, header_crc: int) -> bytes:
    """Return the bytes of a chunk; `header_crc` is the CRC-32 of the header."""
    body = kind.encode("ascii") + write_varint(len(payload)) + payload
    crc = zlib.crc32(number.to_bytes(4, "little"), zlib.crc32(body, header_crc))
    return body + crc.to_bytes(_CRC_BYTES, "little")


def parse_chunks(
    data: bytes,
    at: int,
    *,
    payload_limit: Callable[[str], int],
    number_limit: Callable[[str], int],
    damage: list[str] | None = None,
) -> Iterator[Chunk]:
    """Yield the chunks behind the header, which ends at `at`, except the end chunk.

    Args:
        payload_limit: bytes that the payload of a chunk of this type may have.
        number_limit: how many chunks of this type there may be.
        damage: None refuses any damage. Otherwise each damaged stretch gets a line in this list, and
            parsing goes on behind it; chunks may then come in any order, and twice.

    Raises:
        DamagedFileError: damage, where `damage` is None; or an intact critical chunk is of no known type.
    """
    reader = _Reader(data, at, payload_limit, number_limit)
    seen: Counter[str] = Counter()
    ended = False
    while at < len(data):
        try:
            if ended:
                raise DamagedFileError(f"{len(data) - at} bytes too many behind chunk {END!r}, the last")
            span = reader.span(at)
            number = reader.number(span)
            if number != seen[span.kind] and (damage is None or number >= number_limit(span.kind)):
                raise DamagedFileError(
                    f"damaged file: the checksum of {span} fails "
                    "(the damage is there, before it or in the header)"
                )
        except DamagedFileError as error:
            if damage is None:
                raise
            found = reader.search(at + 1)
            behind = "no intact chunk follows" if found is None else f"the next intact one is {found[0]}"
            damage.append(f"{error}; {behind}")
            if found is None:
                return
            span, number = found
        else:
            if number != seen[span.kind] and damage is not None:
                damage.append(
                    f"{span} is number {number} of its type, where number {seen[span.kind]} belongs"
                )
        seen[span.kind] = number + 1
        at = span.end
        ended = span.kind == END
        if span.kind.encode("latin-1") not in _TYPES and not "a" <= span.kind <= "z":
            raise DamagedFileError(f"{span} is of a type this version does not know; a newer one may")
        if not ended:
            yield Chunk(span.kind, number, span.offset, data[span.start : span.stop])
    if not ended:
        message = f"the file is cut short: it ends at byte {len(data)} without an end chunk"
        if damage is None:
            raise DamagedFileError(message)
        damage.append(message)


class _Reader:
    """A finder of chunks in the bytes of a file, in order or by their checksums."""

    def __init__(
        self,
        data: bytes,
        start: int,
        payload_limit: Callable[[str], int],
        number_limit: Callable[[str], int],
    ) -> None:
        self.data = data
        self.view = memoryview(data)
        self.header_crc = zlib.crc32(self.view[:start])
        self.payload_limit = payload_limit
        self.number_limit = number_limit
        self.effort = _SEARCH_EFFORT * len(data)

    def span(self, at: int) -> _Span:
        """Locate the chunk at `at` as its type and length say.

        Raises:
            DamagedFileError: it is longer than the file or than it may be.
        """
        kind = chr(self.data[at])
        name = _name(kind, at)
        length, start = parse_varint(self.data, at + 1, name)
        end = start + length + _CRC_BYTES
        if end > len(self.data):
            size = len(self.data)
            raise DamagedFileError(f"the file is cut short: {name} goes up to byte {end}, the file to {size}")
        if length > (limit := self.payload_limit(kind)):
            raise DamagedFileError(f"{name} has {length} bytes, the limit is {limit}")
        return _Span(kind, at, start, start + length, end)

    def number(self, span: _Span) -> int:
        """Derive a chunk's number from its checksum; if that is wrong, it is any number below 2^32."""
        crc = zlib.crc32(self.view[span.offset : span.stop], self.header_crc)
        stored = int.from_bytes(self.view[span.stop : span.end], "little")
        # The number was hashed as the last four bytes. Stepped back over these, the register differs by it.
        register = stored ^ 0xFFFFFFFF
        for _ in range(4):
            register = (register << 8) & 0xFFFFFFFF ^ _UNDO[register >> 24]
        return register ^ crc ^ 0xFFFFFFFF

    def search(self, at: int) -> tuple[_Span, int] | None:
        """Find the first intact chunk of a known type from `at` on; return it with its number.

        Where a chunk ends, another one or the end of the file must follow. Testing this first spares nearly
        all checksums. None means that there is no such chunk, or that the effort is spent.
        """
        size = len(self.data)
        limits = {kind: self.payload_limit(chr(kind)) for kind in _TYPES}
        for match in _CANDIDATE.finditer(self.data, at):
            length = 0
            for byte in reversed(match[2]):
                length = length << 7 | byte & 0x7F
            start = match.end(2)
            end = start + length + _CRC_BYTES
            if end > size or (end < size and self.data[end] not in _TYPES) or length > limits[match[1][0]]:
                continue
            self.effort -= length
            if self.effort < 0:
                return None
            span = _Span(match[1].decode(), match.start(), start, start + length, end)
            number = self.number(span)
            if number < self.number_limit(span.kind):
                return span, number
        return None
