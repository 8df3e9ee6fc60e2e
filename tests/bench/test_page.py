"""The report as people see it: self-contained, escaped, and alive in a browser."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import faults
from PIL import Image

from neuralcodec.bench import peers, tables, views
from neuralcodec.bench.images import pixels_of
from neuralcodec.bench.page import page, view_title
from neuralcodec.bench.report import markdown

from .conftest import Bench

VOID = {"meta", "link", "img", "input", "br"}


class Outline(HTMLParser):
    """Checks that elements nest, and collects what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def html(small: Bench) -> str:
    return (small.folder / "report.html").read_text()


def test_the_page_needs_nothing_else(html: str) -> None:
    outline = Outline()
    outline.feed(html)
    assert outline.open == []
    assert outline.sources
    assert all(source.startswith("data:") for source in outline.sources)
    assert not re.search(r"url\((?!#)", html)
    assert "@import" not in html
    assert outline.tags.count("article") == 2
    assert len(html) < 1_000_000


def test_names_are_escaped(html: str, small: Bench) -> None:
    assert "b <i>" not in html
    assert "b &lt;i&gt;&amp;.png" in html
    assert r"| b \<i\>\&.png |" in (small.folder / "report.md").read_text()


def test_pictures_are_what_the_codecs_made(small: Bench, html: str) -> None:
    sources = re.findall(r'data-is="(\w+)"[^>]*src="data:image/(\w+);base64,([^"]+)"', html)
    assert [(kind, form) for kind, form, _ in sources[:4]] == [
        ("original", "webp"),
        ("reference", "jpeg"),
        ("ours", "webp"),
        ("jpeg", "jpeg"),
    ]
    view = small.report["views"][0]
    for kind, _, data in sources[:4]:
        file = base64.b64decode(data)
        with Image.open(io.BytesIO(file)) as image:
            assert image.size == (200, 180)
        if kind == "reference":  # the very file
            assert len(file) == view["reference"]["bytes"]
        if kind == "jpeg":
            assert len(file) == view["same_bytes"]["jpeg"]["bytes"]
    same = abs(view["ours"]["ms_ssim"] - view["reference"]["ms_ssim"]) <= views.NEAR
    saving = 100 * (1 - view["ours"]["bytes"] / view["reference"]["bytes"])
    assert view["saving"] == (pytest.approx(saving) if same else None)  # of the two that are shown
    smallest = len(peers.Jpeg().encode(pixels_of(small.photos / view["image"]), 1))
    assert view["same_bytes"]["jpeg"]["bytes"] <= max(1.1 * view["ours"]["bytes"], smallest + 9)


def test_crops_are_where_the_pictures_differ() -> None:
    a = np.random.default_rng(0).integers(100, 130, (300, 400, 3), dtype=np.uint8)
    b = a.copy()
    b[180:280, 250:350] = 255 - b[180:280, 250:350]
    b[10:60, 10:60] = 200
    (x, y), second = views.where_they_differ(a, b)
    assert abs(x - 250) <= 10
    assert abs(y - 180) <= 10
    assert abs(second[0] - x) >= views.CROP or abs(second[1] - y) >= views.CROP


def test_crops_of_a_large_picture_lie_within_it() -> None:
    a = np.zeros((1300, 1700, 1), np.uint8)
    b = a.copy()
    b[1250:, 1650:] = 255
    assert views.where_they_differ(a, b)[0] == (1700 - views.CROP, 1300 - views.CROP)


def test_large_pictures_are_shown_smaller() -> None:
    data = views.shown(np.zeros((800, 1600, 3), np.uint8)).partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (1200, 600)


def test_markdown_tables_are_regular(small: Bench) -> None:
    text = (small.folder / "report.md").read_text()
    assert text.startswith("# ")
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


@pytest.mark.parametrize("name", ["a\nb.png", "a\r| b.png", "\x1b[31m<b>`x`*_.png", "a|b|\u2028.png"])
def test_any_file_name_is_one_cell(small: Bench, name: str) -> None:
    text = json.dumps(small.report).replace('"a.png"', json.dumps(name))
    lines = markdown(json.loads(text)).splitlines()
    rows = [line for line in lines if line.startswith("| a") or line.startswith(r"| \\x1b")]
    assert len(rows) >= 3  # one in each table of pictures
    for row in rows:
        cells = re.split(r"(?<!\\)\|", row)
        assert 2 + 3 <= len(cells) <= 2 + 5  # the picture, at most three codecs, the saving
        shown = re.sub(r"\\([\\`*_\[\]<>|~&])", r"\1", cells[1].strip())
        assert shown == tables.printable(name)
        assert not re.search(r"(?<!\\)[<`*_]", cells[1])


def test_a_command_with_backticks_is_code() -> None:
    assert tables.markdown_code("ncodec bench a`b``c") == "``` ncodec bench a`b``c ```"
    assert tables.markdown_code("ncodec bench a\nb") == r"`ncodec bench a\nb`"


