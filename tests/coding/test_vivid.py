"""Decoding at a realism above 0, by a synthesis whose weights lie between two."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from tiny import write_conv_weights

import neuralcodec
import neuralcodec.pillow_plugin as plugin
from neuralcodec import weights
from neuralcodec.arrays import Box
from neuralcodec.cli.main import main
from neuralcodec.coding import tiling
from neuralcodec.coding.codec import decode_file, encode_file
from neuralcodec.coding.vivid import noise_at, rectangles
from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.picture.picture import Picture
from neuralcodec.training.export_graphs import write_graphs
from neuralcodec.weights.changes import STEP
from neuralcodec.weights.companions import companion_of
from neuralcodec.weights.saving import save
from neuralcodec.weights.stored import arrays_of

pytestmark = pytest.mark.usefixtures("tiny_vivid")
LINEAR = "transforms.synthesis.head"


@pytest.fixture
def tiny_vivid(tiny_encoders: Path) -> Path:
    """`tiny_encoders`, with a vivid decoder that adds a pattern to every block."""
    file = companion_of(weights.by_name("conv"), "vivid")
    arrays = arrays_of(file)
    rng = np.random.default_rng(0)
    bias = arrays[f"{LINEAR}.bias"]
    arrays[f"{LINEAR}.bias"] = (bias + rng.normal(0, 0.02, bias.shape)).astype(np.float16)
    arrays[f"{LINEAR}.weight"] = rng.integers(-127, 128, arrays[f"{LINEAR}.weight"].shape).astype(np.int8)
    arrays[f"{LINEAR}.weight{STEP}"] = np.full(len(bias), 1e-4, np.float32)
    save(file.path, arrays, file.said)
    return tiny_encoders


@pytest.fixture
def data() -> bytes:
    return neuralcodec.encode(photograph(150, 210), quality=30)


def decoded(data: bytes, **options: object) -> np.ndarray:
    return neuralcodec.decode(data, as_array=True, **options).astype(int)  # type: ignore[call-overload]


def distance(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one - two).mean())


def test_realism_moves_the_picture_step_by_step(data: bytes) -> None:
    true = decoded(data)
    shown = [decoded(data, realism=realism) for realism in (0, 0.25, 0.5, 1)]
    np.testing.assert_array_equal(shown[0], true)
    moved = [distance(each, true) for each in shown]
    assert moved[1] == pytest.approx(moved[3] / 4, rel=0.1)
    assert moved[2] == pytest.approx(moved[3] / 2, rel=0.1)
    assert moved[3] > 2


def test_a_region_a_smaller_picture_and_seams(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = decoded(data, realism=0.7)
    np.testing.assert_array_equal(decoded(data, realism=0.7, region=(33, 20, 70, 90)), whole[20:110, 33:103])
    means = whole.reshape(75, 2, 105, 2, 3).mean((1, 3))
    assert np.abs(decoded(data, realism=0.7, reduce=2) - means).max() <= 0.5
    monkeypatch.setattr(tiling, "windows", _narrow(tiling.windows))
    monkeypatch.setattr("neuralcodec.coding.tilewise.windows", tiling.windows)
    assert np.abs(decoded(data, realism=0.7) - whole).max() <= 1


def _narrow(windows: object) -> object:
    def narrow(plane: Box, area: Box, halo: int) -> Iterator[tiling.Window]:
        yield from windows(plane, area, halo, 2 * halo + 2)  # type: ignore[operator]

    return narrow


def test_both_run_times_agree(data: bytes, tiny_vivid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_graphs(tiny_vivid / "conv.safetensors")
    shown = {}
    for runtime in ("onnx", "torch"):
        monkeypatch.setenv("NCODEC_RUNTIME", runtime)
        shown[runtime] = decoded(data, realism=1)
    assert np.abs(shown["onnx"] - shown["torch"]).max() <= 1
    assert distance(shown["onnx"], decoded(data)) > 2


def test_high_qualities_are_true() -> None:
    pixels = photograph(96, 128)
    moved = []
    for quality in (45, 55, 65, 90):  # full effect, half of it, none, and two layers
        data = neuralcodec.encode(pixels, quality=quality)
        moved.append(distance(decoded(data, realism=1), decoded(data)))
    assert moved[0] > moved[1] > 0
    assert moved[1] == pytest.approx(moved[0] / 2, rel=0.2)
    assert moved[2:] == [0, 0]


def test_lettering_stays_true() -> None:
    """Stripes of two tones in the middle of a photograph."""
    pixels = photograph(256, 256)
    pixels[96:160, 96:160] = np.where(np.arange(64) // 8 % 2, 230, 20)[None, :, None]
    data = neuralcodec.encode(pixels, quality=60)
    true, shown = decoded(data), decoded(data, realism=1)
    np.testing.assert_array_equal(shown[104:152, 104:152], true[104:152, 104:152])
    assert distance(shown[:32], true[:32]) > 0.2


def test_what_is_left_of_a_damaged_file() -> None:
    whole = encode_file(Picture(photograph(300, 300)), quality=30, tile=64)
    lost = 12
    segments = [b"" if number == lost else segment for number, segment in enumerate(whole.tiles)]
    damaged = replace(whole, tiles=segments, lost=[lost], damage=["a tile is lost"])
    with pytest.raises(NeuralCodecError):
        decode_file(damaged, realism=1)
    shown, intact = decode_file(damaged, realism=1, partial=True), decode_file(whole, realism=1)
    assert shown.damage is not None and shown.damage.lost == (lost,)
    np.testing.assert_array_equal(shown.pixels[-24:, -24:], intact.pixels[-24:, -24:])
    assert (shown.pixels[128:192, 128:192] != intact.pixels[128:192, 128:192]).any()


def test_pillow_and_the_command_line(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    wanted = decoded(data, realism=0.5)
    (tmp_path / "a.nc").write_bytes(data)
    monkeypatch.setattr(plugin, "REALISM", 0.5)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.nc")), wanted)
    out = tmp_path / "a.png"
    assert main(["decode", "--realism", "0.5", str(tmp_path / "a.nc"), str(out), "--quiet"]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(out)), wanted)
    page = tmp_path / "page.html"
    assert main(["view", str(tmp_path / "a.nc"), "--vivid", "-o", str(page)]) == 0
    text = page.read_text()
    assert text.count("<img") == 5 and "Realism<input" in text and "a.nc, realism 0.25" in text
    capsys.readouterr()
    assert main(["view", str(out), "--vivid", "-o", str(tmp_path / "b.html")]) == 2
    assert "--vivid shows an .nc file" in capsys.readouterr().err
    assert main(["decode", "--realism", "2", str(tmp_path / "a.nc")]) == 2
    assert "must be a number from 0 to 1, not '2'" in capsys.readouterr().err


@pytest.mark.parametrize("bad", [-0.1, 1.1, "1", None, True])
def test_realism_is_a_number(data: bytes, bad: object) -> None:
    with pytest.raises(UsageError, match="realism must be a number from 0 to 1"):
        neuralcodec.decode(data, realism=bad)  # type: ignore[call-overload]


def test_models_that_have_one_decoder(
    tiny_gru: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = neuralcodec.encode(photograph(64, 64), model="gru", quality=50)
    with pytest.raises(UsageError, match="the gru model has no vivid decoder; leave it at 0"):
        neuralcodec.decode(data, realism=0.5)
    own = tmp_path / "own"
    own.mkdir()
    write_conv_weights(own / "own.safetensors")
    monkeypatch.setenv(weights.VARIABLE, f"{own}{os.pathsep}{tiny_gru}")
    data = neuralcodec.encode(photograph(64, 64), model="own", quality=30)
    with pytest.raises(UsageError, match=r"have no vivid decoder.*: `ncodec train vivid --start own"):
        neuralcodec.decode(data, realism=0.5)


def test_a_vivid_file_that_says_nonsense(data: bytes) -> None:
    file = companion_of(weights.by_name("conv"), "vivid")
    for sizes in ({}, {"full_quality": 40, "last_quality": 40}, {"full_quality": "a", "last_quality": 40}):
        save(file.path, arrays_of(file), {**file.said, "sizes": sizes})
        with pytest.raises(NeuralCodecError, match="is not a weights file of this version"):
            neuralcodec.decode(data, realism=1)
        file = replace(file, written=weights.at(file.path).written)


def test_boxes_cover_what_is_marked_with_gaps_between() -> None:
    marked = np.zeros((40, 60), bool)
    marked[2:5, 3:6] = marked[8, 50] = marked[30, 20:30] = True
    found = list(rectangles(marked, 10))
    assert found == [Box(2, 9, 3, 6), Box(2, 9, 50, 51), Box(30, 31, 20, 30)]
    assert list(rectangles(np.zeros((3, 3), bool), 2)) == []


def test_noise_is_even_and_of_its_place() -> None:
    whole = noise_at(Box(3, 67, 100, 150), 16)
    assert whole.dtype == np.float32 and whole.min() >= -1 and whole.max() < 1
    np.testing.assert_array_equal(noise_at(Box(10, 20, 120, 130), 16), whole[7:17, 20:30])
    assert abs(whole.mean()) < 0.01 and whole.std() == pytest.approx(3**-0.5, abs=0.01)
    flat = whole.reshape(-1, 16)
    correlation = np.corrcoef(flat.T) - np.eye(16)
    assert np.abs(correlation).max() < 0.08  # between channels
    for axis in (0, 1):  # and between neighbours
        one, two = np.delete(whole, 0, axis).ravel(), np.delete(whole, -1, axis).ravel()
        assert abs(np.corrcoef(one, two)[0, 1]) < 0.02


@pytest.mark.parametrize("name", ["tables.counts", "transforms.detail_synthesis.head.bias", "encoder.more"])
def test_a_vivid_file_changes_the_synthesis_alone(data: bytes, name: str) -> None:
    file = companion_of(weights.by_name("conv"), "vivid")
    arrays = arrays_of(file)
    for bad in ({name: np.ones(3, np.float16)}, {f"{LINEAR}.bias": np.ones(3, np.float16)}):
        save(file.path, arrays | bad, file.said)
        with pytest.raises(NeuralCodecError, match="is not for such a file to change"):
            neuralcodec.decode(data, realism=1)
