"""CompressAI's models as peers: through a stand-in for the package, its absence, and the package itself."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from neuralcodec.bench import zoo
from neuralcodec.bench.peers import Jpeg
from neuralcodec.bench.registry import find
from neuralcodec.errors import DamagedFileError, UsageError

from .conftest import Bench, bench, save_photo, serving

real = pytest.mark.skipif(find_spec("compressai") is None, reason="needs the extra neuralcodec[compressai]")


class StandIn:
    """Answers like a model of CompressAI: its two strings hold the padded picture itself."""

    def __init__(self, *sizes: int) -> None:
        self.updated = False

    @classmethod
    def from_state_dict(cls, state: dict[str, torch.Tensor]) -> StandIn:
        assert state["trained"].item() == 1
        return cls()

    def update(self) -> None:
        self.updated = True

    def eval(self) -> StandIn:
        return self

    def compress(self, x: torch.Tensor) -> dict[str, Any]:
        assert self.updated
        assert x.shape[2] % 64 == x.shape[3] % 64 == 0
        pixels = (x[0] * 255).round().to(torch.uint8).numpy()
        return {"strings": [[pixels.tobytes()], [b"side"]], "shape": torch.Size(s // 64 for s in x.shape[2:])}

    def decompress(self, strings: list[list[bytes]], shape: tuple[int, int]) -> dict[str, torch.Tensor]:
        assert strings[1] == [b"side"]
        pixels = np.frombuffer(strings[0][0], np.uint8).reshape(1, 3, 64 * shape[0], 64 * shape[1])
        return {"x_hat": torch.tensor(pixels) / 255 + 0.001}  # also above 1, to be clipped


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where torch keeps what was downloaded; empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    zoo._model.cache_clear()
    yield tmp_path / "torch" / "hub" / "checkpoints"
    zoo._model.cache_clear()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> Iterator[ModuleType]:
    """The package, with models that are stand-ins and weights on a server of this machine."""
    served = tmp_path / "served"
    served.mkdir()
    for quality in range(1, 9):
        torch.save({"trained": torch.tensor(1)}, served / f"q{quality}.pth.tar")
    module: Any = ModuleType("compressai.zoo.image")
    with serving(served) as address:
        urls = {quality: f"{address}/q{quality}.pth.tar" for quality in range(1, 9)}
        module.model_urls = {name: {"ms-ssim": urls} for name in zoo.QUALITIES}
        module.cfgs = dict.fromkeys(zoo.QUALITIES, dict.fromkeys(range(1, 9), (128, 192)))
        module.model_architectures = dict.fromkeys(zoo.QUALITIES, StandIn)
        module.load_pretrained = dict
        monkeypatch.setitem(sys.modules, "compressai.zoo.image", module)
        monkeypatch.setattr(zoo, "find_spec", lambda _: object())
        version = metadata.version
        monkeypatch.setattr(
            metadata, "version", lambda name: "1.2.8" if name == "compressai" else version(name)
        )
        yield module


@pytest.mark.parametrize("shape", [(70, 130, 3), (64, 64, 1), (1, 1, 3)])
@pytest.mark.parametrize("name", ["compressai", "compressai:mbt2018-mean:untrained"])
def test_round_trip(installed: ModuleType, shape: tuple[int, int, int], name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    peer = find(name)
    assert peer.missing() is None
    decoded = peer.decode(peer.encode(image, 3))
    assert np.array_equal(decoded, np.broadcast_to(image, (*shape[:2], 3)))
    assert "mbt2018-mean" in peer.version()


def test_weights_are_fetched_once(
    installed: ModuleType, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert zoo.CompressAi().missing() is None
    assert sorted(path.name for path in cache.iterdir()) == [f"q{q}.pth.tar" for q in range(1, 9)]
    assert capsys.readouterr().err.count("fetching http://127.0.0.1") == 8
    assert zoo.CompressAi().missing() is None
    assert capsys.readouterr().err == ""


def test_weights_that_are_not_there(installed: ModuleType, cache: Path) -> None:
    urls = installed.model_urls["mbt2018-mean"]["ms-ssim"]
    installed.model_urls = {"mbt2018-mean": {"ms-ssim": urls | {1: urls[1].replace("q1", "none")}}}
    reason = zoo.CompressAi().missing() or ""
    assert reason.startswith("no trained weights: http://127.0.0.1")
    assert "the server says 404" in reason
    assert list(cache.iterdir()) == []
    twin = zoo.untrained(zoo.CompressAi())
    assert twin is not None
    assert (twin.name, twin.settings) == ("compressai:mbt2018-mean:untrained", ())
    assert zoo.untrained(Jpeg()) is None


def test_a_file_without_weights_is_named(installed: ModuleType, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "q1.pth.tar").write_bytes(b"half a file")
    reason = zoo.CompressAi().missing() or ""
    assert f"{cache / 'q1.pth.tar'} has no weights" in reason
    assert reason.endswith("delete it")
    assert "\n" not in reason


def test_a_file_that_is_cut_short(installed: ModuleType) -> None:
    peer = zoo.CompressAi(trained=False)
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
    for architecture in zoo.QUALITIES:
        for trained in (True, False):
            peer = zoo.CompressAi(architecture, trained)
            assert zoo.find(peer.name) == peer
    for name in ("compressai:x", "compressai:mbt2018:y", "compressai:mbt2018:untrained:z"):
        with pytest.raises(UsageError, match=f"no CompressAI model named '{name}'"):
            zoo.find(name)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "find_spec", lambda _: None)
    assert zoo.CompressAi().missing() == "not installed: pip install 'neuralcodec[compressai]'"
    assert zoo.untrained(zoo.CompressAi()) is None


def test_a_package_that_does_not_load(installed: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> ModuleType:
        raise RuntimeError("operator torchvision::nms\ndoes not exist")

    monkeypatch.setattr(importlib, "import_module", refuse)
    expected = "is installed, but cannot be loaded: RuntimeError: operator torchvision::nms does not exist"
    assert zoo.CompressAi().missing() == f"compressai {expected}"
    assert zoo.untrained(zoo.CompressAi()) is None


def test_without_weights_the_report_has_the_speed(
    tmp_path: Path, installed: ModuleType, inline: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "http://127.0.0.1:9/mbt2018-mean-1.pth.tar"
    installed.model_urls = {"mbt2018-mean": {"ms-ssim": {1: url}}}
    photo, out = save_photo(tmp_path / "a.png"), tmp_path / "out"
    assert bench(photo, "--against", "jpeg,compressai", "--rounds", 1, "-o", out) == 1
    err = capsys.readouterr().err
    assert f"error: compressai: no trained weights: {url}: " in err
    assert "only its speed is measured, with random weights" in err
    report = Bench(1, out, tmp_path).report
    twin = "compressai:mbt2018-mean:untrained"
    assert report["codecs"][twin]["settings"] == []
    assert list(report["summary"]) == ["jpeg", "ours"]
    assert {m["codec"] for m in report["matched"]} == {"jpeg", "ours"}
    assert report["speed"]["codecs"][twin]["setting"] == 4
    assert report["speed"]["codecs"][twin]["encode_mp_s"] > 0
    page = (out / "report.html").read_text()
    assert "CompressAI mbt2018-mean, random weights" in page
    assert "no trained weights" in page
    # Nothing is left to compare with then.
    assert bench(photo, "--against", "compressai", "--rounds", 0, "-o", out) == 1
    assert "no codec to compare with: compressai: no trained weights" in capsys.readouterr().err


def test_nothing_else_imports_it() -> None:
    code = "import sys, neuralcodec.bench.command; print('compressai' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# ---- the package itself ----------------------------------------------------------------------------------


@real
@pytest.mark.parametrize("architecture", ["bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean"])
def test_networks_of_the_package(cache: Path, architecture: str) -> None:
    peer = zoo.CompressAi(architecture, trained=False)
    assert peer.missing() is None
    image = np.random.default_rng(0).integers(0, 256, (70, 100, 3), np.uint8)
    data = peer.encode(image, 4)
    decoded = peer.decode(data)
    assert decoded.shape == image.shape
    zoo._model.cache_clear()
    assert zoo.CompressAi(architecture, trained=False).encode(image, 4) == data


@real
def test_weights_in_the_form_of_the_package(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_zoo = zoo._zoo()
    assert set(zoo.QUALITIES) <= set(image_zoo.model_urls)
    for architecture, qualities in zoo.QUALITIES.items():
        assert set(image_zoo.model_urls[architecture]["ms-ssim"]) == set(range(1, qualities + 1))
    served = tmp_path / "served"
    served.mkdir()
    model = image_zoo.model_architectures["bmshj2018-factorized"](*image_zoo.cfgs["bmshj2018-factorized"][1])
    model.update()
    torch.save(model.state_dict(), served / "factorized-1.pth.tar")
    with serving(served) as address:
        urls = dict.fromkeys(range(1, 9), f"{address}/factorized-1.pth.tar")
        monkeypatch.setitem(image_zoo.model_urls, "bmshj2018-factorized", {"ms-ssim": urls})
        peer = find("compressai:bmshj2018-factorized")
        assert peer.missing() is None
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with torch.inference_mode():
        x = torch.from_numpy(image.transpose(2, 0, 1)[None] / np.float32(255))
        (expected,) = model.eval().compress(x)["strings"]
    data = peer.encode(image, 1)
    assert data.endswith(expected[0])
    assert peer.decode(data).shape == image.shape


@real
@pytest.mark.parametrize("kind", ["no answer", "nothing there"])
def test_a_network_that_fails(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    class Silent(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(1)  # until the client hangs up

    monkeypatch.setattr("neuralcodec.bench.download.TIMEOUT", 0.5)
    with serving(tmp_path, Silent) as address:
        url = address if kind == "no answer" else "http://127.0.0.1:9"
        urls = dict.fromkeys(range(1, 9), f"{url}/weights.pth.tar")
        monkeypatch.setitem(zoo._zoo().model_urls, "mbt2018-mean", {"ms-ssim": urls})
        reason = zoo.CompressAi().missing() or ""
    assert reason.startswith(f"no trained weights: {url}/weights.pth.tar: ")
    assert "timed out" in reason or "refused" in reason
