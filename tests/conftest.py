"""What many tests share: synthetic photographs and the shipped model, loaded once."""

from __future__ import annotations

import os

# One thread, unless told otherwise: small tests are not faster with more, and far slower beside other work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from neuralcodec import weights

if TYPE_CHECKING:
    from neuralcodec.models.conv.runner import Model

Pixels = npt.NDArray[np.uint8]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def photograph(height: int, width: int, *, channels: int = 3, seed: int = 0) -> Pixels:
    """Pixels `(height, width, channels)` with what photographs have: gradients, texture and edges."""
    rng = np.random.default_rng((seed, height, width))
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    picture = np.empty((height, width, 3), np.float64)
    for channel in range(3):
        a, b, c = rng.uniform(-0.6, 0.6, 3)
        picture[..., channel] = 0.5 + a * rows + b * columns + 0.3 * c * np.sin(6 * rows + 4 * columns)
    for _ in range(6):  # plain and textured ellipses, with sharp edges
        y, x, ry, rx = rng.uniform(0, 1, 2).tolist() + rng.uniform(0.05, 0.35, 2).tolist()
        inside = ((rows - y) / ry) ** 2 + ((columns - x) / rx) ** 2 < 1
        shade = rng.uniform(0, 1, 3)
        stripes = 0.08 * np.sin(rng.uniform(40, 160) * rows + rng.uniform(40, 160) * columns)
        picture[inside] = 0.3 * picture[inside] + 0.7 * shade + stripes[inside][:, None]
    noise = rng.normal(0, 0.04, (height + 2, width + 2))
    grain = sum(noise[i : i + height, j : j + width] for i in range(3) for j in range(3)) / 3
    picture += np.asarray(grain)[..., None]
    pixels = (picture.clip(0, 1) * 255).round().astype(np.uint8)
    return pixels if channels == 3 else pixels[..., :channels].copy()


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    """The shipped weights that `model="conv"` stands for, the very object, in torch, that the codec uses."""
    from neuralcodec.models.conv.runner import load

    monkeypatch.setenv("NCODEC_RUNTIME", "torch")
    return load(weights.by_name("conv"))


@pytest.fixture
def tiny_gru(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights that come before the package's, with a tiny `gru`."""
    from tiny import write_recurrent_weights

    folder = tmp_path_factory.mktemp("weights")
    write_recurrent_weights(folder / "gru.safetensors")
    monkeypatch.setenv(weights.VARIABLE, str(folder))
    return folder


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with folders of pictures, beside which the work is done."""
    monkeypatch.chdir(tmp_path)
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")  # so that what -j sets is undone
    for number, place in enumerate(["a.png", "sub/b.JPG", "sub/deeper/c.webp", ".hidden/d.png", ".e.png"]):
        path = tmp_path / "photos" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph(48, 64, seed=number)).save(path)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    return tmp_path / "photos"


@pytest.fixture
def tiny_models(tiny_gru: Path) -> Path:
    """As `tiny_gru`, with a tiny `conv` as well."""
    from tiny import write_conv_weights

    write_conv_weights(tiny_gru / "conv.safetensors")
    return tiny_gru


@pytest.fixture
def tiny_encoders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights that come before the package's: a tiny `conv` in two layers, its companions,
    and a network that takes off an eighth of the noise that it is told of, as a shade."""
    from tiny import darken, write_companion, write_denoiser, write_detail_weights

    folder = tmp_path_factory.mktemp("encoders")
    decoder = write_detail_weights(folder / "conv.safetensors")
    monkeypatch.setenv(weights.VARIABLE, str(folder))
    for kind in ("inpaint", "vivid"):
        write_companion(kind, folder, decoder)
    write_denoiser(folder, darken)
    return folder
