"""Run times: which one is used, and that both code the same pictures alike."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import photograph
from tiny import write_detail_weights

import neuralcodec
from neuralcodec import NeuralCodecError, UsageError, weights
from neuralcodec.models import runtime as runtimes
from neuralcodec.models.conv.light import LightModel
from neuralcodec.models.graphs import has_graphs
from neuralcodec.models.runtime import VARIABLE, described, on_gpu, require_torch, runtime
from neuralcodec.training.export_graphs import write_graphs


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, *args: Any) -> ModuleSpec | None:
        return None if name == "torch" else find(name, *args)

    monkeypatch.setattr(importlib.util, "find_spec", without)


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, "NCODEC_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(runtimes, "_has_driver", lambda: False)


def test_the_run_time_is_what_the_task_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime() == runtime("cpu") == "onnx"
    assert described().startswith("ONNX Runtime ")
    assert runtime("cuda") == runtime(effort=2) == runtime(graphs=False) == "torch"
    monkeypatch.setattr(runtimes, "_has_driver", lambda: True)
    monkeypatch.setattr(runtimes, "_torch_finds_gpu", lambda: True)
    assert runtime() == "torch"
    assert described().startswith("PyTorch ")
    assert runtime("cpu") == "onnx"
    monkeypatch.setattr(runtimes, "_torch_finds_gpu", lambda: False)
    assert runtime() == "onnx"
    monkeypatch.setenv(VARIABLE, "torch")
    assert runtime() == runtime("cpu") == "torch"
    assert described().startswith("PyTorch ")
    monkeypatch.setenv(VARIABLE, "onnx")
    assert runtime(graphs=False) == "onnx"


def test_what_loads_torch_and_what_does_not(tmp_path: Path) -> None:
    """Weights without graphs and efforts above 1 are left to torch without a word; nothing else loads it."""
    shutil.copy(weights.by_name("conv").path, tmp_path / "bare.safetensors")
    script = """
import sys, numpy, neuralcodec
noise = numpy.random.default_rng(0).integers(0, 256, (16, 16, 3), numpy.uint8)
loaded = []
def tell(data):
    loaded.append("torch" in sys.modules)
    return data
