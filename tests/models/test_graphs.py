"""Graphs that are loaded ahead of their first run."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuralcodec import weights
from neuralcodec.coding import families
from neuralcodec.errors import NeuralCodecError
from neuralcodec.models import graphs
from neuralcodec.models.graphs import Graphs


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of graphs as they are loaded, in a process that has run none."""
    names, load = [], graphs._load

    def counted(file: weights.WeightsFile, name: str) -> Any:
        names.append(name)
        return load(file, name)

    monkeypatch.setattr(graphs, "_load", counted)
    monkeypatch.setattr(graphs, "_all", weakref.WeakSet())
    monkeypatch.setattr(graphs, "_coming", {})
    monkeypatch.setenv("NCODEC_RUNTIME", "onnx")
    return names


def test_what_decoding_or_encoding_begins_with_is_loaded_once(loaded: list[str]) -> None:
    file = weights.by_name("conv")
    families.expect(file)
    families.expect(file, 1)  # one after another would be for no first picture
    own = Graphs(file, weights.read(file).arrays)
    pixels = np.zeros((64, 64, 3), np.float32)
    assert own.run("features", pixels=pixels)[0].shape[2:] == (8, 8)
    assert own.run("features", pixels=pixels)[0].shape[2:] == (8, 8)
    for future in graphs._coming.values():
        future.result()
    assert loaded == ["features", "latent", "hyper_analysis", "detail_analysis"]


@pytest.mark.parametrize(("layers", "name"), [(1, "synthesis"), (2, "detail_synthesis")])
def test_decoding_loads_the_graph_of_its_layers(layers: int, name: str, loaded: list[str]) -> None:
    families.expect(weights.by_name("conv"), layers)
    [future] = graphs._coming.values()
    assert future.result().get_outputs()[0].name == "pixels"
    assert loaded == [name]


def test_a_process_with_graphs_loads_none_ahead(loaded: list[str]) -> None:
    file = weights.by_name("conv")
    kept = Graphs(file, weights.read(file).arrays)
    families.expect(file)
    assert not graphs._coming
    assert not loaded
    del kept


def test_what_is_wrong_is_said_where_the_graph_is_run(loaded: list[str], tmp_path: Path) -> None:
    original = weights.by_name("conv")
    for path in original.path.parent.glob(f"{original.path.stem}*"):
        if not path.name.endswith(".latent.onnx"):
            (tmp_path / path.name).symlink_to(path)
    file = weights.at(tmp_path / original.path.name)
    families.expect(file)
    own = Graphs(file, weights.read(file).arrays)
    with pytest.raises(NeuralCodecError, match=r"latent\.onnx is missing"):
        own.run("latent")
