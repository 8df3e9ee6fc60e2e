"""`ncodec truncate`: keep the first stages of a file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from neuralcodec import files
from neuralcodec.cli import planning
from neuralcodec.cli.command import Command, add_force, add_limit, add_quiet
from neuralcodec.cli.inputs import byte_limit, limits_of, name_of
from neuralcodec.cli.values import count, size
from neuralcodec.terminal import about, say

TEXT = """\
examples:
  ncodec truncate photo.nc preview.nc --size 8kB
  ncodec truncate photo.nc - --stage 3 > three.nc

Takes the first stages of a file that `encode --model gru` wrote. Nothing is encoded again: the result
is what encoding with fewer stages gives.

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="IN", help="a gru file, or - for standard input")
    parser.add_argument("out", metavar="OUT", help="where the shorter file goes, or - for standard output")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--size", type=size, metavar="SIZE", help="as many stages as fit: 24000, 24kB, 1MiB")
    wanted.add_argument("--stage", type=count, metavar="N", help="the first N stages")
    add_force(parser)
    add_limit(parser)
    add_quiet(parser)


def truncate(args: Namespace) -> int:
    """Keep the first stages of a file, without encoding again."""
    (job,) = planning.plan([args.file, args.out], None, lambda name: name, force=args.force)
    from neuralcodec.coding.progressive import truncate as first_stages

    with about(name_of(job.source)):
        data = files.read(job.source, byte_limit(args))
        shorter = first_stages(data, stages=args.stage, size=args.size, limits=limits_of(args))
    with about(name_of(job.target, "standard output")), files.writing(job.target) as file:
        file.write(shorter)
    if not args.quiet:
        from neuralcodec.format.container import read

        kept, all_of_them = (read(each, limits=limits_of(args)).layers for each in (shorter, data))
        stages = f"{kept} of {all_of_them} stages"
        say(f"{args.file} → {args.out}  {len(data):,} → {len(shorter):,} bytes  {stages}")
    return 0


COMMAND = Command(truncate, add_arguments, TEXT)
