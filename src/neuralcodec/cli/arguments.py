"""The parser of `ncodec`: of one command where a command is called, of all of them for the help."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from neuralcodec import __version__
from neuralcodec.cli.command import EXIT_CODES, NAMES, Parser, fill, load

OVERVIEW = """\
examples:
  ncodec encode photo.png                     writes photo.nc
  ncodec decode photo.nc photo.jpg
  ncodec encode -q 30 *.png -o small/
  ncodec compare photo.png photo.nc

`ncodec COMMAND --help` has the options and more examples.

"""


def parse(argv: Sequence[str]) -> Namespace | None:
    """Read a command line; None where it asked for help or the version, which was printed.

    Raises:
        UsageError: it is not one that `ncodec` understands.
    """
    try:
        if argv and argv[0] in NAMES:
            parser = Parser(f"ncodec {argv[0]}")
            fill(parser, load(argv[0]))
            return parser.read([*argv[1:]])
        return parsers()[0].parse_args(argv)
    except SystemExit:
        return None


def parser() -> ArgumentParser:
    """The parser of `ncodec`, of which `make man` makes the manual page."""
    return parsers()[0]


def parsers() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """The parser of `ncodec` and those of its commands."""
    parser = Parser(
        "ncodec",
        description="Stores photographs in far fewer bytes than JPEG at the same quality.",
        epilog=OVERVIEW + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ncodec {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in NAMES:
        command = load(name)
        fill(subparsers.add_parser(name, help=command.help), command)
    return parser, dict(subparsers.choices)
