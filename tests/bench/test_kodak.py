"""The Kodak pictures come from a server, here one of this machine, and are checked."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Quiet, scripts, serving

NAMES = [f"kodim{number:02}.png" for number in range(1, 25)]


class Counting(Quiet):
    """Notes what it was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def kodak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, which knows the hashes of 24 small files in `served/suite`."""
    script = scripts("kodak")
    folder = tmp_path / "served" / "suite"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_bytes(name.encode() * 100)
    hashes = tuple(hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NAMES)
    monkeypatch.setattr(script, "SHA256", hashes)
    return script


@pytest.fixture
def address(tmp_path: Path, kodak: Any) -> Iterator[str]:
    Counting.asked = []
    with serving(tmp_path / "served", Counting) as server:
        yield f"{server}/suite/"


def call(kodak: Any, monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["kodak.py", *map(str, words)])
    return kodak.main()


def test_the_list_is_of_24_different_pictures() -> None:
    hashes = scripts("kodak").SHA256
    assert len(set(hashes)) == 24
    assert all(len(bytes.fromhex(value)) == 32 for value in hashes)


def test_all_are_fetched_once(
    kodak: Any, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "kodak"
    assert call(kodak, monkeypatch, out, "--address", address) == 0
    assert sorted(path.name for path in out.iterdir()) == NAMES
    assert Counting.asked == [f"/suite/{name}" for name in NAMES]
    # A run that was stopped goes on with what is missing.
    for name in NAMES[20:]:
        (out / name).unlink()
    Counting.asked.clear()
    assert call(kodak, monkeypatch, out, "--address", address.rstrip("/")) == 0
    assert Counting.asked == [f"/suite/{name}" for name in NAMES[20:]]


def test_another_picture_is_refused(
    kodak: Any,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "kodak"
    (tmp_path / "served" / "suite" / NAMES[2]).write_bytes(b"encoded anew")
    assert call(kodak, monkeypatch, out, "--address", address) == 1
    assert "kodim03.png: not the expected file, its SHA-256 is" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == NAMES[:2]
    (out / NAMES[0]).write_bytes(b"other")
    assert call(kodak, monkeypatch, out, "--address", address) == 1
    assert "kodim01.png is not the original picture: delete it" in capsys.readouterr().err


def test_without_a_network(
    kodak: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(kodak, monkeypatch, tmp_path / "kodak", "--address", "http://127.0.0.1:9/") == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("kodak.py: http://127.0.0.1:9/kodim01.png: ")
    assert second == "Without a network, give the pictures: make bench FOLDER=path/to/kodak"


def test_a_folder_that_cannot_be_written(
    kodak: Any,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert call(kodak, monkeypatch, tmp_path / "file", "--address", address) == 1
    assert capsys.readouterr().err.startswith("kodak.py: ")
