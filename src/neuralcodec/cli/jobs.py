"""The conversion of one file, wherever it runs: what to do with the file, and the outcome."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from neuralcodec import files
from neuralcodec.cli.planning import Job
from neuralcodec.errors import UsageError
from neuralcodec.terminal import Show, collected, report_error

#: Exit code when a damaged file was converted as far as it goes.
PARTIAL = 4


class Store(Protocol):
    """The place where a conversion reads and writes: the module `files`, or memory."""

    def read(self, source: Path | None, limit: int) -> bytes:
        """Read all bytes of the input."""

    def writing(self, target: Path | None) -> AbstractContextManager[BinaryIO]:
        """Open the output, which is complete when the block ends."""


class Result(NamedTuple):
    """The result of a conversion.

    Args:
        before, after: bytes of the input and the output.
        pixels: of the picture.
        lines: to print about it; all but the first only with `--verbose`.
        facts: for a line of JSON.
        damaged: parts of the input were lost.
    """

    before: int
    after: int
    pixels: int
    lines: list[str]
    facts: dict[str, Any]
    damaged: bool = False


class Task(NamedTuple):
    """The work to do on each job; it is sent to other processes.

    Args:
        convert: a function of a module, so that other processes can import it.
        args: the options of the command.
        limit: the most bytes that an input may have.
        is_there: with `--resume`, tells whether an existing output is whole and what would be written.
            Raises `UsageError` if it is whole but another one.
        word: what the summary calls files on which the work is done.
    """

    convert: Callable[[Job, Namespace, Store, Show | None], Result]
    args: Namespace
    limit: int
    is_there: Callable[[Job, Namespace], bool] | None = None
    word: str = "done"


class Outcome(NamedTuple):
    """The outcome of a job: an exit code, its warnings and errors, and, unless it failed, its result."""

    job: Job
    status: int
    lines: list[str]
    result: Result | None = None
    was_there: bool = False


def perform(task: Task, job: Job, show: Show | None = None) -> Outcome:
    """Convert a file of this machine, unless that has been done."""
    return without_work(task, job) or attempt(task, job, show=show)


def without_work(task: Task, job: Job) -> Outcome | None:
    """Return the outcome of a job that needs no conversion: its output exists, or is refused; else None."""
    resume = task.is_there is not None and task.args.resume and job.target is not None
    with collected() as lines:
        try:
            if job.refusal is not None:
                raise UsageError(f"{job.name}: {job.refusal}")
            if resume and _is_there(task, job):
                return Outcome(job, 0, lines, was_there=True)
        except Exception as error:
            return Outcome(job, report_error(error, debug=task.args.verbose, name=job.name), lines)
    return None


def _is_there(task: Task, job: Job) -> bool:
    assert task.is_there is not None
    assert job.target is not None
    if files.is_stream(job.target) or not job.target.exists():
        return False
    try:
        return task.is_there(job, task.args)
    except UsageError:
        if task.args.force:
            return False
        raise


def attempt(task: Task, job: Job, store: Store = files, show: Show | None = None) -> Outcome:
    """Convert one file. Every error becomes part of the outcome, except those that end the program."""
    with collected() as lines:
        try:
            result = task.convert(job, task.args, store, show)
            return Outcome(job, PARTIAL if result.damaged else 0, lines, result)
        except (KeyboardInterrupt, SystemExit, BrokenPipeError):
            raise
        except BaseException as error:  # a panic in a compiled extension is no Exception
            return Outcome(job, report_error(error, debug=task.args.verbose, name=job.name), lines)
