"""Pictures in and out: files, Pillow images and numpy arrays ⇄ 8-bit planes and metadata.

What Pillow reads but we cannot keep raises an error or a `NeuralCodecWarning`. Pixels are never rotated:
the orientation stays in the EXIF block, which travels byte for byte.
"""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngInfo

from neuralcodec.errors import DamagedFileError, NeuralCodecError, NeuralCodecWarning, UsageError
from neuralcodec.format.container import MIN_SIDE
from neuralcodec.picture.formats import missing_plugin, open_image

if TYPE_CHECKING:
    from neuralcodec.coding.damage import Damage

Plane: TypeAlias = NDArray[np.uint8]
Source: TypeAlias = "Image.Image | str | os.PathLike[str] | bytes | BinaryIO | NDArray[Any]"

MAX_PIXELS = 2**28
EXIF_PREFIX = b"Exif\0\0"  # JPEG puts it before EXIF, other formats do not; Pillow mostly does


@dataclass
class Picture:
    """A picture as the codec sees it.

    Args:
        pixels: uint8 `(H, W, 3)`, or `(H, W, 1)` for grey.
        alpha: uint8 `(H, W)`, not premultiplied.
        icc: a profile for such pixels: its colour space is RGB, or GRAY for grey.
        exif: the EXIF block, from its `II` or `MM` on, without the `Exif` prefix that JPEG gives it.
        xmp: the XMP packet.
        damage: what of it is not as it was encoded, when it was decoded from a damaged file.
    """

    pixels: Plane
    alpha: Plane | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    damage: Damage | None = None


def load(source: Source, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Reads a picture of any format Pillow knows, recognised by its content.

    Args:
        source: a path, the bytes of a file, an open binary file, a Pillow image (its current frame), or a
            uint8 array `(H, W)`, `(H, W, 1)`, `(H, W, 3)`, or with alpha `(H, W, 2)`, `(H, W, 4)`.
        max_pixels: refuse more than these, before any memory is taken for them.

    Raises:
        UsageError: the source is missing, empty, or has to be converted first.
        DamagedFileError: the file is damaged, no picture, or has more than `max_pixels`.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return _from_image(source, "the picture", max_pixels)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_stream(io.BytesIO(source), "the picture", max_pixels)
    if isinstance(source, str | os.PathLike):
        try:
            with Path(source).open("rb") as stream:
                return _from_stream(stream, str(source), max_pixels)
        except (OSError, ValueError) as error:  # a ValueError is a path with a zero byte
            raise UsageError(f"cannot read {source}: {_line(error)}") from None
    if hasattr(source, "read"):
        return _from_stream(io.BytesIO(source.read()), "the picture", max_pixels)
    raise UsageError(f"cannot read a picture from {type(source).__name__}")


def _line(error: Exception) -> str:
    """The message of an error, on one line."""
    text = error.strerror if isinstance(error, OSError) else None
    return " ".join((text or str(error) or type(error).__name__).split())


def _warn(message: str) -> None:
    warnings.warn(message, NeuralCodecWarning, stacklevel=2)


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise UsageError(f"{name} is empty: {width}x{height} pixels")
    if max(width, MIN_SIDE) * max(height, MIN_SIDE) > max_pixels:  # as a decoder will count it
        raise DamagedFileError(f"{name} is too large: {width}x{height} pixels, the limit is {max_pixels}")


def _from_array(array: NDArray[Any], max_pixels: int) -> Picture:
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and 1 <= array.shape[2] <= 4)):
        raise UsageError(
            f"arrays must be uint8 (H, W) or (H, W, 1 to 4), not {array.dtype} {array.shape}; scale to 0..255"
        )
    _check_size(array.shape[1], array.shape[0], "the array", max_pixels)
    return Picture(*_split(array.copy()))


def _split(array: Plane) -> tuple[Plane, Plane | None]:
    """Views on the colours and the alpha, which is the last of 2 or 4, of `(H, W)` or `(H, W, 1 to 4)`."""
    array = array.reshape(*array.shape[:2], -1)
    colours = 1 if array.shape[2] < 3 else 3
    return array[..., :colours], array[..., colours] if array.shape[2] > colours else None


