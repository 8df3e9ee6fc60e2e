"""The same file gives the same picture: in every setting of the libraries, and in many decoders at once."""

from __future__ import annotations

import functools
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from golden import matrix
from PIL import Image

from neuralcodec.coding.codec import decode_picture, encode_picture
from neuralcodec.models.conv import light, runner
from neuralcodec.models.conv.runner import Model
from neuralcodec.picture.picture import Picture

GOLDEN = matrix.golden()


@pytest.mark.filterwarnings("ignore:TF32")
@pytest.mark.parametrize("setting", matrix.SETTINGS, ids=str)
@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_files_in_every_setting(name: str, setting: matrix.Setting) -> None:
    decoded = matrix.decode(name, setting)
    assert decoded.latents_sha256 == GOLDEN[name]["latents_sha256"]
    assert decoded.levels <= setting.tolerance


def test_tables_are_made_of_float32(model: Model) -> None:
    """From float64 the coder makes other tables; numpy 1 and 2 promote float32 differently."""
    shares = model.prior.tables.shares()
    assert {share.dtype for share in shares} == {np.dtype(np.float32)}


def pictures() -> list[bytes]:
    return [encode_picture(Picture(photograph(100 + 40 * n, 150, seed=n)), tile=64) for n in range(3)]


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_eight_threads_decode_at_once(monkeypatch: pytest.MonkeyPatch, runtime: str) -> None:
    monkeypatch.setenv("NCODEC_RUNTIME", runtime)
    files = pictures()
    expected = [decode_picture(data).pixels.astype(int) for data in files]
    # From the start: all of them find the weights not loaded yet.
    monkeypatch.setattr(runner, "load", functools.lru_cache(maxsize=2)(Model))
    monkeypatch.setattr(light, "load", functools.lru_cache(maxsize=2)(light.LightModel))
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: decode_picture(files[n % 3]).pixels, range(24)))
    for n, pixels in enumerate(results):
        assert np.abs(pixels - expected[n % 3]).max() <= 1


def test_threads_encode_the_same_bytes_at_once() -> None:
    picture = Picture(photograph(150, 150))
    expected = encode_picture(picture, tile=64)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: encode_picture(picture, tile=64), range(8))) == {expected}


def test_five_processes_decode_at_once(tmp_path: Path) -> None:
    files, coded = [tmp_path / f"{n}.nc" for n in range(5)], pictures()
    for n, file in enumerate(files):
        file.write_bytes(coded[n % 3])
    command = [sys.executable, "-m", "neuralcodec", "decode", "--quiet"]
    processes = [subprocess.Popen([*command, str(file)], stderr=subprocess.PIPE) for file in files]
    said = [process.communicate(timeout=100)[1] for process in processes]
    assert said == [b""] * 5
    assert [process.returncode for process in processes] == [0] * 5
    for file in files:
        expected = decode_picture(file.read_bytes()).pixels.astype(int)
        with Image.open(io.BytesIO(file.with_suffix(".png").read_bytes())) as image:
            assert np.abs(np.asarray(image) - expected).max() <= 1
