"""Companions of a decoder: an encoder that fills holes, and another synthesis for the same files.

Each is a file of its own, by kind, such as `inpaint-96604f79.safetensors`, and holds what it changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from neuralcodec.errors import UsageError
from neuralcodec.weights import VARIABLE, Arrays, WeightsFile, at, available, files_in
from neuralcodec.weights.changes import changes
from neuralcodec.weights.identity import id_of, is_encoder
from neuralcodec.weights.packing import UNPACKED
from neuralcodec.weights.saving import save_at
from neuralcodec.weights.stored import SUFFIX, arrays_of

#: By kind, what it is; the others are encoders to do what their kind says.
_WORDS = {"vivid": "vivid decoder"}


def find_companion(decoder: WeightsFile, kind: str) -> WeightsFile | None:
    """Find the companion of a kind, or None: in `NCODEC_WEIGHTS`, the package, or beside the decoder."""
    there = _of_kind(decoder, kind)
    return next((file for file in there if file.decoder == decoder.decoder), None)


def _of_kind(decoder: WeightsFile, kind: str) -> list[WeightsFile]:
    there = {file.path: file for file in (*available(), *files_in(decoder.path.parent)) if file.kind == kind}
    return [*there.values()]


def companion_of(decoder: WeightsFile, kind: str) -> WeightsFile:
    """Find the companion of a kind, see `find_companion`.

    Raises:
        UsageError: there is none.
    """
    if (file := find_companion(decoder, kind)) is not None:
        return file
    others = ", ".join(f"{file.path.name} is for {file.id.hex()}" for file in _of_kind(decoder, kind))
    what = _WORDS.get(kind, f"encoder to {kind}")
    raise UsageError(
        f"weights {decoder.path.stem} have no {what}{f' ({others})' if others else ''}: "
        f"`ncodec train {kind} --start {decoder.path.stem}` and `ncodec export` make one, beside them or in "
        f"a folder of {VARIABLE}"
    )


def with_decoder(decoder: str) -> WeightsFile:
    """Find the weights whose decoder, and encoder, has this hash.

    Raises:
        UsageError: they are not here.
    """
    for file in available():
        if file.decoder == decoder and file.encodes and file.decodes:
            return file
    raise UsageError(
        f"it is for weights {id_of(decoder)}, which are not here: name their folder in {VARIABLE}"
    )


def write_companion(
    out: Path, arrays: Arrays, *, decoder: WeightsFile, kind: str, sizes: Mapping[str, int]
) -> WeightsFile:
    """Write a companion.

    Args:
        out: its path; or a folder, in which it is named by kind and id.
        decoder: the weights whose decoder it is for.
        arrays: those that differ from the decoder's, or that it does not have.
        sizes: of the companion, beside those of the model.

    Raises:
        UsageError: the folder has another companion of that name. NeuralCodecError: it cannot be written.
    """
    names = ("codec", "decoder", "model", "tradeoff", "detail_tradeoff")
    said = {name: decoder.said[name] for name in names if name in decoder.said}
    parts = ["encoder"] if any(map(is_encoder, arrays)) else []
    said |= {"parts": parts, "kind": kind, "sizes": dict(sizes)}
    stored = changes(arrays, arrays_of(decoder))
    return at(save_at(out, f"{kind}-{decoder.id.hex()}{SUFFIX}", stored, said))


def write_encoder(out: Path, arrays: Arrays, *, decoder: WeightsFile) -> WeightsFile:
    """Write a codec with the decoder of `decoder` and another encoder, which is what `arrays` has.

    Args:
        out: its path; or a folder, in which it is named by codec and id, as `decoder` is.

    Raises:
        UsageError: the folder has other weights of that name. NeuralCodecError: it cannot be written.
    """
    stored = {**arrays_of(decoder), **arrays}
    said = {name: value for name, value in decoder.said.items() if name != UNPACKED}
    return at(save_at(out, f"{decoder.codec.name}-{decoder.id.hex()}{SUFFIX}", stored, said))
