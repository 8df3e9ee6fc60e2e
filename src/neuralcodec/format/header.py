"""The header of an `.nc` file: one table of its fields, walked to write and to read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format.varint import parse_varint, write_varint

MAGIC = b"\x8eNC"
VERSION = 2


class Codec(NamedTuple):
    """A family of models, as the format knows it.

    Args:
        id: the number in headers.
        name: what users and weights files call it.
        stages: how many a file of quality 100 has. With more than one, the segments of a stage lie behind
            those of the stage before, and a file may be cut between any two.
        layers: how many a file may have, where the quality alone does not say how many it has. Those of the
            second lie behind those of the first, which is a picture by itself.
    """

    id: int
    name: str
    stages: int = 1
    layers: int = 1

    @property
    def in_stages(self) -> bool:
        return self.stages > 1

    def quality_of(self, stages: int) -> float:
        """Return the quality that stands for so many stages; the codec must have several."""
        return round(100 * (stages - 1) / (self.stages - 1), 2)


CONV, GRU = Codec(1, "conv", layers=2), Codec(2, "gru", stages=8)
#: Codecs by id. `coding/families/` says what each does.
CODECS = {codec.id: codec for codec in (CONV, GRU)}


def codec_named(name: str) -> Codec:
    """Look up a codec by its name.

    Raises:
        KeyError: there is none.
    """
    return {codec.name: codec for codec in CODECS.values()}[name]


class _Part(NamedTuple):
    """A number of the header: its name, its width, and the values it may have."""

    name: str
    bits: int
    values: Collection[int]

    def check(self, value: int) -> str | None:
        """Say what is wrong with a value; None if nothing is."""
        if value in self.values:
            return None
        if isinstance(self.values, range):
            return f"{value}, not {self.values[0]} to {self.values[-1]}"
        return f"{value}, not {' or '.join(map(str, self.values))}"


_VARINT = 0  # in place of a size in bytes

# What follows the magic, in order. Both directions walk this table, so they cannot drift apart. An entry
# is a size in bytes (big endian) and the parts that share those bytes, lowest bits first.
_LAYOUT: tuple[tuple[int, tuple[_Part, ...]], ...] = (
    (1, (_Part("version", 8, (VERSION,)),)),
    (1, (_Part("codec", 8, CODECS),)),
    (4, (_Part("weights_id", 32, range(2**32)),)),
    (_VARINT, (_Part("width", 35, range(1, 2**35)),)),
    (_VARINT, (_Part("height", 35, range(1, 2**35)),)),
    (_VARINT, (_Part("quality", 35, range(10001)),)),  # in hundredths
    (
        1,
        (
            _Part("tile", 4, range(6)),
            _Part("grey", 1, range(2)),
            _Part("alpha", 1, range(2)),
            _Part("reserved", 2, (0,)),
        ),
    ),
)
_TILE_SIZES = tuple(64 << n for n in range(6))  # pixels; the part `tile` holds the index

# How files begin that are often taken for ours, so that the message can name their format.
_FOREIGN = (
    (0, b"\x89PNG", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (8, b"WEBP", "WebP"),
    (4, b"ftypavif", "AVIF"),
    (0, b"GIF8", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"BM", "BMP"),
)


@dataclass(frozen=True)
class Header:
    """The facts of a picture that are known before any of it is decoded.

    Args:
        codec: the family of the model that wrote it.
        weights_id: the first 4 bytes of the SHA-256 of the weights that decode the file.
        width, height: in pixels, from 1.
        quality: 0 to 100, kept to two decimals.
        tile: side of a tile in pixels, a power of two from 64 to 2048.
        grey: one channel instead of three.
        alpha: the file carries an alpha plane.
    """

    codec: Codec
    weights_id: bytes
    width: int
    height: int
    quality: float
    tile: int
    grey: bool
    alpha: bool

    @property
    def stages(self) -> int:
        """The number of stages that the quality stands for, evenly from 1 to those of the codec."""
        return 1 + (_hundredths(self.quality) * (self.codec.stages - 1) + 5000) // 10000

    @property
    def quality_row(self) -> int:
        """The quality rounded to a whole number, half up: the row in tables by quality.

        In integers, so that it is the same on every machine.
        """
        return (_hundredths(self.quality) + 50) // 100

    @property
    def tiles_across(self) -> int:
        return -(-self.width // self.tile)

    @property
    def tiles_down(self) -> int:
        return -(-self.height // self.tile)

    @property
    def tile_count(self) -> int:
        return self.tiles_across * self.tiles_down


def _hundredths(quality: float) -> int:
    return round(100 * quality)


def _to_numbers(header: Header) -> dict[str, int]:
    if len(header.weights_id) != 4:
        raise UsageError(f"weights_id must have 4 bytes, not {len(header.weights_id)}")
    if header.tile not in _TILE_SIZES:
        raise UsageError(f"tile must be a power of two from 64 to 2048, not {header.tile}")
    if not 0 <= header.quality <= 100:
        raise UsageError(f"quality must be 0 to 100, not {header.quality}")
    return {
        **vars(header),
        "codec": header.codec.id,
        "quality": _hundredths(header.quality),
        "version": VERSION,
        "weights_id": int.from_bytes(header.weights_id, "big"),
        "tile": _TILE_SIZES.index(header.tile),
        "reserved": 0,
    }


def _from_numbers(numbers: dict[str, int]) -> Header:
    return Header(
        codec=CODECS[numbers["codec"]],
        weights_id=numbers["weights_id"].to_bytes(4, "big"),
        width=numbers["width"],
        height=numbers["height"],
        quality=numbers["quality"] / 100,
        tile=_TILE_SIZES[numbers["tile"]],
        grey=bool(numbers["grey"]),
        alpha=bool(numbers["alpha"]),
    )


def write_header(header: Header) -> bytes:
    numbers = _to_numbers(header)
    out = bytearray(MAGIC)
    for size, parts in _LAYOUT:
        word = shift = 0
        for part in parts:
            value = numbers[part.name]
            if problem := part.check(value):
                raise UsageError(f"{part.name} cannot be {problem}")
            word |= value << shift
            shift += part.bits
        out += write_varint(word) if size == _VARINT else word.to_bytes(size, "big")
    return bytes(out)


def parse_header(data: bytes) -> tuple[Header, int]:
    """Parse the header; return it and the offset of the first chunk."""
    _check_magic(data)
    numbers: dict[str, int] = {}
    at = len(MAGIC)
    for size, parts in _LAYOUT:
        start = at
        if size == _VARINT:
            word, at = parse_varint(data, at, "the header")
        else:
            at += size
            if at > len(data):
                raise DamagedFileError(f"the file is cut short: it ends at byte {len(data)}, in the header")
            word = int.from_bytes(data[start:at], "big")
        for part in parts:
            value = word & ((1 << part.bits) - 1)
            word >>= part.bits
            if problem := part.check(value):
                raise DamagedFileError(
                    f"{part.name} at byte {start} is {problem}: "
                    "the file is damaged, or another version of neuralcodec wrote it"
                )
            numbers[part.name] = value
    return _from_numbers(numbers), at


def _check_magic(data: bytes) -> None:
    if data.startswith(MAGIC):
        return
    if MAGIC.startswith(data):
        raise DamagedFileError(f"the file is cut short: it has {len(data)} bytes")
    for offset, signature, name in _FOREIGN:
        if data.startswith(signature, offset):
            raise DamagedFileError(
                f"not an .nc file: it starts with the signature of {name}, use `ncodec encode` for pictures"
            )
    raise DamagedFileError(f"not an .nc file: it starts with {data[:4].hex(' ')}, not {MAGIC.hex(' ')}")
