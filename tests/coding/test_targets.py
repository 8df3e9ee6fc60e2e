"""Targets: met within their tolerance and the number of encodes, or refused in words that help."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import photograph

import neuralcodec
from neuralcodec.coding import codec, targets
from neuralcodec.coding.progressive import truncate
from neuralcodec.errors import NeuralCodecWarning, UsageError
from neuralcodec.format import container
from neuralcodec.format.container import Container
from neuralcodec.models.conv.runner import Model
from neuralcodec.models.ssimulacra2 import ssimulacra2
from neuralcodec.picture.metrics import ms_ssim
from neuralcodec.picture.picture import Picture

PICTURE = Picture(photograph(176, 240))


@pytest.fixture(scope="module")
def ends() -> tuple[int, int]:
    """Bytes of the picture at quality 0 and 100."""
    low, high = (len(codec.encode_picture(PICTURE, quality=quality)) for quality in (0, 100))
    return low, high


@pytest.fixture(autouse=True)
def no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", NeuralCodecWarning)
        yield


# ---- sizes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_size_is_met_from_below(share: float, ends: tuple[int, int]) -> None:
    target = round(ends[0] ** (1 - share) * ends[1] ** share)
    found = targets.encode(PICTURE, target_size=target)
    assert 0.98 * target <= len(found.data) <= target
    assert found.encodes <= targets.MOST_ENCODES
    assert found.data == codec.encode_picture(PICTURE, quality=found.quality)
    assert container.read_header(found.data).quality == found.quality


def test_bits_per_pixel_are_a_size(ends: tuple[int, int]) -> None:
    target = (ends[0] * ends[1]) ** 0.5 * 8 / (176 * 240)
    found = targets.encode(PICTURE, target_bpp=target)
    assert 0.98 * target <= 8 * len(found.data) / (176 * 240) <= target


def test_metadata_and_alpha_count(ends: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (176, 240), np.uint8)
    loaded = Picture(PICTURE.pixels, alpha=noise, exif=b"II*\0" + rng.bytes(3000))
    target = ends[0] + 50_000
    found = targets.encode(loaded, target_size=target)
    assert 0.98 * target <= len(found.data) <= target
    with pytest.raises(
        UsageError, match=r"too small: the smallest file .* has (\d\d,\d{3}), (\d\d,\d{3}) of"
    ):
        targets.encode(loaded, target_size=ends[0] + 10_000)


def test_too_small_a_size_names_the_smallest(ends: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=f"target of {ends[0] - 1:,} bytes .* has {ends[0]:,}, "):
        targets.encode(PICTURE, target_size=ends[0] - 1)
    assert len(targets.encode(PICTURE, target_size=ends[0]).data) == ends[0]


def test_too_large_a_size_is_quality_100(ends: tuple[int, int]) -> None:
    with pytest.warns(NeuralCodecWarning, match=f"{ends[1]:,} bytes is all that quality 100 takes"):
        found = targets.encode(PICTURE, target_size=10**9)
    assert (found.quality, len(found.data), found.encodes) == (100, ends[1], 1)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 16), (40, 40)])
def test_tiny_pictures(height: int, width: int) -> None:
    """A size within 2 % may not exist; larger than its target a file never is."""
    picture = Picture(photograph(height, width))
    smallest = len(codec.encode_picture(picture, quality=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeuralCodecWarning)
        for target in range(smallest, smallest + 12, 5):
            assert len(targets.encode(picture, target_size=target).data) <= target


# ---- MS-SSIM -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_ms_ssim_is_met(share: float) -> None:
    low, high = (
        ms_ssim(PICTURE.pixels, codec.decode_picture(codec.encode_picture(PICTURE, quality=q)).pixels)
        for q in (0, 100)
    )
    target = 1 - (1 - low) ** (1 - share) * (1 - high) ** share
    found = targets.encode(PICTURE, target_msssim=target)
    assert found.encodes <= targets.MOST_ENCODES
    value = ms_ssim(PICTURE.pixels, codec.decode_picture(found.data).pixels)
    assert value == pytest.approx(target, abs=0.001)
    assert found.reached == f"MS-SSIM {value:.4f}"


def test_ms_ssim_of_grey_and_alpha() -> None:
    grey = Picture(photograph(170, 180, channels=1), alpha=np.full((170, 180), 9, np.uint8))
    found = targets.encode(grey, target_msssim=0.9)
    assert ms_ssim(grey.pixels, codec.decode_picture(found.data).pixels) == pytest.approx(0.9, abs=0.001)


def test_ms_ssim_out_of_reach() -> None:
    noise = Picture(np.random.default_rng(0).integers(0, 256, (170, 180, 3), np.uint8))
    with pytest.raises(UsageError, match=r"0\.9999 is out of reach: quality 100 has MS-SSIM 0\.9"):
        targets.encode(noise, target_msssim=0.9999)
    with pytest.warns(NeuralCodecWarning, match=r"is what quality 0 has already, the target is 0\.1"):
        assert targets.encode(PICTURE, target_msssim=0.1).quality == 0


def test_ms_ssim_needs_161_pixels() -> None:
    with pytest.raises(UsageError, match="not defined under 161 pixels a side, and the picture has 300x160"):
        targets.encode(Picture(photograph(160, 300)), target_msssim=0.9)


# ---- SSIMULACRA2 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_ssimulacra2_is_met(share: float) -> None:
    low, high = (
        ssimulacra2(PICTURE.pixels, codec.decode_picture(codec.encode_picture(PICTURE, quality=q)).pixels)
        for q in (0, 100)
    )
    target = max(low, 0) * (1 - share) + high * share
    found = targets.encode(PICTURE, target_ssimulacra2=target)
    assert found.encodes <= targets.MOST_ENCODES
    value = ssimulacra2(PICTURE.pixels, codec.decode_picture(found.data).pixels)
    assert value == pytest.approx(target, abs=0.5)
    assert found.reached == f"SSIMULACRA2 {value:.2f}"


def test_ssimulacra2_of_a_grey_picture_of_any_size() -> None:
    """Of small pictures the metric leaves out the large scales, so that its values are others."""
    grey = Picture(photograph(40, 70, channels=1))
    wanted = ssimulacra2(grey.pixels, codec.decode_picture(codec.encode_picture(grey, quality=44)).pixels)
    found = targets.encode(grey, target_ssimulacra2=wanted)
    assert ssimulacra2(grey.pixels, codec.decode_picture(found.data).pixels) == pytest.approx(wanted, abs=0.5)


def test_ssimulacra2_out_of_reach() -> None:
    with pytest.raises(UsageError, match=r"SSIMULACRA2 99\.9 is out of reach: quality 100 has SSIM"):
        targets.encode(PICTURE, target_ssimulacra2=99.9)


def test_ssimulacra2_needs_8_pixels() -> None:
    with pytest.raises(UsageError, match="not defined under 8 pixels a side, and the picture has 300x7"):
        targets.encode(Picture(photograph(7, 300)), target_ssimulacra2=50)


# ---- the search --------------------------------------------------------------------------------------------


FILE = codec.encode_file(Picture(photograph(16, 16)))


class Curve:
    """A stand-in for the codec: a file whose size or MS-SSIM is a function of the quality."""

    def __init__(self, value: Callable[[float], float]) -> None:
        self.value = value
        self.tried: list[float] = []

    first, slope = 50.0, 0.04
    near = 0.01

    def encode(self, _: Picture, *, quality: float, **__: Any) -> Container:
        self.tried.append(quality)
        return FILE

    def judge(self, quality: float, file: Container) -> targets._Trial:
        excess = self.value(quality)
        near = abs(excess) <= self.near
        return targets._Trial(quality, file, b"", excess, near, excess <= 0, f"{excess}")

    def out_of_range(self, end: targets._Trial) -> str:
        if end.excess > 0:
            raise UsageError("too small")
        return "too large"


def search(monkeypatch: pytest.MonkeyPatch, curve: Curve) -> targets.Encoded:
    monkeypatch.setattr(codec, "encode_file", curve.encode)
    found = targets._search(PICTURE, curve, lambda share: None, {})
    assert found.encodes == len(curve.tried) <= targets.MOST_ENCODES
    assert len(set(curve.tried)) == len(curve.tried)
    return found


@pytest.mark.parametrize("at", [0.5, 20, 50, 77.77, 99.5])
@pytest.mark.parametrize("slope", [0.01, 0.02, 0.04, 0.2])
@pytest.mark.parametrize("bend", [-1, 0, 1])
def test_search_finds_smooth_targets(
    at: float, slope: float, bend: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def value(quality: float) -> float:
        step = (quality - at) / 100
        return 100 * slope * (step + 0.3 * bend * step * abs(step))

    found = search(monkeypatch, Curve(value))
    assert abs(value(found.quality)) <= Curve.near


def test_search_takes_the_best_below_a_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    curve = Curve(lambda quality: 1.0 if quality > 61.8 else -1.0)
    message = f"as near to the target as {targets.MOST_ENCODES} encodes came"
    with pytest.warns(NeuralCodecWarning, match=message):
        assert search(monkeypatch, curve).quality <= 61.8


def test_search_that_stays_above_ends_at_quality_0(monkeypatch: pytest.MonkeyPatch) -> None:
    curve = Curve(lambda quality: -0.5 if quality == 0 else 0.1 + quality / 1e5)
    with pytest.warns(NeuralCodecWarning):
        assert search(monkeypatch, curve).quality == 0
    with pytest.raises(UsageError, match="too small"):
        search(monkeypatch, Curve(lambda quality: 0.1 + quality / 1e5))


@pytest.mark.parametrize("seed", range(8))
def test_search_ends_whatever_the_curve(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without rise, falling, and random."""
    rng = np.random.default_rng(seed)
    curves = [
        lambda q: 0.3,
        lambda q: -0.3,
        lambda q: 1 - q / 50,
        math.sin,
        lambda q: rng.normal(),
    ]
    for value in curves:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeuralCodecWarning)
            try:
                search(monkeypatch, Curve(value))
            except UsageError:
                continue


