"""Other encoders for a decoder, each in a file of its own, by kind: `denoise-96604f79.safetensors`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from neuralcodec.errors import UsageError
from neuralcodec.weights import SUFFIX, VARIABLE, Arrays, WeightsFile, at, available, files_in
from neuralcodec.weights.identity import id_of
from neuralcodec.weights.saving import save_at


def find_encoder(decoder: WeightsFile, kind: str) -> WeightsFile | None:
    """Find an encoder for a decoder, if there is one: in `NCODEC_WEIGHTS`, the package, or beside it."""
    there = _of_kind(decoder, kind)
    return next((file for file in there if file.decoder == decoder.decoder), None)


def _of_kind(decoder: WeightsFile, kind: str) -> list[WeightsFile]:
    there = {file.path: file for file in (*available(), *files_in(decoder.path.parent)) if file.kind == kind}
    return [*there.values()]


def encoder_of(decoder: WeightsFile, kind: str) -> WeightsFile:
    """Find the encoder of a kind for a decoder, see `find_encoder`.

    Raises:
        UsageError: there is none.
    """
    if (file := find_encoder(decoder, kind)) is not None:
        return file
    others = ", ".join(f"{file.path.name} is for {file.id.hex()}" for file in _of_kind(decoder, kind))
    raise UsageError(
        f"weights {decoder.path.stem} have no encoder to {kind}{f' ({others})' if others else ''}: "
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


def write_encoder(
    out: Path, arrays: Arrays, *, decoder: WeightsFile, kind: str, sizes: Mapping[str, int]
) -> WeightsFile:
    """Write an encoder alone.

    Args:
        out: its path; or a folder, in which it is named by kind and id.
        decoder: the weights whose decoder it is for.
        sizes: of the encoder, beside those of the model.

    Raises:
        UsageError: the folder has another encoder of that name. NeuralCodecError: it cannot be written.
    """
    names = ("codec", "decoder", "model", "tradeoff", "detail_tradeoff")
    said = {name: decoder.said[name] for name in names if name in decoder.said}
    said |= {"parts": ["encoder"], "kind": kind, "sizes": dict(sizes)}
    return at(save_at(out, f"{kind}-{decoder.id.hex()}{SUFFIX}", arrays, said))
