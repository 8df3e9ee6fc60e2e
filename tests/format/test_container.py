"""The `.nc` file: what is written is read back, and no damage goes unnoticed."""

import random
import struct
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format.container import Container, Header, Limits, read, read_header, write
from neuralcodec.format.header import CONV, GRU, MAGIC, Codec, parse_header, write_header
from neuralcodec.format.varint import parse_varint, write_varint

HEADER = Header(CONV, b"\xde\xad\xbe\xef", 100, 70, 62.5, 64, grey=False, alpha=False)
ICC, EXIF, XMP = b"icc " * 100, b"MM\0*exif", b"<x:xmpmeta/>"


def full() -> Container:
    """Two by two tiles, alpha, and all metadata."""
    tiles = [b"first tile", b"", b"third", b"\0" * 200]
    return Container(replace(HEADER, alpha=True), tiles, b"alpha", ICC, EXIF, XMP)


def small() -> Container:
    return Container(replace(HEADER, width=9, height=5, quality=50), [b"tile"])


def chunk(kind: bytes, payload: bytes, header: bytes, number: int = 0) -> bytes:
    """A chunk written from the specification, not by the code under test."""
    length = len(payload)
    varint = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    body = kind + varint + payload
    return body + zlib.crc32(header + body + struct.pack("<I", number)).to_bytes(4, "little")


def header_of(data: bytes) -> bytes:
    return data[: parse_header(data)[1]]


def build(*chunks: tuple[bytes, bytes], container: Container | None = None) -> bytes:
    header = header_of(write(container or small()))
    seen: Counter[bytes] = Counter()
    data = header
    for kind, payload in chunks:
        data += chunk(kind, payload, header, seen[kind])
        seen[kind] += 1
    return data


def refused(data: bytes, *words: str, **options: object) -> None:
    with pytest.raises(DamagedFileError) as caught:
        read(data, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_bytes_of_a_small_file() -> None:
    """The layout of docs/format.md, byte by byte."""
    header = bytes.fromhex("8e4e43 02 01 deadbeef 09 05 8827 00")
    assert write(small()) == header + chunk(b"T", b"tile", header) + chunk(b"Z", b"", header)


def test_the_example_in_the_specification() -> None:
    text = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
    lines = text.split("## Example")[1].split("```")[1].strip().splitlines()
    assert bytes.fromhex("".join(line[:43] for line in lines)) == write(small())


@pytest.mark.parametrize(
    "container",
    [
        small(),
        full(),
        Container(replace(HEADER, codec=GRU, grey=True, tile=2048, quality=30), [b"a", b"b", b"c"]),
        Container(Header(CONV, bytes(4), 1, 1, 0, 64, True, True), [b""], b"\4\xff", exif=EXIF),
        Container(
            Header(CONV, b"\xff" * 4, 2**14, 2**14, 100, 2048, False, False), [bytes(9999)] * 64, xmp=XMP
        ),
    ],
)
def test_round_trip(container: Container) -> None:
    data = write(container)
    assert read(data) == container
    assert read(data, strict=False) == container
    assert read_header(data[:24]) == container.header


@pytest.mark.parametrize(
    ("quality", "size", "row"),
    [
        (0, 1, 0),
        (0.01, 1, 0),
        (0.5, 1, 1),
        (1.27, 1, 1),
        (1.28, 2, 1),
        (62.49, 2, 62),
        (62.494, 2, 62),
        (62.5, 2, 63),
        (99.5, 2, 100),
        (100, 2, 100),
    ],
)
def test_quality_has_two_decimals(quality: float, size: int, row: int) -> None:
    header = replace(HEADER, quality=quality)
    data = write(Container(header, [b""] * 4))
    assert parse_header(data)[1] == 12 + size
    read_back = read_header(data)
    assert read_back.quality == pytest.approx(quality, abs=0.005)
    assert read_back.quality_row == header.quality_row == row


def test_every_quality_is_read_back() -> None:
    for hundredths in range(10001):
        header = replace(HEADER, quality=hundredths / 100)
        assert parse_header(write_header(header))[0] == header
        assert header.quality_row == (hundredths + 50) // 100


@pytest.mark.parametrize("tile", [64 << n for n in range(6)])
def test_tile_grid(tile: int) -> None:
    header = replace(HEADER, width=tile + 1, height=tile, tile=tile)
    assert (header.tiles_across, header.tiles_down, header.tile_count) == (2, 1, 2)
    assert read_header(write(Container(header, [b"", b""]))) == header


def test_at_most_20_bytes_before_the_first_payload() -> None:
    header = replace(HEADER, width=16383, height=16383, tile=2048)
    data = write(Container(header, [b"\xa5" * 16383] * 64))
    assert data.index(b"\xa5" * 16383) == 19


def test_empty_metadata_is_not_stored() -> None:
    assert read(write(replace(small(), exif=b"", xmp=b""))) == small()


def test_order_of_chunks() -> None:
    data = write(full())
    data, start = data[: -len(chunk(b"Z", b"", b""))], len(header_of(data))
    kinds = ""
    while start < len(data):
        length, payload = parse_varint(data, start + 1, "")
        kinds += chr(data[start])
        start = payload + length + 4
    assert kinds == "TTTTAiex"


def test_metadata_may_come_before_tiles() -> None:
    data = build((b"e", zlib.compress(EXIF)), (b"T", b"tile"), (b"Z", b""))
    assert read(data) == replace(small(), exif=EXIF)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"codec": Codec(3, "unknown")}, "codec"),
        ({"weights_id": b"abc"}, "weights_id"),
        ({"width": 0}, "width"),
        ({"height": 2**35}, "height"),
        ({"quality": 100.01}, "quality"),
        ({"quality": -0.01}, "quality"),
        ({"quality": float("nan")}, "quality"),
        ({"tile": 32}, "tile"),
        ({"tile": 32768}, "tile"),
        ({"tile": 100}, "tile"),
        ({"tile": 0}, "tile"),
        ({"alpha": True}, "alpha"),
        ({"width": 1000}, "tiles"),
    ],
)
def test_write_refuses_what_it_cannot_hold(change: dict[str, object], word: str) -> None:
    container = small()
    with pytest.raises(UsageError, match=word):
        write(replace(container, header=replace(container.header, **change)))  # type: ignore[arg-type]


