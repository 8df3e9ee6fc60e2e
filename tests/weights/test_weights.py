"""Weights files: what their id stands for, where they are found, and bad ones."""

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import photograph
from safetensors import safe_open
from safetensors.numpy import save_file
from tiny import TINY_MODEL, write_conv_weights, write_recurrent_weights

import neuralcodec
from neuralcodec import weights
from neuralcodec.entropy import canary
from neuralcodec.entropy.exact import Dense
from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError
from neuralcodec.models.conv.runner import Model
from neuralcodec.weights import Tradeoff
from neuralcodec.weights.identity import decoder_hash, id_of, is_encoder
from neuralcodec.weights.packing import PACKED, UNPACKED, pack, unpack
from neuralcodec.weights.stored import arrays_of

PACKAGE = Path(weights.__file__).parent


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Weights of a tiny conv model, in a folder of their own."""
    (tmp_path / "mine").mkdir()
    return write_conv_weights(tmp_path / "mine" / "mine.safetensors").path


def load(path: Path) -> dict[str, np.ndarray]:
    return arrays_of(weights.at(path))


def change(path: Path, edit: Callable[[dict[str, Any], dict[str, np.ndarray]], None], **header: str) -> Path:
    """The file written anew, not packed, with other metadata or arrays; what it says of itself stays."""
    file = weights.by_name(path)
    said, arrays = {name: value for name, value in file.said.items() if name != UNPACKED}, load(path)
    edit(said, arrays)
    save_file(arrays, path, {"neuralcodec": json.dumps(said), **header})
    weights._read_header.cache_clear()  # a file of the same size, in the same tick of the clock
    return path


# ---- ids --------------------------------------------------------------------------------------------------


def hash_of(path: Path, edit: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> str:
    said, arrays = json.loads(json.dumps(weights.by_name(path).said)), load(path)
    edit(said, arrays)
    return decoder_hash(said["codec"], said["model"], arrays)


def test_the_id_is_that_of_what_a_decoder_needs(mine: Path) -> None:
    file = weights.by_name(mine)
    assert hash_of(mine, lambda said, arrays: None) == file.decoder
    assert file.id.hex() == file.decoder[:8]
    names = [*load(mine)]
    encoder = [name for name in names if is_encoder(name)]
    assert {"transforms.analysis_gain.log_gain", "transforms.hyper_analysis.head.bias"} < {*encoder}
    assert not [name for name in encoder if "synthesis" in name or not name.startswith("transforms.")]
    for name in names:

        def other(_: object, arrays: dict[str, np.ndarray], name: str = name) -> None:
            arrays[name] = arrays[name] + np.ones((), arrays[name].dtype)

        assert (hash_of(mine, other) == file.decoder) == (name in encoder), name
    assert hash_of(mine, lambda said, _: said["model"].update(levels=4)) != file.decoder
    assert hash_of(mine, lambda said, _: said.update(tradeoff={}, canary={})) == file.decoder


def test_released_weights_keep_their_ids() -> None:
    there = weights.available()
    shipped = {file.name: file for file in there if file.kind is None}
    assert {name: file.id.hex() for name, file in shipped.items()} == {
        "conv": "c3c4eb22",
        "conv-2026-11-26": "cbd8152c",
        "conv-2026-11-24-evening": "96604f79",
        "conv-2026-11-22": "157adb15",
        "conv-2026-11-24": "ae1edfda",
        "gru": "7a5eea88",
    }
    for file in shipped.values():
        assert file.path.stem == f"{file.name}-{file.id.hex()}"
        assert id_of(file.decoder) == file.id.hex()
        assert weights.read(file).id == file.id  # the arrays are those of the hash


def test_retired_weights_only_decode() -> None:
    file = weights.by_id(bytes.fromhex("157adb15"))
    assert not file.encodes
    assert not [name for name in weights.read(file).arrays if is_encoder(name)]
    with pytest.raises(UsageError, match="conv-2026-11-22 has no encoder: these weights are for decoding"):
        neuralcodec.encode(photograph(8, 8), model="conv-2026-11-22")


def test_encoders_share_a_decoder(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A better encoder writes files that every decoder of before reads."""
    picture = photograph(40, 50)
    before = neuralcodec.encode(picture, model=mine)
    file, arrays = weights.by_name(mine), load(mine)
    encoder = {name: array for name, array in arrays.items() if is_encoder(name)}
    encoder["transforms.analysis.shortcut.bias"] = encoder["transforms.analysis.shortcut.bias"] + np.float16(
        0.2
    )
    other = tmp_path / "other.safetensors"
    save = {"codec": "conv", "model": file.said["model"], "tradeoff": Tradeoff(lambda_low=1.0)}
    written = weights.write(other, encoder, **save, decoder=file.decoder)
    assert (written.encodes, written.decodes, written.id) == (True, False, file.id)
    assert weights.read(written).tradeoff == Tradeoff(lambda_low=1.0)
    data = neuralcodec.encode(picture, model=other)
    assert data != before
    monkeypatch.setattr(weights, "_opened", {})
    monkeypatch.setenv(weights.VARIABLE, str(mine))
    assert neuralcodec.decode(data, as_array=True).shape == (40, 50, 3)
    monkeypatch.delenv(weights.VARIABLE)
    with pytest.raises(
        UsageError, match=rf"an encoder for weights {file.id.hex()}, which are not here: .*WEIGHTS"
    ):
        neuralcodec.encode(picture, model=other)


