"""What the command line says on standard error: results, warnings, errors, progress."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from neuralcodec.errors import NeuralCodecError, NeuralCodecWarning

if TYPE_CHECKING:
    from rich.progress import Progress

#: Work that ends sooner after its first report, in seconds, shows no progress.
PATIENCE = 1.0


#: Takes the share of the work that is done, 0 to 1, and what to call it from then on.
Show = Callable[..., None]

_held_back: list[str] | None = None


@contextmanager
def collected() -> Iterator[list[str]]:
    """What `say` says inside, instead of saying it."""
    global _held_back  # noqa: PLW0603
    before, _held_back = _held_back, []
    try:
        yield _held_back
    finally:
        _held_back = before


def say(text: str) -> None:
    """One line on standard error, in what its encoding can show."""
    if _held_back is not None:
        _held_back.append(text)
        return
    stream = sys.stderr
    if stream is None:  # closed by the caller, and print would take standard output instead
        return
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("→", "->").encode(encoding, "backslashreplace").decode(encoding)
    print(" ".join(text.splitlines()), file=stream)


@contextmanager
def about(name: str, *, quiet: bool = False) -> Iterator[None]:
    """Puts `name`, of a file, before the warnings and the expected errors that arise inside."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        if not quiet:
            say(f"ncodec: warning: {name}: {message}")

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
    """One line on what ended the work on the file `name`, and the exit code for it."""
    status = error.exit_code if isinstance(error, NeuralCodecError) else 1
    if isinstance(error, NeuralCodecError):
        message = str(error)
    else:
        if isinstance(error, OSError):
            message = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
        elif _is_out_of_memory(error):
            message = "not enough memory"
        else:
            message = f"unexpected {type(error).__name__}: {error}: please report this"
        message = f"{name}: {message}" if name else message
        if debug or os.environ.get("NCODEC_DEBUG"):
            import traceback

            traceback.print_exception(error)
    say(f"ncodec: error: {message}")
    return status


def _is_out_of_memory(error: BaseException) -> bool:
    # PyTorch's allocators raise a RuntimeError, of a class of its own only for some devices.
    text = str(error).lower()
    refused = "can't allocate memory" in text or "out of memory" in text or "not enough memory" in text
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and refused)


@contextmanager
def progress(label: str, *, quiet: bool) -> Iterator[Show | None]:
    """A function that takes the share done, 0 to 1, and if it changed the label, for a bar on a terminal.

    Elsewhere None.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    start: float | None = None
    bar: Progress | None = None

    def show(share: float, text: str = label) -> None:
        nonlocal bar, start
        if bar is None:
            start = start or time.monotonic()
            if time.monotonic() - start < PATIENCE:
                return
            from rich.console import Console
            from rich.progress import Progress

            bar = Progress(console=Console(stderr=True), transient=True)
            bar.add_task(text, total=1.0)
            bar.start()
        bar.update(bar.task_ids[0], completed=share, description=text)

    try:
        yield show
    finally:
        if bar is not None:
            bar.stop()
