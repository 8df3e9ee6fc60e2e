"""Thumbnails: pictures of 1/8 and 1/16 from the latent, by a network far smaller than the synthesis.

      y_hat ─÷gain─┬─ 1x1 ─×gain─ blocks ─ 1x1 ─(+)─► 2x2 colours for each latent position
                   └────────── 1x1 ─────────────┘

It has learnt the means of squares of the decoded picture (`neuralcodec.training.thumbnail`). Of a file in two
layers it sees the first alone: what the second adds is finer. It computes in numpy, which every run time has.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from neuralcodec import weights
from neuralcodec.arrays import Floats, Pixels
from neuralcodec.entropy.exact import convolve_channels
from neuralcodec.weights import thumbnails
from neuralcodec.weights.stored import not_weights

#: The least reduction that is a thumbnail, and the most.
LEAST, MOST = 8, 16


class Thumbnail:
    """The network of one decoder.

    Args:
        arrays: float16, named as the parameters of `neuralcodec.training.thumbnail.ThumbnailNetwork`.

    Raises:
        KeyError, ValueError: they are not those of such a network.
    """

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        wide = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        self._gains = [wide[f"{name}.log_gain"] for name in ("latent_gain", "feature_gain")]
        self._dense, self._taps = {}, {}
        for name in (name.removesuffix(".weight") for name in wide if name.endswith(".weight")):
            weight, bias = wide[f"{name}.weight"], wide[f"{name}.bias"]
            if name.endswith(".spatial"):
                self._taps[name] = weight[:, 0].transpose(1, 2, 0), bias
            else:
                self._dense[name] = weight[:, :, 0, 0].T, bias
        self._blocks = [name.removesuffix(".spatial") for name in sorted(self._taps)]
        self(np.zeros((2, 2, self._gains[0].shape[1]), np.float32), 0, LEAST)  # do they fit together?

    def __call__(self, y_hat: Floats, level: float, reduce: int) -> Pixels:
        """Make pixels `(16 h / reduce, 16 w / reduce, 3)` of y_hat `(h, w, C)`; `reduce` is 8 or 16."""
        latent_gain, feature_gain = (_at(table, level) for table in self._gains)
        y = y_hat * latent_gain
        f = self._through("stem", y)
        f *= feature_gain
        for block in self._blocks:
            taps, bias = self._taps[f"{block}.spatial"]
            hidden = convolve_channels(f, taps, bias)
            hidden = self._through(f"{block}.expand", hidden)
            hidden /= 1 + np.exp(-hidden.clip(-80, None))  # SiLU
            f += self._through(f"{block}.project", hidden)
        colours = self._through("head", f) + self._through("shortcut", y)
        colours = colours.reshape(*y.shape[:2], 3, 2, 2)
        if reduce == MOST:
            small = colours.mean((3, 4))
        else:
            small = colours.transpose(0, 3, 1, 4, 2).reshape(2 * y.shape[0], 2 * y.shape[1], 3)
        return ((small + 0.5) * 255).round().clip(0, 255).astype(np.uint8)

    def _through(self, name: str, x: Floats) -> Floats:
        weight, bias = self._dense[name]
        out: Floats = x.reshape(-1, x.shape[-1]) @ weight
        out += bias
        return out.reshape(*x.shape[:-1], -1)


def _at(table: Floats, level: float) -> Floats:
    """Interpolate gains as `GainTable` does."""
    low = min(int(level), len(table) - 2)
    return np.asarray(np.exp(table[low] + np.float32(level - low) * (table[low + 1] - table[low])))


@functools.lru_cache(maxsize=2)  # the last two used stay in memory
def thumbnail_of(identity: bytes) -> Thumbnail | None:
    """Load the network for a decoder's id, if it has one.

    Raises:
        NeuralCodecError: it is damaged, or that of another decoder.
    """
    file = weights.by_id(identity)
    arrays = thumbnails.read(file)
    try:
        return None if arrays is None else Thumbnail(arrays)
    except (LookupError, TypeError, ValueError) as error:
        raise not_weights(file.path.with_suffix(thumbnails.SUFFIX), error) from None
