"""Many files: past those that fail, past processes that die, and on from where a killed run stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import neuralcodec
from neuralcodec.cli import batch, main
from neuralcodec.cli.batch import Outcome, Sizes, Store, Task
from neuralcodec.errors import DamagedFileError
from neuralcodec.files import Job
from neuralcodec.format import container
from neuralcodec.terminal import Show, say

from .test_main import NCODEC, names, picture

ARGUMENTS = Namespace(threads=2, ray=None, quiet=False, verbose=False)


def jobs(folder: Path, *words: str) -> list[Job]:
    """Jobs on files that have those words in them."""
    for number, word in enumerate(words):
        (folder / f"{number}.txt").write_text(word)
    return [Job(folder / f"{n}.txt", folder / f"{n}.out") for n in range(len(words))]


def work(job: Job, args: Namespace, store: Store, show: Show | None) -> Sizes:
    """A conversion for these tests, which runs in processes of its own."""
    word = store.read(job.source, 1000)
    say(f"working on {job.name}")
    if word == b"bad":
        raise DamagedFileError(f"{job.name}: bad")
    if word == b"panic":
        raise ValueError("odd")
    with store.writing(job.target) as file:
        file.write(word)
        file.flush()
        if word == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == b"slow":
            time.sleep(60)
        file.write(f" {os.getpid()} {os.environ['OMP_NUM_THREADS']}".encode())
    return Sizes(10, 5, 10**6)


def run(jobs: list[Job], **options: Any) -> list[Outcome]:
    return list(batch.outcomes(Task(work, Namespace(**{**vars(ARGUMENTS), **options}), 1000), jobs))


def is_running(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


# ---- processes -------------------------------------------------------------------------------------------


def test_each_file_is_converted_once_in_a_process(tmp_path: Path) -> None:
    todo = jobs(tmp_path, *"abcdefgh")
    done = run(todo)
    assert sorted(outcome.job for outcome in done) == todo
    assert {outcome.lines[0] for outcome in done} == {f"working on {job.name}" for job in todo}
    written = [(tmp_path / f"{n}.out").read_text().split() for n in range(8)]
    assert [word for word, *_ in written] == [*"abcdefgh"]
    assert str(os.getpid()) not in {process for _, process, _ in written}
    assert {threads for *_, threads in written} == {"1"}


@pytest.mark.parametrize(("cores", "processes", "threads"), [(1, 1, None), (4, 2, "2"), (5, 2, "2")])
def test_cores_go_to_files_first(tmp_path: Path, cores: int, processes: int, threads: str | None) -> None:
    run(jobs(tmp_path, "a", "b"), threads=cores)
    written = [(tmp_path / f"{n}.out").read_text().split() for n in range(2)]
    assert len({process for _, process, _ in written}) <= processes
    if threads is None:  # in this process, whose threads are set elsewhere
        assert written[0][1] == str(os.getpid())
    else:
        assert written[0][2] == threads


@pytest.mark.parametrize("cores", [1, 2])
def test_failures_stop_nothing(tmp_path: Path, cores: int) -> None:
    done = {
        outcome.job.name: outcome
        for outcome in run(jobs(tmp_path, *["a", "bad", "panic", "d"]), threads=cores)
    }
    statuses = [done[str(tmp_path / f"{n}.txt")].status for n in range(4)]
    assert statuses == [0, 3, 1, 0]
    name = str(tmp_path / "1.txt")
    assert done[name].lines == [f"working on {name}", f"ncodec: error: {name}: bad"]
    assert {path.name for path in tmp_path.glob("*.out")} == {"0.out", "3.out"}


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_process_that_dies_takes_one_file_with_it(tmp_path: Path) -> None:
    done = run(jobs(tmp_path, "a", "die", "c", "die", "e", "f"))
    assert len(done) == 6
    failed = {outcome.job.name: outcome for outcome in done if outcome.status}
    assert {*failed} == {str(tmp_path / "1.txt"), str(tmp_path / "3.txt")}
    assert all("its process died (signal 9" in outcome.lines[-1] for outcome in failed.values())
    assert {path.name for path in tmp_path.glob("*.out")} == {"0.out", "2.out", "4.out", "5.out"}


def test_processes_end_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(jobs(tmp_path, *"abcd"))
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_what_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    todo = jobs(tmp_path, "a", "slow", "slow")
    outcomes = batch.outcomes(Task(work, ARGUMENTS, 1000), todo)
    next(outcomes)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob(".ncodec-*.partial"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    outcomes.close()  # type: ignore[attr-defined]
    assert names(tmp_path) == {"0.txt", "1.txt", "2.txt", "0.out"}


# ---- what is said ----------------------------------------------------------------------------------------


def test_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = Task(work, Namespace(**{**vars(ARGUMENTS), "threads": 1}), 1000)
    assert batch.run(task, jobs(tmp_path, "a", "bad", "panic", "d"), found=3) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("2 of 4 files done, 2 failed, 3 were there already  20 → 10 bytes (-50.0 %)  ")
    assert last.endswith(" MP/s")
    assert batch.run(task, [], found=2) == 0
    assert capsys.readouterr().err == "2 were there already\n"


def test_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert batch.available_cores() == 3
    for nonsense in ("", "many", "-1"):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert 1 <= batch.available_cores() <= (os.cpu_count() or 1)


# ---- the commands ----------------------------------------------------------------------------------------


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_folders_are_mirrored_there_and_back(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "sub" / "bad.png").write_bytes(b"no picture")
    assert main.main(["encode", "photos", "-r", "-o", "out", "-j", "2"]) == 3
    assert tree(tmp_path / "out") == {"a.nc", "sub/b.nc", "sub/deeper/c.nc"}
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("ncodec: error: photos/sub/bad.png: ")]
    assert lines[-1].startswith("3 of 4 files done, 1 failed  ")
    single = neuralcodec.encode(photos / "a.png")
    assert (tmp_path / "out" / "a.nc").read_bytes() == single

    assert main.main(["decode", "out", "--recursive", "-o", "back", "--format", "ppm", "--quiet"]) == 0
    assert tree(tmp_path / "back") == {"a.ppm", "sub/b.ppm", "sub/deeper/c.ppm"}
    assert capsys.readouterr().err == ""
    with Image.open("back/a.ppm") as decoded:
        assert decoded.tobytes() == neuralcodec.decode(single).tobytes()


def test_an_output_folder_within_the_input_is_not_walked(photos: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert main.main(["encode", ".", "-r", "-o", "./out", "-f", "--quiet"]) == 0
        assert main.main(["decode", "out", "-r", "-o", "./out", "-f", "--quiet"]) == 0
    assert {path for path in tree(tmp_path) if path.endswith(".nc")} == {
        "out/photos/a.nc",
        "out/photos/sub/b.nc",
        "out/photos/sub/deeper/c.nc",
    }


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("encode photos -r", "--recursive needs -o FOLDER"),
        ("encode photos -o out", "photos: is a folder, not a file: --recursive"),
        ("encode photos/sub -r -o out --resume -f", "not allowed with"),
        ("decode photos -r -o out", "photos: there is nothing to convert in this folder"),
        ("encode photos photos/sub -r -o out photos/b.png", "use two folders"),
    ],
)
def test_wrong_usage(
    arguments: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos" / "b.png").write_bytes((tmp_path / "photos" / "a.png").read_bytes())
    assert main.main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists() or tree(tmp_path / "out") == set()


def test_resume_skips_what_is_there(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "sub" / "b.nc").write_bytes(b"left as it is")
    assert main.main(["encode", "photos", "-r", "-o", "out"]) == 2
    assert "b.nc exists" in capsys.readouterr().err
    assert main.main(["encode", "photos", "-r", "-o", "out", "--resume"]) == 0
    assert "2 of 2 files done, 1 were there already" in capsys.readouterr().err
    assert (tmp_path / "out" / "sub" / "b.nc").read_bytes() == b"left as it is"
    assert main.main(["encode", "photos", "-r", "-o", "out", "--resume"]) == 0
    assert capsys.readouterr().err == "3 were there already\n"
    (tmp_path / "out" / "a.nc").unlink()
    assert main.main(["encode", "photos/a.png", "out/a.nc", "--resume", "--quiet"]) == 0
    assert (tmp_path / "out" / "a.nc").stat().st_size > 20


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_batch_is_completed_by_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count = 40
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(count):
        picture(160, 120, seed=number).save(source / f"{number:02}.png")
    command = ["encode", str(source), "-r", "-o", str(target), "--resume", "-q", "70", "-j"]
    with subprocess.Popen([*NCODEC, *command, "2"], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 100
        while not list(target.glob("*.nc")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        workers = [int(pid) for pid in children.read_text().split()] if children.exists() else []
        process.kill()
    while any(map(is_running, workers)):  # they end by themselves, with the file they are at
        assert time.monotonic() < deadline
        time.sleep(0.02)
    before = {path.name: path.stat().st_mtime_ns for path in target.glob("*.nc")}
    assert 0 < len(before) < count
    for name in before:
        container.read((target / name).read_bytes())  # whole

    assert main.main([*command, "1"]) == 0
    assert (
        f"{count - len(before)} of {count - len(before)} files done, {len(before)} "
        in capsys.readouterr().err
    )
    assert names(target) == {f"{number:02}.nc" for number in range(count)}
    assert {name: (target / name).stat().st_mtime_ns for name in before} == before
    for number in (0, count - 1):
        whole = (target / f"{number:02}.nc").read_bytes()
        assert whole == neuralcodec.encode(source / f"{number:02}.png", quality=70)


def test_no_process_is_started_for_one_file(tmp_path: Path) -> None:
    """Nor for help: `multiprocessing` takes time to load."""
    program = "import sys, neuralcodec.cli.main; print(*{'multiprocessing', 'ray'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
