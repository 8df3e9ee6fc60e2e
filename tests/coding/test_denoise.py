"""Encoding noisy pictures: how noise is found, and how it is taken out."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import photograph
from PIL import Image
from tiny import darken, write_denoiser

import neuralcodec
import neuralcodec.pillow_plugin
from neuralcodec import weights
from neuralcodec.coding import denoise, targets
from neuralcodec.coding.denoise import noise_level, without_noise
from neuralcodec.errors import UsageError
from neuralcodec.models.denoise import load
from neuralcodec.picture.picture import Picture

pytestmark = pytest.mark.usefixtures("tiny_encoders")


def smooth(height: int = 96, width: int = 130) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    plane = 128 + 60 * np.sin(rows / 19) * np.sin(columns / 23)
    return np.stack([plane, 0.8 * plane, 200 - plane / 2], 2).round().astype(np.uint8)


def noisy(deviation: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, deviation, (96, 130, 3))
    return (smooth() + noise).round().clip(0, 255).astype(np.uint8)


def darker(pixels: np.ndarray, noise: float) -> np.ndarray:
    """What the tiny network makes of it."""
    return (pixels - noise / 8).round().clip(0, 255).astype(np.uint8)


def test_levels() -> None:
    pixels = noisy(20)
    assert noise_level(pixels, None) == 0
    assert noise_level(pixels, "auto") == pytest.approx(20, rel=0.15)
    assert noise_level(smooth(), "auto") == 0  # left as it is
    assert (noise_level(pixels, "light"), noise_level(pixels, "strong")) == (10, 25)
    assert noise_level(pixels, 7) == 7.0
    for bad in ("much", -1, 51, True, [3]):
        with pytest.raises(UsageError, match="denoise must be"):
            noise_level(pixels, bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 40},
        {"quality": 90},  # two layers
        {"quality": 40, "effort": 2},
        {"target_bpp": 0.8},
        {"model": "gru"},
        {"model": "gru", "target_bpp": 0.8},
    ],
    ids=str,
)
def test_what_is_encoded_is_the_picture_without_noise(options: dict[str, Any]) -> None:
    """By any codec, effort and target: the noise is gone before it."""
    pixels = noisy(20)
    data = neuralcodec.encode(pixels, denoise=30, **options)
    assert data == neuralcodec.encode(darker(pixels, 30), **options)
    assert data != neuralcodec.encode(pixels, **options)


@pytest.mark.parametrize(("times", "level"), [(1, 0), (4, 6), (16, 12)])
@pytest.mark.parametrize("size", [(96, 130), (9, 700), (400, 500)])
def test_noise_that_only_the_network_sees(
    size: tuple[int, int], times: int, level: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked about noise of 6, it takes 0.75 off or several times that."""

    def strong(network: Any) -> None:
        darken(network)
        network.head.weight.mul_(times)

    write_denoiser(tmp_path, strong)
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    assert noise_level(smooth(*size), "auto") == pytest.approx(level, abs=0.01)


def test_a_metric_compares_with_the_picture_without_noise() -> None:
    pixels = np.tile(noisy(20), (2, 2, 1))
    data = neuralcodec.encode(pixels, target_msssim=0.77, denoise=30)
    assert data == neuralcodec.encode(darker(pixels, 30), target_msssim=0.77)


def test_clean_pictures_are_left_alone(
    tiny_encoders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_FOLDER", tmp_path)  # as if the package had none either
    assert neuralcodec.encode(smooth(), denoise="auto") == neuralcodec.encode(smooth())
    next(tiny_encoders.glob("denoise-*.safetensors")).unlink()
    assert neuralcodec.encode(noisy(20), denoise=0) == neuralcodec.encode(noisy(20))
    with pytest.raises(UsageError, match=r"no weights to denoise with: `ncodec train denoise` and"):
        neuralcodec.encode(noisy(20), denoise="auto")


def test_noise_is_taken_out_once_for_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many encodes it takes."""
    taken: list[float] = []

    def counted(picture: Picture, noise: float, **options: Any) -> Picture:
        taken.append(noise)
        return without_noise(picture, noise, **options)

    monkeypatch.setattr(targets, "without_noise", counted)
    picture = Picture(noisy(20))
    wanted = len(neuralcodec.encode(picture.pixels, quality=40, denoise="auto"))
    taken.clear()
    found = targets.encode(picture, target_size=wanted, denoise="auto")
    assert found.encodes > 1
    assert [found.noise] == taken == [pytest.approx(20, rel=0.15)]


def test_grey_and_alpha() -> None:
    grey = noisy(20)[..., :1]
    assert np.array_equal(without_noise(Picture(grey), 24).pixels, darker(grey, 24))
    assert neuralcodec.decode(neuralcodec.encode(grey, denoise="auto")).mode == "L"
    rgba = np.dstack([noisy(20), photograph(96, 130, channels=1)])
    shown = np.asarray(neuralcodec.decode(neuralcodec.encode(rgba, denoise="auto")))
    assert np.array_equal(shown[..., 3], rgba[..., 3])


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (203, 118), (129, 257)])
def test_any_size(size: tuple[int, int]) -> None:
    pixels = photograph(*size)
    assert np.array_equal(without_noise(Picture(pixels), 24).pixels, darker(pixels, 24))


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_parts_join_without_a_seam(runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is that of a part, whatever the picture; where parts meet, nothing is to be seen."""
    monkeypatch.setenv("NCODEC_RUNTIME", runtime)
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))

    def strong(network: Any) -> None:
        network.head.weight.mul_(3)

    file = write_denoiser(tmp_path, strong)
    pixels = photograph(328, 264)
    whole = load(file, "cpu").clean(pixels, 25.0).round().clip(0, 255)
    assert np.abs(whole - pixels).mean() > 5
    monkeypatch.setattr(denoise, "_CELL", 96)
    shares: list[float] = []
    parts = without_noise(Picture(pixels), 25.0, device="cpu", progress=shares.append).pixels
    assert len(shares) == 6 and shares == sorted(shares) and shares[-1] == 1
    assert np.abs(parts - whole).max() <= 1
    assert (parts != whole).mean() < 0.01


def test_saving_with_pillow() -> None:
    file = io.BytesIO()
    Image.fromarray(noisy(20)).save(file, "NC", quality=40, denoise="auto")
    assert file.getvalue() == neuralcodec.encode(noisy(20), quality=40, denoise="auto")
