"""Type names of the arrays that rooms exchange, boxes in them, and the record of damage.

Importing this loads no numpy: the names are for annotations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: 8-bit pixels `(H, W, C)`, and one plane of them `(H, W)`.
Pixels: TypeAlias = "npt.NDArray[np.uint8]"
Plane: TypeAlias = "npt.NDArray[np.uint8]"
Floats: TypeAlias = "npt.NDArray[np.float32]"
#: A callback that takes the share of the work that is done, 0 to 1.
Progress: TypeAlias = Callable[[float], None]
#: Values of a damage map: inside a lost tile, and so near one that the synthesis shows its influence.
LOST, NEAR = 255, 128


def quiet(share: float) -> None:
    """Ignore progress: the default where nobody watches."""


class Box(NamedTuple):
    """Rows `top..bottom` and columns `left..right`, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def whole(cls, height: int, width: int) -> Box:
        """Return the box of a whole plane."""
        return cls(0, height, 0, width)

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    def scaled(self, factor: int) -> Box:
        return Box(*(edge * factor for edge in self))

    def shrunk(self, factor: int) -> Box:
        """Return the box of coarser positions, each `factor` wide, that covers this one."""
        return Box(
            self.top // factor, -(-self.bottom // factor), self.left // factor, -(-self.right // factor)
        )

    def moved(self, down: int, right: int) -> Box:
        return Box(self.top + down, self.bottom + down, self.left + right, self.right + right)

    def grown(self, margin: int) -> Box:
        return Box(self.top - margin, self.bottom + margin, self.left - margin, self.right + margin)

    def grown_to(self, multiple: int) -> Box:
        """Return the box whose sides are multiples of a number, with the same top left corner."""
        height, width = (-(-side // multiple) * multiple for side in self.shape)
        return Box(self.top, self.top + height, self.left, self.left + width)

    def within(self, other: Box) -> Box:
        """Return the part of this box that lies in the other."""
        return Box(
            max(self.top, other.top),
            min(self.bottom, other.bottom),
            max(self.left, other.left),
            min(self.right, other.right),
        )

    def overlaps(self, other: Box) -> bool:
        common = self.within(other)
        return common.height > 0 and common.width > 0


@dataclass(frozen=True)
class Damage:
    """The parts of a decoded picture that are not as they were encoded.

    Args:
        tiles: tiles of the whole picture.
        lost: indices, in raster order from 0, of the tiles whose pixels are an approximation; only of those
            that the decoded region depends on.
        boxes: rows and columns of pixels of these tiles, in the whole picture.
        region: the pixels that were decoded.
        margin: pixels around a lost tile that are influenced by what was filled in.
        notes: what is wrong with the file, one line each.
    """

    tiles: int
    lost: tuple[int, ...]
    boxes: tuple[Box, ...]
    region: Box
    margin: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{len(self.lost)} of {self.tiles} tiles recovered as approximation"

    def map(self) -> Plane:
        """Draw a mask `(H, W)` of `region`: 255 in lost tiles, 128 up to `margin` pixels around, else 0.

        Where it is 0, the pixels are those of the undamaged file. Where it is 128, the latent is that
        of the undamaged file, but the synthesis has also seen some of what was filled in.
        """
        import numpy as np

        mask = np.zeros(self.region.shape, np.uint8)
        for value, margin in ((NEAR, self.margin), (LOST, 0)):
            for box in self.boxes:
                seen = box.grown(margin).within(self.region)
                if seen.height > 0 and seen.width > 0:
                    mask[seen.moved(-self.region.top, -self.region.left).slices] = value
        return mask
