"""Formats that go in, by content alone, through pipes; those of plugins where these are installed."""

from __future__ import annotations

import io
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from conftest import photograph
from PIL import Image, features

from neuralcodec import DamagedFileError
from neuralcodec.picture import formats, opening
from neuralcodec.picture.reading import load

FORMATS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 98},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
    "PPM": {},
    "GIF": {},
    "TGA": {},
    "AVIF": {"quality": 98},
    "JPEG2000": {},
    "JXL": {"lossless": True},
    "HEIF": {"quality": 98},
}
NEEDS = {
    "AVIF": features.check("avif"),
    "JPEG2000": features.check("jpg_2000"),
    "JXL": find_spec("pillow_jxl") is not None,
    "HEIF": find_spec("pillow_heif") is not None,
}
#: The first bytes of a HEIC photograph of a phone, and of a bare JPEG XL codestream.
HEIC = b"\0\0\0\x24ftypheic\0\0\0\0mif1MiHEmiafMiHB"
JXL = b"\xff\x0a\xfa\x1f\x01\x91\x08\x06\x01"


def as_file(pixels: np.ndarray, name: str) -> bytes:
    opening.register_plugins()
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, name, **FORMATS[name])
    return out.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.skipif(not NEEDS.get(name, True), reason="needs a plugin"))
        for name in FORMATS
    ],
)
def test_content_says_the_format(name: str) -> None:
    pixels = photograph(64, 48)
    read = load(as_file(pixels, name)).pixels
    assert read.shape == pixels.shape
    assert np.abs(read.astype(int) - pixels).mean() < (30 if name == "GIF" else 8)


@pytest.mark.skipif(not (NEEDS["JXL"] and NEEDS["HEIF"]), reason="needs both plugins")
@pytest.mark.parametrize("name", ["JXL", "HEIF"])
def test_plugins_are_found_without_being_asked_for(name: str) -> None:
    data = as_file(photograph(64, 48), name)
    program = (
        "import sys; from neuralcodec.picture.reading import load; print(load(sys.stdin.buffer).pixels.shape)"
    )
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)
    assert done.stdout.strip() == b"(64, 48, 3)"


@pytest.mark.parametrize(("data", "extra"), [(HEIC, "heif"), (JXL, "jxl")])
def test_a_missing_plugin_is_named(data: bytes, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = [
        format._replace(plugin=plugin._replace(package="missing")) if (plugin := format.plugin) else format
        for format in formats.FORMATS
    ]
    monkeypatch.setattr(opening, "FORMATS", absent)
    for name in ("JXL", "HEIF"):
        monkeypatch.delitem(Image.OPEN, name, raising=False)
    with pytest.raises(DamagedFileError, match=rf"pip install 'neuralcodec\[{extra}\]'"):
        load(data + bytes(100))
