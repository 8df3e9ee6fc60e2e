"""Rate-distortion curves by matplotlib, with dashes and markers that differ in black and white too.

It needs the extra `neuralcodec[bench]`. The colours are those of the page's light theme. In the page they
become variables of its style sheet, so that the curves go dark with it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator, StrMethodFormatter

from neuralcodec.bench.curves import Point, pareto_front
from neuralcodec.bench.summary import METRICS, key_of, rate_points
from neuralcodec.bench.tables import Report, label

MOST_BPP = 4.0  # nobody compares photographs at more
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
#: The colours, by their names in the style sheet of the page.
COLOURS = {
    "paper": "#fbfaf6", "ink": "#17181c", "soft": "#5d6068", "rule": "#dcd9d0", "hot": "#c8321f",
    "peer1": "#27607f", "peer2": "#6a4a8c", "peer3": "#3c6e3f", "peer4": "#8a6414", "peer5": "#555555",
    "published": "#7d7f85",
}  # fmt: skip
_DASHES = ((9, 4), (2.5, 3), (11, 3, 2, 3), (5, 2, 2, 2, 2, 2), (14, 5))
_MARKERS = "^Dx+vs"
_PIXELS = 72  # per inch of the SVG
_RC: Any = {
    "font.size": 13, "svg.fonttype": "none", "svg.hashsalt": "neuralcodec", "lines.scale_dashes": False,
    "text.color": COLOURS["ink"], "axes.labelcolor": COLOURS["ink"], "axes.edgecolor": COLOURS["ink"],
    "xtick.color": COLOURS["soft"], "ytick.color": COLOURS["soft"], "grid.color": COLOURS["rule"],
    "axes.grid": True, "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
    "axes.facecolor": "none", "legend.frameon": False, "axes.titlelocation": "left",
}  # fmt: skip


class Line(NamedTuple):
    """A curve `(bpp, quality)` and its style; `tag` is the letter at the end of a published curve."""

    name: str
    label: str
    points: list[Point]
    style: dict[str, Any]
    tag: str = ""


class Panel(NamedTuple):
    """The curves of one metric."""

    metric: str
    lines: list[Line]

    @property
    def title(self) -> str:
        """The name of the metric for readers."""
        return METRICS[self.metric].name


class Chart(NamedTuple):
    """A panel as part of a page."""

    title: str
    svg: str


def styles(codecs: Sequence[str], ours: str, reference: str) -> dict[str, dict[str, Any]]:
    """Choose a style for each codec, the same in every chart; all of ours have our colour and marker."""
    hot, ink, paper = COLOURS["hot"], COLOURS["ink"], COLOURS["paper"]
    chosen: dict[str, dict[str, Any]] = {
        reference: {"color": ink, "marker": "s", "markersize": 7},
        ours: {"color": hot, "marker": "o", "markersize": 8, "linewidth": 3.2, "zorder": 4},
    }
    others = [codec for codec in codecs if codec not in chosen]
    own = [codec for codec in others if codec.startswith("ours")]
    for index, codec in enumerate(own):
        dashes = (0, _DASHES[index % len(_DASHES)])
        chosen[codec] = {"color": hot, "marker": "o", "linestyle": dashes, "markerfacecolor": paper}
    for index, codec in enumerate(codec for codec in others if codec not in own):
        chosen[codec] = {
            "color": COLOURS[f"peer{1 + index % 5}"],
            "marker": _MARKERS[index % len(_MARKERS)],
            "linestyle": (0, _DASHES[index % len(_DASHES)]),
            "markerfacecolor": paper,
        }
    return chosen


def panels(report: Report) -> list[Panel]:
    """Collect the panels of a report, without those that have nothing to show."""
    chosen = styles(list(report["summary"]), report["ours"], report["reference"])
    found = []
    for metric in METRICS:
        lines = [
            Line(
                codec,
                label(report, codec),
                _within(rate_points(summary["curve"], metric), metric),
                chosen[codec],
            )
            for codec, summary in report["summary"].items()
        ]
        lines = [line for line in lines if len(line.points) > 1]
        if lines:
            found.append(Panel(metric, lines + (_published(report) if metric == "ms_ssim" else [])))
    return found


def charts(report: Report) -> tuple[list[Chart], list[Chart]]:
    """Draw the charts for the page, and a short piece of each line for its legend."""
    shown = panels(report)
    return [Chart(panel.title, _chart(panel)) for panel in shown], [
        Chart(_tagged(line), _key(line)) for line in _legend(shown)
    ]


def figure(report: Report) -> str:
    """Draw an SVG document with all charts and a legend; empty without any curve."""
    shown = panels(report)
    if not shown:
        return ""
    rows = 1 + len(shown) // 2  # an even number of charts leaves a row to the legend
    with rc_context(_RC):
        page = Figure(
            (1160 / _PIXELS, 420 * rows / _PIXELS), facecolor=COLOURS["paper"], layout="constrained"
        )
        cells = list(page.subplots(rows, 2, squeeze=False).flat)
        for panel, axes in zip(shown, cells, strict=False):
            _draw(axes, panel)
            axes.set_title(panel.title, fontsize=18)
        for axes in cells[len(shown) :]:
            axes.set_axis_off()
        handles = [Line2D([], [], label=_tagged(line), **line.style) for line in _legend(shown)]
        cells[len(shown)].legend(
            handles=handles, loc="upper left", handlelength=4, ncols=1 + (len(handles) > 14)
        )
        return _svg(page)


def _chart(panel: Panel) -> str:
    with rc_context(_RC):
        page = Figure((540 / _PIXELS, 430 / _PIXELS), facecolor="none", layout="constrained")
        _draw(page.subplots(), panel)
        return _inline(_svg(page), f"{panel.title} over bits per pixel")


def _key(line: Line) -> str:
    with rc_context(_RC):
        page = Figure((46 / _PIXELS, 18 / _PIXELS), facecolor="none")
        page.add_artist(Line2D([0.04, 0.5, 0.96], [0.5] * 3, markevery=[1], **line.style))
        return _inline(_svg(page), "")


def _draw(axes: Axes, panel: Panel) -> None:
    """Draw a chart of quality over bits per pixel, the latter on a logarithmic scale."""
    metric = METRICS[panel.metric]
    for line in panel.lines:
        axes.plot(*zip(*line.points, strict=True), gid=f"curve-{line.name}", **line.style)
    axes.set_xscale("log")
    axes.set_xlabel("bits per pixel")
    axes.set_ylabel(metric.name + (f", {metric.unit}" if metric.unit else ""))
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.tick_params(length=0)
    low, high = axes.get_ylim()
    for target in metric.targets if metric.unit else ():  # without a unit, the axis shows them itself
        if low < (quality := metric.scale(target)) < high:
            axes.axhline(quality, color=COLOURS["soft"], linewidth=0.8, linestyle=(0, (1, 3)))
            place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            axes.annotate(key_of(panel.metric, target), (1, quality), xytext=(5, 0), va="center", **place)
    for line, rise in _tags(axes, panel.lines):
        place = {"textcoords": "offset points", "ha": "center", "va": "bottom", "fontweight": "bold"}
        axes.annotate(line.tag, line.points[-1], xytext=(0, rise), **place)


def _tags(axes: Axes, lines: Sequence[Line]) -> Iterator[tuple[Line, float]]:
    """Yield each line with a letter, and the letter's height over its end: more where two would touch."""
    placed: list[tuple[float, float]] = []
    for line in sorted((line for line in lines if line.tag), key=lambda line: line.points[-1]):
        x, end = axes.transData.transform(line.points[-1])
        y = end + 4
        while any(abs(x - other_x) < 12 and abs(y - other_y) < 15 for other_x, other_y in placed):
            y += 15
        placed.append((x, y))
        yield line, y - end


