"""Weights files: found by name or path for encoding, and by the id in a header for decoding.

A weights file is safetensors, packed: float16 arrays `transforms.*`, the integer prior, and as metadata the
codec, the sizes of its model, what it was trained for and a canary. Its id is the start of a hash of what a
decoder needs, so that a better encoder writes files that earlier decoders read. An encoder may lie in a file
of its own, which names the decoder it is for; it may be of a kind, as may another synthesis
(`neuralcodec.weights.companions`). A file without an encoder serves for decoding only. Beside a decoder may
lie the arrays for its thumbnails, `conv-96604f79.thumbnail`, which its id does not stand for.

Files are found in the folders and files that the variable `NCODEC_WEIGHTS` lists, and in this package.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError
from neuralcodec.format.header import Codec, codec_named
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

if TYPE_CHECKING:
    from neuralcodec.entropy.canary import Canary

#: Environment variable that lists folders and files to search before the package, as PATH lists folders.
VARIABLE = "NCODEC_WEIGHTS"
_FOLDER = Path(__file__).parent
#: Larger models are refused before they are built. Sizes whose names end as below count layers.
_MOST_CHANNELS, _MOST_LAYERS = 2**12, 2**6
_LAYERS = ("blocks", "levels", "priming", "stages")

Arrays: TypeAlias = "Mapping[str, Any]"


@dataclass(frozen=True)
class Tradeoff:
    """The aim that a model was trained for; stored with its weights, so that encoders pursue the same.

    The defaults hold for weights that do not give a value.
    """

    lambda_low: float = 0.15
    lambda_high: float = 320.0
    ms_ssim_weight: float = 1.0
    ssimulacra2_weight: float = 0.0
    mse_weight: float = 1.0
    mse_growth: float = 1.0  # weight of the MSE at the highest level, over that at the lowest
    flat_weight: float = 0.0


@dataclass(frozen=True)
class WeightsFile(StoredFile):
    """A weights file of a codec, read without its arrays.

    Args:
        decoder: SHA-256, in hex, of what a decoder needs: see `decoder_hash`.
        encodes, decodes: whether that half is in the file.
        share: how much of what a companion changes, 0 to 1.
    """

    codec: Codec
    decoder: str
    encodes: bool
    decodes: bool
    share: float = 1.0

    @property
    def id(self) -> bytes:
        """The four bytes by which headers name the decoder."""
        return bytes.fromhex(id_of(self.decoder))

    @property
    def kind(self) -> str | None:
        """What a companion of a decoder is for, such as `inpaint`; None of a codec's own halves."""
        return self.said.get("kind")

    @property
    def name(self) -> str:
        """The file's name without the id at its end: `conv` of `conv-96604f79.safetensors`."""
        return self.path.name.removesuffix(SUFFIX).removesuffix(f"-{self.id.hex()}")


@dataclass(frozen=True)
class Weights:
    """Weights in memory: arrays by name, the sizes of the model, and what it was trained for.

    `detail_tradeoff` is that of a detail layer, if there is one and somebody said so.
    """

    id: bytes
    codec: str
    model: Mapping[str, int]
    tradeoff: Tradeoff
    detail_tradeoff: Tradeoff | None
    canary: Canary | None
    arrays: Arrays


def available() -> list[WeightsFile]:
    """List all weights files of `NCODEC_WEIGHTS` and of the package, in the order of the search."""
    return [file for place in places() for file in files_in(place)]


def places() -> list[Path]:
    """List the folders and files that are searched, in the order of the search."""
    return [*map(Path, filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))), _FOLDER]


def files_in(place: Path) -> list[WeightsFile]:
    """List the weights files of a folder, or the file that the place is."""
    found = []
    for path in sorted(place.glob(f"*{SUFFIX}")) if place.is_dir() else [place]:
        try:
            found.append(at(path))
        except NeuralCodecError:
            continue  # such as a checkpoint of `ncodec train`
    return found


def by_name(name: str | os.PathLike[str]) -> WeightsFile:
    """Find the weights to encode with.

    Args:
        name: of weights in `NCODEC_WEIGHTS` or in the package, with or without their id; or the path of a
            file, which ends in `.safetensors` or has a slash.

    Raises:
        UsageError: there is none, or it has no encoder. NeuralCodecError: it is no weights file.
    """
    text = os.fspath(name)
    if isinstance(name, os.PathLike) or text.endswith(SUFFIX) or not {"/", os.sep}.isdisjoint(text):
        file = at(Path(text))
        if file.decodes:
            _opened[file.id] = file
    else:
        named = [file for file in available() if text in (file.name, file.path.stem)]
        if not named:
            own = (file for file in available() if file.encodes and file.kind is None)
            there = ", ".join(sorted({file.name for file in own}))
            raise UsageError(f"no model named {text!r}; there is {there}, or the path of any weights file")
        file = named[0]
        rivals = [other.path.stem for other in named if other.path.parent == file.path.parent]
        if len(rivals) > 1:
            raise UsageError(f"{text!r} may be {' or '.join(rivals)}: name it with its id")
    if file.kind is not None:
        raise UsageError(f"{file.path} is for `{file.kind}` alone: name the weights that it belongs to")
    if not file.encodes:
        raise UsageError(f"{file.name} has no encoder: these weights are for decoding the files they wrote")
    if _decoder(file.id) is None:
        raise UsageError(
            f"{file.path} is an encoder for weights {file.id.hex()}, which are not here: {_WHERE}"
        )
    return file


