"""Tasks in real processes: results, errors, the share of the cores, and an end with their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neuralcodec import processes
from neuralcodec.errors import UsageError, describe
from neuralcodec.processes import pool


def work(task: int) -> tuple[int, str, int]:
    """Runs in a process of its own."""
    if task == 1:
        raise UsageError("not this one")
    if task == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if task == 3:
        raise Panic("attempt to\nindex")
    return task * task, os.environ["OMP_NUM_THREADS"], os.getpid()


class Panic(BaseException):
    """As compiled extensions raise it, past every `except Exception`."""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("jobs", [1, 2])
def test_each_task_fails_by_itself(jobs: int) -> None:
    with pool(work, jobs=jobs, threads=1) as workers:
        done = {task: (value, error) for task, value, error in workers.run([0, 1, 2, 3, 4, 2, 5])}
        assert {task: value[:2] for task, (value, _) in done.items() if value} == {
            0: (0, "1"),
            4: (16, "1"),
            5: (25, "1"),
        }
        assert [done[task][1] for task in (1, 2, 3)] == [
            "not this one",
            "its process died, perhaps for lack of memory",
            "Panic: attempt to index",
        ]
        (first,) = workers.run([6])  # the pool goes on
        assert first.value is not None and first.value[0] == 36


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_process_that_died_while_it_was_idle_is_replaced() -> None:
    with pool(work, jobs=1, threads=1) as workers:
        (first,) = workers.run([0])
        assert first.value is not None
        os.kill(first.value[2], signal.SIGKILL)
        while is_running(first.value[2]):
            time.sleep(0.01)
        results = [value for task in (4, 5) for _, value, _ in workers.run([task])]
        assert [value and value[0] for value in results][-1] == 25


def test_what_cannot_travel_is_an_error_of_its_task() -> None:
    with pool(work, jobs=1, threads=1) as workers:
        (outcome,) = workers.run([lambda: None])  # type: ignore[list-item]
    assert outcome.value is None
    assert "pickle" in (outcome.error or "")


# ---- how many --------------------------------------------------------------------------------------------


def test_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert processes.available_cores() == 3
    for nonsense in ("", "many", "-1"):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert 1 <= processes.available_cores() <= (os.cpu_count() or 1)


def test_no_more_processes_than_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    for gigabytes, count in ((100, 64), (8, 20), (1, 2), (0.1, 1)):
        monkeypatch.setattr(processes, "available_memory", lambda held=gigabytes: int(held * 2**30))
        assert processes.most(64, on_gpu=False) == count
    assert processes.most(1, on_gpu=False) == 1
    assert processes.most(64, on_gpu=True) == 1


def test_memory_where_the_system_does_not_say_what_is_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "_CGROUP", tmp_path)
    monkeypatch.setattr(processes, "_MEMINFO", tmp_path / "meminfo")
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    assert processes.available_memory() == half
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert processes.available_memory() == 4 * 2**30
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:    7000 kB\n")
    assert processes.available_memory() == 7000 * 1024


def test_memory_of_the_control_group_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "_CGROUP", tmp_path)
    machine = processes.available_memory()
    assert machine > 0
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 400\ninactive_file 250\n")
    for limit, available in (("1000", 550), ("300", 0)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert processes.available_memory() == available
    (tmp_path / "memory.max").write_text("max\n")
    assert processes.available_memory() > 550


# ---- the end ---------------------------------------------------------------------------------------------


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from neuralcodec.processes import pool\n"
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


def test_describe() -> None:
    assert describe(OSError(28, "No space left on device", "/some/where")) == "No space left on device"
    assert describe(UsageError("wrong")) == "wrong"
    assert describe(ValueError("wrong")) == "ValueError: wrong"
    assert describe(MemoryError()) == "MemoryError"
    assert describe(np.exceptions.AxisError("axis")) == "AxisError: axis"
