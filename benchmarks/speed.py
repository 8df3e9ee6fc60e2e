"""Speed of encoders and decoders on one photograph, in one run: ours, JPEG, WebP, AVIF and JPEG XL.

    python benchmarks/speed.py photo.jpg

The photograph is resized to --megapixels first. The codecs take turns, each with the same number of threads,
from pixels in memory to bytes in memory and back; the others are Pillow's. Printed are medians: megapixels a
second, the share of AVIF's speed, encoder against encoder and decoder against decoder, and the seconds of
processor time that a megapixel takes, which depend less on what else the machine does.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

SAMPLE = Path(__file__).parent.parent / "sample_images" / "coffee.png"
REFERENCE = "AVIF speed 6"

Work = Callable[[], object]


def seconds(work: Work) -> tuple[float, float]:
    """Time one call: by the clock, and of all processors."""
    began = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def with_runtime(runtime: str, work: Work) -> Work:
    def run() -> object:
        os.environ["NCODEC_RUNTIME"] = runtime
        return work()

    return run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("photo", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--megapixels", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quality", type=int, nargs="+", default=[50, 70], help="ours; default 50 70")
    parser.add_argument("--avif-quality", type=int, default=75, help="Pillow's default is %(default)s")
    parser.add_argument("--jpeg-quality", type=int, default=85)
    parser.add_argument("--webp-quality", type=int, default=80, help="Pillow's default is %(default)s")
    parser.add_argument("--jxl-quality", type=int, default=80)
    parser.add_argument("--runtimes", default="torch,onnx", help="ours; default %(default)s")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(args.threads)

    from PIL import AvifImagePlugin, Image

    import neuralcodec

    threads = 0 if args.threads == 1 else args.threads  # of libjxl: beside the caller's
    import_module("pillow_jxl.JpegXLImagePlugin").DECODE_THREADS = threads
    AvifImagePlugin.DEFAULT_MAX_THREADS = args.threads
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

    peers = {
        "JPEG": saved(format="JPEG", quality=args.jpeg_quality, optimize=True, progressive=True),
        "WebP": saved(format="WEBP", quality=args.webp_quality),
        REFERENCE: saved(format="AVIF", quality=args.avif_quality, speed=6),
        "JPEG XL": saved(format="JXL", quality=args.jxl_quality, num_threads=threads),
    }
    files = {name: encode() for name, encode in peers.items()}
    own = {f"ours {quality}": partial(neuralcodec.encode, photo, quality=quality) for quality in args.quality}
    files |= {name: encode() for name, encode in own.items()}
    runs = [(name, runtime) for name in own for runtime in args.runtimes.split(",")]
    works: dict[tuple[str, str], Work] = {("encode", name): encode for name, encode in peers.items()}
    for name, runtime in runs:
        works["encode", f"{name}, {runtime}"] = with_runtime(runtime, own[name])
    for name in peers:
        works["decode", name] = lambda data=files[name]: Image.open(io.BytesIO(data)).load()
    for name, runtime in runs:
        works["decode", f"{name}, {runtime}"] = with_runtime(
            runtime, partial(neuralcodec.decode, files[name])
        )
    for work in works.values():
        work()  # loads what it needs
    times: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in works}
    for _ in range(args.repeats):
        for key, work in works.items():
            times[key].append(seconds(work))

    medians = {
        key: [statistics.median(kind) for kind in zip(*taken, strict=True)] for key, taken in times.items()
    }
    print(f"{args.photo.name}, {photo.width}x{photo.height}, {args.threads} threads, {args.repeats} rounds")
    print(", ".join(f"{name} {8e-6 * len(file) / megapixels:.3f} bpp" for name, file in files.items()))
    for (what, name), (wall, processor) in medians.items():
        ratio = medians[what, REFERENCE][0] / wall
        print(
            f"{what} {name:14} {megapixels / wall:6.1f} MP/s  {ratio:5.2f} of AVIF's speed"
            f"  {processor / megapixels:.3f} processor seconds a megapixel"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