def by_id(identity: bytes) -> WeightsFile:
    """Find the weights to decode a file with, by the id in its header.

    Raises:
        DamagedFileError: they are not here.
    """
    file = _decoder(identity)
    if file is None:
        raise DamagedFileError(
            f"the file needs weights {identity.hex()}, which are not here: {_WHERE}; else the header is "
            "damaged, or another version of neuralcodec wrote it"
        )
    return file


def name_of(identity: bytes) -> str | None:
    """Return the name of the weights with this id, or None if they are not here."""
    file = _decoder(identity)
    return None if file is None else file.name


_WHERE = f"if they are your own, name their folder in {VARIABLE}"
#: By id, decoders that were named by path: this process can then read the files that it writes.
_opened: dict[bytes, WeightsFile] = {}


def _decoder(identity: bytes) -> WeightsFile | None:
    known = (*available(), *_opened.values())
    return next((file for file in known if file.decodes and file.id == identity), None)


def at(path: Path) -> WeightsFile:
    """Read the metadata of the weights file at a path.

    Raises:
        UsageError: there is no such file. NeuralCodecError: it is no weights file.
    """
    return _read_header(path, written(path))


@functools.lru_cache(maxsize=256)
def _read_header(path: Path, written: tuple[int, int, int]) -> WeightsFile:
    """Read the metadata of a codec's file.

    Args:
        written: see `StoredFile`; the cache goes by it.
    """
    try:
        said = metadata(path, written[0])
        if len(bytes.fromhex(said["decoder"])) != hashlib.sha256().digest_size:
            raise ValueError("it does not say of which decoder it is")
        codec = codec_named(said["codec"])
        encodes, decodes = (part in said["parts"] for part in ("encoder", "decoder"))
        return WeightsFile(path, written, said, codec, said["decoder"], encodes, decodes)
    except DAMAGE as error:
        raise not_weights(path, error) from None


def read(file: WeightsFile) -> Weights:
    """Load weights; load an encoder in a file of its own together with its decoder.

    Raises:
        NeuralCodecError: it is no weights file, or what a decoder needs is not what its id stands for.
    """
    from neuralcodec.entropy.canary import Canary
    from neuralcodec.weights.changes import changed, refuse_others

    decoder = file if file.decodes else by_id(file.id)
    arrays = arrays_of(decoder)
    try:
        codec, model = decoder.said["codec"], decoder.said["model"]
        if decoder_hash(codec, model, arrays) != decoder.decoder:
            raise ValueError("its arrays are not those that its id stands for: it is damaged")
        if file.said["model"] != model:
            raise ValueError("its sizes are not those of the decoder that it is for")
        if decoder != file:
            made = changed(arrays_of(file), arrays, file.share)
            refuse_others(made, arrays, encodes=file.encodes)
            arrays |= made
        check_sizes({**model, **file.said.get("sizes", {})})
        tradeoff = Tradeoff(**file.said["tradeoff"])
        details = Tradeoff(**file.said["detail_tradeoff"]) if "detail_tradeoff" in file.said else None
        canary = None
        if (known := decoder.said.get("canary")) is not None:
            canary = Canary(tuple(map(bytes.fromhex, known["segments"])), known["latent"])
        return Weights(file.id, codec, model, tradeoff, details, canary, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise not_weights(file.path, error) from None


def check_sizes(sizes: Mapping[str, Any]) -> None:
    """Refuse sizes of a model that would take too much to build.

    Raises:
        ValueError: one is none, or out of range.
    """
    for name, size in sizes.items():
        most = _MOST_LAYERS if name.endswith(_LAYERS) else _MOST_CHANNELS
        if type(size) is not int or not 0 <= size <= most:
            raise ValueError(f"{name} of its model is out of range")


def write(
    out: Path,
    arrays: Arrays,
    *,
    codec: str,
    model: Mapping[str, int],
    tradeoff: Tradeoff,
    detail_tradeoff: Tradeoff | None = None,
    canary: Canary | None = None,
    encodes: bool = True,
    decoder: str | None = None,
) -> WeightsFile:
    """Write a weights file.

    Args:
        out: its path; or a folder, in which it is named by codec and id.
        canary: of a decoder that promises exactness.
        encodes: whether `arrays` has the encoder.
        decoder: for an encoder alone, the hash of the decoder that it is for.

    Raises:
        UsageError: the folder has other weights of that name. NeuralCodecError: it cannot be written.
    """
    parts = (["encoder"] if encodes else []) + ([] if decoder else ["decoder"])
    decoder = decoder or decoder_hash(codec, model, arrays)
    said: dict[str, Any] = {"codec": codec, "decoder": decoder, "model": dict(model), "parts": parts}
    said["tradeoff"] = asdict(tradeoff)
    if detail_tradeoff is not None:
        said["detail_tradeoff"] = asdict(detail_tradeoff)
    if canary is not None:
        segments = [segment.hex() for segment in canary.segments]
        said["canary"] = {"segments": segments, "latent": canary.latent}
    return at(save_at(out, f"{codec}-{id_of(decoder)}{SUFFIX}", arrays, said))
