"""The gru family in training and export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from neuralcodec.entropy.exact import ONE, Integers, Range
from neuralcodec.entropy.layers import FEATURE_UPDATE
from neuralcodec.entropy.prior import ACTIVATION_CLIP, LATENT_CLIP
from neuralcodec.entropy.stages import StagePriors
from neuralcodec.entropy.tables import gaussian_tables
from neuralcodec.errors import UsageError
from neuralcodec.models.gru.network import RecurrentCodec, RecurrentConfig, Stage
from neuralcodec.models.gru.prior import StagePriors as TrainedPriors
from neuralcodec.training.data import CropSampler, load_crops
from neuralcodec.training.forms import Form, Objective
from neuralcodec.training.integers import CountingWriter, Tensors, chain_layers, rates, step_layers, stored
from neuralcodec.training.objectives import Terms

#: Stages whose pixels one training step compares.
STAGES_SEEN = 3


class RecurrentObjective(Objective):
    """The gru codec in training: the bits of a stage include those of all stages before it."""

    def __init__(self, config: RecurrentConfig) -> None:
        self.stages = config.stages
        self.model = RecurrentCodec(config)
        self.components = 3 * config.latent

    def begin(self, crops: Iterator[Tensor]) -> None:
        """Have nothing to prepare."""

    def terms(self, replica: nn.Module, x: Tensor, sampler: CropSampler, step: int) -> list[Terms]:
        seen = sampler.choose(step, self.stages, STAGES_SEEN)
        out = self._summed(replica(x, seen[-1] + 1))
        share = torch.tensor(seen, dtype=torch.float32, device=x.device) / (self.stages - 1)
        x_hat, bits = torch.cat([out[s].x_hat for s in seen]), torch.cat([out[s].bits for s in seen])
        return [Terms(x.repeat(len(seen), 1, 1, 1), x_hat, bits, share.repeat_interleave(x.shape[0]))]

    def points(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [(out.x_hat, out.bits) for out in self._summed(self.model(x, self.stages))]

    def _summed(self, stages: list[Stage]) -> list[Stage]:
        total = torch.zeros_like(stages[0].bits)
        out = []
        for stage in stages:
            total = total + stage.bits
            out.append(Stage(stage.x_hat, total))
        return out


def stage_tensors(prior: TrainedPriors) -> Tensors:
    """Make every array that the integer `StagePriors` need."""
    tables = gaussian_tables()
    arrays: Tensors = {"tables.counts": tables.counts, "tables.radius": tables.radius}
    features = Range.uniform(prior.features, -ACTIVATION_CLIP, ACTIVATION_CLIP)
    layers: dict[str, Integers] = {}
    for stage, steps in enumerate(prior.steps):
        assert isinstance(steps, nn.ModuleList)
        layers |= step_layers(steps, f"stages.{stage}", features)
    seen = features.concat(Range.uniform(prior.latent, -LATENT_CLIP, LATENT_CLIP))
    for stage, update in enumerate(prior.updates):
        layers |= chain_layers(update, FEATURE_UPDATE, f"updates.{stage}.", seen)[0]
    return arrays | stored(layers)


@torch.no_grad()
def measure_stages(model: RecurrentCodec, prior: StagePriors, images: Path) -> dict[str, float]:
    """Measure the rates of the trained and the integer prior, over images and stages.

    The integer prior decides what is decoded, and thus what the next stage is given.
    """
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
    return rates(bits, pixels)


class GruForm(Form[RecurrentConfig, RecurrentCodec]):
    """See `Form`."""

    config = RecurrentConfig

    def model(self, config: RecurrentConfig) -> RecurrentCodec:
        return RecurrentCodec(config)

    def objective(self, config: RecurrentConfig, *, detail_share: float = 0.0) -> Objective:
        if detail_share:
            raise UsageError("detail_share is of models with a detail layer, and gru has none")
        return RecurrentObjective(config)

    def integer_arrays(self, model: RecurrentCodec, images: Path | None = None) -> Tensors:
        return stage_tensors(model.prior)

    def integer_prior(self, config: RecurrentConfig, arrays: Tensors) -> StagePriors:
        return StagePriors(arrays, config.stages)

    def measure(self, model: RecurrentCodec, arrays: Tensors, images: Path) -> dict[str, float]:
        return measure_stages(model, StagePriors(arrays, model.config.stages), images)


FORM = GruForm()
