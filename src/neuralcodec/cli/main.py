"""The entry point of `ncodec`: run a command line, and report errors. The parsers are in `arguments.py`."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from neuralcodec import files
from neuralcodec.cli.arguments import parse
from neuralcodec.parallel import limit_threads
from neuralcodec.terminal import report_error, say

INTERRUPTED = 130  # as a shell reports a program that Ctrl-C ended
NO_READER = 141  # as a shell reports a program whose output nobody reads any more


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, by default that of `sys.argv`, and return the exit code."""
    debug = False
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
        status = 0
        if args is not None:
            debug = args.verbose
            if getattr(args, "threads", None) is not None:
                limit_threads(args.threads)
            _tell_models(args)
            status = args.run(args)
        files.flush_stdout()
        return status
    except KeyboardInterrupt as interrupt:  # in a batch, it says what is done
        say(f"ncodec: interrupted: {interrupt}" if str(interrupt) else "ncodec: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return NO_READER
    except BaseException as error:  # a panic in a compiled extension is no Exception
        return report_error(error, debug=debug)


def _tell_models(args: Namespace) -> None:
    """Set the variables that models read when they load, in this process or in one that it starts."""
    for option, variable in (("device", "NCODEC_DEVICE"), ("runtime", "NCODEC_RUNTIME")):
        if (value := getattr(args, option, None)) is not None:
            os.environ[variable] = value
