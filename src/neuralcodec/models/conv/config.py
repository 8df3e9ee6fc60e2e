"""The sizes of a conv model, and of encoders and decoders that are made for one."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class ConvConfig:
    """Sizes of the model; every field is stored beside the weights."""

    levels: int = 8
    fine: int = 96  # channels at 1/8
    coarse: int = 192  # channels at 1/16
    fine_blocks: int = 3
    coarse_blocks: int = 3
    latent: int = 128
    hyper: int = 64
    features: int = 160
    width: int = 128
    detail: int = 0  # channels of the detail latent at 1/8; 0: there is no detail layer
    detail_levels: int = 5
    detail_width: int = 96
    detail_analysis_blocks: int = 2
    detail_synthesis_blocks: int = 3
    detail_features: int = 64
    detail_context: int = 96
    base_level: int = 450  # level of the base under a detail layer, in hundredths
    base_quality: int = 0  # the quality of that level, of a base alone

    @property
    def highest_level(self) -> float:
        """The highest level of a base alone in training: a little above where a detail layer begins."""
        highest = self.levels - 1.0
        return min(self.base_level / 100 + 0.75, highest) if self.detail else highest

    def sizes(self) -> dict[str, int]:
        """Return the sizes by name; those of a detail layer only if there is one."""
        return {
            name: size
            for name, size in asdict(self).items()
            if self.detail or not name.startswith(("detail", "base_"))
        }


@dataclass(frozen=True)
class EncoderConfig:
    """Nothing: another encoder has the sizes of that which it is to replace."""


@dataclass(frozen=True)
class InpaintConfig:
    """Sizes of the network that fills holes."""

    width: int = 192  # channels at 1/16, 1/32 and 1/64
    blocks: int = 2  # at each, on the way down; half as many on the way up at 1/32


@dataclass(frozen=True)
class VividConfig:
    """What a vivid decoder is for, and the weights of what it is trained by beside the distortion."""

    width: int  # channels of the adversary at 1/2
    highest_level: int  # of the base that it is trained for, in hundredths
    full_quality: int  # up to which realism has its full effect
    last_quality: int  # from which it has none
    adversarial: float
    features: float
    statistics: float
    grid: float
    colour: float
    edges: float
    penalty: float
