"""The scores of a model: the metrics of its code, and what each latent carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from neuralcodec.errors import UsageError
from neuralcodec.vae import metrics, objective
from neuralcodec.vae.data import open_data
from neuralcodec.vae.model import VAE
from neuralcodec.vae.sprites import Indices, Sprites
from neuralcodec.vae.training import USED

#: Pictures that reconstruction and KL are averaged over, and the number that is encoded at a time.
_PICTURES, _BATCH = 10_000, 1000
#: Codes that the scores ask for, nearly all of them for FactorVAE; progress is counted in these.
_CODES = 64 * 15_000 + 40_000


def score(
    model: VAE, *, seed: int, dci: bool = False, report: Callable[[float], None] | None = None
) -> dict[str, float | int | list[float]]:
    """Compute every score, by name; `dci` adds the three that take minutes.

    Args:
        report: takes the share that is done.

    Raises:
        UsageError: the model was not trained on shapes; the factors of other pictures are not known.
    """
    name = model.trained.get("data")
    if name not in ("shapes", "coloured"):
        raise UsageError("only models of shapes can be scored: of other pictures nobody knows the factors")
    data: Any = open_data(str(name))
    done = 0

    @torch.inference_mode()
    def code(indices: Indices) -> metrics.Floats:
        nonlocal done
        parts = []
        for part in np.array_split(indices, max(1, len(indices) // _BATCH)):
            parts.append(model.encode(torch.from_numpy(data.pictures(part)))[0].numpy())
            done += len(part)
            if report is not None:
                report(min(done / _CODES, 1.0))
        return np.concatenate(parts)

    rng = np.random.default_rng(seed)
    found: dict[str, float | int | list[float]] = dict(measure(model, data, rng))
    found["factor_vae_score"] = metrics.factor_vae(code, data, rng)
    found["mutual_information_gap"] = metrics.mig(code, data, rng)
    if dci:
        found |= metrics.dci(code, data, rng)._asdict()
    return found


@torch.inference_mode()
def measure(model: VAE, data: Sprites, rng: np.random.Generator) -> dict[str, float | int | list[float]]:
    """Measure a model on pictures drawn at random.

    Returns:
        Reconstruction and KL in nats, the number of latents that are used, the share of pixels that are
        wrong, and the KL of each latent.
    """
    sums, wrong = torch.zeros(1 + model.config.latents, dtype=torch.float64), 0.0
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    for _ in range(_PICTURES // _BATCH):
        x = torch.from_numpy(data.pictures(rng.integers(len(data), size=_BATCH)))
        out = model(x, torch.randn(_BATCH, model.config.latents, generator=generator))
        parts = objective.terms(x, out)
        sums += torch.cat([parts.reconstruction[None], parts.kl]).double() * _BATCH / _PICTURES
        wrong += ((out.logits > 0) != (x > 0.5)).float().mean().item() * _BATCH / _PICTURES
    kl = sums[1:].tolist()
    used = sum(value > USED for value in kl)
    return {
        "reconstruction": sums[0].item(),
        "kl": sum(kl),
        "latents_used": used,
        "wrong_pixels": wrong,
        "kl_of_each_latent": kl,
    }
