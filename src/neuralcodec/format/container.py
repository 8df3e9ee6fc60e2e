"""The `.nc` file: a header, then chunks, each with a type, a length and a checksum.

`docs/format.md` is the specification. Nothing here knows of models or pixels: tiles and alpha are opaque
bytes. Only the standard library is imported, so that reading a header costs nothing.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format.chunks import ALPHA, END, EXIF, ICC, TILE, XMP, Chunk, parse_chunks, write_chunk
from neuralcodec.format.header import Header, parse_header, write_header
from neuralcodec.format.varint import parse_varint

# Chunk types that fill a field of `Container` and come once; this is also their order.
_FIELDS = {ALPHA: "alpha", ICC: "icc", EXIF: "exif", XMP: "xmp"}
_HEADER_BYTES = 24  # always hold the whole header
_CHUNK_HEAD_BYTES = 6  # type, and the longest varint there is
_ALPHA_MISMATCH = "the alpha flag of the header and the alpha chunk must come together"


@dataclass(frozen=True)
class Limits:
    """The most that a file may ask for, so that a few hostile bytes cannot claim all memory.

    Args:
        max_pixels: width × height, each of which counts as at least `MIN_SIDE`.
        max_metadata: bytes of each of ICC, EXIF and XMP, after decompression.
    """

    max_pixels: int = 2**28
    max_metadata: int = 16 * 2**20

    @property
    def max_bytes(self) -> int:
        """The most bytes of an input: four channels of 16 bits for `max_pixels`, and 64 MiB of metadata."""
        return 8 * self.max_pixels + 2**26


DEFAULT_LIMITS = Limits()
#: Pixels that a shorter side counts as against the limit, since its latent stands for that many.
MIN_SIDE = 16
#: The most bytes of a coded tile for each pixel of a full one: 40 bits a symbol are possible.
_TILE_BYTES = 4


@dataclass
class Container:
    """A parsed file.

    Args:
        header: see `Header`.
        tiles: payloads of the tile chunks in raster order, one stage or layer after another.
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

    @property
    def layers(self) -> int:
        """The number of whole stages or layers that the tiles are."""
        return len(self.tiles) // self.header.tile_count


class Outline(NamedTuple):
    """The header and the metadata of a file; a field is None if there is no such metadata."""

    header: Header
    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None


def _inflate(payload: bytes, limit: int) -> bytes:
    """Decompress to at most `limit` bytes: the rest of a bomb is never expanded."""
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
    """Return the file as bytes: header, tiles, alpha, ICC, EXIF, XMP, end.

    Tiles in stages, and those of a second layer, stand behind XMP.

    Raises:
        UsageError: a field is out of its range, or the parts do not fit the header.
    """
    header = write_header(container.header)
    if problem := _count_problem(container.header, len(container.tiles)):
        raise UsageError(problem)
    if container.header.alpha != (container.alpha is not None):
        raise UsageError(_ALPHA_MISMATCH)

    tiles = [(TILE, number, tile) for number, tile in enumerate(container.tiles)]
    chunks: list[tuple[str, int, bytes]] = []
    for kind, name in _FIELDS.items():
        payload: bytes | None = getattr(container, name)
        if kind == ALPHA and payload is not None:
            chunks.append((kind, 0, payload))
        elif payload:
            if len(payload) > DEFAULT_LIMITS.max_metadata:
                raise UsageError(f"{name}: {len(payload)} bytes are more than an .nc file may hold")
            chunks.append((kind, 0, zlib.compress(payload, 9)))
    # With stages, a file may be cut anywhere behind the first, so what belongs to all of them comes first.
    first = 0 if container.header.codec.in_stages else container.header.tile_count
    chunks = [*tiles[:first], *chunks, *tiles[first:], (END, 0, b"")]
    for kind, _, payload in chunks:
        if len(payload) > (limit := _payload_limit(container.header, DEFAULT_LIMITS, kind)):
            raise UsageError(f"a chunk {kind!r} of {len(payload)} bytes, the limit is {limit}")

    header_crc = zlib.crc32(header)
    return header + b"".join(write_chunk(*chunk, header_crc) for chunk in chunks)


def read(data: bytes, *, limits: Limits = DEFAULT_LIMITS, strict: bool = True) -> Container:
    """Parse a file.

    Args:
        data: all bytes of the file.
        limits: what the file may ask for.
        strict: refuse any damage. Otherwise keep what is intact, and list in `Container.lost` and
            `Container.damage` what is not. Of a file in stages, only tiles before the first lost one stay.

    Raises:
        DamagedFileError: anything is wrong with `data`; no other error is ever raised. If not strict: no
            tile is intact, or the file is not ours, of a newer version, or beyond the limits.
    """
    header, start = parse_header(data)
    check_pixels(header.width, header.height, limits.max_pixels)
    container = Container(header, [])

    def report(message: str) -> None:
        if strict:
            raise DamagedFileError(message)
        container.damage.append(message)

    tiles: dict[int, bytes] = {}
    for chunk in parse_chunks(
        data,
        start,
        payload_limit=lambda kind: _payload_limit(header, limits, kind),
        number_limit=lambda kind: _number_limit(header, kind),
        damage=None if strict else container.damage,
    ):
        try:
            if chunk.kind == TILE:
                _take_tile(header, tiles, chunk)
            elif chunk.kind in _FIELDS:
                _take_field(container, chunk, limits)
        except DamagedFileError as error:
            report(f"{chunk} {error}")

    # Once damage is reported, do not also report missing chunks.
    if not container.damage and (problem := _count_problem(header, len(tiles))):
        report(problem)
    if not container.damage and header.alpha != (container.alpha is not None):
        report(_ALPHA_MISMATCH)
    _place_tiles(container, tiles)
    return container


