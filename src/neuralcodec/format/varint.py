"""Whole numbers in as few bytes as they need: seven bits a byte, lowest first (LEB128), one spelling each."""

from __future__ import annotations

from neuralcodec.errors import DamagedFileError

_MAX_BYTES = 5


def write_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def parse_varint(data: bytes, at: int, where: str) -> tuple[int, int]:
    """Parse the number at `at`; return it and the offset behind it. `where` is for the message."""
    value = 0
    for count in range(_MAX_BYTES):
        if at + count >= len(data):
            raise DamagedFileError(f"the data are cut short: they end at byte {len(data)}, in {where}")
        byte = data[at + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            # One spelling for each number: a zero on top would be a second one.
            if byte == 0 and count > 0:
                break
            return value, at + count + 1
    raise DamagedFileError(f"bad number at byte {at}, in {where}")
