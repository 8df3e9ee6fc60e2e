"""Threads: a limit on their number, and work on tiles shared among them, each with a single-threaded BLAS.

The matrix products of a tile are many and small. Shared among the threads of BLAS, which spin while they
wait, they take several times as long where other work needs the cores.

A forked child has none of its parent's threads, but torch's OpenMP would wait for them for ever. So torch
gets one thread there. Work on tiles starts threads of its own. A fork while another thread codes is not safe:
the child may wait for a lock that no thread of it holds.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from neuralcodec.arrays import Progress, quiet

if TYPE_CHECKING:
    from threadpoolctl import threadpool_limits

T = TypeVar("T")
R = TypeVar("R")

_lock = threading.Lock()
_users = 0
_limits: threadpool_limits | None = None


def _after_fork() -> None:
    global _lock, _users, _limits
    _lock, _users, _limits = threading.Lock(), 0, None  # another thread of the parent may have held them
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def limit_threads(count: int) -> None:
    """Limit the threads of numerical libraries, which read these variables when they are loaded."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ[name] = str(count)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(count)


def run(
    work: Callable[[T], R],
    items: Sequence[T],
    threads: int,
    report: Progress = quiet,
) -> list[R]:
    """Apply `work` to every item, and return the results in order; tell `report` the share that is done."""
    with single_threaded_blas():
        if len(items) == 1:
            results = [work(items[0])]
            report(1.0)
            return results
        from concurrent.futures import ThreadPoolExecutor  # here, since the command line imports this module

        with ThreadPoolExecutor(threads) as pool:
            results = []
            for result in pool.map(work, items):
                results.append(result)
                report(len(results) / len(items))
            return results


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep matrix products to one thread each inside."""
    # The limit is one for the whole process: the first of several callers sets it, the last lifts it.
    global _users, _limits  # noqa: PLW0603
    from threadpoolctl import threadpool_limits

    with _lock:
        _users += 1
        if _users == 1:
            _limits = threadpool_limits(1, "blas")
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _limits is not None:
                _limits.restore_original_limits()
                _limits = None
