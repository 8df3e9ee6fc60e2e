"""Refine the latent of one picture by gradient steps on rate + lambda · distortion.

The analysis was trained for the average picture. Here the latent y of one picture moves downhill on the
objective of training. The rate is that of the prior that codes y, and the distortion that of the synthesis
that decodes it (Campos et al. 2019; Yang, Bamler and Mandt 2020). The format of the file and the decoder do
not change; only the encoder takes longer.

Steps are taken in y, but the gradient of the distortion is taken at the rounded y_hat (straight-through): so
an element can make up for what rounding did to others. That gradient also holds the element's own rounding
error times the curvature. This part would push every element to the border between two symbols and leave it
there, so it is subtracted. The curvature of each channel and each place is the regression of gradients on
rounding errors: MS-SSIM forgives far less in flat areas than in busy ones. It is also the unit of a step, so
that one step size suits every channel, place and quality.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from neuralcodec.arrays import Box, Floats
from neuralcodec.coding.soft_prior import SoftDetailPrior, SoftPrior
from neuralcodec.coding.tiling import Window, boxes
from neuralcodec.models.losses import distortion, lambda_at

if TYPE_CHECKING:
    from neuralcodec.arrays import Pixels
    from neuralcodec.models.conv.runner import Model
    from neuralcodec.weights import Tradeoff

#: Gradient steps of each effort from 1, the analysis alone.
STEPS_OF_EFFORT = (0, 2, 4, 7, 10, 15, 25, 40, 60)

MOMENTUM = 0.3
#: No element moves further in one step, in quantization steps: rates are far from quadratic.
LONGEST_MOVE = 0.25
#: MS-SSIM halves a picture four times and then needs 11 pixels to a side.
SMALLEST_SIDE = 161


#: Bits per squared quantization step; keeps the steps of flat pictures finite.
LEAST_CURVATURE = 0.5


class _View(NamedTuple):
    """The objective at one latent.

    Attributes:
        cost: rate + lambda · distortion of the file as it would be written, in bits.
        y_hat: as a decoder sees it.
        slope: gradient of the distortion's part alone, with respect to y_hat.
        gradient: of the whole, with the rate of y before rounding.
    """

    cost: float
    y_hat: Tensor
    slope: Tensor
    gradient: Tensor


class Refiner:
    """Refines the windows of one picture.

    Args:
        quality: 0 to 100.
        row: of the tables of z, the quality as a whole number.
        tile: side of a tile in latent positions.
        steps: gradient steps, at least one.
    """

    #: Latent positions refined at once, halo included; memory grows with them.
    window = 5500
    #: Positions of the latent in each of these, to a side.
    scale = 1

    def __init__(self, model: Model, quality: float, row: int, tile: int, steps: int) -> None:
        self.model, self.quality, self.row, self.tile, self.steps = model, quality, row, tile, steps
        self.prior: SoftPrior | SoftDetailPrior = SoftPrior(model.prior)
        self._aim(model.tradeoff, model.level(quality), model.transforms.config.levels)

    def _aim(self, tradeoff: Tradeoff, level: Tensor, levels: int) -> None:
        self.tradeoff, self.level, self.share = tradeoff, level, level / (levels - 1)
        self.lam = float(lambda_at(tradeoff, self.share))

    def __call__(
        self, pixels: Pixels | Floats, y: Floats, window: Window, report: Callable[[float], None]
    ) -> Floats:
        """Refine y `(h, w, C)` of `window.keep`.

        Args:
            pixels: those of `window.read` within the picture, `(H, W, 3)`.
            y: that of `window.read`. Outside of `window.keep` it stays as it is.
            report: called after each step with the share done.
        """
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        around = torch.from_numpy(y).round()
        latent = torch.from_numpy(y[window.inner.scaled(self.scale).slices].copy())
        # Tiles larger than a window are estimated in parts: at the cuts, a little context is missing.
        parts = [
            (box.scaled(self.scale), self._context(latent, box, window))
            for box in boxes(Box.whole(*window.keep.shape), self.tile)
        ]
        move = torch.zeros_like(latent)
        curvature: Tensor | None = None
        best: tuple[float, Tensor] | None = None
        largest = largest_step(self.steps)
        for step in range(self.steps + 1):
            view = self._view(x, latent, around, window, parts)
            if best is None or view.cost < best[0]:
                best = view.cost, latent
            if step == self.steps:
                break
            error = view.y_hat - latent
            if curvature is None:
                curvature = _curvature(view.slope, error)
            gradient = view.gradient - curvature * error
            size = largest * (1 - step / self.steps)
            move = MOMENTUM * move - (1 - MOMENTUM) * size * gradient / curvature
            move = move.clamp(-LONGEST_MOVE, LONGEST_MOVE)
            latent = latent + move
            report((step + 1) / self.steps)
        assert best is not None
        return best[1].numpy()

    def _context(self, latent: Tensor, box: Box, window: Window) -> Tensor:
        """Compute z of a tile. It stays that of y before any step: refining it as well gained nothing."""
        y = latent[box.slices]
        padded = F.pad(y, (0, 0, 0, -y.shape[1] % 4, 0, -y.shape[0] % 4))
        return torch.from_numpy(self.model.hyper_analyse(padded.numpy()))

    def _synthesise(self, y_hat: Tensor) -> Tensor:
        """Decode the latent `(1, C, h, w)` of a window to pixels `(1, 3, H, W)`."""
        return self.model.transforms.synthesise(y_hat, self.level)

    def _view(
        self, x: Tensor, latent: Tensor, around: Tensor, window: Window, parts: list[tuple[Box, Tensor]]
    ) -> _View:
        """Compute the objective at `latent`, in bits, and its gradients."""
        latent = latent.detach().requires_grad_()
        y_hat, bits, smooth_bits = torch.zeros_like(latent), 0.0, torch.zeros(())
        for box, context in parts:
            coded = self.prior(latent[box.slices], context, self.row)
            y_hat[box.slices] = coded.y_hat
            bits += coded.bits
            smooth_bits = smooth_bits + coded.y_bits.sum()
        seen = around.clone()
        seen[window.inner.scaled(self.scale).slices] = y_hat
        device = self.model.device  # of the synthesis alone; the prior stays on the CPU
        with torch.autocast(device.type, torch.bfloat16, enabled=self.model.bfloat16):
            x_hat = self._synthesise(seen.permute(2, 0, 1)[None].to(device))
        x_hat = x_hat.float().cpu()[..., : x.shape[2], : x.shape[3]].clamp(0, 1)
        error = distortion(_enlarged(x), _enlarged(x_hat), self.tradeoff, self.share)
        cost = self.lam * x[0, 0].numel() * error.sum()
        (slope,) = torch.autograd.grad(cost, y_hat, retain_graph=True)
        slope = slope.nan_to_num(0.0, 0.0, 0.0)  # MS-SSIM has no gradient where a scale is not alike at all
        (gradient,) = torch.autograd.grad((y_hat, smooth_bits), latent, (slope, torch.ones(())))
        return _View(bits + float(cost.detach()), y_hat.detach(), slope, gradient)


class DetailRefiner(Refiner):
    """Refines the detail latent of the windows of one picture, over a base that stays as it is.

    Args:
        quality, tile, steps: as in `Refiner`.
    """

    window = 3000
    scale = 2

    def __init__(self, model: Model, quality: float, tile: int, steps: int) -> None:
        levels, tradeoff = model.levels(quality), model.detail_tradeoff
        assert model.detail_prior is not None and tradeoff is not None
        super().__init__(model, quality, levels.detail_row, tile, steps)
        self.prior = SoftDetailPrior(model.detail_prior)
        level = torch.tensor([levels.detail], device=model.device)
        self._aim(tradeoff, level, model.transforms.config.detail_levels)

    @torch.no_grad()
    def over(self, y_hat: Floats) -> None:
        """Take the base y_hat `(h, w, C)` of the window that is refined next."""
        self._y_hat, device = torch.from_numpy(y_hat), self.model.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.model.bfloat16):
            decoded = self._y_hat.permute(2, 0, 1)[None].to(device)
            self._base = self.model.transforms.base(decoded, self.model.level(self.quality))

    def _context(self, latent: Tensor, box: Box, window: Window) -> Tensor:
        return self._y_hat[window.inner.slices][box.slices]

    def _synthesise(self, y_hat: Tensor) -> Tensor:
        blocks = self.model.transforms.synthesise_detail(y_hat, self._base, self.level)
        return F.pixel_shuffle(blocks, 8)


def largest_step(steps: int) -> float:
    """Return the size of the first of so many steps, as a share of a Newton step; sizes fall to zero.

    The more steps there are, the larger the first may be: the objective then rises at first, and ends lower,
    as in annealing.
    """
    return min(0.3 + steps / 70, 1.0)


def _curvature(slope: Tensor, error: Tensor) -> Tensor:
    """Estimate the second derivative of the distortion, in bits, by each element, `(h, w, C)`.

    A value for each channel times one for each position: regressions of the gradient on the rounding error,
    drawn towards that over all channels, or over all positions, where there is little to go by.
    """
    products, squares = slope * error, error.square()
    overall = (products.sum() / squares.sum().clamp_min(1e-9)).clamp_min(LEAST_CURVATURE)
    channels = (products.sum((0, 1)) + 2 * overall) / (squares.sum((0, 1)) + 2)
    channels = torch.minimum(torch.maximum(channels, 0.2 * overall), 5 * overall)
    seen, expected = _with_neighbours(products.sum(2)), _with_neighbours((channels * squares).sum(2))
    little = 0.1 * expected.mean() + 1e-9
    places = ((seen + little) / (expected + little)).clamp(0.1, 10.0)
    return channels * places[..., None]


def _with_neighbours(x: Tensor) -> Tensor:
    """Average the 3x3 positions around each of `(h, w)`."""
    return F.avg_pool2d(F.pad(x[None, None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0, 0]


def _enlarged(x: Tensor) -> Tensor:
    """Mirror pictures too small for MS-SSIM at their edges until they are large enough."""
    for axis in (2, 3):
        size = x.shape[axis]
        if size < SMALLEST_SIDE:
            place = torch.arange(SMALLEST_SIDE) % (2 * size)
            x = x.index_select(axis, torch.minimum(place, 2 * size - 1 - place))
    return x
