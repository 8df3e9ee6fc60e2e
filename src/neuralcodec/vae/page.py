"""One HTML page with a slider for each latent; it contains the decoder, and runs it without a server."""

from __future__ import annotations

import base64
import json
from html import escape
from importlib import resources

import torch
from torch import Tensor, nn

from neuralcodec.vae.model import VAE, Planes, Unpatches
from neuralcodec.vae.sheets import by_use
from neuralcodec.vae.sprites import Array
from neuralcodec.vae.training import USED

#: Nothing comes from outside the page, nothing leaves it.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)


def page(model: VAE, title: str, reach: float = 3, start: Array | None = None) -> str:
    """Build the document.

    Args:
        reach: the sliders go this far to both sides, in standard deviations of the prior.
        start: picture `(1, channels, 64, 64)` whose latents the page begins with; without it they are 0.
    """
    files = resources.files("neuralcodec.vae")
    style, script = (files.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    order, kl = by_use(model)
    z = [0.0] * len(kl) if start is None else model.encode(torch.from_numpy(start))[0][0].tolist()
    sliders = "\n".join(_slider(latent, kl[latent], z[latent], reach) for latent in order)
    used = sum(value > USED for value in kl)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p>Each slider is a latent, those that carry most first; {used} of {len(kl)} carry more than {USED} nats.</p>
</header>
<main>
<canvas id="picture" width="64" height="64" role="img" aria-label="The decoded picture"></canvas>
<form>
{sliders}
<p><button type="button" id="sample">Sample</button> <button type="button" id="zero">All 0</button></p>
</form>
</main>
<script type="application/json" id="decoder">{json.dumps(_layers(model))}</script>
<script>
{script}</script>
</body>
</html>
"""


def _slider(latent: int, kl: float, value: float, reach: float) -> str:
    idle = "" if kl > USED else ' class="idle"'
    return (
        f'<label{idle}><span>z<sub>{latent}</sub></span><input type="range" min="{-reach}" max="{reach}"'
        f' step="any" value="{value:.4f}" data-latent="{latent}" aria-label="latent {latent}">'
        f"<output>{value:.2f}</output><small>{kl:.2f} nats</small></label>"
    )


def _layers(model: VAE) -> dict[str, object]:
    """Serialise the decoder for the script: matrices in base64 of little-endian float16, row by row."""
    layers: list[dict[str, object]] = []
    for layer in model.decoder:
        if isinstance(layer, nn.Linear):
            layers.append({"inputs": layer.in_features, **_numbers(layer.weight, layer.bias)})
        elif isinstance(layer, Planes):
            layers.append({"planes": layer.side})
        elif isinstance(layer, Unpatches):
            layers.append({"split": layer.size})
        elif isinstance(layer, nn.ReLU):
            layers.append({"relu": True})
    return {"channels": model.config.channels, "latents": model.config.latents, "layers": layers}


def _numbers(weight: Tensor, bias: Tensor) -> dict[str, str]:
    parts = {"weight": weight, "bias": bias}
    return {
        name: base64.b64encode(part.detach().half().numpy().astype("<f2").tobytes()).decode()
        for name, part in parts.items()
    }
