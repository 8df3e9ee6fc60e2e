"""The pictures of a benchmark: find them in folders, check them, and give each a unique name."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError, warn
from neuralcodec.picture.formats import SUFFIXES
from neuralcodec.picture.metrics import Image8
from neuralcodec.picture.picture import upright
from neuralcodec.picture.reading import load
from neuralcodec.terminal import about

SMALLEST_SIDE = 161  # below, MS-SSIM has no published definition
KODAK = (24, {(768, 512), (512, 768)})


class Photo(NamedTuple):
    """A picture to measure on. Its name is unique among those of the run."""

    path: Path
    name: str
    sha256: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.width * self.height


class Problem(NamedTuple):
    """Something that could not be measured. The run goes on, and ends with `exit_code` or a higher one."""

    subject: str
    message: str
    exit_code: int
    codec: str | None = None  # the one that could not make a file


def gather(sources: Sequence[Path], limit: int | None = None) -> tuple[list[Photo], list[Problem]]:
    """Return the first `limit` usable pictures among files and folders, and why others are not usable.

    A folder stands for the pictures in it and in its folders one level down, sorted by name.
    """
    paths: list[Path] = []
    problems: list[Problem] = []
    for source in sources:
        found = _pictures_in(source) if source.is_dir() else [source]
        paths += found
        if not found:
            problems.append(Problem(str(source), "no pictures in this folder", UsageError.exit_code))
    photos: list[Photo] = []
    for path in dict.fromkeys(paths):
        if len(photos) == limit:
            break
        try:
            photos.append(_check(path))
        except NeuralCodecError as error:
            problems.append(Problem(path.name, str(error).replace(str(path), path.name), error.exit_code))
        except OSError as error:
            problems.append(Problem(path.name, error.strerror or str(error), NeuralCodecError.exit_code))
    return _with_unique_names(photos), problems


@functools.lru_cache(maxsize=1)  # tasks come picture by picture
def pixels_of(path: Path) -> Image8:
    """Read a picture as the codecs are given it: uint8 `(H, W, 3)` or `(H, W, 1)`, upright, without alpha."""
    return upright(load(path)).pixels


def are_kodak(photos: Iterable[Photo]) -> bool:
    """Tell whether the pictures look like the Kodak set, on which published curves were measured."""
    sizes = [(photo.width, photo.height) for photo in photos]
    return len(sizes) == KODAK[0] and set(sizes) <= KODAK[1]


def _pictures_in(folder: Path) -> list[Path]:
    entries = sorted(folder.iterdir())
    nested = [path for entry in entries if entry.is_dir() for path in sorted(entry.iterdir())]
    return [path for path in (*entries, *nested) if path.suffix.lower() in SUFFIXES and path.is_file()]


def _check(path: Path) -> Photo:
    picture = load(path)
    with about(path.name):
        warn(picture.notes)  # what is lost for every codec alike
    height, width = upright(picture).pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        size = f"{width}x{height}"
        raise DamagedFileError(f"{size}: MS-SSIM is not defined under {SMALLEST_SIDE} pixels a side")
    return Photo(path, path.name, hashlib.sha256(path.read_bytes()).hexdigest(), width, height)


def _with_unique_names(photos: list[Photo]) -> list[Photo]:
    """Put the folder's name before names that are shared; where that is shared too, a part of the hash."""
    for attempt in range(2):
        count = Counter(photo.name for photo in photos)
        photos = [
            p._replace(name=f"{p.sha256[:8] if attempt else p.path.parent.name}/{p.name}")
            if count[p.name] > 1
            else p
            for p in photos
        ]
    return list({photo.name: photo for photo in photos}.values())
