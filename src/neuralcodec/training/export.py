"""From a checkpoint to a weights file: float16 transforms, integer prior, tables.

The averaged weights of a run become the file that encoders and decoders load.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from neuralcodec import weights
from neuralcodec.entropy import canary
from neuralcodec.errors import NeuralCodecError
from neuralcodec.training.checkpoint import read_checkpoint, tradeoff_of
from neuralcodec.training.export_graphs import write_graphs
from neuralcodec.training.forms import PartForm, form_of, trainable
from neuralcodec.training.integers import Tensors
from neuralcodec.weights import Tradeoff, WeightsFile

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from neuralcodec.weights.denoiser import DenoiserFile

#: The rate that the integer form may cost over the trained one.
MAX_RATE_LOSS = 0.005


def export(
    checkpoint: Path, out: Path, images: Path | None = None, photos: Path | None = None
) -> tuple[WeightsFile | DenoiserFile, dict[str, float]]:
    """Write a weights file; with a folder of `images`, also measure what rounding to integers costs.

    Args:
        out: the file, or a folder, in which its name is codec and id, as in `conv-0123abcd.safetensors`.
        photos: photographs to fit the probability tables of a conv model to. Take others than those that
            the model will be measured on.

    Returns:
        The file and a report. It has the `bytes` of the tensors. With `images` it has bits per pixel: of the
        trained prior (`bpp_float`), of the integer prior (`bpp_integer`, ideal code lengths), and of the
        coded segments (`bpp_coded`); and the `rate_loss` of the second against the first. With `photos` too,
        it has those of the segments with fitted tables (`bpp_fitted`).

    Raises:
        UsageError: no usable image, or photos for another codec. NeuralCodecError: not a checkpoint; a
            network that cannot be made exact; a rate loss above 0.5 %. Nothing is written then.
    """
    trained = read_checkpoint(checkpoint)
    codec, run = trained.codec, trained.run
    part = trainable(codec)
    if isinstance(part, PartForm):
        return part.export(trained.averaged, trained.model, trained.decoder, out), {}
    form = form_of(codec)
    model = form.model(trained.model)
    tradeoff = tradeoff_of(run)
    details = tradeoff_of(run, "detail.") if "detail.lambda_low" in run else None
    model.eval().load_state_dict(trained.averaged, strict=False)
    try:
        arrays = arrays_of(codec, model, images)
        report: dict[str, float] = {}
        if images is not None:
            report |= form.measure(model, arrays, images)
            if report["rate_loss"] > MAX_RATE_LOSS:
                loss = f"{report['rate_loss']:.2%}"
                raise NeuralCodecError(f"the integer prior costs {loss} of rate, above 0.5 %")
        if photos is not None:
            arrays |= form.fitted(model, arrays, photos)
            if images is not None:
                report["bpp_fitted"] = form.measure(model, arrays, images)["bpp_coded"]
        report["bytes"] = float(sum(a.nbytes for a in arrays.values()))
    except NeuralCodecError:
        raise
    except ValueError as error:
        raise NeuralCodecError(f"{checkpoint} cannot be exported: {error}") from None
    file = write_weights(out, arrays, codec, model.config, tradeoff, detail_tradeoff=details)
    write_graphs(file.path)
    return file, report


def arrays_of(codec: str, model: Any, images: Path | None = None) -> Tensors:
    """Make the arrays of a model's weights file: the integer prior, and the transforms as float16.

    Args:
        images: see `Form.integer_arrays`.

    Raises:
        NeuralCodecError: a network cannot be made exact.
    """
    return form_of(codec).integer_arrays(model, images) | {
        f"transforms.{name}": tensor.to(torch.float16).numpy()
        for name, tensor in model.transforms.state_dict().items()
    }


def write_weights(
    out: Path,
    arrays: Tensors,
    codec: str,
    config: DataclassInstance,
    tradeoff: Tradeoff,
    *,
    detail_tradeoff: Tradeoff | None = None,
) -> WeightsFile:
    """Write a weights file with a canary: `out`, or if that is a folder, a file in it named by codec and id.

    Raises:
        NeuralCodecError: the file cannot be written.
    """
    known = canary.make(form_of(codec).integer_prior(config, arrays))
    sizes = form_of(codec).sizes(config)
    return weights.write(
        out,
        arrays,
        codec=codec,
        model=sizes,
        tradeoff=tradeoff,
        detail_tradeoff=detail_tradeoff,
        canary=known,
    )
