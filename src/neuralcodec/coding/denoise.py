"""How noisy a picture is taken to be, and the encoder for that."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

from neuralcodec.errors import UsageError
from neuralcodec.options import DENOISE_WORDS, MOST_NOISE
from neuralcodec.weights.companions import companion_of

if TYPE_CHECKING:
    from neuralcodec.arrays import Pixels
    from neuralcodec.coding.families.protocol import Family
    from neuralcodec.weights import WeightsFile

KIND = "denoise"
#: Clean photographs are estimated at 0.5 to 2.3, noise of 5 at 5.0 and more: below, it is left alone.
LEAST_NOISE = 4.0


def noise_level(pixels: Pixels, wanted: str | float | None) -> float:
    """Find the noise to encode for, a standard deviation in 8-bit levels; 0 is the plain encoder.

    Args:
        wanted: `auto`, which estimates it, `light`, `strong`, a number of at least 0, or None.

    Raises:
        UsageError: it is none of these.
    """
    if wanted is None:
        return 0.0
    if isinstance(wanted, str):
        if wanted == "auto":
            from neuralcodec.picture.noise import noise_of

            estimated = noise_of(pixels)
            return min(estimated, MOST_NOISE) if estimated >= LEAST_NOISE else 0.0
        if wanted not in DENOISE_WORDS:
            words = ", ".join(["auto", *DENOISE_WORDS])
            raise UsageError(f"denoise must be {words} or a number from 0 to {MOST_NOISE:g}, not {wanted!r}")
        return DENOISE_WORDS[wanted]
    if isinstance(wanted, bool) or not isinstance(wanted, Real) or not 0 <= wanted <= MOST_NOISE:
        raise UsageError(f"denoise must be a number from 0 to {MOST_NOISE:g}, not {wanted!r}")
    return float(wanted)


def load_denoising(family: Family, file: WeightsFile, noise: float, device: str | None) -> Any:
    """Load the encoder for noisy pixels that writes for the decoder of a weights file.

    Raises:
        UsageError: the family has none, or there is none for this decoder.
    """
    if KIND not in family.companions:
        raise UsageError(f"denoise: the {family.codec.name} model has no encoder for noisy pictures")
    return family.load(companion_of(file, KIND), device).at_noise(noise)
