"""Files in and out: which go where, reading within a limit, writing whole or not at all.

A path of None is a standard stream: `-` on the command line.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError

_CHUNK = 1 << 20


class Job(NamedTuple):
    """A file to convert, and where the result goes."""

    source: Path | None
    target: Path | None

    @property
    def name(self) -> str:
        """The input as messages call it."""
        return "standard input" if self.source is None else str(self.source)


# ---- planning --------------------------------------------------------------------------------------------


def plan(
    names: list[str],
    folder: str | None,
    rename: Callable[[str], str],
    *,
    force: bool,
    suffixes: Collection[str] | None = None,
) -> list[Job]:
    """What to convert into what, with every reason to refuse that shows before any work.

    Args:
        names: the files of the command line: IN, IN OUT, or with `folder` any number of inputs.
        folder: where the results go; it is created.
        rename: makes the name of a result from the name of its input.
        force: an existing output may be replaced.
        suffixes: of the files to take from the inputs that are folders, and from the folders in them; their
            results lie in the same folders below `folder`.

    Raises:
        UsageError: an output exists, is an input, is named twice, is a folder or is in none; a folder is not
            to be walked, or has no such files.
        NeuralCodecError: the outputs' folder cannot be written into, or an input folder cannot be read.
    """
    if folder is None and suffixes is not None:
        raise UsageError("--recursive needs -o FOLDER, below which the results go")
    if folder is None:
        jobs = [_single(names, rename)]
    elif "-" in names:
        raise UsageError("what comes from standard input has no name to have in a folder: leave out -o")
    else:
        found = [pair for name in names for pair in _files_of(Path(name), Path(folder), suffixes)]
        jobs = [Job(source, Path(folder, place).with_name(rename(place.name))) for source, place in found]
    _refuse_clashes(jobs)
    if folder is not None:
        for parent in {job.target.parent for job in jobs if job.target is not None}:
            try:
                if not parent.exists():
                    parent.mkdir(parents=True)
            except OSError as error:
                raise NeuralCodecError(f"{parent}: {error.strerror}") from None
    existing = [job.target for job in jobs if _check_target(job.target) and not force]
    if existing:
        others = f" and {len(existing) - 1} other outputs exist" if len(existing) > 1 else " exists"
        raise UsageError(f"{existing[0]}{others}: -f overwrites")
    return jobs


def _files_of(source: Path, output: Path, suffixes: Collection[str] | None) -> Iterator[tuple[Path, Path]]:
    """A file, or the files of a folder and of those in it; each with its place below the folder."""
    if suffixes is None or not source.is_dir():
        yield source, Path(source.name)
        return

    def refuse(error: OSError) -> None:
        raise NeuralCodecError(f"{error.filename}: {error.strerror}")

    found = []
    # What was written there before is no input, and what is hidden is nobody's picture.
    outputs = os.path.realpath(output) if not output.is_dir() or not output.samefile(source) else None
    for top, folders, names in os.walk(source, onerror=refuse):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(Path(top, name)) != outputs
        ]
        for name in names:
            path = Path(top, name)
            if not name.startswith(".") and path.suffix.lower() in suffixes:
                found.append((path, path.relative_to(source)))
    if not found:
        raise UsageError(f"{source}: there is nothing to convert in this folder")
    yield from sorted(found)


def _single(names: list[str], rename: Callable[[str], str]) -> Job:
    if len(names) > 2:
        raise UsageError(f"{len(names)} files are named: -o FOLDER converts several, without it give IN OUT")
    source = None if names[0] == "-" else Path(names[0])
    if len(names) == 2:
        return Job(source, None if names[1] == "-" else Path(names[1]))
    return Job(source, None if source is None else source.parent / rename(source.name))


def _refuse_clashes(jobs: list[Job]) -> None:
    inputs = {os.path.realpath(job.source) for job in jobs if job.source is not None}
    sources: dict[str, Path | None] = {}
    for source, target in jobs:
        if target is None or is_stream(target):
            continue
        place = os.path.realpath(target)
        if place in inputs:
            raise UsageError(f"{target} is an input, which is never overwritten")
        if place in sources:
            raise UsageError(f"{sources[place]} and {source} would both become {target}: use two folders")
        sources[place] = source


def _check_target(target: Path | None) -> bool:
    """Whether the output is there already; raises where it cannot be written."""
    if target is None:
        if sys.stdout is None or sys.stdout.isatty():
            raise UsageError("the output is binary: name a file, or send standard output to one")
        return False
    if is_stream(target):
        return False
    if target.is_dir():
        raise UsageError(f"{target} is a folder: -o writes into one")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is not a folder that exists")
    if not os.access(target.parent, os.W_OK):
        raise NeuralCodecError(f"{target.parent} cannot be written into")
    return target.exists()


def is_stream(path: Path) -> bool:
    """Whether the path is a device or a pipe, such as `/dev/null`: written to in place, never replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


# ---- reading and writing ---------------------------------------------------------------------------------


def read(source: Path | None, limit: int) -> bytes:
    """All bytes of a file or of standard input.

    Raises:
        UsageError: there is no such file, or it is a folder, or standard input is a terminal.
        DamagedFileError: there are more than `limit` bytes.
    """
    if source is None:
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("nothing comes in: name a file, or send one to standard input")
        return _read_all(sys.stdin.buffer, limit)
    if source.is_dir():
        raise UsageError("is a folder, not a file: --recursive -o FOLDER takes the files in it")
    try:
        with source.open("rb") as file:
            return _read_all(file, limit)
    except FileNotFoundError:
        raise UsageError("no such file") from None


def bytes_of(source: object, limit: int) -> bytes:
    """Take all bytes of a path, of an open binary file, or of what holds bytes, such as a `memoryview`.

    An open file is read from where it stands; where nothing is left, from its start.

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
    """A binary file that appears under its name when the block ends, and not at all when it fails."""
    if target is None:
        # Held back until it is complete. Also, a pipe has no positions, which some picture formats need.
        whole = io.BytesIO()
        yield whole
        _write_stdout(whole)
    elif is_stream(target):
        with target.open("wb") as file:
            yield file
    else:
        # Through a link to the file it leads to, so that the link stays one.
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
    """Sends out what was printed, so that a full disk or a closed pipe shows here, not at the exit."""
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError:
            _discard_stdout()
            raise


def _discard_stdout() -> None:
    # Else the interpreter tries again at its end, and reports what the user has been told already.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
