"""The smooth fill: it continues what is around, and leaves the rest alone."""

import numpy as np
import pytest
from conftest import photograph

from neuralcodec.picture.fill import fill_smoothly


def hole_in(height: int, width: int, *box: int) -> np.ndarray:
    hole = np.zeros((height, width), bool)
    hole[box[0] : box[1], box[2] : box[3]] = True
    return hole


@pytest.mark.parametrize("box", [(20, 26, 0, 60), (10, 40, 15, 45), (0, 12, 0, 12), (33, 34, 20, 21)])
def test_slopes_go_on_into_a_hole(box: tuple[int, int, int, int]) -> None:
    rows, columns = np.mgrid[0:47, 0:61].astype(np.float32)
    plane = np.stack([2 * rows + columns, 100 - rows, 0 * rows + 7], 2)
    hole = hole_in(47, 61, *box)
    filled = fill_smoothly(np.where(hole[..., None], 0, plane), hole)
    corner = box[0] == 0  # of which two sides are known
    assert np.abs(filled - plane)[hole].max() < (25 if corner else 4)
    assert np.array_equal(filled[~hole], plane[~hole])


def test_a_fill_is_nearer_than_the_mean_and_within_what_is_around() -> None:
    pixels = photograph(128, 128)
    hole = hole_in(128, 128, 60, 66, 10, 118)
    filled = fill_smoothly(np.where(hole[..., None], 0, pixels), hole)
    errors = [
        np.square(guess - pixels.astype(np.float32))[hole].mean() for guess in (filled, pixels[~hole].mean(0))
    ]
    assert errors[0] < 0.25 * errors[1]
    assert filled.min() > -40 and filled.max() < 295


def test_nothing_and_everything_lost() -> None:
    pixels = photograph(9, 11)
    assert np.array_equal(fill_smoothly(pixels, np.zeros((9, 11), bool)), pixels)
    assert not fill_smoothly(pixels, np.ones((9, 11), bool)).any()


def test_what_a_hole_holds_has_no_influence() -> None:
    pixels, hole = photograph(64, 64).astype(np.float32), hole_in(64, 64, 20, 40, 20, 40)
    other = np.where(hole[..., None], 255, pixels)
    assert np.array_equal(fill_smoothly(pixels, hole), fill_smoothly(other, hole))
