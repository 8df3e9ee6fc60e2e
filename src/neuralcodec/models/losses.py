"""What training, and an encoder that takes its time, minimise: bits per pixel and lambda times distortion."""

from __future__ import annotations

import torch
from pytorch_msssim import ms_ssim
from torch import Tensor
from torch.nn import functional as F

#: MSE alone stands in for 1 - MS-SSIM at the start of a run; this makes the two of a size on photographs.
MSE_AS_DISTORTION = 25.0
FLAT = 32


def lambda_at(level: Tensor, levels: int, low: float, high: float) -> Tensor:
    """Log-spaced Lagrange multipliers for real-valued `level` in `[0, levels - 1]`."""
    return low * (high / low) ** (level / (levels - 1))


def opponent_mse(error: Tensor) -> Tensor:
    """Mean square `(B,)` in luma and two colour differences of an error `(B, 3, H, W)`.

    Colour errors count as much as errors of the luma: MS-SSIM hardly sees a shift of colour.
    """
    red, green, blue = error.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    parts = luma.square() + (red - luma).square() + (blue - luma).square()
    return parts.mean((1, 2))


def distortion(
    x: Tensor, x_hat: Tensor, *, mse_weight: float, flat_weight: float = 0.0, mse_only: bool = False
) -> Tensor:
    """Distortion `(B,)` of `x_hat` `(B, 3, H, W)`: `1 - MS-SSIM` (Wang et al. 2003) plus a little MSE.

    MS-SSIM does not see that a whole area is a little too dark; `flat_weight` is for the MSE of the means
    of squares of `FLAT` pixels, which is about that alone.
    """
    error = (x - x_hat).float()
    if mse_only:
        return MSE_AS_DISTORTION * opponent_mse(error)
    extra = mse_weight * opponent_mse(error)
    if flat_weight:
        extra = extra + flat_weight * opponent_mse(F.avg_pool2d(error, FLAT))
    # Never under autocast: in bfloat16 the variances cancel and MS-SSIM reads far too low.
    with torch.autocast(x.device.type, enabled=False):
        similarity = ms_ssim(x_hat.float(), x.float(), data_range=1.0, size_average=False)
    return 1.0 - similarity + extra


def rate_distortion(bpp: Tensor, error: Tensor, lam: Tensor) -> Tensor:
    """The scalar loss of a batch.

    Each sample is divided by the root of its lambda, so that high rates do not drown the low ones.
    """
    return ((bpp + lam * error) / lam.sqrt()).mean()
