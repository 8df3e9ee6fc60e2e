"""The recurrent residual autoencoder (Residual GRU): one file, every quality.

Stage t encodes what the stages before it left over, and ConvGRU states carry over from stage to stage on
both sides (Toderici et al. 2017; Johnston et al. 2018):

      x - x_hat ─unshuffle 8─ 1x1 ─ block ─ GRU ─ unshuffle 2 ─ 1x1 ─ GRU ─ block ─ 1x1_t ─(+)─×gain─► y_t
      └───────────────────── unshuffle 16 ─ 1x1_t ──────────────────────────────────────┘

      y_hat_t ─÷gain─┬─ 1x1_t ─ GRU ─ block ─ 1x1 ─ shuffle 2 ─ GRU ─ blocks ─ 1x1 ─ shuffle 8 ─(+)─► x_hat
                     └─ 1x1_t ─ (sum over the stages) ─ shuffle 16 ────────────────────────────┘

Each stage has its own layers `_t`; the rest is shared. The straight lines are linear, as in the conv codec.
The blocks behind the last GRU are not part of the recurrence: a decoder runs them only for stages it shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec.models.blocks import GainTable, depthwise, pointwise, residual_blocks
from neuralcodec.models.gru.prior import StagePriors

#: What each stage's linear path starts with: the first component of the block transform, and the gain. The
#: components with the most energy get finer steps first, as in progressive JPEG.
_START = ((0, 2), (0, 4), (0, 8), (64, 8), (0, 16), (64, 16), (128, 16), (0, 32))


@dataclass(frozen=True)
class RecurrentConfig:
    """Sizes of the model; every field is stored beside the weights."""

    stages: int = 8
    fine: int = 64  # channels at 1/8
    coarse: int = 128  # channels at 1/16
    render_blocks: int = 2
    priming: int = 2  # passes of the first stage
    latent: int = 64  # of each stage
    features: int = 96
    width: int = 96


class ConvGRU(nn.Module):
    """A gated recurrent unit over feature maps: `x` and state `h` are `(B, C, H, W)`, as is the new state.

    One depthwise convolution of the state sees the 3x3 neighbourhood; the rest is 1x1. The reset gate is
    applied after the product, so that one product does instead of three.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = depthwise(channels)
        self.inputs = pointwise(channels, 3 * channels)
        self.recurrent = pointwise(channels, 3 * channels)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        update_x, reset_x, new_x = self.inputs(x).chunk(3, 1)
        update_h, reset_h, new_h = self.recurrent(self.spatial(h)).chunk(3, 1)
        update = torch.sigmoid(update_x + update_h)
        candidate = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
        return h + update * (candidate - h)  # not lerp: under autocast the state is wider than the rest


class State(NamedTuple):
    """The ConvGRU states of one side: `(B, fine, H/8, W/8)` and `(B, coarse, H/16, W/16)`."""

    fine: Tensor
    coarse: Tensor


class StageAnalysis(nn.Module):
    """The analysis: what is left over, `(B, 3, H, W)`, to the latent of a stage `(B, C, H/16, W/16)`."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.stem = pointwise(3 * 64, config.fine)
        self.gain = GainTable(config.stages, config.fine, 2.0, 30.0)
        self.block_fine = residual_blocks(config.fine, 1)
        self.gru_fine = ConvGRU(config.fine)
        self.down = pointwise(4 * config.fine, config.coarse)
        self.gru_coarse = ConvGRU(config.coarse)
        self.block_coarse = residual_blocks(config.coarse, 1)
        stages = range(config.stages)
        self.heads = nn.ModuleList(pointwise(config.coarse, config.latent, gain=0.1) for _ in stages)
        self.shortcuts = nn.ModuleList(pointwise(3 * 256, config.latent) for _ in stages)
        self.latent_gain = GainTable(config.stages, config.latent)

    def forward(self, residual: Tensor, state: State, stage: int, passes: int) -> tuple[Tensor, State]:
        at = torch.full((1,), float(stage), device=residual.device)
        f = self.block_fine(self.stem(F.pixel_unshuffle(residual, 8)) * self.gain(at))
        for _ in range(passes):
            fine = self.gru_fine(f, state.fine)
            coarse = self.gru_coarse(self.down(F.pixel_unshuffle(fine, 2)), state.coarse)
            state = State(fine, coarse)
        y = self.heads[stage](self.block_coarse(state.coarse))
        y = y / self.gain(at).mean() + self.shortcuts[stage](F.pixel_unshuffle(residual, 16))
        return y * self.latent_gain(at), state


class StageSynthesis(nn.Module):
    """The synthesis: the latents of the stages so far to pixels."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        stages = range(config.stages)
        self.latent_gain = GainTable(config.stages, config.latent)
        self.stems = nn.ModuleList(pointwise(config.latent, config.coarse) for _ in stages)
        self.feature_gain = GainTable(config.stages, config.coarse, 2.0, 30.0)
        self.gru_coarse = ConvGRU(config.coarse)
        self.block_coarse = residual_blocks(config.coarse, 1)
        self.up = pointwise(config.coarse, 4 * config.fine)
        self.gru_fine = ConvGRU(config.fine)
        self.render_blocks = residual_blocks(config.fine, config.render_blocks)
        self.head = pointwise(config.fine, 3 * 64, gain=0.0)
        self.shortcuts = nn.ModuleList(pointwise(config.latent, 3 * 256) for _ in stages)

    def forward(
        self, y_hat: Tensor, state: State, linear: Tensor, stage: int, passes: int
    ) -> tuple[State, Tensor]:
        """Return the state and the linear part `(B, 768, H/16, W/16)` after a stage with latent `y_hat`."""
        at = torch.full((1,), float(stage), device=y_hat.device)
        y = y_hat * self.latent_gain(at)
        f = self.stems[stage](y) * self.feature_gain(at)
        for _ in range(passes):
            coarse = self.gru_coarse(f, state.coarse)
            up = F.pixel_shuffle(self.up(self.block_coarse(coarse)), 2)
            state = State(self.gru_fine(up, state.fine), coarse)
        return state, linear + self.shortcuts[stage](y)

    def render(self, state: State, linear: Tensor) -> Tensor:
        """Compute pixels `(B, 3, H, W)` around [-0.5, 0.5], not clipped."""
        return F.pixel_shuffle(self.head(self.render_blocks(state.fine)), 8) + F.pixel_shuffle(linear, 16)


