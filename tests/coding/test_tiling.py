"""Boxes and windows: exact covers, and a halo as wide as what the transforms see."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import photograph

from neuralcodec.arrays import Box
from neuralcodec.coding import codec, latents, tilewise, tiling
from neuralcodec.coding.tiling import WINDOW, Window, band_height, bands, boxes, latent_size, windows
from neuralcodec.entropy.prior import IntegerPrior
from neuralcodec.format import container
from neuralcodec.models.conv import HALO, STRIDE
from neuralcodec.models.conv.runner import Model
from neuralcodec.picture.picture import Picture

WINDOWS = [(1, 1, 1), (4, 4, 16), (5, 9, 30), (3, 20, 36), (17, 1, 16), (40, 33, 900)]
SIZES = [(1, 1, 4), (4, 4, 4), (5, 9, 4), (3, 20, 8), (17, 1, 16), (40, 33, 7)]


@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_boxes_cover_a_plane_once(height: int, width: int, size: int) -> None:
    count = np.zeros((height, width), int)
    places = list(boxes(Box.whole(height, width), size))
    for box in places:
        assert 1 <= box.height <= size
        assert 1 <= box.width <= size
        count[box.slices] += 1
    assert (count == 1).all()
    assert places == sorted(places, key=lambda box: (box.top, box.left))  # raster order
    assert len(places) == -(-height // size) * -(-width // size)


@pytest.mark.parametrize(("height", "width", "most"), WINDOWS)
@pytest.mark.parametrize("halo", [0, 2, 5])
def test_windows_cover_a_plane_once_with_a_halo(height: int, width: int, most: int, halo: int) -> None:
    plane = np.arange(height * width).reshape(height, width)
    result = np.full_like(plane, -1)
    for window in windows(Box.whole(height, width), Box.whole(height, width), halo, most):
        assert window.read.height * window.read.width <= most or window.keep.width == 1
        read = plane[window.read.slices]
        assert (result[window.keep.slices] == -1).all()
        result[window.keep.slices] = read[window.inner.slices]
        margins = (
            (window.keep.top - window.read.top, window.read.top),
            (window.keep.left - window.read.left, window.read.left),
            (window.read.bottom - window.keep.bottom, height - window.read.bottom),
            (window.read.right - window.keep.right, width - window.read.right),
        )
        for margin, beyond in margins:
            assert margin == halo or (margin < halo and beyond == 0)
    assert (result == plane).all()


def test_bands_cover_an_area_from_the_top() -> None:
    assert list(bands(Box(3, 10, 2, 5), 4)) == [Box(3, 7, 2, 5), Box(7, 10, 2, 5)]
    assert list(bands(Box.whole(4, 9), 4)) == list(bands(Box.whole(4, 9), 64)) == [Box.whole(4, 9)]


@pytest.mark.parametrize("size", [(1, 1), (102, 153), (153, 102), (40, 2000), (2000, 40), (700, 900)])
@pytest.mark.parametrize("unit", [4, 32, 128])
def test_bands_are_chosen_so_that_little_is_read_twice(size: tuple[int, int], unit: int) -> None:
    plane = Box.whole(*size)

    def positions_read(rows: int) -> int:
        cut = [window.read for band in bands(plane, rows) for window in windows(plane, band, HALO)]
        assert max(read.height * read.width for read in cut) <= WINDOW
        return sum(read.height * read.width for read in cut)

    rows = band_height(plane, unit, HALO)
    assert rows % unit == 0 and rows <= 128
    # Counted are windows with a halo on each side, so at the borders of a plane it can be off by a little.
    assert positions_read(rows) <= 1.05 * min(map(positions_read, range(unit, 129, unit)))
    assert positions_read(rows) <= 1.5 * size[0] * size[1]


def test_box_arithmetic() -> None:
    box = Box(2, 5, 1, 9)
    assert (box.height, box.width) == (3, 8)
    assert box.scaled(16) == (32, 80, 16, 144)
    assert box.moved(-2, 10) == (0, 3, 11, 19)
    assert box.grown(2).within(Box.whole(6, 10)) == (0, 6, 0, 10)
    assert Box(17, 32, 15, 33).shrunk(16) == (1, 2, 0, 3)
    assert box.overlaps(Box(4, 9, 8, 9)) and not box.overlaps(Box(5, 9, 1, 9))


@pytest.mark.parametrize("area", [Box(0, 40, 0, 33), Box(3, 5, 30, 33), Box(39, 40, 0, 1)])
def test_windows_over_an_area_see_beyond_it(area: Box) -> None:
    plane = np.arange(40 * 33).reshape(40, 33)
    result = np.full_like(plane, -1)
    for window in windows(Box.whole(40, 33), area, 2, 500):
        assert window.read == window.keep.grown(2).within(Box.whole(40, 33))
        result[window.keep.slices] = plane[window.read.slices][window.inner.slices]
    assert (result[area.slices] == plane[area.slices]).all()
    assert (result >= 0).sum() == area.height * area.width


def test_latent_size() -> None:
    assert [latent_size(n, 16) for n in (1, 15, 16, 17, 160, 161)] == [1, 1, 1, 2, 10, 11]


# ---- the transforms through windows -----------------------------------------------------------------------


def reach(gradient: torch.Tensor, centre: int, stride: int) -> int:
    """How many latent positions away from `centre` a gradient `(1, C, H, W)` is not zero, at most."""
    touched = gradient[0].abs().amax(0) > 0
    return max(abs(int(place) // stride - centre) for axis in (0, 1) for place in touched.any(axis).nonzero())


def test_the_halo_is_as_wide_as_the_receptive_field(model: Model) -> None:
    """Measured on the shipped weights: which inputs one position of the result depends on."""
    centre, side = 9, 19
    level = torch.tensor([3.5])

    x = torch.rand(1, 3, side * 16, side * 16, generator=torch.manual_seed(0), requires_grad=True)
    y = model.transforms.analyse(x, level)
    y[0, :, centre, centre].square().sum().backward()
    assert x.grad is not None
    assert reach(x.grad, centre, STRIDE) == HALO

    y_hat = torch.randn(y.shape, generator=torch.manual_seed(1)).requires_grad_()
    pixels = model.transforms.synthesise(y_hat, level)
    inner = slice(centre * 16, centre * 16 + 16)
    pixels[0, :, inner, inner].square().sum().backward()
    assert y_hat.grad is not None
    assert reach(y_hat.grad, centre, 1) == HALO


def windows_of(size: int, plane: Box, area: Box, halo: int, most: int = 0) -> Iterator[Window]:
    """`tiling.windows` with another size than the codec asks for."""
    return tiling.windows(plane, area, halo, size)


def encoder_latents(
    picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> tuple[bytes, npt.NDArray[np.float32]]:
    """The file of a picture of one tile, and the latent y before rounding."""
    seen: list[npt.NDArray[np.float32]] = []
    code = IntegerPrior.code

    def spy(*args: Any, **options: Any) -> npt.NDArray[np.float32]:
        seen.append(args[5][0])
        return code(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(IntegerPrior, "code", spy)
        data = codec.encode_picture(picture, quality=80)
    (y,) = seen
    return data, y


@pytest.mark.parametrize("most", [1, 320])
def test_small_windows_give_what_the_whole_gives(
    model: Model, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """No seams: latents and pixels do not depend on how the picture was cut for the transforms."""
    monkeypatch.setattr(model, "bfloat16", False)
    picture = Picture(photograph(250, 330))
    data, whole = encoder_latents(picture, monkeypatch)
    pixels = codec.decode_picture(data).pixels.astype(int)

    monkeypatch.setattr(tilewise, "windows", functools.partial(windows_of, most))
    _, parts = encoder_latents(picture, monkeypatch)
    assert np.abs(parts - whole).max() < 1e-3
    assert np.abs(codec.decode_picture(data).pixels - pixels).max() <= 1


def test_bfloat16_has_no_seams_either(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "bfloat16", True)
    data = codec.encode_picture(Picture(photograph(250, 330)), quality=80)
    whole = codec.decode_picture(data).pixels.astype(int)
    monkeypatch.setattr(tilewise, "windows", functools.partial(windows_of, 300))
    difference = np.abs(codec.decode_picture(data).pixels - whole)
    assert difference.mean() <= 0.05
    assert difference.max() <= 2


def test_a_narrower_halo_would_show(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above can tell: without a halo, the same latents differ."""
    monkeypatch.setattr(model, "bfloat16", False)
    picture = Picture(photograph(250, 330))
    _, whole = encoder_latents(picture, monkeypatch)
    monkeypatch.setattr(tilewise, "windows", lambda plane, area, *_: windows_of(100, plane, area, 0))
    _, parts = encoder_latents(picture, monkeypatch)
    assert np.abs(parts - whole).max() > 1e-2


