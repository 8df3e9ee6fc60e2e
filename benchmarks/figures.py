"""Draws the figures of the README: the curves from the committed results, and a sample picture three times.

    python benchmarks/figures.py [--report FILE] [--model NAME]

Writes `curves.svg` beside the report, and `docs/astronaut.webp`, with `-NAME` for another model: the
original, a JPEG file and a file of ours at about 0.9 MS-SSIM, as the report of `ncodec bench` shows them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from neuralcodec.bench import figures, views
from neuralcodec.bench.images import gather
from neuralcodec.bench.ours import Ours
from neuralcodec.bench.peers import Jpeg
from neuralcodec.bench.sweep import Task, measure
from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.options import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "benchmarks" / "results" / "kodak" / "report.json"
SAMPLE = ROOT / "sample_images" / "astronaut.png"


def draw_curves(report: Path) -> Path:
    """The curves of a report, as an SVG beside it.

    Raises:
        NeuralCodecError: the file is no report. OSError: it cannot be read, or the figure not be written.
    """
    try:
        svg = figures.curves(json.loads(report.read_text("utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise NeuralCodecError(f"{report} is no report of ncodec bench: {error!r}") from None
    out = report.with_name("curves.svg")
    out.write_text(svg, "utf-8")
    return out


def draw_triptych(model: str) -> Path:
    """The sample picture as it was, as JPEG and as ours.

    Raises:
        UsageError: there is no such model. OSError: the figure cannot be written.
    """
    ours, jpeg = Ours(model), Jpeg()
    if reason := ours.missing():
        raise UsageError(reason)
    (photo,), _ = gather([SAMPLE])
    points = {
        peer.name: tuple(measure(Task(photo, peer.name, s, False)) for s in peer.settings)
        for peer in (ours, jpeg)
    }
    versions = ours.version(), jpeg.version()
    view = views.make(
        views.ViewTask(photo, ours.name, jpeg.name, versions, points[ours.name], points[jpeg.name])
    )
    out = ROOT / "docs" / f"astronaut{'' if model == DEFAULT_MODEL else f'-{model}'}.webp"
    figures.triptych(view, ours.label, jpeg.label).save(out, quality=88, method=6)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--report", type=Path, default=REPORT, help="default: that of the last release")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="of the sample picture (default: %(default)s)")
    args = parser.parse_args()
    try:
        for out in (draw_curves(args.report), draw_triptych(args.model)):
            print(out)
    except NeuralCodecError as error:
        print(f"figures.py: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"figures.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
