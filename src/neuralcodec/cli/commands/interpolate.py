"""`ncodec interpolate`: walk from one picture to another in the latent of the codec."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from neuralcodec import files
from neuralcodec.cli.command import Command, add_device, add_force, add_limit, add_quiet, add_threads
from neuralcodec.cli.inputs import load_any
from neuralcodec.cli.planning import input_path
from neuralcodec.cli.values import count, quality
from neuralcodec.errors import UsageError
from neuralcodec.options import DEFAULT_MODEL
from neuralcodec.terminal import about, say

TEXT = """\
examples:
  ncodec interpolate one.png other.png        writes interpolation/step-1.png, step-2.png, ...
  ncodec interpolate one.png other.png --steps 15 -o walk/

The two pictures have the same size. Between them the latent is a mixture, and so is the picture: one fades
into the other, as it would in pixels, with the codec's idea of what lies between.

"""

#: The most pictures of a walk.
MOST_STEPS = 100


def add_arguments(parser: ArgumentParser) -> None:
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help="an .nc file or any picture, or - for one")
    parser.add_argument(
        "--steps", type=count, default=7, metavar="N", help="pictures, both ends included (default: 7)"
    )
    parser.add_argument(
        "-o", "--out", default="interpolation", metavar="DIR", help="their folder (default: interpolation)"
    )
    parser.add_argument(
        "-q", "--quality", type=quality, metavar="0..100", help="of the latents (default: that of encode)"
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="MODEL", help="conv or gru (default: conv)")
    add_force(parser, "existing files")
    add_device(parser)
    add_limit(parser)
    add_quiet(parser)
    add_threads(parser)


def interpolate(args: Namespace) -> int:
    """Write the pictures on the way, each to a file, and all of them on one sheet."""
    if args.a == args.b == "-":
        raise UsageError("only one of the two can come from standard input")
    if not 2 <= args.steps <= MOST_STEPS:
        raise UsageError(f"--steps is 2 to {MOST_STEPS}, not {args.steps}")
    out = Path(args.out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is not a folder")
    if not args.force and (existing := sorted(out.glob("step-*.png")) + sorted(out.glob("sheet.png"))):
        raise UsageError(f"{existing[0]} exists: -f overwrites")
    from neuralcodec.coding import sampling
    from neuralcodec.coding.progressive import contact_sheet
    from neuralcodec.picture.picture import upright
    from neuralcodec.picture.writing import save

    one, other = (upright(load_any(input_path(name), args)[1]) for name in (args.a, args.b))
    shares = [step / (args.steps - 1) for step in range(args.steps)]
    shown = []
    walk = sampling.interpolate(one, other, shares, quality=args.quality, model=args.model)
    for number, picture in enumerate(walk, 1):
        shown.append(picture)
        out.mkdir(parents=True, exist_ok=True)  # only when nothing can be refused any more
        target = out / f"step-{number}.png"
        with about(str(target)), files.writing(target) as file:
            save(picture, file, "PNG")
    with about(str(out / "sheet.png")), files.writing(out / "sheet.png") as file:
        contact_sheet(shown, [f"{share:.0%}" for share in shares]).save(file, "PNG")
    if not args.quiet:
        say(f"{args.a}, {args.b} → {out}  {args.steps} steps")
    return 0


COMMAND = Command(interpolate, add_arguments, TEXT)