# ---- finding ----------------------------------------------------------------------------------------------


def test_a_path_is_a_model(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_opened", {})
    data = neuralcodec.encode(photograph(40, 50), model=mine)
    identity = weights.by_name(mine).id
    assert neuralcodec.info(data).weights == identity.hex()
    assert neuralcodec.decode(data, as_array=True).shape == (40, 50, 3)  # this process knows where they are
    monkeypatch.setattr(weights, "_opened", {})
    with pytest.raises(
        DamagedFileError, match=rf"needs weights {identity.hex()}, which .* name their folder in"
    ):
        neuralcodec.decode(data)
    monkeypatch.chdir(mine.parent)
    assert neuralcodec.encode(photograph(40, 50), model="mine.safetensors") == data
    assert neuralcodec.load_model("./mine.safetensors")._model.id == identity


@pytest.mark.parametrize("entry", ["", "mine.safetensors"])
def test_the_search_path_has_folders_and_files(
    mine: Path, tmp_path: Path, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = neuralcodec.encode(photograph(40, 50), model=mine)
    monkeypatch.setattr(weights, "_opened", {})
    monkeypatch.setenv(weights.VARIABLE, os.pathsep.join([str(tmp_path / "none"), str(mine.parent / entry)]))
    assert neuralcodec.info(data).weights_name == "mine"
    assert neuralcodec.decode(data).size == (50, 40)
    assert neuralcodec.encode(photograph(40, 50), model="mine") == data
    assert weights.by_name("conv").path.parent == PACKAGE
    write_recurrent_weights(mine.parent / "conv-my.safetensors")
    (mine.parent / "checkpoint.safetensors").write_bytes(b"of a run")
    with pytest.raises(UsageError, match=r"no model named 'none'; there is conv, .*gru, mine, or the path"):
        weights.by_name("none")


def test_the_search_path_comes_before_the_package(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = weights.by_name(mine)
    named = mine.with_name(f"conv-{file.id.hex()}.safetensors")
    mine.rename(named)
    monkeypatch.setenv(weights.VARIABLE, str(mine.parent))
    assert weights.by_name("conv").path == weights.by_name(named.stem).path == named
    write_conv_weights(mine.with_name("conv.safetensors"))
    with pytest.raises(UsageError, match=f"'conv' may be conv-{file.id.hex()} or conv: name it with its id"):
        weights.by_name("conv")


def test_weights_written_anew_are_read_anew(mine: Path) -> None:
    """In one process, as in a notebook."""
    picture = photograph(40, 50)
    first = neuralcodec.encode(picture, model=mine)

    def darker(_: object, arrays: dict[str, np.ndarray]) -> None:
        name = "transforms.synthesis.shortcut.bias"
        arrays[name] = arrays[name] - np.float16(0.3)

    said, arrays = weights.by_name(mine), load(mine)
    darker(said, arrays)
    file = weights.read(said)
    save = {"codec": "conv", "model": file.model, "tradeoff": file.tradeoff, "canary": file.canary}
    weights.write(mine, arrays, **save)
    second = neuralcodec.encode(picture, model=mine)
    assert first[5:9] != second[5:9]
    assert neuralcodec.decode(second, as_array=True).mean() < 100


# ---- the canary -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_conv_weights, write_recurrent_weights])
def test_a_machine_that_breaks_the_promise_is_told(
    write: Callable[[Path], weights.WeightsFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products of matrices that are a little off, as of a library that multiplies in fewer bits."""
    path = write(tmp_path / "tiny.safetensors").path
    exact = Dense.__call__

    def coarse(self: Dense, *inputs: np.ndarray) -> np.ndarray:
        return exact(self, *(x.astype(np.float16).astype(np.float32) * np.float32(1.003) for x in inputs))

    monkeypatch.setattr(Dense, "__call__", coarse)
    with pytest.raises(NeuralCodecError, match=r"the arithmetic of this machine is not exact.*constriction"):
        neuralcodec.encode(photograph(8, 8), model=path)


@pytest.mark.parametrize("name", ["conv", "gru"])
def test_a_canary_sees_every_layer(name: str) -> None:
    """One unit more or less in the bias of a layer, and another latent comes out."""
    file = weights.read(weights.by_name(name))
    assert file.canary is not None
    assert sum(map(len, file.canary.segments)) < 4000
    from neuralcodec.entropy.detail import ConvPriors
    from neuralcodec.entropy.stages import StagePriors

    def build(arrays: Any) -> canary.Prior:
        return ConvPriors(arrays) if name == "conv" else StagePriors(arrays, 8)

    canary.check(build(file.arrays), file.canary)
    layers = (
        ["steps.0.mix", "steps.3.head", "hyper_blur1", "detail_steps.0.mix", "detail_blur1"]
        if name == "conv"
        else ["stages.0.0.mix", "updates.0.mix"]
    )
    for layer in layers:
        arrays = dict(file.arrays)
        bias = arrays[f"exact.{layer}.bias"]
        arrays[f"exact.{layer}.bias"] = bias + (1 << arrays[f"exact.{layer}.shift"].astype(np.int32))
        with pytest.raises(NeuralCodecError, match="not exact"):
            canary.check(build(arrays), file.canary)


# ---- bad files --------------------------------------------------------------------------------------------


def one_line(path: Path) -> str:
    with pytest.raises(NeuralCodecError) as caught:
        neuralcodec.encode(photograph(8, 8), model=path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    return str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG no weights at all",
        b"\xff" * 100,
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"{}",
        (12).to_bytes(8, "little") + b'{"a": "\xff\xff"}',
        (10**5).to_bytes(8, "little") + b"[" * 10**5,
        (10**12).to_bytes(8, "little") + b"{}",
    ],
    ids=range(8),
)
def test_what_is_no_weights_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    assert "is not a weights file of this version" in one_line(path)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    assert "No such file" in one_line(tmp_path / "none.safetensors")
    assert "it is no file" in one_line(tmp_path)
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert "it is no file" in one_line(tmp_path / "pipe.safetensors")
    with (tmp_path / "huge.safetensors").open("wb") as huge:
        huge.truncate(2**40)
    assert "more than 256 MiB" in one_line(tmp_path / "huge.safetensors")


def test_metadata_of_any_kind(mine: Path) -> None:
    original = mine.read_bytes()
    values = (None, [], {}, "x", 10**30, {"levels": 10**9}, {"segments": ["00"], "latent": ""})
    for name in ("codec", "decoder", "model", "parts", "tradeoff", "canary"):
        for value in values:
            mine.write_bytes(original)
            change(mine, lambda said, _, name=name, value=value: said.update({name: value}))
            assert not loads(mine) or (name, value) == ("tradeoff", {}), (name, value)


def valid(path: Path, edit: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> Path:
    """Changed as by one who knows how to make the hash fit."""

    def and_hash(said: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        edit(said, arrays)
        said["decoder"] = decoder_hash(said["codec"], said["model"], arrays)

    return change(path, and_hash)


def loads(path: Path) -> bool:
    """Whether the weights load; if not, an error in one line says why."""
    try:
        Model(weights.by_name(path))
    except NeuralCodecError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 500
        return False
    return True


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_hostile_sizes(mine: Path) -> None:
    original = mine.read_bytes()
    for size, right in TINY_MODEL.sizes().items():
        for value in (0, 5, 4096, 10**9, "8", True):
            mine.write_bytes(original)
            valid(mine, lambda said, _, size=size, value=value: said["model"].update({size: value}))
            assert not loads(mine) or value == right or size in {"features", "width"}, (size, value)


def test_hostile_arrays(mine: Path) -> None:
    """Arrays of another shape, of another type, of far too large values, with a hash that fits."""
    original = mine.read_bytes()
    changes: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda array: array[:0],
        lambda array: np.concatenate([array, array]),
        lambda array: array.reshape(-1)[:1],
        lambda array: array.astype(np.float64),
        lambda array: (array.astype(np.float32) - 1000).astype(array.dtype),
    ]
    names = sorted(load(mine))
    kinds = [*dict.fromkeys((name.split(".")[0], name.split(".")[-1]) for name in names)]
    for kind in kinds:
        name = next(name for name in names if (name.split(".")[0], name.split(".")[-1]) == kind)
        for other in changes:
            mine.write_bytes(original)
            valid(mine, lambda _, arrays, name=name, other=other: arrays.update({name: other(arrays[name])}))
            loads(mine)


@pytest.mark.parametrize("packed", [True, False])
def test_a_damaged_array_is_noticed(mine: Path, packed: bool) -> None:
    """Of what a decoder needs; another encoder is another encoder."""
    if not packed:
        change(mine, lambda said, arrays: None)
    start = 8 + int.from_bytes(mine.read_bytes()[:8], "little")
    header = json.loads(mine.read_bytes()[8:start])
    data = bytearray(mine.read_bytes())
    data[start + header[PACKED if packed else "exact.hyper_mid.weight"]["data_offsets"][1] - 1] ^= 1
    mine.write_bytes(data)
    why = "it does not unpack" if packed else "its arrays are not those that its id stands for"
    assert why in one_line(mine)


# ---- the packed form --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2, 999, 1000])
def test_packed_bytes_come_back(size: int) -> None:
    plain = np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()
    assert unpack(pack(plain), size) == plain
    for wrong in {max(size - 1, 0), size + 1} - {size}:
        with pytest.raises(ValueError, match="does not unpack"):
            unpack(pack(plain), wrong)
    with pytest.raises(ValueError, match="does not unpack"):
        unpack(pack(plain)[:-1], size)


def test_half_precision_is_packed_smaller_than_it_deflates() -> None:
    plain = np.random.default_rng(0).normal(0, 0.1, 100_000).astype(np.float16).tobytes()
    assert len(pack(plain)) < 0.87 * len(plain) < 0.95 * len(zlib.compress(plain, 9))


@pytest.mark.parametrize("size", [-1, 0, 10**6, 2**29, "8", None, 1.5])
def test_a_size_that_is_not_so(mine: Path, size: object) -> None:
    """No more memory than the limit is asked for, whatever the file says."""
    [packed] = load_packed(mine)
    said = {**weights.by_name(mine).said, UNPACKED: size}
    save_file({PACKED: packed}, mine, {"neuralcodec": json.dumps(said)})
    weights._read_header.cache_clear()
    assert not loads(mine)


def load_packed(path: Path) -> list[np.ndarray]:
    with safe_open(path, "numpy") as stream:
        return [stream.get_tensor(name) for name in stream.keys()]  # noqa: SIM118
