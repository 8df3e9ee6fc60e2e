"""Noise taken out and holes filled, against other ways, on the middle of each picture of a folder.

    python benchmarks/mending.py inpaint kodak/ --crop 512
    python benchmarks/mending.py denoise kodak/ --crop 512 --qualities 20,40,60,80
    python benchmarks/mending.py tiles kodak/ --crop 768

`inpaint` fills holes that are the same in every run, by picture and kind. It prints the PSNR of the holes and
the SSIMULACRA2 of the whole, both means over the pictures, of the smooth fill that the network starts from,
of the network, and of OpenCV's and scikit-image's methods.

`denoise` encodes pictures with noise that is the same in every run: as they are, with `--denoise auto`, and
after OpenCV's fastNlMeansDenoisingColored and BM3D, both of which are told the noise. What is
decoded is compared with the clean pictures. It prints the bytes against the plain encoder at equal MS-SSIM
and PSNR, and the PSNR at the bytes of the plain encoder; then what `auto` costs on clean pictures.

`tiles` loses one of the tiles of a file, and fills it as `decode --partial` does, and by inpainting that.

The peers come with `pip install neuralcodec[bench]`.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from neuralcodec.arrays import Pixels

#: Noise in 8-bit levels: plain, and as cameras make it.
NOISES = [("plain", 10.0), ("plain", 25.0), ("plain", 50.0), ("camera", 10.0), ("camera", 25.0)]


def whole_numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def pictures(args: argparse.Namespace) -> Iterator[Pixels]:
    from neuralcodec.errors import NeuralCodecError
    from neuralcodec.picture.reading import load

    paths = sorted(path for path in args.folder.iterdir() if path.is_file())
    for path in paths[: args.limit]:
        try:
            pixels = load(path).pixels
        except NeuralCodecError:
            continue
        height, width = (min(side, args.crop or side) for side in pixels.shape[:2])
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        colours = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
        yield np.ascontiguousarray(colours[top : top + height, left : left + width])


# ---- holes ------------------------------------------------------------------------------------------------


def fillers(model: str) -> dict[str, Callable[[Pixels, np.ndarray], Pixels]]:
    """Ways to fill holes `(H, W)` of pixels `(H, W, 3)`."""
    import cv2
    from skimage.restoration import inpaint_biharmonic

    from neuralcodec.coding.inpaint import inpaint
    from neuralcodec.picture.fill import fill_smoothly
    from neuralcodec.picture.picture import Picture

    def rounded(pixels: np.ndarray) -> Pixels:
        return pixels.round().clip(0, 255).astype(np.uint8)

    return {
        "Telea": lambda x, hole: cv2.inpaint(x, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA),
        "Navier-Stokes": lambda x, hole: cv2.inpaint(x, hole.astype(np.uint8), 3, cv2.INPAINT_NS),
        "biharmonic": lambda x, hole: rounded(
            255 * inpaint_biharmonic(x, hole, split_into_regions=True, channel_axis=-1)
        ),
        "smooth fill": lambda x, hole: rounded(fill_smoothly(x, hole)),
        "ours": lambda x, hole: inpaint(Picture(x), hole, model=model).pixels,
    }


def hole_psnr(clean: Pixels, filled: Pixels, hole: np.ndarray) -> float:
    return -10 * math.log10(np.square(clean[hole].astype(float) - filled[hole]).mean() / 255**2)


def inpainting(args: argparse.Namespace) -> None:
    from neuralcodec.picture.metrics import ssimulacra2
    from neuralcodec.training.holes import KINDS, draw_holes

    ways = {name: way for name, way in fillers(args.model).items() if not args.ways or name in args.ways}
    rows: dict[str, list[str]] = {name: [] for name in ways}
    means: dict[str, list[float]] = {name: [] for name in ways}
    seconds = dict.fromkeys(ways, 0.0)
    for kind in KINDS:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for number, clean in enumerate(pictures(args)):
            hole = draw_holes(np.random.default_rng((number, len(kind))), kind, *clean.shape[:2])
            spoilt = np.where(hole[..., None], 0, clean).astype(np.uint8)
            for name, way in ways.items():
                start = time.process_time()
                filled = way(spoilt, hole)
                seconds[name] += time.process_time() - start
                found[name].append((hole_psnr(clean, filled, hole), ssimulacra2(clean, filled)))
        for name, values in found.items():
            psnr, score = (math.fsum(column) / len(column) for column in zip(*values, strict=True))
            rows[name].append(f"{psnr:.2f} / {score:.1f}")
            means[name].append(psnr)
    print(f"| PSNR of the holes, dB / SSIMULACRA2 | {' | '.join(KINDS)} | mean PSNR | CPU seconds |")
    print("|---|" + "---:|" * (len(KINDS) + 2))
    for name, cells in rows.items():
        mean = math.fsum(means[name]) / len(means[name])
        print(f"| {name} | {' | '.join(cells)} | {mean:.2f} | {seconds[name]:.0f} |")


# ---- noise ------------------------------------------------------------------------------------------------


def denoisers() -> dict[str, Callable[[Pixels, float], Pixels]]:
    """Ways to take noise of a known deviation out of pixels `(H, W, 3)`."""
    import bm3d
    import cv2

    def by_bm3d(x: Pixels, deviation: float) -> Pixels:
        found = bm3d.bm3d_rgb(x / 255, deviation / 255)
        return (255 * found).round().clip(0, 255).astype(np.uint8)

    def by_means(x: Pixels, deviation: float) -> Pixels:
        return cv2.fastNlMeansDenoisingColored(x, None, deviation, deviation, 7, 21)

    return {"NLM": by_means, "BM3D": by_bm3d}


def denoising(args: argparse.Namespace) -> None:
    from made_noise import camera_noise, plain_noise
    from neuralcodec.bench.curves import bd_rate, mean_curve

    ways = {name: way for name, way in denoisers().items() if not args.ways or name in args.ways}
    print("| noise | way | bytes at equal MS-SSIM | at equal PSNR | PSNR at the plain encoder's bytes |")
    print("|---|---|---:|---:|---:|")
    for kind, deviation in [noise for noise in NOISES if not args.noises or noise[1] in args.noises]:
        curves: dict[str, list[list[tuple[float, float, float]]]] = {}
        for number, clean in enumerate(pictures(args)):
            rng = np.random.default_rng((number, int(deviation)))
            noisy = (plain_noise if kind == "plain" else camera_noise)(rng, clean, deviation)
            shown = {"as it is": (noisy, None), "ours, auto": (noisy, "auto")}
            shown |= {f"{name}, then plain": (way(noisy, deviation), None) for name, way in ways.items()}
            for name, (pixels, denoise) in shown.items():
                curves.setdefault(name, []).append(curve(args, clean, pixels, denoise))
        means = {
            name: [mean_curve([[(p[0], p[n]) for p in one] for one in each]) for n in (1, 2)]
            for name, each in curves.items()
        }
        for name, (similar, psnr) in means.items():
            parts = [bd_rate(one, two) for one, two in zip(means["as it is"], (similar, psnr), strict=True)]
            cells = ["–" if part is None else f"{part:+.0f} %" for part in parts]
            rates = [rate for rate, _ in means["as it is"][1]]
            gains = [quality_at(psnr, rate) - quality_at(means["as it is"][1], rate) for rate in rates]
            known = [gain for gain in gains if math.isfinite(gain)]
            cells.append(f"{math.fsum(known) / len(known):+.2f} dB" if known else "–")
            print(f"| {kind} {deviation:g} | {name} | {' | '.join(cells)} |", flush=True)
    clean_curves = [
        [[(p[0], p[1]) for p in curve(args, clean, clean, denoise)] for clean in pictures(args)]
        for denoise in (None, "auto")
    ]
    cost = bd_rate(*(mean_curve(each) for each in clean_curves))
    print(f"\nclean pictures, auto against the plain encoder: {cost or 0.0:+.2f} % by MS-SSIM")


def quality_at(points: list[tuple[float, float]], rate: float) -> float:
    """Interpolate the quality at a rate; NaN outside of the curve."""
    rates, values = zip(*sorted(points), strict=True)
    return float(np.interp(math.log(rate), np.log(rates), values, left=math.nan, right=math.nan))


def curve(
    args: argparse.Namespace, clean: Pixels, pixels: Pixels, denoise: str | None
) -> list[tuple[float, float, float]]:
    """Encode pixels at all qualities: bits per pixel, and MS-SSIM in dB and PSNR against the clean ones."""
    from neuralcodec.coding import targets
    from neuralcodec.coding.codec import decode_picture
    from neuralcodec.picture.metrics import ms_ssim, ms_ssim_db, psnr
    from neuralcodec.picture.picture import Picture

    points = []
    for quality in args.qualities:
        data = targets.encode(Picture(pixels), quality=quality, model=args.model, denoise=denoise).data
        shown = decode_picture(data).pixels
        similarity = ms_ssim_db(ms_ssim(clean, shown))
        points.append((8 * len(data) / clean[..., 0].size, similarity, psnr(clean, shown)))
    return points


# ---- lost tiles -------------------------------------------------------------------------------------------


def tiles(args: argparse.Namespace) -> None:
    from dataclasses import replace

    from neuralcodec.coding.codec import decode_file, encode_file
    from neuralcodec.coding.inpaint import inpaint
    from neuralcodec.picture.metrics import ssimulacra2
    from neuralcodec.picture.picture import Picture

    print("| tile | PSNR of the lost tile, dB / SSIMULACRA2: the latents' fill | inpainted |")
    print("|---:|---:|---:|")
    for tile in (64, 128, 256):
        found = []
        for clean in pictures(args):
            file = encode_file(Picture(clean), quality=50, model=args.model, tile=tile)
            lost = (file.header.tile_count + file.header.tiles_across) // 2
            box = np.zeros(clean.shape[:2], bool)
            row, column = divmod(lost, file.header.tiles_across)
            box[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile] = True
            segments = list(file.tiles)
            segments[lost] = b""
            damaged = replace(file, tiles=segments, lost=[lost], damage=["a tile is lost"])
            smooth = decode_file(damaged, partial=True)
            ours = inpaint(replace(smooth, damage=None), box, model=args.model)
            scores = []
            for shown in (smooth.pixels, ours.pixels):
                scores += [hole_psnr(clean, shown, box), ssimulacra2(clean, shown)]
            found.append(scores)
        means = np.mean(found, axis=0)
        print(f"| {tile} | {means[0]:.2f} / {means[1]:.1f} | {means[2]:.2f} / {means[3]:.1f} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=["inpaint", "denoise", "tiles"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="conv")
    parser.add_argument("--crop", type=int, metavar="SIDE", help="use the middle of each picture only")
    parser.add_argument("--limit", type=int, metavar="N", help="use the first N pictures only")
    parser.add_argument("--ways", type=lambda text: text.split(","), help="compare with these only")
    parser.add_argument("--noises", type=whole_numbers, help="these deviations only")
    parser.add_argument("--qualities", type=whole_numbers, default=[20, 40, 60, 80])
    args = parser.parse_args()
    {"inpaint": inpainting, "denoise": denoising, "tiles": tiles}[args.what](args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
