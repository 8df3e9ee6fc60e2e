"""The pictures that are made from an index: all there, all in the frame, each as its factors say."""

from __future__ import annotations

import numpy as np
import pytest

from neuralcodec.vae.sprites import SHAPES, Sprites


def one(data: Sprites, **factors: int) -> np.ndarray:
    """The picture of these factors, all others 0."""
    index = data.indices_of(np.array([[factors.get(name, 0) for name in data.factors]]))
    return data.pictures(index)[0]


def test_the_set_up_is_that_of_dsprites() -> None:
    data = Sprites()
    assert len(data) == 737_280
    assert data.sizes == (3, 6, 40, 32, 32)
    assert data.factors == ("shape", "scale", "rotation", "x", "y")


def test_indices_and_factors_are_inverse() -> None:
    data = Sprites()
    indices = np.array([0, 1, 32, 12345, 737_279])
    np.testing.assert_array_equal(data.indices_of(data.factors_of(indices)), indices)
    assert data.factors_of(np.array([33]))[0].tolist() == [0, 0, 0, 1, 1]


def test_pictures_are_binary_and_no_shape_is_cut() -> None:
    """Every shape at full size, in every rotation, in each corner has as many pixels as in the middle."""
    data = Sprites()
    turns = np.arange(40)
    for shape in range(3):
        for place in (0, 31):
            factors = np.stack([np.array([shape, 5, turn, x, place]) for turn in turns for x in (0, 16, 31)])
            pictures = data.pictures(data.indices_of(factors))
            assert pictures.shape == (120, 1, 64, 64)
            assert set(np.unique(pictures)) == {0.0, 1.0}
            area = pictures.sum((1, 2, 3)).reshape(40, 3)
            np.testing.assert_array_equal(area, area[:, :1].repeat(3, 1))


def test_places_are_pixels_apart() -> None:
    data = Sprites()
    here, there = one(data, shape=2, scale=5), one(data, shape=2, scale=5, x=7, y=20)
    np.testing.assert_array_equal(there, np.roll(here, (20, 7), (1, 2)))


def test_scale_is_of_lengths() -> None:
    data = Sprites()
    for shape in range(len(SHAPES)):
        small, large = one(data, shape=shape, scale=0).sum(), one(data, shape=shape, scale=5).sum()
        assert large / small == pytest.approx(4, rel=0.15)  # of a few hundred whole pixels


def test_rotation_turns_clockwise_and_comes_back() -> None:
    data = Sprites()
    heart = [one(data, shape=2, scale=5, rotation=turn)[0] for turn in (0, 39)]
    np.testing.assert_array_equal(*heart)
    mass = heart[0].sum(1)
    assert mass[:16].sum() > mass[17:].sum()  # upright: the point of the heart is below


def test_a_picture_needs_an_index_of_the_set() -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        Sprites().pictures(np.array([737_280]))


def test_coloured_shapes() -> None:
    data = Sprites(8)
    assert len(data) == 8 * 737_280
    red, green = one(data), one(data, colour=3)
    assert red.shape == (3, 64, 64)
    assert red.max((1, 2)).argmax() == 0
    assert green.max((1, 2)).argmax() == 1
    np.testing.assert_array_equal(red.max(0) > 0, one(Sprites())[0] > 0)


def test_gathered_shapes_come_from_the_middle() -> None:
    data = Sprites()
    factors = np.array([[0, 1, 2, 0, 31], [2, 5, 39, 20, 9]])
    indices = data.indices_of(factors)
    assert data.factors_of(data.gathered(indices, 0)).tolist() == [[0, 1, 2, 16, 16], [2, 5, 39, 16, 16]]
    assert data.factors_of(data.gathered(indices, 0.5))[:, 3:].tolist() == [[8, 24], [18, 12]]
    assert data.gathered(indices, 1).tolist() == indices.tolist()
