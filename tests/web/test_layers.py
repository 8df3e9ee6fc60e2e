"""Conv files of two layers in `web/`: the same latents, pixels within a level, first of the base alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from tiny import write_detail_weights

import neuralcodec
from neuralcodec import weights
from neuralcodec.coding.latents import decode_latents
from neuralcodec.coding.progressive import truncate
from neuralcodec.format import container
from neuralcodec.models.conv.runner import load
from neuralcodec.training.export_graphs import write_index

from .chromium import run

SETUP = 'nc.configure({weights: new URL("/weights/", location.href).href});'
LATENTS = """
const {Container} = await import("/web/lib/container.js");
const {Library} = await import("/web/lib/weights.js");
const {DetailPrior, Prior} = await import("/web/lib/prior.js");
const bytes = async path => new Uint8Array(await (await fetch(path)).arrayBuffer());
const hex = digest => [...new Uint8Array(digest)].map(n => n.toString(16).padStart(2, "0")).join("");
const file = new Container({maxPixels: 2 ** 20});
file.push(await bytes("/a.nc"));
file.finish();
const weights = await new Library(name => bytes(`/weights/${name}`)).find(file.header.weights);
const prior = new Prior(weights), detail = new DetailPrior(weights, prior);
const levels = weights.levels(file.header.quality);
const base = prior.decode(file.tiles[0], levels.quality, 6, 9);
const latents = [base, detail.decode(file.tiles[1], levels.row, base, 6, 9)];
return Promise.all(latents.map(async latent => hex(await crypto.subtle.digest("SHA-256", latent.buffer))));
"""
SHOW = """
const shown = [];
const image = await nc.decode("/a.nc", {everyStage: true, onPreview: image => shown.push(image)});
await put("base", shown[0].data);
await put("whole", image.data);
return shown.length;
"""
ONE = """
const image = await nc.decode("/a.nc", {stage: 1});
await put("base", image.data);
const names = [];
for (const name of NAMES) names.push(await nc.decode(name).then(() => "a picture", error => error.name));
return names;
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("weights")
    write_detail_weights(out / "two.safetensors")
    write_index(out)
    return out


@pytest.fixture
def served(folder: Path) -> dict[str, bytes]:
    """What a server has: the weights, and a file of one tile in two layers."""
    data = neuralcodec.encode(photograph(90, 140), quality=95, model=folder / "two.safetensors")
    return {f"weights/{path.name}": path.read_bytes() for path in folder.iterdir()} | {"a.nc": data}


def pixels(sent: bytes) -> np.ndarray:
    return np.frombuffer(sent, np.uint8).reshape(90, 140, 4)[..., :3].astype(int)


def test_latents_bit_for_bit(tmp_path: Path, folder: Path, served: dict[str, bytes]) -> None:
    found, _ = run(LATENTS, tmp_path, files=served)
    model = load(weights.by_name(folder / "two.safetensors"))
    latents = decode_latents(container.read(served["a.nc"]), model)
    assert latents.detail is not None
    both = [(values * 16).astype("<i4").tobytes() for values in (latents.values, latents.detail)]
    assert found == [hashlib.sha256(values).hexdigest() for values in both]


def test_the_base_is_shown_before_its_details(tmp_path: Path, served: dict[str, bytes]) -> None:
    found, sent = run(SETUP + SHOW, tmp_path, files=served)
    assert found == 1
    for name, stage in (("base", 1), ("whole", None)):
        expected = neuralcodec.decode(served["a.nc"], stage=stage, as_array=True)
        assert np.abs(pixels(sent[name]) - expected).max() <= 1


def test_one_layer_and_what_is_none(tmp_path: Path, served: dict[str, bytes]) -> None:
    data = served["a.nc"]
    parsed = container.read(data)
    parsed.tiles = parsed.tiles[:1]
    files = served | {
        "base.nc": truncate(data, stages=1),
        "fewer.nc": container.write(parsed),
        "cut.nc": data[:-20],
        "bad.nc": data[:-30] + bytes([data[-30] ^ 1]) + data[-29:],
    }
    script = SETUP + ONE.replace("NAMES", '["/base.nc", "/fewer.nc", "/cut.nc", "/bad.nc"]')
    names, sent = run(script, tmp_path, files=files)
    assert names == ["a picture", "DamagedFileError", "DamagedFileError", "DamagedFileError"]
    assert np.abs(pixels(sent["base"]) - neuralcodec.decode(data, stage=1, as_array=True)).max() <= 1
