"""Measure speed and memory of all codecs in one run: they take turns, so a busy machine is fair to all.

Speed is from pixels in memory to the bytes of a file and back, in one process that has warmed up: medians
over the rounds. Memory is the peak of a separate process that encodes and decodes one picture, Python and all
libraries included, since a user's machine must have that much.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from neuralcodec.bench import registry
from neuralcodec.bench.images import Photo, Problem, pixels_of
from neuralcodec.errors import NeuralCodecError, describe
from neuralcodec.processes import pool

PHOTOS = 2  # more would change the medians less than the rounds do
SLOW = 10.0  # seconds to encode and decode a picture; a codec that needs more is timed once
Seconds = tuple[float, float]  # to encode, to decode


class Round(NamedTuple):
    """A task: each codec once on a picture."""

    photo: Photo
    settings: dict[str, int]


class Single(NamedTuple):
    """A task: one codec on a picture, in a process of its own."""

    photo: Photo
    codec: str
    setting: int


def choose(photos: Sequence[Photo]) -> list[Photo]:
    """Choose the pictures to time: the largest, and among equally large ones the first."""
    return sorted(photos, key=lambda photo: -photo.pixels)[:PHOTOS]


def measure(
    photos: Sequence[Photo],
    settings: Mapping[str, int],
    *,
    rounds: int,
    threads: int,
    advance: Callable[[], None],
) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Measure the `speed` entry of the results, None where nothing could be timed; also return what failed.

    Args:
        settings: the one to time of each codec, all of about the same quality.
        advance: called after each of `steps(...)` steps.
    """
    chosen = choose(photos)
    times: dict[str, list[tuple[float, float]]] = {codec: [] for codec in settings}
    failures: dict[tuple[str, str], None] = {}
    slow: set[str] = set()
    # Round 0 loads libraries and weights; it is not counted.
    turns = [(photo, number) for photo in chosen for number in range(rounds + 1)]
    with pool(time_round, jobs=1, threads=threads) as worker:
        for photo, number in turns:
            turn = Round(photo, {codec: s for codec, s in settings.items() if codec not in slow})
            for _, value, error in worker.run([turn]):
                advance()
                for codec, result in (value or {}).items():
                    if isinstance(result, str):
                        failures[f"{codec}: speed", result] = None
                        continue
                    if number:
                        encode, decode = (photo.pixels / 1e6 / seconds for seconds in result)
                        times[codec].append((encode, decode))
                        if sum(result) > SLOW:
                            slow.add(codec)
                if error:
                    failures["speed", error] = None
    memory: dict[str, float | None] = {}
    for codec, setting in settings.items():
        with pool(peak_memory, jobs=1, threads=threads) as worker:  # a new process each
            for _, megabytes, error in worker.run([Single(chosen[0], codec, setting)]):
                advance()
                memory[codec] = megabytes
                if error:
                    failures[f"{codec}: memory", error] = None
    problems = [Problem(*failure, NeuralCodecError.exit_code) for failure in failures]
    if not any(times.values()):
        return None, problems
    entry = {
        "images": [photo.name for photo in chosen],
        "megapixels": [round(photo.pixels / 1e6, 3) for photo in chosen],
        "rounds": rounds,
        "threads": threads,
        "codecs": {
            codec: {
                "setting": settings[codec],
                "encode_mp_s": statistics.median(encode for encode, _ in rates),
                "decode_mp_s": statistics.median(decode for _, decode in rates),
                "peak_memory_mb": memory.get(codec),
            }
            for codec, rates in times.items()
            if rates
        },
    }
    return entry, problems


def steps(photos: Sequence[Photo], codecs: int, rounds: int) -> int:
    """Count how often `measure` will call `advance`."""
    return len(choose(photos)) * (rounds + 1) + codecs


def time_round(turn: Round) -> dict[str, Seconds | str]:
    """Time each codec in turn; return its seconds, or what went wrong with it."""
    image = pixels_of(turn.photo.path)
    result: dict[str, Seconds | str] = {}
    for codec, setting in turn.settings.items():
        peer = registry.find(codec)
        try:
            start = time.perf_counter()
            data = peer.encode(image, setting)
            encoded = time.perf_counter()
            peer.decode(data)
            result[codec] = encoded - start, time.perf_counter() - encoded
        except Exception as error:  # whatever one codec raises, the others go on
            result[codec] = describe(error)
    return result


def peak_memory(task: Single) -> float | None:
    """Encode and decode a picture, and return the most memory, in MB, that this process has held."""
    peer = registry.find(task.codec)
    peer.decode(peer.encode(pixels_of(task.photo.path), task.setting))
    return _peak_memory_mb()


def _peak_memory_mb() -> float | None:
    """Return the most memory, in MB, that this process has held; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss, which on Linux starts with what the parent held.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes, on macOS