def test_what_quality_has_no_say_in_is_done_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, int] = {}

    def counted(owner: Any, name: str) -> None:
        work = getattr(owner, name)

        def call(*arguments: Any) -> Any:
            calls[name] = calls.get(name, 0) + 1
            return work(*arguments)

        monkeypatch.setattr(owner, name, call)

    counted(model, "features")
    counted(model, "latent")
    counted(codec, "pack_alpha")
    picture = Picture(PICTURE.pixels, alpha=PICTURE.pixels[..., 0])
    found = targets.encode(picture, target_msssim=0.93)
    assert found.encodes > 1
    assert calls == {"features": 1, "latent": found.encodes, "pack_alpha": 1}


def test_progress_rises_to_1() -> None:
    shares: list[float] = []
    targets.encode(PICTURE, target_bpp=0.3, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


# ---- the interface -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"target_size": 0},
        {"target_size": 1.5},
        {"target_size": True},
        {"target_size": "24kB"},
        {"target_bpp": 0},
        {"target_bpp": float("nan")},
        {"target_bpp": float("inf")},
        {"target_msssim": 0.0},
        {"target_msssim": 1},
        {"target_msssim": 1.5},
        {"target_ssimulacra2": 0},
        {"target_ssimulacra2": 100},
        {"target_ssimulacra2": "70"},
        {"target_ssimulacra2": float("nan")},
        {"target_msssim": 0.9, "target_ssimulacra2": 50},
        {"quality": 50, "target_size": 1000},
        {"target_bpp": 1, "target_msssim": 0.9},
    ],
)
def test_wrong_targets_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=" and ".join(wrong)):
        neuralcodec.encode(PICTURE.pixels, **wrong)


