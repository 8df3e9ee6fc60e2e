"""`ncodec sample`: draw a picture from the codec's own prior."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from neuralcodec import files
from neuralcodec.cli import planning
from neuralcodec.cli.command import Command, add_device, add_force, add_quiet, add_threads
from neuralcodec.cli.inputs import name_of
from neuralcodec.cli.values import natural, positive, quality, width_and_height
from neuralcodec.errors import UsageError, warn
from neuralcodec.options import DEFAULT_MODEL
from neuralcodec.picture.formats import format_for
from neuralcodec.terminal import about, progress, say

TEXT = """\
examples:
  ncodec sample texture.png -q 40 --size 768x512 --seed 1
  ncodec sample calm.png --temperature .8
  ncodec sample drawn.nc                      the file itself, which decodes to the picture

Draws every symbol of a file from the tables that code files. What comes out are textures, not scenes: such a
model knows how pictures go on from one place to the next, and that is all that compression asks of it.

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="a picture, or an .nc file")
    parser.add_argument(
        "-q", "--quality", type=quality, metavar="0..100", help="of the file (default: that of encode)"
    )
    parser.add_argument(
        "--size",
        type=width_and_height,
        default=(768, 512),
        metavar="WxH",
        help="width and height in pixels (default: 768x512)",
    )
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="of the symbols (default: 0)")
    parser.add_argument(
        "--temperature",
        type=positive,
        default=1.0,
        metavar="T",
        help="below 1 draws likelier symbols, above 1 rarer ones (default: 1)",
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="MODEL", help="conv or gru (default: conv)")
    add_force(parser)
    add_device(parser)
    add_quiet(parser)
    add_threads(parser)


def sample(args: Namespace) -> int:
    """Draw a sample of the prior; write it as a picture, or as the `.nc` file that it is."""
    [job] = planning.plan(["-", args.out], None, str, force=args.force)
    target = job.target
    as_file = target is not None and target.suffix.lower() == ".nc"
    if target is None:
        raise UsageError("name a file: its extension says what it holds")
    format = "" if as_file else format_for(target)
    from neuralcodec.coding.codec import decode_file
    from neuralcodec.coding.sampling import sample_file
    from neuralcodec.format import container
    from neuralcodec.picture.writing import save

    with progress("drawing", quiet=args.quiet) as show:
        drawn = sample_file(
            *args.size,
            quality=args.quality,
            model=args.model,
            seed=args.seed,
            temperature=args.temperature,
            progress=show,
        )
    data = container.write(drawn)
    picture = None if as_file else decode_file(drawn)
    with about(name_of(target)), files.writing(target) as file:
        if picture is None:
            file.write(data)
        else:
            warn(save(picture, file, format))
    if not args.quiet:
        width, height = args.size
        bpp = 8 * len(data) / (width * height)
        say(f"{args.model} → {target}  {width}x{height}  quality {drawn.header.quality:g}  {bpp:.2f} bpp")
    return 0


COMMAND = Command(sample, add_arguments, TEXT)
