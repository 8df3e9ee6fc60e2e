"""Encode and decode speed beside JPEG and AVIF by Pillow, on one photograph, in one run.

    python benchmarks/speed.py photo.jpg

The photograph is resized to --megapixels first. The codecs take turns, each with the same number of threads,
from pixels in memory to bytes in memory and back. Medians are printed, and how fast each is beside AVIF:
encoders beside its encoder, decoders beside its decoder.
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
    parser.add_argument("--jpeg-quality", type=int, default=85)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(args.threads)

    import torch
    from PIL import AvifImagePlugin, Image

    import neuralcodec

    torch.set_num_threads(args.threads)
    with Image.open(args.photo) as opened:
        photo = opened.convert("RGB")
    scale = (args.megapixels * 1e6 / (photo.width * photo.height)) ** 0.5
    photo = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)
    megapixels = photo.width * photo.height / 1e6

    def saved(**options: object) -> Callable[[], bytes]:
        def encode() -> bytes:
            out = io.BytesIO()
            photo.save(out, **options)
            return out.getvalue()

        return encode

    def opened(data: bytes) -> Callable[[], object]:
        return lambda: Image.open(io.BytesIO(data)).load()

    AvifImagePlugin.DEFAULT_MAX_THREADS = args.threads
    encoders = {
        "JPEG": saved(format="JPEG", quality=args.jpeg_quality, optimize=True, progressive=True),
        "AVIF speed 6": saved(format="AVIF", quality=args.avif_quality, speed=6),
        "ours": lambda: neuralcodec.encode(photo, quality=args.quality),
    }
    files = {name: encode() for name, encode in encoders.items()}  # also loads the weights
    decoders = {name: opened(files[name]) for name in ("JPEG", "AVIF speed 6")}
    decoders["ours"] = lambda: neuralcodec.decode(files["ours"])
    neuralcodec.decode(files["ours"])
    works = {("encode", name): work for name, work in encoders.items()}
    works |= {("decode", name): work for name, work in decoders.items()}
    times: dict[tuple[str, str], list[float]] = {key: [] for key in works}
    for _ in range(args.repeats):
        for key, work in works.items():
            times[key].append(seconds(work))

    print(f"{args.photo.name}, {photo.width}x{photo.height}, {args.threads} threads, {args.repeats} rounds")
    print(", ".join(f"{name} {8e-6 * len(file) / megapixels:.3f} bpp" for name, file in files.items()))
    for what, name in times:
        median, reference = (statistics.median(times[what, of]) for of in (name, "AVIF speed 6"))
        speed, ratio = megapixels / median, reference / median
        print(f"{what} {name:12} {median:6.3f} s  {speed:6.1f} MP/s  {ratio:5.2f} of AVIF's speed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
