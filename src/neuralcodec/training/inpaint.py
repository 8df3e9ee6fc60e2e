"""The encoder that fills holes, in training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from neuralcodec.models.conv.config import ConvConfig, InpaintConfig
from neuralcodec.models.conv.inpaint import Inpainter, inpaint
from neuralcodec.models.conv.network import ConvCodec
from neuralcodec.picture.fill import fill_smoothly
from neuralcodec.training.companions import CompanionForm, CompanionObjective
from neuralcodec.training.data import CropSampler
from neuralcodec.training.holes import KINDS, draw_holes
from neuralcodec.training.objectives import Terms

#: Weight of the squared error: where errors are as large as they are in holes, both then count alike.
_SQUARED = 5.0


class InpaintingCodec(ConvCodec):
    """A codec with a network that fills holes."""

    def __init__(self, codec: ConvConfig, config: InpaintConfig) -> None:
        super().__init__(codec)
        self.encoder = Inpainter(codec, config)

    def forward(self, filled: Tensor, hole: Tensor) -> Tensor:  # type: ignore[override]
        """Fill holes; see `neuralcodec.models.conv.inpaint.inpaint`."""
        return inpaint(self.transforms, self.encoder, filled, hole)


class InpaintObjective(CompanionObjective):
    """The absolute and the squared error in the holes, means over their pixels."""

    kind = "inpaint"

    def __init__(self, config: InpaintConfig) -> None:
        self.config = config

    def make(self, codec: ConvConfig) -> ConvCodec:
        return InpaintingCodec(codec, self.config)

    def trains(self, name: str) -> bool:
        return name.startswith("encoder.")

    def terms(self, replica: nn.Module, x: Tensor, sampler: CropSampler, step: int) -> list[Terms]:
        rng = np.random.default_rng((sampler.seed, sampler.rank, step, 3))
        kinds = rng.choice(list(KINDS), len(x))
        filled, hole = _spoilt(x, [draw_holes(rng, kind, *x.shape[2:]) for kind in kinds])
        error = hole * (replica(filled, hole) - x)
        share = hole.mean((1, 2, 3))
        lost = (error.abs() + _SQUARED * error.square()).mean((1, 2, 3)) / share
        nothing = torch.zeros(len(x), device=x.device)
        return [Terms(x, x, nothing, nothing, error=lost)]

    def points(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Fill holes of each kind, always the same; they cost no bits."""
        height, width = (side // 64 * 64 for side in x.shape[2:])
        found = []
        for number, kind in enumerate(KINDS):
            hole = draw_holes(np.random.default_rng(number), kind, height, width)
            filled = x.clone()
            filled[:, :, :height, :width] = self.model(*_spoilt(x[:, :, :height, :width], [hole]))
            found.append((filled, torch.zeros(1)))
        return found


def _spoilt(x: Tensor, holes: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Fill holes `(H, W)` of pixels `(B, 3, H, W)` smoothly; also return the holes, `(B, 1, H, W)`."""
    filled = [
        fill_smoothly(each.permute(1, 2, 0).cpu().numpy() * np.float32(255), hole).clip(0, 255)
        / np.float32(255)
        for each, hole in zip(x, holes, strict=True)
    ]
    hole = torch.from_numpy(np.stack(holes)[:, None]).to(x.device, torch.float32)
    pixels = torch.from_numpy(np.stack(filled)).permute(0, 3, 1, 2).to(x.device)
    return pixels.contiguous(memory_format=torch.channels_last), hole


class InpaintForm(CompanionForm[InpaintConfig]):
    """See `CompanionForm`."""

    config = InpaintConfig
    kind = "inpaint"

    def make(self, config: InpaintConfig, detail_share: float = 0.0) -> CompanionObjective:
        return InpaintObjective(config)


FORM = InpaintForm()
