"""CompressAI's models through a stand-in for that package, and its absence."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from neuralcodec.bench import zoo
from neuralcodec.bench.peers import find
from neuralcodec.errors import DamagedFileError, UsageError


class StandIn:
    """Answers like a model of CompressAI: its two strings hold the padded picture itself."""

    def __init__(self, quality: int, metric: str, pretrained: bool) -> None:
        assert metric == "ms-ssim"
        assert pretrained
        self.quality = quality

    def eval(self) -> StandIn:
        return self

    def compress(self, x: torch.Tensor) -> dict[str, Any]:
        assert x.shape[2] % 64 == x.shape[3] % 64 == 0
        pixels = (x[0] * 255).round().to(torch.uint8).numpy()
        return {"strings": [[pixels.tobytes()], [b"side"]], "shape": torch.Size(s // 64 for s in x.shape[2:])}

    def decompress(self, strings: list[list[bytes]], shape: tuple[int, int]) -> dict[str, torch.Tensor]:
        assert strings[1] == [b"side"]
        pixels = np.frombuffer(strings[0][0], np.uint8).reshape(1, 3, 64 * shape[0], 64 * shape[1])
        return {"x_hat": torch.tensor(pixels) / 255 + 0.001}  # also above 1, to be clipped


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The package, with models that are stand-ins."""
    module = ModuleType("compressai.zoo")
    module.image_models = dict.fromkeys(zoo.QUALITIES, StandIn)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "compressai.zoo", module)
    monkeypatch.setattr(zoo, "find_spec", lambda _: object())
    monkeypatch.setattr(metadata, "version", lambda _: "1.2.6")
    zoo._model.cache_clear()
    return module


@pytest.mark.parametrize("shape", [(70, 130, 3), (64, 64, 1), (1, 1, 3)])
def test_round_trip(installed: ModuleType, shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    peer = find("compressai")
    assert peer.missing() is None
    decoded = peer.decode(peer.encode(image, 3))
    assert np.array_equal(decoded, np.broadcast_to(image, (*shape[:2], 3)))
    assert "mbt2018-mean ms-ssim" in peer.version()


def test_a_file_that_is_cut_short(installed: ModuleType) -> None:
    peer = zoo.CompressAi()
    with pytest.raises(DamagedFileError):
        peer.decode(peer.encode(np.zeros((8, 8, 3), np.uint8), 1)[:12])


def test_names() -> None:
    attention = zoo.find("compressai:cheng2020-attn")
    assert (attention.name, attention.limits, len(attention.settings)) == (
        "compressai:cheng2020-attn",
        (1, 6),
        6,
    )
    assert zoo.find("compressai").name == "compressai"
    assert zoo.find("compressai:mbt2018-mean").name == "compressai"
    with pytest.raises(UsageError, match="no CompressAI model named 'x'"):
        zoo.find("compressai:x")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "find_spec", lambda _: None)
    assert zoo.CompressAi().missing() == "not installed: pip install 'neuralcodec[compressai]'"


def test_without_its_weights(installed: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(installed, "image_models", dict.fromkeys(zoo.QUALITIES, refuse))
    assert "pretrained weights are not available (OSError: no network)" in (zoo.CompressAi().missing() or "")


def test_nothing_else_imports_it() -> None:
    code = "import sys, neuralcodec.bench.command; print('compressai' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