def test_write_refuses_parts_that_do_not_fit() -> None:
    for wrong in (
        replace(small(), tiles=[]),
        replace(small(), alpha=b"x"),
        replace(small(), icc=bytes(2**24 + 1)),
    ):
        with pytest.raises(UsageError):
            write(wrong)


@pytest.mark.parametrize(
    ("container", "changes"), [(small(), range(1, 256)), (full(), (1, 2, 4, 8, 16, 32, 64, 128, 255))]
)
def test_every_changed_byte_is_noticed(container: Container, changes: Iterable[int]) -> None:
    data = bytearray(write(container))
    for index, original in enumerate(data):
        for change in changes:
            data[index] = original ^ change
            with pytest.raises(DamagedFileError):
                read(bytes(data))
        data[index] = original


@pytest.mark.parametrize(
    "container",
    [small(), full(), Container(replace(HEADER, codec=GRU, tile=2048, quality=10), [b"a", b"bc"])],
)
def test_every_truncation_is_noticed(container: Container) -> None:
    data = write(container)
    for length in range(len(data)):
        refused(data[:length], "cut short" if length else "")


def test_hostile_bytes_raise_nothing_else() -> None:
    """Random edits of a file, with and without repaired checksums, in both modes."""
    rng = random.Random(1)
    whole = write(full())
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(data))
            choice = rng.randrange(4)
            if choice == 0:
                data[at] = rng.randrange(256)
            elif choice == 1:
                del data[at : at + rng.randrange(1, 9)]
            elif choice == 2:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            else:
                data[at:] = bytes(rng.choices(b"TAiexZ\0\x01\x80\xff", k=rng.randrange(20)))
            if not data:
                break
        for strict in (True, False):
            try:
                parsed = read(bytes(data), strict=strict)
            except DamagedFileError as error:
                assert "\n" not in str(error)
            else:
                intact = set(parsed.tiles) <= {*full().tiles, b""}
                assert intact and (bytes(data) == whole or not strict)


def test_hostile_payloads_with_good_checksums() -> None:
    rng = random.Random(2)
    for _ in range(1000):
        chunks = [
            (bytes(rng.choices(b"TAiexZqQ\xf0")), rng.randbytes(rng.randrange(12)))
            for _ in range(rng.randrange(5))
        ]
        for strict in (True, False):
            try:
                read(build(*chunks), strict=strict)
            except DamagedFileError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("start", "word"),
    [
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"\0\0\0 ftypavif", "AVIF"),
        (b"GIF89a", "GIF"),
        (b"hello, world", "68 65 6c 6c"),
        (b"", "0 bytes"),
        (MAGIC, "header"),
        (MAGIC + b"\1", "version at byte 3"),
        (MAGIC + b"\3", "version at byte 3"),
        (MAGIC + b"\2\3", "codec at byte 4"),
    ],
)
def test_what_is_no_nc_file(start: bytes, word: str) -> None:
    refused(start, word)
    with pytest.raises(DamagedFileError, match=word):
        read_header(start)


