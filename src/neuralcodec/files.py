"""Reading of files within a limit, and writing of files whole or not at all.

A path of None stands for a standard stream: `-` on the command line.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError

_CHUNK = 1 << 20
#: How the names of open files begin; these are written to at their current position.
_DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/")


def is_stream(path: Path) -> bool:
    """Tell whether a path is a device, a pipe or an open file: written to in place, never replaced."""
    if str(path).startswith(_DESCRIPTORS) or str(path) == "/dev/stderr":
        return True
    try:
        mode = path.stat().st_mode
    except OSError:  # there is no such file, or there cannot be
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def read(source: Path | None, limit: int) -> bytes:
    """Read all bytes of a file or of standard input.

    Raises:
        UsageError: there is no such file, or it is a folder, or standard input is a terminal.
        DamagedFileError: there are more than `limit` bytes.
    """
    if source is None:
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("nothing comes in: name a file, or send one to standard input")
        return _read_all(sys.stdin.buffer, limit)
    if source.is_dir():
        raise UsageError("is a folder, not a file")
    try:
        with source.open("rb") as file:
            return _read_all(file, limit)
    except FileNotFoundError:
        raise UsageError("no such file") from None


def bytes_of(source: object, limit: int) -> bytes:
    """Read all bytes of a path, an open binary file, or an object that holds bytes, such as a `memoryview`.

    An open file is read from its current position; if nothing is left there, from its start.

    Raises:
        UsageError: there is no such file, it cannot be read, or it is open as text.
        DamagedFileError: there are more than `limit` bytes.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | os.PathLike):
        try:
            return read(Path(source), limit)
        except NeuralCodecError as error:
            raise type(error)(f"{source}: {error}") from None
        except (OSError, ValueError) as error:  # a ValueError is a path with a zero byte
            raise UsageError(f"{source}: {error}") from None
    with suppress(TypeError):
        return memoryview(source).tobytes()  # type: ignore[arg-type]
    if not hasattr(source, "read"):
        raise UsageError(f"cannot read a file from {type(source).__name__}")
    stream: BinaryIO = source  # type: ignore[assignment]
    try:
        data = _read_all(stream, limit)
        if not data and stream.seekable():
            stream.seek(0)
            data = _read_all(stream, limit)
    except (OSError, ValueError) as error:  # a ValueError is a closed file
        raise UsageError(f"cannot read the file: {error}") from None
    except TypeError:
        raise UsageError("the file is open as text: open it in mode 'rb'") from None
    return data


def _read_all(file: BinaryIO, limit: int) -> bytes:
    # In pieces: a stream has no size to check, and read(limit) would claim that much memory at once.
    pieces: list[bytes] = []
    size = 0
    while piece := file.read(_CHUNK):
        size += len(piece)
        if size > limit:
            raise DamagedFileError(f"has more than {limit:,} bytes: --max-pixels raises the limit")
        pieces.append(piece)
    return b"".join(pieces)


@contextmanager
def writing(target: Path | None) -> Iterator[BinaryIO]:
    """Open a binary file that appears under its name when the block ends, or not at all if it fails."""
    if target is None:
        # Held back until it is complete. Also, callers ask for positions, which a pipe does not have.
        whole = io.BytesIO()
        yield whole
        _write_stdout(whole)
    elif is_stream(target):
        whole = io.BytesIO()
        yield whole
        with _open_stream(target) as file:
            file.write(whole.getbuffer())
    else:
        # Replace the file that a link leads to, so that the link remains a link.
        final = Path(os.path.realpath(target))
        partial = final.with_name(f".ncodec-{os.urandom(8).hex()}.partial")
        try:
            with partial.open("x+b") as file:
                yield file
            if final.exists():
                partial.chmod(stat.S_IMODE(final.stat().st_mode))
            partial.replace(final)
        finally:
            partial.unlink(missing_ok=True)


def _open_stream(target: Path) -> BinaryIO:
    if str(target).startswith(_DESCRIPTORS) and target.name.isdigit():
        # Opening it by name would begin at the start of the file again.
        return os.fdopen(os.dup(int(target.name)), "wb")
    return target.open("wb")


def _write_stdout(whole: io.BytesIO) -> None:
    if sys.stdout is None:
        raise UsageError("standard output is closed")
    try:
        sys.stdout.buffer.write(whole.getbuffer())
    except OSError:
        _discard_stdout()
        raise
    flush_stdout()


def flush_stdout() -> None:
    """Flush what was printed, so that a full disk or a closed pipe shows here, not at exit."""
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError:
            _discard_stdout()
            raise


def _discard_stdout() -> None:
    # Otherwise the interpreter would try again at exit, and report the error a second time.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
