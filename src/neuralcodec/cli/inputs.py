"""What the commands' arguments name: files or streams, pictures of any format, and the limits in force."""

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
    """What messages call it."""
    return stream if path is None else str(path)


def limits_of(args: Namespace) -> Limits:
    """The limits that the arguments set."""
    return Limits() if args.max_pixels is None else Limits(max_pixels=args.max_pixels)


def byte_limit(args: Namespace) -> int:
    """What the largest allowed picture may take."""
    return limits_of(args).max_bytes


def load_any(source: Path | None, args: Namespace) -> tuple[int, Picture]:
    """The size in bytes and the picture of a file, an `.nc` file or any other."""
    with about(name_of(source)):
        data = files.read(source, byte_limit(args))
        return len(data), decode_any(data, args)


def decode_any(data: bytes, args: Namespace) -> Picture:
    """The picture in the bytes of an `.nc` file or of any other."""
    if data.startswith(MAGIC):
        from neuralcodec.coding.codec import decode_picture

        return decode_picture(data, limits=limits_of(args))
    from neuralcodec.picture.reading import load

    picture = load(data, max_pixels=limits_of(args).max_pixels)
    warn(picture.notes)
    return picture
