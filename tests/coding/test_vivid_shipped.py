"""The vivid decoder of the package, on a sample picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import neuralcodec
from neuralcodec.arrays import Pixels

SAMPLES = Path(__file__).parent.parent.parent / "sample_images"
RUNTIMES = ["onnx", "torch"]


def fur() -> Pixels:
    with Image.open(SAMPLES / "chelsea.png") as image:
        return np.asarray(image.convert("RGB"))[40:232, 20:276]


def energy(pixels: Pixels) -> float:
    """Mean square of what differs from pixel to pixel."""
    return float(np.diff(pixels.astype(float), axis=0).var() + np.diff(pixels.astype(float), axis=1).var())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_texture_without_another_colour(runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCODEC_RUNTIME", runtime)
    data = neuralcodec.encode(fur(), quality=30)
    true, vivid = (neuralcodec.decode(data, realism=realism, as_array=True) for realism in (0, 1))
    np.testing.assert_array_equal(true, neuralcodec.decode(data, as_array=True))
    assert 1.1 * energy(true) < energy(vivid) < energy(fur())
    assert np.abs(vivid.mean((0, 1)) - true.mean((0, 1))).max() < 1


def test_high_qualities_are_true_and_plain_grounds_stay_plain() -> None:
    data = neuralcodec.encode(fur(), quality=70)
    np.testing.assert_array_equal(*(neuralcodec.decode(data, realism=r, as_array=True) for r in (0, 1)))
    data = neuralcodec.encode(np.full((64, 96, 3), (90, 120, 200), np.uint8), quality=30)
    true, vivid = (neuralcodec.decode(data, realism=r, as_array=True).astype(int) for r in (0, 1))
    assert np.abs(vivid - true)[8:-8, 8:-8].mean() < 1.5
