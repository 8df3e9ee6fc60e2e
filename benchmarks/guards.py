"""What else must hold beside a low BD-rate, from a report of `ncodec bench` and the pictures it was made of.

    python benchmarks/guards.py benchmarks/results/kodak/report.json benchmarks/kodak

Prints our BD-rate against each codec, PSNR beside that of JPEG, whether each step of quality makes larger
files, and how far the mean colour of a decoded picture is from that of the original.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import pairwise
from pathlib import Path

#: Where mean colours are compared.
QUALITIES = (0, 5, 10, 20, 30, 50, 70, 90)
TARGET = 0.95


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("report", type=Path, help="report.json of ncodec bench")
    parser.add_argument("folder", type=Path, help="the pictures")
    args = parser.parse_args()

    import numpy as np

    from neuralcodec.bench.curves import rate_at
    from neuralcodec.bench.summary import AVERAGES, rate_points
    from neuralcodec.coding.codec import decode_picture, encode_picture
    from neuralcodec.picture import reading
    from neuralcodec.picture.metrics import ms_ssim_db
    from neuralcodec.picture.picture import Picture

    report = json.loads(args.report.read_text())
    summary, own = report["summary"], report["ours"]
    curves = {name: codec["curve"] for name, codec in summary.items()}
    print("BD-rate of ours by", ", ".join(average.name for average in AVERAGES), "against")
    for name, gains in report["versus"].items():
        values = (gains[average.key] for average in AVERAGES)
        print(f"  {name:14}" + "".join("       -" if gain is None else f"{gain:7.1f}%" for gain in values))

    def psnr_at(name: str, bpp: float) -> float:
        points = sorted(rate_points(curves[name], "psnr"))
        return float(np.interp(np.log(bpp), [np.log(rate) for rate, _ in points], [p for _, p in points]))

    rates = {
        name: rate_at(rate_points(curves[name], "ms_ssim"), ms_ssim_db(TARGET)) for name in ("jpeg", own)
    }
    if all(rates.values()):
        jpeg = psnr_at("jpeg", rates["jpeg"])
        print(f"JPEG has MS-SSIM {TARGET} at {rates['jpeg']:.3f} bpp, and there a PSNR of {jpeg:.2f} dB")
        print(f"  ours at that rate:            {psnr_at(own, rates['jpeg']) - jpeg:+.2f} dB")
        print(f"  ours at that MS-SSIM ({rates[own]:.3f}): {psnr_at(own, rates[own]) - jpeg:+.2f} dB")

    sizes = [point["bpp"] for point in curves[own]]
    growing = all(low < high for low, high in pairwise(sizes))
    print(f"{len(sizes)} qualities from {sizes[0]:.3f} to {sizes[-1]:.3f} bpp, each larger: {growing}")

    print("largest distance of the mean of a channel, in levels:")
    for quality in QUALITIES:
        worst = (0.0, "")
        for picture in report["images"]:
            pixels = reading.load(args.folder / picture["name"]).pixels
            decoded = decode_picture(encode_picture(Picture(pixels), quality=quality)).pixels
            shift = np.abs(decoded.mean((0, 1)) - pixels.mean((0, 1))).max()
            worst = max(worst, (float(shift), picture["name"]))
        print(f"  quality {quality:3}: {worst[0]:.2f} ({worst[1]})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
