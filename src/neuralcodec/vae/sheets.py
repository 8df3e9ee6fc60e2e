"""Pictures from a model, on one sheet: samples, walks along one latent, walks between two pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from neuralcodec.vae.model import VAE
from neuralcodec.vae.sprites import SIDE, Array

_GAP = 4
_PAPER, _INK = 128, 255


def sample(model: VAE, count: int, *, seed: int, temperature: float = 1.0) -> Array:
    """Decode latents drawn from N(0, temperature^2 I) to pictures `(count, channels, 64, 64)`."""
    generator = torch.Generator().manual_seed(seed)
    z = temperature * torch.randn(count, model.config.latents, generator=generator)
    return model.decode(z).numpy()


def traverse(model: VAE, values: Sequence[float], start: Array | None = None) -> Array:
    """Decode `(latents, values, channels, 64, 64)`: in each row, one latent takes the values.

    The others are those of the picture `start`, `(1, channels, 64, 64)`, or without one 0.
    """
    latents, steps = model.config.latents, len(values)
    z = torch.zeros(latents) if start is None else model.encode(torch.from_numpy(start))[0][0]
    grid = z.repeat(latents, steps, 1)
    for latent in range(latents):
        grid[latent, :, latent] = torch.tensor(values)
    pictures = model.decode(grid.flatten(0, 1))
    return pictures.reshape(latents, steps, *pictures.shape[1:]).numpy()


def interpolate(model: VAE, one: Array, other: Array, steps: int) -> Array:
    """Decode points on the line between the means of two pictures `(1, channels, 64, 64)`.

    Returns:
        `(steps, channels, 64, 64)`, both ends included.
    """
    mu, _ = model.encode(torch.from_numpy(np.concatenate([one, other])))
    weight = torch.linspace(0, 1, steps)[:, None]
    return model.decode(torch.lerp(mu[:1], mu[1:], weight)).numpy()


def by_use(model: VAE) -> tuple[list[int], list[float]]:
    """Sort the latents by their KL, largest first; also return the KLs, in nats, in the model's order."""
    known = model.trained.get("kl")
    kl = [float(value) for value in known] if isinstance(known, list) else [0.0] * model.config.latents
    return sorted(range(len(kl)), key=lambda latent: -kl[latent]), kl


def sheet(rows: Sequence[Array], labels: Sequence[str] = ()) -> Image.Image:
    """Lay rows of pictures, each `(N, channels, 64, 64)` in `[0, 1]`, on grey, with a label before each."""
    font = ImageFont.load_default(12)
    left = max((int(font.getlength(label)) + 2 * _GAP for label in labels), default=0)
    pitch = SIDE + _GAP
    size = (left + max(map(len, rows)) * pitch + _GAP, len(rows) * pitch + _GAP)
    page = Image.new("RGB", size, (_PAPER,) * 3)
    pen = ImageDraw.Draw(page)
    for top, row in enumerate(rows):
        if labels:
            place = (_GAP, _GAP + top * pitch + SIDE // 2)
            pen.text(place, labels[top], (_INK,) * 3, font, anchor="lm")
        for column, picture in enumerate(row):
            page.paste(to_image(picture), (left + _GAP + column * pitch, _GAP + top * pitch))
    return page


def to_image(picture: Array) -> Image.Image:
    """Convert one picture `(channels, 64, 64)` in `[0, 1]` to an image."""
    pixels = (255 * picture.clip(0, 1)).round().astype(np.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
