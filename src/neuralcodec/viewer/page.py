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
from html import escape
from importlib import resources

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
    title = escape(frames[-1].label + (f" against {against.label}" if against else ""))
    reduced = "" if size == (width, height) else f", shown at {size[0]} × {size[1]}"
    files = resources.files("neuralcodec.viewer")
    style, script = (files.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    # The icon is empty: without one the browser asks a server for it.
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{width} × {height} pixels{reduced}</p>
<dl>{_measures(frames, against)}</dl>
</header>
{_stage(frames, against, size)}
<footer>
<div class="zoom">
<button id="out" aria-label="Zoom out">−</button>
<output id="scale" aria-live="polite"></output>
<button id="in" aria-label="Zoom in">+</button>
<button id="fit">All of it</button>
<button id="full">1 : 1</button>
</div>
{_sliders(frames, against, slider)}
</footer>
<script>
{script}</script>
</body>
</html>
"""


def _measures(frames: Sequence[Frame], against: Frame | None) -> str:
    """Write the bytes and the measures of each picture."""
    parts = [f"<div {shown}>{_measured(frame, against)}</div>" for frame, shown in _numbered(frames)]
    if against:
        parts.append(f"<div>{_measured(against, None)}</div>")
    return "".join(parts)


def _measured(frame: Frame, against: Frame | None) -> str:
    facts = "".join(f" <span>{fact}</span>" for fact in _facts(frame, against))
    return f"<dt>{escape(frame.label)}</dt><dd><span><b>{frame.size:,} bytes</b></span>{facts}</dd>"


def _stage(frames: Sequence[Frame], against: Frame | None, size: tuple[int, int]) -> str:
    """Write the pictures, one over another, and with `against` their names and the grip between them."""
    height, width = frames[0].picture.pixels.shape[:2]
    parts = [
        f'<div id="stage" tabindex="0" role="group" data-width="{width}" data-height="{height}"'
        f' data-detail="{size[0] / width:.6f}" aria-label="The picture. Arrow keys move it,'
        ' plus and minus zoom, 0 shows all of it, 1 its own size.">'
    ]
    for frame, shown in _numbered(frames):
        image = _image(frame, f"decoded from {frame.label}", size)
        parts.append(f'<div class="layer" {shown}>{image}</div>')
    if against:
        parts.append(f'<div class="layer above">{_image(against, against.label, size)}</div>')
        parts.append(f'<span class="side first">{escape(against.label)}</span>')
        for frame, shown in _numbered(frames):
            parts.append(f'<span class="side second" {shown}>{escape(frame.label)}</span>')
        parts.append('<span id="grip" aria-hidden="true">◂▸</span>')
    return "\n".join([*parts, "</div>"])


def _image(frame: Frame, alt: str, size: tuple[int, int]) -> str:
    return f'<img alt="{escape(alt)}" draggable="false" src="{_source(frame, size)}">'


def _sliders(frames: Sequence[Frame], against: Frame | None, slider: str) -> str:
    """Write the sliders that there is something for: over the line between two pictures, over the frames."""
    first, last, slider = escape(frames[0].label), escape(frames[-1].label), escape(slider)
    parts = []
    if against:
        parts.append(
            '<label>Compare<input id="cut" type="range" min="0" max="100" step="0.5" value="50"'
            f' aria-label="{escape(against.label)} to the left, {last} to the right"></label>'
        )
    if len(frames) > 1:
        end = len(frames) - 1
        parts.append(
            f'<label>{slider}<input id="frame" type="range" min="0" max="{end}" value="{end}"'
            f' aria-label="{slider}: {first} to {last}"></label>'
        )
    return "\n".join(parts)


def _numbered(frames: Sequence[Frame]) -> list[tuple[Frame, str]]:
    """Pair each frame with the attributes of what shows it: at first the last one is seen."""
    end = len(frames) - 1
    return [
        (frame, f'data-frame="{number}"' + (" hidden" if number < end else ""))
        for number, frame in enumerate(frames)
    ]


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
