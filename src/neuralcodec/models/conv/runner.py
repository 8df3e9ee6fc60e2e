"""The transforms of the conv codec at work: numpy in, numpy out, no gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec import weights
from neuralcodec.arrays import Box, Floats, Pixels
from neuralcodec.format.header import CONV
from neuralcodec.models.conv import HALO, STRIDE
from neuralcodec.models.conv.config import ConvConfig
from neuralcodec.models.conv.network import Features, Transforms, blocks_of
from neuralcodec.models.conv.quality import exact_parts
from neuralcodec.models.device import has_fast_bfloat16, loader, transforms_device
from neuralcodec.weights import Arrays, WeightsFile
from neuralcodec.weights.identity import is_encoder
from neuralcodec.weights.stored import not_weights


class Model:
    """One weights file, ready to code: the priors for the exact part, methods for the transforms.

    `prior` is that of the base, `detail_prior` that of the detail layer, None where the model has none.
    `levels` finds the levels and the rows of tables of a quality.
    """

    halo = HALO

    def __init__(self, file: WeightsFile, device: torch.device | None = None) -> None:
        self.device = device or transforms_device()
        stored = weights.read(file)
        self.id = stored.id
        try:
            if file.codec != CONV:
                raise ValueError(f"it is for codec {file.codec.name!r}")
            priors, self.levels = exact_parts(stored)
            self.prior, self.detail_prior = priors.base, priors.detail
            config = ConvConfig(**stored.model)
            self.tradeoff, self.detail_tradeoff = stored.tradeoff, stored.detail_tradeoff
            with torch.device("meta"):  # no time spent on initial values
                self.transforms = self.make_transforms(config, file).eval()
            self.read(stored.arrays)
        except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            raise not_weights(file.path, error) from None
        self.bfloat16 = has_fast_bfloat16(self.device)

    def make_transforms(self, config: ConvConfig, file: WeightsFile) -> Transforms:
        """Make the transforms, without values."""
        return Transforms(config)

    def read(self, arrays: Arrays) -> None:
        """Take the values of all networks from the arrays of a weights file."""
        read_transforms(self.transforms, arrays, self.device)

    def at(self, box: Box) -> Model:
        """Return this: the place does not matter."""
        return self

    @property
    def threads(self) -> int:
        """Number of threads that the transforms use, and the rest should."""
        return torch.get_num_threads()

    def level(self, quality: float) -> Tensor:
        """Return the level `(1,)` of the base, a real number, of a quality."""
        return torch.tensor([self.levels(quality).base], device=self.device)

    def detail_level(self, quality: float) -> Tensor:
        """Return the level `(1,)` of the detail layer of a quality that has one."""
        return torch.tensor([self.levels(quality).detail], device=self.device)

    @torch.inference_mode()
    def analyse(self, pixels: Pixels, quality: float) -> Floats:
        """Compute y `(H/16, W/16, C)` from pixels `(H, W, 3)`, H and W multiples of 16."""
        return self.latent(self.features(pixels), quality)

    @torch.inference_mode()
    def features(self, pixels: Pixels | Floats) -> Features:
        """Compute the part of `analyse` that is the same for every quality, about 8 bytes for each pixel."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            blocks = blocks_of(from_numpy(pixels, self.device)).float().div_(255)
            return self.transforms.features(blocks)

    @torch.inference_mode()
    def latent(self, features: Features, quality: float) -> Floats:
        """Compute y `(H/16, W/16, C)` from the result of `features`."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            return to_numpy(self.transforms.latent(features, self.level(quality)))

    @torch.inference_mode()
    def hyper_analyse(self, y: Floats) -> Floats:
        """Compute z `(h/4, w/4, C_z)` from y `(h, w, C)`, h and w multiples of four."""
        return to_numpy(self.transforms.hyper_analysis(from_numpy(y, self.device)))

    @torch.inference_mode()
    def analyse_detail(self, pixels: Pixels | Floats, y_hat: Floats, quality: float) -> Floats:
        """Compute y2 `(2h, 2w, D)` from pixels `(16h, 16w, 3)` and the y_hat `(h, w, C)` of their base."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            base = self.transforms.base(from_numpy(y_hat, self.device), self.level(quality))
            blocks = blocks_of(from_numpy(pixels, self.device)).float().div_(255)
            return to_numpy(self.transforms.analyse_detail(blocks, base, self.detail_level(quality)))

    @torch.inference_mode()
    def synthesise(
        self, y_hat: Floats, quality: float, reduce: int = 1, detail: Floats | None = None
    ) -> Pixels:
        """Decode y_hat `(h, w, C)`: pixels `(16 h / reduce, 16 w / reduce, 3)`, means of `reduce` a side.

        Args:
            detail: the decoded detail latent `(2h, 2w, D)`.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            y_hat_on_device, level = from_numpy(y_hat, self.device), self.level(quality)
            if detail is None:
                blocks = self.transforms.synthesise_blocks(y_hat_on_device, level, min(reduce, 8))
            else:
                base = self.transforms.base(y_hat_on_device, level)
                y2_hat = from_numpy(detail, self.device)
                blocks = self.transforms.synthesise_detail(y2_hat, base, self.detail_level(quality))
                blocks = means_of(blocks, min(reduce, 8))
        if reduce == STRIDE:
            blocks = F.avg_pool2d(blocks.float(), 2)
        return to_pixels(F.pixel_shuffle(to_bytes(blocks), max(8 // reduce, 1)))


load = loader(Model, kept=2)


def read_transforms(transforms: nn.Module, arrays: Arrays, device: torch.device) -> None:
    """Give `transforms`, made on the meta device, the values of a weights file, on `device`.

    If the file has no encoder, that of `transforms` stays without values.

    Raises:
        RuntimeError: the values do not fit.
    """
    state = {
        name.removeprefix("transforms."): torch.from_numpy(array).float().to(device)
        for name, array in arrays.items()
        if name.startswith("transforms.")
    }
    missing, beyond = transforms.load_state_dict(state, strict=False, assign=True)
    missing = [name for name in missing if not is_encoder(f"transforms.{name}")]
    if missing or beyond:
        raise RuntimeError(f"arrays that are missing or not known: {', '.join([*missing, *beyond])}")
    transforms.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    transforms.requires_grad_(False)


def from_numpy(x: Floats | Pixels, device: torch.device) -> Tensor:
    return torch.from_numpy(x).to(device).permute(2, 0, 1)[None]


def to_numpy(x: Tensor) -> Floats:
    return x.float()[0].permute(1, 2, 0).contiguous().cpu().numpy()


def means_of(blocks: Tensor, reduce: int) -> Tensor:
    """Average squares of `reduce` pixels in blocks `(B, 192, h, w)`: `(B, 192 / reduce², h, w)`."""
    if reduce == 1:
        return blocks
    side = 8 // reduce
    parts = blocks.reshape(-1, 3, side, reduce, side, reduce, *blocks.shape[2:])
    return parts.mean((3, 5)).flatten(1, 3)


def to_bytes(x: Tensor) -> Tensor:
    """Convert pixel values around [0, 1] to bytes."""
    return x.float().mul_(255).round_().clamp_(0, 255).to(torch.uint8)


def to_pixels(x: Tensor) -> Pixels:
    """Convert bytes `(1, 3, H, W)` to pixels `(H, W, 3)`."""
    return x[0].permute(1, 2, 0).contiguous().cpu().numpy()