class RecurrentTransforms(nn.Module):
    """The part that stays in floating point: analysis and synthesis."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.analysis = StageAnalysis(config)
        self.synthesis = StageSynthesis(config)

    def passes(self, stage: int) -> int:
        """Return how often a stage runs: the first repeats, to prime the state (Johnston et al. 2018)."""
        return self.config.priming if stage == 0 else 1

    def start(self, x: Tensor, height: int, width: int) -> tuple[State, Tensor]:
        """Make a side's state and the linear part before the first stage; sizes are in latent positions."""
        config, batch = self.config, x.shape[0]
        fine = x.new_zeros(batch, config.fine, 2 * height, 2 * width)
        coarse = x.new_zeros(batch, config.coarse, height, width)
        return State(fine, coarse), x.new_zeros(batch, 3 * 256, height, width)

    @torch.no_grad()
    def start_from_components(self, components: Tensor) -> None:
        """Start the linear shortcuts as a block transform with ever finer steps.

        Args:
            components: orthonormal rows `(at least 3·C, 768)`, the leading principal components of blocks in
                the order of `pixel_unshuffle(·, 16)`.
        """
        latent = self.config.latent
        for stage, (first, gain) in enumerate(_START[: self.config.stages]):
            rows = components[first * latent // 64 :][:latent]
            there, back = self.analysis.shortcuts[stage], self.synthesis.shortcuts[stage]
            assert isinstance(there, nn.Conv2d) and isinstance(back, nn.Conv2d)
            there.weight.copy_(rows[:, :, None, None])
            back.weight.copy_(rows.T[:, :, None, None])
            self.analysis.latent_gain.log_gain[stage] = torch.tensor(float(gain)).log()
            self.synthesis.latent_gain.log_gain[stage] = -torch.tensor(float(gain)).log()


class Stage(NamedTuple):
    """What training needs of a stage: pixels `(B, 3, H, W)` and the stage's own bits per sample `(B,)`."""

    x_hat: Tensor
    bits: Tensor


class RecurrentCodec(nn.Module):
    """The codec in its form for training: transforms and priors."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.transforms = RecurrentTransforms(config)
        self.prior = StagePriors(config.stages, config.latent, config.features, config.width)

    def forward(self, x: Tensor, count: int) -> list[Stage]:
        """Code the first `count` stages of pixels `(B, 3, H, W)` in [0, 1], H and W multiples of 32."""
        transforms = self.transforms
        target = x - 0.5
        height, width = x.shape[2] // 16, x.shape[3] // 16
        encoder, linear = transforms.start(x, height, width)
        decoder = encoder
        features = self.prior.start(x, height, width)
        x_hat, stages = torch.zeros_like(x), []
        for stage in range(count):
            passes = transforms.passes(stage)
            y, encoder = transforms.analysis(target - x_hat, encoder, stage, passes)
            y_hat, bits, features = self.prior(stage, y, features)
            decoder, linear = transforms.synthesis(y_hat, decoder, linear, stage, passes)
            x_hat = transforms.synthesis.render(decoder, linear)
            stages.append(Stage(x_hat + 0.5, bits))
        return stages
