"""Filling holes of pictures of all kinds."""

from pathlib import Path

import numpy as np
import pytest
from conftest import photograph

import neuralcodec
from neuralcodec import weights
from neuralcodec.arrays import Box
from neuralcodec.coding import inpaint as module
from neuralcodec.coding.inpaint import inpaint, without
from neuralcodec.errors import UsageError
from neuralcodec.picture.fill import fill_smoothly
from neuralcodec.picture.picture import Picture
from neuralcodec.weights.companions import companion_of
from neuralcodec.weights.stored import arrays_of

pytestmark = pytest.mark.usefixtures("tiny_encoders")


def mask_of(*shape: int, seed: int = 0) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[20:26, 10:-10] = True
    mask[40:60, 30:50] = True
    return mask


def taught() -> None:
    """Gives the network of the tiny weights a head, so that it changes something."""
    from neuralcodec.weights.saving import save

    file = companion_of(weights.by_name("conv"), "inpaint")
    arrays = arrays_of(file)
    rng = np.random.default_rng(0)
    head = arrays["encoder.head.weight"]
    arrays["encoder.head.weight"] = rng.normal(0, 0.3, head.shape).astype(np.float16)
    save(file.path, arrays, file.said)


def test_an_untrained_network_leaves_the_smooth_fill() -> None:
    pixels, mask = photograph(100, 130), mask_of(100, 130)
    found = inpaint(Picture(pixels), mask).pixels
    assert np.array_equal(found[~mask], pixels[~mask])
    smooth = fill_smoothly(pixels, mask).round().clip(0, 255)
    assert np.abs(found - smooth).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_changes_the_hole_alone(channels: int) -> None:
    taught()
    pixels, mask = photograph(100, 130, channels=channels), mask_of(100, 130)
    alpha = photograph(100, 130, channels=1)[..., 0]
    found = inpaint(Picture(pixels, alpha), mask)
    assert found.pixels.shape == pixels.shape
    assert np.array_equal(found.pixels[~mask], pixels[~mask])
    assert np.array_equal(found.alpha, alpha)
    smooth = fill_smoothly(pixels, mask).round().clip(0, 255)
    assert np.abs(found.pixels - smooth)[mask].mean() > 1


def test_what_a_hole_held_has_no_influence() -> None:
    taught()
    pixels, mask = photograph(100, 130), mask_of(100, 130)
    other = np.where(mask[..., None], 0, pixels).astype(np.uint8)
    assert np.array_equal(inpaint(Picture(pixels), mask).pixels, inpaint(Picture(other), mask).pixels)


def test_holes_far_apart_are_filled_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    taught()
    mask = np.zeros((300, 700), bool)
    mask[5:9, 5:25] = mask[290:, 690:] = mask[150:170, 330:340] = True
    assert len(list(module._holes(mask))) == 3
    covered = np.zeros_like(mask)
    for box, hole in module._holes(mask):
        covered[box.slices] |= hole
    assert np.array_equal(covered, mask)
    pixels = photograph(300, 700)
    whole = inpaint(Picture(pixels), mask).pixels
    monkeypatch.setattr(module, "_MOST", 400 * 400)
    assert np.array_equal(inpaint(Picture(pixels), mask).pixels, whole)


def test_windows_agree_at_their_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    taught()
    pixels, mask = photograph(200, 420), mask_of(200, 420)
    whole = inpaint(Picture(pixels), mask).pixels
    monkeypatch.setattr(module, "_WINDOW", 192)
    parts = inpaint(Picture(pixels), mask).pixels
    assert np.abs(parts.astype(int) - whole).mean() < 2


def test_a_hole_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 1000)
    with pytest.raises(UsageError, match="holes near each other span"):
        inpaint(Picture(photograph(100, 130)), mask_of(100, 130))


def test_the_api_takes_a_mask_or_a_region() -> None:
    pixels, mask = photograph(100, 130), np.zeros((100, 130), bool)
    mask[10:30, 40:60] = True
    by_region = neuralcodec.inpaint(pixels, region=(40, 10, 20, 20))
    by_mask = neuralcodec.inpaint(pixels, mask=mask.astype(np.uint8) * 255)
    assert np.array_equal(np.asarray(by_region), np.asarray(by_mask))
    for options in ({}, {"mask": mask.astype(np.uint8) * 255, "region": (1, 1, 2, 2)}):
        with pytest.raises(UsageError, match="either a mask or a region"):
            neuralcodec.inpaint(pixels, **options)


def test_files_are_of_the_filled_picture(tiny_encoders: Path) -> None:
    pixels, mask = photograph(100, 130), mask_of(100, 130).astype(np.uint8) * 255
    filled = np.asarray(neuralcodec.inpaint(pixels, mask=mask))
    assert neuralcodec.encode(pixels, mask=mask, quality=80) == neuralcodec.encode(filled, quality=80)


def test_another_family_takes_the_default_encoder() -> None:
    region = Box(10, 30, 40, 60)
    picture = Picture(photograph(100, 130))
    one, two = (without(picture, region=region, model=model).pixels for model in ("gru", "conv"))
    assert np.array_equal(one, two)


def test_weights_without_an_encoder_fill_smoothly(tiny_encoders: Path) -> None:
    next(tiny_encoders.glob("inpaint-*")).unlink()
    pixels, mask = photograph(64, 80), np.zeros((64, 80), bool)
    mask[20:30, 10:50] = True
    filled = neuralcodec.inpaint(pixels, region=(10, 20, 40, 10))
    expected = fill_smoothly(pixels, mask).round().clip(0, 255)
    assert np.array_equal(np.asarray(filled)[mask], expected[mask])
    assert np.array_equal(np.asarray(filled)[~mask], pixels[~mask])


def test_the_light_run_time_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCODEC_RUNTIME", "onnx")
    with pytest.raises(UsageError, match="an encoder to inpaint: runtime onnx has none; leave it to torch"):
        neuralcodec.inpaint(photograph(64, 64), region=(1, 1, 5, 5))
