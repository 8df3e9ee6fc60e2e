"""The pretrained models of CompressAI as peers; nothing else here imports that package.

It is an extra, `neuralcodec[compressai]`, since it needs torchvision and an older NumPy. It downloads its
weights itself, once; where they cannot be had, the benchmark says so and goes on without.
"""

from __future__ import annotations

import functools
import importlib
import struct
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np

from neuralcodec.bench.metrics import Image8
from neuralcodec.errors import DamagedFileError, UsageError

#: What `compressai` alone stands for: the strongest model of the zoo that has no serial context model.
DEFAULT = "mbt2018-mean"
QUALITIES = {
    "bmshj2018-factorized": 8,
    "bmshj2018-hyperprior": 8,
    "mbt2018-mean": 8,
    "mbt2018": 8,
    "cheng2020-anchor": 6,
    "cheng2020-attn": 6,
}
_STRIDE = 64  # the models halve the picture six times at most
_HEADER = struct.Struct("<HHHHB")  # height, width, rows and columns of the side information, segments


def find(name: str) -> CompressAi:
    """The peer for `compressai` or `compressai:ARCHITECTURE`.

    Raises:
        UsageError: there is no such architecture.
    """
    architecture = name.partition(":")[2] or DEFAULT
    if architecture not in QUALITIES:
        raise UsageError(f"no CompressAI model named {architecture!r}; there is {', '.join(QUALITIES)}")
    return CompressAi(architecture)


@dataclass(frozen=True)
class CompressAi:
    """One architecture of the zoo, trained for MS-SSIM, with its own entropy coder and real bytes."""

    architecture: str = DEFAULT
    metric: ClassVar[str] = "ms-ssim"

    @property
    def name(self) -> str:
        """`compressai:ARCHITECTURE`, or `compressai` for the default one."""
        return "compressai" if self.architecture == DEFAULT else f"compressai:{self.architecture}"

    @property
    def label(self) -> str:
        """What the report calls it."""
        return f"CompressAI {self.architecture}"

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest of the separately trained qualities."""
        return 1, QUALITIES[self.architecture]

    @property
    def settings(self) -> tuple[int, ...]:
        """All of them."""
        return tuple(range(1, QUALITIES[self.architecture] + 1))

    def missing(self) -> str | None:
        """Why it cannot be used here: without the package, or without its weights."""
        if find_spec("compressai") is None:
            return "not installed: pip install 'neuralcodec[compressai]'"
        try:
            _model(self.architecture, self.metric, 1)
        except Exception as error:  # no network, no space, a torch that torchvision does not fit, ...
            return f"its pretrained weights are not available ({type(error).__name__}: {error})"
        return None

    def version(self) -> str:
        """The package's version, the architecture and what it was trained for."""
        return f"compressai {metadata.version('compressai')} {self.architecture} {self.metric}"

    def encode(self, image: Image8, setting: int) -> bytes:
        """The strings of the model's coder behind a short header; a grey picture is coded as colour."""
        import torch

        height, width = image.shape[:2]
        padding = ((0, -height % _STRIDE), (0, -width % _STRIDE), (0, 0))
        padded = np.pad(np.broadcast_to(image, (height, width, 3)), padding, mode="edge")
        x = torch.from_numpy(padded.transpose(2, 0, 1)[None].astype(np.float32) / 255)  # (1, 3, H, W)
        with torch.inference_mode():
            coded = _model(self.architecture, self.metric, setting).compress(x)
        segments = [strings[0] for strings in coded["strings"]]
        header = _HEADER.pack(height, width, *coded["shape"], len(segments))
        # The quality is a byte of the file, as it would have to be for a decoder that knows nothing else.
        sizes = struct.pack(f"<B{len(segments)}I", setting, *map(len, segments))
        return header + sizes + b"".join(segments)

    def decode(self, data: bytes) -> Image8:
        """The picture as a viewer sees it: clipped, rounded, without the padding."""
        import torch

        try:
            height, width, rows, columns, count = _HEADER.unpack_from(data)
            setting, *sizes = struct.unpack_from(f"<B{count}I", data, _HEADER.size)
        except struct.error as error:
            raise DamagedFileError(f"cut short: {error}") from None
        strings, start = [], _HEADER.size + 1 + 4 * count
        for size in sizes:
            strings.append([data[start : start + size]])
            start += size
        with torch.inference_mode():
            model = _model(self.architecture, self.metric, setting)
            x_hat = model.decompress(strings, (rows, columns))["x_hat"]
        pixels = (x_hat[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()  # (3, H, W)
        return np.ascontiguousarray(pixels.transpose(1, 2, 0)[:height, :width])


@functools.lru_cache(maxsize=max(QUALITIES.values()))
def _model(architecture: str, metric: str, quality: int) -> Any:
    """A pretrained model; there is one for each quality."""
    zoo = importlib.import_module("compressai.zoo")
    model = zoo.image_models[architecture](quality=quality, metric=metric, pretrained=True)
    return model.eval()
