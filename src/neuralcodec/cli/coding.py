"""Common parts of `encode` and `decode`: files, options, the plan of the work and the report on it."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from neuralcodec.cli import planning
from neuralcodec.cli.command import add_device, add_force, add_limit, add_quiet, add_threads
from neuralcodec.cli.jobs import Result
from neuralcodec.cli.planning import Job
from neuralcodec.errors import UsageError

if TYPE_CHECKING:
    from neuralcodec.picture.picture import Picture


def add_files(parser: ArgumentParser) -> None:
    """Add the files: IN and OUT, or any number of inputs."""
    parser.usage = f"{parser.prog} [OPTION...] IN [OUT]\n       {parser.prog} [OPTION...] IN... -o DIR"
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="IN and OUT, or with -o inputs only; - is standard input or output",
    )


def add_output(parser: ArgumentParser) -> None:
    """Add the options that say where results go, what happens to existing ones, and what does the work."""
    parser.add_argument("-o", "--output-dir", metavar="DIR", help="write every result into this folder")
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="take folders, and write the same folders below DIR"
    )
    add_force(parser, "existing files")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="skip inputs whose output is there, whole and as asked for; with -f, do the others again",
    )
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each file")
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="work on a Ray cluster: local, auto or ray://HOST:PORT"
    )
    add_device(parser)
    add_limit(parser)
    add_threads(parser, "files side by side, or threads (default: all cores)")
    add_quiet(parser)


def plan(args: Namespace, rename: Callable[[str], str], suffixes: Collection[str]) -> list[Job]:
    """Plan the jobs of a command line.

    Raises:
        UsageError: see `planning.plan`; or lines of JSON and an output would both go to standard output.
    """
    jobs = planning.plan(
        args.files,
        args.output_dir,
        rename,
        force=args.force or args.resume,
        suffixes=suffixes if args.recursive else None,
        quiet=args.quiet,
    )
    if args.json and any(job.target is None for job in jobs):
        raise UsageError("--json and the output cannot both go to standard output: name a file")
    return jobs


def refuse_older(job: Job) -> None:
    """Raise a `UsageError` if the input has changed since the output was made."""
    assert job.target is not None
    if job.source is not None and job.source.stat().st_mtime > job.target.stat().st_mtime:
        raise another(job, f"is older than {job.source}")


def another(job: Job, why: str) -> UsageError:
    """Make the error for an output that exists, but is not what would be written."""
    return UsageError(f"{job.target} exists and {why}: kept, -f makes it again")


def result(
    job: Job,
    picture: Picture,
    *,
    sizes: tuple[int, int],
    facts: dict[str, Any],
    notes: list[str],
    start: float,
) -> Result:
    """Make the result of a conversion, with what to print about it.

    Args:
        sizes: bytes of the input and the output.
        facts: further ones for the line of JSON; `bpp` is the bits per pixel of the `.nc` file.
        notes: what the printed line says behind the sizes.
        start: when the coding began, by `time.perf_counter`.
    """
    seconds = time.perf_counter() - start
    before, after = sizes
    height, width, channels = picture.pixels.shape
    names = " → ".join("-" if path is None else str(path) for path in job[:2])
    parts = [names, f"{before:,} → {after:,} bytes", f"{facts['bpp']:.2f} bpp", *notes, f"{seconds:.2f} s"]
    details = [f"{width}x{height}", "grey" if channels == 1 else "colour"]
    details += ["alpha"] if picture.alpha is not None else []
    details += [f"{n} {len(b):,} bytes" for n in ("icc", "exif", "xmp") if (b := getattr(picture, n))]
    known = {"bytes_in": before, "bytes_out": after, "width": width, "height": height}
    return Result(
        before,
        after,
        width * height,
        ["  ".join(parts), f"  {', '.join(details)}"],
        {**known, **facts, "seconds": round(seconds, 3)},
        damaged=picture.damage is not None,
    )
