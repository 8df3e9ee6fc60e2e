"""Benchmarks without processes of their own, and one small report that many tests look at."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from conftest import photograph
from PIL import Image
from tiny import TINY_MODEL

from neuralcodec import weights
from neuralcodec.bench import charts, command, peers, report, scores, speed, sweep
from neuralcodec.cli.main import main
from neuralcodec.errors import describe
from neuralcodec.processes import Done


class Bench(NamedTuple):
    """What a run left behind."""

    status: int
    folder: Path
    photos: Path

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "report.json").read_text())


class _InThisProcess(NamedTuple):
    """As a pool of processes, as far as results and errors go."""

    function: Callable[[Any], Any]

    def run(self, tasks: Iterable[Any]) -> Iterator[Done[Any, Any]]:
        for task in tasks:
            try:
                yield Done(task, self.function(task), None)
            except Exception as error:
                yield Done(task, None, describe(error))


@contextmanager
def _in_this_process(function: Callable[[Any], Any], *, jobs: int, threads: int) -> Iterator[_InThisProcess]:
    yield _InThisProcess(function)


@contextmanager
def quick() -> Iterator[pytest.MonkeyPatch]:
    """No other processes, few settings, and no metric that takes half a second for each file."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (command, speed, sweep):
            patch.setattr(module, "pool", _in_this_process)
        patch.setattr(scores, "available", tuple)
        patch.setattr(peers.Jpeg, "settings", (5, 15, 40, 80))
        patch.setattr(peers.WebP, "settings", (0, 30, 80))
        yield patch


@pytest.fixture
def inline() -> Iterator[pytest.MonkeyPatch]:
    """`quick` for one test, whose report has no charts."""
    with quick() as patch:
        patch.setattr(report, "figure", lambda _: "<svg/>")
        patch.setattr(charts, "charts", lambda _: ([], []))
        yield patch


def save_photo(path: Path, height: int = 180, width: int = 200, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photograph(height, width, seed=seed)).save(path)
    return path


def bench(*words: object) -> int:
    """`ncodec bench` with a few settings of ours."""
    return main(["bench", *map(str, words), "--qualities", "20,60", "-j", "1"])


def scripts(name: str) -> ModuleType:
    """A script of `benchmarks/`."""
    spec = spec_from_file_location(name, Path(__file__).parents[2] / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each on standard error."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(folder: Path, handler: type[SimpleHTTPRequestHandler] = Quiet) -> Iterator[str]:
    """A server on this machine, and its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder)) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="package")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights file of a tiny model that knows nothing."""
    import torch
    from safetensors.torch import save_file

    from neuralcodec.models.conv.network import ConvCodec
    from neuralcodec.training.export import export

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    state = {f"ema.{name}": t.clone() for name, t in ConvCodec(TINY_MODEL).state_dict().items()}
    said = {"run": "{}", "codec": "conv", "model": json.dumps(asdict(TINY_MODEL))}
    save_file(state, folder / "checkpoint", said)
    export(folder / "checkpoint", folder / "tiny.safetensors")
    return folder / "tiny.safetensors"


@pytest.fixture
def tiny_model(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A further model, `tiny`; its weights file."""
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "tiny.safetensors").write_bytes(tiny_weights.read_bytes())
    monkeypatch.setenv(weights.VARIABLE, str(folder))
    return folder / "tiny.safetensors"


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Two pictures, one with a name that is no good in HTML, against JPEG and WebP."""
    photos, out = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("report")
    save_photo(photos / "a.png")
    save_photo(photos / "b <i>&.png", 190, 170, seed=1)
    with quick():
        status = bench(photos, "--against", "jpeg,webp", "--rounds", 1, "--published", "-o", out)
    return Bench(status, out, photos)
