"""Fit the network that makes thumbnails of a decoder's latents, and write it beside the weights.

Its aims are the means of squares of what the whole synthesis makes of the same latents, at all qualities that
have one layer. On one core it takes about ten minutes:

    python -m neuralcodec.training.thumbnail FOLDER/conv-96604f79.safetensors photos/ held-out/

It prints the mean absolute difference on the last folder, in 8-bit levels, by factor and level.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec import weights
from neuralcodec.arrays import Box
from neuralcodec.coding.codec import encode_file
from neuralcodec.coding.latents import decode_latents
from neuralcodec.coding.pixels import box_reduced, padded_pixels
from neuralcodec.models.blocks import GainTable, pointwise, residual_blocks
from neuralcodec.models.conv.runner import Model, load
from neuralcodec.models.conv.thumbnail import LEAST, MOST, Thumbnail
from neuralcodec.picture.formats import SUFFIXES
from neuralcodec.picture.picture import Picture
from neuralcodec.picture.reading import load as read
from neuralcodec.weights import thumbnails

CROP = 256
CROPS, STEPS, BATCH, CHECKED = 1500, 2000, 8, 48
WIDTH, BLOCKS = 96, 3
FIRST_RATE = 2e-3


class ThumbnailNetwork(nn.Module):
    """The network of `neuralcodec.models.conv.thumbnail` as it is trained."""

    def __init__(self, levels: int, latent: int) -> None:
        super().__init__()
        self.latent_gain = GainTable(levels, latent)
        self.stem = pointwise(latent, WIDTH)
        self.feature_gain = GainTable(levels, WIDTH)
        self.blocks = residual_blocks(WIDTH, BLOCKS)
        self.head = pointwise(WIDTH, 12, gain=0.0)
        self.shortcut = pointwise(latent, 12)

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        """Compute pixels `(B, 3, 2 h, 2 w)` around [-0.5, 0.5] from y_hat `(B, C, h, w)`."""
        y = y_hat * self.latent_gain(level)
        f = self.blocks(self.stem(y) * self.feature_gain(level))
        return F.pixel_shuffle(self.head(f) + self.shortcut(y), 2)


class Samples(NamedTuple):
    """Latents `(N, C, h, w)`, their levels `(N,)`, and pixels of 1/8 `(N, 3, 2 h, 2 w)` in [-0.5, 0.5]."""

    y_hat: Tensor
    level: Tensor
    small: Tensor


def samples(model: Model, file: weights.WeightsFile, folder: Path, count: int, seed: int) -> Samples:
    """Encode random crops of photographs, at random qualities of one layer, and average what is decoded."""
    highest = min(model.levels.first - 0.01, 100)
    rng = np.random.default_rng(seed)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    y_hats, levels, smalls = [], [], []
    for _ in range(count):
        pixels = read(paths[rng.integers(len(paths))]).pixels
        # Photographs of several megapixels show little in a crop: take them smaller.
        pixels = box_reduced(pixels, int(rng.integers(1, 4)) if min(pixels.shape[:2]) > 3 * CROP else 1)
        if min(pixels.shape[:2]) < CROP:
            continue
        top, left = (int(rng.integers(side - CROP + 1)) for side in pixels.shape[:2])
        crop = padded_pixels(pixels, Box(top, top + CROP, left, left + CROP).slices)
        quality = float(rng.uniform(0, highest))
        coded = encode_file(Picture(crop, None, None, None, None), quality=quality, model=file.path)
        y_hat = decode_latents(coded, model).values
        whole = model.synthesise(y_hat, coded.header.quality)
        y_hats.append(y_hat.transpose(2, 0, 1))
        levels.append(model.levels(coded.header.quality).base)
        smalls.append(whole.reshape(CROP // 8, 8, CROP // 8, 8, 3).mean((1, 3)).transpose(2, 0, 1))
    small = torch.from_numpy(np.stack(smalls)).float() / 255 - 0.5
    return Samples(torch.from_numpy(np.stack(y_hats)), torch.tensor(levels), small)


def fit(model: Model, data: Samples) -> ThumbnailNetwork:
    """Train the network: the mean absolute difference at 1/8 and at 1/16."""
    torch.manual_seed(0)
    transforms = model.transforms
    network = ThumbnailNetwork(transforms.config.levels, transforms.config.latent)
    with torch.no_grad():
        network.latent_gain.log_gain.copy_(transforms.synthesis_gain.log_gain)
        weight, bias = transforms.synthesis.shortcut.weight, transforms.synthesis.shortcut.bias
        assert bias is not None and network.shortcut.bias is not None
        network.shortcut.weight.copy_(weight.view(3, 2, 8, 2, 8, -1, 1, 1).mean((2, 4)).flatten(0, 2))
        network.shortcut.bias.copy_(bias.view(3, 2, 8, 2, 8).mean((2, 4)).flatten())
    network.latent_gain.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], FIRST_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, FIRST_RATE, total_steps=STEPS, pct_start=0.05)
    for _ in range(STEPS):
        chosen = torch.randint(len(data.level), (BATCH,))
        error = network(data.y_hat[chosen], data.level[chosen]) - data.small[chosen]
        loss = error.abs().mean() + F.avg_pool2d(error, 2).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def difference(thumbnail: Thumbnail, data: Samples) -> dict[int, list[float]]:
    """Measure the mean absolute difference in 8-bit levels, by factor, in four ranges of levels."""
    highest = float(data.level.max())
    found: dict[int, list[list[float]]] = {factor: [[] for _ in range(4)] for factor in (LEAST, MOST)}
    for y_hat, level, small in zip(*data, strict=True):
        for factor, ranges in found.items():
            pixels = thumbnail(y_hat.permute(1, 2, 0).numpy(), float(level), factor)
            aim = (F.avg_pool2d(small[None], factor // LEAST)[0].permute(1, 2, 0).numpy() + 0.5) * 255
            ranges[min(int(4 * level / highest), 3)].append(float(np.abs(pixels - aim).mean()))
    return {factor: [float(np.mean(part or [np.nan])) for part in ranges] for factor, ranges in found.items()}


def main(arguments: list[str]) -> None:
    """Fit and write the network of one weights file.

    Raises:
        UsageError: the weights cannot be read.
    """
    path, photos, held_out = map(Path, arguments)
    file = weights.at(path)
    model = load(file, "cpu")
    network = fit(model, samples(model, file, photos, CROPS, seed=0))
    arrays = {name: value.half().numpy() for name, value in network.state_dict().items()}
    print(thumbnails.write(file, arrays))
    for factor, means in difference(
        Thumbnail(arrays), samples(model, file, held_out, CHECKED, seed=1)
    ).items():
        print(f"1/{factor}, by quarters of the levels: {' '.join(f'{mean:.2f}' for mean in means)} levels")


if __name__ == "__main__":
    main(sys.argv[1:])
