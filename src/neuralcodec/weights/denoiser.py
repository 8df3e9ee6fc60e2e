"""The weights of the network that takes noise out of pixels: for all codecs, and needed by no decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.weights import VARIABLE, Arrays, check_sizes, places
from neuralcodec.weights.changes import changed, changes
from neuralcodec.weights.identity import decoder_hash, id_of
from neuralcodec.weights.saving import save_at
from neuralcodec.weights.stored import (
    DAMAGE,
    SUFFIX,
    StoredFile,
    arrays_of,
    metadata,
    not_weights,
    written,
)

KIND = "denoise"


@dataclass(frozen=True)
class DenoiserFile(StoredFile):
    """A weights file of the network, read without its arrays."""

    @property
    def id(self) -> bytes:
        """The first four bytes of the hash of its arrays."""
        return bytes.fromhex(id_of(self.said["hash"]))

    @property
    def sizes(self) -> Mapping[str, int]:
        """The sizes of the network, by name."""
        sizes: Mapping[str, int] = self.said["model"]
        return sizes


def at(path: Path) -> DenoiserFile:
    """Read the metadata of the file at a path.

    Raises:
        UsageError: there is no such file. NeuralCodecError: it is none of such a network.
    """
    when = written(path)
    try:
        said = metadata(path, when[0])
        if said["kind"] != KIND or "decoder" in said:
            raise ValueError("it is not for noisy pixels")
        file = DenoiserFile(path, when, said)
        if len(file.id) != 4:
            raise ValueError("it does not say which one it is")
        check_sizes(file.sizes)
        return file
    except DAMAGE as error:
        raise not_weights(path, error) from None


def find() -> DenoiserFile:
    """Find the file to use, in `NCODEC_WEIGHTS` or in the package.

    Raises:
        UsageError: there is none.
    """
    for place in places():
        for path in sorted(place.glob(f"{KIND}-*{SUFFIX}")) if place.is_dir() else [place]:
            try:
                return at(path)
            except NeuralCodecError:
                continue
    raise UsageError(
        f"there are no weights to {KIND} with: `ncodec train {KIND}` and `ncodec export` make them, in a "
        f"folder of {VARIABLE}"
    )


def read(file: DenoiserFile) -> dict[str, Any]:
    """Load the arrays of a file.

    Raises:
        NeuralCodecError: it is damaged.
    """
    stored = arrays_of(file)
    try:
        if decoder_hash(KIND, file.sizes, stored) != file.said["hash"]:
            raise ValueError("its arrays are not those that its id stands for: it is damaged")
        return changed(stored, {})
    except DAMAGE as error:
        raise not_weights(file.path, error) from None


def write(out: Path, arrays: Arrays, sizes: Mapping[str, int]) -> DenoiserFile:
    """Write a file.

    Args:
        out: its path; or a folder, in which it is named by its id.
        arrays: float32, by name.

    Raises:
        UsageError: the folder has others of that name. NeuralCodecError: it cannot be written.
    """
    stored = changes(arrays, {})
    known = decoder_hash(KIND, sizes, stored)
    said = {"kind": KIND, "model": dict(sizes), "hash": known}
    return at(save_at(out, f"{KIND}-{id_of(known)}{SUFFIX}", stored, said))
