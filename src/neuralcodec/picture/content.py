"""Detect text, interfaces and line art: the models are made for photographs, and an encoder warns."""

from __future__ import annotations

import numpy as np

from neuralcodec.arrays import Plane

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
