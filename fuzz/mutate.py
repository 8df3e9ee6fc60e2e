"""Push mutated files through the decoder:  python fuzz/mutate.py [COUNT] [SEED]

Each is made from an intact file by flipped bytes, cuts, splices or extreme lengths, or by such a change
to header or payloads under checksums that fit. Nothing may crash, hang or take more memory than allowed, and
without fitting checksums every change must be noticed. The same arguments make the same files.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import subject

from neuralcodec.errors import UsageError
from neuralcodec.format import container
from neuralcodec.format.chunks import Chunk, parse_chunks
from neuralcodec.format.header import parse_header
from neuralcodec.format.varint import write_varint

#: Lengths and counts at the edges of what a number, a limit or a check can hold.
EXTREMES = [
    0,
    1,
    127,
    128,
    2**14 - 1,
    2**14,
    2**16,
    2**21,
    2**28,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**35 - 1,
]

Mutation = Callable[[random.Random, bytes, list[bytes]], bytes]


def chunks(data: bytes) -> list[Chunk]:
    """Those of an intact file, without the end chunk."""
    start = parse_header(data)[1]
    return list(parse_chunks(data, start, payload_limit=lambda kind: 2**30, number_limit=lambda kind: 2**20))


def starts(data: bytes) -> list[int]:
    return [chunk.offset for chunk in chunks(data)]


def flip_in_payload(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """One bit of one payload."""
    chunk = rng.choice([chunk for chunk in chunks(data) if chunk.payload])
    at = data.index(chunk.payload, chunk.offset) + rng.randrange(len(chunk.payload))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def flip(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """A few bytes anywhere."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        changed[rng.randrange(len(changed))] = rng.choice([0, 255, 0x54, rng.randrange(256)])
    return bytes(changed)


def cut(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """The end is missing, or a stretch is."""
    at = rng.randrange(len(data))
    return data[:at] if rng.random() < 0.5 else data[:at] + data[at + rng.randrange(1, 40) :]


def overwrite(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """A stretch is noise."""
    at, size = rng.randrange(len(data)), rng.randrange(1, 60)
    return data[:at] + rng.randbytes(size) + data[at + size :]


def splice(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """The start of one file, the end of another; or chunks that came twice or moved."""
    if rng.random() < 0.5:
        other = rng.choice(others)
        return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]
    places = [*starts(data), len(data)]
    pieces = [data[a:b] for a, b in pairwise(places)]
    pieces.insert(rng.randrange(len(pieces) + 1), rng.choice(pieces))
    if rng.random() < 0.5:
        rng.shuffle(pieces)
    return data[: places[0]] + b"".join(pieces)


def extreme_length(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """The length of a chunk, or width or height, is set to an extreme."""
    at = rng.choice([9, 10, *(start + 1 for start in starts(data))])
    end = at + 1
    while data[end - 1] >= 0x80 and end < len(data):
        end += 1
    return data[:at] + write_varint(rng.choice(EXTREMES)) + data[end:]


def hostile_payload(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Payloads changed in any way, under checksums that fit."""
    file = container.read(data)
    for number in range(len(file.tiles)):
        if rng.random() < 0.5:
            file.tiles[number] = _distorted(rng, file.tiles[number])
    if file.alpha is not None and rng.random() < 0.5:
        file.alpha = _distorted(rng, file.alpha)
    return container.write(file)


def hostile_header(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Another size, quality or tile under checksums that fit, with as many tiles as these need."""
    file = container.read(data)
    change = rng.choice(
        [
            {"width": rng.choice([1, 17, 300, 2000, 2**15])},
            {"height": rng.choice([1, 17, 300, 2000, 2**15])},
            {"quality": rng.randrange(10001) / 100},
            {"tile": 64 << rng.randrange(6)},
            {"weights_id": rng.randbytes(4)},
            {"codec": 3 - file.header.codec},
        ]
    )
    header = replace(file.header, **change)
    needed = header.tile_count * header.stages
    file.tiles = (file.tiles * (needed // len(file.tiles) + 1))[:needed] if needed < 2000 else file.tiles
    file.header = header
    try:
        return container.write(file)
    except UsageError:  # that cannot be written
        return data[: rng.randrange(len(data))]


def _distorted(rng: random.Random, payload: bytes) -> bytes:
    choice = rng.randrange(4)
    if choice == 0:
        return write_varint(rng.choice(EXTREMES)) + payload[1:]
    if choice == 1:
        return payload[: rng.randrange(len(payload) + 1)]
    if choice == 2:
        return rng.randbytes(rng.randrange(40))
    changed = bytearray(payload or b"\0")
    for _ in range(rng.randrange(1, 6)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


DAMAGE: list[Mutation] = [flip_in_payload, flip, cut, overwrite, splice, extreme_length]
HOSTILE: list[Mutation] = [hostile_payload, hostile_header]


def main(count: int = 100_000, seed: int = 0) -> int:
    """Runs so many files; 1 when one breaks a promise, which is then kept as `broken.nc`."""
    subject.use_tiny_models()
    files = list(subject.seeds().values())
    for data in files:
        assert subject.try_decoder(data, strict=True) == subject.try_decoder(data, strict=False) == "intact"
    before = subject.memory()
    outcomes: dict[str, Counter[str]] = {}
    start, slowest = time.perf_counter(), 0.0
    rng = random.Random(seed)
    for number in range(count):
        source = rng.choice(files)
        mutation = rng.choice(DAMAGE * 2 + HOSTILE)
        data = mutation(rng, source, files)
        began = time.process_time()
        try:
            whole = subject.try_container(data)
            unnoticed = whole is not None and mutation in DAMAGE and data not in files
            assert not unnoticed, "a change was not noticed"
            outcome = subject.try_decoder(data, strict=whole is not None and rng.random() < 0.5)
            used = subject.memory() - before
            assert used < subject.MEMORY_LIMIT, f"{used / 2**20:.0f} MiB more than before"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            Path("broken.nc").write_bytes(data)
            print(f"file {number} ({mutation.__name__}): {type(error).__name__}: {error}; kept as broken.nc")
            return 1
        slowest = max(slowest, time.process_time() - began)
        outcomes.setdefault(mutation.__name__, Counter())[outcome] += 1
        if (number + 1) % 10_000 == 0:
            print(f"{number + 1} files, {time.perf_counter() - start:.0f} s", flush=True)
    for name, counts in sorted(outcomes.items()):
        print(f"{name:16}", "  ".join(f"{outcome} {n}" for outcome, n in sorted(counts.items())))
    print(
        f"{count} files in {time.perf_counter() - start:.0f} s, slowest {slowest:.2f} s, "
        f"{(subject.memory() - before) / 2**20:.0f} MiB above the start"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
