"""The networks: pictures of 64×64 pixels to a Gaussian over a few latents, and latents to pictures.

Nearly every layer is a matrix product over squares of 4×4, 8×8 or 16×16 pixels, so that a step takes some
hundredths of a second on a CPU.

    x ── squares of 4 ── linear, merged to 8 ── linear, merged to 16 ── linear ── 2 linear ── mu, log_var
    z ── 2 linear ── linear, split to 8 ── 3×3 ── linear, split to 4 ── 3×3 ── linear ── logits

There is a ReLU between layers. The two 3×3 convolutions let the squares agree on the edges of a shape. A
decoder of one small network for each square, with its place as an input, kept to place and size in runs as
long as these.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from neuralcodec import files
from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.vae.objective import Pass, reparameterise

if TYPE_CHECKING:
    from collections.abc import Mapping

SIDE = 64
#: Pixels to a side of a square, and squares to a side that are merged into one.
_PATCH, _MERGED = 4, 2
#: Squares to a side of the picture after both merges.
_GRID = SIDE // _PATCH // _MERGED**2
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
        fine, coarse, whole: features of a square of 4×4 pixels, of a larger one, of the picture.
    """

    channels: int = 1
    latents: int = 10
    fine: int = 32
    coarse: int = 64
    whole: int = 128

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
        pixels, cells = _PATCH**2 * config.channels, _GRID**2 * config.coarse
        self.encoder = nn.Sequential(
            nn.Linear(pixels, config.fine),
            nn.ReLU(),
            Patches(_MERGED),
            nn.Linear(_MERGED**2 * config.fine, config.coarse),
            nn.ReLU(),
            Patches(_MERGED),
            nn.Linear(_MERGED**2 * config.coarse, config.coarse),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(cells, config.whole),
            nn.ReLU(),
            nn.Linear(config.whole, 2 * config.latents),
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.latents, config.whole),
            nn.ReLU(),
            nn.Linear(config.whole, cells),
            nn.ReLU(),
            nn.Unflatten(1, (_GRID, _GRID, config.coarse)),
            nn.Linear(config.coarse, _MERGED**2 * config.coarse),
            Unpatches(_MERGED),
            nn.ReLU(),
            Around(config.coarse),
            nn.ReLU(),
            nn.Linear(config.coarse, _MERGED**2 * config.fine),
            Unpatches(_MERGED),
            nn.ReLU(),
            Around(config.fine),
            nn.ReLU(),
            nn.Linear(config.fine, pixels),
        )

    def forward(self, patches: Tensor, eps: Tensor) -> Pass:
        """Run one pass, as training needs it.

        Args:
            patches: pictures as `patches_of` gives them; the logits come back in the same order.
            eps: noise from N(0, I), `(B, latents)`.
        """
        mu, log_var = self.encoder(patches).chunk(2, dim=1)
        z = reparameterise(mu, log_var, eps)
        return Pass(self.decoder(z), z, mu, log_var)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean and log variance of q(z | x), each `(B, latents)`; `x` is `(B, channels, 64, 64)`."""
        mu, log_var = self.encoder(patches_of(x)).chunk(2, dim=1)
        return mu, log_var

    def decode(self, z: Tensor) -> Tensor:
        """Compute the mean of p(x | z), `(B, channels, 64, 64)` in `[0, 1]`; `z` is `(B, latents)`."""
        logits = Unpatches(_PATCH)(self.decoder(z))
        return logits.permute(0, 3, 1, 2).sigmoid()


def patches_of(x: Tensor) -> Tensor:
    """Cut pictures `(B, channels, 64, 64)` into squares of 4x4 pixels, `(B, 16, 16, 16 * channels)`."""
    patches: Tensor = Patches(_PATCH)(x.permute(0, 2, 3, 1))
    return patches


class Patches(nn.Module):
    """Squares of p × p places become features: `(B, H, W, C)` to `(B, H/p, W/p, p*p*C)`."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        p = self.size
        x = x.reshape(batch, height // p, p, width // p, p, channels).transpose(2, 3)
        return x.reshape(batch, height // p, width // p, p * p * channels)


class Unpatches(nn.Module):
    """The inverse of `Patches`."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, features = x.shape
        p = self.size
        x = x.reshape(batch, height, width, p, p, features // p**2).transpose(2, 3)
        return x.reshape(batch, height * p, width * p, features // p**2)


class Around(nn.Conv2d):
    """A 3×3 convolution of places, with zeros around: `(B, H, W, C)` to the same shape."""

    def __init__(self, features: int) -> None:
        super().__init__(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


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
