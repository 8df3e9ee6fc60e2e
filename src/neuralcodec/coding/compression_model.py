"""The conv codec at one quality in the form of CompressAI's models (Bégaint et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from neuralcodec.errors import UsageError
from neuralcodec.models.conv import STRIDE
from neuralcodec.options import checked_quality


class Estimate(NamedTuple):
    """What coding in torch gives, all with gradients.

    Attributes:
        x_hat: pixels `(B, 3, H, W)`, not clipped.
        latents: `y` and `y_hat` `(B, C, h, w)` with h = ⌈H/16⌉ and w = ⌈W/16⌉, in quantization steps, and `z`
            `(B, C_z, ⌈h/4⌉, ⌈w/4⌉)`; of a quality of two layers also `y2` and `y2_hat` `(B, D, 2h, 2w)`.
        bits: of each element of `y` and `z`, and of `y2`, by the coder's tables.
    """

    x_hat: Tensor
    latents: dict[str, Tensor]
    bits: dict[str, Tensor]


class Codec(Protocol):
    """What a `CompressionModel` needs; `neuralcodec.coding.batched.BatchedCodec` has it."""

    def estimate(self, x: Tensor, quality: float) -> Estimate: ...

    def compress(self, x: Tensor, quality: float) -> list[bytes]: ...

    def decompress(self, files: Sequence[bytes]) -> Tensor: ...


class CompressionModel(nn.Module):
    """A codec at one quality, with the methods and results of CompressAI's models.

    model = neuralcodec.load_model().at(quality=50)
    out = model(x)  # x: (B, 3, H, W) in [0, 1]
    out["x_hat"], out["likelihoods"]["y"], out["likelihoods"]["z"], out["latents"]["y_hat"]
    compressed = model.compress(x)
    model.decompress(compressed["strings"], compressed["shape"])["x_hat"]  # `forward` exports to ONNX
    """

    #: Bits of the least likely element, so that likelihoods are above zero in float32.
    _MOST_BITS = 100.0

    def __init__(self, codec: Codec, quality: float) -> None:
        super().__init__()
        self.codec, self.quality = codec, checked_quality(quality)

    def forward(self, x: Tensor) -> dict[str, Any]:
        """Code and decode pixels `(B, 3, H, W)` in [0, 1] in torch alone.

        Returns:
            `x_hat` `(B, 3, H, W)`, not clipped; `likelihoods`, in which `y` `(B, C, h, w)`, `z`
            `(B, C_z, ⌈h/4⌉, ⌈w/4⌉)` and, of a quality of two layers, `y2` `(B, D, 2h, 2w)` are the
            probabilities of the elements as they are coded; and `latents` with the same, `y_hat` and
            `y2_hat`. All have gradients: rounding counts as the identity.

        Raises:
            UsageError: the shape is wrong, or a pixel is not in [0, 1].
        """
        out = self.codec.estimate(x, self.quality)
        likelihoods = {name: torch.exp2(-bits.clamp_max(self._MOST_BITS)) for name, bits in out.bits.items()}
        return {"x_hat": out.x_hat, "likelihoods": likelihoods, "latents": out.latents}

    def compress(self, x: Tensor) -> dict[str, Any]:
        """Encode each picture of `(B, 3, H, W)` in [0, 1].

        Returns:
            `strings`, one list of B `.nc` files, which hold y and z; and `shape`, the height and width of z.

        Raises:
            UsageError: the shape is wrong, or a pixel is not in [0, 1].
        """
        shape = torch.Size(-(-side // (4 * STRIDE)) for side in x.shape[2:])
        return {"strings": [self.codec.compress(x, self.quality)], "shape": shape}

    def decompress(self, strings: Sequence[Sequence[bytes]], shape: Sequence[int]) -> dict[str, Tensor]:
        """Decode what `compress` gave: `x_hat` `(B, 3, H, W)` in [0, 1]. The files say their own shape.

        Raises:
            DamagedFileError: a file is damaged or not an `.nc` file.
            UsageError: there is not one list of files, one is of other weights, or the sizes differ.
        """
        if len(strings) != 1:
            raise UsageError(f"{len(strings)} lists of strings: the files of a batch are one list")
        return {"x_hat": self.codec.decompress(strings[0])}

    def update(self, force: bool = False) -> bool:
        """Say that no table has changed: those of the coder are stored with the weights."""
        return False
