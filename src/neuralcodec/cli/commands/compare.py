"""`ncodec compare`: measure how near two pictures are, and what they cost."""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser, Namespace

from neuralcodec.cli.command import Command, add_device, add_limit, add_threads
from neuralcodec.cli.inputs import load_any
from neuralcodec.cli.planning import input_path
from neuralcodec.errors import UsageError
from neuralcodec.terminal import printable, say, write

#: Above so many pixels, `compare` omits SSIMULACRA2: its package takes 0.5 GB and 5 s for each megapixel.
SSIMULACRA2_PIXELS = 1 << 22


TEXT = """\
examples:
  ncodec compare photo.png photo.nc
  ncodec compare --json photo.png photo.jpg

All measures are of the 8-bit pictures, turned as EXIF says. SSIMULACRA2 needs neuralcodec[bench]. In JSON,
null stands for an infinite value and for one that was not measured.

"""


def add_arguments(parser: ArgumentParser) -> None:
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help="an .nc file or any picture, or - for one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_device(parser)
    add_limit(parser)
    add_threads(parser)


def compare(args: Namespace) -> int:
    """Print how near two pictures are, and what they cost in bytes."""
    if args.a == args.b == "-":
        raise UsageError("only one of the two can come from standard input")
    (size_a, a), (size_b, b) = (load_any(input_path(name), args) for name in (args.a, args.b))
    from neuralcodec.picture.picture import same_channels, upright

    a, b = upright(a), upright(b)
    height, width = a.pixels.shape[:2]
    if b.pixels.shape[:2] != (height, width):
        other = f"{b.pixels.shape[1]}x{b.pixels.shape[0]}"
        raise UsageError(f"pictures of {width}x{height} and {other} pixels cannot be compared")
    if a.alpha is not None or b.alpha is not None:
        say("ncodec: warning: only the colours are compared, not the transparency")
    if min(height, width) < 161:
        say("ncodec: warning: MS-SSIM is defined from 161 pixels a side: compare this one with its like only")

    from neuralcodec.picture import metrics

    one, two = same_channels(a, b)
    similarity = metrics.ms_ssim(one, two)
    decibels, psnr = metrics.ms_ssim_db(similarity), metrics.psnr(one, two)
    perceived = metrics.ssimulacra2(one, two) if height * width <= SSIMULACRA2_PIXELS else None
    costs = [(name, size, 8 * size / (height * width)) for name, size in ((args.a, size_a), (args.b, size_b))]
    if args.json:
        scores = {"ms_ssim": similarity, "ms_ssim_db": _finite(decibels), "psnr": _finite(psnr)}
        scores["ssimulacra2"] = perceived  # null where it was not measured
        entries = [{"file": name, "bytes": size, "bpp": bpp} for name, size, bpp in costs]
        write(json.dumps({"width": width, "height": height, **scores, "files": entries}))
        return 0
    write(f"MS-SSIM      {similarity:.5f}  {decibels:.2f} dB")
    write(f"PSNR         {psnr:.2f} dB")
    write(f"SSIMULACRA2  {_without_ssimulacra2(height, width) if perceived is None else f'{perceived:.2f}'}")
    widest = max(len(printable(name)) for name, _, _ in costs)
    for name, size, bpp in costs:
        write(f"{printable(name):{widest}}  {size:>12,} bytes  {bpp:.3f} bpp")
    return 0


def _without_ssimulacra2(height: int, width: int) -> str:
    """Say why there is no SSIMULACRA2."""
    if height * width > SSIMULACRA2_PIXELS:
        return "–  only up to 4 megapixels"
    return "–  only from 8 pixels a side" if min(height, width) < 8 else "–  pip install 'neuralcodec[bench]'"


def _finite(value: float) -> float | None:
    """Return the value as JSON can hold it: None for infinity."""
    return value if math.isfinite(value) else None


COMMAND = Command(compare, add_arguments, TEXT)
