"""Scores of decoded pictures, those of other packages included."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from conftest import photograph

from neuralcodec.bench import scores

piq = pytest.mark.skipif(find_spec("piq") is None, reason="needs the extra neuralcodec[bench]")


def noisy(picture: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def test_what_is_not_asked_for_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = photograph(170, 180)
    found = scores.score(picture, picture, ())
    assert found == {"ms_ssim": 1, "psnr": None, "ssimulacra2": None, "haarpsi": None, "vsi": None}
    monkeypatch.setattr(scores, "find_spec", lambda name: None if name == "piq" else object())
    assert scores.available() == ("ssimulacra2",)


@piq
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["haarpsi", "vsi"])
def test_more_noise_is_worse(name: str, channels: int) -> None:
    picture = photograph(170, 180, channels=channels)
    values = [scores.score(picture, noisy(picture, sigma), (name,))[name] for sigma in (0, 4, 20)]
    assert values[0] == pytest.approx(1, abs=1e-3)
    assert None not in values
    assert values == sorted(values, reverse=True)
    assert 0 < values[2] < values[1] < 1


@piq
def test_torchvision_is_not_loaded() -> None:
    code = (
        "import sys, numpy as np\n"
        "sys.modules['torchvision'] = None  # as good as broken\n"
        "from neuralcodec.bench.scores import available, score\n"
        "picture = np.full((170, 170, 3), 9, np.uint8)\n"
        "print(score(picture, picture, ('haarpsi', 'vsi'))['haarpsi'], available())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'vsi'" in done.stdout
