"""Many files: side by side in processes of their own, past those that fail, with a summary at the end.

A process for each core, with one thread, beats threads over the parts of one picture: most pictures are
small. A process that dies takes the picture it was at with it, and nothing else.
"""

from __future__ import annotations

import os
import signal
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn, Protocol

from neuralcodec import files
from neuralcodec.files import Job
from neuralcodec.parallel import limit_threads
from neuralcodec.terminal import Show, collected, progress, report_error, say

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

#: Seconds that a process has to clear up in when the work is cut off.
_GRACE = 5.0
#: Exit code when a damaged file was converted as far as it goes.
PARTIAL = 4


class Store(Protocol):
    """Where a conversion reads and writes: the module `files`, or memory."""

    def read(self, source: Path | None, limit: int) -> bytes:
        """All bytes of the input."""

    def writing(self, target: Path | None) -> AbstractContextManager[BinaryIO]:
        """The output, which is complete when the block ends."""


class Sizes(NamedTuple):
    """Bytes of the input and the output, pixels, and whether parts of the input were damaged."""

    before: int
    after: int
    pixels: int
    damaged: bool = False


class Task(NamedTuple):
    """What to do with each job; it travels to other processes.

    Args:
        convert: a function of a module.
        args: the options of the command.
        limit: bytes that an input may have.
    """

    convert: Callable[[Job, Namespace, Store, Show | None], Sizes]
    args: Namespace
    limit: int


class Outcome(NamedTuple):
    """What became of a job: an exit code, what to say about it, and unless it failed its sizes."""

    job: Job
    status: int
    lines: list[str]
    sizes: Sizes | None = None


def attempt(task: Task, job: Job, store: Store = files, show: Show | None = None) -> Outcome:
    """Converts one file. All that goes wrong becomes part of the outcome, but for the end of the program."""
    with collected() as lines:
        try:
            sizes = task.convert(job, task.args, store, show)
            return Outcome(job, PARTIAL if sizes.damaged else 0, lines, sizes)
        except (KeyboardInterrupt, SystemExit, BrokenPipeError):
            raise
        except BaseException as error:  # a panic in a compiled extension is no Exception
            return Outcome(job, report_error(error, debug=task.args.verbose, name=job.name), lines)


def run(task: Task, jobs: Sequence[Job], *, found: int = 0) -> int:
    """Converts all files and says what became of them; the exit code is the highest of theirs.

    Args:
        found: how many more files there are whose results were there already.
    """
    args = task.args
    if len(jobs) == 1 and not found and args.ray is None:
        with progress(jobs[0].name, quiet=args.quiet) as show:
            outcome = attempt(task, jobs[0], show=show)
        for line in outcome.lines:
            say(line)
        return outcome.status
    summary = _Summary(len(jobs), found)
    with progress(summary.text(), quiet=args.quiet) as show:
        for outcome in outcomes(task, jobs):
            for line in outcome.lines:
                say(line)
            summary.add(outcome)
            if show is not None:
                show(summary.share, summary.text())
    if summary.failed or not args.quiet:
        say(summary.text())
    return summary.status


