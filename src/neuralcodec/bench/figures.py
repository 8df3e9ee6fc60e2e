"""Pictures that stand alone: the curves of a report as one SVG, and a view of it as one image."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from neuralcodec.bench import charts
from neuralcodec.bench.summary import METRICS, TARGETS, key_of, rate_points
from neuralcodec.bench.tables import Report, count, label
from neuralcodec.picture.metrics import ms_ssim_db

WIDTH = 1160
MARGIN = 20
COLUMNS = 3  # of the legend
ROW = 24
HOT = "#c8321f"  # as on the page


class Panel(NamedTuple):
    """A chart of one metric."""

    name: str
    svg: str
    lines: list[charts.Line]


def panels(report: Report) -> list[Panel]:
    """The charts of a report, without those that have nothing to show."""
    styles = charts.styles(list(report["summary"]), report["ours"], report["reference"])
    guides = [(ms_ssim_db(target), key_of(target)) for target in TARGETS]
    found = []
    for metric, name in METRICS.items():
        lines = [
            charts.Line(label(report, codec), rate_points(summary["curve"], metric), styles[codec])
            for codec, summary in report["summary"].items()
        ]
        first = metric == "ms_ssim_db"
        lines += _published(report) if first else []
        unit = "" if metric == "ssimulacra2" else ", dB"
        if svg := charts.chart(name + unit, lines, guides if first else ()):
            found.append(Panel(name, svg, lines))
    return found


def curves(report: Report) -> str:
    """An SVG document with all charts, the first one large, and a legend; empty without any curve."""
    shown = panels(report)
    if not shown:
        return ""
    legend = shown[0].lines
    top = MARGIN + ROW * -(-len(legend) // COLUMNS) + 10
    column = (WIDTH - 2 * MARGIN) / COLUMNS
    parts = [
        _legend_item(line, MARGIN + column * (index % COLUMNS), MARGIN + ROW * (index // COLUMNS))
        for index, line in enumerate(legend)
    ]
    large = round((WIDTH - 3 * MARGIN) * (0.62 if len(shown) > 1 else 1))
    small = WIDTH - 3 * MARGIN - large
    bottom = top
    for index, panel in enumerate(shown):
        x, width = (MARGIN, large) if index == 0 else (2 * MARGIN + large, small)
        height = round(width * charts.HEIGHT / charts.WIDTH)
        y = top + (height + 36) * max(0, index - 1)  # those at the right stand below one another
        parts.append(f'<text class="title" x="{x}" y="{y + 18}">{escape(panel.name)}</text>')
        parts.append(f'<g class="{"small" if index else "large"}">')
        parts.append(_placed(panel.svg, x, y + 28, width, height) + "</g>")
        bottom = max(bottom, y + 28 + height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + MARGIN}">'
        f"<style>{_style()}</style>\n"
        f'<rect width="100%" height="100%" fill="#fbfaf6"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def triptych(view: dict[str, Any], ours: str, reference: str) -> Image.Image:
    """Original, reference and ours side by side, with their bytes.

    Args:
        view: as `views.make` gives it, with its pictures.
        ours, reference: what a reader calls the two codecs.
    """
    cell = (WIDTH - 2 * MARGIN) // 3
    height = round(cell * view["height"] / view["width"])
    figure = Image.new("RGB", (WIDTH, height + 84), "#fbfaf6")
    draw = ImageDraw.Draw(figure)
    small, plain = ImageFont.load_default(15), ImageFont.load_default(18)
    draw.text((0, 12), view["image"], "#17181c", plain)
    if view["saving"] is not None:
        needed = count(view["reference"]["bytes_at_equal_ms_ssim"])
        share = f"{abs(view['saving']):.0f} % {'fewer' if view['saving'] >= 0 else 'more'} bytes"
        text = f"{share} than {reference} at the same MS-SSIM ({needed} bytes)"
        draw.text((WIDTH, 14), text, "#5d6068", small, anchor="ra")
    names = {"original": "Original", "reference": reference, "ours": ours}
    for index, (kind, name) in enumerate(names.items()):
        data = base64.b64decode(view["pictures"][kind].partition(",")[2])
        left, facts = index * (cell + MARGIN), view[kind]
        with Image.open(io.BytesIO(data)) as picture:
            resized = picture.convert("RGB").resize((cell, height), Image.Resampling.LANCZOS)
        figure.paste(resized, (left, 44))
        text = f"{count(facts['bytes'])} bytes"
        text += f", MS-SSIM {facts['ms_ssim']:.3f}" if "ms_ssim" in facts else ""
        draw.text((left, height + 54), name, HOT if kind == "ours" else "#17181c", plain)
        draw.text((left + cell, height + 56), text, "#5d6068", small, anchor="ra")
    return figure


def _published(report: Report) -> Sequence[charts.Line]:
    return [
        charts.Line(
            f"{curve['name']} (published)",
            [(bpp, ms_ssim_db(value)) for bpp, value in curve["points"]],
            charts.PUBLISHED,
            chr(ord("a") + index),
        )
        for index, curve in enumerate(report["published"])
    ]


def _legend_item(line: charts.Line, x: float, y: float) -> str:
    tag = f"<tspan font-weight='700'>{escape(line.tag)}</tspan> " if line.tag else ""
    text = f'<text class="legend" x="{x + 54:.0f}" y="{y + 14:.0f}">{tag}{escape(line.label)}</text>'
    return _placed(charts.sample(line), x, y, 46, 18) + text


def _placed(svg: str, x: float, y: float, width: float, height: float) -> str:
    place = f'x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return svg.replace("<svg ", f"<svg {place} ", 1)


def _style() -> str:
    """The rules that a chart needs, with the values of their variables, which not all viewers know."""
    files = resources.files("neuralcodec.bench")
    rules, page = (files.joinpath(name).read_text("utf-8") for name in ("charts.css", "page.css"))
    for name, value in re.findall(r"--(\w+): ([^;]+);", page):
        rules = rules.replace(f"var(--{name})", value)
    sans = re.search(r"--sans: ([^;]+);", page)
    font = sans[1] if sans else "sans-serif"
    own = (
        f"svg {{ font-family: {font}; }} svg text.legend {{ text-anchor: start; fill: #17181c; }}"
        " svg text.title { text-anchor: start; fill: #17181c; font-size: 19px; font-weight: 600; }"
        " .small svg text { font-size: 18px; }"
    )
    return rules + own
