"""The packed form of weights files: a safetensors file whose one array is another one, deflated.

The upper bytes of half-precision numbers are much alike, the lower ones are noise. Apart from each other the
upper ones deflate to less than two thirds, and a file is a quarter smaller than its arrays.
"""

from __future__ import annotations

import functools
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

#: The array of a packed file, and the entry of its metadata that has the bytes of what is inside.
PACKED, UNPACKED = "packed", "unpacked"
#: Larger files are refused before they are read or unpacked. Those of the package have 7 MB.
_MOST_BYTES = 2**28


def bounded(size: int) -> int:
    """Return a number of bytes that memory may be asked for.

    Raises:
        ValueError: it is too large.
    """
    if not 0 <= size <= _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES >> 20} MiB")
    return size


def pack(plain: bytes) -> bytes:
    """Deflate the even bytes of a file, then the odd ones: lower and upper halves of 16-bit numbers."""
    return zlib.compress(plain[0::2] + plain[1::2], 9)


def unpack(packed: bytes | memoryview, size: int) -> bytes:
    """Undo `pack`.

    Args:
        size: the bytes of the result.

    Raises:
        ValueError: the bytes are damaged, too many, or another number.
    """
    stream = zlib.decompressobj()
    try:
        halves = stream.decompress(packed, max(bounded(size), 1))
        if len(halves) != size or stream.decompress(stream.unconsumed_tail, 1) or not stream.eof:
            raise ValueError(f"it does not unpack to the {size} bytes that it says")
    except zlib.error as error:
        raise ValueError(f"it does not unpack: {error}") from None
    import numpy as np  # here, so that the stream can be inflated while another thread loads it

    plain, read = np.empty(size, np.uint8), np.frombuffer(halves, np.uint8)
    plain[0::2], plain[1::2] = read[: (size + 1) // 2], read[(size + 1) // 2 :]
    return plain.tobytes()


class Content(NamedTuple):
    """The bytes of a weights file.

    Args:
        plain: the safetensors file of its arrays.
        digest: SHA-256, in hex, of the file as it lies there.
    """

    plain: bytes
    digest: str


@functools.lru_cache(maxsize=2)
def content(path: Path, written: tuple[int, int, int], size: int | None) -> Content:
    """Read a weights file and unpack it; the last ones are kept, since graphs need them as well.

    Args:
        written: see `WeightsFile`; the cache goes by it.
        size: the bytes that it unpacks to; None where it is not packed.

    Raises:
        OSError, SafetensorError, KeyError, ValueError: it cannot be read, or is damaged.
    """
    data = path.read_bytes()
    plain = data if size is None else unpack(_packed(data), size)
    return Content(plain, hashlib.sha256(data).hexdigest())


def _packed(data: bytes) -> memoryview:
    """Find the packed array in a file, whose numbers begin behind its header."""
    first = 8 + int.from_bytes(data[:8], "little")
    start, end = json.loads(data[8:first])[PACKED]["data_offsets"]
    return memoryview(data)[first + start : first + end]


def as_file(arrays: Mapping[str, Any], said: Mapping[str, Any]) -> bytes:
    """Make the packed file of arrays and metadata."""
    import numpy as np
    from safetensors.numpy import save

    plain = save(dict(arrays))
    packed = {PACKED: np.frombuffer(pack(plain), np.uint8)}
    # A single key: safetensors writes several in random order, and equal weights would give different files.
    return save(packed, {"neuralcodec": json.dumps({**said, UNPACKED: len(plain)}, sort_keys=True)})


def patched(plain: bytes, arrays: Mapping[str, Any]) -> bytes:
    """Put other values into a safetensors file, for those of its arrays that are among `arrays`.

    Raises:
        ValueError: one has another size.
    """
    start = 8 + int.from_bytes(plain[:8], "little")
    other = bytearray(plain)
    for name, entry in json.loads(plain[8:start]).items():
        if name in arrays:
            first, end = (start + offset for offset in entry["data_offsets"])
            data = arrays[name].tobytes()
            if len(data) != end - first:
                raise ValueError(f"{name} has another size")
            other[first:end] = data
    return bytes(other)
