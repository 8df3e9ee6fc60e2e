"""Encoding noisy pictures: how noise is found, and what refuses it."""

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from PIL import Image

import neuralcodec
import neuralcodec.pillow_plugin
from neuralcodec import weights
from neuralcodec.coding import targets
from neuralcodec.coding.denoise import noise_level
from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.format.container import read
from neuralcodec.picture.noise import noise_of
from neuralcodec.picture.picture import Picture
from neuralcodec.weights.companions import companion_of
from neuralcodec.weights.saving import save

pytestmark = pytest.mark.usefixtures("tiny_encoders")


def smooth(height: int = 96, width: int = 130) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    plane = 128 + 60 * np.sin(rows / 19) * np.sin(columns / 23)
    return np.stack([plane, 0.8 * plane, 200 - plane / 2], 2).round().astype(np.uint8)


def noisy(deviation: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, deviation, (96, 130, 3))
    return (smooth() + noise).round().clip(0, 255).astype(np.uint8)


def test_levels() -> None:
    pixels = noisy(20)
    assert noise_level(pixels, None) == 0
    assert noise_level(pixels, "auto") == pytest.approx(20, rel=0.15)
    assert noise_level(smooth(), "auto") == 0  # the plain encoder
    assert (noise_level(pixels, "light"), noise_level(pixels, "strong")) == (10, 25)
    assert noise_level(pixels, 7) == 7.0
    for bad in ("much", -1, 51, True, [3]):
        with pytest.raises(UsageError, match="denoise must be"):
            noise_level(pixels, bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("quality", [40, 90])  # one layer, and two
def test_an_untrained_encoder_is_the_plain_one_but_for_its_8_bits(quality: float) -> None:
    pixels = noisy(20)
    files = [neuralcodec.encode(pixels, quality=quality, denoise=noise) for noise in (30, None)]
    assert len(files[0]) == pytest.approx(len(files[1]), rel=0.02)
    one, two = (neuralcodec.decode(file, as_array=True).astype(int) for file in files)
    assert np.abs(one - two).mean() < 1


@pytest.mark.parametrize("quality", [40, 90])
def test_gains_depend_on_the_noise(quality: float) -> None:
    """An encoder that lets through less, the more noise there is; any decoder reads what it writes."""
    file = companion_of(weights.by_name("conv"), "denoise")
    arrays = weights.arrays_of(file)
    for name in ("analysis_noise_shortcut", "detail_analysis_noise_shortcut"):
        gains = arrays[f"transforms.{name}.log_gain"].copy()
        gains[1:] = -np.arange(1, len(gains))[:, None]
        arrays[f"transforms.{name}.log_gain"] = gains
    save(file.path, arrays, file.said)
    pixels = noisy(20)
    sizes = [len(neuralcodec.encode(pixels, quality=quality, denoise=noise)) for noise in (0.5, 12, 50)]
    assert sizes[0] > sizes[1] > sizes[2]
    data = neuralcodec.encode(pixels, quality=quality, denoise="auto")
    assert read(data).header.weights_id == weights.by_name("conv").id
    assert neuralcodec.decode(data).size == (130, 96)
    small = neuralcodec.encode(pixels, target_bpp=0.8, denoise=50)
    assert 8 * len(small) <= 0.8 * 96 * 130


def test_clean_pictures_are_left_to_the_plain_encoder(tiny_encoders: Path) -> None:
    next(tiny_encoders.glob("denoise-*")).unlink()
    assert neuralcodec.encode(smooth(), denoise="auto") == neuralcodec.encode(smooth())
    assert neuralcodec.encode(noisy(20), denoise=0) == neuralcodec.encode(noisy(20))
    with pytest.raises(UsageError, match=r"no encoder to denoise .*: `ncodec train denoise --start conv`"):
        neuralcodec.encode(noisy(20), denoise="auto")


def test_noise_is_estimated_once_for_a_target(tiny_encoders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many encodes it takes."""
    estimates: list[float] = []

    def counted(pixels: np.ndarray) -> float:
        estimates.append(noise_of(pixels))
        return estimates[-1]

    monkeypatch.setattr("neuralcodec.picture.noise.noise_of", counted)
    picture = Picture(noisy(20))
    wanted = len(neuralcodec.encode(picture.pixels, quality=40, denoise="auto"))
    estimates.clear()
    found = targets.encode(picture, target_size=wanted, denoise="auto")
    assert found.encodes > 1
    assert [found.noise] == estimates


def test_grey_and_alpha() -> None:
    grey = noisy(20)[..., 0]
    assert neuralcodec.decode(neuralcodec.encode(grey, denoise="auto")).mode == "L"
    rgba = np.dstack([noisy(20), photograph(96, 130, channels=1)])
    shown = np.asarray(neuralcodec.decode(neuralcodec.encode(rgba, denoise="auto")))
    assert np.array_equal(shown[..., 3], rgba[..., 3])


def test_what_does_not_go_with_it() -> None:
    with pytest.raises(UsageError, match="the gru model has no encoder for noisy pictures"):
        neuralcodec.encode(noisy(20), model="gru", denoise=20)
    with pytest.raises(UsageError, match="take effort 1"):
        neuralcodec.encode(noisy(20), effort=3, denoise=20)
    for target in ({"target_msssim": 0.9}, {"target_ssimulacra2": 50}):
        with pytest.raises(UsageError, match="give a quality or a size"):
            neuralcodec.encode(photograph(200, 200), denoise=20, **target)  # type: ignore[arg-type]


def test_saving_with_pillow() -> None:
    file = io.BytesIO()
    Image.fromarray(noisy(20)).save(file, "NC", quality=40, denoise="auto")
    assert file.getvalue() == neuralcodec.encode(noisy(20), quality=40, denoise="auto")


def test_an_encoder_changes_nothing_that_a_decoder_needs(tiny_encoders: Path) -> None:
    file = companion_of(weights.by_name("conv"), "denoise")
    known = weights.arrays_of(weights.by_name("conv"))
    name = "transforms.synthesis.head.bias"
    save(file.path, weights.arrays_of(file) | {name: known[name] + 1}, file.said)
    with pytest.raises(NeuralCodecError, match=r"head\.bias is not for such a file to change"):
        neuralcodec.encode(noisy(20), denoise=30)
