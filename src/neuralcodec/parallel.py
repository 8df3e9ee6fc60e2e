"""Work on tiles by threads, each with a BLAS that does not start threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

T = TypeVar("T")
R = TypeVar("R")

_lock = threading.Lock()
_users = 0
_limits: threadpool_limits | None = None


def run(
    work: Callable[[T], R],
    items: Sequence[T],
    threads: int,
    report: Callable[[float], None] = lambda share: None,
) -> list[R]:
    """`work` on every item, results in order; `report` is told the share that is done."""
    with _single_threaded_blas(), ThreadPoolExecutor(threads) as pool:
        results = []
        for result in pool.map(work, items):
            results.append(result)
            report(len(results) / len(items))
        return results


@contextmanager
def _single_threaded_blas() -> Iterator[None]:
    # The limit is one for the whole process: the first of several callers sets it, the last lifts it.
    global _users, _limits  # noqa: PLW0603
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
