"""The transforms of the conv codec at work: numpy in, numpy out, no gradients."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec import weights
from neuralcodec.arrays import Floats, Pixels
from neuralcodec.entropy import canary
from neuralcodec.entropy.prior import IntegerPrior
from neuralcodec.format.header import CONV
from neuralcodec.models.conv import STRIDE
from neuralcodec.models.conv.network import ConvConfig, Features, Transforms, blocks_of, level_of
from neuralcodec.models.device import has_fast_bfloat16, transforms_device
from neuralcodec.weights import Arrays, WeightsFile
from neuralcodec.weights.identity import is_encoder


class Model:
    """One weights file, ready to code: `prior` for the exact part, methods for the transforms."""

    def __init__(self, file: WeightsFile, device: torch.device | None = None) -> None:
        self.device = device or transforms_device()
        stored = weights.read(file)
        self.id = stored.id
        try:
            if file.codec != CONV:
                raise ValueError(f"it is for codec {file.codec.name!r}")
            self.prior = IntegerPrior(stored.arrays)
            canary.check(self.prior, stored.canary)
            config = ConvConfig(**stored.model)
            self.tradeoff = stored.tradeoff
            with torch.device("meta"):  # no time spent on initial values
                self.transforms = Transforms(config).eval()
            read_transforms(self.transforms, stored.arrays, self.device)
        except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            raise weights.not_weights(file.path, error) from None
        self.bfloat16 = has_fast_bfloat16(self.device)

    @property
    def threads(self) -> int:
        """Number of threads that the transforms use, and the rest should."""
        return torch.get_num_threads()

    def level(self, quality: float) -> Tensor:
        """Return the trained level `(1,)`, a real number, of a quality."""
        return level_of(torch.tensor([quality], device=self.device), self.transforms.config.levels)

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
    def synthesise(self, y_hat: Floats, quality: float, reduce: int = 1) -> Pixels:
        """Decode y_hat `(h, w, C)`: pixels `(16 h / reduce, 16 w / reduce, 3)`, means of `reduce` a side."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            y_hat_on_device = from_numpy(y_hat, self.device)
            blocks = self.transforms.synthesise_blocks(y_hat_on_device, self.level(quality), min(reduce, 8))
        if reduce == STRIDE:
            blocks = F.avg_pool2d(blocks.float(), 2)
        return to_pixels(F.pixel_shuffle(to_bytes(blocks), max(8 // reduce, 1)))


def load(file: WeightsFile, device: str | None = None) -> Model:
    """Load the model of a weights file, on the device that `transforms_device` finds.

    Raises:
        UsageError: there is no such device here. NeuralCodecError: it is no weights file of this version.
    """
    return _load(file, transforms_device(device))


@functools.lru_cache(maxsize=2)  # the last two used stay in memory
def _load(file: WeightsFile, device: torch.device) -> Model:
    return Model(file, device)


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


def to_bytes(x: Tensor) -> Tensor:
    """Convert pixel values around [0, 1] to bytes."""
    return x.float().mul_(255).round_().clamp_(0, 255).to(torch.uint8)


def to_pixels(x: Tensor) -> Pixels:
    """Convert bytes `(1, 3, H, W)` to pixels `(H, W, 3)`."""
    return x[0].permute(1, 2, 0).contiguous().cpu().numpy()
