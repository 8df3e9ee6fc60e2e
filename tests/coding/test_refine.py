"""Refining the latent of one picture: cheaper by the objective, and the same file format."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import Pixels, photograph

from neuralcodec.arrays import Box, Floats
from neuralcodec.coding import refine, tiling
from neuralcodec.coding.codec import decode_picture, encode_picture
from neuralcodec.coding.refine import STEPS_OF_EFFORT, Refiner
from neuralcodec.coding.tiling import windows
from neuralcodec.errors import UsageError
from neuralcodec.models.conv import HALO
from neuralcodec.models.conv.runner import Model
from neuralcodec.models.losses import distortion, lambda_at
from neuralcodec.picture.picture import Picture


def cost(model: Model, pixels: Pixels, data: bytes, quality: int) -> float:
    """Rate + lambda · distortion of a file on disk, in bits."""
    x, x_hat = (
        torch.from_numpy(p).permute(2, 0, 1)[None] / 255 for p in (pixels, decode_picture(data).pixels)
    )
    aim = model.tradeoff
    share = model.level(quality) / (model.transforms.config.levels - 1)
    error = distortion(x, x_hat, aim, share)
    return 8 * len(data) + float(lambda_at(aim, share) * error) * x[0, 0].numel()


def refined(model: Model, pixels: Pixels, steps: int, quality: int = 60) -> Floats:
    y = model.analyse(pixels, quality)
    (window,) = windows(Box.whole(*y.shape[:2]), Box.whole(*y.shape[:2]), HALO)
    return Refiner(model, quality, quality, 32, steps)(pixels, y, window, lambda share: None)


@pytest.mark.parametrize("quality", [20, 50, 80])
def test_more_effort_gives_better_files(model: Model, quality: int) -> None:
    pixels = photograph(192, 176, seed=4)
    files = [encode_picture(Picture(pixels), quality=quality, effort=effort) for effort in (1, 3, 5)]
    costs = [cost(model, pixels, data, quality) for data in files]
    assert costs[0] > costs[1] > costs[2]
    assert costs[2] < 0.99 * costs[0]


def test_the_ladder_rises() -> None:
    assert len(STEPS_OF_EFFORT) == 9
    assert STEPS_OF_EFFORT[0] == 0
    assert all(a < b for a, b in pairwise(STEPS_OF_EFFORT))


def test_quality_keeps_its_order() -> None:
    pixels = photograph(176, 176, seed=2)
    files = [encode_picture(Picture(pixels), quality=q, effort=3) for q in (10, 35, 60, 85)]
    errors = [np.square(decode_picture(data).pixels - pixels.astype(float)).mean() for data in files]
    assert all(len(a) < len(b) for a, b in pairwise(files))
    assert all(a > b for a, b in pairwise(errors))


def test_it_is_deterministic(model: Model) -> None:
    pixels = photograph(64, 96)
    kept = pixels.copy()
    assert (refined(model, pixels, 3) == refined(model, pixels, 3)).all()
    assert (pixels == kept).all()


def test_steps_that_make_things_worse_are_not_taken(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = photograph(64, 96)
    monkeypatch.setattr(refine, "largest_step", lambda steps: 1e6)
    monkeypatch.setattr(refine, "LONGEST_MOVE", 100.0)
    assert (refined(model, pixels, 2) == model.analyse(pixels, 60)).all()


def test_windows_and_tiles_of_any_size(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several windows, several tiles in a window, and tiles larger than a window."""
    monkeypatch.setattr(refine.Refiner, "window", 400)
    monkeypatch.setattr(tiling, "BAND", 8)
    pixels = photograph(176, 230, seed=3)
    for tile in (64, 512):
        plain, better = (encode_picture(Picture(pixels), quality=60, tile=tile, effort=e) for e in (1, 4))
        assert cost(model, pixels, better, 60) < 0.99 * cost(model, pixels, plain, 60)


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (17, 31), (161, 160)])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_any_size(size: tuple[int, int], channels: int) -> None:
    picture = Picture(photograph(*size, channels=channels))
    decoded = decode_picture(encode_picture(picture, quality=90, effort=2))
    assert decoded.pixels.shape == (*size, channels)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank_pictures(value: int) -> None:
    pixels = np.full((40, 50, 3), value, np.uint8)
    decoded = decode_picture(encode_picture(Picture(pixels), quality=50, effort=3))
    assert np.abs(decoded.pixels.astype(int) - value).mean() < 8


def test_small_pictures_are_mirrored_for_ms_ssim() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3).expand(1, 3, 2, 3)
    large = refine._enlarged(x)
    assert large.shape == (1, 3, refine.SMALLEST_SIDE, refine.SMALLEST_SIDE)
    assert large[0, 0, :5, :7].tolist() == [
        [0, 1, 2, 2, 1, 0, 0],
        [3, 4, 5, 5, 4, 3, 3],
        [3, 4, 5, 5, 4, 3, 3],
        [0, 1, 2, 2, 1, 0, 0],
        [0, 1, 2, 2, 1, 0, 0],
    ]
    assert refine._enlarged(torch.zeros(1, 3, 161, 200)).shape == (1, 3, 161, 200)


def test_progress_rises_to_one() -> None:
    shares: list[float] = []
    encode_picture(Picture(photograph(60, 70)), effort=3, progress=shares.append)
    assert shares == sorted(shares)
    assert len(shares) > STEPS_OF_EFFORT[2]
    assert shares[-1] == pytest.approx(1.0)


def test_an_interrupt_ends_it(model: Model) -> None:
    pixels = photograph(64, 96)
    y = model.analyse(pixels, 60)
    (window,) = windows(Box.whole(*y.shape[:2]), Box.whole(*y.shape[:2]), HALO)

    def interrupt(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Refiner(model, 60, 60, 32, 5)(pixels, y, window, interrupt)


@pytest.mark.parametrize("effort", [0, 10, -1, 5.0, "9", True, None])
def test_bad_efforts_are_refused(effort: object) -> None:
    with pytest.raises(UsageError, match="effort"):
        encode_picture(Picture(photograph(8, 8)), effort=effort)  # type: ignore[arg-type]
