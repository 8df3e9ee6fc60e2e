"""The middle of each picture of a folder, as PNG: what some measurements are made on.

    python benchmarks/crops.py held-out/ crops/ --side 640
    ncodec bench crops/ --out report/ --qualities 30,40,50,60,70,80,85,90

Pictures that are smaller keep their size. The folder of crops must be new or empty.
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
    if not args.folder.is_dir():
        raise SystemExit(f"{args.folder} is no folder")
    args.out.mkdir(parents=True, exist_ok=True)
    if any(args.out.iterdir()):
        raise SystemExit(f"{args.out} is not empty: name a new folder")
    number = 0
    for number, pixels in enumerate(pictures(args), 1):
        Image.fromarray(pixels).save(args.out / f"{number:02}.png")
    if not number:
        raise SystemExit(f"there are no pictures in {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
