"""The models of CompressAI as peers; no other module imports that package.

The package is an extra, `neuralcodec[compressai]`, since it needs torchvision and an older NumPy. Its trained
weights are downloaded once, into torch's cache, where CompressAI itself looks for them. Where they are not
available, the same networks are still timed, with random weights.
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

#: The model that `compressai` alone stands for: the strongest one without a serial context model.
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
    """Return the same network with random weights; None where it cannot be used, or is not of the zoo."""
    if not isinstance(peer, CompressAi):
        return None
    twin = replace(peer, trained=False)
    return twin if twin.missing() is None else None


@dataclass(frozen=True)
class CompressAi:
    """One architecture of the zoo, with its own entropy coder and real bytes.

    Its weights are trained for MS-SSIM, or random. With random ones it takes the same time, but its bytes and
    pictures are meaningless.
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
        """The name in the report."""
        return f"CompressAI {self.architecture}" + ("" if self.trained else ", random weights")

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest of the separately trained qualities."""
        return 1, QUALITIES[self.architecture]

    @property
    def settings(self) -> tuple[int, ...]:
        """All qualities of a trained model; none of an untrained one."""
        return tuple(range(1, QUALITIES[self.architecture] + 1)) if self.trained else ()

    def missing(self) -> str | None:
        """Return why the codec cannot be used here, None where it can; fetch its weights if necessary."""
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
        """Describe the versions of the package and of torch, the architecture and its training."""
        packages = f"compressai {metadata.version('compressai')}, torch {metadata.version('torch')}"
        return f"{packages}, {self.architecture}, " + (METRIC if self.trained else "random weights")

    def encode(self, image: Image8, setting: int) -> bytes:
        """Encode to a header and the strings of the model's coder; a grey picture is coded as colour."""
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
        # The quality is a byte of the file: a decoder that knows nothing else would need it.
        sizes = struct.pack(f"<B{len(segments)}I", setting, *map(len, segments))
        return header + sizes + b"".join(segments)

    def decode(self, data: bytes) -> Image8:
        """Decode to the picture that a viewer sees: clipped, rounded, without the padding."""
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
        warnings.simplefilter("ignore")  # the package uses deprecated parts of torch
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
    """Load a model, ready to code; there is one for each quality."""
    import torch

    zoo = _zoo()
    if not peer.trained:
        torch.manual_seed(0)  # the decoder must have the encoder's weights
        model = zoo.model_architectures[peer.architecture](*zoo.cfgs[peer.architecture][quality])
    else:
        # As the package loads them, but without running code from a file of the network.
        _, path = _weights_file(peer.architecture, quality)
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            model = zoo.model_architectures[peer.architecture].from_state_dict(zoo.load_pretrained(state))
        except Exception as error:
            raise DamagedFileError(f"{path} has no weights ({describe(error)}); delete it") from None
    model.update()  # make the tables of the entropy coder, where the weights have none
    return model.eval()
