"""Pictures of a folder, and of single files, as a model takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neuralcodec import UsageError
from neuralcodec.vae.data import Folder, open_data, read_picture, read_shape
from neuralcodec.vae.sprites import Sprites


def test_the_names() -> None:
    assert len(open_data("shapes")) == 737_280
    assert open_data("coloured").channels == 3
    with pytest.raises(UsageError, match="shapes, coloured or a folder of pictures"):
        open_data("squares")


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "notes.txt").write_text("no picture")
    Image.new("RGB", (200, 100), (255, 0, 0)).save(tmp_path / "a.png")
    Image.new("L", (64, 64), 102).save(tmp_path / "sub" / "b.webp", lossless=True)
    data = Folder(tmp_path)
    assert len(data) == 2
    pictures = data.pictures(np.array([1, 0, 1]))
    assert pictures.shape == (3, 3, 64, 64)
    np.testing.assert_allclose(pictures[1].mean((1, 2)), [1, 0, 0])
    np.testing.assert_allclose(pictures[0], 0.4)


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(UsageError, match="no picture in this folder"):
        Folder(tmp_path)


def test_the_middle_of_a_picture_is_taken(tmp_path: Path) -> None:
    pixels = np.zeros((64, 192, 3), np.uint8)
    pixels[:, 64:128] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    for channels in (1, 3):
        picture = read_picture(tmp_path / "wide.png", channels)
        assert picture.shape == (1, channels, 64, 64)
        np.testing.assert_allclose(picture, 1)


def test_shapes_by_index() -> None:
    np.testing.assert_array_equal(read_shape(99, 1), Sprites().pictures(np.array([99])))
    assert read_shape(99, 3).shape == (1, 3, 64, 64)
    with pytest.raises(UsageError, match="from 0 to 737279"):
        read_shape(737_280, 1)
