"""Find the reader, of Pillow or of a plugin, that knows a file."""

from __future__ import annotations

import importlib
import struct
from contextlib import suppress
from importlib.util import find_spec
from typing import BinaryIO

from PIL import Image
from PIL.ImageFile import ImageFile

from neuralcodec.picture.formats import FORMATS


def open_image(stream: BinaryIO) -> ImageFile | None:
    """Open a file of a format in the table as `Image.open` does, but without its limit of the size.

    That limit is a global that belongs to the program around us. None where no reader knows the file.

    Raises:
        SyntaxError: the first bytes are of a known format, but its reader cannot read the rest.
    """
    prefix = stream.read(16)
    tried: set[str] = set()
    refusal: str | None = None
    for load_readers in (Image.preinit, Image.init, register_plugins):  # the common formats load faster
        load_readers()
        for name in [format.name for format in FORMATS if format.name in Image.OPEN]:
            if name in tried:
                continue
            tried.add(name)
            factory, accept = Image.OPEN[name]
            try:
                accepted = accept is None or accept(prefix)
                if isinstance(accepted, str):  # the reader says what is not supported
                    refusal = accepted
                elif accepted:
                    stream.seek(0)
                    return factory(stream, "")
            except (SyntaxError, IndexError, TypeError, struct.error) as error:  # not a file of this reader
                if accept is not None and accept(prefix):
                    refusal = refusal or f"{name}: {error}"
    if refusal is not None:
        raise SyntaxError(refusal)
    return None


def missing_plugin(prefix: bytes) -> str | None:
    """Name the extra that would let us read a file that begins so, if any."""
    for format in FORMATS:
        plugin = format.plugin
        known = plugin is not None and prefix.startswith(plugin.signatures, plugin.offset)
        if plugin is not None and known and find_spec(plugin.package) is None:
            return f"{format.name} needs a plugin: pip install 'neuralcodec[{plugin.extra}]'"
    return None


def register_plugins() -> None:
    """Teach Pillow the formats of the packages that are installed."""
    for plugin in [format.plugin for format in FORMATS if format.plugin is not None]:
        with suppress(ImportError, OSError):  # it is not installed, or lacks a library
            module = importlib.import_module(plugin.package)
            if plugin.register is not None:
                getattr(module, plugin.register)()
