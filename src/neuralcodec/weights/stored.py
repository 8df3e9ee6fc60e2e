"""Packed safetensors files with a metadata entry of their own: their headers and their arrays, bounded."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.weights.packing import UNPACKED, Content, bounded, content

SUFFIX = ".safetensors"
_TYPES = ("float16", "float32", "int8", "int16", "int32", "uint8", "uint16")
#: Larger headers are refused before they are read. Those of the package have a few kB.
_MOST_HEADER = 2**20
#: What the reader of a header runs into where it is damaged or foreign.
DAMAGE = (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError)


@dataclass(frozen=True)
class StoredFile:
    """The metadata of a file, read without its arrays.

    Args:
        written: its size in bytes, time of change and inode, which differ once the file is written anew.
        said: its metadata.
    """

    path: Path
    written: tuple[int, int, int]
    said: Mapping[str, Any] = field(compare=False, repr=False)


def written(path: Path) -> tuple[int, int, int]:
    """Look at a file, see `StoredFile`.

    Raises:
        UsageError: there is no such file.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # a ValueError is a path with a zero byte
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read the weights {path}: {why}") from None
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"cannot read the weights {path}: it is no file")
    return status.st_size, status.st_mtime_ns, status.st_ino


def metadata(path: Path, size: int) -> dict[str, Any]:
    """Read the metadata by hand, so that what needs no arrays need not load numpy.

    Args:
        size: of the file, in bytes.

    Raises:
        DAMAGE: it is damaged or foreign.
    """
    bounded(size)
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > _MOST_HEADER:
            raise ValueError("it does not begin as a safetensors file does")
        header = json.loads(stream.read(length))
    said: dict[str, Any] = json.loads(header.pop("__metadata__")["neuralcodec"])
    return said


def not_weights(path: Path, error: Exception) -> NeuralCodecError:
    """Make the one-line error for a file that is damaged, foreign or of another version."""
    why = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
    return NeuralCodecError(f"{path} is not a weights file of this version: {why}")


def arrays_of(file: StoredFile) -> dict[str, Any]:
    """Load the arrays of a file, whatever it is for.

    Raises:
        NeuralCodecError: it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: dict[str, Any] = load(content_of(file).plain)
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise not_weights(file.path, error) from None
    for name, array in arrays.items():
        if array.dtype.name not in _TYPES or array.size == 0:
            raise not_weights(
                file.path, ValueError(f"{name} is of type {array.dtype} and shape {array.shape}")
            )
    return arrays


def content_of(file: StoredFile) -> Content:
    """Read the bytes of a file.

    Raises:
        NeuralCodecError: it is damaged.
    """
    from safetensors import SafetensorError

    try:
        return content(file.path, file.written, file.said.get(UNPACKED))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise not_weights(file.path, error) from None
