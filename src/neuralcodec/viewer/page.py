"""One self-contained HTML page to look at a decoded picture and to compare it with another one.

The page takes frames: the picture of one file, or several, of a file that arrives bit by bit or is decoded
more and more vividly. It holds the pictures without loss, but no more than a browser bears: 4 megapixels
(2^22) a picture and 16 (2^24) for all of them. A larger picture is reduced to that, and the page says so; its
measures are those of the full size.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from neuralcodec.errors import UsageError
from neuralcodec.picture import metrics
from neuralcodec.picture.picture import Picture, same_channels, to_pil

PICTURE_PIXELS = 1 << 22
PAGE_PIXELS = 1 << 24
_WEBP_SIDE = 16383


@dataclass(frozen=True)
class Frame:
    """A picture to show, and its size.

    Args:
        label: a name, such as that of the file.
        size: of the file, in bytes.
        picture: upright already: its EXIF orientation is not applied.
    """

    label: str
    size: int
    picture: Picture


def page(frames: Sequence[Frame], against: Frame | None = None, *, slider: str = "Received") -> str:
    """Build the document.

    Args:
        frames: at least one. Several get a slider, and the last is shown first.
        slider: its label.
        against: the picture to compare them with, such as the original.

    Raises:
        UsageError: the pictures are not of one size.
    """
    shown = [*frames, *([against] if against else [])]
    height, width = frames[0].picture.pixels.shape[:2]
    for frame in shown:
        other = frame.picture.pixels.shape
        if other[:2] != (height, width):
            raise UsageError(
                f"{frame.label} has {other[1]}x{other[0]} pixels, {frames[0].label} {width}x{height}: "
                "they cannot be laid over each other"
            )
    size = _shown_size(width, height, len(shown))
    environment = Environment(
        loader=PackageLoader("neuralcodec.viewer", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        frames=frames,
        against=against,
        slider=slider,
        width=width,
        height=height,
        size=size,
        facts=lambda frame: _facts(frame, None if frame is against else against),
        source=lambda frame: _source(frame, size),
    )


def _facts(frame: Frame, against: Frame | None) -> list[str]:
    """List what the page says of a frame beside its bytes."""
    height, width = frame.picture.pixels.shape[:2]
    parts = [f"{8 * frame.size / (height * width):.3f} bpp"]
    if against:
        one, two = same_channels(frame.picture, against.picture)
        quality = metrics.psnr(one, two)
        parts.append(f"MS-SSIM {metrics.ms_ssim(one, two):.4f}")
        parts.append(f"PSNR {quality:.2f} dB" if math.isfinite(quality) else "the same pixels")
        if against.size:
            parts.append(f"{100 * frame.size / against.size:.3g} % of the other")
    return parts


def _shown_size(width: int, height: int, count: int) -> tuple[int, int]:
    """Compute the width and height at which `count` such pictures stay within the limits."""
    pixels = min(PICTURE_PIXELS, PAGE_PIXELS // count)
    share = min(1.0, math.sqrt(pixels / (width * height)), _WEBP_SIDE / max(width, height))
    return max(1, int(width * share)), max(1, int(height * share))


def _source(frame: Frame, size: tuple[int, int]) -> str:
    """Return a picture as a data URI of `size`, lossless."""
    image = to_pil(replace(frame.picture, exif=None, xmp=None))
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    profile = frame.picture.icc
    # WebP has three channels, to which browsers do not apply the profile of a grey picture.
    grey = frame.picture.pixels.shape[2] == 1
    image.save(file, "WEBP", lossless=True, exact=True, method=1, icc_profile=None if grey else profile)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
