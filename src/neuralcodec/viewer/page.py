"""One HTML page, in need of nothing else, to look at a decoded picture and to compare it with another one.

The page takes frames: what one file gives, or several states of a file that arrives bit by bit. The pictures
are in it without loss. What a browser is given is bounded: up to 4 megapixels (2^22) a picture and 16 (2^24)
for all of them. A larger picture is reduced to that, which the page says; its measures are those of the full
size.
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
    """What is to be seen, and what it costs.

    Args:
        label: what it is called, such as the name of its file.
        size: bytes that it takes.
        picture: upright; orientation in EXIF is not applied to it.
    """

    label: str
    size: int
    picture: Picture


def page(frames: Sequence[Frame], against: Frame | None = None) -> str:
    """The document.

    Args:
        frames: at least one. Several, in the order of their sizes, get a slider.
        against: the picture to compare them with, such as the original.

    Raises:
        UsageError: the pictures are not of one size.
    """
    shown = [*frames, *([against] if against else [])]
    title = frames[-1].label + (f" against {against.label}" if against else "")
    height, width = frames[0].picture.pixels.shape[:2]
    for frame in shown:
        other = frame.picture.pixels.shape
        if other[:2] != (height, width):
            raise UsageError(
                f"{frame.label} has {other[1]}x{other[0]} pixels, {frames[0].label} {width}x{height}: "
                "they cannot be laid over each other"
            )
    size = _shown_size(width, height, len(shown))
    files = resources.files("neuralcodec.viewer")
    style, script = (files.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p>{width} × {height} pixels{_reduced(size, (width, height))}</p>
{_facts(frames, against)}
</header>
{_stage(frames, against, size)}
{_controls(frames, against)}
<script>
{script}</script>
</body>
</html>
"""


# ---- parts of the page -----------------------------------------------------------------------------------


def _reduced(size: tuple[int, int], full: tuple[int, int]) -> str:
    return "" if size == full else f", shown at {size[0]} × {size[1]}"


def _facts(frames: Sequence[Frame], against: Frame | None) -> str:
    rows = []
    for number, frame in enumerate(frames):
        hidden = " hidden" if number != len(frames) - 1 else ""
        rows.append(f'<div data-frame="{number}"{hidden}>{_fact(frame, against)}</div>')
    if against:
        rows.append(f"<div>{_fact(against, None)}</div>")
    return f"<dl>{''.join(rows)}</dl>"


def _fact(frame: Frame, against: Frame | None) -> str:
    height, width = frame.picture.pixels.shape[:2]
    parts = [f"<b>{frame.size:,} bytes</b>", f"{8 * frame.size / (height * width):.3f} bpp"]
    if against:
        one, two = same_channels(frame.picture, against.picture)
        quality = metrics.psnr(one, two)
        parts.append(f"MS-SSIM {metrics.ms_ssim(one, two):.4f}")
        parts.append(f"PSNR {quality:.2f} dB" if math.isfinite(quality) else "the same pixels")
        if against.size:
            parts.append(f"{100 * frame.size / against.size:.3g} % of the other")
    spans = "".join(f"<span>{part}</span> " for part in parts)
    return f"<dt>{escape(frame.label)}</dt><dd>{spans}</dd>"


def _stage(frames: Sequence[Frame], against: Frame | None, size: tuple[int, int]) -> str:
    height, width = frames[0].picture.pixels.shape[:2]
    parts = [
        f'<div id="stage" tabindex="0" role="group" data-width="{width}" data-height="{height}"'
        f' data-detail="{size[0] / width:.6f}" aria-label="The picture. Arrow keys move it,'
        ' plus and minus zoom, 0 shows all of it, 1 its own size.">'
    ]
    for number, frame in enumerate(frames):
        hidden = " hidden" if number != len(frames) - 1 else ""
        alt = f"decoded from {escape(frame.label)}"
        parts.append(f'<div class="layer" data-frame="{number}"{hidden}>{_img(frame, size, alt)}</div>')
    if against:
        parts.append(f'<div class="layer above">{_img(against, size, escape(against.label))}</div>')
        parts.append(f'<span class="side first">{escape(against.label)}</span>')
        for number, frame in enumerate(frames):
            hidden = " hidden" if number != len(frames) - 1 else ""
            name = escape(frame.label)
            parts.append(f'<span class="side second" data-frame="{number}"{hidden}>{name}</span>')
        parts.append('<span id="grip" aria-hidden="true">◂▸</span>')
    return "\n".join([*parts, "</div>"])


def _controls(frames: Sequence[Frame], against: Frame | None) -> str:
    sliders = []
    if against:
        sides = f"{escape(against.label)} to the left, {escape(frames[-1].label)} to the right"
        sliders.append(
            '<label>Compare<input id="cut" type="range" min="0" max="100" step="0.5" value="50"'
            f' aria-label="{sides}"></label>'
        )
    if len(frames) > 1:
        last = len(frames) - 1
        sliders.append(
            f'<label>Received<input id="frame" type="range" min="0" max="{last}" value="{last}"'
            ' aria-label="Bytes received"></label>'
        )
    return f"""<footer>
<div class="zoom">
<button id="out" aria-label="Zoom out">−</button>
<output id="scale" aria-live="polite"></output>
<button id="in" aria-label="Zoom in">+</button>
<button id="fit">All of it</button>
<button id="full">1 : 1</button>
</div>
{"".join(sliders)}
</footer>"""


# ---- the pictures in it ----------------------------------------------------------------------------------


def _shown_size(width: int, height: int, count: int) -> tuple[int, int]:
    """Width and height within the limits, when there are `count` such pictures."""
    pixels = min(PICTURE_PIXELS, PAGE_PIXELS // count)
    share = min(1.0, math.sqrt(pixels / (width * height)), _WEBP_SIDE / max(width, height))
    return max(1, int(width * share)), max(1, int(height * share))


def _img(frame: Frame, size: tuple[int, int], alt: str) -> str:
    image = to_pil(replace(frame.picture, exif=None, xmp=None))
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    profile = frame.picture.icc
    # Of a grey picture WebP would keep a profile for grey, which browsers do not apply to its three channels.
    grey = frame.picture.pixels.shape[2] == 1
    image.save(file, "WEBP", lossless=True, exact=True, method=1, icc_profile=None if grey else profile)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{alt}" draggable="false" src="data:image/webp;base64,{data}">'
