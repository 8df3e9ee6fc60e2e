"""The rate-distortion sweep: every picture through every codec at every setting, as real files, cached.

Every measurement is kept beside the results, one JSON object a line, written as the run goes on. A second
run, or one after a killed run, measures only what is new: a picture, setting, metric, version or weights.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from neuralcodec import files
from neuralcodec.bench import peers, registry
from neuralcodec.bench.images import Photo, Problem, pixels_of
from neuralcodec.bench.scores import score
from neuralcodec.errors import NeuralCodecError
from neuralcodec.processes import pool

Measurement = dict[str, Any]
Key = tuple[Any, ...]


class Task(NamedTuple):
    """One file to write, read and score."""

    photo: Photo
    codec: str
    setting: int
    further: tuple[str, ...]  # metrics


class Codec(NamedTuple):
    """A codec of this run, with the settings of its curve."""

    peer: peers.Peer
    version: str
    settings: tuple[int, ...]
    pictures: int | None = None  # measured on so many of the first; on all, unless the codec is slow


class Cache:
    """All measurements in a results folder, by what they depend on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[Key, Any] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    entry = json.loads(line)
                    self.entries[tuple(entry["key"])] = entry["value"]
                except (ValueError, KeyError, TypeError):
                    continue  # the last line of a killed run

    def get(self, key: Key) -> Any:
        """Return the measurement, or None."""
        return self.entries.get(key)

    def add(self, key: Key, value: Any) -> None:
        """Keep a measurement, and write it to disk at once.

        Raises:
            OSError: it cannot be written, as on a full disk; it is kept in memory only.
        """
        self.entries[key] = value
        line = json.dumps({"key": key, "value": value}) + "\n"
        with self.path.open("a+b") as file:
            # A run that was killed, or that found the disk full, may have left half a line.
            if file.tell() and not _ends_a_line(file):
                line = "\n" + line
            file.write(line.encode())

    def forget_all_but(self, keys: Container[Key]) -> None:
        """Drop all other measurements; on a full disk the file stays as it is."""
        if all(key in keys for key in self.entries):
            return
        self.entries = {key: value for key, value in self.entries.items() if key in keys}
        lines = (json.dumps({"key": key, "value": value}) for key, value in self.entries.items())
        with contextlib.suppress(OSError), files.writing(self.path) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())


def _ends_a_line(file: Any) -> bool:
    file.seek(-1, 2)
    return bool(file.read(1) == b"\n")


def measure(task: Task) -> Measurement:
    """Encode a picture to a file, read that back, decode it and score the 8-bit result."""
    peer = registry.find(task.codec)
    original = pixels_of(task.photo.path)
    with tempfile.TemporaryDirectory(prefix="ncodec-bench-") as folder:
        file = Path(folder) / "picture"
        file.write_bytes(peer.encode(original, task.setting))
        size = file.stat().st_size
        decoded = peers.like(peer.decode(file.read_bytes()), original)
    return {
        "setting": task.setting,
        "bytes": size,
        "bpp": 8 * size / task.photo.pixels,
        **score(original, decoded, task.further),
    }


class Sweep:
    """The measurements of one run, those in the cache and those still to make."""

    def __init__(
        self, photos: Sequence[Photo], codecs: Mapping[str, Codec], cache: Cache, further: tuple[str, ...]
    ) -> None:
        self.codecs, self.cache = codecs, cache
        # Picture by picture, so that each is read once.
        self.tasks = [
            Task(photo, name, setting, further)
            for number, photo in enumerate(photos)
            for name, codec in codecs.items()
            for setting in codec.settings
            if codec.pictures is None or number < codec.pictures
        ]
        self.missing = [task for task in self.tasks if not self._is_known(task)]

    def run(self, jobs: int, advance: Callable[[], None]) -> list[Problem]:
        """Measure what is missing; what fails is left out and reported."""
        failures: Counter[tuple[str, str, str | None]] = Counter()
        if not self.missing:
            return []
        with pool(measure, jobs=jobs, threads=1) as workers:
            for task, value, error in workers.run(self.missing):
                advance()
                if value is None:
                    failures[f"{task.codec}: {task.photo.name}", error or "", task.codec] += 1
                    continue
                try:
                    self.cache.add(self._key(task), value)
                except OSError as full:
                    failures[
                        self.cache.path.name, f"cannot be kept for the next run: {full.strerror}", None
                    ] += 1
        return [
            Problem(
                subject,
                f"{message} ({count} times)" if count > 1 else message,
                NeuralCodecError.exit_code,
                codec,
            )
            for (subject, message, codec), count in failures.items()
        ]

    def points(self) -> list[Measurement]:
        """List all known measurements as entries of the results, with their picture and codec."""
        values = ((task, self.cache.get(self._key(task))) for task in self.tasks)
        return [
            {"image": task.photo.name, "codec": task.codec, **value}
            for task, value in values
            if value is not None
        ]

    def _key(self, task: Task) -> Key:
        return ("point", task.photo.sha256, task.codec, self.codecs[task.codec].version, task.setting)

    def _is_known(self, task: Task) -> bool:
        value = self.cache.get(self._key(task))
        return value is not None and all(value.get(name) is not None for name in task.further)
