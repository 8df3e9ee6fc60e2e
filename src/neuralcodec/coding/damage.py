"""A smooth fill of the latents of lost tiles.

The fill treats every channel of the latent as a random field, in which neighbours are as alike as in the
intact positions around. Colours, whose neighbours are alike, run on from all sides. Fine detail, whose
neighbours are not, dies away within a position or two. The smooth channels then predict the others. So the
synthesis shows a blurred patch: no stripes that repeat the last row of detail, and no squares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from neuralcodec.arrays import Box, Floats

#: Latent positions around lost tiles that the fill looks at.
CONTEXT = 8
#: How often the fill averages over the four neighbours, at each resolution.
_SWEEPS = 16
#: Channels that the others are predicted from.
_SMOOTH = 8


def groups(lost: Sequence[Box]) -> Iterator[Box]:
    """Yield boxes that hold all lost tiles, from the top down, too far apart to share context."""
    group: Box | None = None
    for box in sorted(lost):
        if group is not None and box.top < group.bottom + CONTEXT:
            left, right = min(group.left, box.left), max(group.right, box.right)
            group = Box(group.top, max(group.bottom, box.bottom), left, right)
            continue
        if group is not None:
            yield group
        group = box
    if group is not None:
        yield group


def fill(latents: Floats, lost: Sequence[Box], area: Box) -> None:
    """Replace the latents `(H, W, C)` of the lost tiles within `area` by what fits those around them."""
    known = np.ones(latents.shape[:2], bool)
    for box in lost:
        known[box.slices] = False
    known = known[area.slices]
    values = np.zeros((*area.shape, latents.shape[2]), np.float32)
    if known.any():
        around = latents[area.slices][known]
        mean = around.mean(0)
        values[known] = around - mean
        correlation = _correlation(values, known)
        _fill(values, known, correlation)
        _predict(values, known, np.argsort(correlation)[-_SMOOTH:])
        values += mean
    latents[area.slices][~known] = values[~known]


def _correlation(values: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """Correlate neighbours in each channel, `(C,)`, 0 to nearly 1, for values whose mean is 0."""
    products = np.zeros(values.shape[2], np.float32)
    pairs: int = 1
    for one, two in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        both = known[one] & known[two]
        products += (values[one] * values[two])[both].sum(0)
        pairs += int(np.count_nonzero(both))
    variance = np.square(values[known]).mean(0) + np.float32(1e-6)
    return np.clip(products / pairs / variance, 0, 0.99).astype(np.float32)


def _fill(values: Floats, known: npt.NDArray[np.bool_], correlation: Floats) -> None:
    """Fill coarse to fine: half the resolution gives the start, averages over neighbours the rest."""
    if known.all():
        return
    height, width = known.shape
    even = ((0, height % 2), (0, width % 2))
    weight = _pooled(np.pad(known[..., None].astype(np.float32), (*even, (0, 0))))
    coarse = _pooled(np.pad(np.where(known[..., None], values, 0), (*even, (0, 0))))
    coarse /= np.maximum(weight, 1)
    _fill(coarse, weight[..., 0] > 0, correlation**2)
    lost = ~known
    values[lost] = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width][lost]
    # On a line, u = share · (mean of both neighbours) has the solution u(n) = correlation^n.
    share = 2 * correlation / (1 + correlation**2)
    for _ in range(_SWEEPS):
        x = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
        mean = (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]) / 4
        values[lost] = (share * mean)[lost]


def _predict(values: Floats, known: npt.NDArray[np.bool_], smooth: npt.NDArray[np.intp]) -> None:
    """Predict the lost values from the smooth channels, by least squares over the known ones.

    Without this, each position would be a plain square: its slopes are in channels of their own.
    """
    x = np.pad(values[..., smooth], ((1, 1), (1, 1), (0, 0)), mode="edge")
    across, down = x[1:-1, 2:] - x[1:-1, :-2], x[2:, 1:-1] - x[:-2, 1:-1]
    features = np.concatenate((values[..., smooth], across, down), axis=2)
    inner = known.copy()  # with known neighbours
    for one, two in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        inner[one] &= known[two]
        inner[two] &= known[one]
    if not inner.any():
        return
    a = features[inner].astype(np.float64)
    normal = a.T @ a + np.eye(a.shape[1]) * (1e-3 + 0.01 * np.square(a).mean() * len(a))
    weights = np.linalg.solve(normal, a.T @ values[inner])
    values[~known] = (features[~known] @ weights).astype(np.float32)


def _pooled(x: Floats) -> Floats:
    """Sum over squares of 2×2."""
    total: Floats = x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]
    return total
