"""Many files: past those that fail, past processes that die, and on from where a killed run stopped."""

from __future__ import annotations

import json
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
from neuralcodec.cli.jobs import Outcome, Result, Store, Task
from neuralcodec.cli.planning import Job
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format import container
from neuralcodec.terminal import Show, say

from .test_main import NCODEC, names, picture

ARGUMENTS = Namespace(threads=2, ray=None, quiet=False, verbose=False, resume=False, force=False, json=False)


def jobs(folder: Path, *words: str) -> list[Job]:
    """Jobs on files that have those words in them."""
    for number, word in enumerate(words):
        (folder / f"{number}.txt").write_text(word)
    return [Job(folder / f"{n}.txt", folder / f"{n}.out") for n in range(len(words))]


def work(job: Job, args: Namespace, store: Store, show: Show | None) -> Result:
    """A conversion for these tests, which runs in processes of its own."""
    word = store.read(job.source, 1000)
    say(f"working on {job.name}")
    if word == b"bad":
        raise DamagedFileError(f"{job.name}: bad")
    if word == b"stop":
        raise KeyboardInterrupt
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
    return Result(10, 5, 10**6, [f"{job.name} is done"], {"word": word.decode()})


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
    assert all("its process died" in outcome.lines[-1] for outcome in failed.values())
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


def there_if_old(job: Job, args: Namespace) -> bool:
    """For `run`: an output that says `old` is kept, one that says `other` is another one."""
    assert job.target is not None
    text = job.target.read_text()
    if text == "other":
        raise UsageError(f"{job.target} exists and is another")
    return text == "old"


def test_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {**vars(ARGUMENTS), "threads": 1, "resume": True}
    task = Task(work, Namespace(**options), 1000, there_if_old)
    todo = jobs(tmp_path, *["a", "bad", "panic", "d", "e", "f"])
    (tmp_path / "3.out").write_text("old")
    (tmp_path / "4.out").write_text("other")
    (tmp_path / "5.out").write_text("cut off")
    assert batch.run(task, todo) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(
        "2 of 6 files done, 3 failed, 1 were there already  20 → 10 bytes (-50.0 %)  "
    )
    assert lines[-1].endswith(" MP/s")
    assert f"ncodec: error: {tmp_path / '4.out'} exists and is another" in lines
    assert [(tmp_path / f"{n}.out").read_text().split()[0] for n in (3, 4, 5)] == ["old", "other", "f"]

    again = Task(work, Namespace(**{**options, "force": True, "quiet": True}), 1000, there_if_old)
    assert batch.run(again, todo[3:]) == 0
    assert [(tmp_path / f"{n}.out").read_text().split()[0] for n in (3, 4)] == ["old", "e"]
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"working on {tmp_path / f'{n}.txt'}" for n in (4, 5)]  # as a warning would be said


def test_a_line_of_json_for_each_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = Task(work, Namespace(**{**vars(ARGUMENTS), "json": True, "threads": 1}), 1000)
    todo = [*jobs(tmp_path, "a", "bad"), Job(tmp_path / "x\n.txt", tmp_path / "x.out", "no place for it")]
    assert batch.run(task, todo) == 3
    done, bad, refused = map(json.loads, capsys.readouterr().out.splitlines())
    assert done == {
        "input": str(tmp_path / "0.txt"),
        "output": str(tmp_path / "0.out"),
        "status": 0,
        "messages": [f"working on {tmp_path / '0.txt'}"],
        "word": "a",
    }
    assert (bad["status"], bad["messages"][-1]) == (3, f"ncodec: error: {tmp_path / '1.txt'}: bad")
    assert (refused["status"], refused["input"]) == (2, str(tmp_path / "x\n.txt"))
    assert "no place for it" in refused["messages"][0]


def test_an_interrupted_batch_says_how_far_it_came(tmp_path: Path) -> None:
    todo = jobs(tmp_path, "a", "b", "stop", "d")
    for resume, how in ((False, "the same command with --resume"), (True, "the same command")):
        options = {**vars(ARGUMENTS), "threads": 1, "resume": resume, "force": True}
        with pytest.raises(KeyboardInterrupt) as stopped:
            batch.run(Task(work, Namespace(**options), 1000, there_if_old), todo)
        assert str(stopped.value).startswith("2 of 4 files done  ")
        assert str(stopped.value).endswith(f"; {how} goes on")


