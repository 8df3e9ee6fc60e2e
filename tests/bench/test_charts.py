"""The charts are well-formed SVG that can be read without colours."""

from xml.etree import ElementTree

import pytest

from neuralcodec.bench import charts
from neuralcodec.bench.charts import Line

CURVE = [(0.1, 8.0), (0.3, 12.0), (1.0, 17.0), (3.0, 22.0)]
NAMES = ["jpeg", "webp", "avif", "jxl", "ours"]


def lines() -> list[Line]:
    styles = charts.styles(NAMES, "ours", "jpeg")
    return [
        Line(f"{name} <b>", [(rate * (1 + i / 10), quality) for rate, quality in CURVE], styles[name])
        for i, name in enumerate(NAMES)
    ]


def test_every_codec_has_dashes_and_markers_of_its_own() -> None:
    root = ElementTree.fromstring(charts.chart("MS-SSIM, dB", lines()))
    groups = root.findall("g")
    assert len(groups) == len(NAMES)
    assert groups[-1].get("class") == "ours"  # drawn last, over the others
    looks = {(g[1].get("stroke-dasharray"), g[2].get("d")) for g in groups}
    assert len(looks) == len(NAMES)
    assert all(len(g) == 2 + 3 for g in groups)  # a title, a line, and a marker each; 3 bpp is left out


def test_many_codecs_can_be_told_apart() -> None:
    names = ["jpeg", "webp", "avif", "jxl", "ours-gru", "ours-e1", "ours-e9", "ours"]
    names += [f"compressai:{i}" for i in range(6)]
    styles = charts.styles(names, "ours", "jpeg")
    assert list(styles) and set(styles) == set(names)
    assert len({(style.dashes, style.marker) for style in styles.values()}) == len(names)
    assert {name for name, style in styles.items() if style.marker == charts.OURS.marker} == {
        name for name in names if name.startswith("ours")
    }


def test_points_lie_within_the_frame() -> None:
    root = ElementTree.fromstring(charts.chart("PSNR", lines(), [(10, "0.90"), (99, "never")]))
    for mark in root.iterfind("g/path[@class='mark']"):
        x, y = map(float, (mark.get("transform") or "")[10:-1].split())
        assert charts.LEFT <= x <= charts.WIDTH - charts.RIGHT
        assert charts.TOP <= y <= charts.HEIGHT - charts.BOTTOM
    texts = ["".join(text.itertext()) for text in root.iterfind("text")]
    assert "0.90" in texts
    assert "never" not in texts
    assert {"0.1", "0.2", "0.5", "1", "bits per pixel"} <= set(texts)


def test_letters_of_published_curves_do_not_touch() -> None:
    published = [
        Line(str(i), [(0.1, 10.0), (0.3 + i / 100, 17.0)], charts.PUBLISHED, chr(97 + i)) for i in range(5)
    ]
    root = ElementTree.fromstring(charts.chart("MS-SSIM", [*lines(), *published]))
    places = [(float(t.get("x", 0)), float(t.get("y", 0))) for t in root.iterfind("text[@class='tag']")]
    assert len(places) == 5
    for i, (x, y) in enumerate(places):
        assert all(abs(x - u) >= 11 or abs(y - v) >= 14 for u, v in places[:i])


@pytest.mark.parametrize("points", [[], [(0.5, 10.0)], [(2.5, 10.0), (3.0, 11.0)]])
def test_without_a_curve_there_is_no_chart(points: list[tuple[float, float]]) -> None:
    assert charts.chart("PSNR", [Line("a", points, charts.REFERENCE)]) == ""


def test_legend_escapes_names() -> None:
    item = ElementTree.fromstring(charts.key(lines()[0]))
    assert "".join(item.itertext()) == "jpeg <b>"
