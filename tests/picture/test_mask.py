"""Masks of all kinds of pictures, and those that are refused."""

import numpy as np
import pytest
from PIL import Image

from neuralcodec.arrays import Box
from neuralcodec.errors import UsageError
from neuralcodec.picture.mask import mask_of, region_mask
from neuralcodec.picture.reading import load

WHITE = np.zeros((20, 30), np.uint8)
WHITE[5:8, 10:20] = 255


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "1", "P"])
def test_white_is_lost(mode: str) -> None:
    mask = mask_of(load(Image.fromarray(WHITE).convert(mode)), (20, 30))
    assert np.array_equal(mask, WHITE > 0)


def test_what_is_transparent_is_not_lost() -> None:
    rgba = np.full((20, 30, 4), 255, np.uint8)
    rgba[..., 3] = WHITE
    assert np.array_equal(mask_of(load(rgba), (20, 30)), WHITE > 0)


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (np.zeros((20, 30), np.uint8), "marks no pixel"),
        (np.full((20, 30), 255, np.uint8), "all of the picture"),
        (WHITE.T, "the mask has 20x30 pixels, the picture 30x20"),
    ],
)
def test_refused(mask: np.ndarray, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        mask_of(load(np.ascontiguousarray(mask)), (20, 30))


def test_regions() -> None:
    assert np.array_equal(region_mask(Box(5, 8, 10, 20), (20, 30)), WHITE > 0)
    for box in (Box(5, 5, 0, 3), Box(0, 21, 0, 5), Box(-1, 4, 0, 5), Box(0, 20, 0, 30)):
        with pytest.raises(UsageError):
            region_mask(box, (20, 30))
