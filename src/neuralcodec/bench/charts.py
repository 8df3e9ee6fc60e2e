"""Rate-distortion curves as inline SVG: drawn to be told apart in black and white, by dashes and markers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from neuralcodec.bench.curves import Point, pareto_front

WIDTH, HEIGHT = 540, 430
LEFT, RIGHT, TOP, BOTTOM = 52, 46, 14, 50
MOST_BPP = 2.0  # nobody compares photographs beyond
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Style(NamedTuple):
    """How a line is drawn: its CSS class, SVG dash array, and the path of its marker around (0, 0)."""

    css: str
    dashes: str
    marker: str


class Line(NamedTuple):
    """A curve `(bpp, quality)`; one with a `tag`, a letter at its end, is a published one."""

    label: str
    points: list[Point]
    style: Style
    tag: str = ""


_CIRCLE = "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z"
_MARKERS = (
    "M0-5L5 4H-5z",
    "M0-5.5L5.5 0L0 5.5L-5.5 0z",
    "M-4.5-4.5L4.5 4.5M-4.5 4.5L4.5-4.5",
    "M0-5.5V5.5M-5.5 0H5.5",
    "M0 5L5-4H-5z",
    "M-4-4h8v8h-8z",
)
_DASHES = ("9 4", "2.5 3", "11 3 2 3", "5 2 2 2 2 2", "14 5")
OURS = Style("ours", "", _CIRCLE)
REFERENCE = Style("reference", "", "M-4-4h8v8h-8z")
PUBLISHED = Style("published", "1.5 3", "")


def styles(codecs: Sequence[str], ours: str, reference: str) -> dict[str, Style]:
    """A style for each codec, the same in every chart; further codecs of ours have our colour and marker."""
    others = [codec for codec in codecs if codec not in (ours, reference)]
    chosen = {reference: REFERENCE, ours: OURS}
    own = [codec for codec in others if codec.startswith("ours")]
    for index, codec in enumerate(own):
        chosen[codec] = Style("own", _DASHES[index % len(_DASHES)], _CIRCLE)
    for index, codec in enumerate(codec for codec in others if codec not in own):
        dashes, marker = _DASHES[index % len(_DASHES)], _MARKERS[index % len(_MARKERS)]
        chosen[codec] = Style(f"peer{1 + index % 5}", dashes, marker)
    return chosen


def chart(name: str, lines: Sequence[Line], guides: Sequence[tuple[float, str]] = ()) -> str:
    """A chart of quality over bits per pixel, the latter on a logarithmic scale.

    Args:
        name: of the quality, at the vertical axis.
        guides: qualities to mark with a line and a text at the right.

    Returns:
        An `<svg>`; empty where no line has two points within the range that is shown.
    """
    lines = [line._replace(points=_within(line.points)) for line in lines]
    lines = [line for line in lines if len(line.points) > 1 or (line.tag and line.points)]
    points = [point for line in lines for point in line.points]
    if not any(len(line.points) > 1 for line in lines):
        return ""
    x_low, x_high = min(rate for rate, _ in points) / 1.1, max(rate for rate, _ in points) * 1.1
    y_low, y_high = min(quality for _, quality in points), max(quality for _, quality in points)
    margin = 0.05 * (y_high - y_low) or 1.0
    y_low, y_high = y_low - margin, y_high + margin

    def place(point: Point) -> tuple[float, float]:
        share = math.log(point[0] / x_low) / math.log(x_high / x_low)
        x = LEFT + share * (WIDTH - LEFT - RIGHT)
        return x, TOP + (y_high - point[1]) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)} over bits per pixel">',
        *(_x_tick(tick, place((tick, y_low))) for tick in TICKS if x_low <= tick <= x_high),
        *(_y_tick(tick, place((x_low, tick))[1]) for tick in _round_steps(y_low, y_high)),
        *(_guide(text, place((x_low, q))[1]) for q, text in guides if y_low < q < y_high),
        f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
        f'<text class="name" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}">bits per pixel</text>',
        f'<text class="name" transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">'
        f"{escape(name)}</text>",
    ]
    for line in sorted(lines, key=lambda line: (not line.tag, line.style is OURS)):  # ours on top
        parts.append(_curve(line, [place(point) for point in line.points]))
    parts += _tags([(line.tag, place(line.points[-1])) for line in lines if line.tag])
    return "\n".join([*parts, "</svg>"])


def sample(line: Line) -> str:
    """A short piece of a line, 46 by 18."""
    dashes = f' stroke-dasharray="{line.style.dashes}"' if line.style.dashes else ""
    path = f'<path class="line" d="M2 9H44"{dashes}/>'
    mark = (
        f'<path class="mark" transform="translate(23 9)" d="{line.style.marker}"/>'
        if line.style.marker
        else ""
    )
    return f'<svg class="key {line.style.css}" viewBox="0 0 46 18" aria-hidden="true">{path}{mark}</svg>'


def key(line: Line) -> str:
    """An item of a legend."""
    tag = f"<b>{escape(line.tag)}</b> " if line.tag else ""
    return f"<li>{sample(line)}{tag}{escape(line.label)}</li>"


def _within(points: Sequence[Point]) -> list[Point]:
    """What is shown of a curve: settings that another one beats are left out here as from every result."""
    return [(rate, quality) for rate, quality in pareto_front(points) if rate <= MOST_BPP]


def _curve(line: Line, places: Sequence[tuple[float, float]]) -> str:
    dashes = f' stroke-dasharray="{line.style.dashes}"' if line.style.dashes else ""
    route = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    marks = "".join(
        f'<path class="mark" transform="translate({x:.1f} {y:.1f})" d="{line.style.marker}"/>'
        for x, y in places
        if line.style.marker
    )
    title = f"<title>{escape(line.label)}</title>"
    return f'<g class="{line.style.css}">{title}<path class="line" d="M{route}"{dashes}/>{marks}</g>'


def _tags(tags: list[tuple[str, tuple[float, float]]]) -> list[str]:
    """Letters over the ends of lines, raised where two would touch."""
    texts: list[str] = []
    placed: list[tuple[float, float]] = []
    for tag, (x, end) in sorted(tags, key=lambda item: item[1][0]):
        y = end - 7
        while any(abs(x - other_x) < 11 and abs(y - other_y) < 14 for other_x, other_y in placed):
            y -= 14
        placed.append((x, y))
        texts.append(f'<text class="tag" x="{x:.1f}" y="{y:.1f}">{escape(tag)}</text>')
    return texts


def _x_tick(value: float, place: tuple[float, float]) -> str:
    x, y = place
    return (
        f'<path class="grid" d="M{x:.1f} {TOP}V{y:.1f}"/>'
        f'<text class="tick" x="{x:.1f}" y="{y + 18:.1f}">{value:g}</text>'
    )


def _y_tick(value: float, y: float) -> str:
    text = f"{value:g}".replace("-", "−")
    return (
        f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="tick y" x="{LEFT - 7}" y="{y + 4.5:.1f}">{text}</text>'
    )


def _guide(text: str, y: float) -> str:
    return (
        f'<path class="guide" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="guide" x="{WIDTH - RIGHT + 5}" y="{y + 4.5:.1f}">{escape(text)}</text>'
    )


def _round_steps(low: float, high: float) -> list[float]:
    """About six round numbers between two others."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [step * index for index in range(math.ceil(low / step), math.floor(high / step) + 1)]
