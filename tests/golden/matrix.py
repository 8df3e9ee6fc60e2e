"""Decode the golden files in every way this environment can:  python tests/golden/matrix.py

One and two threads, oneDNN on and off, float32 and bfloat16, and on a GPU if there is one. Latents must have
the hash of `golden.json`; pixels may differ from the PNG beside the file by 1 level, in bfloat16 by 2. Run it
with other releases of Python, torch and numpy and on other processors: it needs nothing but the package.
"""

from __future__ import annotations

import itertools
import json
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parent.parent))

from golden.regenerate import FOLDER, INDEX, digest, latents

from neuralcodec import weights
from neuralcodec.coding.codec import decode_picture
from neuralcodec.format import container
from neuralcodec.format.header import GRU
from neuralcodec.models.conv import runner
from neuralcodec.models.conv.network import level_of
from neuralcodec.models.conv.runner import Model
from neuralcodec.models.gru import runner as gru_runner
from neuralcodec.models.gru.runner import RecurrentModel


class Setting(NamedTuple):
    """A way to decode."""

    device: str
    threads: int
    onednn: bool
    bfloat16: bool

    @property
    def tolerance(self) -> int:
        """How many levels the pixels may differ from those of the float32 that made the PNG files."""
        return 2 if self.bfloat16 else 1

    def __str__(self) -> str:
        precision = "bfloat16" if self.bfloat16 else "float32"
        if self.device != "cpu":
            return f"{self.device}, {precision}"
        return f"{self.threads} threads, oneDNN {'on' if self.onednn else 'off'}, {precision}"


SETTINGS = [
    Setting("cpu", threads, onednn, bfloat16)
    for threads, onednn, bfloat16 in itertools.product((1, 2), (True, False), (False, True))
]


class Decoded(NamedTuple):
    """What a golden file gave: the hash of its latents, and how far its pixels are off at most, in levels."""

    latents_sha256: str
    levels: int


def golden() -> dict[str, dict[str, Any]]:
    """What is expected of each golden file, by name."""
    return json.loads(INDEX.read_text())


def decode(name: str, setting: Setting) -> Decoded:
    """Decode a golden file in one way and compare its pixels with the PNG beside it."""
    data = (FOLDER / name).read_bytes()
    file = container.read(data)
    path = weights.by_id(file.header.weights_id)
    model = gru_runner.load(path) if file.header.codec == GRU else runner.load(path)
    with _applied(setting, model):
        y_hat = latents(data)
        if setting.device == "cpu" or isinstance(model, RecurrentModel):
            pixels = decode_picture(data).pixels
        else:
            pixels = _on_device(model, y_hat, file.header.quality, setting)[: file.header.height]
            pixels = pixels[:, : file.header.width]
            if file.header.grey:
                pixels = pixels.mean(2, keepdims=True).round()
    with Image.open((FOLDER / name).with_suffix(".png")) as image:
        colours = np.asarray(image.convert("L" if file.header.grey else "RGB"))
    expected = colours.reshape(*colours.shape[:2], -1).astype(int)
    return Decoded(digest(y_hat), int(np.abs(expected - pixels).max()))


@contextmanager
def _applied(setting: Setting, model: Model | RecurrentModel) -> Iterator[None]:
    threads, bfloat16 = torch.get_num_threads(), model.bfloat16
    torch.set_num_threads(setting.threads)
    model.bfloat16 = setting.bfloat16
    try:
        with threadpool_limits(setting.threads), torch.backends.mkldnn.flags(enabled=setting.onednn):
            yield
    finally:
        torch.set_num_threads(threads)
        model.bfloat16 = bfloat16


@torch.inference_mode()
def _on_device(
    model: Model, y_hat: npt.NDArray[np.float32], quality: float, setting: Setting
) -> npt.NDArray[np.uint8]:
    """Synthesis elsewhere than on the CPU; the golden pictures fit into one window."""
    device = torch.device(setting.device)
    transforms = model.transforms.to(device)
    try:
        level = level_of(torch.tensor([quality], device=device), transforms.config.levels)
        with torch.autocast(device.type, torch.bfloat16, enabled=setting.bfloat16):
            x = transforms.synthesise(torch.from_numpy(y_hat).permute(2, 0, 1)[None].to(device), level)
        return x[0].float().mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
    finally:
        transforms.to("cpu")


def main() -> int:
    settings = list(SETTINGS)
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        settings += [Setting("cuda", 1, True, bfloat16) for bfloat16 in (False, True)]
    print(f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}")
    failed = 0
    for setting in settings:
        for name, expected in golden().items():
            decoded = decode(name, setting)
            same = decoded.latents_sha256 == expected["latents_sha256"]
            good = same and decoded.levels <= setting.tolerance
            failed += not good
            latents = "the same latents" if same else "OTHER LATENTS"
            print(
                f"{'ok    ' if good else 'FAILED'} {name:8} {setting!s:32} {latents}, {decoded.levels} levels"
            )
    print(f"{failed} failed" if failed else "all as they should be")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
