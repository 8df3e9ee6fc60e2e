"""Inputs of the commands: files or streams, pictures of any format, and the limits on them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from neuralcodec import files
from neuralcodec.errors import warn
from neuralcodec.format.container import Limits
from neuralcodec.format.header import MAGIC
from neuralcodec.terminal import about

if TYPE_CHECKING:
    from neuralcodec.picture.picture import Picture


def name_of(path: Path | None, stream: str = "standard input") -> str:
    """Return the name of a file in messages; None is the stream."""
    return stream if path is None else str(path)


def limits_of(args: Namespace) -> Limits:
    """Return the limits that the arguments set."""
    return Limits() if args.max_pixels is None else Limits(max_pixels=args.max_pixels)


def byte_limit(args: Namespace) -> int:
    """Return the most bytes that an input may have under these limits."""
    return limits_of(args).max_bytes


def load_any(source: Path | None, args: Namespace) -> tuple[int, Picture]:
    """Load an `.nc` file or any other picture; return its size in bytes, and the picture."""
    with about(name_of(source)):
        data = files.read(source, byte_limit(args))
        return len(data), decode_any(data, args)


def decode_any(data: bytes, args: Namespace) -> Picture:
    """Decode the bytes of an `.nc` file or of any other picture."""
    if data.startswith(MAGIC):
        from neuralcodec.coding.codec import decode_picture

        return decode_picture(data, limits=limits_of(args))
    from neuralcodec.picture.reading import load

    picture = load(data, max_pixels=limits_of(args).max_pixels)
    warn(picture.notes)
    return picture
