"""Processes: a child decodes whatever threads its parent has used, forked or started anew."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from neuralcodec import parallel

#: Each run is a program of its own with two threads, since the tests have one.
FORKED = '''
import io, multiprocessing, os, sys, warnings
import numpy as np
import neuralcodec
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads

pixels = np.random.default_rng(0).integers(0, 255, (48, 2060, 3), dtype=np.uint8)  # three tiles


def work(_):
    """Encode, refining where gradients are, and decode, as a worker might."""
    neuralcodec.encode(pixels[:, :64], effort=2 if os.environ["NCODEC_RUNTIME"] == "torch" else 1)
    return neuralcodec.decode(data, as_array=True).astype(int)


def same(a, b):
    """Rounding depends on the number of threads."""
    return abs(a - b).max() <= 1
'''
WAYS = {
    "fork": """
data = neuralcodec.encode(pixels)
expected = work(0)
for _ in range(2):  # as a server does that loads before it forks
    child = os.fork()
    if not child:
        sys.exit(0 if same(work(0), expected) else 1)  # which frees what it holds of its parent's
    assert os.waitpid(child, 0)[1] == 0
assert same(work(0), expected)  # the parent goes on with its threads
""",
    "fork while other threads code": """
import threading, time
data = neuralcodec.encode(pixels)
expected = work(0)
stop = threading.Event()


def code():
    while not stop.is_set():
        assert same(neuralcodec.decode(data, as_array=True).astype(int), expected)


threads = [threading.Thread(target=code) for _ in range(2)]
for thread in threads:
    thread.start()
for number in range(8):
    time.sleep(0.02 * number)  # wherever they are
    child = os.fork()
    if not child:
        os._exit(0 if same(neuralcodec.decode(data, as_array=True).astype(int), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
""",
    "pool": """
data = neuralcodec.encode(pixels)
expected = work(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert all(same(result, expected) for result in pool.map(work, range(3)))
""",
}


def run(program: str, folder: Path, runtime: str) -> None:
    path = folder / "program.py"
    path.write_text(program)
    # Threads that wait without spinning: beside other work, spinning ones make seconds of milliseconds.
    threads = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
    environment = os.environ | threads | {"NCODEC_RUNTIME": runtime}
    done = subprocess.run(
        [sys.executable, path], env=environment, timeout=110, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="nothing forks here")
@pytest.mark.parametrize("runtime", ["torch", "onnx"])
@pytest.mark.parametrize("way", WAYS)
def test_a_forked_child_decodes(way: str, runtime: str, tmp_path: Path) -> None:
    run(FORKED + WAYS[way], tmp_path, runtime)


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_spawned_child_decodes(runtime: str, tmp_path: Path) -> None:
    run(
        FORKED
        + """
data = neuralcodec.encode(pixels)
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert same(*pool.map(work, [0]), work(0))
""",
        tmp_path,
        runtime,
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_strips_make_up_the_whole_and_are_shared_by_a_single_item(threads: int) -> None:
    def fill(size: int) -> tuple[list[int], int]:
        out, workers = [0] * size, set()

        def work(start: int, stop: int) -> None:
            assert 0 < stop - start <= 4
            for place in range(start, stop):
                out[place] += 1
            workers.add(threading.get_ident())
            time.sleep(0.01)

        parallel.in_strips(work, size, 4)
        return out, len(workers)

    for size in (0, 1, 4, 30):
        [(filled, workers)] = parallel.run(fill, [size], threads)
        assert filled == [1] * size
        assert workers == min(threads, -(-size // 4))
    assert parallel.run(fill, [30, 30], threads) == [([1] * 30, 1)] * 2  # each in one thread, beside others
    assert fill(30) == ([1] * 30, 1)


def test_what_a_strip_raises_is_raised() -> None:
    def work(start: int, stop: int) -> None:
        if start == 8:
            raise ValueError("8")

    for threads in (1, 2):
        with pytest.raises(ValueError, match="8"):
            parallel.run(lambda _: parallel.in_strips(work, 20, 4), [None], threads)


def test_libraries_with_one_thread_from_the_start_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    found = Mock()
    monkeypatch.setattr(parallel, "_blas", found)
    parallel.start_single_threaded_blas()
    with parallel.single_threaded_blas():
        found.assert_not_called()
    monkeypatch.setenv("MKL_NUM_THREADS", "2")  # as somebody wanted
    parallel.start_single_threaded_blas()
    with parallel.single_threaded_blas():
        found().limit.assert_called_once_with(limits=1)
    found().limit().restore_original_limits.assert_called_once_with()
