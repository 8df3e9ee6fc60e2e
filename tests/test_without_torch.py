"""Everything but training, tensors and high efforts works where torch cannot be imported.

`make test` hides torch from the programs here; `make test-light` runs them where there is none.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from PIL import Image

GOLDEN = Path(__file__).parent / "golden"
WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "pytorch_msssim", "onnx", "jinja2"):  # which torch brings
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""

COMMANDS = [
    (["--version"], "on ONNX Runtime"),
    (["encode", "p.png", "a.nc"], "p.png → a.nc"),
    (["encode", "-q", "8", "p.png", "low.nc"], "quality 8"),
    (["encode", "--target-bpp", "2", "p.png", "target.nc"], "p.png → target.nc"),
    (["encode", "--model", "gru", "p.png", "stages.nc"], "p.png → stages.nc"),
    (["decode", "a.nc", "a.png"], "a.nc → a.png"),
    (["decode", "--region", "8,8,16,16", "a.nc", "region.png"], "a.nc → region.png"),
    (["decode", "--partial", "a.nc", "partial.png"], "a.nc → partial.png"),
    (["decode", "--stage", "2", "stages.nc", "two.png"], "stages.nc → two.png"),
    (["progressive", "stages.nc", "--out", "stages"], "8: "),
    (["compare", "p.png", "a.nc"], "MS-SSIM"),
    (["view", "a.nc", "--against", "p.png", "--out", "-"], " against p.png</title>"),
    (["encode", "-e", "3", "p.png", "b.nc"], "effort 3: it needs PyTorch: pip install 'neuralcodec[torch]'"),
    (["encode", "--target-ssimulacra2", "60", "p.png", "b.nc"], "target_ssimulacra2: it needs PyTorch"),
    (["sample", "sample.nc", "--size", "64x64"], "sample.nc"),
    (["interpolate", "a.nc", "low.nc", "-o", "walk", "--steps", "2"], "walk"),
    (["vae", "sample", "vae.png"], "vae: it needs PyTorch"),
    (["train", "conv", "--data", ".", "--out", "run"], "train: it needs PyTorch"),
    (["export", "checkpoint", "out.safetensors"], "export: it needs PyTorch"),
]

COMMAND_LINES = f"""{WITHOUT}
from neuralcodec.cli.main import main
for arguments, _ in {COMMANDS!r}:
    print("status", main(arguments), flush=True)
"""


def run(script: str, folder: Path) -> str:
    """What a script prints, errors and all."""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, text=True, capture_output=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_command_line(tmp_path: Path) -> None:
    Image.fromarray(photograph(64, 96)).save(tmp_path / "p.png")
    said = run(COMMAND_LINES, tmp_path)
    for arguments, expected in COMMANDS:
        assert expected in said, (arguments, said)
    assert "Traceback" not in said and "unexpected" not in said
    assert said.count("status 0") == len(COMMANDS) - 5
    with Image.open(tmp_path / "a.png") as decoded:
        assert np.abs(np.asarray(decoded).astype(int) - photograph(64, 96)).mean() < 12


def test_golden_files(tmp_path: Path) -> None:
    """Latents are exact anyway; pixels are those of torch's float32 within one level."""
    names = sorted(path.name for path in GOLDEN.glob("*.nc"))
    script = f"""{WITHOUT}
import neuralcodec
for name in {names!r}:
    neuralcodec.decode({str(GOLDEN)!r} + "/" + name).save(name + ".png")
try:
    neuralcodec.load_model("conv")
except neuralcodec.UsageError as error:
    print(error)
"""
    assert "load_model: it needs PyTorch" in run(script, tmp_path)
    for name in names:
        with (
            Image.open(tmp_path / f"{name}.png") as image,
            Image.open((GOLDEN / name).with_suffix(".png")) as expected,
        ):
            assert image.mode == expected.mode
            assert np.abs(np.asarray(image).astype(int) - np.asarray(expected)).max() <= 1, name


@pytest.mark.parametrize("call", ["neuralcodec.encode(picture)", "neuralcodec.info(b'')"])
def test_torch_is_not_loaded_where_it_is_not_needed(tmp_path: Path, call: str) -> None:
    script = f"""
import os, sys
os.environ["NCODEC_RUNTIME"] = "onnx"
import numpy, neuralcodec
picture = numpy.zeros((16, 16, 3), numpy.uint8)
try:
    {call}
except neuralcodec.NeuralCodecError:
    pass
assert "torch" not in sys.modules
"""
    run(script, tmp_path)
