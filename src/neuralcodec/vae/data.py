"""Training data of a VAE: shapes made from an index, or the pictures of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.vae.sprites import SIDE, Array, Bytes, Indices, Sprites

#: Hues of the coloured shapes.
COLOURS = 8
#: Pictures of a folder that are kept in memory, about 1.2 GB.
MOST_PICTURES = 100_000


class Pictures(Protocol):
    """Pictures by index."""

    name: str
    channels: int

    def __len__(self) -> int: ...

    def gathered(self, indices: Indices, spread: float) -> Indices:
        """Return indices of easier pictures, `spread` from 0 to 1; at 1, or if none is easier, the same."""
        return indices

    def pictures(self, indices: Indices) -> Array:
        """Return pictures `(B, channels, 64, 64)` in `[0, 1]`."""
        ...


class Folder(Pictures):
    """Every picture below a folder: the middle square of each, reduced to 64×64, in colour.

    Raises:
        UsageError: it is not a folder, or holds no picture.
    """

    channels = 3

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f"{folder}: the data are shapes, coloured or a folder of pictures")
        self.name = str(folder)
        found: list[Bytes] = []
        for path in sorted(folder.rglob("*")):
            if path.is_file() and (picture := _read_or_none(path)) is not None:
                found.append(picture)
            if len(found) == MOST_PICTURES:
                break
        if not found:
            raise UsageError(f"{folder}: there is no picture in this folder")
        self._pixels = np.stack(found)

    def __len__(self) -> int:
        return len(self._pixels)

    def pictures(self, indices: Indices) -> Array:
        return self._pixels[indices].astype(np.float32) / np.float32(255)


def open_data(name: str) -> Pictures:
    """Open the data called `shapes` or `coloured`, or the folder of that path."""
    if name in ("shapes", "coloured"):
        return Sprites(COLOURS if name == "coloured" else 1)
    return Folder(Path(name))


def read_picture(path: Path, channels: int) -> Array:
    """Read a picture file as a VAE takes it, `(1, channels, 64, 64)`.

    Raises:
        UsageError, DamagedFileError: the file cannot be read.
    """
    pixels = _square(path)
    if channels == 1:
        pixels = np.asarray(Image.fromarray(pixels.transpose(1, 2, 0)).convert("L"))[None]
    return pixels[None].astype(np.float32) / np.float32(255)


def read_shape(index: int, channels: int) -> Array:
    """Make the picture of a shape by its index, `(1, channels, 64, 64)`; a coloured one for 3 channels.

    Raises:
        UsageError: there is no shape of that index.
    """
    data = Sprites(COLOURS if channels == 3 else 1)
    if index >= len(data):
        raise UsageError(f"{index}: the shapes have indices from 0 to {len(data) - 1}")
    return data.pictures(np.array([index]))


def _read_or_none(path: Path) -> Bytes | None:
    try:
        return _square(path)
    except NeuralCodecError:
        return None  # a folder of pictures may hold a README as well


def _square(path: Path) -> Bytes:
    """Read the middle square of a picture, resized to `(3, 64, 64)`."""
    from neuralcodec.picture.picture import to_pil, upright
    from neuralcodec.picture.reading import load

    image = to_pil(upright(load(path))).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    small = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=box)
    return np.asarray(small).transpose(2, 0, 1)
