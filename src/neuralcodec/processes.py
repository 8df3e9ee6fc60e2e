"""Tasks in other processes, each by itself, so that a process that dies takes no other task with it.

One process for each core, with one thread, is faster than threads over the parts of one picture, since most
pictures are small.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar

from neuralcodec.errors import describe
from neuralcodec.parallel import limit_threads

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Bytes that a process needs for Python, torch, a model and a picture of a few megapixels.
MEMORY = 400 << 20
#: Seconds that a process has for clearing up after its parent has died.
_GRACE = 5.0
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_CGROUP, _MEMINFO = Path("/sys/fs/cgroup"), Path("/proc/meminfo")


class Done(NamedTuple, Generic[Task, Result]):
    """The outcome of a task: a value, or one line that says what went wrong."""

    task: Task
    value: Result | None
    error: str | None


# ---- how many --------------------------------------------------------------------------------------------


def available_cores() -> int:
    """Return `OMP_NUM_THREADS` if it is set, else the number of cores that this process may use."""
    with suppress(KeyError, ValueError):
        if (wanted := int(os.environ["OMP_NUM_THREADS"])) > 0:
            return wanted
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def most(cores: int, *, on_gpu: bool) -> int:
    """Return how many processes with a model may work side by side: one a core, as far as memory allows.

    It is 1 where the transforms run on a GPU, which several processes would fill with copies of the model.
    """
    return 1 if on_gpu else max(1, min(cores, available_memory() // MEMORY))


def available_memory() -> int:
    """Return the bytes that can be taken without displacing anything, in this machine and control group."""
    available = _memory_of_machine()
    with suppress(OSError, ValueError, KeyError):  # there is no group, or no limit ("max")
        limit = int((_CGROUP / "memory.max").read_text())
        held = int((_CGROUP / "memory.current").read_text())
        facts = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        available = min(available, limit - held + int(facts["inactive_file"]))
    return max(available, 0)


def _memory_of_machine() -> int:
    """Return the bytes that can be taken: half of all where the system does not say, else 4 GiB."""
    with suppress(OSError, StopIteration):
        lines = _MEMINFO.read_text().splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) << 10
    with suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 << 30


# ---- the pool --------------------------------------------------------------------------------------------


class Pool(Generic[Task, Result]):
    """Processes that run one function on tasks."""

    def __init__(self, function: Callable[[Task], Result], jobs: int, threads: int) -> None:
        self._function = function
        self._threads = threads
        self._idle = [_Worker(threads) for _ in range(jobs)]
        self._busy: dict[Future[Any], tuple[Task, _Worker]] = {}

    def run(self, tasks: Iterable[Task]) -> Iterator[Done[Task, Result]]:
        """Yield each task's outcome as soon as it is done; take tasks as processes become free."""
        from concurrent.futures import FIRST_COMPLETED, wait

        left = iter(tasks)
        self._start_all(left)
        while self._busy:
            for future in wait(self._busy, return_when=FIRST_COMPLETED).done:
                done = self._end(future)
                self._start_all(left)  # so that no process waits for the caller
                yield done

    def _start_all(self, left: Iterator[Task]) -> None:
        while self._idle and (task := next(left, None)) is not None:
            self._start(task, self._idle.pop())

    def _start(self, task: Task, worker: _Worker) -> None:
        from concurrent.futures.process import BrokenProcessPool

        try:
            future = worker.executor.submit(_guarded, self._function, task)
        except BrokenProcessPool:  # it died while it was idle
            worker = _Worker(self._threads)
            future = worker.executor.submit(_guarded, self._function, task)
        self._busy[future] = task, worker

    def _end(self, future: Future[Any]) -> Done[Task, Result]:
        from concurrent.futures.process import BrokenProcessPool

        task, worker = self._busy.pop(future)
        try:
            value, error = future.result()
        except BrokenProcessPool:
            value, error = None, "its process died, perhaps for lack of memory"
            worker.executor.shutdown()
            worker = _Worker(self._threads)
        except Exception as failure:  # a task or a value that could not be sent
            value, error = None, describe(failure)
        self._idle.append(worker)
        return Done(task, value, error)

    def close(self) -> None:
        """End all processes; unfinished work is cut off and cleared up."""
        busy = [worker for _, worker in self._busy.values()]
        for worker in busy:
            worker.send(signal.SIGTERM)
        for worker in self._idle:  # nothing to clear up, and unloading torch takes a second
            worker.send(_KILL)
        for worker in (*self._idle, *busy):
            worker.executor.shutdown(cancel_futures=True)


@contextmanager
def pool(function: Callable[[Task], Result], *, jobs: int, threads: int) -> Iterator[Pool[Task, Result]]:
    """Start a pool of `jobs` processes with `threads` threads each; it ends with the block."""
    workers = Pool(function, jobs, threads)
    try:
        yield workers
    finally:
        workers.close()


class _Worker:
    """One process, in an executor of its own, since a process that dies breaks its executor."""

    def __init__(self, threads: int) -> None:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        # Forked copies of a process that has used torch's threads may hang.
        self.executor: ProcessPoolExecutor = ProcessPoolExecutor(1, get_context("spawn"), _begin, (threads,))
        with _interrupts_held():  # inherited by the process, so that an early Ctrl-C does not kill it
            self._pid = self.executor.submit(os.getpid)

    def send(self, number: int) -> None:
        """Send the process a signal, once it has started."""
        with suppress(Exception):  # it has died
            os.kill(self._pid.result(_GRACE), number)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _guarded(function: Callable[[Task], Result], task: Task) -> tuple[Result | None, str | None]:
    try:
        return function(task), None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in a compiled extension is no Exception
        return None, describe(error)


def _begin(threads: int) -> None:
    """Keep a worker to its share of the cores, and make it end with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, _leave)  # so that an unfinished file is removed
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit_threads(threads)
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = threads


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)


def _end_with_parent() -> None:
    # A worker whose parent was killed would wait for work for ever.
    from multiprocessing import connection, parent_process

    if (parent := parent_process()) is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE)
        os._exit(1)
