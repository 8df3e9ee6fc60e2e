"""The `.nc` file: a header, then chunks, each with a type, a length and a checksum.

`docs/format.md` is the specification. Nothing here knows of models or pixels: tiles and alpha are opaque
bytes. Only the standard library is imported, so that reading a header costs nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.header import CONV, GRU, Header, parse_header, write_header
from neuralcodec.varint import parse_varint, write_varint

# Chunk types. Those in `_FIELDS` fill a field of `Container` and come once; this is also their order.
_TILE, _ALPHA, _END = "T", "A", "Z"
_FIELDS = {_ALPHA: "alpha", "i": "icc", "e": "exif", "x": "xmp"}
_ALPHA_MISMATCH = "the alpha flag of the header and the alpha chunk must come together"


@dataclass(frozen=True)
class Limits:
    """What a file may ask for at most, so that a few hostile bytes cannot claim all memory."""

    max_pixels: int = 2**28
    max_metadata: int = 16 * 2**20  # bytes of each of ICC, EXIF and XMP, after decompression


DEFAULT_LIMITS = Limits()


@dataclass
class Container:
    """A parsed file.

    Args:
        header: see `Header`.
        tiles: payloads of the tile chunks, in file order: raster order for `CONV`.
        alpha: payload of the alpha chunk; there is one exactly when `header.alpha`.
        icc, exif, xmp: metadata, not compressed; an empty value is not stored.
        lost: indices of tiles that were damaged (their entry in `tiles` is `b""`); only `read(strict=False)`
            fills this and `damage`.
        damage: what was wrong with the file, one line each.
    """

    header: Header
    tiles: list[bytes]
    alpha: bytes | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    lost: list[int] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


class _Chunk(NamedTuple):
    kind: str
    offset: int
    payload: bytes | None = None  # None when the checksum fails

    def __str__(self) -> str:
        return f"chunk {self.kind!r} at byte {self.offset}"


def _write_chunk(kind: str, payload: bytes, header_crc: int) -> bytes:
    body = kind.encode("ascii") + write_varint(len(payload)) + payload
    return body + zlib.crc32(body, header_crc).to_bytes(4, "little")


def _parse_chunks(data: bytes, at: int, report: Callable[[str], None]) -> Iterator[_Chunk]:
    """Yields the chunks between the header and the end chunk; what is wrong goes to `report`.

    A chunk with a bad checksum still yields, without payload: its length is believed, and the next
    checksum tells whether that was right. Unknown optional chunks are skipped.
    """
    header_crc = zlib.crc32(data[:at])
    while at < len(data):
        chunk = _Chunk(chr(data[at]), at)
        try:
            length, start = parse_varint(data, at + 1, str(chunk))
        except DamagedFileError as error:
            return report(str(error))
        end = start + length
        at = end + 4
        if at > len(data):
            return report(f"the file is cut short: {chunk} goes up to byte {at}, the file to {len(data)}")
        if zlib.crc32(data[chunk.offset : end], header_crc) != int.from_bytes(data[end:at], "little"):
            report(f"damaged file: the checksum of {chunk} fails (the damage is there or in the header)")
            yield chunk
        elif chunk.kind == _END:
            if length or at < len(data):
                report(f"{length + len(data) - at} bytes too many behind {chunk}, which ends the file")
            return None
        elif chunk.kind == _TILE or chunk.kind in _FIELDS:
            yield chunk._replace(payload=data[start:end])
        elif not "a" <= chunk.kind <= "z":
            raise DamagedFileError(f"{chunk} is of a type this version does not know; a newer one may")
    return report(f"the file is cut short: it ends at byte {len(data)} without an end chunk")


def _inflate(payload: bytes, limit: int) -> bytes:
    """Decompresses to at most `limit` bytes: the rest of a bomb is never expanded."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(payload, limit + 1)
    except zlib.error as error:
        raise DamagedFileError(f"cannot be decompressed ({error})") from None
    if len(data) > limit:
        raise DamagedFileError(f"is larger than the limit of {limit} bytes")
    if not stream.eof or stream.unused_data:
        raise DamagedFileError("does not hold exactly one zlib stream")
    return data


