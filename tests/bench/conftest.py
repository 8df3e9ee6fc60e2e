"""Benchmarks without processes of their own, and one small report that many tests look at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import photograph
from PIL import Image

from neuralcodec import cli
from neuralcodec.bench import command, peers, speed, sweep
from neuralcodec.bench.workers import Pool


class Bench(NamedTuple):
    """What a run left behind."""

    status: int
    folder: Path
    photos: Path

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "report.json").read_text())


@contextmanager
def _in_this_process(function: Callable[[Any], Any], *, jobs: int, threads: int) -> Iterator[Pool[Any, Any]]:
    with ThreadPoolExecutor(1) as executor:
        yield Pool(function, executor)


@contextmanager
def quick() -> Iterator[pytest.MonkeyPatch]:
    """No other processes, few settings, and no SSIMULACRA2, which takes half a second for each file."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (command, speed, sweep):
            patch.setattr(module, "pool", _in_this_process)
        patch.setattr(command, "find_spec", lambda _: None)
        patch.setattr(peers.Jpeg, "settings", (5, 15, 40, 80))
        patch.setattr(peers.WebP, "settings", (0, 30, 80))
        yield patch


@pytest.fixture
def inline() -> Iterator[pytest.MonkeyPatch]:
    """`quick` for one test."""
    with quick() as patch:
        yield patch


def save_photo(path: Path, height: int = 180, width: int = 200, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photograph(height, width, seed=seed)).save(path)
    return path


def bench(*words: object) -> int:
    """`ncodec bench` with a few settings of ours."""
    return cli.main(["bench", *map(str, words), "--qualities", "20,60", "-j", "1"])


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Two pictures, one with a name that is no good in HTML, against JPEG and WebP."""
    photos, out = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("report")
    save_photo(photos / "a.png")
    save_photo(photos / "b <i>&.png", 190, 170, seed=1)
    with quick():
        status = bench(photos, "--against", "jpeg,webp", "--rounds", 1, "--published", "-o", out)
    return Bench(status, out, photos)