def outcomes(task: Task, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """What becomes of the jobs, as it becomes."""
    if task.args.ray is not None:
        from neuralcodec.cli import on_ray

        return on_ray.outcomes(task, jobs)
    cores = task.args.threads or available_cores()
    workers = min(cores, len(jobs))
    if workers <= 1:
        return (attempt(task, job) for job in jobs)
    return _in_processes(task, jobs, workers, cores // workers)


def available_cores() -> int:
    """What `OMP_NUM_THREADS` says, else the cores this process may use."""
    with suppress(KeyError, ValueError):
        if (wanted := int(os.environ["OMP_NUM_THREADS"])) > 0:
            return wanted
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Summary:
    """Counts of what is done, and a line about them."""

    def __init__(self, total: int, found: int) -> None:
        self.total, self.found = total, found
        self.done = self.failed = self.status = 0
        self.before = self.after = self.pixels = 0
        self.start = time.perf_counter()

    def add(self, outcome: Outcome) -> None:
        self.status = max(self.status, outcome.status)
        if outcome.sizes is None:
            self.failed += 1
            return
        self.done += 1
        self.before += outcome.sizes.before
        self.after += outcome.sizes.after
        self.pixels += outcome.sizes.pixels

    @property
    def share(self) -> float:
        return (self.done + self.failed) / self.total

    def text(self) -> str:
        """`998 of 1,000 files done, 2 failed  9,876 → 1,234 bytes (-87.5 %)  12.3 MP/s`."""
        parts = [f"{self.done:,} of {self.total:,} files done"] if self.total else []
        parts += [f"{self.failed:,} failed"] if self.failed else []
        parts += [f"{self.found:,} were there already"] if self.found else []
        text = ", ".join(parts)
        if self.done:
            change = 100 * (self.after - self.before) / max(self.before, 1)
            seconds = max(time.perf_counter() - self.start, 1e-9)
            text += f"  {self.before:,} → {self.after:,} bytes ({change:+.1f} %)"
            text += f"  {self.pixels / 1e6 / seconds:.3g} MP/s"
        return text


# ---- processes -------------------------------------------------------------------------------------------


class _Worker:
    """A process that does one job at a time."""

    def __init__(self, task: Task, threads: int) -> None:
        from multiprocessing import get_context

        # A fresh interpreter: forked copies of a process that has used torch's threads may hang.
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(task, threads, theirs), daemon=True)
        self.process.start()
        theirs.close()  # so that its end shows here
        self.job: Job | None = None

    def begin(self, job: Job) -> None:
        self.job = job
        with suppress(BrokenPipeError):  # it died while idle: what follows is the end of the connection
            self.connection.send(job)

    def result(self) -> Outcome | None:
        """The outcome that has come, or None of a process that died."""
        try:
            outcome: Outcome = self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            return None
        return outcome

    def epitaph(self) -> Outcome:
        """What to say of the job that the process died at."""
        assert self.job is not None
        code = self.process.exitcode or 0
        cause = f"signal {-code}, for lack of memory?" if code == -9 else f"exit code {code}"
        return Outcome(self.job, 1, [f"ncodec: error: {self.job.name}: its process died ({cause})"])

    def stop(self) -> None:
        """Lets an idle process end by itself."""
        self.connection.close()


def _in_processes(task: Task, jobs: Sequence[Job], count: int, threads: int) -> Iterator[Outcome]:
    from multiprocessing.connection import wait

    left = iter(jobs)
    busy: dict[Any, _Worker] = {}

    def begin(worker: _Worker) -> None:
        if (job := next(left, None)) is None:
            worker.stop()
        else:
            worker.begin(job)
            busy[worker.connection] = worker

    everyone = [_Worker(task, threads) for _ in range(count)]
    try:
        for worker in everyone:
            begin(worker)
        while busy:
            for connection in wait(list(busy)):
                worker = busy.pop(connection)
                outcome = worker.result()
                if outcome is None:
                    outcome = worker.epitaph()
                    everyone.remove(worker)
                    worker = _Worker(task, threads)
                    everyone.append(worker)
                begin(worker)
                yield outcome
    finally:
        for worker in busy.values():
            worker.process.terminate()
        for worker in everyone:
            worker.stop()
        deadline = time.monotonic() + _GRACE
        for worker in everyone:
            worker.process.join(max(deadline - time.monotonic(), 0))
            worker.process.kill()


def _serve(task: Task, threads: int, connection: Connection) -> None:
    """The life of a process: ends with the connection, and so with the parent however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, _leave)  # so that a file begun is removed
    limit_threads(threads)
    with suppress(EOFError, ConnectionError):
        while True:
            connection.send(attempt(task, connection.recv()))


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)
