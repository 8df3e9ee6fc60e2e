"""The parts of a command of `ncodec`, and the options that several commands share.

A command is a module in `commands/` that has a `COMMAND`: what it does, its arguments and its examples.
Adding one takes that module and a line in `COMMANDS`.
"""

from __future__ import annotations

from argparse import PARSER, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import NamedTuple, NoReturn

from neuralcodec.cli.values import count
from neuralcodec.errors import UsageError

#: What each command does, in the order of the help. A command's module is imported when it is called.
COMMANDS = {
    "encode": "turn pictures into .nc files",
    "decode": "turn .nc files into pictures",
    "inpaint": "fill holes of a picture",
    "info": "show what is known of .nc files",
    "verify": "check that .nc files are whole",
    "compare": "measure how near two pictures are",
    "truncate": "cut a gru file to fewer bytes",
    "progressive": "show all stages of a gru file",
    "view": "look at a picture in a browser",
    "bench": "compare with other codecs on pictures",
    "train": "train a model",
    "export": "turn a training checkpoint into weights",
    "sample": "draw a picture from the codec's prior",
    "interpolate": "walk from one picture to another",
    "vae": "train, sample and score a variational autoencoder",
    "completion": "print what a shell completes with",
}

EXIT_CODES = """\
exit codes:
  0    done
  1    failed: no permission, a full disk, not enough memory, ...
  2    wrong usage: an option, a missing input, an output that exists
  3    the input is damaged, cut short, not of a known format, or beyond the limits
  4    decoded with --partial from a damaged file: parts are approximate or missing
  130  interrupted by Ctrl-C
  of several files, the highest code counts
"""


class Command(NamedTuple):
    """A command of `ncodec`.

    Args:
        run: does the work, and returns the exit code. Its heavy imports belong inside.
        add_arguments: adds its own arguments; `-v` is added to every command.
        text: shown below the options: examples, then what else to know. It ends with an empty line.
    """

    run: Callable[[Namespace], int]
    add_arguments: Callable[[ArgumentParser], None]
    text: str


#: A formatter that does not ask for the width of the terminal: every argument that is added makes one.
UNMEASURED = partial(RawDescriptionHelpFormatter, width=80)


class Parser(ArgumentParser):
    """An argument parser that reports a wrong call as every other error is reported."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")

    def read(self, argv: list[str]) -> Namespace:
        """Parse the arguments of one command; options may stand between the files.

        The mode of argparse that allows this takes twice as long, and knows neither `--` nor commands of a
        command. So it is for what the plain one refuses.
        """
        plain = "--" in argv or any(action.nargs == PARSER for action in self._actions)
        try:
            return self.parse_args(argv)
        except UsageError:
            if plain:
                raise
            return self.parse_intermixed_args(argv)


def fill(parser: ArgumentParser, name: str) -> None:
    """Give an empty parser the arguments and the help of a command in `COMMANDS`."""
    command: Command = import_module(f"neuralcodec.cli.commands.{name}").COMMAND
    help = COMMANDS[name]
    parser.description = help[0].upper() + help[1:] + "."
    parser.epilog = command.text + EXIT_CODES
    parser.set_defaults(run=command.run)
    command.add_arguments(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="say more; trace unexpected errors")
    parser.formatter_class = RawDescriptionHelpFormatter


# ---- options of several commands -------------------------------------------------------------------------


def add_threads(parser: ArgumentParser, help: str = "threads (default: all cores)") -> None:
    """Add `-j N`."""
    parser.add_argument("-j", "--threads", type=count, metavar="N", help=help)


def add_device(parser: ArgumentParser, *, runtime: bool = True) -> None:
    """Add `--device`, and where there is a choice `--runtime`, for commands that run a model."""
    parser.add_argument(
        "--device",
        choices=["auto", "cpu", "cuda"],
        help="where the transforms run (default: auto, a GPU if there is one)",
    )
    if not runtime:
        return
    parser.add_argument(
        "--runtime",
        choices=["auto", "torch", "onnx"],
        help="what runs them, PyTorch or ONNX Runtime (default: auto, PyTorch for what only it can do)",
    )


def add_limit(parser: ArgumentParser) -> None:
    """Add `--max-pixels N`, for commands that read a picture; `inputs.limits_of` reads it."""
    parser.add_argument(
        "--max-pixels", type=count, metavar="N", help="refuse larger pictures (default: 268435456)"
    )


def add_force(parser: ArgumentParser, what: str = "OUT") -> None:
    """Add `-f`, for commands that write."""
    parser.add_argument("-f", "--force", action="store_true", help=f"overwrite {what}")


def add_quiet(parser: ArgumentParser) -> None:
    """Add `--quiet`."""
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