@pytest.mark.parametrize(
    ("tail", "word"),
    [
        ("00 05 8827 00", "width"),  # zero
        ("8900 05 8827 00", "bad number"),  # 9 in two bytes
        ("8080808080 01 05 8827 00", "bad number"),  # six bytes
        ("09 05 914e 00", "quality"),  # 100.01,
        ("09 05 8827 09", "tile"),
        ("09 05 8827 40", "reserved"),
    ],
)
def test_header_fields_out_of_range(tail: str, word: str) -> None:
    header = bytes.fromhex("8e4e43 02 01 deadbeef" + tail)
    refused(header + chunk(b"T", b"tile", header) + chunk(b"Z", b"", header), word, "byte")


def test_huge_claims_are_refused_at_once() -> None:
    header = bytes.fromhex("8e4e43 02 01 deadbeef ffffffff7f ffffffff7f 8827 00")
    data = header + chunk(b"T", b"tile", header) + chunk(b"Z", b"", header)
    assert read_header(data).width == 2**35 - 1
    for strict in (True, False):
        refused(data, "34359738367x34359738367", "limit", strict=strict)
    refused(header_of(write(small())) + b"T\xff\xff\xff\xff\x7f", "'T' at byte 14")
    refused(write(small()), "limit is 44", limits=Limits(max_pixels=44))


def test_narrow_pictures_count_as_their_latents() -> None:
    """A picture one pixel wide has latents sixteen pixels wide: a few bytes must not claim these either."""
    header = replace(HEADER, width=1, height=2000, tile=2048)
    data = write(Container(header, [b"tile"]))
    assert read(data, limits=Limits(max_pixels=32000)).header == header
    for strict in (True, False):
        refused(data, "1x2000 pixels", "counts as 16", limits=Limits(max_pixels=31999), strict=strict)


def test_payloads_have_a_limit() -> None:
    tile = bytes(4 * 64 * 64)
    data = write(replace(small(), tiles=[tile]))
    assert read(data).tiles == [tile]
    with pytest.raises(UsageError, match="limit is 16384"):
        write(replace(small(), tiles=[tile + b"x"]))
    refused(build((b"Z", b""))[:14] + b"T" + write_varint(16385) + bytes(16389), "limit is 16384")


def test_metadata_bomb() -> None:
    bomb = zlib.compress(bytes(2**25))
    header = header_of(write(small()))
    body = b"x" + write_varint(len(bomb)) + bomb
    crc = zlib.crc32(header + body + bytes(4)).to_bytes(4, "little")
    data = header + chunk(b"T", b"tile", header) + body + crc
    refused(data + chunk(b"Z", b"", header), "'x'", "limit")
    refused(write(replace(small(), xmp=XMP)), "limit", limits=Limits(max_metadata=len(XMP) - 1))
    assert read(write(replace(small(), xmp=XMP)), limits=Limits(max_metadata=len(XMP))).xmp == XMP


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([(b"T", b"tile"), (b"Q", b"?"), (b"Z", b"")], ["'Q' at byte 24", "newer"]),
        ([(b"T", b"tile"), (b"\xf0", b"?"), (b"Z", b"")], ["does not know"]),
        ([(b"T", b"tile"), (b"Z", b"x")], ["'Z' at byte 24 has 1 bytes", "limit is 0"]),
        ([(b"T", b"tile"), (b"Z", b""), (b"T", b"tile")], ["too many behind chunk 'Z'"]),
        ([(b"Z", b"")], ["1 tiles", "has 0"]),
        ([(b"T", b"tile")] * 3 + [(b"Z", b"")], ["one too many", "1 tiles"]),
        ([(b"T", b"tile"), (b"A", b"a"), (b"Z", b"")], ["alpha flag"]),
        (
            [(b"T", b"t"), (b"e", zlib.compress(b"a")), (b"e", zlib.compress(b"")), (b"Z", b"")],
            ["second time"],
        ),
        ([(b"T", b"tile"), (b"i", b"no zlib"), (b"Z", b"")], ["'i'", "decompressed"]),
        ([(b"T", b"tile"), (b"x", zlib.compress(XMP)[:-1]), (b"Z", b"")], ["'x'", "exactly one"]),
        ([(b"T", b"tile"), (b"x", zlib.compress(XMP) + b"?"), (b"Z", b"")], ["'x'", "exactly one"]),
    ],
)
def test_what_a_valid_file_never_has(chunks: list[tuple[bytes, bytes]], words: list[str]) -> None:
    refused(build(*chunks), *words)