# ---- the commands ----------------------------------------------------------------------------------------


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.timeout(600)  # each process loads torch, which takes long where others work too
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
        ("decode photos -r -o out", "photos: there is nothing to convert in this folder"),
        (
            "encode photos -r -o out photos/a.png",
            "photos/a.png and photos/a.png would both become out/a.png.nc",
        ),
        ("encode photos -r -o out -j 1 missing/", "missing/ is not a folder that exists"),
        ("encode .. -o out", "..: is a folder, not a file: --recursive"),
    ],
)
def test_wrong_usage(
    arguments: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos" / "b.png").write_bytes((tmp_path / "photos" / "a.png").read_bytes())
    assert main.main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    *notes, last = err.splitlines()
    assert message in last
    assert all(note == "ncodec: note: photos: left out: 1 *.txt" for note in notes)
    assert not (tmp_path / "out").exists() or tree(tmp_path / "out") == set()


# ---- resume ----------------------------------------------------------------------------------------------


def test_resume_does_again_what_is_not_whole(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["encode", "photos", "-r", "-o", "out"]
    assert main.main([*command, "--quiet"]) == 0
    assert main.main(command) == 2
    assert "out/a.nc and 2 other outputs exist: -f overwrites" in capsys.readouterr().err
    whole = {name: (tmp_path / "out" / name).read_bytes() for name in tree(tmp_path / "out")}
    for cut in (whole["a.nc"][:-30], b"", b"something else"):
        (tmp_path / "out" / "a.nc").write_bytes(cut)
        assert main.main([*command, "--resume"]) == 0
        assert "1 of 3 files done, 2 were there already" in capsys.readouterr().err
        assert {name: (tmp_path / "out" / name).read_bytes() for name in whole} == whole
    assert main.main([*command, "--resume"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "0 of 3 files done, 3 were there already"
    (tmp_path / "out" / "a.nc").unlink()
    assert main.main(["encode", "photos/a.png", "out/a.nc", "--resume", "--quiet"]) == 0
    assert (tmp_path / "out" / "a.nc").read_bytes() == whole["a.nc"]


def test_resume_names_and_keeps_what_is_another(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = photos / "a.png", tmp_path / "a.nc"
    command = ["encode", "photos/a.png", "a.nc", "--resume"]
    assert main.main([*command, "-q", "30", "--quiet"]) == 0
    before = target.read_bytes()
    for options, why in (
        ([], "was made with quality 30, not 70: kept, -f makes it again"),
        (["-q", "30.01"], "was made with quality 30, not 30.01"),
        (["--target-size", "20B"], f"has {len(before)} bytes, more than 20"),
    ):
        assert main.main([*command, *options]) == 2
        assert f"ncodec: error: a.nc exists and {why}" in capsys.readouterr().err
        assert target.read_bytes() == before
    assert main.main([*command, "--target-size", "1MB"]) == 0
    os.utime(source, (target.stat().st_mtime + 9,) * 2)
    assert main.main([*command, "-q", "30"]) == 2
    assert "a.nc exists and is older than photos/a.png" in capsys.readouterr().err
    assert main.main([*command, "-f", "-q", "40", "--quiet"]) == 0
    assert target.read_bytes() == neuralcodec.encode(source, quality=40)


def test_resume_of_decoding(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["encode", "photos/a.png", "a.nc", "--quiet"]) == 0
    command = ["decode", "a.nc", "b.png", "--resume"]
    assert main.main([*command, "--quiet"]) == 0
    whole = (tmp_path / "b.png").read_bytes()
    for cut in (whole[: len(whole) // 2], b"", b"something else"):
        (tmp_path / "b.png").write_bytes(cut)
        assert main.main(command) == 0
        assert (tmp_path / "b.png").read_bytes() == whole
    capsys.readouterr()
    assert main.main(command) == 0
    assert capsys.readouterr().err == "0 of 1 files done, 1 were there already\n"
    assert main.main([*command, "--region", "0,0,20,10"]) == 2
    assert "b.png exists and has 64x48 pixels, not 20x10" in capsys.readouterr().err
    assert (tmp_path / "b.png").read_bytes() == whole


@pytest.mark.timeout(600)
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_batch_is_completed_by_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count = 40
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(count):
        picture(160, 120, seed=number).save(source / f"{number:02}.png")
    command = ["encode", str(source), "-r", "-o", str(target), "--resume", "-q", "70", "-j"]
    with subprocess.Popen([*NCODEC, *command, "2"], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
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
        f"{count - len(before)} of {count} files done, {len(before)} were there already "
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
