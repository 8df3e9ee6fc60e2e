"""The plan of a command line: which file becomes which, and every refusal that is clear before any work."""

from __future__ import annotations

import os
import stat
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from neuralcodec import files
from neuralcodec.errors import NeuralCodecError, UsageError, describe
from neuralcodec.terminal import say

_FOLDER = "is a folder, not a file: --recursive takes the files in it"


class Job(NamedTuple):
    """A file to convert, where the result goes, and if it cannot go there, why."""

    source: Path | None
    target: Path | None
    refusal: str | None = None

    @property
    def name(self) -> str:
        """The name of the input in messages."""
        return "standard input" if self.source is None else str(self.source)


def plan(
    names: list[str],
    folder: str | None,
    rename: Callable[[str], str],
    *,
    force: bool,
    suffixes: Collection[str] | None = None,
    quiet: bool = False,
) -> list[Job]:
    """Plan what to convert into what, and find every refusal that is clear before any work.

    Args:
        names: the files of the command line: IN, IN OUT, or with `folder` any number of inputs.
        folder: where the results go; it is created.
        rename: makes the name of a result from the name of its input. Results that would share a name keep
            the whole names of their inputs: `a.jpg` and `a.png` become `a.jpg.nc` and `a.png.nc`.
        force: an existing output may be replaced.
        suffixes: of the files to take from inputs that are folders, at any depth; their results go to the
            same folders below `folder`. None takes no folders.
        quiet: do not print what is left out of folders.

    Returns:
        The jobs. With `folder`, a job whose result cannot be written has a `refusal`, and stops no other.

    Raises:
        UsageError: an output exists, is an input, is named twice, is a folder or is in none; an input is a
            folder and none is taken, or has no such files.
        NeuralCodecError: the outputs' folder cannot be written into, or an input folder cannot be read.
    """
    if folder == "":
        raise UsageError("the name of the folder is empty")
    if folder is None:
        if suffixes is not None:
            raise UsageError("--recursive needs -o FOLDER, below which the results go")
        jobs = [_single(names, rename)]
        inputs = _inputs(jobs)
        exists = [job.target for job in jobs if _check_target(job.target, inputs)]
    else:
        if "-" in names:
            raise UsageError("what comes from standard input has no name to have in a folder: leave out -o")
        jobs = _into_folder(names, Path(folder), rename, suffixes, quiet=quiet)
        inputs = _inputs(jobs)
        _make_folder(Path(folder))
        checked = [_checked(job, inputs) for job in jobs]
        jobs = [job for job, _ in checked]
        exists = [job.target for job, there in checked if there]
    if exists and not force:
        others = f" and {len(exists) - 1} other outputs exist" if len(exists) > 1 else " exists"
        raise UsageError(f"{exists[0]}{others}: -f overwrites")
    return jobs


def sources(names: Sequence[str], suffixes: Collection[str] | None, *, quiet: bool) -> list[Path | None]:
    """List the files to read, in folders those with `suffixes`; a None in the list is standard input.

    Raises:
        UsageError: a folder has no such files.
        NeuralCodecError: a folder cannot be read.
    """
    found: list[Path | None] = []
    for name in names:
        path = input_path(name)
        found += (
            [None] if path is None else [file for file, _ in _files_of(path, None, suffixes, quiet=quiet)]
        )
    return found


def input_path(name: str) -> Path | None:
    """Return the path of an input's name; None is standard input."""
    return None if name in ("-", "/dev/stdin") else _path(name)


def output_path(name: str) -> Path | None:
    """Return the path of an output's name; None is standard output.

    Raises:
        UsageError: it is empty, or ends in a separator where there is no such folder.
    """
    return None if name in ("-", "/dev/stdout") else _path(name)


def _path(name: str) -> Path:
    if not name:
        raise UsageError("the name of a file is empty")
    # `Path` drops the separator at the end.
    if name.endswith(("/", os.sep)) and not Path(name).is_dir():
        raise UsageError(f"{name} is not a folder that exists")
    return Path(name)


def _into_folder(
    names: Sequence[str],
    folder: Path,
    rename: Callable[[str], str],
    suffixes: Collection[str] | None,
    *,
    quiet: bool,
) -> list[Job]:
    found = [pair for name in names for pair in _files_of(_path(name), folder, suffixes, quiet=quiet)]
    whole: set[int] = set()
    while True:
        targets = []
        for number, (_, place) in enumerate(found):
            name = rename(place.name)
            targets.append(
                folder / place.with_name(place.name + Path(name).suffix if number in whole else name)
            )
        times = Counter(map(_alike, targets))
        clashing = {number for number, target in enumerate(targets) if times[_alike(target)] > 1}
        if clashing <= whole:
            break
        whole |= clashing
    taken: dict[str, tuple[Path, Path]] = {}
    jobs = []
    for (source, _), target in zip(found, targets, strict=True):
        other, same = taken.setdefault(_alike(target), (source, target))
        refusal = None
        if other is not source:
            if same == target:
                raise UsageError(f"{other} and {source} would both become {target}: use two folders")
            refusal = f"would become {target}, which is {same} where case does not count: use two folders"
        elif _is_folder(source):
            refusal = _FOLDER
        jobs.append(Job(source, target, refusal))
    return jobs


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - that of `Path` raises an error for names that are too long


