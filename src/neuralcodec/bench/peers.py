"""The interface of a codec in the comparison; JPEG, WebP, AVIF and JPEG XL behind it.

A peer turns a `uint8` array of shape `(H, W, 3)` or `(H, W, 1)` into the bytes of a file and back. Its
settings are integers; a higher one means more bytes and a better picture. Our own codecs (`ours.py`) and
CompressAI's models (`zoo.py`) are peers too; `registry.py` knows all by name.
"""

from __future__ import annotations

import importlib
import io
import math
import os
import re
from importlib import metadata
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from PIL import Image, features

from neuralcodec.bench.curves import Point, rate_at
from neuralcodec.errors import UsageError
from neuralcodec.picture.metrics import Image8, ms_ssim, ms_ssim_db


class Peer(Protocol):
    """A codec as the benchmark sees it."""

    @property
    def name(self) -> str:
        """The name that `--against` takes."""

    @property
    def label(self) -> str:
        """The name for readers."""

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest setting; every integer between them is a setting too."""

    @property
    def settings(self) -> tuple[int, ...]:
        """The settings of a rate-distortion curve, rising; none where only the speed is meaningful."""

    @property
    def slow(self) -> bool:
        """Whether the codec is so slow that `--subset` limits its pictures."""

    def missing(self) -> str | None:
        """Return why the codec cannot be used here, in a few words; None where it can."""

    def version(self) -> str:
        """Describe what the bytes depend on beside picture and setting: libraries, options, weights."""

    def encode(self, image: Image8, setting: int) -> bytes:
        """Return the file for a picture `(H, W, 3)` or `(H, W, 1)`."""

    def decode(self, data: bytes) -> Image8:
        """Return the picture as a viewer sees it: `(H, W, 1)` where the file is grey, else `(H, W, 3)`."""


class PillowPeer:
    """A codec that Pillow brings; a subclass says which one, and with which options."""

    limits: ClassVar[tuple[int, int]]
    settings: ClassVar[tuple[int, ...]]
    file_format: ClassVar[str]
    package: ClassVar[str]
    name: str
    label: str
    options: dict[str, Any]
    slow: bool = False

    def missing(self) -> str | None:
        """Return why it cannot be used here."""
        return None if features.check(self.package) else f"this Pillow was built without {self.file_format}"

    def version(self) -> str:
        """Return the version of the library behind Pillow, and the options."""
        return f"{self.package} {features.version(self.package)} {self._options()}"

    def _options(self) -> str:
        return ",".join(f"{key}={value}" for key, value in self.options.items())

    def encode(self, image: Image8, setting: int) -> bytes:
        """Return the file for a picture `(H, W, 3)` or `(H, W, 1)`.

        Raises:
            UsageError: the codec cannot be used here.
        """
        return self._save(image, quality=setting)

    def _save(self, image: Image8, **options: Any) -> bytes:
        if reason := self.missing():
            raise UsageError(reason)
        file = io.BytesIO()
        as_pillow(image).save(file, self.file_format, **options, **self.options)
        return file.getvalue()

    def decode(self, data: bytes) -> Image8:
        """Return the picture as a viewer sees it."""
        with Image.open(io.BytesIO(data)) as image:
            return as_array(image)


class Jpeg(PillowPeer):
    """Progressive JPEG with optimised tables and 4:2:0 chroma, the baseline of all comparisons."""

    name = "jpeg"
    label = "JPEG"
    limits = (1, 100)
    settings = (4, 7, 10, 13, 17, 22, 28, 36, 45, 55, 65, 75, 85, 92, 97)
    file_format = "JPEG"
    package = "libjpeg_turbo"

    def __init__(self) -> None:
        self.options = {"optimize": True, "progressive": True, "subsampling": "4:2:0"}


class WebP(PillowPeer):
    """Lossy WebP at its slowest, smallest method."""

    name = "webp"
    label = "WebP"
    limits = (0, 100)
    settings = (0, 5, 15, 30, 45, 60, 75, 88, 96)
    file_format = "WEBP"
    package = "webp"

    def __init__(self) -> None:
        self.options = {"method": 6}


class Avif(PillowPeer):
    """AVIF as libavif encodes it with 4:2:0 chroma: at its default speed, 6, or a slower one."""

    limits = (0, 100)
    settings = (0, 8, 18, 30, 42, 55, 68, 82, 94)
    file_format = "AVIF"
    package = "avif"

    def __init__(self, speed: int = 6) -> None:
        default = speed == 6
        self.name = "avif" if default else f"avif-s{speed}"
        self.label = "AVIF" if default else f"AVIF, speed {speed}"
        self.slow = speed < 6
        self.options = {"speed": speed, "subsampling": "4:2:0"}

    def version(self) -> str:
        """Describe the versions of libavif and its encoder, what that is tuned for, and the options."""
        from PIL import _avif

        # Such as "dav1d [dec]:1.5.3, aom [enc]:3.14.1".
        encoders = re.findall(r"(\w+) \[enc(?:/dec)?\]:([^,\s]+)", _avif.codec_versions())
        library = ", ".join(" ".join(encoder) for encoder in encoders)
        return f"{super().version()}, {library} tune={self._tune()}"

    def _tune(self) -> str:
        """Find what the encoder is tuned for by default: the name that gives the very same file."""
        image = np.add.outer(np.arange(64) ** 2 // 16, np.arange(64) * 3)[:, :, None].repeat(3, axis=2)
        image = image.astype(np.uint8)
        default = self._save(image, quality=60)
        for name in ("iq", "ssim", "psnr", "ssimulacra2"):
            try:
                if self._save(image, quality=60, advanced={"tune": name}) == default:
                    return name
            except ValueError:  # this encoder has no such name
                continue
        return "unknown"


class JpegXl(PillowPeer):
    """JPEG XL as libjxl encodes it: at its default effort, 7, or another one. It needs the extra `jxl`.

    Its quality is libjxl's, which turns it into a Butteraugli distance: 100 is 0, 90 is 1, 0 is 15.
    """

    limits = (0, 99)  # 100 is lossless
    # Below 19 libjxl codes at half the resolution; 17 and 20 enclose the jump in its curve.
    settings = (0, 8, 17, 20, 26, 38, 52, 66, 80, 92)
    file_format = "JXL"
    package = "pillow-jxl-plugin"

    def __init__(self, effort: int = 7) -> None:
        default = effort == 7
        self.name = "jxl" if default else f"jxl-e{effort}"
        self.label = "JPEG XL" if default else f"JPEG XL, effort {effort}"
        self.slow = effort > 7
        self.options = {"effort": effort}

    def missing(self) -> str | None:
        """Return why the codec cannot be used here; where it can, also register its format with Pillow."""
        if find_spec("pillow_jxl") is None:
            return "not installed: pip install 'neuralcodec[jxl]'"
        # Unlike the other libraries it ignores OMP_NUM_THREADS, and would use every core in each process.
        plugin: Any = importlib.import_module("pillow_jxl.JpegXLImagePlugin")
        plugin.DECODE_THREADS = self._threads()
        return None

    @staticmethod
    def _threads() -> int:
        """Count threads as libjxl does: 0 is none beside the caller's, -1 as many as there are cores."""
        threads = os.environ.get("OMP_NUM_THREADS", "")
        return -1 if not threads.isdecimal() else 0 if int(threads) == 1 else int(threads)

    def version(self) -> str:
        """Return the version of the plugin, which holds libjxl, and the options."""
        return f"{self.package} {metadata.version(self.package)} {self._options()}"

    def encode(self, image: Image8, setting: int) -> bytes:
        """Return the file for a picture `(H, W, 3)` or `(H, W, 1)`."""
        return self._save(image, quality=setting, num_threads=self._threads())

    def decode(self, data: bytes) -> Image8:
        """Return the picture as a viewer sees it."""
        self.missing()  # makes the format known
        return super().decode(data)


