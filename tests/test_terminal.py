"""Warnings, lines and progress on standard error."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from pathlib import Path

import pytest

from neuralcodec import terminal
from neuralcodec.errors import NeuralCodecWarning


def test_warnings_of_libraries_are_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.about("a.png"):
        warnings.warn("corrupt EXIF\ndata", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "ncodec: warning: a.png: corrupt EXIF data\n"
    with terminal.about("a.png"):
        for _ in range(2):
            warnings.warn("said once", NeuralCodecWarning, stacklevel=1)
    assert capsys.readouterr().err == "ncodec: warning: a.png: said once\n"


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 日本 👩\u200d👩 → \u3000.png", None),
        ("e\x1b[31mred", "e\\x1b[31mred"),
        ("two\nlines\r\t\0", "two\\nlines\\r\\t\\x00"),
        ("c1 \x9b31m \x7f", "c1 \\x9b31m \\x7f"),
        ("gpj.\u202eexe \u2066 \u200f", "gpj.\\u202eexe \\u2066 \\u200f"),
        ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        (os.fsdecode(b"b\xff.png"), "b\\xff.png"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str | None) -> None:
    assert terminal.printable(text) == (text if shown is None else shown)


def test_every_line_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    name = "e\x1b[31m\nred"
    terminal.say(f"{name} → x")
    terminal.write(name)
    with terminal.about(name):
        warnings.warn("odd\x07", NeuralCodecWarning, stacklevel=1)
    terminal.report_error(OSError(2, "No such file", name), debug=False)
    terminal.report_error(ValueError("odd\x1b"), debug=False, name=name)
    out, err = capsys.readouterr()
    shown = "e\\x1b[31m\\nred"
    assert out == f"{shown}\n"
    assert err.splitlines() == [
        f"{shown} → x",
        f"ncodec: warning: {shown}: odd\\x07",
        f"ncodec: error: {shown}: No such file",
        f"ncodec: error: {shown}: unexpected ValueError: odd\\x1b: please report this",
    ]


def test_names_that_look_like_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(terminal, "PATIENCE", 0.0)
    for name in ("[red]a.png", "[/b]", "a\x1b]0;title"):
        with terminal.progress(name, quiet=False) as show:
            assert show is not None
            show(0.5)
    for shown in ("[red]a.png", "[/b]", "a\\x1b]0;title"):
        assert shown in stream.text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr("sys.stderr", full)
        terminal.say("a.png")
        assert terminal.report_error(ValueError("odd"), debug=False) == 1
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()


def test_lines_suit_the_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal("ascii")
    monkeypatch.setattr("sys.stderr", stream)
    terminal.say("é.png → é.nc")
    assert stream.text() == "\\xe9.png -> \\xe9.nc\n"
    monkeypatch.setattr("sys.stderr", None)
    terminal.say("nobody hears this")
