"""The middle of each picture of a folder, as PNG: what some measurements are made on.

    python benchmarks/crops.py held-out/ crops/ --side 640
    ncodec bench crops/ --out report/ --qualities 30,40,50,60,70,80,85,90

Pictures that are smaller keep their size.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image

from mending import pictures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--side", dest="crop", type=int, default=640)
    parser.add_argument("--limit", type=int, metavar="N", help="use the first N pictures only")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(pictures(args), 1):
        Image.fromarray(pixels).save(args.out / f"{number:02}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