def write(container: Container) -> bytes:
    """The file as bytes: header, tiles, alpha, ICC, EXIF, XMP, end.

    Raises:
        UsageError: a field is out of its range, or the parts do not fit the header.
    """
    header = write_header(container.header)
    if problem := _count_problem(container.header, len(container.tiles)):
        raise UsageError(problem)
    if container.header.alpha != (container.alpha is not None):
        raise UsageError(_ALPHA_MISMATCH)

    chunks = [(_TILE, tile) for tile in container.tiles]
    for kind, name in _FIELDS.items():
        payload: bytes | None = getattr(container, name)
        if kind == _ALPHA and payload is not None:
            chunks.append((kind, payload))
        elif payload:
            if len(payload) > DEFAULT_LIMITS.max_metadata:
                raise UsageError(f"{name}: {len(payload)} bytes are more than an .nc file may hold")
            chunks.append((kind, zlib.compress(payload, 9)))
    chunks.append((_END, b""))

    header_crc = zlib.crc32(header)
    return header + b"".join(_write_chunk(kind, payload, header_crc) for kind, payload in chunks)


def read(data: bytes, *, limits: Limits = DEFAULT_LIMITS, strict: bool = True) -> Container:
    """Parses a file.

    Args:
        data: all bytes of the file.
        limits: what the file may ask for.
        strict: refuse any damage. Otherwise keep what is intact and say in `Container.lost` and
            `Container.damage` what is not; of a `GRU` file, the tiles before the first damage are kept.

    Raises:
        DamagedFileError: for whatever is wrong with `data`; nothing else is ever raised. Not strict: when
            no tile is intact, or the file is not ours, of a newer version, or beyond the limits.
    """
    header, start = parse_header(data)
    if header.width * header.height > limits.max_pixels:
        size = f"{header.width}x{header.height}"
        raise DamagedFileError(f"the file claims {size} pixels, the limit is {limits.max_pixels}")
    container = Container(header, [])

    def report(message: str) -> None:
        if strict:
            raise DamagedFileError(message)
        container.damage.append(message)

    tiles: list[bytes | None] = []
    first_damage: int | None = None  # how many tiles came before it
    for chunk in _parse_chunks(data, start, report):
        if chunk.payload is None and first_damage is None:
            first_damage = len(tiles)
        if chunk.kind == _TILE:
            tiles.append(chunk.payload)
        elif chunk.payload is not None:
            name, payload = _FIELDS[chunk.kind], chunk.payload
            try:
                if getattr(container, name) is not None:
                    raise DamagedFileError("is there for the second time")
                is_plain = chunk.kind == _ALPHA
                setattr(container, name, payload if is_plain else _inflate(payload, limits.max_metadata))
            except DamagedFileError as error:
                report(f"{chunk} {error}")

    if header.alpha != (container.alpha is not None):
        report(_ALPHA_MISMATCH)
    _place_tiles(container, tiles, first_damage, report)
    return container


def _place_tiles(
    container: Container, tiles: list[bytes | None], first_damage: int | None, report: Callable[[str], None]
) -> None:
    """Fills `container.tiles` and `.lost` from the tiles in file order, where None is a damaged one."""
    header = container.header
    problem = _count_problem(header, len(tiles))
    if problem:
        report(problem)
    if problem or header.codec == GRU:
        # CONV: a damaged type or length hid a tile or invented one, so behind it no position is certain.
        # GRU: every stage builds on those before it, so nothing behind the first damage can be used.
        tiles = tiles[:first_damage]
    if header.codec == CONV:
        tiles = tiles[: header.tile_count] + [None] * (header.tile_count - len(tiles))
    if all(tile is None for tile in tiles):
        # The checksum of an intact tile is also what vouches for the header.
        raise DamagedFileError("damaged file: no tile that could be decoded is intact")
    container.tiles = [tile or b"" for tile in tiles]
    container.lost = [index for index, tile in enumerate(tiles) if tile is None]


def _count_problem(header: Header, count: int) -> str | None:
    if header.codec == CONV and count != header.tile_count:
        return f"{header.width}x{header.height} pixels need {header.tile_count} tiles, the file has {count}"
    return None if count else "the file has no tiles"


def read_header(data: bytes) -> Header:
    """The header alone; the first 24 bytes of a file are always enough.

    Checksums protect the header through the chunks that follow, so what this returns is not verified and
    no limit is applied: use `read` before allocating anything by it.

    Raises:
        DamagedFileError: the bytes are no header of an `.nc` file.
    """
    return parse_header(data)[0]