def test_the_title_has_both_metrics(small: Bench) -> None:
    report = small.report
    at = report["summary"]["ours"]["at"]
    for metric, key, saving in (
        ("ms_ssim", "0.95", 70.4),
        ("ssimulacra2", "70", None),
        ("ssimulacra2", "60", -9.6),
    ):
        at[metric][key]["saving"] = saving
    assert tables.title(report) == ("70 % fewer bytes than JPEG at MS-SSIM 0.95, 10 % more at SSIMULACRA2 60")
    assert [headline.target for headline in tables.headlines(report)] == ["0.95", "60"]


def test_columns_that_nobody_reaches_are_left_out(small: Bench) -> None:
    report = small.report
    for summary in report["summary"].values():
        summary["at"]["ms_ssim"]["0.98"] = {"bpp": None, "saving": None}
    header = tables.mean_table(report, "ms_ssim").header
    assert "bpp at 0.95" in header
    assert "bpp at 0.98" not in header
    assert len(header) % 2 == 1  # the saving beside it has gone too
    assert "SSIMULACRA2" not in " ".join(table.title for table in tables.all_tables(report))


@pytest.mark.parametrize(
    ("values", "text"),
    [((0.95, 0.954, 0.946), "MS-SSIM 0.95"), ((0.95, 0.96), "MS-SSIM, 0.950 to 0.960")],
)
def test_at_which_quality_the_pictures_are(small: Bench, values: tuple[float, ...], text: str) -> None:
    shown = [{"ours": {"ms_ssim": value}, "reference": {"ms_ssim": values[0]}} for value in values]
    assert view_title(small.report, shown) == text


@pytest.mark.parametrize(
    ("value", "flip", "text"),
    [(-23.4, False, "−23 %"), (60, True, "−60 %"), (0.2, False, "0 %"), (None, True, "–")],
)
def test_percent(value: float | None, flip: bool, text: str) -> None:
    assert tables.percent(value, flip=flip) == text


def test_a_report_without_speed_pictures_or_common_curves(small: Bench) -> None:
    report = {**small.report, "speed": None, "published": []}
    for summary in report["summary"].values():
        summary["curve"] = []
        summary["at"] = {
            metric: {target: {"bpp": None, "saving": None} for target in targets}
            for metric, targets in summary["at"].items()
        }
        summary["bd_rate"] = dict.fromkeys(summary["bd_rate"])
    outline = Outline()
    outline.feed(page(report, []))
    assert outline.open == []
    assert "svg" not in outline.tags
    assert "article" not in outline.tags


CHECK = """
  for (const image of document.images) {
    if (!image.complete || !image.naturalWidth) fault(`no picture: ${image.alt}`);
  }
  for (const compare of document.querySelectorAll(".compare")) {
    const slider = compare.querySelector("input"), above = compare.querySelector(".above");
    const box = above.getBoundingClientRect();
    const shape = above.naturalWidth / above.naturalHeight;
    if (box.width < 100 || Math.abs(box.width / box.height - shape) > 0.02) {
      fault("the comparison has no size or the wrong shape");
    }
    for (const [value, expected] of [[50, "50%"], [20, "80%"], [100, "0%"]]) {
      slider.value = value;
      slider.dispatchEvent(new Event("input"));
      const clip = getComputedStyle(above).clipPath;
      if (!clip.includes(expected)) fault(`at ${value} the clip path is ${clip}`);
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) {
    fault(`wider than the window: ${document.documentElement.scrollWidth} of ${innerWidth}`);
  }
  for (const view of document.querySelectorAll(".view")) {
    const select = view.querySelector("select"), other = view.querySelector('[data-of="other"]');
    for (const option of select.options) {
      select.value = option.value;
      select.dispatchEvent(new Event("change"));
      if (other.src !== view.querySelector(`[data-is="${option.value}"]`).src) fault(`not ${option.value}`);
      if (view.querySelector(".first").textContent !== option.textContent) fault("the wrong name");
    }
  }
  const curve = document.querySelector('.charts svg [data-codec="ours"] path');
  if (!curve.getTotalLength()) fault("no curve");
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_it_works_in_a_browser(html: str, tmp_path: Path, width: int) -> None:
    assert faults(html, CHECK, width, tmp_path) == []


@pytest.mark.parametrize(("scheme", "expected"), [(0, "dark"), (1, "light")])
def test_light_and_dark(html: str, tmp_path: Path, scheme: int, expected: str) -> None:
    check = f"""
const level = (element, property) => Number(getComputedStyle(element)[property].match(/\\d+/)[0]);
const dark = level(document.body, "backgroundColor") < 128;
if ((dark ? "dark" : "light") !== "{expected}") fault("the background");
const line = document.querySelector('.charts [data-codec="jpeg"] path');
if (level(line, "stroke") < 128 === dark) fault("a curve that cannot be seen");
"""
    assert faults(html, check, 1280, tmp_path, f"--blink-settings=preferredColorScheme={scheme}") == []
