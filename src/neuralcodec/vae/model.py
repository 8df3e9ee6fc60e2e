"""The networks: pictures of 64×64 pixels to a Gaussian over a few latents, and latents to pictures.

    x ── windows of 16, every 8 pixels ── 2 linear ── all together ── 2 linear ── mu, log_var
    z ── 3 linear ── a plane for each feature, at the place of each square of 8 ── 3 linear ── logits

There is a ReLU between layers. The latents decide how each feature grows along rows and columns, so a shape
that moves or turns is another set of planes. The squares of 8×8 pixels are all drawn by one network that is
told its place in that way, as in the spatial broadcast decoder (Watters et al. 2019). A decoder that makes
the whole picture in one layer has to learn every place by itself.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralcodec import files
from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.vae.objective import Pass, reparameterise

if TYPE_CHECKING:
    from collections.abc import Mapping

SIDE = 64
#: Pixels to a side of the squares that are drawn, and of the windows that are looked at.
_SQUARE, _WINDOW = 8, 16
#: Squares to a side of the picture, and windows: they overlap, and reach over the edge.
_GRID, _VIEWS = SIDE // _SQUARE, SIDE // _SQUARE + 1
_FORMAT = "neuralcodec.vae"
SHIPPED = Path(__file__).parent / "weights"
#: No weights file is larger than this, in bytes.
_LARGEST = 1 << 26


@dataclass(frozen=True)
class VaeConfig:
    """The sizes of a VAE, each from 1 to 512.

    Args:
        channels: of the pictures, 1 or 3.
        latents: the number of latents.
        window, seen, whole: features in the encoder: within a window, of a window, of the picture.
        planned, drawn: features in the decoder: of the picture, of a square.
    """

    channels: int = 1
    latents: int = 10
    window: int = 64
    seen: int = 32
    whole: int = 192
    planned: int = 128
    drawn: int = 64

    def __post_init__(self) -> None:
        sizes = asdict(self)
        if any(not isinstance(size, int) or not 1 <= size <= 512 for size in sizes.values()):
            raise UsageError(f"the sizes of a VAE are from 1 to 512, not {sizes}")
        if self.channels not in (1, 3):
            raise UsageError(f"pictures have 1 or 3 channels, not {self.channels}")


class VAE(nn.Module):
    """A variational autoencoder (Kingma and Welling 2014) with a Bernoulli likelihood.

    Args:
        config: the sizes.
        trained: facts of its training, such as `beta` and `seed`; stored beside the weights.
    """

    def __init__(self, config: VaeConfig, trained: Mapping[str, object] | None = None) -> None:
        super().__init__()
        self.config, self.trained = config, dict(trained or {})
        self.encoder = Looking(config)
        self.decoder = nn.Sequential(
            nn.Linear(config.latents, config.planned),
            nn.ReLU(),
            nn.Linear(config.planned, config.planned),
            nn.ReLU(),
            nn.Linear(config.planned, 3 * config.drawn),
            Planes(_GRID),
            nn.ReLU(),
            nn.Linear(config.drawn, config.drawn),
            nn.ReLU(),
            nn.Linear(config.drawn, config.drawn),
            nn.ReLU(),
            nn.Linear(config.drawn, _SQUARE**2 * config.channels),
            Unpatches(_SQUARE),
        )

    def forward(self, x: Tensor, eps: Tensor) -> Pass:
        """Run one pass, as training needs it.

        Args:
            x: pictures `(B, channels, 64, 64)` in `[0, 1]`.
            eps: noise from N(0, I), `(B, latents)`.
        """
        mu, log_var = self.encode(x)
        z = reparameterise(mu, log_var, eps)
        return Pass(self._logits(z), z, mu, log_var)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean and log variance of q(z | x), each `(B, latents)`; `x` is `(B, channels, 64, 64)`."""
        mu, log_var = self.encoder(x).chunk(2, dim=1)
        return mu, log_var

    def decode(self, z: Tensor) -> Tensor:
        """Compute the mean of p(x | z), `(B, channels, 64, 64)` in `[0, 1]`; `z` is `(B, latents)`."""
        return self._logits(z).sigmoid()

    def _logits(self, z: Tensor) -> Tensor:
        logits: Tensor = self.decoder(z)
        return logits.permute(0, 3, 1, 2)


