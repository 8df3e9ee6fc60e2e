"""The models of CompressAI as peers; nothing else here imports that package.

It is an extra, `neuralcodec[compressai]`, since it needs torchvision and an older NumPy. Its trained weights
are downloaded once, into torch's cache, where CompressAI itself looks for them. Where they cannot be had, the
same networks with random weights are still timed.
"""

from __future__ import annotations

import functools
import importlib
import struct
import warnings
from dataclasses import dataclass, replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from neuralcodec.bench.download import fetch
from neuralcodec.errors import DamagedFileError, UsageError, describe
from neuralcodec.picture.metrics import Image8
from neuralcodec.terminal import say

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
METRIC = "ms-ssim"  # what they are trained for
UNTRAINED = "untrained"
LARGEST_FILE = 1 << 29  # the weights have some 10 to 150 MB
_STRIDE = 64  # the models halve the picture six times at most
_HEADER = struct.Struct("<HHHHB")  # height, width, rows and columns of the side information, segments


def find(name: str) -> CompressAi:
    """Return the peer for `compressai`, `compressai:ARCHITECTURE` or `compressai:ARCHITECTURE:untrained`.

    Raises:
        UsageError: there is no such architecture.
    """
    _, architecture, kind, *more = [*name.split(":"), "", ""]
    architecture = architecture or DEFAULT
    if architecture not in QUALITIES or kind not in ("", UNTRAINED) or any(more):
        known = ", ".join(QUALITIES)
        raise UsageError(f"no CompressAI model named {name!r}; there is compressai:NAME with {known}")
    return CompressAi(architecture, trained=kind != UNTRAINED)


def untrained(peer: object) -> CompressAi | None:
    """Return the same network with random weights, where only the trained ones are missing."""
    if not isinstance(peer, CompressAi):
        return None
    twin = replace(peer, trained=False)
    return twin if twin.missing() is None else None


@dataclass(frozen=True)
class CompressAi:
    """One architecture of the zoo, with its own entropy coder and real bytes.

    Trained for MS-SSIM, or with random weights: these take the same time, but their bytes and pictures mean
    nothing.
    """

    architecture: str = DEFAULT
    trained: bool = True
    slow: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """`compressai:ARCHITECTURE`, or `compressai` for the default one."""
        if not self.trained:
            return f"compressai:{self.architecture}:{UNTRAINED}"
        return "compressai" if self.architecture == DEFAULT else f"compressai:{self.architecture}"

    @property
    def label(self) -> str:
        """What the report calls it."""
        return f"CompressAI {self.architecture}" + ("" if self.trained else ", random weights")

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest of the separately trained qualities."""
        return 1, QUALITIES[self.architecture]

    @property
    def settings(self) -> tuple[int, ...]:
        """All of them, where they are trained."""
        return tuple(range(1, QUALITIES[self.architecture] + 1)) if self.trained else ()

    def missing(self) -> str | None:
        """Return why it cannot be used here: no package, or none of its weights, which are fetched."""
        if find_spec("compressai") is None:
            return "not installed: pip install 'neuralcodec[compressai]'"
        try:
            _zoo()
        except Exception as error:  # a torch that torchvision does not fit, another NumPy, ...
            return f"compressai is installed, but cannot be loaded: {describe(error)}"
        try:
            for quality in self.settings:
                _fetch(self.architecture, quality)
            if self.trained:
                _model(self, 1)
        except Exception as error:  # no network, no space, a file that is not what it should be, ...
            return f"no trained weights: {describe(error)}"
        return None

    def version(self) -> str:
        """Return the versions of the package and of torch, the architecture and its training."""
        packages = f"compressai {metadata.version('compressai')}, torch {metadata.version('torch')}"
        return f"{packages}, {self.architecture}, " + (METRIC if self.trained else "random weights")

    def encode(self, image: Image8, setting: int) -> bytes:
        """Return the strings of the model's coder behind a header; a grey picture is coded as colour."""
        import torch

        height, width = image.shape[:2]
        padding = ((0, -height % _STRIDE), (0, -width % _STRIDE), (0, 0))
        padded = np.pad(np.broadcast_to(image, (height, width, 3)), padding, mode="edge")
        x = torch.from_numpy(padded.transpose(2, 0, 1)[None].astype(np.float32) / 255)  # (1, 3, H, W)
        model = _model(self, setting)
        with torch.inference_mode():
            coded = model.compress(x)
        segments = [strings[0] for strings in coded["strings"]]
        header = _HEADER.pack(height, width, *coded["shape"], len(segments))
        # The quality is a byte of the file, as it would have to be for a decoder that knows nothing else.
        sizes = struct.pack(f"<B{len(segments)}I", setting, *map(len, segments))
        return header + sizes + b"".join(segments)

    def decode(self, data: bytes) -> Image8:
        """Return the picture as a viewer sees it: clipped, rounded, without the padding."""
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
        model = _model(self, setting)
        with torch.inference_mode():
            x_hat = model.decompress(strings, (rows, columns))["x_hat"]
        pixels = (x_hat[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()  # (3, H, W)
        return np.ascontiguousarray(pixels.transpose(1, 2, 0)[:height, :width])


def _zoo() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it uses of torch is deprecated
        return importlib.import_module("compressai.zoo.image")


def _weights_file(architecture: str, quality: int) -> tuple[str, Path]:
    """Return the address of trained weights, and where CompressAI itself would keep them."""
    import torch

    url = _zoo().model_urls[architecture][METRIC][quality]
    return url, Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def _fetch(architecture: str, quality: int) -> None:
    url, path = _weights_file(architecture, quality)
    if not path.exists():
        say(f"fetching {url}")
        fetch(url, path, limit=LARGEST_FILE)


@functools.lru_cache(maxsize=max(QUALITIES.values()))
def _model(peer: CompressAi, quality: int) -> Any:
    """Return a model ready to code; there is one for each quality."""
    import torch

    zoo = _zoo()
    if not peer.trained:
        torch.manual_seed(0)  # the decoder's weights have to be the encoder's
        model = zoo.model_architectures[peer.architecture](*zoo.cfgs[peer.architecture][quality])
    else:
        # As the package loads them, but without running code from a file of the network.
        _, path = _weights_file(peer.architecture, quality)
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            model = zoo.model_architectures[peer.architecture].from_state_dict(zoo.load_pretrained(state))
        except Exception as error:
            raise DamagedFileError(f"{path} has no weights ({describe(error)}); delete it") from None
    model.update()  # makes the tables of the entropy coder, where the weights have none
    return model.eval()