# ---- bands: what is held of the latent ---------------------------------------------------------------------


@pytest.mark.parametrize("tile", [64, 128])
def test_pictures_higher_than_a_band(model: Model, monkeypatch: pytest.MonkeyPatch, tile: int) -> None:
    """Walking down by bands gives what one band gives, reads every tile once and holds a few rows."""
    monkeypatch.setattr(model, "bfloat16", False)
    picture = Picture(photograph(420, 150))
    at_once = latents.decode_latents(
        container.read(codec.encode_picture(picture, quality=50, tile=tile)), model
    ).values
    data = codec.encode_picture(picture, quality=50, tile=tile)
    pixels = codec.decode_picture(data).pixels.astype(int)

    held: list[int] = []
    code = IntegerPrior.code
    tiles: list[object] = []

    def spy_latents(*args: Any, **options: Any) -> latents.Latents:
        result = latents.decode_latents(*args, **options)
        held.append(result.box.height)
        return result

    def spy_code(*args: Any, **options: Any) -> npt.NDArray[np.float32]:
        tiles.append(args)
        return code(*args, **options)

    monkeypatch.setattr(tiling, "BAND", 4)
    by_bands = codec.encode_picture(picture, quality=50, tile=tile)
    with monkeypatch.context() as patch:
        patch.setattr(tilewise, "decode_latents", spy_latents)
        patch.setattr(IntegerPrior, "code", spy_code)
        assert np.abs(codec.decode_picture(data).pixels - pixels).max() <= 1
    assert len(tiles) == container.read(data).header.tile_count
    rows = tile // 16  # of a band
    assert len(held) == -(-27 // rows)
    assert max(held) <= rows + 2 * HALO + 2 * (tile // 16)
    # Encoded by bands, almost all is rounded to the same latent.
    y_hat = latents.decode_latents(container.read(by_bands), model).values
    assert np.quantile(np.abs(y_hat - at_once), 0.99) == 0


def test_tiles_and_windows_are_independent(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller tiles change the coding but not the latent that is coded, and so hardly the picture."""
    monkeypatch.setattr(model, "bfloat16", False)
    picture = Picture(photograph(200, 270))
    one, many = (codec.encode_picture(picture, quality=60, tile=tile) for tile in (512, 64))
    assert len(container.read(one).tiles) == 1
    assert len(container.read(many).tiles) == 4 * 5
    y_hats = [latents.decode_latents(container.read(data), model).values for data in (one, many)]
    assert y_hats[0].shape == y_hats[1].shape
    # Both round the same latent, to other means.
    assert np.quantile(np.abs(y_hats[0] - y_hats[1]), 0.99) <= 1.0
