"""Train a VAE: Adam, a learning rate that falls to zero, the same pictures for the same seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from neuralcodec.errors import UsageError
from neuralcodec.models.device import transforms_device
from neuralcodec.vae import objective
from neuralcodec.vae.data import Pictures
from neuralcodec.vae.model import VAE, VaeConfig, patches_of

#: A latent is used when its KL, on average in nats, is above this.
USED = 0.1
#: Steps at the start during which the learning rate rises.
_WARM = 100
#: Steps whose mean is reported.
_RECENT = 100


@dataclass(frozen=True)
class Training:
    """The settings of a training.

    Args:
        beta: weight of the KL; 1 is the VAE.
        tc: apply beta only to the total correlation (beta-TCVAE).
        minutes, steps: the length of the run; give one of them.
        batch, learning_rate: of Adam; the rate falls to zero along a cosine.
    """

    beta: float = 1.0
    tc: bool = False
    seed: int = 0
    minutes: float | None = None
    steps: int | None = None
    batch: int = 32
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise UsageError("the length of a training is in minutes or in steps")


def train(
    data: Pictures,
    config: Training,
    *,
    latents: int = 10,
    report: Callable[[float, str], None] | None = None,
) -> VAE:
    """Train a model; its `trained` has the settings and results of the training.

    Args:
        report: called now and then with the share that is done and a line about it.

    Raises:
        UsageError: the loss is no longer a number: beta or the learning rate is too large.
    """
    device = transforms_device()
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    model = VAE(VaeConfig(data.channels, latents)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=True)
    start, step, done = time.monotonic(), 0, 0.0
    recent: list[torch.Tensor] = []
    while done < 1:
        falling = 0.5 * (1 + math.cos(math.pi * done))
        optimizer.param_groups[0]["lr"] = config.learning_rate * falling * min((step + 1) / _WARM, 1)
        x = torch.from_numpy(data.pictures(rng.integers(len(data), size=config.batch))).to(device)
        patches = patches_of(x)
        out = model(patches, torch.randn(config.batch, latents, device=device))
        parts = objective.terms(patches, out, len(data) if config.tc else None)
        optimizer.zero_grad()
        parts.loss(config.beta, tc=config.tc).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        step += 1
        seconds = time.monotonic() - start
        done = step / config.steps if config.steps else min(seconds / (60 * (config.minutes or 1)), 1.0)
        recent = [*recent[1 - _RECENT :], torch.cat([parts.reconstruction.detach()[None], parts.kl.detach()])]
        if step % _RECENT == 0 or done >= 1:
            mean = torch.stack(recent).mean(0)
            if not mean.isfinite().all():
                raise UsageError("the training diverged: its loss is no number any more; lower beta")
            if report is not None:
                used = int((mean[1:] > USED).sum())
                line = (
                    f"step {step}: reconstruction {mean[0]:.2f}, KL {mean[1:].sum():.2f}, {used} latents used"
                )
                report(done, line)
    model.trained = {
        **{name: value for name, value in asdict(config).items() if value is not None},
        "data": data.name,
        "steps": step,
        "minutes": round(seconds / 60, 2),
        "reconstruction": round(float(mean[0]), 3),
        "kl": [round(float(value), 4) for value in mean[1:]],
    }
    return model.eval().requires_grad_(False)
