"""The objective of training, and of an encoder that refines: bits per pixel plus lambda times distortion."""

from __future__ import annotations

import torch
from pytorch_msssim import ms_ssim
from torch import Tensor
from torch.nn import functional as F

from neuralcodec.models.ssimulacra2 import raw_ssimulacra2
from neuralcodec.weights import Tradeoff

#: MSE alone replaces 1 - MS-SSIM at the start of a run; times this, the two are alike on photographs.
MSE_AS_DISTORTION = 25.0
FLAT = 32
#: Limit of the raw sum of SSIMULACRA2, which would drown the rest at very low rates.
MOST_RAW = 40.0


def lambda_at(tradeoff: Tradeoff, share: Tensor) -> Tensor:
    """Return log-spaced Lagrange multipliers at `share`: 0 is the lowest level, 1 the highest."""
    return tradeoff.lambda_low * (tradeoff.lambda_high / tradeoff.lambda_low) ** share


def opponent_mse(error: Tensor) -> Tensor:
    """Compute the mean square `(B,)` of an error `(B, 3, H, W)` in luma and two colour differences.

    Colour errors count as much as luma errors: MS-SSIM hardly sees a shift of colour.
    """
    red, green, blue = error.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    parts = luma.square() + (red - luma).square() + (blue - luma).square()
    return parts.mean((1, 2))


def distortion(
    x: Tensor, x_hat: Tensor, tradeoff: Tradeoff, share: Tensor, *, mse_only: bool = False
) -> Tensor:
    """Weigh `1 - MS-SSIM` (Wang et al. 2003), SSIMULACRA2 and MSE of `x_hat` `(B, 3, H, W)`: `(B,)`.

    MS-SSIM does not see that a whole area is a little too dark. `flat_weight` adds the MSE of the means of
    squares of `FLAT` pixels to a side, which measures just that.

    Args:
        share: `(B,)`, where the quality of each sample lies between the lowest level, 0, and the highest, 1.
    """
    x, x_hat = x.contiguous(), x_hat.contiguous()
    error = (x - x_hat).float()
    if mse_only:
        return MSE_AS_DISTORTION * opponent_mse(error)
    total = tradeoff.mse_weight * tradeoff.mse_growth**share * opponent_mse(error)
    if tradeoff.flat_weight:
        total = total + tradeoff.flat_weight * opponent_mse(F.avg_pool2d(error, FLAT))
    # Never under autocast: in bfloat16 the variances cancel and MS-SSIM reads far too low.
    with torch.autocast(x.device.type, enabled=False):
        similarity = ms_ssim(x_hat.float(), x.float(), data_range=1.0, size_average=False)
    total = total + tradeoff.ms_ssim_weight * (1.0 - similarity)
    if tradeoff.ssimulacra2_weight:
        total = total + tradeoff.ssimulacra2_weight * raw_ssimulacra2(x, x_hat).clamp_max(MOST_RAW)
    return total


def rate_distortion(bpp: Tensor, error: Tensor, lam: Tensor) -> Tensor:
    """Compute the scalar loss of a batch.

    Each sample is divided by the root of its lambda, so that high rates do not drown the low ones.
    """
    return ((bpp + lam * error) / lam.sqrt()).mean()
