"""Detect text, interfaces and line art: the models are made for photographs.

An encoder warns of whole pictures, and a vivid decoder invents nothing where there is lettering.
"""

from __future__ import annotations

import numpy as np

from neuralcodec.arrays import Floats, Pixels, Plane

#: Rows looked at, evenly spaced: enough to tell, and fast on a large picture.
ROWS = 256
#: All of 300 drawn pictures are beyond both limits, and 7 of 1,342 photographs: those with a plain black
#: or white ground.
MOST_CHANGES = 0.5
LEAST_STEP = 16.0


def looks_drawn(pixels: Plane) -> bool:
    """Tell whether pixels `(H, W, C)` are text, an interface or line art.

    Most drawn pixels equal their neighbour, and the others differ from it by a lot. A photograph has noise;
    where it has none, in a burnt-out sky or in the blocks of a JPEG, its steps are small.
    """
    rows = pixels[:: max(1, len(pixels) // ROWS)].astype(np.int16)
    steps = np.abs(np.diff(rows, axis=1)).max(2)
    changes = steps[steps > 0]
    return bool(0 < changes.size < MOST_CHANGES * steps.size and changes.mean() > LEAST_STEP)


#: Side of the cells that `lettering` tells of, in pixels.
CELL = 16
#: In two squares of cells to a side: difference of the two tones, in 8-bit levels; share of the variance
#: that is between them; and changes of tone along a row or column.
_LEAST_TONES, _LEAST_BETWEEN, _LEAST_CHANGES = 40.0, 0.8, 2.0


def lettering(pixels: Pixels) -> Floats:
    """Find cells with letters, railings and other fine patterns of two tones, in decoded pixels.

    Args:
        pixels: `(16 h, 16 w, 3)`.

    Returns:
        `(h, w)`, 1 where there are some and in the cells around these, and 0 elsewhere.
    """
    luma = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    cells = luma.reshape(luma.shape[0] // CELL, CELL, luma.shape[1] // CELL, CELL).swapaxes(1, 2)
    found = np.zeros(cells.shape[:2], bool)
    if min(found.shape) < 2:
        return found.astype(np.float32)
    # Squares of 2x2 cells, at every cell.
    squares = np.concatenate(
        [
            np.concatenate((cells[:-1, :-1], cells[:-1, 1:]), 3),
            np.concatenate((cells[1:, :-1], cells[1:, 1:]), 3),
        ],
        2,
    )
    middle = (squares.max((2, 3)) + squares.min((2, 3))) / 2
    high = squares > middle[:, :, None, None]
    share = high.mean((2, 3))
    mean, variance = squares.mean((2, 3)), squares.var((2, 3))
    above = (squares * high).mean((2, 3)) / np.maximum(share, 1e-6)
    tones = (above - mean) / np.maximum(1 - share, 1e-6)  # the mean of one tone less that of the other
    between = share * (1 - share) * tones**2
    changes = [np.diff(high, axis=axis).sum((2, 3)) / (2 * CELL) for axis in (2, 3)]
    two = (tones > _LEAST_TONES) & (between > _LEAST_BETWEEN * variance)
    two &= np.maximum(*changes) > _LEAST_CHANGES
    around = np.pad(two, 2)  # each square marks its four cells and those around them
    height, width = found.shape
    for down in range(4):
        for across in range(4):
            found |= around[down : down + height, across : across + width]
    return found.astype(np.float32)
