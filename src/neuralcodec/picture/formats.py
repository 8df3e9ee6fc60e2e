"""Which of Pillow's readers a file is for, those of installed plugins included."""

from __future__ import annotations

import importlib
import struct
from contextlib import suppress
from importlib.util import find_spec
from typing import BinaryIO, NamedTuple

from PIL import Image
from PIL.ImageFile import ImageFile


class _Plugin(NamedTuple):
    """A package that teaches Pillow another format."""

    format: str
    package: str
    extra: str  # of ours, that installs it
    register: str | None  # to call; None where importing the package is enough
    offset: int  # of what files of the format have there
    signatures: tuple[bytes, ...]


_HEIC = (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1")
_PLUGINS = (
    _Plugin("HEIC", "pillow_heif", "heif", "register_heif_opener", 4, _HEIC),
    _Plugin("JPEG XL", "pillow_jxl", "jxl", None, 0, (b"\xff\x0a", b"\0\0\0\x0cJXL ")),
)


def open_image(stream: BinaryIO) -> ImageFile | None:
    """What `Image.open` does, with installed plugins, and without its limit of the size.

    That limit is a global that belongs to the program around us. None where no reader knows the file.
    """
    prefix = stream.read(16)
    tried: set[str] = set()
    for load_readers in (Image.preinit, Image.init, _register_plugins):  # the common formats load faster
        load_readers()
        for name in [name for name in Image.ID if name not in tried]:
            tried.add(name)
            factory, accept = Image.OPEN[name]
            try:
                accepted = accept is None or accept(prefix)
                if accepted and not isinstance(accepted, str):  # a string says what is not supported
                    stream.seek(0)
                    return factory(stream, "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue  # so a reader says: not my format
    return None


def missing_plugin(prefix: bytes) -> str | None:
    """What to install, if it is only a plugin that lacks to read a file that begins so."""
    for plugin in _PLUGINS:
        if prefix.startswith(plugin.signatures, plugin.offset) and find_spec(plugin.package) is None:
            return f"{plugin.format} needs a plugin: pip install 'neuralcodec[{plugin.extra}]'"
    return None


def _register_plugins() -> None:
    for plugin in _PLUGINS:
        with suppress(ImportError, OSError):  # it is not installed, or lacks a library
            module = importlib.import_module(plugin.package)
            if plugin.register is not None:
                getattr(module, plugin.register)()
