"""What is left when the process is killed or the disk is full: no output, or a whole one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import photograph
from PIL import Image

from neuralcodec.cli.main import main

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")

OLD, NEW = b"old", b"new" * 100_000
# `ncodec encode -f a.png`, killed at a given moment. There are stand-ins for the codec, slow to load,
# and for the disk, which is too fast to be caught in the middle.
KILLED = """
import os, pathlib, signal, sys
from contextlib import contextmanager
from neuralcodec import files
from neuralcodec.cli.main import main
from neuralcodec.coding import targets

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class SlowFile:
    def __init__(self, file):
        self.file = file

    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        kill()

targets.encode = lambda *_, **__: targets.Encoded(b"new" * 100_000, 50.0, 1)
writing, replace = files.writing, pathlib.Path.replace

@contextmanager
def writing_slowly(target):
    with writing(target) as file:
        yield SlowFile(file)

match sys.argv[1]:
    case "coding":
        targets.encode = kill
    case "writing":
        files.writing = writing_slowly
    case "before it appears":
        pathlib.Path.replace = kill
    case "after it appeared":
        pathlib.Path.replace = lambda old, new: (replace(old, new), kill())
main(["encode", "-f", "--quiet", "a.png"])
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with `a.png` in it."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photograph(120, 160)).save("a.png")
    return tmp_path


def others(folder: Path, *known: str) -> list[str]:
    return sorted({path.name for path in folder.iterdir()} - {*known})


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("moment", ["coding", "writing", "before it appears", "after it appeared"])
def test_kill_leaves_the_old_file_or_the_new_one(here: Path, moment: str, existing: bool) -> None:
    target = here / "a.nc"
    if existing:
        target.write_bytes(OLD)
    killed = subprocess.run([sys.executable, "-c", KILLED, moment], check=False)
    assert killed.returncode == -signal.SIGKILL
    if moment == "after it appeared":
        assert target.read_bytes() == NEW
    elif existing:
        assert target.read_bytes() == OLD
    else:
        assert not target.exists()
    left = others(here, "a.png", "a.nc")
    assert len(left) == (moment in ("writing", "before it appears"))
    # What may be left is hidden and looks like neither a picture nor an .nc file, so no batch picks it up.
    assert all(name.startswith(".ncodec-") and name.endswith(".partial") for name in left)


def test_kill_of_a_real_decoder_that_writes(here: Path) -> None:
    """Killed as soon as anything appears in the folder: the picture is not there, or it is whole."""
    assert main(["encode", "--quiet", "a.png"]) == 0
    command = [sys.executable, "-m", "neuralcodec", "decode", "--quiet", "a.nc", "b.png"]
    with subprocess.Popen(command) as process:
        while process.poll() is None and not others(here, "a.png", "a.nc"):
            time.sleep(0.0005)
        process.kill()
    left = others(here, "a.png", "a.nc")
    if "b.png" in left:
        with Image.open("b.png") as image:
            image.load()  # raises if any of it is missing
    assert all(name == "b.png" or name.endswith(".partial") for name in left)
    assert main(["decode", "--quiet", "-f", "a.nc", "b.png"]) == 0  # the next run is not disturbed
    with Image.open("b.png") as image:
        assert image.size == (160, 120)


LIMITED = """
import resource, sys
from neuralcodec.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("command", [["encode", "-q", "100", "a.png", "b.nc"], ["decode", "a.nc", "b.png"]])
def test_file_that_may_not_grow(here: Path, command: list[str]) -> None:
    assert main(["encode", "--quiet", "a.png"]) == 0
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"ncodec: error: {command[-1]}: File too large\n"
    assert others(here) == ["a.nc", "a.png"]


# A mount of its own that ends with the process; not every system lets a user do that.
UNSHARE = ["unshare", "--map-root-user", "--mount", "sh", "-c"]


def can_mount() -> bool:
    try:
        mount = [*UNSHARE, "mount -t tmpfs none /mnt"]
        return subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not can_mount(), reason="no disk to fill here")
def test_full_disk(here: Path) -> None:
    Image.fromarray(photograph(300, 400)).save("a.png")
    assert main(["encode", "--quiet", "a.png"]) == 0
    (here / "small").mkdir()
    script = (
        "mount -t tmpfs -o size=64k none small && cp a.nc small && cd small || exit 9\n"
        'printf old > b.png; "$0" -m neuralcodec decode -f a.nc b.png; echo $?; ls -A; cat b.png'
    )
    done = subprocess.run([*UNSHARE, script, sys.executable], capture_output=True, text=True, check=False)
    assert done.stderr == "ncodec: error: b.png: No space left on device\n"
    assert done.stdout.split() == ["1", "a.nc", "b.png", "old"]
