"""Train a VAE: Adam, the same pictures for the same seed, easy things first.

How a shape is turned, and of which kind it is, is worth far less than its place, and a network that has
found places first draws discs for very long. So a run begins with shapes in the middle, which then spread,
and with a small beta, which then rises: both are what they shall be in the middle of the run.
"""

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
from neuralcodec.vae.model import VAE, VaeConfig

#: A latent is used when its KL, on average in nats, is above this.
USED = 0.1
#: Steps at the start during which the learning rate rises.
_WARM = 100
#: Shares of the run: from when to when shapes spread, and beta rises; from when the learning rate falls.
#: In the middle it takes 1,000 to 2,000 steps until it is found how shapes are turned.
_GATHERED, _SPREAD = 0.22, 0.45
_RISE, _RISEN = 0.35, 0.5
_FALL = 0.7
#: The weight of the KL at first, if it is not to be smaller.
_FIRST_BETA = 0.5
#: Steps whose mean is reported.
_RECENT = 100


@dataclass(frozen=True)
class Training:
    """The settings of a training.

    Args:
        beta: weight of the KL; 1 is the VAE. It is reached in the middle of the run.
        tc: apply beta only to the total correlation (beta-TCVAE).
        minutes, steps: the length of the run; give one of them.
        batch, learning_rate: of Adam; the rate falls to zero along a cosine in the last 30 % of the run.
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


def beta_at(done: float, config: Training) -> float:
    """Compute the weight of the KL when a share of the run is done; it rises as a geometric sequence."""
    if config.tc or config.beta <= _FIRST_BETA:
        return config.beta
    part = min(max((done - _RISE) / (_RISEN - _RISE), 0.0), 1.0)
    return _FIRST_BETA * (config.beta / _FIRST_BETA) ** part


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
        falling = 0.5 * (1 + math.cos(math.pi * max((done - _FALL) / (1 - _FALL), 0.0)))
        optimizer.param_groups[0]["lr"] = config.learning_rate * falling * min((step + 1) / _WARM, 1)
        spread = min(max((done - _GATHERED) / (_SPREAD - _GATHERED), 0.0), 1.0)
        indices = data.gathered(rng.integers(len(data), size=config.batch), spread)
        x = torch.from_numpy(data.pictures(indices)).to(device)
        out = model(x, torch.randn(config.batch, latents, device=device))
        parts = objective.terms(x, out, len(data) if config.tc else None)
        optimizer.zero_grad()
        parts.loss(beta_at(done, config), tc=config.tc).backward()  # type: ignore[no-untyped-call]
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
