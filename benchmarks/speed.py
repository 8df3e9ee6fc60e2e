"""Encode and decode speed beside Pillow's AVIF encoder, on one photograph, in one run.

    python benchmarks/speed.py photo.jpg

The photograph is resized to --megapixels first. The codecs take turns, each with the same number of threads,
from pixels in memory to bytes in memory and back; medians are printed, and the ratio of our speed to AVIF's.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

SAMPLE = Path(__file__).parent.parent / "sample_images" / "coffee.png"


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("photo", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--megapixels", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quality", type=int, default=50, help="ours; default %(default)s")
    parser.add_argument("--avif-quality", type=int, default=75, help="Pillow's default is %(default)s")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(args.threads)

    import torch
    from PIL import Image

    import neuralcodec

    torch.set_num_threads(args.threads)
    with Image.open(args.photo) as opened:
        photo = opened.convert("RGB")
    scale = (args.megapixels * 1e6 / (photo.width * photo.height)) ** 0.5
    photo = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)
    megapixels = photo.width * photo.height / 1e6

    def avif() -> bytes:
        out = io.BytesIO()
        photo.save(out, "AVIF", quality=args.avif_quality, speed=6, max_threads=args.threads)
        return out.getvalue()

    ours, theirs = neuralcodec.encode(photo, quality=args.quality), avif()  # also loads the weights
    neuralcodec.decode(ours)
    times: dict[str, list[float]] = {"AVIF speed 6 encode": [], "ours encode": [], "ours decode": []}
    for _ in range(args.repeats):
        times["AVIF speed 6 encode"].append(seconds(avif))
        times["ours encode"].append(seconds(lambda: neuralcodec.encode(photo, quality=args.quality)))
        times["ours decode"].append(seconds(lambda: neuralcodec.decode(ours)))

    print(f"{args.photo.name}, {photo.width}x{photo.height}, {args.threads} threads, {args.repeats} rounds")
    print(f"ours {8e-6 * len(ours) / megapixels:.3f} bpp, AVIF {8e-6 * len(theirs) / megapixels:.3f} bpp")
    reference = statistics.median(times["AVIF speed 6 encode"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:20} {median:6.3f} s  {megapixels / median:5.1f} MP/s  ratio {reference / median:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
