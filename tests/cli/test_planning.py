"""Which files become which, and what is refused before any work."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import pytest

from neuralcodec.cli import planning
from neuralcodec.cli.planning import Job
from neuralcodec.errors import NeuralCodecError, UsageError


def to_nc(name: str) -> str:
    return f"{Path(name).stem}.nc"


def plan(*names: str | Path, folder: str | Path | None = None, force: bool = False) -> list[Job]:
    return planning.plan([str(n) for n in names], None if folder is None else str(folder), to_nc, force=force)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


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


def names_of(jobs: list[Job]) -> list[str]:
    return [job.target.name for job in jobs if job.target is not None]


def test_results_of_one_name_keep_the_extensions_of_their_inputs(tmp_path: Path) -> None:
    assert names_of(plan("x/a.png", "y/a.jpg", "b.png", folder=tmp_path)) == ["a.png.nc", "a.jpg.nc", "b.nc"]
    assert names_of(plan("A.png", "a.jpg", folder=tmp_path)) == ["A.png.nc", "a.jpg.nc"]
    # What the longer name clashes with is made longer too.
    assert names_of(plan("a.png", "a.jpg", "a.png.gif", folder=tmp_path)) == [
        "a.png.nc",
        "a.jpg.nc",
        "a.png.gif.nc",
    ]


def test_clash_is_refused_before_the_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"x/a.png and y/a.png would both become .*/a.png.nc: use two folders"
    ):
        plan("x/a.png", "y/a.png", folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("other", ["A.png", "\u212b.png"])  # a case, and another way to write Å
def test_names_that_some_file_systems_take_for_one_stop_only_one(tmp_path: Path, other: str) -> None:
    first = "a.png" if other == "A.png" else "\u00c5.png"
    jobs = plan(first, other, "b.png", folder=tmp_path)
    assert [job.refusal is None for job in jobs] == [True, False, True]
    assert "would become" in (jobs[1].refusal or "")


def test_a_name_that_is_too_long_stops_only_itself(tmp_path: Path) -> None:
    for long in ("n" * 254 + ".png", "é" * 126 + ".png"):
        jobs = planning.plan(
            [long, "a.png"], str(tmp_path), lambda name: f"{Path(name).stem}.tiff", force=False
        )
        assert [job.refusal is None for job in jobs] == [False, True]
        assert "File name too long" in (jobs[0].refusal or "")


def test_a_folder_in_the_place_of_a_result_stops_only_that(tmp_path: Path) -> None:
    (tmp_path / "out" / "a.nc").mkdir(parents=True)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "c.png").touch()
    (tmp_path / "in" / "d.png").touch()
    (tmp_path / "out" / "sub").touch()
    jobs = planning.plan(
        [str(tmp_path / "in"), "a.png", "b.png"], str(tmp_path / "out"), to_nc, force=False, suffixes={".png"}
    )
    refused = {job.source.name: job.refusal for job in jobs if job.source and job.refusal}
    assert {*refused} == {"a.png", "c.png"}
    assert "is a folder" in (refused["a.png"] or "")


@pytest.mark.parametrize("name", ["new/", "new//", "old.png/"])
def test_a_separator_at_the_end_means_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "old.png").touch()
    with pytest.raises(UsageError, match="is not a folder that exists"):
        plan("a.png", f"{tmp_path}/{name}")
    with pytest.raises(UsageError, match="is not a folder that exists"):
        plan(f"{tmp_path}/{name}", folder=tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"old.png"}


def test_the_standard_streams_have_other_names() -> None:
    assert plan("/dev/stdin", "/dev/stdout") == [Job(None, None)]


@pytest.mark.skipif(os.name == "nt", reason="pipes, links and sockets of POSIX")
def test_what_is_no_file_is_left_out_of_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a.png", "b.TXT", "c.txt", "noext", ".hidden.png"):
        (source / name).touch()
    os.mkfifo(source / "p.png")
    (source / "null.png").symlink_to("/dev/null")
    (source / "loop.png").symlink_to("loop.png")
    (source / "dangling.png").symlink_to("nowhere")
    (source / "again").symlink_to(".")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "s.png"))
        jobs = planning.plan([str(source)], str(tmp_path / "out"), to_nc, force=False, suffixes={".png"})
    # What a link leads to is found out when it is read.
    assert names_of(jobs) == ["a.nc", "dangling.nc", "loop.nc"]
    assert capsys.readouterr().err == (
        f"ncodec: note: {source}: left out: 2 *.txt, 1 links to folders, 3 pipes and devices, "
        "1 without extension\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="sockets of POSIX")
def test_a_socket_is_no_output(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.nc"))
        with pytest.raises(UsageError, match="is a disk or a socket"):
            plan("a.png", tmp_path / "s.nc", force=True)


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
