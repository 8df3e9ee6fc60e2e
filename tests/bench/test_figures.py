"""The script that draws the README's figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from neuralcodec.bench.peers import as_pillow
from neuralcodec.bench.views import shown

from .conftest import Bench, scripts


def test_a_triptych_shows_the_three_pictures_in_their_order() -> None:
    script = scripts("figures")
    greys = {"original": 40, "reference": 120, "ours": 200}
    view = {
        "image": "a.png",
        "width": 300,
        "height": 200,
        "original": {"bytes": 9_000},
        "reference": {"bytes": 1_000, "ms_ssim": 0.9},
        "ours": {"bytes": 500, "ms_ssim": 0.901},
        "saving": 50.5,
        "pictures": {
            kind: shown(np.asarray(as_pillow(np.full((200, 300, 3), grey, np.uint8))))
            for kind, grey in greys.items()
        },
    }
    figure = script.triptych(view, "neuralcodec", "JPEG")
    assert figure.width == script.WIDTH
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
