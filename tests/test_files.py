"""Reading within limits, and outputs that appear whole or not at all."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from neuralcodec import files
from neuralcodec.errors import DamagedFileError, UsageError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# ---- reading ---------------------------------------------------------------------------------------------


def test_read_stops_at_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(100))
    assert files.read(tmp_path / "a", 100) == bytes(100)
    with pytest.raises(DamagedFileError, match="more than 99 bytes"):
        files.read(tmp_path / "a", 99)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no endless file here")
def test_read_ends_on_an_endless_stream() -> None:
    with pytest.raises(DamagedFileError, match="more than"):
        files.read(Path("/dev/zero"), 10_000_000)


def test_read_of_nothing_and_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        files.read(tmp_path / "missing", 1)
    with pytest.raises(UsageError, match="is a folder"):
        files.read(tmp_path, 1)


def test_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\x00\xff\r\n")))
    assert files.read(None, 4) == b"\x00\xff\r\n"


def test_read_does_not_wait_for_a_person_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    with pytest.raises(UsageError, match="nothing comes in"):
        files.read(None, 1)


# ---- writing ---------------------------------------------------------------------------------------------


def test_output_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.nc"
    with files.writing(target) as file:
        file.write(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_failure_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.nc"
    target.write_bytes(b"old")
    with pytest.raises(error), files.writing(target) as file:
        file.write(b"half")
        raise error
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_longest_name_has_room_for_the_partial_file(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 252 + ".nc")
    with files.writing(target) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")
def test_overwriting_keeps_permissions_and_links(tmp_path: Path) -> None:
    target, link = tmp_path / "a.nc", tmp_path / "link.nc"
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to(target)
    with files.writing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    with files.writing(tmp_path / "a.nc"):
        pass
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.nc").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_standard_output_gets_all_or_nothing(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with pytest.raises(ValueError, match="late"), files.writing(None) as file:
        file.write(b"half")
        raise ValueError("late")
    assert capsysbinary.readouterr().out == b""
    with files.writing(None) as file:
        file.write(b"\x00\xff\r\n")
    assert capsysbinary.readouterr().out == b"\x00\xff\r\n"


def test_closed_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(UsageError, match="closed"), files.writing(None) as file:
        file.write(b"x")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no names for open files here")
def test_what_is_open_already_is_written_where_it_stands(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+b", buffering=0) as file:
        file.write(b"before ")
        with files.writing(Path(f"/dev/fd/{file.fileno()}")) as output:
            output.write(b"new")
            assert output.tell() == 3
        file.write(b" after")
    assert (tmp_path / "log").read_bytes() == b"before new after"


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_pipe_gets_all_or_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(ValueError, match="late"), files.writing(tmp_path / "pipe") as file:
        file.write(b"half")
        raise ValueError("late")
    with files.writing(tmp_path / "pipe") as file:
        file.write(b"new")
        file.seek(0)
    assert os.read(reader, 100) == b"new"
    os.close(reader)


def test_a_name_that_cannot_be_is_no_stream() -> None:
    assert not files.is_stream(Path("n" * 300))
    assert not files.is_stream(Path("missing"))
