"""Tasks in real processes: results, errors, the share of the cores, and an end with their parent."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from neuralcodec.bench.workers import Pool, describe, pool
from neuralcodec.errors import UsageError


def work(task: int) -> tuple[int, str]:
    """Runs in a process of its own."""
    if task == 1:
        raise UsageError("not this one")
    if task == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return task * task, os.environ["OMP_NUM_THREADS"]


def test_processes() -> None:
    with pool(work, jobs=1, threads=1) as workers:
        outcomes = {outcome.task: outcome for outcome in workers.run([0, 1, 3])}
        assert outcomes[3].value == (9, "1")
        assert (outcomes[1].value, outcomes[1].error) == (None, "not this one")
        (killed,) = workers.run([2])
        assert "BrokenProcessPool" in (killed.error or "")
        (late,) = workers.run([4])  # the pool is gone, and says so
        assert late.error is not None


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from neuralcodec.bench.workers import pool\n"
        "def pid(_): return os.getpid()\n"
        "if __name__ == '__main__':\n"
        "    with pool(pid, jobs=1, threads=1) as workers:\n"
        "        print(next(workers.run([0])).value, flush=True)\n"
        "        time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while is_running(worker):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    parent.stdout.close()


def is_running(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    if stat.exists():
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc/self").exists()


def test_a_panic_of_a_compiled_extension_is_an_error_of_its_task() -> None:
    class Panic(BaseException):
        pass

    def panic(_: int) -> None:
        raise Panic("attempt to\nindex")

    with ThreadPoolExecutor(1) as executor:
        (outcome,) = Pool(panic, executor).run([0])
    assert outcome.error == "Panic: attempt to index"


def test_describe() -> None:
    assert describe(OSError(28, "No space left on device", "/some/where")) == "No space left on device"
    assert describe(UsageError("wrong")) == "wrong"
    assert describe(ValueError("wrong")) == "ValueError: wrong"
    assert describe(MemoryError()) == "MemoryError"
    assert describe(np.exceptions.AxisError("axis")) == "AxisError: axis"
