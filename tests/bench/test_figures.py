"""Figures stand alone: the curves are one SVG document, and a view is one image."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from neuralcodec.bench import figures
from neuralcodec.bench.peers import as_pillow
from neuralcodec.bench.views import shown

from .conftest import Bench, scripts

SVG = "{http://www.w3.org/2000/svg}"


def test_curves_are_a_document_of_their_own(small: Bench) -> None:
    text = (small.folder / "curves.svg").read_text()
    assert figures.curves(small.report) == text
    root = ElementTree.fromstring(text)
    titles = [t.text for t in root.iter(f"{SVG}text") if t.get("class") == "title"]
    assert titles == ["MS-SSIM", "PSNR"]  # SSIMULACRA2 was not measured
    legend = ["".join(t.itertext()) for t in root.iter(f"{SVG}text") if t.get("class") == "legend"]
    assert legend[:3] == ["JPEG", "WebP", "neuralcodec"]
    assert len(legend) == 3 + len(small.report["published"])
    lines = [path for path in root.iter(f"{SVG}path") if path.get("class") == "line"]
    assert len(lines) >= len(legend) + 2 * 3
    assert "var(" not in text
    assert not re.search(r"(href|url\(|@import)", text)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for panel in root.iter(f"{SVG}svg"):
        if panel is not root:
            assert float(panel.attrib["x"]) + float(panel.attrib["width"]) <= width
            assert float(panel.attrib["y"]) + float(panel.attrib["height"]) <= height


def test_without_curves_there_is_no_figure(small: Bench) -> None:
    report = {**small.report, "published": []}
    for summary in report["summary"].values():
        summary["curve"] = []
    assert figures.curves(report) == ""


def test_a_triptych_shows_the_three_pictures_in_their_order() -> None:
    greys = {"original": 40, "reference": 120, "ours": 200}
    view = {
        "image": "a.png",
        "width": 300,
        "height": 200,
        "original": {"bytes": 9_000},
        "reference": {"bytes": 1_000, "ms_ssim": 0.9, "bytes_at_equal_ms_ssim": 1_010},
        "ours": {"bytes": 500, "ms_ssim": 0.901},
        "saving": 50.5,
        "pictures": {
            kind: shown(np.asarray(as_pillow(np.full((200, 300, 3), grey, np.uint8))))
            for kind, grey in greys.items()
        },
    }
    figure = figures.triptych(view, "neuralcodec", "JPEG")
    assert figure.width == figures.WIDTH
    pixels = np.asarray(figure.convert("L")).astype(int)
    thirds = [pixels[150, round(figure.width * (i + 0.5) / 3)] for i in range(3)]
    assert thirds == pytest.approx(list(greys.values()), abs=2)
    caption = pixels[-40:]  # ink under each of them
    for i in range(3):
        third = caption[:, i * figure.width // 3 : (i + 1) * figure.width // 3]
        assert third.min() < 150


def test_the_script_draws_the_curves_of_a_report(small: Bench, tmp_path: Path) -> None:
    script = scripts("figures")
    (tmp_path / "report.json").write_text(json.dumps(small.report))
    out = script.draw_curves(tmp_path / "report.json")
    assert out == tmp_path / "curves.svg"
    assert out.read_text() == (small.folder / "curves.svg").read_text()


@pytest.mark.parametrize(("content", "status"), [("{}", 1), ("no json", 1), (None, 1)])
def test_the_script_says_what_is_wrong(
    tmp_path: Path,
    content: str | None,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    monkeypatch.setattr("sys.argv", ["figures.py", "--report", str(tmp_path / "report.json")])
    assert scripts("figures").main() == status
    err = capsys.readouterr().err
    assert err.startswith("figures.py: ")
    assert err.count("\n") == 1


def test_the_committed_figure_is_that_of_the_committed_results() -> None:
    folder = Path(__file__).parents[2] / "benchmarks" / "results" / "kodak"
    report = json.loads((folder / "report.json").read_text("utf-8"))
    assert figures.curves(report) == (folder / "curves.svg").read_text("utf-8")
