"""Write the arrays and the metadata of a weights file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuralcodec import files
from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.weights.packing import as_file


def save_at(out: Path, name: str, arrays: Mapping[str, Any], said: Mapping[str, Any]) -> Path:
    """Write arrays and metadata to `out`, or to a file of that name in the folder `out`; return the path.

    Raises:
        UsageError: the folder has other weights of that name. NeuralCodecError: it cannot be written.
    """
    path = out / name if out.is_dir() else out
    save(path, arrays, said, replace=path == out)
    return path


def save(path: Path, arrays: Mapping[str, Any], said: Mapping[str, Any], *, replace: bool = True) -> None:
    """Write arrays and metadata.

    Raises:
        UsageError: another file is there, unless it may be replaced. NeuralCodecError: it cannot be written.
    """
    data = as_file(arrays, said)
    if not replace and path.exists() and path.read_bytes() != data:
        raise UsageError(f"{path} exists and is another one: name the file to write")
    try:
        with files.writing(path) as stream:
            stream.write(data)
    except OSError as error:
        raise NeuralCodecError(f"cannot write {path}: {error.strerror}") from None
