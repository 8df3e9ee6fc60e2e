"""Encodes the sample pictures and says how many bytes JPEG needs for the same MS-SSIM.

    python benchmarks/demo.py [--quality 50] [--model conv]

Leaves `demo-out/NAME.nc` and, decoded from it, `demo-out/NAME.png`. Sizes are those of the files on disk.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from tqdm import tqdm

import neuralcodec
from neuralcodec.bench.peers import Jpeg, as_array, match
from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.picture.metrics import ms_ssim

ROOT = Path(__file__).resolve().parent.parent
JPEG_PROFILE_HEADER = 18  # marker, length, "ICC_PROFILE\0", part numbers

HEADER = (
    f"{'image':<12}{'size':>10}{'PNG bytes':>12}{'.nc bytes':>11}{'bpp':>7}{'MS-SSIM':>9}"
    f"{'JPEG bytes':>12}{'saving':>9}"
)


class Row(NamedTuple):
    """One picture's line of the table; `jpeg_bytes` is None where no JPEG setting has that MS-SSIM."""

    name: str
    width: int
    height: int
    png_bytes: int
    our_bytes: int
    ms_ssim: float
    jpeg_bytes: float | None

    def __str__(self) -> str:
        bpp = 8 * self.our_bytes / (self.width * self.height)
        return (
            f"{self.name:<12}{f'{self.width}x{self.height}':>10}{self.png_bytes:>12,}{self.our_bytes:>11,}"
            f"{bpp:>7.3f}{self.ms_ssim:>9.4f}" + saving_columns(self.our_bytes, self.jpeg_bytes)
        )


def saving_columns(ours: float, jpeg: float | None) -> str:
    """The bytes of JPEG at the same MS-SSIM, and how many of them are saved."""
    if jpeg is None:
        return f"{'-':>12}{'-':>9}"
    return f"{jpeg:>12,.0f}{100 * (1 - ours / jpeg):>7.1f} %"


def demonstrate(source: Path, folder: Path, quality: int, model: str) -> Row:
    """Encodes one picture to a file, decodes that file, and finds the JPEG of equal MS-SSIM."""
    encoded = folder / f"{source.stem}.nc"
    encoded.write_bytes(neuralcodec.encode(source, quality=quality, model=model))
    decoded = neuralcodec.decode(encoded.read_bytes())
    profile = decoded.info.get("icc_profile")
    decoded.save(folder / f"{source.stem}.png", icc_profile=profile)
    with Image.open(source) as opened:
        original = as_array(opened)
    score = ms_ssim(original, as_array(decoded))
    jpeg_bytes = match(Jpeg(), original, score)
    if jpeg_bytes is not None and profile:  # our file holds the colour profile too
        jpeg_bytes += len(profile) + JPEG_PROFILE_HEADER
    height, width = original.shape[:2]
    sizes = (source.stat().st_size, encoded.stat().st_size)
    return Row(source.stem, width, height, *sizes, score, jpeg_bytes)


def run(args: argparse.Namespace) -> None:
    """Prints the table, with a progress bar where a person is watching."""
    sources = sorted(args.images.glob("*.png"))
    if not sources:
        raise UsageError(f"no PNG pictures in {args.images}")
    args.out.mkdir(parents=True, exist_ok=True)
    progress = tqdm(sources, "encoding", leave=False, disable=None)
    rows = [demonstrate(source, args.out, args.quality, args.model) for source in progress]
    print(HEADER)
    print(*rows, sep="\n")
    png_bytes, our_bytes = sum(row.png_bytes for row in rows), sum(row.our_bytes for row in rows)
    jpeg = [row.jpeg_bytes for row in rows if row.jpeg_bytes is not None]
    jpeg_bytes = sum(jpeg) if len(jpeg) == len(rows) else None
    print(f"{'total':<22}{png_bytes:>12,}{our_bytes:>11,}{'':>16}{saving_columns(our_bytes, jpeg_bytes)}")
    print("JPEG bytes: Pillow's smallest (optimised, progressive, 4:2:0) at the same MS-SSIM")
    print(f"files: {args.out}")


def main() -> int:
    """The command line; the exit code is that of `ncodec`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quality", type=int, default=50, help="0 to 100 (default: 50)")
    parser.add_argument("--model", default="conv", help="conv or gru (default: conv)")
    parser.add_argument(
        "--images", type=Path, default=ROOT / "sample_images", metavar="DIR", help="PNG pictures"
    )
    parser.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="default: demo-out")
    try:
        run(parser.parse_args())
    except (NeuralCodecError, OSError) as error:
        print(f"demo.py: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
