"""The entry point of `ncodec`: run a command line, and report errors. The parsers are in `arguments.py`."""

from __future__ import annotations

import gc
import os
import sys
import threading
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from neuralcodec import files
from neuralcodec.cli.arguments import parse
from neuralcodec.parallel import limit_threads, start_single_threaded_blas
from neuralcodec.terminal import report_error, say

INTERRUPTED = 130  # as a shell reports a program that Ctrl-C ended
NO_READER = 141  # as a shell reports a program whose output nobody reads any more
#: Modules that have something to do when a process ends.
_NEED_AN_END = {"coverage", "multiprocessing", "ray", "torch"}


def program() -> NoReturn:
    """Run `ncodec` as a process of its own, which is not taken apart at its end where nothing asks for that.

    That, looking for garbage while modules load, and threads of BLAS, each of whose products has but one
    (`neuralcodec.parallel`), took a fifth of the processor time of a small picture.
    """
    gc.set_threshold(20_000)
    start_single_threaded_blas()
    status = main()
    if _NEED_AN_END.isdisjoint(sys.modules) and threading.active_count() == 1:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)
    sys.exit(status)


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