def _within(points: Sequence[Point], metric: str) -> list[Point]:
    """Return the points of a curve to show: as in every result, without settings that another one beats."""
    lowest = METRICS[metric].lowest
    return [
        (rate, quality) for rate, quality in pareto_front(points) if rate <= MOST_BPP and quality >= lowest
    ]


def _published(report: Report) -> list[Line]:
    style = {"color": COLOURS["published"], "linestyle": (0, (1.5, 3)), "linewidth": 1.6, "zorder": 1}
    scale = METRICS["ms_ssim"].scale
    return [
        Line(f"published-{i}", f"{curve['name']} (published)", points, style, chr(ord("a") + i))
        for i, curve in enumerate(report["published"])
        if (points := _within([(bpp, scale(value)) for bpp, value in curve["points"]], "ms_ssim"))
    ]


def _legend(shown: Sequence[Panel]) -> list[Line]:
    return list({line.name: line for panel in shown for line in panel.lines}.values())


def _tagged(line: Line) -> str:
    return f"{line.tag}  {line.label}" if line.tag else line.label


def _svg(page: Figure) -> str:
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # so that a redrawn figure is the same
    page.savefig(file, format="svg", dpi=_PIXELS, metadata=nothing, facecolor=page.get_facecolor())
    return re.sub(r' (?:width|height)="[\d.]+pt"', "", file.getvalue(), count=2)  # as wide as there is room


def _inline(svg: str, name: str) -> str:
    """Make an SVG part of a page: classes for curves, no other names, variables for colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="curve-([^"]*)">', r'<g class="curve" data-codec="\1">', svg)
    svg = re.sub(r'<g id="[^"]*"(/?)>', r"<g\1>", svg)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    for variable, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg.replace(
        "<svg", f'<svg role="img" aria-label="{name}"' if name else '<svg aria-hidden="true"', 1
    )
