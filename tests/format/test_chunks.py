"""Chunks are found again behind any damage, and known for which they are."""

import random
import time
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from neuralcodec.errors import DamagedFileError
from neuralcodec.format.chunks import parse_chunks, write_chunk
from neuralcodec.format.container import Container, read, write
from neuralcodec.format.header import CONV, GRU, Header, parse_header

#: 2048x2048 pixels in 16 tiles of 512.
HEADER = Header(CONV, b"\xde\xad\xbe\xef", 2048, 2048, 50, 512, grey=False, alpha=False)


def photographic(seed: int) -> Container:
    """Sixteen tiles of random bytes, of sizes that differ as those of photographs do, and metadata."""
    rng = random.Random(seed)
    tiles = [rng.randbytes(int(rng.lognormvariate(9, 0.7))) for _ in range(HEADER.tile_count)]
    return Container(HEADER, tiles, exif=rng.randbytes(500), icc=rng.randbytes(500))


def starts(data: bytes) -> list[int]:
    """Offsets of the chunks of an intact file, the end chunk excluded."""
    chunks = parse_chunks(
        data, parse_header(data)[1], payload_limit=lambda kind: 2**30, number_limit=lambda kind: 2**20
    )
    return [chunk.offset for chunk in chunks]


def intact(damaged: bytes, original: Container) -> set[int]:
    """The tiles that a file still has; each that it is said to have is the right one."""
    with pytest.raises(DamagedFileError):
        read(damaged)
    found = read(damaged, strict=False)
    assert found.damage
    for number, tile in enumerate(found.tiles):
        assert tile == (b"" if number in found.lost else original.tiles[number])
    return set(range(HEADER.tile_count)) - set(found.lost)


def overwrite(data: bytes, rng: random.Random, fill: Callable[[int], bytes]) -> bytes:
    """One percent of the file, anywhere behind the header."""
    size = round(len(data) / 100)
    at = rng.randrange(parse_header(data)[1], len(data) - size + 1)
    return data[:at] + fill(size) + data[at + size :]


@pytest.mark.parametrize("stretches", [1, 3])
@pytest.mark.parametrize("fill", ["noise", "zeros", "ones", "type"])
def test_stretches_of_one_percent(stretches: int, fill: str) -> None:
    """At least 80 % of the tiles outlive one, at least 50 % outlive three."""
    for seed in range(60):
        rng = random.Random(seed)
        original = photographic(seed % 6)
        data = damaged = write(original)
        fills: dict[str, Callable[[int], bytes]] = {
            "noise": rng.randbytes,
            "zeros": bytes,
            "ones": lambda size: b"\xff" * size,
            "type": lambda size: b"T" * size,
        }
        for _ in range(stretches):
            damaged = overwrite(damaged, rng, fills[fill])
        assert damaged != data
        assert len(intact(damaged, original)) >= (0.8 if stretches == 1 else 0.5) * HEADER.tile_count


def test_a_stretch_at_every_boundary() -> None:
    """Across the start of each chunk, where it hits a type, a length and the checksum before them."""
    original = photographic(1)
    data = write(original)
    size = len(data) // 100
    for number, start in enumerate(starts(data)[: HEADER.tile_count]):
        at = start - size // 2 if number else start
        damaged = data[:at] + bytes(size) + data[at + size :]
        lost = set(range(HEADER.tile_count)) - intact(damaged, original)
        assert number in lost and len(lost) <= 3


def test_a_lost_length_costs_one_tile() -> None:
    original = photographic(2)
    data = write(original)
    for number, start in enumerate(starts(data)[: HEADER.tile_count]):
        for length in (b"\0", b"\x7f", b"\xff\xff\x03", b"\xff\xff\xff\xff\x7f", b"\x80\0"):
            damaged = data[: start + 1] + length + data[start + 1 + len(length) :]
            assert set(range(HEADER.tile_count)) - intact(damaged, original) == {number}


