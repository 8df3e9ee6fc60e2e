"""`ncodec bench`: compare codecs on pictures."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from importlib.util import find_spec

from neuralcodec.cli.command import Command, add_threads
from neuralcodec.cli.values import count, effort, setting, whole
from neuralcodec.errors import UsageError
from neuralcodec.options import DEFAULT_MODEL

TEXT = """\
examples:
  ncodec bench sample_images/ --out report/   writes report/report.html, .md and .json
  ncodec bench kodak/ --out report/ --against jpeg,webp,avif,jxl

A folder stands for the pictures in it and in its own folders. What a run into the same folder has measured is
not measured again. What fails is reported and left out, and the exit code tells.

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="pictures or folders of them")
    parser.add_argument(
        "-o", "--out", required=True, metavar="DIR", help="folder of the report and the cache"
    )
    parser.add_argument(
        "--against",
        type=lambda text: text.split(","),
        metavar="A,B",
        help="jpeg, webp, avif, jxl, avif-s4, jxl-e9, compressai, ours-MODEL "
        "(default: the first four, as far as installed)",
    )
    parser.add_argument(
        "--model",
        type=lambda text: text.split(","),
        default=[DEFAULT_MODEL],
        metavar="A,B",
        help=f"our codecs; the report is about the first (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "-e",
        "--effort",
        type=lambda text: [effort(word) for word in text.split(",")],
        metavar="N,N",
        help="of our codecs, 1 to 9 (default: that of encode)",
    )
    parser.add_argument(
        "--qualities",
        type=lambda text: [setting(word) for word in text.split(",")],
        metavar="Q,Q",
        help="of our codecs (default: 9 from 0 to 100)",
    )
    parser.add_argument("--limit", type=count, metavar="N", help="use the first N pictures only")
    parser.add_argument(
        "--subset", type=count, metavar="N", help="use the first N for avif-s4 and jxl-e9, which are slow"
    )
    parser.add_argument(
        "--rounds",
        type=whole,
        default=5,
        metavar="N",
        help="of timing, 0 for none (default: 5)",
    )
    parser.add_argument(
        "--published", action="store_true", help="draw published Kodak curves (default: with its 24 pictures)"
    )
    add_threads(parser, "files side by side (default: all cores)")


def bench(args: Namespace) -> int:
    """Measure codecs on pictures and write a report."""
    if missing := [name for name in ("jinja2", "matplotlib", "scipy") if find_spec(name) is None]:
        raise UsageError(f"{', '.join(missing)} not installed: pip install 'neuralcodec[bench]'")
    from neuralcodec.bench import command

    return command.run(args)


COMMAND = Command(bench, add_arguments, TEXT)
