"""`ncodec progressive`: write a picture of every stage of a file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from neuralcodec import files
from neuralcodec.cli.command import Command, add_force, add_limit, add_quiet, add_threads
from neuralcodec.cli.inputs import byte_limit, decode_any, limits_of, name_of
from neuralcodec.cli.planning import input_path
from neuralcodec.errors import UsageError, warn
from neuralcodec.terminal import about, say

TEXT = """\
examples:
  ncodec progressive photo.nc --out stages/
  ncodec progressive photo.nc --out stages/ --against photo.png

Writes stage-1.png, stage-2.png, ... and sheet.png, which has all of them with their bytes and MS-SSIM.

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a gru file, or - for standard input")
    parser.add_argument("-o", "--out", required=True, metavar="DIR", help="folder of the pictures")
    parser.add_argument("--against", metavar="PICTURE", help="the original, to measure against")
    add_force(parser, "existing files")
    add_limit(parser)
    add_quiet(parser)
    add_threads(parser)


def progressive(args: Namespace) -> int:
    """Write a picture of every stage, and all of them on one sheet."""
    out = Path(args.out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is not a folder")
    if not args.force and (existing := sorted(out.glob("stage-*.png")) + sorted(out.glob("sheet.png"))):
        raise UsageError(f"{existing[0]} exists: -f overwrites")
    from neuralcodec.coding.progressive import contact_sheet, frames
    from neuralcodec.picture.picture import same_channels, upright
    from neuralcodec.picture.writing import save

    source = input_path(args.file)
    with about(name_of(source)):
        data = files.read(source, byte_limit(args))
        shown = list(frames(data, limits=limits_of(args)))
    seen = [frame._replace(picture=upright(frame.picture)) for frame in shown]
    if args.against is None:
        reference, of = seen[-1].picture, "the last stage"
    else:
        with about(args.against):
            original = files.read(Path(args.against), byte_limit(args))
            reference, of = upright(decode_any(original, args)), args.against
    height, width = reference.pixels.shape[:2]
    if seen[0].picture.pixels.shape[:2] != (height, width):
        raise UsageError(f"{args.against} has {width}x{height} pixels, the file has not")
    from neuralcodec.picture import metrics

    labels = []
    for frame in seen:
        similarity = metrics.ms_ssim(*same_channels(reference, frame.picture))
        bpp = 8 * frame.size / (height * width)
        labels.append(f"{frame.stage}: {frame.size:,} bytes  {bpp:.3f} bpp  MS-SSIM {similarity:.4f}")
    out.mkdir(parents=True, exist_ok=True)
    for frame in shown:
        target = out / f"stage-{frame.stage}.png"
        with about(str(target)), files.writing(target) as file:
            warn(save(frame.picture, file, "PNG"))
    with about(str(out / "sheet.png")), files.writing(out / "sheet.png") as file:
        contact_sheet([frame.picture for frame in seen], labels).save(file, "PNG")
    if not args.quiet:
        say(f"{args.file} → {out}  MS-SSIM against {of}")
        for label in labels:
            say(f"  {label}")
    return 0


COMMAND = Command(progressive, add_arguments, TEXT)
