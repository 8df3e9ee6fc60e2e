"""From a checkpoint to a weights file: float16 transforms, integer prior, tables.

The averaged weights of a run become the file that encoders and decoders load. The networks of the prior are
rounded to integers row by row, each as finely as the exact range of float32 sums allows; building
`IntegerPrior` from the result proves that bound for every layer.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from neuralcodec import weights
from neuralcodec.entropy import canary
from neuralcodec.entropy.coder import SymbolWriter, zigzag
from neuralcodec.entropy.exact import EXACT, FRACTION_BITS, ONE, Integers, Range
from neuralcodec.entropy.layers import CONTEXT_STEP, FEATURE_UPDATE, HYPER_SYNTHESIS, Chain, Kind
from neuralcodec.entropy.prior import ACTIVATION_CLIP, INDEX_DROP, LATENT_CLIP, LATENT_ONE, IntegerPrior
from neuralcodec.entropy.stages import StagePriors
from neuralcodec.entropy.tables import SCALE_COUNT, Index, Int32, Tables, gaussian_tables
from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.format.varint import write_varint
from neuralcodec.models.conv.network import ConvCodec, ConvConfig, Transforms, level_of
from neuralcodec.models.gru.network import RecurrentCodec, RecurrentConfig
from neuralcodec.models.gru.prior import StagePriors as TrainedPriors
from neuralcodec.models.prior import ContextStep, Prior
from neuralcodec.training.data import load_crops
from neuralcodec.training.fitting import fitted_tables
from neuralcodec.training.loop import read_checkpoint
from neuralcodec.weights import Tradeoff, WeightsFile

Tensors = dict[str, npt.NDArray[Any]]

#: The rate that the integer form may cost over the trained one.
MAX_RATE_LOSS = 0.005
_FINEST_SHIFT = 16


def export(
    checkpoint: Path, out: Path, images: Path | None = None, photos: Path | None = None
) -> tuple[WeightsFile, dict[str, float]]:
    """Write a weights file; with a folder of `images`, also measure what the integers cost.

    Args:
        out: the file; or a folder, in which it is called by its codec and id, as `conv-0123abcd.safetensors`.
        photos: a folder of photographs to fit the probability tables of a conv model to. Not those that it
            will be measured on.

    Returns:
        The file, and a report: tensors' bytes, and with images bits per pixel of the trained prior
        (`bpp_float`), of the integer prior (`bpp_integer`, ideal code lengths), of the coded segments
        (`bpp_coded`), the `rate_loss` of the second against the first, and with photos the segments with
        fitted tables (`bpp_fitted`).

    Raises:
        UsageError: no usable image, or photos for another codec. NeuralCodecError: not a checkpoint; a
            network that cannot be made exact; a rate loss above 0.5 %, and then nothing is written.
    """
    tensors, config, run = read_checkpoint(checkpoint)
    model = RecurrentCodec(config) if isinstance(config, RecurrentConfig) else ConvCodec(config)
    # Checkpoints that do not say it are of the default one.
    tradeoff = Tradeoff(**{f.name: run[f.name] for f in fields(Tradeoff) if f.name in run})
    ema = {name.removeprefix("ema."): t for name, t in tensors.items() if name.startswith("ema.")}
    model.eval().load_state_dict(ema, strict=False)
    try:
        arrays = arrays_of(model)
        report: dict[str, float] = {}
        if images is not None:
            if isinstance(model, RecurrentCodec):
                report |= measure_stages(model, StagePriors(arrays, model.config.stages), images)
            else:
                report |= measure(model, IntegerPrior(arrays), images)
            if report["rate_loss"] > MAX_RATE_LOSS:
                loss = f"{report['rate_loss']:.2%}"
                raise NeuralCodecError(f"the integer prior costs {loss} of rate, above 0.5 %")
        if photos is not None:
            if isinstance(model, RecurrentCodec):
                raise UsageError("tables are fitted to photographs for the conv codec only")
            arrays |= fitted_tables(model, arrays, photos)
            if images is not None:
                report["bpp_fitted"] = measure(model, IntegerPrior(arrays), images)["bpp_coded"]
        report["bytes"] = float(sum(a.nbytes for a in arrays.values()))
    except NeuralCodecError:
        raise
    except ValueError as error:
        raise NeuralCodecError(f"{checkpoint} cannot be exported: {error}") from None
    return write_weights(out, arrays, config, tradeoff), report


def arrays_of(model: ConvCodec | RecurrentCodec) -> Tensors:
    """What a weights file holds: the integer prior, the transforms as float16.

    Raises:
        NeuralCodecError: a network cannot be made exact.
    """
    prior = model.prior
    arrays = integer_tensors(prior) if isinstance(prior, Prior) else stage_tensors(prior)
    return arrays | {
        f"transforms.{name}": tensor.to(torch.float16).numpy()
        for name, tensor in model.transforms.state_dict().items()
    }


def write_weights(
    out: Path, arrays: Tensors, config: ConvConfig | RecurrentConfig, tradeoff: Tradeoff
) -> WeightsFile:
    """Write a weights file with a canary: `out`, or if that is a folder, a file in it named by codec and id.

    Raises:
        NeuralCodecError: it cannot be written.
    """
    if isinstance(config, RecurrentConfig):
        codec, known = "gru", canary.make(StagePriors(arrays, config.stages))
    else:
        codec, known = "conv", canary.make(IntegerPrior(arrays))
    return weights.write(out, arrays, codec=codec, model=asdict(config), tradeoff=tradeoff, canary=known)


def integer_tensors(prior: Prior) -> Tensors:
    """Every array that `IntegerPrior` needs."""
    tables = gaussian_tables()
    arrays: Tensors = {"tables.counts": tables.counts, "tables.radius": tables.radius}
    arrays |= _z_tables(prior)
    latents = Range.uniform(prior.z_mean.shape[1], -LATENT_CLIP, LATENT_CLIP)
    layers, features = _chain_layers(prior, HYPER_SYNTHESIS, "", latents)
    layers |= _step_layers(prior.steps, "steps", features)
    return arrays | _stored(layers)


def stage_tensors(prior: TrainedPriors) -> Tensors:
    """Every array that the integer `StagePriors` need."""
    tables = gaussian_tables()
    arrays: Tensors = {"tables.counts": tables.counts, "tables.radius": tables.radius}
    features = Range.uniform(prior.features, -ACTIVATION_CLIP, ACTIVATION_CLIP)
    layers: dict[str, Integers] = {}
    for stage, steps in enumerate(prior.steps):
        assert isinstance(steps, nn.ModuleList)
        layers |= _step_layers(steps, f"stages.{stage}", features)
    seen = features.concat(Range.uniform(prior.latent, -LATENT_CLIP, LATENT_CLIP))
    for stage, update in enumerate(prior.updates):
        layers |= _chain_layers(update, FEATURE_UPDATE, f"updates.{stage}.", seen)[0]
    return arrays | _stored(layers)


def _chain_layers(
    module: nn.Module, chain: Chain, prefix: str, inputs: Range
) -> tuple[dict[str, Integers], Range]:
    """Round the layers of a chain, by name, and give the range of what comes out."""
    layers: dict[str, Integers] = {}
    for part in chain:
        conv = module.get_submodule(part.name)
        assert isinstance(conv, nn.Conv2d)
        layer = layers[prefix + part.name] = to_integers(conv, inputs)
        inputs = layer.output(inputs).clip(part.low * ONE, part.high * ONE)
        if part.kind is Kind.UP:
            inputs = inputs.of_squares()
    return layers, inputs


def _step_layers(steps: nn.ModuleList, prefix: str, features: Range) -> dict[str, Integers]:
    """The layers of four context steps."""
    layers: dict[str, Integers] = {}
    for k, step in enumerate(steps):
        assert isinstance(step, ContextStep)
        latent = step.head.out_channels // 2
        x = features.concat(Range.uniform(latent, -LATENT_CLIP, LATENT_CLIP))
        body, x = _chain_layers(step, CONTEXT_STEP, f"{prefix}.{k}.", x)
        layers |= body
        drop = np.repeat([0, INDEX_DROP], latent)
        layers[f"{prefix}.{k}.head"] = to_integers(step.head, x, drop)
    return layers


def _stored(layers: dict[str, Integers]) -> Tensors:
    parts = ("weight", "bias", "shift")
    return {f"exact.{name}.{part}": getattr(layer, part) for name, layer in layers.items() for part in parts}


@torch.no_grad()
def to_integers(conv: nn.Conv2d, inputs: Range, drop: npt.NDArray[np.int64] | None = None) -> Integers:
    """Round a layer, each row with the finest shift for which every sum stays exact.

    Args:
        drop: further bits to drop from each output, `(outputs,)`.

    Raises:
        NeuralCodecError: a row's weights are too large for any shift.
    """
    assert conv.bias is not None
    weight = conv.weight.flatten(1).double().numpy()  # (outputs, inputs) or (channels, 9)
    bias = conv.bias.double().numpy()
    magnitude = inputs.magnitude[:, None] if conv.groups > 1 else inputs.magnitude[None]
    extra = np.zeros(len(bias), np.int64) if drop is None else drop
    shift = np.full(len(bias), -1, np.int64)
    for candidate in range(_FINEST_SHIFT + 1):
        scaled = np.rint(weight * 2**candidate)
        offset = np.abs(bias) * 2 ** (candidate + FRACTION_BITS) + 2.0 ** (candidate + extra)
        fits = ((np.abs(scaled) * magnitude).sum(1) + offset < EXACT) & (np.abs(scaled).max(1) < 2**15)
        shift = np.where(fits, candidate, shift)
    if shift.min() < 0:
        raise NeuralCodecError("a layer of the prior has weights too large for exact sums")
    power = 2.0**shift
    total = shift + extra
    half = np.where(total > 0, 2.0 ** (total - 1), 0.0)
    return Integers(
        np.rint(weight * power[:, None]).astype(np.int16),
        (np.rint(bias * power * 2**FRACTION_BITS) + half).astype(np.int32),
        total.astype(np.int8),
    )


@torch.no_grad()
def _z_tables(prior: Prior) -> Tensors:
    """Means in sixteenths and scale indices of z for every quality, `(101, C_z)`."""
    level = level_of(torch.arange(101), prior.z_mean.shape[0])
    mean, index = prior.z_parameters(level)
    return {
        "z.mean": (mean * LATENT_ONE).round().clamp(-(2**15), 2**15 - 1).to(torch.int16).numpy(),
        # Never silent: the mean alone would then have to carry z.
        "z.index": index.round().clamp(1, SCALE_COUNT - 1).to(torch.uint8).numpy(),
    }


@torch.no_grad()
def measure(model: ConvCodec, prior: IntegerPrior, images: Path) -> dict[str, float]:
    """Rates of the trained and of the integer prior on the same latents, over images and qualities."""
    transforms: Transforms = model.transforms
    bits = {"bpp_float": 0.0, "bpp_integer": 0.0, "bpp_coded": 0.0}
    pixels = 0
    for crop in load_crops(images, width=768, height=512):
        for quality in (5, 35, 65, 95):
            level = level_of(torch.tensor([quality]), model.config.levels)
            y = transforms.analyse(crop.float() / 255, level)
            z = transforms.hyper_analysis(y)
            out = model.prior(y, z, level)
            writer = CountingWriter(prior.tables)
            latents = (y[0].permute(1, 2, 0).contiguous().numpy(), z[0].permute(1, 2, 0).contiguous().numpy())
            prior.code(writer, quality, y.shape[2], y.shape[3], latents)
            bits["bpp_float"] += float(out.y_bits + out.z_bits)
            bits["bpp_integer"] += writer.bits
            bits["bpp_coded"] += 8 * len(writer.finish())
            pixels += crop[0, 0].numel()
    return _rates(bits, pixels)


@torch.no_grad()
def measure_stages(model: RecurrentCodec, prior: StagePriors, images: Path) -> dict[str, float]:
    """The same for the recurrent codec, over images and stages; the integer form decides what is decoded."""
    transforms = model.transforms
    bits = {"bpp_float": 0.0, "bpp_integer": 0.0, "bpp_coded": 0.0}
    pixels = 0
    for crop in load_crops(images, width=768, height=512):
        x = crop.float() / 255 - 0.5
        height, width = x.shape[2] // 16, x.shape[3] // 16
        encoder, linear = transforms.start(x, height, width)
        decoder, x_hat = encoder, torch.zeros_like(x)
        exact, trained = prior.start(height, width), model.prior.start(x, height, width)
        for stage in range(model.config.stages):
            passes = transforms.passes(stage)
            y, encoder = transforms.analysis(x - x_hat, encoder, stage, passes)
            _, stage_bits, _ = model.prior(stage, y, trained)
            writer = CountingWriter(prior.tables)
            latent = y[0].permute(1, 2, 0).contiguous().numpy()
            decoded, exact = prior.code(writer, stage, exact, (height, width), latent)
            y_hat = torch.from_numpy(decoded).permute(2, 0, 1)[None]
            decoder, linear = transforms.synthesis(y_hat, decoder, linear, stage, passes)
            x_hat = transforms.synthesis.render(decoder, linear)
            trained = torch.from_numpy(exact / ONE).permute(2, 0, 1)[None]
            bits["bpp_float"] += float(stage_bits)
            bits["bpp_integer"] += writer.bits
            bits["bpp_coded"] += 8 * len(writer.finish())
        pixels += crop[0, 0].numel()
    return _rates(bits, pixels)


def _rates(bits: dict[str, float], pixels: int) -> dict[str, float]:
    report = {name: value / pixels for name, value in bits.items()}
    return report | {"rate_loss": report["bpp_integer"] / report["bpp_float"] - 1}


class CountingWriter(SymbolWriter):
    """A writer that also adds up the ideal code lengths."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self.bits = 0.0

    def exchange(self, symbols: Int32 | None, index: Index) -> Int32:
        escapes = len(self._escapes)
        coded = super().exchange(symbols, index)
        self.bits += float(self._tables.bits(coded, index).sum())
        self.bits += sum(8 * len(write_varint(zigzag(s))) for s in self._escapes[escapes:])
        return coded
