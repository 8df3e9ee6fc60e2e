"""One file after another, wherever that is done: what to do with it, and what became of it."""

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
    """Where a conversion reads and writes: the module `files`, or memory."""

    def read(self, source: Path | None, limit: int) -> bytes:
        """All bytes of the input."""

    def writing(self, target: Path | None) -> AbstractContextManager[BinaryIO]:
        """The output, which is complete when the block ends."""


class Result(NamedTuple):
    """What a conversion gave.

    Args:
        before, after: bytes of the input and the output.
        pixels: of the picture.
        lines: to print about it, all but the first only with `--verbose`.
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
    """What to do with each job; it travels to other processes.

    Args:
        convert: a function of a module.
        args: the options of the command.
        limit: bytes that an input may have.
        is_there: with `--resume`, whether an output that exists is whole and the one that would be written.
            Raises `UsageError` where it is whole and another one.
        word: for files of which that is done.
    """

    convert: Callable[[Job, Namespace, Store, Show | None], Result]
    args: Namespace
    limit: int
    is_there: Callable[[Job, Namespace], bool] | None = None
    word: str = "done"


class Outcome(NamedTuple):
    """What became of a job: an exit code, its warnings and errors, and unless it failed its result."""

    job: Job
    status: int
    lines: list[str]
    result: Result | None = None
    was_there: bool = False


def perform(task: Task, job: Job, show: Show | None = None) -> Outcome:
    """Convert a file of this machine, unless that is done already."""
    return without_work(task, job) or attempt(task, job, show=show)


def without_work(task: Task, job: Job) -> Outcome | None:
    """What becomes of a job of which nothing has to be read: its output is there, or it cannot have one."""
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
    """Convert one file. All that goes wrong becomes part of the outcome, but for the end of the program."""
    with collected() as lines:
        try:
            result = task.convert(job, task.args, store, show)
            return Outcome(job, PARTIAL if result.damaged else 0, lines, result)
        except (KeyboardInterrupt, SystemExit, BrokenPipeError):
            raise
        except BaseException as error:  # a panic in a compiled extension is no Exception
            return Outcome(job, report_error(error, debug=task.args.verbose, name=job.name), lines)