def _from_stream(stream: BinaryIO, name: str, max_pixels: int) -> Picture:
    try:
        image = open_image(stream)
    except MemoryError:
        raise
    except Exception as error:  # on hostile bytes Pillow's readers raise nearly everything
        raise DamagedFileError(f"cannot read {name}: {_line(error)}") from None
    if image is None:
        stream.seek(0)
        hint = missing_plugin(stream.read(16)) or "no picture of a known format, or damaged at its start"
        raise DamagedFileError(f"cannot read {name}: {hint}")
    return _from_image(image, name, max_pixels)


def _from_image(image: Image.Image, name: str, max_pixels: int) -> Picture:
    _check_size(*image.size, name, max_pixels)
    try:
        raw_mode = _raw_mode(image)  # gone after loading
        image.load()
        frames = getattr(image, "n_frames", 1)
        pixels, alpha = _planes(image, raw_mode)
        # Some formats keep metadata behind the pixels, so it is complete only now.
        exif, xmp = _exif(image), image.info.get("xmp")
    except (NeuralCodecError, NeuralCodecWarning, MemoryError):  # warnings where the program wants it so
        raise
    except Exception as error:  # on hostile bytes Pillow's readers raise nearly everything
        raise DamagedFileError(f"cannot read {name}: {_line(error)}") from None
    if frames > 1:
        which = "the first" if isinstance(image, ImageFile) and image.tell() == 0 else "the current one"
        _warn(f"{name} has {frames} frames, only {which} is kept")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    icc = None if image.mode == "CMYK" else image.info.get("icc_profile")
    return Picture(
        pixels,
        alpha,
        icc=matching_icc(icc, pixels.shape[2] == 1),
        exif=exif,
        xmp=xmp if isinstance(xmp, bytes) and xmp else None,
    )


_BAND = 2**20  # pixels that are converted at a time

