"""The codecs that are compared: Pillow's JPEG, WebP and AVIF, and ours, behind one small interface.

A peer turns a `uint8` array of shape `(H, W, 3)` or `(H, W, 1)` into the bytes of a file and back. Its
settings are integers of which more means more bytes and a better picture.
"""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar, Protocol

import numpy as np
from PIL import Image, features

from neuralcodec.bench.curves import Point, rate_at
from neuralcodec.bench.metrics import Image8, ms_ssim, ms_ssim_db
from neuralcodec.errors import UsageError


class Peer(Protocol):
    """A codec as the benchmark sees it."""

    @property
    def name(self) -> str:
        """What `--peers` calls it."""

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest setting; every integer between is one too."""

    @property
    def settings(self) -> tuple[int, ...]:
        """The settings of a rate-distortion curve, rising."""

    def version(self) -> str:
        """What its bytes depend on beside the picture and the setting: library versions, options, weights."""

    def encode(self, image: Image8, setting: int) -> bytes:
        """The file for a picture `(H, W, 3)` or `(H, W, 1)`."""

    def decode(self, data: bytes) -> Image8:
        """The picture as a viewer sees it: `(H, W, 1)` where the file is grey, else `(H, W, 3)`."""


class PillowPeer:
    """A codec that Pillow brings; the subclasses say which, and with which options."""

    limits: ClassVar[tuple[int, int]]
    name: ClassVar[str]
    settings: ClassVar[tuple[int, ...]]
    file_format: ClassVar[str]
    library: ClassVar[str]
    options: ClassVar[dict[str, Any]]

    def version(self) -> str:
        """The version of the library behind Pillow, and the options."""
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.library} {features.version(self.library)} {options}"

    def encode(self, image: Image8, setting: int) -> bytes:
        """The file for a picture `(H, W, 3)` or `(H, W, 1)`.

        Raises:
            UsageError: this build of Pillow lacks the codec.
        """
        if not features.check(self.library):
            raise UsageError(f"this Pillow was built without {self.file_format}")
        file = io.BytesIO()
        as_pillow(image).save(file, self.file_format, quality=setting, **self.options)
        return file.getvalue()

    def decode(self, data: bytes) -> Image8:
        """The picture as a viewer sees it."""
        with Image.open(io.BytesIO(data)) as image:
            return as_array(image)


class Jpeg(PillowPeer):
    """Baseline of all comparisons: progressive JPEG with optimised tables and 4:2:0 chroma."""

    name = "jpeg"
    limits = (1, 100)
    settings = (5, 8, 11, 14, 17, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 94, 98)
    file_format = "JPEG"
    library = "libjpeg_turbo"
    options: ClassVar[dict[str, Any]] = {"optimize": True, "progressive": True, "subsampling": "4:2:0"}


class WebP(PillowPeer):
    """Lossy WebP at its slowest, smallest method."""

    name = "webp"
    limits = (0, 100)
    settings = (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 88, 94, 98)
    file_format = "WEBP"
    library = "webp"
    options: ClassVar[dict[str, Any]] = {"method": 6}


class Avif(PillowPeer):
    """AVIF as libavif encodes it at its default speed, 6, with 4:2:0 chroma."""

    name = "avif"
    limits = (0, 100)
    settings = (5, 12, 20, 28, 36, 44, 52, 60, 68, 76, 84, 92)
    file_format = "AVIF"
    library = "avif"
    options: ClassVar[dict[str, Any]] = {"speed": 6, "subsampling": "4:2:0"}


@dataclass(frozen=True)
class Ours:
    """neuralcodec with one of its models."""

    model: str = "conv"
    limits: ClassVar[tuple[int, int]] = (0, 100)
    settings: ClassVar[tuple[int, ...]] = tuple(range(0, 101, 5))

    @property
    def name(self) -> str:
        """`ours` for the default model, else `ours-MODEL`."""
        return "ours" if self.model == "conv" else f"ours-{self.model}"

    def version(self) -> str:
        """The package's version and a hash of the model's weights.

        Raises:
            UsageError: the package ships no such model.
        """
        from neuralcodec import weights

        digest = hashlib.sha256(weights.by_name(self.model).read_bytes()).hexdigest()
        return f"neuralcodec {metadata.version('neuralcodec')} weights {digest[:16]}"

    def encode(self, image: Image8, setting: int) -> bytes:
        """The file for a picture `(H, W, 3)` or `(H, W, 1)`."""
        import neuralcodec

        return neuralcodec.encode(as_pillow(image), quality=setting, model=self.model)

    def decode(self, data: bytes) -> Image8:
        """The picture as a viewer sees it."""
        import neuralcodec

        return as_array(neuralcodec.decode(data))


PEERS: dict[str, Peer] = {peer.name: peer for peer in (Jpeg(), WebP(), Avif(), Ours(), Ours("gru"))}


def match(peer: Peer, image: Image8, target_ms_ssim: float) -> float | None:
    """The bytes that a codec needs to reach an MS-SSIM, found by at most 7 encodings for 101 settings.

    Bisects for the two neighbouring settings around the target and interpolates log-bytes between them over
    MS-SSIM in dB, so that no codec is punished for coarse settings.

    Args:
        image: uint8, `(H, W, 3)` or `(H, W, 1)`.
        target_ms_ssim: on the linear scale, 0 to 1.

    Returns:
        Bytes; None where even the lowest setting is better, or the highest worse: nothing is extrapolated.
    """
    below, above = peer.limits[0] - 1, peer.limits[1] + 1
    worse: Point | None = None
    better: Point | None = None
    while above - below > 1:
        setting = (below + above) // 2
        data = peer.encode(image, setting)
        quality = ms_ssim(image, like(peer.decode(data), image))
        point = (float(len(data)), ms_ssim_db(quality))
        if quality < target_ms_ssim:
            below, worse = setting, point
        else:
            above, better = setting, point
    if better is None or (worse is None and better[1] > ms_ssim_db(target_ms_ssim)):
        return None
    # A better picture in no more bytes, or one without any error, leaves nothing to interpolate.
    if worse is None or better[0] <= worse[0] or math.isinf(better[1]):
        return better[0]
    return rate_at([worse, better], ms_ssim_db(target_ms_ssim))


def as_array(image: Image.Image) -> Image8:
    """The 8-bit samples: `(H, W, 1)` of a grey picture, else `(H, W, 3)`; alpha and profiles are left out."""
    if image.mode in ("1", "L", "LA"):
        return np.array(image.convert("L"))[:, :, None]
    return np.array(image.convert("RGB"))


def as_pillow(image: Image8) -> Image.Image:
    """The Pillow image of an array `(H, W, 3)` or `(H, W, 1)`."""
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def like(decoded: Image8, image: Image8) -> Image8:
    """The decoded picture with the channels of the original, since WebP and AVIF return grey as colour."""
    if decoded.shape[2] == 3 and image.shape[2] == 1:
        return np.array(as_pillow(decoded).convert("L"))[:, :, None]
    return decoded
