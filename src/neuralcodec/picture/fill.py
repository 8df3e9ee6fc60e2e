"""Fill holes smoothly from the pixels around them.

The fill minimises the bending of a thin plate, which continues slopes into a hole, with some tension against
overshoots. It is found from coarse to fine: half the resolution gives the start, and some steps of conjugate
gradients the rest. These run over the pixels of the hole alone, so that their cost is that of the hole.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuralcodec.arrays import Floats, Pixels

Mask = npt.NDArray[np.bool_]
_Places = npt.NDArray[np.intp]

#: Weight of the squared slopes beside the squared curvature, in pixels of each resolution.
_TENSION = 1.0
#: Steps of conjugate gradients at each resolution.
_STEPS = 12
#: Neighbours of a pixel.
_AROUND = ((-1, 0), (1, 0), (0, -1), (0, 1))


def fill_smoothly(pixels: Pixels | Floats, hole: Mask) -> Floats:
    """Return the pixels `(H, W, C)` with those in the hole `(H, W)` replaced; where all is lost, by 0."""
    values = np.where(hole[..., None], np.float32(0), pixels).astype(np.float32, copy=False)
    _fill(values, hole)
    return values


def _fill(values: Floats, hole: Mask) -> None:
    if hole.all() or not hole.any():
        return
    height, width = hole.shape
    even = ((0, height % 2), (0, width % 2))
    weight = _pooled(np.pad(~hole, even).astype(np.float32)[..., None])
    coarse = _pooled(np.pad(values, (*even, (0, 0))))
    coarse /= np.maximum(weight, 1)
    _fill(coarse, weight[..., 0] == 0)
    rows, columns = np.nonzero(hole)
    values[rows, columns] = _interpolated(coarse, rows, columns)
    _bend(values, rows, columns)


def _pooled(x: Floats) -> Floats:
    """Sum over squares of 2×2."""
    total: Floats = x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]
    return total


def _interpolated(coarse: Floats, rows: _Places, columns: _Places) -> Floats:
    """Interpolate values at half the resolution linearly, at pixels `(n,)`: `(n, C)`."""
    near, far = [], []
    for places, size in ((rows, coarse.shape[0]), (columns, coarse.shape[1])):
        near.append(places // 2)
        far.append(np.clip(places // 2 + 2 * (places % 2) - 1, 0, size - 1))
    total = 9 * coarse[near[0], near[1]] + 3 * coarse[near[0], far[1]]
    total += 3 * coarse[far[0], near[1]] + coarse[far[0], far[1]]
    return np.asarray(total / 16, np.float32)


def _bend(values: Floats, rows: _Places, columns: _Places) -> None:
    """Take steps towards the least bending of `values` `(H, W, C)` at pixels `(n,)`, in place."""
    height, width, channels = values.shape
    # Pixels whose curvature the hole has a part in: it, and a ring around it. Beyond are numbers of no pixel.
    inside = np.zeros((height + 4, width + 4), bool)
    inside[rows + 2, columns + 2] = True
    ring = inside.copy()
    for down, right in _AROUND:
        ring |= np.roll(inside, (down, right), (0, 1))
    seen = np.zeros_like(inside)
    seen[2:-2, 2:-2] = True
    ring &= seen
    at = np.stack(np.nonzero(ring))
    number = np.full(inside.shape, len(at[0]))  # the last number is that of a row of zeros
    number[at[0], at[1]] = np.arange(len(at[0]))
    around = np.stack([number[at[0] + down, at[1] + right] for down, right in _AROUND])
    degree = sum(seen[at[0] + down, at[1] + right].astype(np.float32) for down, right in _AROUND)[:, None]
    own = number[rows + 2, columns + 2]
    around_own, degree_own = around[:, own], degree[own]
    hole, bend = (np.zeros((len(at[0]) + 1, channels), np.float32) for _ in range(2))

    def pull(bent: Floats) -> Floats:
        """Compute the gradient of the energy `(n, C)` by the values of the hole, from the curvature."""
        bend[:-1] = bent
        return _sums(bend, around_own) - (degree_own + np.float32(_TENSION)) * bent[own]

    def pull_of(x: Floats) -> Floats:
        """Compute what values of the hole `(n, C)` pull where all else is 0."""
        hole[own] = x
        return pull(_sums(hole, around) - degree * hole[:-1])

    # The curvature that the fixed pixels make takes their neighbours, so it is computed on the plane.
    padded = np.pad(values, ((2, 2), (2, 2), (0, 0)))
    here = padded[at[0], at[1]]
    bent = np.zeros_like(here)
    for down, right in _AROUND:
        r, c = at[0] + down, at[1] + right
        bent += (padded[r, c] - here) * seen[r, c][:, None]

    residual = -pull(bent)
    change, direction = np.zeros_like(residual), residual.copy()
    size = np.square(residual).sum(0)
    for _ in range(_STEPS):
        force = pull_of(direction)
        share = size / np.maximum((direction * force).sum(0), 1e-12)
        change += share * direction
        residual -= share * force
        before, size = size, np.square(residual).sum(0)
        direction = residual + size / np.maximum(before, 1e-12) * direction
    values[rows, columns] += change


def _sums(x: Floats, places: _Places) -> Floats:
    """Sum rows of `x` `(m, C)` over the first axis of places `(k, n)`: `(n, C)`."""
    total: Floats = np.take(x, places[0], axis=0, mode="clip")  # which spares it a look for bad places
    for each in places[1:]:
        total += np.take(x, each, axis=0, mode="clip")
    return total
