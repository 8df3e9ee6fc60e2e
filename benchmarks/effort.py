"""What each effort gains and takes: real files of a folder of pictures, against effort 1.

    python benchmarks/effort.py kodak/ --efforts 5,9 --limit 6 --qualities 30,45,60

Prints, for each effort, the time of encoding as a multiple of that of effort 1, and the BD-rates by MS-SSIM
in dB, SSIMULACRA2 and PSNR against effort 1, of the mean curves over the pictures. Decoded 8-bit pixels are
compared. It needs the package ssimulacra2, which comes with `pip install neuralcodec[bench]`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from mending import pictures, whole_numbers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--efforts", type=whole_numbers, default=[2, 3, 4, 5, 6, 7, 8, 9])
    parser.add_argument("--qualities", type=whole_numbers, default=[10, 30, 50, 70, 90])
    parser.add_argument("--crop", type=int, metavar="SIDE", help="use the middle of each picture only")
    parser.add_argument("--limit", type=int, metavar="N", help="use the first N pictures only")
    args = parser.parse_args()

    from neuralcodec.bench.curves import bd_rate, mean_curve
    from neuralcodec.coding.codec import decode_picture, encode_picture
    from neuralcodec.coding.refine import STEPS_OF_EFFORT
    from neuralcodec.picture.metrics import ms_ssim, ms_ssim_db, psnr, ssimulacra2
    from neuralcodec.picture.picture import Picture

    chosen = list(pictures(args))
    encode_picture(Picture(chosen[0]))  # loads the weights

    curves, seconds = {}, {}
    print(f"{'effort':>6}  {'steps':>5}  {'time':>8}  BD-rate: MS-SSIM  SSIMULACRA2    PSNR", flush=True)
    for effort in sorted({1, *args.efforts}):
        points: list[list[tuple[float, ...]]] = []
        spent = 0.0
        for pixels in chosen:
            curve = []
            for quality in args.qualities:
                began = time.perf_counter()
                data = encode_picture(Picture(pixels), quality=quality, effort=effort)
                spent += time.perf_counter() - began
                bpp = 8 * len(data) / (pixels.shape[0] * pixels.shape[1])
                decoded = decode_picture(data).pixels
                similar = ms_ssim_db(ms_ssim(pixels, decoded))
                curve.append((bpp, similar, ssimulacra2(pixels, decoded), psnr(pixels, decoded)))
            points.append(curve)
        curves[effort] = [
            mean_curve([[(point[0], point[metric]) for point in curve] for curve in points])
            for metric in (1, 2, 3)
        ]
        seconds[effort] = spent
        gains = [bd_rate(*pair) for pair in zip(curves[1], curves[effort], strict=True)]
        shown = ["-" if gain is None else f"{gain:.1f} %" for gain in gains]
        steps, times = STEPS_OF_EFFORT[effort - 1], seconds[effort] / seconds[1]
        print(
            f"{effort:>6}  {steps:>5}  {times:>7.1f}x  {shown[0]:>16}  {shown[1]:>11}  {shown[2]:>6}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
