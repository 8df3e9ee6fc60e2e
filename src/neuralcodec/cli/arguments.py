"""Parsers of `ncodec` and its commands. To run a command, only its own parser is filled."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from neuralcodec import __version__
from neuralcodec.cli.command import COMMANDS, EXIT_CODES, UNMEASURED, Parser, fill

OVERVIEW = """\
examples:
  ncodec encode photo.png                     writes photo.nc
  ncodec decode photo.nc photo.jpg
  ncodec encode -q 30 *.png -o small/
  ncodec compare photo.png photo.nc

`ncodec COMMAND --help` has the options and more examples.

"""


def parse(argv: Sequence[str]) -> Namespace | None:
    """Parse a command line; return None if it asked for help or the version, which was printed.

    Raises:
        UsageError: it is not one that `ncodec` understands.
    """
    argv = argv[1:] if argv and argv[0] == "--" else argv
    try:
        if argv and argv[0] in COMMANDS:
            own = Parser(f"ncodec {argv[0]}", formatter_class=UNMEASURED)
            fill(own, argv[0])
            return own.read([*argv[1:]])
        return _overview()[0].parse_args(argv)
    except SystemExit:
        return None


def parser() -> ArgumentParser:
    """Return the parser of `ncodec`, from which `make man` makes the manual page."""
    return parsers()[0]


class _Version(argparse.Action):
    """Prints the version, with the run time that would be used now."""

    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        from neuralcodec.models.runtime import described

        print(f"ncodec {__version__}, on {described()}")
        parser.exit()


def parsers() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """Return the parser of `ncodec` and those of its commands, all filled."""
    parser, commands = _overview()
    for name, command in commands.items():
        fill(command, name)
    return parser, commands


def _overview() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """Return the parser of `ncodec`, and those of its commands, still empty."""
    parser = Parser(
        "ncodec",
        description="Stores photographs in far fewer bytes than JPEG at the same quality.",
        epilog=OVERVIEW + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and what it runs on")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    return parser, {name: subparsers.add_parser(name, help=help) for name, help in COMMANDS.items()}
