"""Output of the command line: results, warnings, errors, progress."""

from __future__ import annotations

import os
import sys
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from neuralcodec.errors import NeuralCodecError, NeuralCodecWarning

if TYPE_CHECKING:
    from tqdm import tqdm

#: Seconds from the first report to the first sight of a bar; shorter work shows none.
PATIENCE = 1.0


#: A callback that takes the share of the work that is done, 0 to 1, and optionally a new label.
Show = Callable[..., None]

_held_back: list[str] | None = None


def printable(text: str) -> str:
    """Escape every character that a terminal would obey, or that has no form.

    File names may contain any character. Bytes of a name that are not valid in its encoding show as `\\xff`.
    """
    return "".join(map(_escaped, text)) if any(map(_needs_escape, text)) else text


#: Characters that change the direction of the text around them.
_DIRECTIONS = {"\u061c", *map(chr, (*range(0x200E, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A)))}


def _needs_escape(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _DIRECTIONS


def _escaped(character: str) -> str:
    if not _needs_escape(character):
        return character
    if "\udc80" <= character <= "\udcff":  # as Python carries a byte that it could not decode
        return f"\\x{ord(character) - 0xDC00:02x}"
    return ascii(character)[1:-1]


@contextmanager
def collected() -> Iterator[list[str]]:
    """Collect the lines that `say` gets inside, instead of printing them."""
    global _held_back  # noqa: PLW0603
    before, _held_back = _held_back, []
    try:
        yield _held_back
    finally:
        _held_back = before


def say(text: str) -> None:
    """Print one line on standard error, in characters that its encoding has."""
    if _held_back is not None:
        _held_back.append(text)
        return
    # If nobody reads it, or its disk is full, there is nobody to tell.
    with suppress(OSError):
        _print(text, sys.stderr)


def write(text: str) -> None:
    """Print one line on standard output, in characters that its encoding has."""
    _print(text, sys.stdout)


def _print(text: str, stream: TextIO | None) -> None:
    if stream is None:  # closed by the caller
        return
    encoding = stream.encoding or "utf-8"
    text = printable(text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("→", "->").replace("–", "-").encode(encoding, "backslashreplace").decode(encoding)
    print(text, file=stream)


@contextmanager
def about(name: str) -> Iterator[None]:
    """Put a file's name before the warnings and expected errors inside; print each warning once."""
    said = set()

    def show(message: Warning | str, *_: object, **__: object) -> None:
        text = " ".join(str(message).split())
        if text not in said:
            said.add(text)
            say(f"ncodec: warning: {name}: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", NeuralCodecWarning)
        warnings.showwarning = show
        try:
            yield
        except NeuralCodecError as error:
            raise type(error)(f"{name}: {error}") from error
        except BrokenPipeError:
            raise
        except OSError as error:
            raise NeuralCodecError(f"{name}: {error.strerror or error}") from error


def report_error(error: BaseException, *, debug: bool, name: str | None = None) -> int:
    """Print one line on the error that ended the work on the file `name`; return its exit code."""
    status = error.exit_code if isinstance(error, NeuralCodecError) else 1
    if isinstance(error, NeuralCodecError):
        message = str(error)
    else:
        if isinstance(error, OSError):
            message = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
        elif _is_out_of_memory(error):
            message = "not enough memory"
        else:
            text = " ".join(str(error).split())
            message = f"unexpected {type(error).__name__}: {text}: please report this"
        message = f"{name}: {message}" if name else message
        if debug or os.environ.get("NCODEC_DEBUG"):
            import traceback

            traceback.print_exception(error)
    say(f"ncodec: error: {message}")
    return status


def _is_out_of_memory(error: BaseException) -> bool:
    # PyTorch's allocators raise a RuntimeError; only for some devices has it a class of its own.
    text = str(error).lower()
    refused = "can't allocate memory" in text or "out of memory" in text or "not enough memory" in text
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and refused)


@contextmanager
def progress(label: str, *, quiet: bool) -> Iterator[Show | None]:
    """Yield `show(share, label)`, which draws a progress bar; None if `quiet` or without a terminal.

    `share` is the share that is done, 0 to 1; `label` may be left out.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    start: float | None = None
    bar: tqdm | None = None

    def show(share: float, text: str = label) -> None:
        nonlocal bar, start
        if bar is None:
            start = start or time.monotonic()
            if time.monotonic() - start < PATIENCE:
                return
            from tqdm import tqdm

            look = {"bar_format": "{desc} {bar} {percentage:3.0f}% {remaining}", "dynamic_ncols": True}
            bar = tqdm(None, printable(text), 1.0, leave=False, file=sys.stderr, initial=share, **look)
        bar.set_description_str(printable(text), refresh=False)
        bar.update(share - bar.n)

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()
