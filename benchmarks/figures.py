"""Draws the figures of the README: the curves from the committed results, and a sample picture three times.

    python benchmarks/figures.py [--report FILE] [--model NAME]

Writes `curves.svg` beside the report, and `docs/astronaut.webp`, with `-NAME` for another model: the
original, a JPEG file and a file of ours at MS-SSIM 0.95, as the report of `ncodec bench` shows them.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from neuralcodec.bench import charts, views
from neuralcodec.bench.images import gather
from neuralcodec.bench.ours import Ours
from neuralcodec.bench.peers import Jpeg
from neuralcodec.bench.sweep import Task, measure
from neuralcodec.bench.tables import count
from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.options import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "benchmarks" / "results" / "kodak" / "report.json"
SAMPLE = ROOT / "sample_images" / "astronaut.png"
WIDTH, MARGIN = 1160, 20  # of the sample picture three times


def draw_curves(report: Path) -> Path:
    """The curves of a report, as an SVG beside it.

    Raises:
        NeuralCodecError: the file is no report. OSError: it cannot be read, or the figure not be written.
    """
    try:
        svg = charts.figure(json.loads(report.read_text("utf-8")))
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
        peer.name: tuple(measure(Task(photo, peer.name, s, ())) for s in peer.settings)
        for peer in (ours, jpeg)
    }
    versions = {peer.name: peer.version() for peer in (ours, jpeg)}
    view = views.make(views.ViewTask(photo, ours.name, jpeg.name, versions, points))
    out = ROOT / "docs" / f"astronaut{'' if model == DEFAULT_MODEL else f'-{model}'}.webp"
    triptych(view, ours.label, jpeg.label).save(out, quality=88, method=6)
    return out


def triptych(view: dict[str, Any], ours: str, reference: str) -> Image.Image:
    """Original, reference and ours side by side, with their bytes.

    Args:
        view: as `views.make` gives it, with its pictures.
        ours, reference: what a reader calls the two codecs.
    """
    cell = (WIDTH - 2 * MARGIN) // 3
    height = round(cell * view["height"] / view["width"])
    figure = Image.new("RGB", (WIDTH, height + 84), charts.COLOURS["paper"])
    draw = ImageDraw.Draw(figure)
    small, plain = ImageFont.load_default(15), ImageFont.load_default(18)
    ink, soft = charts.COLOURS["ink"], charts.COLOURS["soft"]
    draw.text((0, 12), view["image"], ink, plain)
    if view["saving"] is not None:
        share = f"{abs(view['saving']):.0f} % {'fewer' if view['saving'] >= 0 else 'more'} bytes"
        draw.text((WIDTH, 14), f"{share} than {reference} at the same MS-SSIM", soft, small, anchor="ra")
    names = {"original": "Original", "reference": reference, "ours": ours}
    for index, (kind, name) in enumerate(names.items()):
        data = base64.b64decode(view["pictures"][kind].partition(",")[2])
        left, facts = index * (cell + MARGIN), view[kind]
        with Image.open(io.BytesIO(data)) as picture:
            resized = picture.convert("RGB").resize((cell, height), Image.Resampling.LANCZOS)
        figure.paste(resized, (left, 44))
        text = f"{count(facts['bytes'])} bytes"
        text += f", MS-SSIM {facts['ms_ssim']:.3f}" if "ms_ssim" in facts else ""
        draw.text((left, height + 54), name, charts.COLOURS["hot"] if kind == "ours" else ink, plain)
        draw.text((left + cell, height + 56), text, soft, small, anchor="ra")
    return figure


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