def test_from_the_package() -> None:
    target = len(neuralcodec.encode(PICTURE.pixels))
    assert len(neuralcodec.encode(PICTURE.pixels, target_size=target)) <= target
    data = neuralcodec.encode(PICTURE.pixels, target_bpp=0.3)
    assert 0.98 * 0.3 <= neuralcodec.info(data).bpp <= 0.3
    data = neuralcodec.encode(PICTURE.pixels, target_msssim=0.92)
    assert ms_ssim(PICTURE.pixels, np.asarray(neuralcodec.decode(data))) == pytest.approx(0.92, abs=0.001)


# ---- files in stages ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tiny_gru")
def test_a_file_in_stages_takes_what_the_size_holds() -> None:
    whole = targets.encode(PICTURE, model="gru")
    assert whole.quality == 100
    shorter = [truncate(whole.data, stages=stages) for stages in range(1, 9)]
    found = targets.encode(PICTURE, target_size=len(shorter[4]) + 3, model="gru")
    assert (found.data, found.encodes) == (shorter[4], 1)
    assert targets.encode(PICTURE, target_size=10**9, model="gru").data == whole.data
    with pytest.raises(UsageError, match=f"smallest file of this picture has {len(shorter[0]):,}"):
        targets.encode(PICTURE, target_size=len(shorter[0]) - 1, model="gru")


@pytest.mark.usefixtures("tiny_gru")
def test_a_file_in_stages_takes_the_first_that_reaches_an_ms_ssim() -> None:
    whole = codec.encode_picture(PICTURE, quality=100, model="gru")
    values = [ms_ssim(PICTURE.pixels, codec.decode_picture(whole, stage=n).pixels) for n in range(1, 9)]
    wanted = (values[0] + max(values)) / 2
    first = next(n for n, value in enumerate(values, 1) if value >= wanted - targets.MS_SSIM_TOLERANCE)
    found = targets.encode(PICTURE, target_msssim=wanted, model="gru")
    assert found.data == truncate(whole, stages=first)
    with pytest.raises(UsageError, match="out of reach"):
        targets.encode(PICTURE, target_msssim=0.99999, model="gru")
