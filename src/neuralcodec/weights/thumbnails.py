"""The file beside a decoder's that holds the arrays for thumbnails of its latents."""

from __future__ import annotations

from pathlib import Path

from neuralcodec.weights import Arrays, WeightsFile, at
from neuralcodec.weights.saving import save
from neuralcodec.weights.stored import arrays_of, not_weights

SUFFIX = ".thumbnail"


def read(decoder: WeightsFile) -> Arrays | None:
    """Load the arrays that make thumbnails of a decoder's latents from the file beside it, if there is one.

    Raises:
        NeuralCodecError: it is no such file, or that of another decoder.
    """
    path = decoder.path.with_suffix(SUFFIX)
    if not path.is_file():
        return None
    file = at(path)
    if file.decoder != decoder.decoder:
        raise not_weights(path, ValueError(f"it is for weights {file.id.hex()}"))
    return arrays_of(file)


def write(decoder: WeightsFile, arrays: Arrays) -> Path:
    """Write the arrays of thumbnails beside the decoder that they are for.

    Raises:
        NeuralCodecError: the file cannot be written.
    """
    said = {"codec": decoder.codec.name, "decoder": decoder.decoder, "parts": ["thumbnail"]}
    path = decoder.path.with_suffix(SUFFIX)
    save(path, arrays, said)
    return path
