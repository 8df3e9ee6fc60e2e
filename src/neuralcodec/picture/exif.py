"""What an EXIF block says, read from its bytes, whatever is wrong with them."""

from __future__ import annotations

import struct

EXIF_PREFIX = b"Exif\0\0"  # JPEG puts it before EXIF, other formats do not; Pillow mostly does

_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4


def orientation(exif: bytes) -> int:
    """How to turn the pixels to show them, 1 to 8; 1, as they are, where the block does not say."""
    order = _ORDERS.get(exif[:4])
    if order is None or len(exif) < 8:
        return 1
    (start,) = struct.unpack_from(order + "I", exif, 4)
    for at in range(start + 2, len(exif) - 11, 12):
        if (at - start - 2) // 12 >= struct.unpack_from(order + "H", exif, start)[0]:
            break
        tag, kind, count = struct.unpack_from(order + "HHI", exif, at)
        if tag == _ORIENTATION and kind in (_SHORT, _LONG) and count == 1:
            (value,) = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), exif, at + 8)
            return int(value) if 1 <= value <= 8 else 1
    return 1
