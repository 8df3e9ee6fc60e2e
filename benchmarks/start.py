"""How long a command takes from start to end, importing Python's packages and loading weights included.

    python benchmarks/start.py photo.jpg --qualities 50 70 --repeats 9

encodes and decodes a picture, cut and scaled to 768×512 pixels, with `ncodec encode` and `ncodec decode`,
each a process of its own, in turns. For each it prints the least and the median of the clock, and of the
seconds that its threads took of the processors. Run it with the Python of the installation to measure, on an
idle machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from PIL import Image, ImageOps

from neuralcodec.cli.values import count

SIZE = 768, 512


def timed(*words: str) -> tuple[float, float]:
    """Run `ncodec` and return the seconds that it took, by the clock and of the processors.

    Raises:
        SystemExit: it failed.
    """
    before, began = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "neuralcodec", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    clock, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise SystemExit(f"ncodec {' '.join(words)} failed: {done.stderr.strip()}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return clock, spent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--qualities", type=int, nargs="+", default=[50, 70])
    parser.add_argument("--repeats", type=count, default=9)
    args = parser.parse_args()
    try:
        picture = ImageOps.fit(Image.open(args.picture).convert("RGB"), SIZE)
    except OSError as error:
        raise SystemExit(f"cannot read {args.picture}: {error}") from None
    with tempfile.TemporaryDirectory() as folder:
        photo, decoded = f"{folder}/photo.png", f"{folder}/decoded.png"
        picture.save(photo)
        commands = {}
        for quality in args.qualities:
            file = f"{folder}/{quality}.nc"
            commands["encode", quality] = ("encode", "-f", "-q", str(quality), photo, file)
            commands["decode", quality] = ("decode", "-f", file, decoded)
        found: dict[tuple[str, int], list[tuple[float, float]]] = {key: [] for key in commands}
        for _ in range(args.repeats):
            for key, words in commands.items():
                found[key].append(timed(*words))
    print(f"{'':6}  quality  seconds: least  median  of processors: least  median")
    for (what, quality), rows in sorted(found.items()):
        (least, usual), (least_spent, usual_spent) = ((min(c), median(c)) for c in zip(*rows, strict=True))
        print(f"{what:6}  {quality:7}  {least:14.2f}  {usual:6.2f}  {least_spent:20.2f}  {usual_spent:6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
