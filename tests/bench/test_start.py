"""The scripts that measure starts and cut pictures: what they print and write."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from bench.conftest import save_photo

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(name: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / name), *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)


def test_a_start_is_timed_for_each_command_and_quality(tmp_path: Path) -> None:
    done = script("start.py", save_photo(tmp_path / "a.png"), "--qualities", 30, "--repeats", 1)
    assert done.returncode == 0, done.stderr
    _, *lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["decode", "30"], ["encode", "30"]]
    for line in lines:
        least, usual, *_ = map(float, re.findall(r"\d+\.\d\d", line))
        assert 0.05 < least == usual < 200


def test_a_failed_command_is_named(tmp_path: Path) -> None:
    done = script("start.py", save_photo(tmp_path / "a.png"), "--qualities", 300, "--repeats", 1)
    assert done.returncode == 1
    assert done.stderr.startswith("ncodec encode -f -q 300") and "0 to 100" in done.stderr


def test_the_middle_of_pictures_is_cut(tmp_path: Path) -> None:
    save_photo(tmp_path / "in" / "b.png", 200, 300)
    save_photo(tmp_path / "in" / "a.png", 64, 90)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    done = script("crops.py", tmp_path / "in", tmp_path / "out", "--side", 100)
    assert done.returncode == 0, done.stderr
    small, cut = (np.asarray(Image.open(tmp_path / "out" / f"0{number}.png")) for number in (1, 2))
    assert (small == np.asarray(Image.open(tmp_path / "in" / "a.png"))).all()
    assert (cut == np.asarray(Image.open(tmp_path / "in" / "b.png"))[50:150, 100:200]).all()
    again = script("crops.py", tmp_path / "in", tmp_path / "out")
    assert again.returncode == 1 and "is not empty" in again.stderr
    assert np.asarray(Image.open(tmp_path / "out" / "02.png")).shape == (100, 100, 3)


def test_wrong_input_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    for words, why in (
        (("start.py", tmp_path / "none.png"), "cannot read"),
        (("start.py", tmp_path / "notes.txt"), "cannot read"),
        (("crops.py", tmp_path / "none", tmp_path / "out"), "is no folder"),
        (("crops.py", tmp_path, tmp_path / "out"), "there are no pictures in"),
    ):
        done = script(*words)
        assert done.returncode == 1 and why in done.stderr and len(done.stderr.splitlines()) == 1
