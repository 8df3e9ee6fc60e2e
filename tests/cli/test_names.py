"""Names of any bytes, in any locale and on any terminal; files that are not files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from neuralcodec.cli.main import main

from .test_main import NCODEC, names, picture

pytestmark = pytest.mark.skipif(os.name == "nt", reason="names, pipes and devices of POSIX")

ODD = [
    "e\x1b[31mred.png",
    "two\nlines.png",
    "bell\x07\ttab\r.png",
    "right\u202eto left.png",
    os.fsdecode(b"b\xff\xfe.png"),
    "é 日本 😀.png",
    "[red]markup[b].png",
    " space .png",
    "%s{}$HOME'\".png",
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    picture(176, 164).save("a.png")
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    text = out + err
    assert all(line.isprintable() for line in text.split("\n"))
    return text


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_shown_and_never_obeyed(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.png").rename(name)
    file = Path(name).with_suffix(".nc").name
    assert main(["encode", name]) == 0
    lines = printed(capsys).splitlines()
    assert len(lines) == 1
    assert lines[0].split(" → ")[1].startswith(file) == file.isprintable()
    assert main(["info", file]) == main(["verify", file]) == main(["compare", name, file]) == 0
    printed(capsys)
    assert main(["info", "--json", file]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == file
    assert main(["encode", name]) == main(["decode", f"no{name}"]) == main(["view", name, "-o", file]) == 2
    assert len(printed(capsys).splitlines()) == 3
    assert main(["encode", ".", "-r", "-o", "out"]) == 0
    printed(capsys)
    assert names(here / "out") == {file}


def test_a_page_shows_a_replacement_for_bytes_that_are_no_text(here: Path) -> None:
    for name, shown in ((os.fsdecode(b"b\xff.png"), "b\ufffd.png"), ("é<b>.png", "é&lt;b&gt;.png")):
        Path("a.png").replace(name)
        assert main(["view", name, "-o", "v.html", "-f"]) == 0
        assert shown in Path("v.html").read_text("utf-8")
        Path(name).replace("a.png")


def test_names_that_begin_with_a_dash(here: Path) -> None:
    for name in ("-q.png", "--help", "-"):
        Path("a.png").replace(name)
        assert main(["encode", "--quiet", "--", f"./{name}" if name == "-" else name, "x.nc"]) == 0
        assert main(["encode", "--quiet", "-o", "out", "--", f"./{name}"]) == 0
        assert Path("x.nc").read_bytes() == (here / "out" / f"{name.removesuffix('.png')}.nc").read_bytes()
        Path("x.nc").unlink()
        Path(name).replace("a.png")


LOCALES = [
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"},
]
#: All commands, in one process that has loaded what they need.
PROGRAM = """
import sys
from neuralcodec.cli import command
from neuralcodec.cli.main import main
name = sys.argv[1]
calls = [["encode", name, "x.nc"], ["decode", "x.nc", name, "-f"], ["compare", name, "x.nc"]]
calls += [["info", "x.nc"]]
calls += [["verify", "x.nc"], ["view", name, "-o", "v.html"], ["encode", name, "--json", "y.nc"]]
calls += [["compare", name, name, "--json"], *([name, "--help"] for name in command.COMMANDS)]
sys.exit(max(map(main, calls)))
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("locale", LOCALES, ids=["latin-1", "C", "ascii"])
def test_any_locale(locale: dict[str, str], here: Path) -> None:
    Path("a.png").rename("é日.png")
    command = [sys.executable, "-c", PROGRAM, "é日.png"]
    done = subprocess.run(command, env={**os.environ, **locale}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr and b"report this" not in done.stderr
    assert b" -> " in done.stderr or "→".encode() in done.stderr
    assert names(here) == {"é日.png", "x.nc", "y.nc", "v.html"}


# ---- files that are not files ----------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_pipes_in_and_out(here: Path) -> None:
    os.mkfifo("in.png")
    os.mkfifo("out.nc")
    source = Path("a.png").read_bytes()
    command = [*NCODEC, "encode", "in.png", "out.nc", "--quiet"]
    with subprocess.Popen(command) as process:
        Path("in.png").write_bytes(source)
        data = Path("out.nc").read_bytes()
    assert process.returncode == 0
    assert main(["encode", "a.png", "--quiet"]) == 0
    assert data == Path("a.nc").read_bytes()
    assert Path("out.nc").is_fifo()


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no names for open files here")
def test_devices_as_outputs(here: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["encode", "a.png", "--quiet"]) == 0
    assert main(["encode", "a.png", "/dev/null"]) == main(["decode", "a.nc", "/dev/null"]) == 0
    capfdbinary.readouterr()
    expected = Path("a.nc").read_bytes()
    with Path("log").open("wb") as log:
        assert main(["encode", "a.png", f"/dev/fd/{log.fileno()}", "--quiet"]) == 0
    assert Path("log").read_bytes() == expected
    for command, target in ((["encode", "a.png"], "a.nc"), (["decode", "a.nc"], "a.png")):
        assert main([*command, "/dev/full"]) == 1
        assert capfdbinary.readouterr().err == b"ncodec: error: /dev/full: No space left on device\n"
        assert Path(target).exists()


def test_standard_output_by_its_other_name(here: Path) -> None:
    assert main(["encode", "-q", "50", "a.png", "--quiet"]) == 0
    for name in ("-", "/dev/stdout"):
        with Path("log").open("wb") as log:
            log.write(b"before ")
            log.flush()
            command = [*NCODEC, "truncate", "a.nc", name, "--stage", "1"]
            refused = subprocess.run(command, stdout=log, stderr=subprocess.PIPE, check=False)
        assert refused.returncode == 2
        assert Path("log").read_bytes() == b"before "
        done = subprocess.run([*NCODEC, "decode", "a.nc", name], capture_output=True, check=True)
        assert done.stdout.startswith(b"\x89PNG")
        assert done.stderr.startswith("a.nc → -  ".encode())


@pytest.mark.parametrize("kind", ["socket", "folder", "loop", "empty device", "empty name"])
def test_what_cannot_be_read(kind: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "x.png"
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(name)
    elif kind == "folder":
        Path(name).mkdir()
    elif kind == "loop":
        Path(name).symlink_to(name)
    else:
        name = os.devnull if kind == "empty device" else ""
    for command in (["encode"], ["info"], ["compare", "a.png"], ["verify"], ["view", "-o", "v.html"]):
        assert main([*command, name]) in (1, 2, 3)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("ncodec: error: ") and "report this" not in lines[0]
    assert names(here) <= {"a.png", "x.png"}


def test_an_input_is_not_overwritten_by_another_name_of_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("a.png").read_bytes()
    Path("link.nc").symlink_to("a.png")
    Path("sub").mkdir()
    for target in ("link.nc", "sub/../a.png", f"{here}/link.nc"):
        assert main(["encode", "-f", "a.png", target]) == 2
        assert Path("a.png").read_bytes() == before
    Path("hard.nc").hardlink_to("a.png")
    assert main(["encode", "-f", "a.png", "hard.nc", "--quiet"]) == 0
    assert Path("a.png").read_bytes() == before  # only that name became another file
    capsys.readouterr()


def test_many_files_one_of_which_cannot_be_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "n" * 249 + ".png"
    for name in (long, "b.jpg", "A.JPG"):
        Image.open("a.png").save(name, "PNG")
    assert main(["encode", "a.png", "b.jpg", "A.JPG", "-o", "out", "--quiet"]) == 0
    assert names(here / "out") == {"a.png.nc", "A.JPG.nc", "b.nc"}
    assert main(["encode", "a.png", "A.JPG", long, "-o", "out2", "--quiet"]) == 0
    (here / "out2" / f"{'n' * 249}.nc").rename(here / "out2" / f"{'n' * 252}.nc")
    files = [str(path) for path in sorted((here / "out2").iterdir())]
    capsys.readouterr()
    assert main(["decode", *files, "-o", "out3", "--quiet"]) == 2
    assert "File name too long" in capsys.readouterr().err
    assert names(here / "out3") == {"a.png.png", "A.JPG.png"}


def test_lines_of_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.png").write_bytes(b"nothing")
    assert main(["encode", "a.png", "bad.png", "-o", "out", "--json"]) == 3
    done, bad = map(json.loads, capsys.readouterr().out.splitlines())
    size = Path("out/a.nc").stat().st_size
    assert {"input": "a.png", "output": "out/a.nc", "status": 0, "bytes_out": size, "width": 176}.items() <= (
        done.items()
    )
    assert bad["status"] == 3 and bad["messages"][0].startswith("ncodec: error: bad.png: ")
    assert main(["decode", "out/a.nc", "r.png", "--region", "170,160,1,2", "--json"]) == 0
    region = json.loads(capsys.readouterr().out)
    assert (region["width"], region["height"]) == (1, 2)
    assert region["bpp"] == pytest.approx(8 * size / (176 * 164))  # of the file
    assert main(["encode", "a.png", "-", "--json"]) == 2


def test_verify(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "a.png", "x/a.nc", "--quiet"]) == 2
    assert main(["encode", "a.png", "-o", "x", "--quiet"]) == 0
    whole = Path("x/a.nc").read_bytes()
    capsys.readouterr()
    assert main(["verify", "x/a.nc"]) == main(["verify", "x", "-r", "--quiet"]) == 0
    assert capsys.readouterr().err == f"x/a.nc: whole  {len(whole):,} bytes\n"
    flipped = bytearray(whole)
    flipped[-30] ^= 1
    unknown = bytearray(whole)
    for name, data in {"cut": whole[:-9], "flipped": flipped, "empty": b"", "other": unknown}.items():
        Path(f"x/{name}.nc").write_bytes(data)
    assert main(["verify", "x", "-r"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "2 of 5 files whole, 3 failed"
    assert sum(line.startswith("ncodec: error: x/") for line in lines) == 3
    assert main(["verify", "x/a.nc", "missing.nc"]) == 2
    capsys.readouterr()
    assert main(["verify", "x/a.nc", "x/cut.nc", "--json"]) == 3
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["status"], first["bytes"], second["status"]) == (0, len(whole), 3)
