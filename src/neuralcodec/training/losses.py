"""What training minimises: bits per pixel plus lambda times distortion, per sample."""

from __future__ import annotations

import torch
from pytorch_msssim import ms_ssim
from torch import Tensor

#: MSE alone stands in for 1 - MS-SSIM at the start of a run; this makes the two of a size on photographs.
MSE_AS_DISTORTION = 25.0


def lambda_at(level: Tensor, levels: int, low: float, high: float) -> Tensor:
    """Log-spaced Lagrange multipliers for real-valued `level` in `[0, levels - 1]`."""
    return low * (high / low) ** (level / (levels - 1))


def opponent_mse(x: Tensor, x_hat: Tensor) -> Tensor:
    """Mean squared error `(B,)` in luma and two colour differences, for pixels `(B, 3, H, W)` in [0, 1].

    Colour errors count as much as errors of the luma: MS-SSIM hardly sees a shift of colour.
    """
    red, green, blue = (x - x_hat).float().unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    parts = luma.square() + (red - luma).square() + (blue - luma).square()
    return parts.mean((1, 2))


def distortion(x: Tensor, x_hat: Tensor, *, mse_weight: float, mse_only: bool) -> Tensor:
    """Distortion `(B,)` of `x_hat` `(B, 3, H, W)`: `1 - MS-SSIM` (Wang et al. 2003) plus a little MSE."""
    error = opponent_mse(x, x_hat)
    if mse_only:
        return MSE_AS_DISTORTION * error
    # Never under autocast: in bfloat16 the variances cancel and MS-SSIM reads far too low.
    with torch.autocast(x.device.type, enabled=False):
        similarity = ms_ssim(x_hat.float(), x.float(), data_range=1.0, size_average=False)
    return 1.0 - similarity + mse_weight * error


def rate_distortion(bpp: Tensor, error: Tensor, lam: Tensor) -> Tensor:
    """The scalar loss of a batch.

    Each sample is divided by the root of its lambda, so that high rates do not drown the low ones.
    """
    return ((bpp + lam * error) / lam.sqrt()).mean()
