"""`ncodec`: what becomes of a command line and of errors. Its arguments are in `arguments.py`."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from neuralcodec import files
from neuralcodec.cli.arguments import parsers
from neuralcodec.parallel import limit_threads
from neuralcodec.terminal import report_error, say

INTERRUPTED = 130  # as a shell reports a program that Ctrl-C ended
NO_READER = 141  # as a shell reports a program whose output nobody reads any more


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line, `sys.argv` without one, and returns the exit code."""
    debug = False
    try:
        args = _parse(sys.argv[1:] if argv is None else argv)
        status = 0
        if args is not None:
            debug = args.verbose
            if args.threads is not None:
                limit_threads(args.threads)
            _use_device(getattr(args, "device", None))
            status = args.run(args)
        files.flush_stdout()
        return status
    except KeyboardInterrupt:
        say("ncodec: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return NO_READER
    except BaseException as error:  # a panic in a compiled extension is no Exception
        return report_error(error, debug=debug)


def _parse(argv: Sequence[str]) -> Namespace | None:
    """The arguments; None when they asked for help or the version, which was printed."""
    parser, of_command = parsers()
    try:
        if argv and argv[0] in of_command:
            # Subparsers cannot take options between IN and OUT, so the command's own parser reads the rest;
            # the mode that can does not know `--`.
            own = of_command[argv[0]]
            return own.parse_args(argv[1:]) if "--" in argv else own.parse_intermixed_args(argv[1:])
        return parser.parse_args(argv)
    except SystemExit:
        return None


def _use_device(device: str | None) -> None:
    """Tells the models, which read this variable when they are loaded, in this process or one it starts."""
    if device is not None:
        os.environ["NCODEC_DEVICE"] = device
