"""The codec in the form of CompressAI's models, under the real package's tools: `make test-compressai`."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import photograph
from PIL import Image

import neuralcodec
from neuralcodec.coding.batched import CompressionModel

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it uses what torch has deprecated
    reason = "needs CompressAI: make test-compressai runs this in an environment of its own"
    losses = pytest.importorskip("compressai.losses", reason=reason, exc_type=ImportError)
    tool = pytest.importorskip("compressai.utils.eval_model.__main__", reason=reason, exc_type=ImportError)

SIZES = ((192, 256), (170, 190))


@pytest.fixture(scope="module")
def model() -> CompressionModel:
    return neuralcodec.load_model().at(quality=40).eval()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number}.png" for number in range(len(SIZES))]
    for number, path in enumerate(paths):
        Image.fromarray(photograph(*SIZES[number], seed=number)).save(path)
    return paths


def evaluate(model: CompressionModel, pictures: list[Path], out: Path, **options: Any) -> dict[str, float]:
    """What `python -m compressai.utils.eval_model` does with a model."""
    return dict(
        tool.eval_model(
            model,
            out,
            pictures[0].parent,
            pictures,
            trained_net="neuralcodec",
            **{"architecture": "neuralcodec", "half": False, "per_image": True, **options},
        )
    )


@pytest.mark.filterwarnings("ignore")
def test_eval_model_measures_real_files(
    model: CompressionModel, pictures: list[Path], tmp_path: Path
) -> None:
    small = [pictures[0]]  # of multiples of 64: the tool pads the others with black
    metrics = evaluate(model, small, tmp_path)
    x = torch.from_numpy(np.asarray(Image.open(small[0]))).permute(2, 0, 1)[None] / 255
    [data] = neuralcodec.load_model().compress(x, quality=40)
    assert metrics["bpp"] == pytest.approx(8 * len(data) / (192 * 256))
    error = neuralcodec.decode(data, as_array=True).astype(float) - np.asarray(Image.open(small[0]))
    assert metrics["psnr-rgb"] == pytest.approx(10 * np.log10(255**2 / np.square(error).mean()), abs=0.05)
    assert 0.8 < metrics["ms-ssim-rgb"] < 1
    assert json.loads((tmp_path / "0-neuralcodec.json").read_text())["results"]["bpp"] == metrics["bpp"]


@pytest.mark.filterwarnings("ignore")
def test_the_estimated_rate_is_that_of_the_files(
    model: CompressionModel, pictures: list[Path], tmp_path: Path
) -> None:
    real, estimated = (
        evaluate(model, pictures[:1], tmp_path, entropy_estimation=estimation) for estimation in (False, True)
    )
    header = 8 * 60 / (192 * 256)  # and the checksums
    assert 0.95 * estimated["bpp"] < real["bpp"] < estimated["bpp"] + header
    assert real["psnr-rgb"] == pytest.approx(estimated["psnr-rgb"], abs=0.3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimation", [False, True])
def test_eval_model_takes_pictures_of_any_size(
    model: CompressionModel, pictures: list[Path], tmp_path: Path, estimation: bool
) -> None:
    metrics = evaluate(model, pictures, tmp_path, entropy_estimation=estimation, per_image=False)
    assert 0 < metrics["bpp"] < 2 and metrics["psnr-rgb"] > 20


@pytest.mark.parametrize("metric", ["mse", "ms-ssim"])
def test_their_loss_trains_it(metric: str) -> None:
    """Steps against the gradient of `RateDistortionLoss` make it smaller."""
    model = neuralcodec.load_model().at(quality=30).train()
    # Far from what the weights were trained for: a few steps already gain.
    criterion = losses.RateDistortionLoss(lmbda=1e-4 if metric == "mse" else 2.0, metric=metric)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    pixels = np.stack([photograph(192, 192, seed=seed) for seed in range(2)])
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    found = []
    for _ in range(4):
        out = criterion(model(x), x)
        assert set(out) >= {"bpp_loss", "loss"}
        optimizer.zero_grad()
        out["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        found.append(out["loss"].item())
    gradients = {name.split(".")[2] for name, p in model.named_parameters() if p.grad is not None}
    assert gradients >= {"analysis", "synthesis", "hyper_analysis"}
    assert found[-1] < found[0]
