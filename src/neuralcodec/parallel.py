"""Threads: a limit on their number, and work on tiles shared among them, each with a single-threaded BLAS.

The matrix products of a tile are many and small. Shared among the threads of BLAS, which spin while they
wait, they take several times as long where other work needs the cores.

A forked child has none of its parent's threads, but torch's OpenMP would wait for them for ever. So torch
gets one thread there. Work on tiles starts threads of its own. Numerical libraries have locks, which a child
would inherit for ever if another thread held them. So a fork waits until no other thread computes.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from neuralcodec.arrays import Progress, quiet

T = TypeVar("T")
R = TypeVar("R")

_lock = threading.Lock()
_users = 0
_limits: Any = None
#: Of each thread: the pool with which it shares the one item that it works on.
_own = threading.local()


class _Gate:
    """Holds up forks while other threads compute, and new work while a fork waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # a fork holds its lock
        self._depths: Counter[int] = Counter()  # how many blocks each thread is in
        self._forks = 0  # how many threads want to fork

    def enter(self, depth: int = 1) -> None:
        """Put this thread into so many blocks."""
        me = threading.get_ident()
        with self._changed:
            while self._forks and not self._depths[me]:
                self._changed.wait()
            self._depths[me] += depth

    def leave(self, *, wholly: bool = False) -> int:
        """Take this thread out of one block, or of all that it is in; return of how many."""
        me = threading.get_ident()
        with self._changed:
            depth = self._depths[me] if wholly else 1
            self._depths[me] -= depth
            if not self._depths[me]:
                del self._depths[me]
                self._changed.notify_all()
        return depth

    def before_fork(self) -> None:
        self._changed.acquire()
        self._forks += 1
        while self._depths.keys() - {threading.get_ident()}:
            self._changed.wait()

    def after_fork(self, *, in_child: bool) -> None:
        self._forks = 0 if in_child else self._forks - 1
        self._changed.notify_all()
        self._changed.release()


_gate = _Gate()


@contextmanager
def computing() -> Iterator[None]:
    """Hold up forks by other threads, in a block that waits for other threads by `run` alone."""
    _gate.enter()
    try:
        yield
    finally:
        _gate.leave()


def each_computing(items: Iterator[T]) -> Iterator[T]:
    """Yield from `items`, each of which is made in `computing`."""
    end = object()
    while True:
        with computing():
            item = next(items, end)
        if item is end:
            return
        yield item  # type: ignore[misc]


def _after_fork_in_child() -> None:
    global _lock, _users, _limits
    _lock, _users, _limits = threading.Lock(), 0, None  # another thread of the parent may have held them
    _gate.after_fork(in_child=True)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_gate.before_fork,
        after_in_parent=lambda: _gate.after_fork(in_child=False),
        after_in_child=_after_fork_in_child,
    )


#: Variables with the threads of the libraries that may be numpy's BLAS.
_BLAS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def start_single_threaded_blas() -> None:
    """Let numpy's BLAS, before it is loaded, have one thread, unless a variable says otherwise."""
    for name in _BLAS:
        os.environ.setdefault(name, "1")


def limit_threads(count: int) -> None:
    """Limit the threads of numerical libraries, which read these variables when they are loaded."""
    for name in ("OMP_NUM_THREADS", *_BLAS):
        os.environ[name] = str(count)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(count)


def run(
    work: Callable[[T], R],
    items: Sequence[T],
    threads: int,
    report: Progress = quiet,
) -> list[R]:
    """Apply `work` to every item, and return the results in order; tell `report` the share that is done.

    A single item has all the threads for `in_strips`.
    """
    from concurrent.futures import ThreadPoolExecutor  # here, since the command line imports this module

    work = computing()(work)
    with single_threaded_blas():
        if len(items) == 1:
            with ThreadPoolExecutor(threads) as pool:
                _own.pool = (pool, threads) if threads > 1 else (None, 1)
                try:
                    results = [work(items[0])]
                finally:
                    _own.pool = (None, 1)
            report(1.0)
            return results
        depth = _gate.leave(wholly=True)  # a fork may come in between
        try:
            with ThreadPoolExecutor(threads) as pool:
                results = []
                for result in pool.map(work, items):
                    results.append(result)
                    report(len(results) / len(items))
                return results
        finally:
            if depth:
                _gate.enter(depth)


def in_strips(work: Callable[[int, int], None], size: int, most: int) -> None:
    """Call `work(start, stop)` for strips of up to `most` that make up `range(size)`.

    They are shared among the threads of a `run` that has only one item. Elsewhere they follow one another.
    """
    strips = [(start, min(start + most, size)) for start in range(0, size, most)]

    def share(strips: list[tuple[int, int]]) -> None:
        for start, stop in strips:
            work(start, stop)

    pool, threads = getattr(_own, "pool", (None, 1))
    if pool is None or len(strips) == 1:
        share(strips)
    else:
        list(pool.map(share, (strips[n::threads] for n in range(threads))))  # raises what a strip has raised


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep matrix products to one thread each inside."""
    # The limit is one for the whole process: the first of several callers sets it, the last lifts it.
    global _users, _limits  # noqa: PLW0603
    with _lock:
        _users += 1
        # Where all has one thread from the start, there is nothing to look for.
        if _users == 1 and any(os.environ.get(name) != "1" for name in _BLAS):
            _limits = _blas().limit(limits=1)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _limits is not None:
                _limits.restore_original_limits()
                _limits = None


@functools.cache
def _blas() -> Any:
    """Find the BLAS libraries, numpy's among them, once: that takes as long as some pictures do."""
    import numpy  # noqa: F401  # so that its own is there to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
