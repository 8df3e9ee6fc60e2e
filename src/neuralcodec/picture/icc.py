"""ICC profiles: which pixels one is for."""

from __future__ import annotations


def matching_icc(profile: bytes | None, grey: bool, notes: list[str]) -> bytes | None:
    """The profile, if its colour space (ICC.1, header bytes 16 to 19) is that of the pixels."""
    if not profile:
        return None
    space, wanted = profile[16:20], b"GRAY" if grey else b"RGB "
    if space == wanted:
        return profile
    spaces = f"it is for {space.decode('latin-1')!r}, not {wanted.decode()!r}"
    notes.append(f"the ICC profile was dropped: {spaces}")
    return None
