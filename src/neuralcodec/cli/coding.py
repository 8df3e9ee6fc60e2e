"""What `encode` and `decode` share: their files and options, the plan of the work, and what is said of it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from neuralcodec import files
from neuralcodec.cli import batch
from neuralcodec.cli.command import add_device, add_limit, add_quiet, add_threads
from neuralcodec.terminal import say

if TYPE_CHECKING:
    from neuralcodec.picture.picture import Picture


def add_files(parser: ArgumentParser) -> None:
    """IN and OUT, or any number of inputs."""
    parser.usage = f"{parser.prog} [OPTION...] IN [OUT]\n       {parser.prog} [OPTION...] IN... -o DIR"
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="IN and OUT, or with -o inputs only; - is standard input or output",
    )


def add_output(parser: ArgumentParser) -> None:
    """The options of where results go, what is done about those that exist, and who does the work."""
    parser.add_argument("-o", "--output-dir", metavar="DIR", help="write every result into this folder")
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="take folders, and write the same folders below DIR"
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("-f", "--force", action="store_true", help="overwrite existing files")
    existing.add_argument("--resume", action="store_true", help="skip inputs whose output exists")
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="work on a Ray cluster: local, auto or ray://HOST:PORT"
    )
    add_device(parser)
    add_limit(parser)
    add_threads(parser, "files side by side, or threads (default: all cores)")
    add_quiet(parser)


def plan(
    args: Namespace, rename: Callable[[str], str], suffixes: Collection[str]
) -> tuple[list[files.Job], int]:
    """The jobs, and how many more there are whose results exist and stay."""
    jobs = files.plan(
        args.files,
        args.output_dir,
        rename,
        force=args.force or args.resume,
        suffixes=suffixes if args.recursive else None,
    )
    # An output is there when it is complete, and not before.
    left = [job for job in jobs if not (args.resume and job.target is not None and job.target.exists())]
    return left, len(jobs) - len(left)


def report(
    job: files.Job,
    picture: Picture,
    sizes: batch.Sizes,
    *,
    coded: int,
    notes: list[str],
    seconds: float,
    args: Namespace,
) -> None:
    if args.quiet:
        return
    height, width, channels = picture.pixels.shape
    bpp = 8 * coded / (height * width)
    names = " → ".join("-" if path is None else str(path) for path in job)
    facts = [names, f"{sizes.before:,} → {sizes.after:,} bytes", f"{bpp:.2f} bpp", *notes, f"{seconds:.2f} s"]
    say("  ".join(facts))
    if args.verbose:
        parts = [f"{width}x{height}", "grey" if channels == 1 else "colour"]
        parts += ["alpha"] if picture.alpha is not None else []
        parts += [f"{n} {len(b):,} bytes" for n in ("icc", "exif", "xmp") if (b := getattr(picture, n))]
        say(f"  {', '.join(parts)}")
