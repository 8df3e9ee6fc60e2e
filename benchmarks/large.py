"""Time and memory of `ncodec` on pictures of up to 100 megapixels, made from photographs.

    python benchmarks/large.py photo.jpg [photo.jpg ...]

Each size is a square mosaic of the photographs. Three things are done with it: encode it, decode the file,
and decode a region of 512x512 pixels from its middle. The first columns have the time from pixels in memory
to bytes and back, of a process that has loaded everything; the seconds of all cores together depend less on
what else the machine does. Those behind have the commands as a user runs them, each in a process of its own,
from PNG to file and from file to PNG: all of their time, and the most memory they held. The last one is the
largest difference of the region from that part of the whole, in levels.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypeVar

SAMPLE = Path(__file__).parent.parent / "sample_images" / "coffee.png"
REGION = 512
COLUMNS = (
    *("MP", *("encode, s", "MP/s", "CPU s/MP"), *("decode, s", "MP/s", "CPU s/MP"), "region, s", "of decode"),
    *(f"{name}, {unit}" for name in ("ncodec encode", "decode", "region") for unit in ("s", "MB")),
    "levels",
)

T = TypeVar("T")


def mosaic(photos: list[Path], side: int, target: Path) -> None:
    """A square PNG of the photographs side by side, row below row."""
    from PIL import Image

    opened = [Image.open(path).convert("RGB") for path in photos]
    tile = min(min(photo.size) for photo in opened)
    canvas = Image.new("RGB", (side, side))
    for number, (y, x) in enumerate((y, x) for y in range(0, side, tile) for x in range(0, side, tile)):
        canvas.paste(opened[number % len(opened)].crop((0, 0, tile, tile)), (x, y))
    canvas.save(target, compress_level=1)


class Seconds(NamedTuple):
    """On the clock, and of all cores together."""

    wall: float
    cpu: float


def timed(times: list[Seconds], work: Callable[[], T]) -> T:
    began = Seconds(time.perf_counter(), time.process_time())
    result = work()
    times.append(Seconds(time.perf_counter() - began.wall, time.process_time() - began.cpu))
    return result


def codec_seconds(path: Path, start: int, threads: int, quality: int) -> list[Seconds]:
    """To encode a picture, to decode it, and to decode the region at `(start, start)`: medians of rounds."""
    import torch

    from neuralcodec.arrays import Box
    from neuralcodec.coding.codec import decode_picture, encode_picture
    from neuralcodec.picture import reading

    torch.set_num_threads(threads)
    picture = reading.load(path)
    region = Box(start, start + REGION, start, start + REGION)
    corner = reading.Picture(picture.pixels[:600, :600])
    decode_picture(encode_picture(corner, quality=quality))  # loads the weights
    encode: list[Seconds] = []
    decode: list[Seconds] = []
    part: list[Seconds] = []
    for _ in range(max(1, min(5, 20_000_000 // picture.pixels[..., 0].size))):
        data = timed(encode, lambda: encode_picture(picture, quality=quality))
        timed(decode, lambda data=data: decode_picture(data))
        timed(part, lambda data=data: decode_picture(data, region=region))
    return [sorted(times)[len(times) // 2] for times in (encode, decode, part)]


def command(*arguments: str | Path) -> tuple[float, float]:
    """The seconds that `ncodec` took, and its peak of memory in MB."""
    words = [sys.executable, "-m", "neuralcodec", *map(str, arguments), "--quiet", "-f"]
    began = time.perf_counter()
    process = subprocess.Popen(words)
    # The peak begins with what this process holds, which has loaded nothing: a few MB.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    scale = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - began, usage.ru_maxrss * scale / 1e6


def largest_difference(whole: Path, part: Path, start: int) -> int:
    """Between the region and the same part of the whole, in levels."""
    import numpy as np
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    with Image.open(part) as image:
        region = np.asarray(image).astype(int)
    with Image.open(whole) as image:
        crop = image.crop((start, start, start + REGION, start + REGION))
    return int(np.abs(region - np.asarray(crop)).max())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("photos", nargs="*", type=Path, default=[SAMPLE])
    parser.add_argument("--megapixels", default="1,4,16,64,100")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quality", type=int, default=50)
    args = parser.parse_args()
    if missing := [str(path) for path in args.photos if not path.is_file()]:
        parser.error(f"{missing[0]} is no file: give photographs, not folders")
    sizes = [float(size) for size in args.megapixels.split(",")]
    options = ("-j", str(args.threads))

    print(f"quality {args.quality}, {args.threads} threads")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---:|' * len(COLUMNS)}", flush=True)
    # What loads libraries and pictures is done in other processes.
    with tempfile.TemporaryDirectory() as folder, get_context("spawn").Pool(1, maxtasksperchild=1) as helper:
        picture, coded, whole, part = (Path(folder) / name for name in ("a.png", "a.nc", "b.png", "c.png"))
        for size in sizes:
            side = round((size * 1e6) ** 0.5)
            start = (side - REGION) // 2
            helper.apply(mosaic, (args.photos, side, picture))
            encode, decode, region = helper.apply(codec_seconds, (picture, start, args.threads, args.quality))
            mp = side * side / 1e6
            cells = [f"{mp:.0f}"]
            for took in (encode, decode):
                cells += [f"{took.wall:.2f}", f"{mp / took.wall:.1f}", f"{took.cpu / mp:.3f}"]
            cells += [f"{region.wall:.3f}", f"{region.wall / decode.wall:.1%}"]
            for arguments in (
                ("encode", picture, coded, "-q", str(args.quality)),
                ("decode", coded, whole),
                ("decode", coded, part, "--region", f"{start},{start},{REGION},{REGION}"),
            ):
                seconds, peak = command(*arguments, *options)
                cells += [f"{seconds:.1f}", f"{peak:.0f}"]
            cells.append(str(helper.apply(largest_difference, (whole, part, start))))
            print(f"| {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
