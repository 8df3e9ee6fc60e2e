"""The vivid decoder, in training: the synthesis of a codec, tuned against an adversary.

The encoder and the prior stay, so the bits are those of the true decoder, as in Muckley et al. 2023.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from neuralcodec.models.blocks import GainTable
from neuralcodec.models.conv.config import ConvConfig, VividConfig
from neuralcodec.models.conv.network import ConvCodec, Synthesis
from neuralcodec.options import DITHER
from neuralcodec.training.adversary import (
    NOISE,
    Adversary,
    Judgement,
    beaten,
    feature_distance,
    grid_excess,
    roughness,
    texture_distance,
    texture_of,
)
from neuralcodec.training.companions import CompanionForm, CompanionObjective
from neuralcodec.training.data import CropSampler
from neuralcodec.training.objectives import Terms
from neuralcodec.weights import WeightsFile

#: Side in pixels of the squares whose mean colours are compared.
_COLOUR = 8
#: The adversary starts from nothing, so it has to learn faster than the synthesis, which is tuned. Its
#: parameters are this much smaller than its weights, and a step of equal size changes it as much more.
_SPEED = 4.0
#: Levels at which progress is measured.
_POINTS = (0.5, 1.5, 2.5, 3.5)


class VividCodec(ConvCodec):
    """A codec with a second synthesis, and the adversary that it is trained against."""

    def __init__(self, codec: ConvConfig, config: VividConfig) -> None:
        super().__init__(codec)
        self.objective = config
        self.vivid = Synthesis(codec)
        self.vivid_feature_gain = GainTable(codec.levels, codec.coarse)
        self.adversary = Adversary(config.width)
        with torch.no_grad():
            for parameter in self.adversary.parameters():
                parameter.div_(_SPEED)

    def begin(self) -> None:
        """Start from the true synthesis."""
        self.vivid.load_state_dict(self.transforms.synthesis.state_dict())
        self.vivid_feature_gain.load_state_dict(self.transforms.synthesis_feature_gain.state_dict())

    def decode(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Code pixels `(B, 3, H, W)`: the vivid picture, the true one, and bits `(B,)`."""
        with torch.no_grad():
            y = self.transforms.analyse(x, level)
            out = self.prior(y, self.transforms.hyper_analysis(y), level)
            true = self.transforms.synthesise(out.y_hat, level)
            gain = self.transforms.synthesis_gain(level)
        dithered = out.y_hat + DITHER * (2 * torch.rand_like(out.y_hat) - 1)
        blocks = self.vivid(dithered, gain, self.vivid_feature_gain(level))
        return F.pixel_shuffle(blocks, 8) + 0.5, true, out.y_bits + out.z_bits

    def forward(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Code pixels `(B, 3, H, W)`; also return what is minimised beside the distortion, `(B,)`.

        That is the loss of both players: each one's has no gradient for the other's parameters.
        """
        x_hat, true, _ = self.decode(x, level)
        config = self.objective
        with torch.autocast(x.device.type, enabled=False):
            x_hat, true, x = x_hat.float(), true.float(), x.float()
            texture = texture_of(x)
            kept = ((x_hat - true).abs() * (1 - texture)).mean((1, 2, 3))
            colour = F.avg_pool2d(x_hat - x, _COLOUR).abs().mean((1, 2, 3))
            added = config.edges * kept + config.colour * colour
            added = added + config.statistics * texture_distance(x, x_hat, texture)
            added = added + config.grid * grid_excess(x, x_hat, texture)
            if config.adversarial or config.features:
                added = added + self._played(x, x_hat, true, texture)
        return x_hat, added

    def _played(self, x: Tensor, x_hat: Tensor, true: Tensor, texture: Tensor) -> Tensor:
        config = self.objective
        noisy = x[:1] + NOISE * torch.randn_like(x[:1])
        real, false, moved = (self._judge(each, true[: len(each)]) for each in (x, x_hat.detach(), noisy))
        first = Judgement([score[:1] for score in real.scores], [])
        lost = beaten(real, false, texture) + config.penalty * roughness(first, moved)
        seen = self._judge(x_hat, true, fixed=True)
        known = Judgement(*([each.detach() for each in part] for part in real))
        won = config.adversarial * beaten(seen, known, texture)
        return lost + won + config.features * feature_distance(known, seen, texture)

    def _judge(self, x: Tensor, true: Tensor, *, fixed: bool = False) -> Judgement:
        """Ask the adversary; `fixed` gives its parameters no gradient."""
        values = {n: _SPEED * (p.detach() if fixed else p) for n, p in self.adversary.named_parameters()}
        judgement: Judgement = functional_call(self.adversary, values, (x, true))
        return judgement


class VividObjective(CompanionObjective):
    """The distortion of the codec, and beside it what `VividCodec` adds."""

    kind = "vivid"
    model: VividCodec

    def __init__(self, config: VividConfig) -> None:
        self.config = config

    def make(self, codec: ConvConfig) -> ConvCodec:
        return VividCodec(codec, self.config)

    def start(self, file: WeightsFile | None, components: Callable[[int], Tensor]) -> None:
        super().start(file, components)
        self.model.begin()

    def trains(self, name: str) -> bool:
        # The linear path carries the colours, which are right.
        return name.startswith(("vivid", "adversary.")) and not name.startswith("vivid.shortcut.")

    def stored(self, name: str) -> str | None:
        if name.startswith("vivid_"):
            return f"transforms.synthesis_{name.removeprefix('vivid_')}"
        return f"transforms.synthesis.{name.removeprefix('vivid.')}" if name.startswith("vivid.") else None

    def terms(self, replica: nn.Module, x: Tensor, sampler: CropSampler, step: int) -> list[Terms]:
        level = sampler.levels(step, self.config.highest_level / 100, len(x)).to(x.device)
        x_hat, added = replica(x, level)
        bits = torch.zeros(len(x), device=x.device)
        return [Terms(x, x_hat, bits, level / (self.model.config.levels - 1), added=added)]

    def points(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        found = []
        for level in _POINTS:
            x_hat, _, bits = self.model.decode(x, torch.full((1,), level, device=x.device))
            found.append((x_hat, bits))
        return found


class VividForm(CompanionForm[VividConfig]):
    """See `CompanionForm`."""

    config = VividConfig
    kind = "vivid"

    def sizes(self, config: VividConfig) -> dict[str, int]:
        return {"full_quality": config.full_quality, "last_quality": config.last_quality}

    def make(self, config: VividConfig, detail_share: float = 0.0) -> CompanionObjective:
        return VividObjective(config)


FORM = VividForm()
