"""Arrays as changes of a decoder's, in rows of few bits: the form of what is tuned for a decoder that exists.

Tuning moves weights by little. A row of the difference has a step of its own, 1/31 of its largest element:
packed, an element takes some five bits where weights take two bytes, and is off by 1/62 of that largest
element at most. Arrays of which the decoder has nothing are stored in the same way, with steps of 1/127.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from neuralcodec.weights.identity import is_encoder

Arrays: TypeAlias = "Mapping[str, Any]"

#: What the name of a row's steps has at its end.
STEP = ".step"
_CHANGE, _VALUE = 31, 127  # steps to the largest element of a row
_SYNTHESIS = "transforms.synthesis"
_EXACT = ("shortcut", "gain")


def changes(arrays: Arrays, known: Arrays) -> dict[str, Any]:
    """Express arrays as changes of those in `known` that a decoder's id stands for, or else of zero.

    Returns:
        int8 arrays, with `(rows,)` float32 steps beside them. Vectors, gains and linear paths, which carry
        the values themselves, stay as they are.
    """
    made: dict[str, Any] = {}
    for name, array in arrays.items():
        if array.ndim < 2 or any(part in name for part in _EXACT):
            made[name] = array
            continue
        before = _before(name, array.shape, known)
        rows = (array.astype(np.float32) - before).reshape(len(array), -1)
        step = np.abs(rows).max(1) / np.float32(_CHANGE if before.ndim else _VALUE)
        levels = np.divide(rows, step[:, None], out=np.zeros_like(rows), where=step[:, None] > 0)
        made[name] = levels.round().astype(np.int8).reshape(array.shape)
        made[name + STEP] = step
    return made


def changed(changes: Arrays, known: Arrays, share: float = 1.0) -> dict[str, Any]:
    """Undo `changes`, or apply a share of them, from 0 to 1.

    Raises:
        ValueError: they do not fit together.
    """
    made = {}
    for name, array in changes.items():
        if name.endswith(STEP):
            continue
        before = _before(name, array.shape, known)
        if array.dtype == np.int8:
            step = changes.get(name + STEP)
            if step is None or step.shape != array.shape[:1]:
                raise ValueError(f"{name} has no step for each row")
            rows = array.reshape(len(array), -1) * step.astype(np.float32)[:, None]
            made[name] = (before + np.float32(share) * rows.reshape(array.shape)).astype(np.float16)
        elif share == 1:
            made[name] = array
        else:
            difference = array.astype(np.float32) - before
            made[name] = (before + np.float32(share) * difference).astype(np.float16)
    return made


def refuse_others(made: Arrays, known: Arrays, *, encodes: bool) -> None:
    """Refuse a companion that changes what it has no business with.

    Without this a damaged or foreign file could write what no decoder reads.

    Args:
        made: the arrays that it changes: of an encoder alone none that a decoder needs, else of the synthesis
            alone.
        known: those of the decoder.
        encodes: whether it is an encoder.

    Raises:
        ValueError: it does.
    """
    for name, array in made.items():
        before = known.get(name)
        same = before is not None and (before.dtype, before.shape) == (array.dtype, array.shape)
        if not (is_encoder(name) if encodes else same and name.startswith(_SYNTHESIS)):
            raise ValueError(f"{name} is not for such a file to change")


def _before(name: str, shape: tuple[int, ...], known: Arrays) -> Any:
    array = None if is_encoder(name) else known.get(name)
    return array.astype(np.float32) if array is not None and array.shape == shape else np.float32(0)
