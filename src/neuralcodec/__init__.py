"""neuralcodec: a learned image codec. Photographs in far fewer bytes than JPEG at the same MS-SSIM.

    import neuralcodec

    data = neuralcodec.encode("photo.png", quality=70)   # bytes of an .nc file
    image = neuralcodec.decode(data)                     # PIL.Image.Image
    facts = neuralcodec.info(data)                       # header and sizes, decodes nothing

Importing this module loads neither torch nor Pillow; the first call does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias, overload

from neuralcodec.errors import (
    DamagedFileError,
    DamageWarning,
    NeuralCodecError,
    NeuralCodecWarning,
    UsageError,
    warn,
)
from neuralcodec.options import DEFAULT_EFFORT, DEFAULT_MODEL, checked_region, checked_whole

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image
    from typing_extensions import Buffer

    from neuralcodec.coding.batched import BatchedCodec
    from neuralcodec.coding.info import Info
    from neuralcodec.format.container import Limits

__all__ = [
    "DamageWarning",
    "DamagedFileError",
    "Info",
    "NeuralCodecError",
    "NeuralCodecWarning",
    "UsageError",
    "__version__",
    "decode",
    "encode",
    "info",
    "inpaint",
    "interpolate",
    "load_model",
    "sample",
]
__version__ = "0.1.0"

#: Left, top, width and height in pixels.
Region: TypeAlias = tuple[int, int, int, int]
#: An `.nc` file: a path, an open binary file, or what holds its bytes, such as a `memoryview` or an `mmap`.
Source: TypeAlias = "str | os.PathLike[str] | BinaryIO | Buffer"


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name != "Info":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from neuralcodec.coding.info import Info  # late, since with it comes all that reads a file

        return Info


def encode(
    image: Image.Image | str | os.PathLike[str] | BinaryIO | npt.NDArray[np.uint8],
    *,
    quality: float | None = None,
    target_size: int | None = None,
    target_bpp: float | None = None,
    target_msssim: float | None = None,
    target_ssimulacra2: float | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    effort: int = DEFAULT_EFFORT,
    denoise: str | float | None = None,
    mask: Image.Image | str | os.PathLike[str] | BinaryIO | npt.NDArray[np.uint8] | None = None,
    device: str | None = None,
) -> bytes:
    """Encode a picture to the bytes of an `.nc` file.

    Args:
        image: a PIL image, a path, an open binary file, or uint8 pixels `(H, W)` or `(H, W, 1..4)`.
        quality: 0 (smallest) to 100 (best), kept to two decimals. From 30 to 90 it is about the SSIMULACRA2
            score of a photograph. The default is 70, high quality; of `gru` it is 100.
        target_size: instead of a quality, the bytes that the result may have: it comes out up to 2 % smaller,
            never larger, with a `NeuralCodecWarning` where the picture is much smaller even at quality 100.
        target_bpp: the same in bits for each pixel of the picture.
        target_msssim: instead of a quality, an MS-SSIM above 0 and below 1, which is met within 0.001.
        target_ssimulacra2: instead of a quality, a SSIMULACRA2 above 0 and below 100, met within 0.5.
        model: name of the weights, or the path of a weights file such as `ncodec export` writes.
        effort: 1 (fast) to 9 (best): how long to look for a better latent of this very picture.
        denoise: leave noise out: `auto` estimates how much there is, `light`, `strong`, or its standard
            deviation in 8-bit levels, 0 to 50.
        mask: a picture of the same size, white where pixels are filled from those around, as `inpaint` does.
        device: where the transforms run, `auto`, `cpu` or `cuda`; by default what `NCODEC_DEVICE` says.

    Raises:
        UsageError: an argument is out of range, the picture cannot meet the target, or there is no such
            device.
        DamagedFileError: the picture cannot be read.
    """
    from neuralcodec.coding import targets
    from neuralcodec.picture.reading import load

    picture = load(image)
    warn(picture.notes)
    if mask is not None:
        from neuralcodec.coding.inpaint import without

        picture = without(picture, mask=mask, model=model, device=device)
    found = targets.encode(
        picture,
        quality=quality,
        target_size=target_size,
        target_bpp=target_bpp,
        target_msssim=target_msssim,
        target_ssimulacra2=target_ssimulacra2,
        model=model,
        effort=effort,
        denoise=denoise,
        device=device,
    )
    return found.data


@overload
def decode(
    source: Source,
    *,
    region: Region | None = None,
    stage: int | None = None,
    reduce: int = 1,
    partial: bool = False,
    realism: float = 0.0,
    max_pixels: int | None = None,
    device: str | None = None,
    as_array: Literal[False] = False,
) -> Image.Image: ...
@overload
def decode(
    source: Source,
    *,
    region: Region | None = None,
    stage: int | None = None,
    reduce: int = 1,
    partial: bool = False,
    realism: float = 0.0,
    max_pixels: int | None = None,
    device: str | None = None,
    as_array: Literal[True],
) -> npt.NDArray[np.uint8]: ...
def decode(
    source: Source,
    *,
    region: Region | None = None,
    stage: int | None = None,
    reduce: int = 1,
    partial: bool = False,
    realism: float = 0.0,
    max_pixels: int | None = None,
    device: str | None = None,
    as_array: bool = False,
) -> Image.Image | npt.NDArray[np.uint8]:
    """Decode an `.nc` file.

    Args:
        source: its bytes, in whatever holds bytes, a path, or an open binary file.
        region: `(x, y, width, height)` of the pixels to decode; far cheaper than all of a large picture.
        stage: of a file in stages or layers, stop after this many of them, from 1.
        reduce: 2, 4, 8 or 16: a picture so many times smaller to a side, the means of its pixels.
        partial: of a damaged file, decode what is left. A `DamageWarning` says what is not: its `damage` has
            the numbers and boxes of lost tiles, `map()` as a mask, and what is wrong with the file.
        realism: up to 1, add texture that a low quality left out, as it may have been; see docs/vivid.md.
        max_pixels: refuse larger pictures before any memory is taken; by default 2^28.
        device: where the transforms run, `auto`, `cpu` or `cuda`; by default what `NCODEC_DEVICE` says.
        as_array: give pixels instead of an image.

    Returns:
        A PIL image of mode L, LA, RGB or RGBA with the metadata in its `info`; or uint8 pixels: `(H, W)` of a
        grey picture, `(H, W, 3)` of a colour one, with alpha as the last of two or four channels.

    Raises:
        DamagedFileError: the file is damaged, not ours, or asks for more than the limits. With `partial`,
            damage is an error only where no tile is intact.
        UsageError: there is no such file; the region is not within the picture; the file does not have that
            stage; there is no such device; realism is above 0 and the file's weights have no vivid decoder.
    """
    from neuralcodec.coding.codec import decode_picture
    from neuralcodec.picture.picture import to_array, to_pil

    limits, box = _limits(max_pixels), checked_region(region)
    picture = decode_picture(
        _bytes_of(source, limits),
        region=box,
        stage=stage,
        reduce=reduce,
        partial=partial,
        realism=realism,
        limits=limits,
        device=device,
    )
    if picture.damage is not None:
        warn([DamageWarning(picture.damage)])
    return to_array(picture) if as_array else to_pil(picture)


def info(source: Source, *, max_pixels: int | None = None) -> Info:
    """Say what the header and the chunks of an `.nc` file say. Decodes nothing and loads no torch.

    Of a damaged file, it says what is left: `damage` has a line for all that is wrong with it, and
    `lost_tiles` the numbers of tiles that are not intact.

    Args:
        source: its bytes, in whatever holds bytes, a path, or an open binary file.
        max_pixels: refuse larger pictures; by default 2^28.

    Raises:
        DamagedFileError: the file is not ours, asks for more than the limits, or no tile is intact.
        UsageError: there is no such file.
    """
    from neuralcodec.coding.info import info_of

    limits = _limits(max_pixels)
    return info_of(_bytes_of(source, limits), limits)


def _limits(max_pixels: int | None) -> Limits:
    from neuralcodec.format.container import Limits

    return Limits() if max_pixels is None else Limits(max_pixels=checked_whole("max_pixels", max_pixels))


def _bytes_of(source: Source, limits: Limits) -> bytes:
    from neuralcodec.files import bytes_of

    return bytes_of(source, limits.max_bytes)


def sample(
    width: int,
    height: int,
    *,
    quality: float | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    seed: int = 0,
    temperature: float = 1.0,
) -> bytes:
    """Draw an `.nc` file from the prior that codes files; `decode` shows the picture, a texture of no scene.

    Args:
        width, height: in pixels.
        quality: 0 to 100; the default is that of `encode`.
        model: name of the weights, or the path of a weights file.
        seed: from 0; the same gives the same file.
        temperature: above 0; 1 draws from the prior itself, less draws what is likelier.

    Raises:
        UsageError: an argument is out of range.
    """
    from neuralcodec.coding.sampling import sample_file
    from neuralcodec.format import container

    file = sample_file(width, height, quality=quality, model=model, seed=seed, temperature=temperature)
    return container.write(file)


def interpolate(
    one: Image.Image | str | os.PathLike[str] | BinaryIO | npt.NDArray[np.uint8],
    other: Image.Image | str | os.PathLike[str] | BinaryIO | npt.NDArray[np.uint8],
    *,
    steps: int = 7,
    quality: float | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    device: str | None = None,
) -> list[Image.Image]:
    """Walk from one picture to another of the same size, in the latent of the codec.

    Args:
        one, other: as `encode` takes them; their transparency and metadata take no part.
        steps: how many pictures, both ends included, from 2.
        quality, model, device: as in `encode`.

    Raises:
        UsageError: the sizes differ, an argument is out of range, or there is no such device.
        DamagedFileError: a picture cannot be read.
    """
    from neuralcodec.coding import sampling
    from neuralcodec.picture.picture import to_pil, upright
    from neuralcodec.picture.reading import load

    if checked_whole("steps", steps) < 2:
        raise UsageError(f"steps must be at least 2, not {steps}")
    start, end = (upright(load(picture)) for picture in (one, other))
    shares = [step / (steps - 1) for step in range(steps)]
    walk = sampling.interpolate(start, end, shares, quality=quality, model=model, device=device)
    return [to_pil(picture) for picture in walk]


def inpaint(
    image: Image.Image | str | os.PathLike[str] | BinaryIO | npt.NDArray[np.uint8],
    *,
    mask: Image.Image | str | os.PathLike[str] | BinaryIO | npt.NDArray[np.uint8] | None = None,
    region: Region | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    device: str | None = None,
) -> Image.Image:
    """Fill holes of a picture from the pixels around them, which stay as they are.

    Args:
        image: as `encode` takes it.
        mask: a picture of the same size, white where pixels are to be filled; what is transparent is black.
        region: instead, `(x, y, width, height)` of them.
        model, device: as in `encode`.

    Raises:
        UsageError: the mask is of another size, or marks nothing or everything.
        DamagedFileError: a picture cannot be read.
    """
    from neuralcodec.coding.inpaint import without
    from neuralcodec.picture.picture import to_pil
    from neuralcodec.picture.reading import load

    picture = load(image)
    warn(picture.notes)
    return to_pil(without(picture, mask=mask, region=checked_region(region), model=model, device=device))


def load_model(model: str | os.PathLike[str] = DEFAULT_MODEL, *, device: str | None = None) -> BatchedCodec:
    """Load a codec for batches of torch tensors, see `neuralcodec.coding.batched`.

    Args:
        model: name of the weights, or the path of a weights file.
        device: where it begins, `auto`, `cpu` or `cuda`; by default `cpu`. Its `to` moves it later.

    Raises:
        UsageError: there is no such model or device, or the model has no form for batches.
    """
    from neuralcodec import weights
    from neuralcodec.coding.families import family_of
    from neuralcodec.models.runtime import require_torch

    require_torch("load_model")
    file = weights.by_name(model)
    return family_of(file.codec).batched(file, device or "cpu")
