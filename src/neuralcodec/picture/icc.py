"""ICC profiles: check one against the pixels, and make one for colours that a file states otherwise."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

SRGB = "sRGB"
_SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # white, red, green, blue: x and y
_P3_PRIMARIES = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)

# ITU-T H.273: codes of primaries, and of transfer characteristics as a gamma or a name.
_PRIMARIES = {
    4: (0.31, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (0.3127, 0.329, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.3127, 0.329, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (0.3127, 0.329, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: _P3_PRIMARIES,
}
_PRIMARIES |= dict.fromkeys((1, 2), _SRGB_PRIMARIES)
# Cameras write the curve of BT.709 but mean sRGB, and every viewer takes it so.
_TRANSFERS: dict[int, float | str] = dict.fromkeys((1, 2, 6, 13, 14, 15), SRGB)
_TRANSFERS |= {4: 2.2, 5: 2.8, 8: 1.0, 16: "PQ (HDR)", 18: "HLG (HDR)"}


class Colour(NamedTuple):
    """What samples mean: chromaticities of white, red, green and blue; a gamma or the name of a curve."""

    primaries: tuple[float, ...] = _SRGB_PRIMARIES
    transfer: float | str = SRGB


def colour_of_codes(primaries: int, transfer: int) -> Colour:
    """Look up the colour of code points of ITU-T H.273; the transfer names those that are unknown."""
    curve = _TRANSFERS.get(transfer, f"transfer characteristics {transfer}")
    if primaries not in _PRIMARIES:
        return Colour(transfer=f"colour primaries {primaries}" if curve == SRGB else curve)
    return Colour(_PRIMARIES[primaries], curve)


def described(colour: Colour, grey: bool, notes: list[str]) -> bytes | None:
    """Make a profile for a colour that is not sRGB; None for sRGB, or with a note where none can be made."""
    if isinstance(colour.transfer, str) and colour.transfer != SRGB:
        notes.append(
            f"its colours, {colour.transfer}, are not understood: it was read as sRGB, and looks wrong"
        )
        return None
    plain = np.allclose(colour.primaries, _SRGB_PRIMARIES, atol=0.004)
    straight = colour.transfer == SRGB or abs(float(colour.transfer) - 2.2) < 0.06
    if straight and (plain or grey):
        return None
    try:
        return _profile(colour, grey)
    except (np.linalg.LinAlgError, struct.error, ZeroDivisionError):
        notes.append("its colours have impossible chromaticities: it was read as sRGB")
        return None


def _profile(colour: Colour, grey: bool) -> bytes:
    """Make an ICC.1:2010 profile of primaries and a curve, with the Bradford adaptation to D50."""
    curve = b"para\0\0\0\0"
    if isinstance(colour.transfer, str):  # the curve of IEC 61966-2-1
        curve += struct.pack(">HH", 3, 0) + _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    else:
        curve += struct.pack(">HH", 0, 0) + _fixed(colour.transfer)
    tags = {b"desc": _text("RGB and curve as the file had them"), b"cprt": _text("No copyright")}
    tags |= {b"wtpt": b"XYZ \0\0\0\0" + _fixed(0.9642, 1, 0.8249)}
    if grey:
        tags[b"kTRC"] = curve
    else:
        white, *_ = x_y_z = [_from_xy(*colour.primaries[i : i + 2]) for i in (0, 2, 4, 6)]
        matrix = np.array(x_y_z[1:]).T
        matrix = matrix * np.linalg.solve(matrix, white)
        cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
        d50 = np.array([0.9642, 1, 0.8249])
        adapt = np.linalg.inv(cone) @ np.diag(cone @ d50 / (cone @ white)) @ cone
        for name, column in zip((b"r", b"g", b"b"), (adapt @ matrix).T, strict=True):
            tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(*column)
            tags[name + b"TRC"] = curve
        tags[b"chad"] = b"sf32\0\0\0\0" + _fixed(*adapt.ravel())
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        place = body.find(data)  # one curve serves all three
        if place < 0:
            place, body = len(body), body + data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + place, len(data))
    space = b"GRAY" if grey else b"RGB "
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x04200000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + table + body


def _from_xy(x: float, y: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))


def _text(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(data), 28) + data


def matching_icc(profile: bytes | None, grey: bool, notes: list[str]) -> bytes | None:
    """Return the profile if its length and colour space (ICC.1, header) are right, else None and a note."""
    if not profile:
        return None
    space, wanted = profile[16:20], b"GRAY" if grey else b"RGB "
    if space != wanted:
        spaces = f"it is for {space.decode('latin-1')!r}, not {wanted.decode()!r}"
        notes.append(f"the ICC profile was dropped: {spaces}")
        return None
    if struct.unpack_from(">I", profile)[0] > len(profile):
        notes.append("the ICC profile was dropped: it is cut short")
        return None
    return profile
