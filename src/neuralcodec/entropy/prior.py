"""The prior that writes and reads files: integer networks, and one function for both directions.

`IntegerPrior.code` does all the entropy coding of a tile. Given a writer and latents, it writes them; given a
reader, it reads them. Both ways call the same networks, so encoder and decoder agree by construction. The
structure is that of `neuralcodec.models.prior.Prior`, from which `neuralcodec.training.conv` makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neuralcodec.arrays import Floats
from neuralcodec.entropy.coder import SYMBOL_LIMIT, SymbolCoder
from neuralcodec.entropy.exact import ONE, Dense, Integers, Range, Stack
from neuralcodec.entropy.layers import ACTIVATION_MAX, CONTEXT_STEP, HYPER_SYNTHESIS, LATENT_MAX
from neuralcodec.entropy.rounding import Rounding
from neuralcodec.entropy.tables import SCALE_COUNT, Index, Tables

STEPS = 4
QUALITY_ROWS = 101
#: Latents, means included, are held in sixteenths of a quantization step.
LATENT_ONE = 16
#: Bound of the latents that enter a network, in sixteenths; the trained form has the same bound, ±64.0.
LATENT_CLIP = LATENT_MAX * ONE
ACTIVATION_CLIP = ACTIVATION_MAX * ONE
MEAN_CLIP = 1 << 17
#: Bits that the head of a scale index drops: from sixteenths of a step to whole steps.
INDEX_DROP = 4
#: Side of the tile of a canary in latent positions, a multiple of four.
SAMPLE_SIDE = 8

#: Draws an array of a given shape.
Draw: TypeAlias = Callable[[tuple[int, ...]], Floats]


class IntegerPrior:
    """The integer networks and tables of one weights file.

    Args:
        tensors: integer arrays by name, as `export` stores them.

    Raises:
        ValueError: a sum could leave the exact range, or the arrays do not fit together.
    """

    #: Number of segments of a canary.
    samples = 1

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        self.tables = Tables(tensors["tables.counts"], tensors["tables.radius"])
        self.z_mean, self.z_index = tensors["z.mean"], tensors["z.index"]  # (101, C_z)
        if self.z_mean.shape != self.z_index.shape or len(self.z_mean) != QUALITY_ROWS:
            raise ValueError("the hyper-latent has other tables than one for each quality and channel")
        if self.z_index.max() >= len(self.tables.radius):
            raise ValueError("a channel of the hyper-latent has a table that is not there")

        def stored(name: str) -> Integers:
            return integers_of(tensors, name)

        latents = Range.uniform(self.z_mean.shape[1], -LATENT_CLIP, LATENT_CLIP)
        self.hyper_synthesis = Stack(HYPER_SYNTHESIS, stored, latents)
        self.steps = [Step(k, "steps", stored, self.hyper_synthesis.range) for k in range(STEPS)]
        self.latent = self.steps[0].latent

    def code_sample(self, coders: Sequence[SymbolCoder], draw: Draw | None = None) -> list[Floats]:
        """Code the tile of a canary, `SAMPLE_SIDE` positions a side, and return its y_hat.

        Args:
            coders: exactly one; a writer, or without `draw` a reader.
            draw: draws the latents to write.
        """
        [coder] = coders
        side, part = SAMPLE_SIDE, SAMPLE_SIDE // 4
        latents = draw and (draw((side, side, self.latent)), draw((part, part, self.z_mean.shape[1])))
        return [self.code(coder, 50, side, side, latents)]

    def code(
        self,
        coder: SymbolCoder,
        quality: int,
        height: int,
        width: int,
        latents: tuple[Floats, Floats] | None = None,
        *,
        rounding: Rounding | None = None,
    ) -> Floats:
        """Write or read one tile.

        Args:
            coder: a writer, which needs `latents`, or a reader.
            quality: a whole number from 0 to 100: `Header.quality_row`.
            height, width: of the tile's latent.
            latents: y `(H4, W4, C)` and z `(H4/4, W4/4, C_z)`, with `H4` and `W4` the height and width
                rounded up to a multiple of four.
            rounding: how a writer rounds y; by default to the nearest symbol.

        Returns:
            y_hat `(height, width, C)`, as a decoder sees it.

        Raises:
            DamagedFileError: the segment is damaged.
        """
        rows, columns = -(-height // 4), -(-width // 4)
        y, z = latents if latents is not None else (None, None)
        shape = (rows, columns, self.z_mean.shape[1])
        z_mean = np.broadcast_to(self.z_mean[quality], shape)
        z_index = np.broadcast_to(self.z_index[quality], shape)
        z_hat = _exchange(coder, z, z_mean.astype(np.float32), z_index)
        features = self.hyper_synthesis(enter(z_hat))
        y_hat = code_in_steps(coder, self.steps, features, (height, width), y, rounding=rounding)
        return y_hat[:height, :width] / np.float32(LATENT_ONE)


def code_in_steps(
    coder: SymbolCoder,
    steps: list[Step],
    features: Floats,
    size: tuple[int, int],
    y: Floats | None,
    *,
    rounding: Rounding | None = None,
) -> Floats:
    """Write or read a latent in four steps.

    Args:
        features: φ `(H, W, F)`, with H and W even.
        size: height and width of the part to code; what lies beyond is zero.
        y: `(H, W, C)` for a writer, None for a reader.

    Returns:
        y_hat `(H, W, C)` in sixteenths of a quantization step.
    """
    shape = features.shape[:2]
    y_hat = np.zeros((*shape, steps[0].latent), np.float32)
    seen = np.concatenate((features, y_hat), 2)
    known = seen[..., features.shape[2] :]
    inside = np.zeros((*shape, 1), np.float32)
    inside[: size[0], : size[1]] = 1
    for number, step in enumerate(steps):
        mean, index = step.predict(seen if number else features)
        if not inside.all():
            mask = _gather(inside, (slice(None),) * 4)
            mean *= mask
            index *= mask.astype(np.uint8)
        values = None if y is None else _gather(y, step.groups)
        decoded = _exchange(coder, values, mean, index, rounding)
        for place, group, part in zip(_PLACES, step.groups, decoded, strict=True):
            y_hat[(*place, group)] = part
            known[(*place, group)] = enter(part)
    return y_hat


def integers_of(tensors: Mapping[str, npt.NDArray[Any]], name: str) -> Integers:
    """Return a layer of the prior as `export` stores it."""
    return Integers(*(tensors[f"exact.{name}.{part}"] for part in ("weight", "bias", "shift")))


class Step:
    """Means and scale indices of the quarter of the elements that step `k` codes."""

    def __init__(self, k: int, name: str, stored: Callable[[str], Integers], features: Range) -> None:
        head = stored(f"{name}.{k}.head")
        self.latent = latent = len(head.bias) // 2
        known = Range.uniform(latent, -LATENT_CLIP, LATENT_CLIP)
        size = latent // STEPS
        #: The channels coded at each of the four places.
        self.groups = tuple(slice((p ^ k) * size, (p ^ k) * size + size) for p in range(4))
        self.body = Stack(CONTEXT_STEP, lambda part: stored(f"{name}.{k}.{part}"), features.concat(known))
        low, high = np.repeat([-MEAN_CLIP, 0], size), np.repeat([MEAN_CLIP, SCALE_COUNT - 1], size)
        rows = np.arange(2 * latent).reshape(2, STEPS, size)
        #: Of each place, the means and then the scale indices of its group.
        self.heads = [Dense(head.rows(rows[:, p ^ k].ravel()), self.body.range, low, high) for p in range(4)]

    def predict(self, seen: Floats) -> tuple[Floats, npt.NDArray[np.uint8]]:
        """Predict means in sixteenths and scale indices, each `(4, h/2, w/2, C/4)`, the four places first.

        Args:
            seen: the features `(h, w, F)`; or behind them what is known of the latent, `(h, w, F + C)`.
        """
        x = self.body(seen)
        places = [head(np.ascontiguousarray(x[p])) for head, p in zip(self.heads, _PLACES, strict=True)]
        size = self.latent // STEPS
        means, indices = (
            np.stack([x[..., part] for x in places]) for part in (slice(size), slice(size, None))
        )
        return means, indices.astype(np.uint8)


_PLACES = tuple((slice(i, None, 2), slice(j, None, 2)) for i in range(2) for j in range(2))


def _gather(x: Floats, groups: tuple[slice, ...]) -> Floats:
    """Collect the elements at the four places of every square, one channel group each: `(4, h/2, w/2, ·)`."""
    return np.stack([x[(*place, group)] for place, group in zip(_PLACES, groups, strict=True)])


def enter(latent: Floats) -> Floats:
    """Clip a decoded latent to the range of a network's inputs."""
    return np.clip(latent, -LATENT_CLIP, LATENT_CLIP)


def _exchange(
    coder: SymbolCoder, values: Floats | None, mean: Floats, index: Index, rounding: Rounding | None = None
) -> Floats:
    """Code the rounded distance of `values` (in quantization steps) to `mean` (in sixteenths).

    Returns:
        The decoded values in sixteenths, which are exact: symbols do not exceed 2^19.
    """
    symbols, index = None, np.ascontiguousarray(index).ravel()
    if values is not None:
        distance = (values - mean / LATENT_ONE).ravel()
        symbols = np.clip(np.rint(distance), -SYMBOL_LIMIT, SYMBOL_LIMIT).astype(np.int32)
        if rounding is not None:
            symbols = rounding(distance, symbols, index)
    decoded = coder.exchange(symbols, index)
    return decoded.reshape(mean.shape).astype(np.float32) * LATENT_ONE + mean