def test_alpha_twice_or_missing() -> None:
    announced = replace(small(), header=replace(small().header, alpha=True), alpha=b"a")
    refused(build((b"T", b"t"), (b"Z", b""), container=announced), "alpha flag")
    refused(
        build((b"T", b"t"), (b"A", b"a"), (b"A", b"a"), (b"Z", b""), container=announced), "'A'", "second"
    )


def test_unknown_optional_chunks_are_skipped() -> None:
    data = build((b"q", b"future"), (b"T", b"tile"), (b"q", b"again"), (b"Z", b""))
    assert read(data) == small()


def test_gru_has_a_tile_for_each_stage() -> None:
    """The quality says how many stages there are, from 1 at 0 to 8 at 100."""
    container = Container(replace(HEADER, codec=GRU, quality=100, tile=2048), [b"stage"] * 8)
    assert read(write(container)).tiles == [b"stage"] * 8
    with pytest.raises(UsageError, match="need 8 tiles of 8 stages, the file has 7"):
        write(replace(container, tiles=[b"stage"] * 7))
    refused(build(*[(b"T", b"stage")] * 7, (b"Z", b""), container=container), "8 stages", "has 7")


def test_gru_keeps_the_stages_for_the_end() -> None:
    container = replace(full(), header=replace(full().header, codec=GRU, quality=0))
    data = write(container)
    assert data.index(b"alpha") < data.index(b"first tile")
    assert read(data) == container


class TestNotStrict:
    def test_a_damaged_tile_leaves_the_others(self) -> None:
        data = bytearray(write(full()))
        data[data.index(b"third")] ^= 1
        parsed = read(bytes(data), strict=False)
        assert parsed.tiles == [b"first tile", b"", b"", b"\0" * 200]
        assert parsed.lost == [2]
        assert (parsed.alpha, parsed.icc, parsed.exif, parsed.xmp) == (b"alpha", ICC, EXIF, XMP)
        assert len(parsed.damage) == 1 and "'T'" in parsed.damage[0]

    def test_damaged_metadata_is_left_out(self) -> None:
        data = bytearray(write(full()))
        data[data.index(b"alpha")] ^= 1
        parsed = read(bytes(data), strict=False)
        assert parsed.alpha is None
        assert (parsed.tiles, parsed.lost, parsed.exif) == (full().tiles, [], EXIF)
        assert "'A'" in parsed.damage[0]

    def test_a_truncated_file_keeps_its_first_tiles(self) -> None:
        data = write(full())
        parsed = read(data[: data.index(b"third") + 3], strict=False)
        assert parsed.tiles == [b"first tile", b"", b"", b""]
        assert parsed.lost == [2, 3]
        assert "cut short" in parsed.damage[0]

    def test_tiles_never_move(self) -> None:
        """Whatever byte is hit, a tile that is not reported lost is the right one in the right place."""
        tiles = [bytes([65 + n]) * 3 for n in range(4)]
        data = bytearray(write(Container(HEADER, tiles, xmp=XMP)))
        for index, original in enumerate(data):
            for change in (1, 3, 12, 32, 128):
                data[index] = original ^ change
                try:
                    parsed = read(bytes(data), strict=False)
                except DamagedFileError:
                    continue
                assert parsed.damage and len(parsed.tiles) == 4
                for number, tile in enumerate(parsed.tiles):
                    assert tile == (b"" if number in parsed.lost else tiles[number])
            data[index] = original

    def test_gru_keeps_what_precedes_the_damage(self) -> None:
        container = Container(
            replace(HEADER, codec=GRU, quality=30, tile=2048), [b"stage 0", b"stage 1", b"stage 2"]
        )
        data = bytearray(write(container))
        assert read(bytes(data[:-12]), strict=False).tiles == [b"stage 0", b"stage 1"]
        data[data.index(b"stage 1")] ^= 1
        parsed = read(bytes(data), strict=False)
        assert (parsed.tiles, parsed.lost) == ([b"stage 0"], [])

    def test_a_damaged_header_is_refused(self) -> None:
        """It breaks every checksum, so nothing vouches for the size."""
        data = bytearray(write(full()))
        data[9] ^= 1
        refused(bytes(data), "or in the header")
        refused(bytes(data), "no tile", strict=False)

    def test_unknown_critical_chunks_are_refused(self) -> None:
        refused(build((b"T", b"tile"), (b"Q", b"?"), (b"Z", b"")), "'Q'", strict=False)


def test_loads_nothing_heavy() -> None:
    code = "import neuralcodec.format.container, sys; print({'torch', 'numpy', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"set()\n"
