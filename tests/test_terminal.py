"""Warnings, lines and progress on standard error."""

from __future__ import annotations

import io
import warnings

import pytest

from neuralcodec import terminal
from neuralcodec.errors import NeuralCodecWarning


def test_warnings_of_libraries_are_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.about("a.png"):
        warnings.warn("corrupt EXIF\ndata", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "ncodec: warning: a.png: corrupt EXIF data\n"
    with terminal.about("a.png", quiet=True):
        warnings.warn("not said", NeuralCodecWarning, stacklevel=1)
    assert capsys.readouterr().err == ""


class Terminal(io.TextIOWrapper):
    """A terminal that keeps what is written to it."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        data = self.buffer.getvalue()  # type: ignore[attr-defined]
        return str(data.decode())


def test_progress_is_for_long_work_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with terminal.progress("a.png", quiet=True) as show:
        assert show is None
    with terminal.progress("a.png", quiet=False) as show:
        assert show is not None
        show(0.1)
    assert stream.text() == ""
    monkeypatch.setattr(terminal, "PATIENCE", 0.0)
    with terminal.progress("a.png", quiet=False) as show:
        assert show is not None
        show(0.5)
    assert "a.png" in stream.text()


def test_no_progress_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with terminal.progress("a.png", quiet=False) as show:
        assert show is None


def test_lines_suit_the_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal("ascii")
    monkeypatch.setattr("sys.stderr", stream)
    terminal.say("é.png → é.nc")
    assert stream.text() == "\\xe9.png -> \\xe9.nc\n"
    monkeypatch.setattr("sys.stderr", None)
    terminal.say("nobody hears this")
