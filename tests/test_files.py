"""Planning of outputs, reading within limits, and outputs that appear whole or not at all."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from neuralcodec import files
from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError
from neuralcodec.files import Job


def to_nc(name: str) -> str:
    return f"{Path(name).stem}.nc"


def plan(*names: str | Path, folder: str | Path | None = None, force: bool = False) -> list[Job]:
    return files.plan([str(n) for n in names], None if folder is None else str(folder), to_nc, force=force)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# ---- planning --------------------------------------------------------------------------------------------


def test_one_name_goes_beside_the_input(tmp_path: Path) -> None:
    assert plan(tmp_path / "a.png") == [Job(tmp_path / "a.png", tmp_path / "a.nc")]


def test_two_names_are_input_and_output(tmp_path: Path) -> None:
    assert plan(tmp_path / "a.png", tmp_path / "b") == [Job(tmp_path / "a.png", tmp_path / "b")]


def test_dashes_are_the_standard_streams() -> None:
    assert plan("-") == plan("-", "-") == [Job(None, None)]


def test_folder_is_made_and_names_are_mirrored(tmp_path: Path) -> None:
    out = tmp_path / "new" / "deep"
    assert plan("x/a.png", "y/b.png", folder=out) == [
        Job(Path("x/a.png"), out / "a.nc"),
        Job(Path("y/b.png"), out / "b.nc"),
    ]
    assert out.is_dir()


def test_three_names_need_a_folder() -> None:
    with pytest.raises(UsageError, match="-o FOLDER"):
        plan("a", "b", "c")


def test_clash_is_refused_before_the_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x/a.png and y/a.jpg would both become"):
        plan("x/a.png", "y/a.jpg", folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_standard_input_has_no_name_in_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="standard input"):
        plan("-", folder=tmp_path)


def test_existing_output_is_refused_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(b"old")
    with pytest.raises(UsageError, match=r"a\.nc exists"):
        plan(tmp_path / "a.png")
    assert len(plan(tmp_path / "a.png", force=True)) == 1


def test_all_existing_outputs_are_counted(tmp_path: Path) -> None:
    for name in ("a.nc", "b.nc", "c.nc"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match="and 2 other outputs exist"):
        plan("a.png", "b.png", "c.png", "d.png", folder=tmp_path)


@pytest.mark.parametrize("force", [False, True])
def test_an_input_is_never_an_output(tmp_path: Path, force: bool) -> None:
    (tmp_path / "a.nc").write_bytes(b"precious")
    with pytest.raises(UsageError, match="is an input"):
        plan(tmp_path / "a.nc", force=force)
    (tmp_path / "link.nc").symlink_to(tmp_path / "a.nc")
    with pytest.raises(UsageError, match="is an input"):
        plan(tmp_path / "a.nc", tmp_path / "link.nc", force=force)


def test_output_must_not_be_a_folder_and_must_be_in_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        plan("a.png", tmp_path, force=True)
    with pytest.raises(UsageError, match="not a folder that exists"):
        plan("a.png", tmp_path / "missing" / "a.nc")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a folder that exists"):
        plan("a.png", folder=tmp_path / "file")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NeuralCodecError, match="Not a directory"):
        plan("a.png", folder=tmp_path / "file" / "below")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is denied to this user")
def test_output_in_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(NeuralCodecError, match="cannot be written"):
        plan("a.png", tmp_path / "a.nc")


def test_binary_output_is_kept_off_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    with pytest.raises(UsageError, match="binary"):
        plan("a.png", "-")


def test_a_device_may_be_written_again_and_again() -> None:
    assert plan("a.png", os.devnull) == [Job(Path("a.png"), Path(os.devnull))]


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
    with pytest.raises(UsageError, match="binary"):
        plan("a.png", "-")
    with pytest.raises(UsageError, match="closed"), files.writing(None) as file:
        file.write(b"x")
