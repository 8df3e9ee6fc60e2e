"""`ncodec inpaint`: fill holes of a picture from the pixels around them."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from neuralcodec import files
from neuralcodec.cli import planning
from neuralcodec.cli.command import Command, add_device, add_force, add_limit, add_quiet, add_threads
from neuralcodec.cli.inputs import load_any, name_of
from neuralcodec.cli.values import quality, region
from neuralcodec.errors import UsageError, warn
from neuralcodec.options import DEFAULT_MODEL
from neuralcodec.picture.formats import format_for
from neuralcodec.terminal import about, say

TEXT = """\
examples:
  ncodec inpaint photo.png clean.png --mask scratches.png
  ncodec inpaint photo.jpg clean.nc --region 40,900,320,60    a date stamp goes, before the file is written
  ncodec inpaint old.nc clean.png --mask scratches.png

What is white in the mask is filled, and all else stays as it is. The extension of OUT says the format: nc,
png, jpg, webp, tif, avif, ppm or bmp.

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="IN", help="an .nc file or any picture, or - for standard input")
    parser.add_argument("out", metavar="OUT", help="an .nc file or a picture")
    holes = parser.add_mutually_exclusive_group(required=True)
    holes.add_argument("--mask", metavar="MASK.png", help="a picture of the same size, white where to fill")
    holes.add_argument(
        "--region", type=region, metavar="X,Y,W,H", help="fill these pixels: left, top, width, height"
    )
    parser.add_argument(
        "-q", "--quality", type=quality, metavar="0..100", help="of an .nc file (default: that of encode)"
    )
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="MODEL", help=f"weights (default: {DEFAULT_MODEL})"
    )
    add_force(parser)
    add_device(parser)
    add_limit(parser)
    add_quiet(parser)
    add_threads(parser)


def inpaint(args: Namespace) -> int:
    """Fill holes of a picture, and write it."""
    (job,) = planning.plan([args.file, args.out], None, str, force=args.force)
    if job.target is None:
        raise UsageError("OUT is a file: its extension says the format")
    if args.mask is not None and Path(args.mask).resolve() == job.target.resolve():
        raise UsageError(f"{args.mask} is an input, which is never overwritten")
    codes = job.target.suffix.lower() == ".nc"
    format = "" if codes else format_for(job.target)
    if args.quality is not None and not codes:
        raise UsageError("--quality is of an .nc file")
    from neuralcodec.coding.inpaint import without
    from neuralcodec.coding.targets import encode
    from neuralcodec.picture.writing import save

    start = time.perf_counter()
    _, picture = load_any(job.source, args)
    with about(job.name):
        picture = without(picture, mask=args.mask, region=args.region, model=args.model)
        data = encode(picture, quality=args.quality, model=args.model).data if codes else b""
    with about(name_of(job.target)), files.writing(job.target) as file:
        if codes:
            file.write(data)
        else:
            warn(save(picture, file, format))
        size = file.tell()
    if not args.quiet:
        say(f"{args.file} → {args.out}  {size:,} bytes  {time.perf_counter() - start:.2f} s")
    return 0


COMMAND = Command(inpaint, add_arguments, TEXT)
