"""Work in other processes: several at a time for what is counted in bytes, one for what is timed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from typing import Generic, NamedTuple, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class Outcome(NamedTuple, Generic[Task, Result]):
    """What became of a task: a value, or in one line what went wrong."""

    task: Task
    value: Result | None
    error: str | None


class Pool(Generic[Task, Result]):
    """Runs one function on tasks. A task that fails gives its outcome like the others."""

    def __init__(self, function: Callable[[Task], Result], executor: Executor) -> None:
        self._function = function
        self._executor = executor

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome[Task, Result]]:
        """The outcomes as they come; a worker that the system killed fails all that was left."""
        futures: dict[Future[tuple[Result | None, str | None]], Task] = {}
        for task in tasks:
            try:
                futures[self._executor.submit(_guarded, self._function, task)] = task
            except RuntimeError as error:  # BrokenProcessPool is one: a worker is gone already
                yield Outcome(task, None, describe(error))
        for future in as_completed(futures):
            try:
                value, failure = future.result()
            except Exception as error:  # the pool's own: a worker died, or a value could not travel
                value, failure = None, describe(error)
            yield Outcome(futures[future], value, failure)


@contextmanager
def pool(function: Callable[[Task], Result], *, jobs: int, threads: int) -> Iterator[Pool[Task, Result]]:
    """A pool of `jobs` processes with `threads` threads each; work not begun is dropped at the end."""
    # Forked copies of a process that has used torch's threads may hang.
    executor = ProcessPoolExecutor(jobs, get_context("spawn"), _prepare, (threads,))
    try:
        yield Pool(function, executor)
    finally:
        executor.shutdown(cancel_futures=True)


def describe(error: BaseException) -> str:
    """An error in one line."""
    from neuralcodec.errors import NeuralCodecError

    text = error.strerror if isinstance(error, OSError) else None
    text = " ".join((text or str(error)).split())
    if isinstance(error, NeuralCodecError | OSError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _guarded(function: Callable[[Task], Result], task: Task) -> tuple[Result | None, str | None]:
    try:
        return function(task), None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in a compiled extension is no Exception
        return None, describe(error)


def _prepare(threads: int) -> None:
    """Keeps a worker to its share of the cores, and makes sure that it ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # What is not loaded yet reads the variables; what is loaded has to be told.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ[name] = str(threads)
    from PIL import AvifImagePlugin
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    AvifImagePlugin.DEFAULT_MAX_THREADS = threads
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


def _end_with_parent() -> None:
    # A worker whose parent was killed would wait for work for ever.
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
