"""The sizes of models that train and code in no time."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from conftest import photograph

from neuralcodec.models.conv.config import ConvConfig
from neuralcodec.models.conv.network import ConvCodec
from neuralcodec.models.denoise.network import DenoiseConfig, Denoiser
from neuralcodec.models.gru.network import RecurrentCodec, RecurrentConfig
from neuralcodec.options import MOST_NOISE
from neuralcodec.training.companions import CompanionForm
from neuralcodec.training.data import PixelStore, block_components
from neuralcodec.training.denoise import FORM as DENOISE
from neuralcodec.training.export import arrays_of, write_weights
from neuralcodec.training.forms import trainable
from neuralcodec.training.recipe import read_recipe
from neuralcodec.weights import Tradeoff, WeightsFile
from neuralcodec.weights.denoiser import DenoiserFile

TINY_MODEL = ConvConfig(
    levels=3,
    fine=8,
    coarse=16,
    fine_blocks=1,
    coarse_blocks=1,
    latent=16,
    hyper=8,
    features=12,
    width=20,
)
#: The same with a detail layer from quality 70 on.
TINY_DETAIL = replace(
    TINY_MODEL,
    detail=8,
    detail_levels=3,
    detail_width=8,
    detail_analysis_blocks=1,
    detail_synthesis_blocks=1,
    detail_features=12,
    detail_context=16,
    base_level=150,
)
TINY_RECURRENT = RecurrentConfig(
    fine=8, coarse=12, render_blocks=1, priming=2, latent=8, features=12, width=16
)


def write_conv_weights(out: Path) -> WeightsFile:
    """Weights of the tiny `conv` model, untrained."""
    torch.manual_seed(0)
    return write_weights(out, arrays_of("conv", ConvCodec(TINY_MODEL).eval()), "conv", TINY_MODEL, Tradeoff())


def write_detail_weights(out: Path) -> WeightsFile:
    """Weights of the tiny `conv` model in two layers, untrained: two block transforms."""
    torch.manual_seed(0)
    model = ConvCodec(TINY_DETAIL).eval()
    store = PixelStore(photograph(256, 256, seed=5).reshape(-1), [(256, 256)], np.zeros(1, np.int64))
    model.transforms.start_from_components(block_components(store, TINY_DETAIL.latent, samples=2000))
    model.transforms.start_detail_from_components(
        block_components(store, TINY_DETAIL.detail, block=8, samples=2000)
    )
    arrays = arrays_of("conv", model)
    return write_weights(
        out, arrays, "conv", model.config, Tradeoff(), detail_tradeoff=Tradeoff(50.0, 2000.0)
    )


def write_recurrent_weights(out: Path) -> WeightsFile:
    """Weights of the tiny recurrent model, untrained: a block transform with ever finer steps."""
    torch.manual_seed(0)
    model = RecurrentCodec(TINY_RECURRENT).eval()
    store = PixelStore(photograph(256, 256, seed=5).reshape(-1), [(256, 256)], np.zeros(1, np.int64))
    model.transforms.start_from_components(block_components(store, 3 * TINY_RECURRENT.latent, samples=2000))
    return write_weights(out, arrays_of("gru", model), "gru", TINY_RECURRENT, Tradeoff())


def write_companion(kind: str, folder: Path, decoder: WeightsFile) -> WeightsFile:
    """An untrained companion of a kind, which changes nothing yet, for weights in `NCODEC_WEIGHTS`."""
    form = trainable(kind)
    assert isinstance(form, CompanionForm)
    torch.manual_seed(0)
    return form.export({}, form.config(**TINY_SIZES[kind]), decoder.decoder, folder)


#: Sizes of the companions of `write_companion`, and of the network that takes noise out.
TINY_SIZES = {
    "denoise": {"width": 6, "blocks": 1, "middle_blocks": 2},
    "encoder": {},
    "inpaint": {"width": 12, "blocks": 2},
    "vivid": asdict(read_recipe(Path("vivid")).model) | {"width": 4, "highest_level": 200},
}


def write_denoiser(folder: Path, change: Callable[[Denoiser], None] = lambda network: None) -> DenoiserFile:
    """An untrained network that takes noise out, and its graph.

    Args:
        change: what is done to its parameters before.
    """
    torch.manual_seed(0)
    config = DenoiseConfig(**TINY_SIZES["denoise"])
    network = Denoiser(config)
    with torch.no_grad():
        change(network)
    return DENOISE.export(network.state_dict(), config, None, folder)


def darken(network: Denoiser) -> None:
    """Let it take off an eighth of the noise that it is told of, and look at nothing else."""
    for parameter in network.parameters():
        parameter.zero_()
    network.level.weight[0] = 1.0
    network.head.weight[:, 0] = MOST_NOISE / 255 / 8
