"""The charts are well-formed SVG that can be read without colours, and show what the results say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from neuralcodec.bench import charts
from neuralcodec.bench.summary import METRICS

from .conftest import Bench

SVG = "{http://www.w3.org/2000/svg}"
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "kodak"
CURVE = [(0.1, 0.8), (0.3, 0.9), (1.0, 0.97), (3.0, 0.99)]  # bits per pixel and MS-SSIM


def report(names: list[str], published: int = 0, bent: float = 1.0) -> dict[str, Any]:
    """The part of a report that is drawn, of made-up codecs."""
    nothing = dict.fromkeys(METRICS)
    curves = {
        name: [{**nothing, "bpp": rate * (1 + i / 10), "ms_ssim": quality} for rate, quality in CURVE]
        for i, name in enumerate(names)
    }
    return {
        "ours": "ours",
        "reference": "jpeg",
        "codecs": {name: {"label": f"{name} <b>"} for name in names},
        "summary": {name: {"curve": curve} for name, curve in curves.items()},
        "published": [
            {"name": str(i), "source": "", "points": [(0.1, 0.9), (0.3 + bent * i / 100, 0.98)]}
            for i in range(published)
        ],
    }


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def test_every_codec_has_dashes_and_a_marker_of_its_own() -> None:
    names = ["jpeg", "webp", "avif", "jxl", "ours-gru", "ours-e1", "ours-e9", "ours"]
    names += [f"compressai:{i}" for i in range(6)]
    styles = charts.styles(names, "ours", "jpeg")
    assert set(styles) == set(names)
    assert len({(str(style.get("linestyle")), style["marker"]) for style in styles.values()}) == len(names)
    round_ones = {name for name, style in styles.items() if style["marker"] == styles["ours"]["marker"]}
    assert round_ones == {name for name in names if name.startswith("ours")}


def test_charts_of_a_page() -> None:
    (chart,), legend = charts.charts(report(["jpeg", "webp", "ours"], published=2))
    root = ElementTree.fromstring(chart.svg)
    assert chart.title == "MS-SSIM"
    curves = {g.get("data-codec"): g for g in root.iter(f"{SVG}g") if g.get("class") == "curve"}
    assert list(curves) == ["published-0", "published-1", "jpeg", "webp", "ours"]  # as they are drawn
    assert all(len(list(curves[name].iter(f"{SVG}use"))) == len(CURVE) for name in ("jpeg", "webp", "ours"))
    assert {"bits per pixel", "MS-SSIM, dB", "0.90", "0.5", "a", "b"} <= set(texts(root))
    assert [item.title for item in legend][:2] == ["jpeg <b>", "webp <b>"]
    assert "a  0 (published)" in [item.title for item in legend]
    for svg in (chart.svg, *(item.svg for item in legend)):
        ElementTree.fromstring(svg)
        assert not re.search(r"<style|<script|url\((?!#)|href=\"(?!#)", svg)
        assert not set(charts.COLOURS.values()) & set(
            re.findall(r"#[0-9a-f]{6}", svg)
        )  # they follow the page


def test_letters_of_published_curves_do_not_touch() -> None:
    (panel,) = charts.panels(report(["jpeg", "ours"], published=6))
    axes = Figure((540 / 72, 430 / 72), dpi=72).subplots()
    charts._draw(axes, panel)
    places = []
    for line, rise in charts._tags(axes, panel.lines):
        x, y = axes.transData.transform(line.points[-1])
        places.append((x, y + rise))
    assert len(places) == 6
    for i, (x, y) in enumerate(places):
        assert all(abs(x - u) >= 11 or abs(y - v) >= 14 for u, v in places[:i])


@pytest.mark.parametrize("curve", [[], CURVE[:1], [(4.5, 0.9), (5.0, 0.95)]])
def test_without_a_curve_there_is_no_chart(curve: list[tuple[float, float]]) -> None:
    results = report(["jpeg", "ours"])
    for summary in results["summary"].values():
        summary["curve"] = [{**dict.fromkeys(METRICS), "bpp": r, "ms_ssim": q} for r, q in curve]
    assert charts.panels(results) == []
    assert charts.figure(results) == ""


def test_a_figure_is_a_document_of_its_own(small: Bench) -> None:
    text = (small.folder / "curves.svg").read_text()
    assert charts.figure(small.report) == text  # drawn twice it is the same
    root = ElementTree.fromstring(text)
    found = texts(root)
    assert [name for name in found if name in ("MS-SSIM", "PSNR", "SSIMULACRA2")] == ["MS-SSIM", "PSNR"]
    assert {"JPEG", "WebP", "neuralcodec"} <= set(found)
    assert sum("(published)" in name for name in found) == len(small.report["published"])
    assert not re.search(r"url\((?!#)|href=\"(?!#)|@import|var\(", text)
    assert root.get("width") is None  # it takes the room that there is


def test_the_committed_figure_is_that_of_the_committed_results() -> None:
    """Line by line: other releases of matplotlib may write the rest in another way."""
    results = json.loads((RESULTS / "report.json").read_text("utf-8"))
    committed = (RESULTS / "curves.svg").read_text("utf-8")
    for drawn, kept in zip(_curves(charts.figure(results)), _curves(committed), strict=True):
        assert drawn == pytest.approx(kept, abs=2)


def _curves(svg: str) -> list[list[float]]:
    groups = ElementTree.fromstring(svg).iter(f"{SVG}g")
    paths = (next(g.iter(f"{SVG}path")) for g in groups if (g.get("id") or "").startswith("curve-"))
    return [[float(number) for number in re.findall(r"-?[\d.]+", path.get("d") or "")] for path in paths]