def check_pixels(width: int, height: int, limit: int) -> None:
    """Refuse a picture of more pixels than the limit, before any memory is taken for them.

    Raises:
        DamagedFileError: there are more.
    """
    if max(width, MIN_SIDE) * max(height, MIN_SIDE) > limit:
        note = f" (a side counts as {MIN_SIDE} at least)" if width * height <= limit else ""
        raise DamagedFileError(f"the file claims {width}x{height} pixels, the limit is {limit}{note}")


def _payload_limit(header: Header, limits: Limits, kind: str) -> int:
    """Return the most bytes that a chunk's payload may have; compression may add a little to the data."""
    if kind == TILE:
        return _TILE_BYTES * header.tile**2
    if kind == END:
        return 0
    size = header.width * header.height if kind == ALPHA else limits.max_metadata
    return size + size // 1000 + 1024


def _number_limit(header: Header, kind: str) -> int:
    """Return how many chunks of a type there may be; 0 for types unknown here, accepted only in order."""
    if kind == TILE:
        return header.tile_count * max(header.stages, header.codec.layers)
    return 1 if kind in _FIELDS or kind == END else 0


def _take_tile(header: Header, tiles: dict[int, bytes], chunk: Chunk) -> None:
    if chunk.number >= _number_limit(header, TILE):
        raise DamagedFileError(f"is one too many: the picture needs {header.tile_count} tiles")
    if tiles.setdefault(chunk.number, chunk.payload) != chunk.payload:
        raise DamagedFileError("is not what an earlier chunk of this number is")


def _take_field(container: Container, chunk: Chunk, limits: Limits) -> None:
    name = _FIELDS[chunk.kind]
    if getattr(container, name) is not None:
        raise DamagedFileError("is there for the second time")
    plain = chunk.payload if chunk.kind == ALPHA else _inflate(chunk.payload, limits.max_metadata)
    setattr(container, name, plain)


def _place_tiles(container: Container, tiles: dict[int, bytes]) -> None:
    """Fill `container.tiles` and `.lost` from the intact tiles, given by number."""
    header = container.header
    if not tiles:
        # Only the checksum of an intact tile also vouches for the header.
        raise DamagedFileError("damaged file: no tile that could be decoded is intact")
    if header.codec.in_stages:
        # Every stage builds on those before it, so nothing behind the first lost chunk can be used.
        whole = next((number for number in range(len(tiles)) if number not in tiles), len(tiles))
        container.tiles = [tiles[number] for number in range(whole)]
    else:
        count = header.tile_count * (1 + max(tiles) // header.tile_count)
        container.tiles = [tiles.get(number, b"") for number in range(count)]
        container.lost = [number for number in range(count) if number not in tiles]


def _count_problem(header: Header, count: int) -> str | None:
    needed = header.tile_count * header.stages
    layers = range(needed, needed * header.codec.layers + 1, needed)
    if count not in layers:
        of = f" of {header.stages} stages" if header.codec.in_stages else ""
        return f"{header.width}x{header.height} pixels need {needed} tiles{of}, the file has {count}"
    return None


def read_header(data: bytes) -> Header:
    """Read the header alone; the first 24 bytes of a file are always enough.

    Only the checksums of the chunks that follow protect the header. So what this returns is not verified,
    and no limit is applied: use `read` before allocating anything by it.

    Raises:
        DamagedFileError: the bytes are no header of an `.nc` file.
    """
    return parse_header(data)[0]


def read_outline(stream: IO[bytes], *, limits: Limits = DEFAULT_LIMITS) -> Outline:
    """Read the header and the metadata of a file that can seek; skip the chunks of the pixels.

    Of a file that is cut short or damaged behind its header, this returns what it finds intact; only `read`
    tells that there is damage. No limit is applied to the size of the picture.

    Args:
        stream: at the first byte of the file.

    Raises:
        DamagedFileError: the stream does not begin with the header of an `.nc` file.
    """
    origin = stream.tell()

    def bytes_at(offset: int, size: int) -> bytes:
        stream.seek(origin + offset)
        return stream.read(size)

    header, at = parse_header(bytes_at(0, _HEADER_BYTES))
    header_crc = zlib.crc32(bytes_at(0, at))
    wanted = {kind: name for kind, name in _FIELDS.items() if kind != ALPHA}
    found: dict[str, bytes] = {}
    while head := bytes_at(at, _CHUNK_HEAD_BYTES):
        kind = chr(head[0])
        try:
            length, size = parse_varint(head, 1, "a chunk")
        except DamagedFileError:
            break
        end = at + size + length + 4
        if kind in wanted and length <= limits.max_metadata:
            chunk = bytes_at(at, end - at)
            if chunk == write_chunk(kind, 0, chunk[size:-4], header_crc):
                name = wanted.pop(kind)  # a second one is ignored, as a damaged one is
                with suppress(DamagedFileError):
                    found[name] = _inflate(chunk[size:-4], limits.max_metadata)
        elif kind == END:
            break
        at = end
    return Outline(header, found.get("icc"), found.get("exif"), found.get("xmp"))
