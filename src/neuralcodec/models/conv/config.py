"""The sizes of a conv model."""

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

    def sizes(self) -> dict[str, int]:
        """Return the sizes by name; those of a detail layer only if there is one."""
        return {
            name: size
            for name, size in asdict(self).items()
            if self.detail or not name.startswith(("detail", "base_"))
        }
