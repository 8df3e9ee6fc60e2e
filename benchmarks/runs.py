"""Training runs against JPEG: what each validation in their logs is worth.

    python benchmarks/runs.py held-out/ runs/one runs/two

`held-out/` is the folder that `ncodec train` was given as --valid. Prints for each validation the BD-rate by
MS-SSIM in dB against JPEG (Pillow, optimised, progressive) on the same crops: ours by estimated rate, JPEG
by bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

#: The crops that `ncodec train` validates on.
WIDTH, HEIGHT = 768, 512
JPEG_QUALITIES = (5, 8, 12, 18, 25, 35, 50, 65, 80, 90, 95)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("held_out", type=Path)
    parser.add_argument("runs", nargs="+", type=Path, help="folders with a log.jsonl")
    args = parser.parse_args()

    from neuralcodec.bench.curves import bd_rate

    reference = jpeg_curve(args.held_out)
    for run in args.runs:
        print(f"{run}\n{'minutes':>8} {'steps':>7} {'rate':>8} {'BD-rate':>9}")
        for record in validations(run):
            gain = bd_rate(reference, [(bpp, decibels) for bpp, _, decibels, *_ in record["valid"]])
            shown = "-" if gain is None else f"{gain:.2f} %"
            print(f"{record['minutes']:8.1f} {record['step']:7} {record['rate']:8.1e} {shown:>9}")
    return 0


def jpeg_curve(held_out: Path) -> list[tuple[float, float]]:
    """JPEG's bits per pixel and MS-SSIM in dB, means over the crops of a folder."""
    from neuralcodec.bench.curves import mean_curve
    from neuralcodec.bench.registry import find
    from neuralcodec.picture.metrics import ms_ssim, ms_ssim_db
    from neuralcodec.training.data import load_crops

    jpeg = find("jpeg")
    curves = []
    for crop in load_crops(held_out, width=WIDTH, height=HEIGHT):
        pixels = crop[0].permute(1, 2, 0).contiguous().numpy()
        files = [jpeg.encode(pixels, quality) for quality in JPEG_QUALITIES]
        points = [(8 * len(file) / (WIDTH * HEIGHT), ms_ssim(pixels, jpeg.decode(file))) for file in files]
        curves.append(points)
    return [(bpp, ms_ssim_db(mean)) for bpp, mean in mean_curve(curves)]


def validations(run: Path) -> list[dict[str, Any]]:
    """The records of a run's log that hold a validation."""
    records = (json.loads(line) for line in (run / "log.jsonl").read_text().splitlines())
    return [record for record in records if "valid" in record]


if __name__ == "__main__":
    sys.exit(main())