class Looking(nn.Module):
    """The encoder: `(B, channels, 64, 64)` to `(B, 2 * latents)`.

    Windows that are black are alike, and of shapes most are: they are computed once.
    """

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        pixels = _WINDOW**2 * config.channels
        self.look = nn.Sequential(
            nn.Linear(pixels, config.window), nn.ReLU(), nn.Linear(config.window, config.seen), nn.ReLU()
        )
        self.join = nn.Sequential(
            nn.Linear(_VIEWS**2 * config.seen, config.whole),
            nn.ReLU(),
            nn.Linear(config.whole, 2 * config.latents),
        )

    def forward(self, x: Tensor) -> Tensor:
        windows = F.pad(x, (_SQUARE,) * 4).unfold(2, _WINDOW, _SQUARE).unfold(3, _WINDOW, _SQUARE)
        windows = windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
        lit = windows.any(1).nonzero()[:, 0]
        seen = self.look(torch.cat([windows.new_zeros(1, windows.shape[1]), windows[lit]]))
        every = seen[:1].expand(len(windows), -1).index_copy(0, lit, seen[1:])
        features: Tensor = self.join(every.reshape(len(x), -1))
        return features


class Planes(nn.Module):
    """Planes over the picture: `(B, 3 * C)` to `(B, side, side, C)`.

    A feature grows with the row by its first number and with the column by its second; its third is its value
    in the middle. Rows and columns go from -1 to 1.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        line = torch.linspace(-1, 1, side)
        places = torch.stack([*torch.meshgrid(line, line, indexing="ij"), torch.ones(side, side)], -1)
        self.register_buffer("places", places.reshape(-1, 3), persistent=False)

    def forward(self, planes: Tensor) -> Tensor:
        features = self.get_buffer("places") @ planes.reshape(len(planes), 3, -1)
        return features.reshape(len(planes), self.side, self.side, -1)


class Unpatches(nn.Module):
    """Features become squares of p × p places: `(B, H, W, p*p*C)` to `(B, H*p, W*p, C)`."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, features = x.shape
        p = self.size
        x = x.reshape(batch, height, width, p, p, features // p**2).transpose(2, 3)
        return x.reshape(batch, height * p, width * p, features // p**2)


# ---- weights ---------------------------------------------------------------------------------------------


def save(model: VAE, path: Path) -> None:
    """Write the weights as float16, whole or not at all."""
    from safetensors.torch import save as serialise

    tensors = {name: value.detach().half().cpu().contiguous() for name, value in model.state_dict().items()}
    described = {"sizes": asdict(model.config), "trained": model.trained}
    with files.writing(path) as file:
        file.write(serialise(tensors, {_FORMAT: json.dumps(described)}))


def load(name: str) -> VAE:
    """Load a model from a weights file, or from shipped weights by name, such as `beta4`.

    Raises:
        UsageError: there is neither of that name.
        NeuralCodecError: the file does not hold weights of a VAE.
    """
    from safetensors.torch import load as deserialise

    shipped = SHIPPED / f"{name}.safetensors"
    path = shipped if "/" not in name and shipped.is_file() else Path(name)
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.safetensors")))
        raise UsageError(f"no weights named {name}: a file that `ncodec vae train` wrote, or one of {names}")
    data = files.read(path, _LARGEST)
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        described = json.loads(header["__metadata__"][_FORMAT])
        model = VAE(VaeConfig(**described["sizes"]), dict(described["trained"]))
        model.load_state_dict({name: value.float() for name, value in deserialise(data).items()})
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NeuralCodecError(f"{path} is no weights file of `ncodec vae train`: {reason}") from None
    return model.eval().requires_grad_(False)
