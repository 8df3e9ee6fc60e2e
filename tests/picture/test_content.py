"""Drawn pictures are told from photographs."""

from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from PIL import Image

import neuralcodec
from neuralcodec.errors import NeuralCodecWarning
from neuralcodec.picture.content import lettering, looks_drawn
from neuralcodec.picture.reading import load
from neuralcodec.training.drawn import draw

SAMPLES = Path(__file__).parents[2] / "sample_images"


@pytest.mark.parametrize("seed", range(12))
def test_drawn_pictures_are_found(seed: int) -> None:
    drawn = draw(np.random.default_rng((7, seed)), 400)
    assert looks_drawn(drawn)
    assert looks_drawn(drawn[..., :1])


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_photographs_are_left_alone(name: str) -> None:
    assert not looks_drawn(load(SAMPLES / f"{name}.png").pixels)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 1, 1), (1, 5, 3), (40, 40, 3)])
def test_flat_and_tiny_pictures_are_left_alone(shape: tuple[int, int, int]) -> None:
    assert not looks_drawn(np.full(shape, 255, np.uint8))


def test_an_encoder_says_so() -> None:
    drawn = Image.fromarray(draw(np.random.default_rng(3), 200))
    with pytest.warns(NeuralCodecWarning, match="looks drawn"):
        neuralcodec.encode(drawn)


def test_no_warning_of_a_photograph(recwarn: pytest.WarningsRecorder) -> None:
    neuralcodec.encode(Image.fromarray(photograph(96, 96)))
    assert not recwarn.list


def test_lettering_is_found_where_it_is() -> None:
    rows, columns = np.mgrid[0:256, 0:320]
    pixels = (120 + 60 * np.sin(rows / 31 + columns / 17))[..., None].repeat(3, 2).astype(np.uint8)
    pixels[64:128, 96:224] = np.where(np.arange(128) // 5 % 2, 220, 30)[None, :, None]
    found = lettering(pixels)
    assert found.shape == (16, 20)
    assert found[4:8, 6:14].all()
    assert not found[:2].any() and not found[10:].any() and not found[:, :4].any()


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_most_of_a_photograph_has_none(name: str) -> None:
    pixels = load(SAMPLES / f"{name}.png").pixels
    height, width = (side // 16 * 16 for side in pixels.shape[:2])
    assert lettering(pixels[:height, :width]).mean() < 0.4


def test_one_cell_is_too_small_to_tell() -> None:
    assert not lettering(np.zeros((16, 64, 3), np.uint8)).any()
