"""`ncodec verify`: check that files are whole."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from neuralcodec.cli import batch, planning
from neuralcodec.cli.command import Command, add_limit, add_quiet, add_threads
from neuralcodec.cli.inputs import byte_limit, limits_of
from neuralcodec.cli.jobs import Result, Store, Task
from neuralcodec.cli.planning import Job
from neuralcodec.format.container import read
from neuralcodec.terminal import Show, about

TEXT = """\
examples:
  ncodec verify photo.nc
  ncodec verify -r archive/ -j 4 --quiet || echo damaged

Reads every byte, compares every checksum and looks whether the weights that the file needs are here; decodes
nothing. Exit code 0 says that all files are whole, 3 that one is not.

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="an .nc file, or - for standard input")
    parser.add_argument("-r", "--recursive", action="store_true", help="take folders, and those in them")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each file")
    add_limit(parser)
    add_threads(parser, "files side by side (default: 1)")
    add_quiet(parser)
    parser.set_defaults(ray=None, resume=False)


def verify(args: Namespace) -> int:
    """Check that all files are whole, by reading them to their ends."""
    args.threads = args.threads or 1  # reading is faster than starting processes
    sources = planning.sources(args.files, {".nc"} if args.recursive else None, quiet=args.quiet)
    jobs = [Job(source, None) for source in sources]
    return batch.run(Task(_verify_one, args, byte_limit(args), word="whole"), jobs)


def _verify_one(job: Job, args: Namespace, store: Store, show: Show | None) -> Result:
    from neuralcodec import weights

    with about(job.name):
        data = store.read(job.source, byte_limit(args))
        header = read(data, limits=limits_of(args)).header
        weights.by_id(header.weights_id)
    facts = {"bytes": len(data), "width": header.width, "height": header.height}
    line = f"{job.name}: whole  {len(data):,} bytes"
    return Result(len(data), 0, header.width * header.height, [line], facts)


COMMAND = Command(verify, add_arguments, TEXT)
