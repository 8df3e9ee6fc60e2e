"""Train the encoder on your own photographs with the public API: rate-distortion steps over all qualities.

    python docs/examples/rate_distortion.py photos/ --steps 100

Only the analysis and the hyper-analysis are trained. The decoder stays as it is, so that the files that come
out decode everywhere.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import neuralcodec

CROP, BATCH = 256, 4
#: The weight of the mean square error at quality 0 and at quality 100, in bits per pixel.
LAMBDAS = 20.0, 2000.0


def batch(paths: list[Path], rng: np.random.Generator) -> torch.Tensor:
    """Cut random crops out of random photographs: `(B, 3, CROP, CROP)` in [0, 1]."""
    crops = []
    for path in rng.choice(np.array(paths), BATCH):
        image = Image.open(path).convert("RGB")
        left, top = (int(rng.integers(side - CROP + 1)) for side in image.size)
        crops.append(np.asarray(image.crop((left, top, left + CROP, top + CROP))))
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2) / 255


def train(folder: Path, steps: int, model: str | Path = "conv") -> list[float]:
    """Train on the pictures of a folder, and return the loss of each step.

    Args:
        model: the name of weights, or the path of your own.
    """
    codec = neuralcodec.load_model(model).train()
    codec.requires_grad_(False)
    encoder = [codec.transforms.analysis, codec.transforms.hyper_analysis]
    parameters = [p for part in encoder for p in part.requires_grad_(True).parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-5)
    paths, rng, losses = sorted(folder.iterdir()), np.random.default_rng(0), []
    for step in range(steps):
        x = batch(paths, rng)
        quality = torch.from_numpy(rng.uniform(0, 100, len(x)))  # one for each picture
        x_hat, bits = codec(x, quality)
        bpp = bits / (CROP * CROP)
        lam = LAMBDAS[0] * (LAMBDAS[1] / LAMBDAS[0]) ** (quality.float() / 100)
        error = (x - x_hat).square().mean((1, 2, 3))
        loss = ((bpp + lam * error) / lam.sqrt()).mean()  # so that no quality drowns the others
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        print(f"step {step + 1}: {bpp.mean():.3f} bits per pixel, loss {loss:.4f}")
    [data, *_] = codec.compress(x)
    print(f"{len(data)} bytes for a crop, which decode to {neuralcodec.decode(data).size}")
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--model", default="conv")
    arguments = parser.parse_args()
    train(arguments.folder, arguments.steps, arguments.model)