tell(neuralcodec.decode(tell(neuralcodec.encode(noise))))
tell(neuralcodec.decode(tell(neuralcodec.encode(noise, model="gru"))))
"""
    for call in ("noise, effort=2", "noise, model='bare.safetensors'"):
        asked = f"{script}tell(neuralcodec.encode({call}))\nprint(loaded)"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", asked],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.stdout.strip() == "[False, False, False, False, True]", done.stderr


def test_graphs_of_both_halves_are_wanted(tmp_path: Path) -> None:
    shipped = weights.by_name("conv").path
    path = tmp_path / shipped.name
    shutil.copy(shipped, path)
    assert not has_graphs(weights.at(path))
    shutil.copy(shipped.with_name(f"{shipped.stem}.synthesis.onnx"), tmp_path)
    assert not has_graphs(weights.at(path))
    shutil.copy(shipped.with_name(f"{shipped.stem}.features.onnx"), tmp_path)
    assert has_graphs(weights.at(path))
    assert all(has_graphs(file) for file in weights.available() if file.kind is None)


@pytest.mark.usefixtures("no_torch")
def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime() == runtime(graphs=False) == "onnx"
    with pytest.raises(UsageError, match=r"train: it needs PyTorch: pip install 'neuralcodec\[torch\]'"):
        require_torch("train")
    with pytest.raises(UsageError, match=r"device cuda: it needs PyTorch"):
        runtime("cuda")
    monkeypatch.setenv(VARIABLE, "torch")
    with pytest.raises(UsageError, match=r"runtime torch: it needs PyTorch"):
        runtime()


def test_wishes_that_cannot_be_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "tensorflow")
    with pytest.raises(UsageError, match="must be auto, torch or onnx, not 'tensorflow'"):
        runtime()
    monkeypatch.setenv(VARIABLE, "onnx")
    with pytest.raises(UsageError, match="device cuda: runtime onnx has no such device"):
        neuralcodec.encode(photograph(32, 32), device="cuda")
    with pytest.raises(UsageError, match="effort 2: runtime onnx has no gradients"):
        neuralcodec.encode(photograph(32, 32), effort=2)


@pytest.mark.parametrize("found", [True, False])
def test_whether_models_run_on_a_gpu(monkeypatch: pytest.MonkeyPatch, found: bool) -> None:
    monkeypatch.setattr(runtimes, "_has_driver", lambda: True)
    monkeypatch.setattr(runtimes, "_torch_finds_gpu", lambda: found)
    monkeypatch.setenv(VARIABLE, "torch")
    for device, expected in (("cuda", True), ("auto", found), ("", found), ("cpu", False)):
        monkeypatch.setenv("NCODEC_DEVICE", device)
        assert on_gpu() is expected
    monkeypatch.setenv(VARIABLE, "onnx")
    monkeypatch.setenv("NCODEC_DEVICE", "auto")
    assert not on_gpu()


@pytest.mark.parametrize(
    "arguments", [{"quality": 60}, {"quality": 8}, {"model": "gru", "quality": 50}], ids=str
)
def test_both_code_alike(monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]) -> None:
    picture = photograph(70, 90)
    files, pixels = {}, {}
    for name in ("torch", "onnx"):
        monkeypatch.setenv(VARIABLE, name)
        files[name] = neuralcodec.encode(picture, **arguments)
    for name in ("torch", "onnx"):
        monkeypatch.setenv(VARIABLE, name)
        pixels[name] = neuralcodec.decode(files["torch"], as_array=True).astype(int)
    # Rounded differently, an element of the latent here and there takes other bits.
    assert abs(len(files["onnx"]) - len(files["torch"])) <= 0.02 * len(files["torch"]) + 4
    # torch may work in bfloat16.
    assert np.abs(pixels["onnx"] - pixels["torch"]).max() <= 4
    assert np.abs(pixels["onnx"] - pixels["torch"]).mean() < 0.5


def test_both_code_details_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = write_detail_weights(tmp_path / "two.safetensors")
    write_graphs(file.path)
    monkeypatch.setenv(VARIABLE, "onnx")
    picture = photograph(70, 90)
    files = {q: neuralcodec.encode(picture, quality=q, model=file.path) for q in (69, 70, 95)}
    light = {q: neuralcodec.decode(data, as_array=True).astype(int) for q, data in files.items()}
    monkeypatch.setenv(VARIABLE, "torch")
    for q, data in files.items():
        by_torch = neuralcodec.encode(picture, quality=q, model=file.path)
        assert abs(len(by_torch) - len(data)) <= 0.02 * len(data) + 4
        assert np.abs(neuralcodec.decode(data, as_array=True) - light[q]).max() <= 4


def test_graphs_must_be_those_of_the_weights(tmp_path: Path) -> None:
    shipped = weights.by_name("conv").path
    path = tmp_path / shipped.name
    shutil.copy(shipped, path)
    y_hat = np.zeros((1, 1, 128), np.float32)
    with pytest.raises(NeuralCodecError, match=r"synthesis\.onnx is missing"):
        LightModel(weights.at(path)).synthesise(y_hat, 50)
    graph = path.with_name(f"{path.stem}.synthesis.onnx")
    graph.write_bytes(b"no graph")
    with pytest.raises(NeuralCodecError, match=r"synthesis\.onnx cannot be loaded"):
        LightModel(weights.at(path)).synthesise(y_hat, 50)
    shutil.copy(shipped.with_name(f"{shipped.stem}.synthesis.onnx"), graph)
    assert LightModel(weights.at(path)).synthesise(y_hat, 50).shape == (16, 16, 3)
    other = weights.read(weights.at(path))
    arrays = {
        **other.arrays,
        "transforms.analysis.stem.bias": other.arrays["transforms.analysis.stem.bias"] + 1,
    }
    weights.write(path, arrays, codec="conv", model=other.model, tradeoff=other.tradeoff, canary=other.canary)
    with pytest.raises(NeuralCodecError, match=r"synthesis\.onnx is not the graph of"):
        LightModel(weights.at(path)).synthesise(y_hat, 50)
