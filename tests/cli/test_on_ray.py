"""The batch on a local Ray cluster of two workers: as in processes, also when a worker is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest

import neuralcodec
from neuralcodec.cli import on_ray
from neuralcodec.cli.jobs import Task
from neuralcodec.cli.main import main
from neuralcodec.errors import NeuralCodecError

from .test_batch import ARGUMENTS, jobs, tree, work
from .test_main import NCODEC, names, picture

pytestmark = pytest.mark.timeout(600)  # a cluster starts, and each of its processes loads torch

WITHOUT_RAY = "import sys; sys.modules['ray'] = None\n"


def test_without_ray_it_says_what_to_install(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    program = WITHOUT_RAY + "from neuralcodec.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "encode", "a.png", "--ray", "local"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ncodec: error: --ray needs Ray: pip install 'neuralcodec[ray]'\n"
    assert names(tmp_path) == {"a.png"}


# ---- with Ray --------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def quiet_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    # Workers that give way to all else, as Ray's do, may wait for minutes on a busy machine.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def test_a_batch_gives_what_processes_give(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    (photos / "sub" / "bad.png").write_bytes(b"no picture")
    (photos / "unreadable.png").symlink_to("nowhere")
    assert main(["encode", "photos", "-r", "-o", "out", "--ray", "local", "-j", "2"]) == 3
    assert tree(tmp_path / "out") == {"a.nc", "sub/b.nc", "sub/deeper/c.nc"}
    lines = capsys.readouterr().err.splitlines()
    assert {line.split(": ")[2] for line in lines if line.startswith("ncodec: error")} == {
        "photos/sub/bad.png",
        "photos/unreadable.png",
    }
    assert lines[-1].startswith("3 of 5 files done, 2 failed  ")
    assert (tmp_path / "out" / "a.nc").read_bytes() == neuralcodec.encode(photos / "a.png")

    assert main(["decode", "out", "-r", "-o", "back", "--ray", "local", "-j", "2", "--quiet"]) == 0
    assert tree(tmp_path / "back") == {"a.png", "sub/b.png", "sub/deeper/c.png"}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
def test_a_killed_worker_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    count = 60
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(count):
        picture(320, 240, seed=number).save(source / f"{number:02}.png")
    command = [*NCODEC, "encode", str(source), "-r", "-o", str(target), "--ray", "local", "-j", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 400
        while not list(target.glob("*.nc")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        workers = [
            pid for pid in descendants(process.pid) if command_of(pid).startswith(f"ray::{on_ray.NAME}")
        ]
        assert 1 <= len(workers) <= 2
        os.kill(workers[0], signal.SIGKILL)
        assert len(list(target.glob("*.nc"))) < count  # in the middle
        _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    lines = errors.splitlines()
    assert f"{count} of {count} files done  " in lines[-1]
    assert sorted(line.split(" → ")[0] for line in lines[:-1]) == sorted(map(str, source.iterdir()))
    assert names(target) == {f"{number:02}.nc" for number in range(count)}
    for number in (0, count // 2, count - 1):
        expected = neuralcodec.encode(source / f"{number:02}.png")
        assert (target / f"{number:02}.nc").read_bytes() == expected


def test_a_file_that_kills_every_worker_fails_alone(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    task = Task(work, Namespace(**{**vars(ARGUMENTS), "ray": "local"}), 1000)
    done = {outcome.job.name: outcome for outcome in on_ray.outcomes(task, jobs(tmp_path, "a", "die", "c"))}
    assert [done[str(tmp_path / f"{n}.txt")].status for n in range(3)] == [0, 1, 0]
    assert "1.txt: lost by Ray: " in done[str(tmp_path / "1.txt")].lines[0]
    assert (tmp_path / "2.out").read_text().startswith("c ")


def test_an_address_where_nothing_is() -> None:
    pytest.importorskip("ray")
    task = Task(work, Namespace(**{**vars(ARGUMENTS), "ray": "ray://127.0.0.1:9"}), 1000)
    with pytest.raises(NeuralCodecError, match="no Ray cluster at ray://127"):
        next(on_ray.outcomes(task, []))


def descendants(process: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, todo = [], [process]
    while todo:
        parent = todo.pop()
        todo += children.get(parent, [])
        found.append(parent)
    return found[1:]


def command_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