def test_removed_and_inserted_bytes() -> None:
    original = photographic(3)
    data = write(original)
    for seed in range(60):
        rng = random.Random(seed)
        at = rng.randrange(parse_header(data)[1], len(data))
        size = rng.choice([1, 2, 100, len(data) // 100])
        removed = data[:at] + data[at + size :]
        inserted = data[:at] + rng.randbytes(size) + data[at:]
        for damaged in (removed, inserted):
            assert len(intact(damaged, original)) >= 13


def test_chunks_that_moved_or_came_twice_are_known() -> None:
    original = photographic(4)
    data = write(original)
    places = starts(data)
    pieces = [data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)]
    head = data[: places[0]]
    rng = random.Random(0)
    for _ in range(30):
        shuffled = pieces[:16] + rng.sample(pieces[:16], 4)  # four are there twice
        rng.shuffle(shuffled)
        assert intact(head + b"".join([*shuffled, *pieces[16:]]), original) == set(range(16))
    without = [piece for number, piece in enumerate(pieces) if number not in (0, 7, 15)]
    assert intact(head + b"".join(without), original) == set(range(16)) - {0, 7, 15}
    assert intact(data + pieces[3], original) == set(range(16))  # behind the end


def test_a_truncated_file_keeps_every_whole_tile() -> None:
    original = photographic(5)
    data = write(original)
    places = starts(data)
    for number in range(1, 17):
        for extra in (0, 1, 5, 100):
            assert intact(data[: places[number] + extra], original) == set(range(number))


def test_chunks_of_another_file_are_not_taken() -> None:
    original = photographic(0)
    data = write(original)
    other = write(replace(photographic(1), header=replace(HEADER, width=2047)))
    for file in (data[: len(data) // 2] + other[len(other) // 2 :], data[: len(data) // 2] + other):
        assert max(intact(file, original)) < 15


def test_every_bit_of_the_header_is_needed() -> None:
    data = bytearray(write(photographic(0))[:20_000])
    for place in range(parse_header(bytes(data))[1]):
        data[place] ^= 1 << place % 8
        with pytest.raises(DamagedFileError):
            read(bytes(data), strict=False)
        data[place] ^= 1 << place % 8


def test_a_flipped_bit_never_makes_another_number() -> None:
    """The number comes out of the checksum, so damage to the checksum must not look like another number."""
    for size in (0, 1, 100):
        chunk = write_chunk("T", 5, bytes(size), 7)
        for bit in range(8 * len(chunk)):
            damaged = bytearray(chunk)
            damaged[bit // 8] ^= 1 << bit % 8
            found: list[str] = []
            numbers = [
                c.number
                for c in parse_chunks(
                    bytes(damaged),
                    0,
                    payload_limit=lambda kind: 200,
                    number_limit=lambda kind: 2**20,
                    damage=found,
                )
            ]
            assert not numbers or bit // 8 == 0


def test_gru_keeps_all_before_the_first_lost_chunk() -> None:
    rng = random.Random(0)
    original = Container(
        replace(HEADER, codec=GRU),
        [rng.randbytes(300) for _ in range(80)],  # five stages
    )
    data = write(original)
    places = starts(data)
    for number in (1, 20, 79):
        cut = read(data[: places[number] + 100], strict=False)
        hit = read(data[: places[number]] + b"?" + data[places[number] + 1 :], strict=False)
        assert cut.tiles == hit.tiles == original.tiles[:number]
        assert cut.damage and hit.damage and not cut.lost


@pytest.mark.parametrize(
    "pattern",
    [b"T\x04", b"T\0", b"x\xff\xff\x3f", b"T\xb0\xea\x01", b"A\x80\x80\x04", b"Z\0" + bytes(4), b"TAiexZ"],
)
def test_a_search_takes_time_in_proportion(pattern: bytes) -> None:
    """Bytes that look like chunks everywhere: less than 2 seconds for 100 kB, as for all of a decoder."""
    header = replace(HEADER, alpha=True)
    start = write(Container(header, [b"tile"] * 16, b"alpha"))[: parse_header(write(photographic(0)))[1]]
    data = start + pattern * (200_000 // len(pattern))
    began = time.process_time()
    with pytest.raises(DamagedFileError):
        read(data, strict=False)
    assert time.process_time() - began < 4


def test_the_checksum_is_the_common_one() -> None:
    """Over header, type, length, payload and the number as four bytes."""
    crc = zlib.crc32(b"header" + b"T\x03abc" + b"\x02\x01\0\0")
    assert write_chunk("T", 0x102, b"abc", zlib.crc32(b"header")) == b"T\x03abc" + crc.to_bytes(4, "little")