def _alike(path: Path) -> str:
    """Return the same text for all names that some file systems take for one."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _files_of(
    source: Path, output: Path | None, suffixes: Collection[str] | None, *, quiet: bool
) -> Iterator[tuple[Path, Path]]:
    """Yield a file, or a folder's at any depth except in `output`; each with its path below the folder."""
    if suffixes is None or not source.is_dir():
        if source.name in ("", ".."):
            raise UsageError(f"{source}: {_FOLDER}")
        yield source, Path(source.name)
        return

    def refuse(error: OSError) -> None:
        raise NeuralCodecError(f"{error.filename}: {error.strerror}")

    found = []
    left_out: Counter[str] = Counter()
    # Earlier results are no inputs, and hidden files are nobody's pictures.
    outputs = None if output is None or _same(output, source) else os.path.realpath(output)
    for top, folders, names in os.walk(source, onerror=refuse):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(Path(top, name)) != outputs
        ]
        left_out["links to folders"] += sum(Path(top, name).is_symlink() for name in folders)
        for name in names:
            path = Path(top, name)
            if name.startswith("."):
                continue
            if not _may_be_file(path):
                left_out["pipes and devices"] += 1
            elif path.suffix.lower() in suffixes:
                found.append((path, path.relative_to(source)))
            else:
                left_out[f"*{path.suffix.lower()}" if path.suffix else "without extension"] += 1
    if not found:
        raise UsageError(f"{source}: there is nothing to convert in this folder")
    if not quiet and (
        said := ", ".join(f"{count:,} {what}" for what, count in sorted(left_out.items()) if count)
    ):
        say(f"ncodec: note: {source}: left out: {said}")
    yield from sorted(found)


def _same(one: Path, other: Path) -> bool:
    return one.is_dir() and one.samefile(other)


def _may_be_file(path: Path) -> bool:
    """Tell whether a path may be a regular file; if it cannot be examined, reading it says why."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def _single(names: list[str], rename: Callable[[str], str]) -> Job:
    if len(names) > 2:
        raise UsageError(f"{len(names)} files are named: -o FOLDER converts several, without it give IN OUT")
    source = input_path(names[0])
    if source is not None and _is_folder(source):
        raise UsageError(f"{source}: {_FOLDER}")
    if len(names) == 2:
        return Job(source, output_path(names[1]))
    return Job(source, None if source is None else source.parent / rename(source.name))


def _make_folder(folder: Path) -> None:
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
    except OSError as error:
        raise NeuralCodecError(f"{folder}: {error.strerror}") from None
    _check_folder(folder)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder that exists")
    if not os.access(folder, os.W_OK):
        raise NeuralCodecError(f"{folder} cannot be written into")


def _checked(job: Job, inputs: set[str]) -> tuple[Job, bool]:
    """Check the output of a job; return the job, with any refusal, and whether the output exists."""
    assert job.target is not None
    if job.refusal is not None:
        return job, False
    try:
        _make_folder(job.target.parent)
        return job, _check_target(job.target, inputs)
    except (NeuralCodecError, OSError) as error:
        message = f"{job.target}: {describe(error)}" if isinstance(error, OSError) else str(error)
        return job._replace(refusal=message), False


def _inputs(jobs: Sequence[Job]) -> set[str]:
    return {os.path.realpath(job.source) for job in jobs if job.source is not None}


def _check_target(target: Path | None, inputs: set[str]) -> bool:
    """Tell whether the output exists already; raise an error if it cannot be written."""
    if target is None:
        if sys.stdout is None or sys.stdout.isatty():
            raise UsageError("the output is binary: name a file, or send standard output to one")
        return False
    if files.is_stream(target):
        if target.is_block_device() or target.is_socket():
            raise UsageError(f"{target} is a disk or a socket: name a file")
        return False
    if os.path.realpath(target) in inputs:
        raise UsageError(f"{target} is an input, which is never overwritten")
    if target.is_dir():
        raise UsageError(f"{target} is a folder: -o writes into one")
    _check_folder(target.parent)
    try:
        target.stat()
    except FileNotFoundError:
        return False
    return True