# The modes that need no thought; any other becomes RGB.
_TARGET_MODES = {"1": "L", "L": "L", "LA": "LA", "La": "LA", "PA": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA"}


def _planes(image: Image.Image, raw_mode: str) -> tuple[Plane, Plane | None]:
    """Pixels and alpha of a loaded image."""
    if image.mode == "F":
        raise UsageError(
            "floating-point pixels have no agreed range: convert the picture to 8 or 16 bits first"
        )
    key = image.info.get("transparency")  # one colour that is transparent, in the depth of the file
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() > 65535:
            raise UsageError("32-bit pixels beyond 0..65535: convert the picture to 8 or 16 bits first")
        _warn("16-bit pixels were reduced to 8 bits")
        pixels = ((deep.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)[..., None]
        return pixels, _keyed_alpha(deep[..., None], key)
    if ";16" in raw_mode:
        _warn("16-bit pixels were reduced to 8 bits")

    target = _TARGET_MODES.get(image.mode, "RGB")
    if image.mode == "P" and image.has_transparency_data:
        target = "RGBA"
    if raw_mode == "LA;16B":
        target = "LA"  # Pillow opens it as RGBA
    if image.mode == "CMYK":
        image = _cmyk_to_rgb(image)
    pixels, alpha = _split(_array(image, target))
    if alpha is None and image.mode != "P":
        # Pillow could apply the key too, but compares it unscaled when the file has 2, 4 or 16 bits.
        if isinstance(key, int):
            key *= {"L;2": 85, "L;4": 17}.get(raw_mode, 1)
        elif raw_mode == "RGB;16B" and isinstance(key, tuple):
            key = tuple(value >> 8 for value in key)
        alpha = _keyed_alpha(pixels, key)
    return pixels, alpha


def _array(image: Image.Image, mode: str) -> Plane:
    """`(H, W, 1 to 4)` in mode L, LA, RGB or RGBA. In bands: at once, Pillow would hold two more copies."""
    array = np.empty((image.height, image.width, len(mode)), np.uint8)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        part = array[top : top + rows]
        band = image.crop((0, top, image.width, top + len(part))).convert(mode)
        part[:] = np.asarray(band).reshape(part.shape)
    return array


def _raw_mode(image: Image.Image) -> str:
    """How the file stores its pixels, such as `RGB;16B`; empty for an image that is in memory already."""
    for tile in getattr(image, "tile", []):
        return str(tile[3][0] if isinstance(tile[3], tuple) else tile[3])
    return ""


def _keyed_alpha(pixels: NDArray[Any], key: object) -> Plane | None:
    """`(H, W)`: 0 where `pixels` `(H, W, C)` have the transparent colour, 255 elsewhere."""
    if not isinstance(key, int | tuple):
        return None
    return np.where((pixels == np.asarray(key)).all(axis=-1), np.uint8(0), np.uint8(255))


def _cmyk_to_rgb(image: Image.Image) -> Image.Image:
    if profile := image.info.get("icc_profile"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            _warn("CMYK was converted to sRGB through its ICC profile")
            return converted
    _warn("CMYK was converted to RGB without an ICC profile, colours are approximate")
    return image.convert("RGB")


def matching_icc(profile: bytes | None, grey: bool) -> bytes | None:
    """The profile, if its colour space (ICC.1, header bytes 16 to 19) is that of the pixels."""
    if not profile:
        return None
    space, wanted = profile[16:20], b"GRAY" if grey else b"RGB "
    if space == wanted:
        return profile
    _warn(f"the ICC profile was dropped: it is for {space.decode('latin-1')!r}, not {wanted.decode()!r}")
    return None


def _exif(image: Image.Image) -> bytes | None:
    """The EXIF block as the file has it; that of a TIFF, whose own tags it is, is gathered from them."""
    exif: bytes = image.info.get("exif") or b""
    if not exif and image.format == "TIFF":
        tags, kept = image.getexif(), Image.Exif()
        for tag in _TIFF_TEXTS:
            if tag in tags:
                kept[tag] = tags[tag]
        for tag in _TIFF_DIRECTORIES:
            if directory := tags.get_ifd(tag):
                kept[tag] = directory
        exif = kept.tobytes() if len(kept) else b""
    return exif.removeprefix(EXIF_PREFIX) or None


# Description, make, model, software, date, artist, copyright; EXIF and GPS. The others describe the pixels
# of that very file; Pillow has already applied and removed the orientation.
_TIFF_TEXTS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_TIFF_DIRECTORIES = (0x8769, 0x8825)
_TIFF_XMP = 0x02BC


def to_array(picture: Picture) -> Plane:
    """Pixels `(H, W)` of a grey picture, `(H, W, 3)` of a colour one; alpha is the last of 2 or 4."""
    if picture.alpha is not None:
        return np.dstack([picture.pixels, picture.alpha])
    return picture.pixels[..., 0] if picture.pixels.shape[2] == 1 else picture.pixels


def to_pil(picture: Picture) -> Image.Image:
    """A Pillow image of mode L, LA, RGB or RGBA; `info` has `icc_profile`, `exif` and `xmp` where present."""
    image = Image.fromarray(to_array(picture))
    if picture.icc:
        image.info["icc_profile"] = picture.icc
    if picture.exif:
        image.info["exif"] = EXIF_PREFIX + picture.exif
    if picture.xmp:
        image.info["xmp"] = picture.xmp
    return image


def upright(picture: Picture) -> Picture:
    """The picture as a viewer shows it: turned the way its EXIF block says, and without that block."""
    if picture.exif:
        try:
            turned = ImageOps.exif_transpose(to_pil(picture))
        except Exception:  # Pillow reports damaged EXIF in many ways; such a block holds no orientation
            return replace(picture, exif=None)
        picture = load(turned, max_pixels=picture.pixels.size)
    return replace(picture, exif=None)


def same_channels(one: Picture, two: Picture) -> tuple[Plane, Plane]:
    """The pixels of both `(H, W, C)`, grey ones as three channels where the other picture has colours."""
    channels = max(one.pixels.shape[2], two.pixels.shape[2])
    first, second = (np.repeat(p.pixels, channels // p.pixels.shape[2], axis=2) for p in (one, two))
    return first, second


class _Format(NamedTuple):
    extensions: tuple[str, ...]
    options: dict[str, Any]  # for Pillow
    alpha: bool
    metadata: bool


_FORMATS = {
    "PNG": _Format((".png",), {}, alpha=True, metadata=True),
    "JPEG": _Format(
        (".jpg", ".jpeg", ".jfif"), {"quality": 95, "subsampling": "4:4:4"}, alpha=False, metadata=True
    ),
    # `exact` keeps the colours of transparent pixels.
    "WEBP": _Format((".webp",), {"lossless": True, "exact": True}, alpha=True, metadata=True),
    "TIFF": _Format((".tif", ".tiff"), {"compression": "tiff_adobe_deflate"}, alpha=True, metadata=True),
    "AVIF": _Format((".avif",), {"quality": 95, "subsampling": "4:4:4"}, alpha=True, metadata=True),
    "PPM": _Format((".ppm", ".pgm", ".pnm"), {}, alpha=False, metadata=False),
    "BMP": _Format((".bmp",), {}, alpha=False, metadata=False),
}


def format_for(path: str | os.PathLike[str]) -> str:
    """The format that the extension of `path` stands for: PNG, JPEG, WEBP, TIFF, AVIF, PPM or BMP."""
    extension = Path(path).suffix.lower()
    for name, rules in _FORMATS.items():
        if extension in rules.extensions:
            return name
    known = " ".join(extension for rules in _FORMATS.values() for extension in rules.extensions)
    raise UsageError(f"no format to write has the extension {extension!r}; use one of {known}")


def save(picture: Picture, target: str | os.PathLike[str] | BinaryIO, format: str) -> None:
    """Writes a picture; WebP lossless, JPEG and AVIF at quality 95 without chroma subsampling.

    Args:
        picture: to write, with all its metadata where the format has a place for it.
        target: a path, which is overwritten, or an open binary file. Nothing is written when encoding fails.
        format: a name from `format_for`, in any case; an extension does too.

    Raises:
        UsageError: unknown format, or one without transparency for a picture with alpha.
        NeuralCodecError: the format cannot hold the picture, or the file cannot be written.
    """
    name = format.upper()
    if name not in _FORMATS:
        name = format_for("x." + format.lower())
    rules = _FORMATS[name]
    if picture.alpha is not None and not rules.alpha:
        raise UsageError(f"{name} cannot hold transparency: use PNG, WebP, TIFF or AVIF")

    image, options = to_pil(picture), dict(rules.options)
    if rules.metadata:
        options.update((str(key), value) for key, value in image.info.items())
    elif image.info:
        _warn(f"{name} cannot hold metadata, dropped: {', '.join(map(str, image.info))}")
    buffer = io.BytesIO()
    try:
        if picture.exif and name != "JPEG":
            options["exif"] = picture.exif
        if picture.xmp and name == "PNG":
            options["pnginfo"] = PngInfo()
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", picture.xmp)
        if name == "TIFF":
            options["exif"] = _tiff_tags(picture)
        image.save(buffer, name, **options)
    except Exception as error:  # Pillow's writers raise OSError, ValueError, KeyError, SyntaxError, ...
        raise NeuralCodecError(f"cannot write the picture as {name}: {_line(error)}") from None
    if not isinstance(target, str | os.PathLike):
        target.write(buffer.getbuffer())
        return
    try:
        Path(target).write_bytes(buffer.getbuffer())
    except (OSError, ValueError) as error:
        raise NeuralCodecError(f"cannot write {target}: {_line(error)}") from None


def _tiff_tags(picture: Picture) -> Image.Exif:
    tags = Image.Exif()
    if picture.exif:
        tags.load(picture.exif)
    if picture.xmp:
        tags[_TIFF_XMP] = picture.xmp
    return tags
