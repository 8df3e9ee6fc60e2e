"""What a vivid decoder gives and takes, from the same files, on the pictures of a folder.

    python benchmarks/vivid.py kodak/ --qualities 10,15,20,25,30,40
    python benchmarks/vivid.py kodak/ --qualities 20 --realisms 0,0.25,0.5,0.75,1
    python benchmarks/vivid.py kodak/ --qualities 20 --weights runs/distortion runs/adversary

For each quality and realism it prints

* the sliced Wasserstein distance (Karras et al. 2018) to the originals at the two finest levels of a
  Laplacian pyramid, times 1000: how far the distribution of 7x7 patches is from that of the originals;
* the energy of these two bands, over that of the originals;
* PSNR, MS-SSIM and SSIMULACRA2, means over the pictures;
* the largest difference of a picture's mean colour from the true one's, in 8-bit levels.

`--weights` names folders with other vivid decoders, each measured at realism 1.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mending import pictures

if TYPE_CHECKING:
    from neuralcodec.arrays import Floats, Pixels

LEVELS = 2
PATCH, PATCHES, DIRECTIONS = 7, 1024, 512


def bands(pixels: Pixels) -> Iterator[Floats]:
    """The finest levels of a Laplacian pyramid, `(h, w, 3)` each."""
    import cv2

    current = pixels.astype(np.float32)
    for _ in range(LEVELS):
        smaller = cv2.pyrDown(current)
        yield current - cv2.pyrUp(smaller, dstsize=(current.shape[1], current.shape[0]))
        current = smaller


def patches(band: Floats, seed: int) -> Floats:
    """Patches at places that are the same for every decoder, `(PATCHES, 3 * PATCH**2)`."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(band.shape[0] - PATCH + 1, size=PATCHES)
    columns = rng.integers(band.shape[1] - PATCH + 1, size=PATCHES)
    places = zip(rows, columns, strict=True)
    return np.stack([band[y : y + PATCH, x : x + PATCH].ravel() for y, x in places])


def sliced_wasserstein(ours: Floats, theirs: Floats) -> float:
    """The mean over directions of the Wasserstein distance of what is projected on them.

    Both are `(N, 3 * PATCH**2)`, and are divided by the deviation of each channel of `theirs`.
    """
    shape = (-1, PATCH**2, 3)
    centre = theirs.reshape(shape).mean((0, 1)), theirs.reshape(shape).std((0, 1))
    one, two = ((each.reshape(shape) - centre[0]) / centre[1] for each in (ours, theirs))
    directions = np.random.default_rng(0).normal(size=(3 * PATCH**2, DIRECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    first, second = (np.sort(each.reshape(len(each), -1) @ directions, 0) for each in (one, two))
    return float(np.abs(first - second).mean())


class Row:
    """The sums of one quality and realism over pictures."""

    def __init__(self) -> None:
        self.found: list[list[float]] = []
        self.ours: list[list[Floats]] = [[] for _ in range(LEVELS)]
        self.theirs: list[list[Floats]] = [[] for _ in range(LEVELS)]
        self.energy = np.zeros((LEVELS, 2))

    def add(self, original: Pixels, decoded: Pixels, true: Pixels, size: int) -> None:
        from neuralcodec.picture import metrics

        number = len(self.found)
        pairs = zip(bands(original), bands(decoded), strict=True)
        for level, (theirs, ours) in enumerate(pairs):
            self.theirs[level].append(patches(theirs, number))
            self.ours[level].append(patches(ours, number))
            self.energy[level] += [np.square(ours).sum(), np.square(theirs).sum()]
        moved = np.abs(decoded.mean((0, 1)) - true.mean((0, 1))).max()
        score = metrics.ssimulacra2(original, decoded)
        self.found.append(
            [
                8 * size / (original.shape[0] * original.shape[1]),
                metrics.psnr(original, decoded),
                metrics.ms_ssim(original, decoded),
                score,
                float(moved),
            ]
        )

    def line(self) -> str:
        distance = [
            1000 * sliced_wasserstein(np.concatenate(ours), np.concatenate(theirs))
            for ours, theirs in zip(self.ours, self.theirs, strict=True)
        ]
        bpp, psnr, similarity, score, _ = np.mean(self.found, 0)
        worst = np.max(self.found, 0)[-1]
        energy = self.energy[:, 0] / self.energy[:, 1]
        return (
            f"{bpp:.3f} | {distance[0]:.0f} | {distance[1]:.0f} | {energy[0]:.2f} | {energy[1]:.2f} | "
            f"{psnr:.2f} | {similarity:.4f} | {score:.2f} | {worst:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--qualities", default="10,20,30")
    parser.add_argument("--realisms", default="0,1")
    parser.add_argument("--weights", nargs="*", default=[])
    parser.add_argument("--crop", type=int, metavar="SIDE", help="use the middle of each picture only")
    parser.add_argument("--limit", type=int, metavar="N", help="use the first N pictures only")
    args = parser.parse_args()
    import neuralcodec

    originals = list(pictures(args))
    kinds: list[tuple[str, str, float]] = [("", "shipped", float(word)) for word in args.realisms.split(",")]
    kinds += [(str(Path(folder).resolve()), Path(folder).name, 1.0) for folder in args.weights]
    head = "bpp | distance, finest | next | energy, finest | next | PSNR | MS-SSIM | SSIMULACRA2 | colour"
    print(f"| quality | decoder | realism | {head} |\n|{'---|' * 12}")
    kept = os.environ.get("NCODEC_WEIGHTS", "")
    for quality in map(float, args.qualities.split(",")):
        files = [neuralcodec.encode(pixels, quality=quality) for pixels in originals]
        true = [neuralcodec.decode(file, as_array=True) for file in files]
        for folder, name, realism in kinds:
            os.environ["NCODEC_WEIGHTS"] = folder or kept
            row = Row()
            for pixels, file, plain in zip(originals, files, true, strict=True):
                shown = neuralcodec.decode(file, realism=realism, as_array=True) if realism else plain
                row.add(pixels, shown, plain, len(file))
            print(f"| {quality:g} | {name} | {realism:g} | {row.line()}", flush=True)
        os.environ["NCODEC_WEIGHTS"] = kept


if __name__ == "__main__":
    main()
