"""Makes drawn pictures to measure on: text, interfaces and line art, none of which was trained on.

python benchmarks/drawn.py drawn/ && ncodec bench drawn/ --against jpeg,webp --out report
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

#: Apart from the seeds of training, which are (seed, process, step).
SEED = 2_000_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--size", type=int, default=512)
    args = parser.parse_args()

    import numpy as np
    from PIL import Image

    from neuralcodec.training.drawn import draw

    args.out.mkdir(parents=True, exist_ok=True)
    for number in range(args.count):
        pixels = draw(np.random.default_rng((SEED, number)), args.size)
        Image.fromarray(pixels).save(args.out / f"drawn{number:02}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