class Trial(NamedTuple):
    """A picture encoded once: setting, file, decoded picture and MS-SSIM."""

    setting: int
    data: bytes
    decoded: Image8
    ms_ssim: float

    @property
    def point(self) -> Point:
        """The bytes and the MS-SSIM in dB."""
        return float(len(self.data)), ms_ssim_db(self.ms_ssim)


def attempt(peer: Peer, image: Image8, setting: int) -> Trial:
    """Encode a picture, decode it, and score what a viewer would see."""
    data = peer.encode(image, setting)
    decoded = like(peer.decode(data), image)
    return Trial(setting, data, decoded, ms_ssim(image, decoded))


def match(peer: Peer, image: Image8, target_ms_ssim: float) -> float | None:
    """Find the bytes that a codec needs to reach an MS-SSIM, by at most 7 encodings for 101 settings.

    Bisection finds the two neighbouring settings around the target. Log-bytes are interpolated between them
    over MS-SSIM in dB, so that no codec is punished for coarse settings.

    Args:
        image: uint8, `(H, W, 3)` or `(H, W, 1)`.
        target_ms_ssim: on the linear scale, 0 to 1.

    Returns:
        Bytes; None where the lowest setting is better still, or the highest worse: nothing is extrapolated.
    """
    below, above = peer.limits[0] - 1, peer.limits[1] + 1
    worse: Point | None = None
    better: Point | None = None
    while above - below > 1:
        trial = attempt(peer, image, (below + above) // 2)
        if trial.ms_ssim < target_ms_ssim:
            below, worse = trial.setting, trial.point
        else:
            above, better = trial.setting, trial.point
    if better is None or (worse is None and better[1] > ms_ssim_db(target_ms_ssim)):
        return None
    # A better picture in no more bytes, or one without any error, leaves nothing to interpolate.
    if worse is None or better[0] <= worse[0] or math.isinf(better[1]):
        return better[0]
    return rate_at([worse, better], ms_ssim_db(target_ms_ssim))


def as_array(image: Image.Image) -> Image8:
    """Return the 8-bit samples without alpha: `(H, W, 1)` of a grey picture, else `(H, W, 3)`."""
    if image.mode in ("1", "L", "LA"):
        return np.array(image.convert("L"))[:, :, None]
    return np.array(image.convert("RGB"))


def as_pillow(image: Image8) -> Image.Image:
    """Return the Pillow image of an array `(H, W, 3)` or `(H, W, 1)`."""
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def like(decoded: Image8, image: Image8) -> Image8:
    """Give a decoded picture the channels of the original: WebP and AVIF return grey as colour."""
    if decoded.shape[2] == 3 and image.shape[2] == 1:
        return np.array(as_pillow(decoded).convert("L"))[:, :, None]
    return decoded
