"""Mean colours at low qualities. What else `tilewise` does is seen in test_codec and test_tiling."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import photograph

from neuralcodec.arrays import Pixels
from neuralcodec.coding import tilewise
from neuralcodec.coding.codec import decode_picture, encode_picture
from neuralcodec.picture.picture import Picture


def dusk(channels: int = 3) -> Pixels:
    """A dark sky with a faint gradient over a little landscape: plain ground that rounds all alike."""
    rows = np.linspace(0, 1, 320)[:, None, None]
    grain = np.random.default_rng(1).normal(0, 1.5, (320, 400, 1))
    sky = np.array([12.4, 17.7, 29.2]) + rows * np.array([6.0, 5.0, 1.0]) + grain
    pixels = sky.clip(0, 255).round().astype(np.uint8)
    pixels[260:] = photograph(60, 400) // 3
    return pixels[..., :channels].copy()


def shift_of(pixels: Pixels, data: bytes) -> float:
    """How far the mean of a channel is off at most, in 8-bit levels."""
    return float(np.abs(decode_picture(data).pixels.mean((0, 1)) - pixels.mean((0, 1))).max())


@pytest.mark.parametrize("effort", [1, 2])
@pytest.mark.parametrize("quality", [0, 5, 12.5, 30])
def test_mean_colours_are_within_a_level(quality: float, effort: int) -> None:
    for pixels in (dusk(), photograph(240, 300)):
        data = encode_picture(Picture(pixels), quality=quality, effort=effort)
        assert shift_of(pixels, data) <= 1


def test_grey_is_as_true() -> None:
    pixels = dusk(channels=1)
    for quality in (0, 5, 20):
        assert shift_of(pixels, encode_picture(Picture(pixels), quality=quality)) <= 1


def test_without_being_mended_colours_would_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures above can tell; and what mends them costs little."""
    pixels = dusk()
    mended = encode_picture(Picture(pixels), quality=0)
    monkeypatch.setattr(tilewise, "COLOUR_KEPT_BELOW", 0)
    plain = encode_picture(Picture(pixels), quality=0)
    assert shift_of(pixels, plain) > 1.5
    assert len(mended) < 1.1 * len(plain)


def test_the_best_round_is_taken_where_none_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, shifts = dusk(), []
    real = tilewise._decoded_mean

    def seen(*arguments: object) -> np.ndarray:
        mean = real(*arguments)  # type: ignore[arg-type]
        shifts.append(float(np.abs(mean - pixels.mean((0, 1))).max()))
        return mean

    monkeypatch.setattr(tilewise, "_decoded_mean", seen)
    monkeypatch.setattr(tilewise, "MOST_SHIFT", 0.0)
    data = encode_picture(Picture(pixels), quality=5)
    assert len(shifts) == tilewise.MOST_ROUNDS
    assert shift_of(pixels, data) == pytest.approx(min(shifts))


def test_usual_qualities_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tilewise, "_decoded_mean", None)  # would fail if called
    encode_picture(Picture(dusk()), quality=tilewise.COLOUR_KEPT_BELOW)


def test_progress_rises_to_one_over_all_rounds() -> None:
    shares: list[float] = []
    encode_picture(Picture(dusk()), quality=5, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
