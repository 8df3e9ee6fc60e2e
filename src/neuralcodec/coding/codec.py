"""A picture to an `.nc` file and back: header, segments, alpha plane and metadata.

The pixels' way to segments and back is `tilewise` for the convolutional codec, `stagewise` for the recurrent
one. In each, encoding and decoding stand side by side, and what both must do alike is one function.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral, Real
from pathlib import Path

import numpy as np

from neuralcodec import weights
from neuralcodec.coding import stagewise, tilewise
from neuralcodec.coding.damage import Damage
from neuralcodec.coding.latents import Latents, recover_latents
from neuralcodec.coding.tilewise import Kept, Progress, grey, once, padded_pixels
from neuralcodec.coding.tiling import HALO, LATENT_STRIDE, Box, boxes, latent_size
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format import container
from neuralcodec.format.container import Container, Limits
from neuralcodec.format.header import CONV, GRU, Header, write_header
from neuralcodec.picture.alpha import pack_alpha, unpack_alpha
from neuralcodec.picture.picture import Picture, Plane

DEFAULT_QUALITY = 50
#: Side of a tile in pixels. Damage stays in a tile, a region takes whole ones; large ones take fewer bytes.
DEFAULT_TILES = {CONV: 1024, GRU: 512}
DEFAULT_EFFORT = 1


def encode_picture(
    picture: Picture,
    *,
    quality: float = DEFAULT_QUALITY,
    model: str = "conv",
    tile: int | None = None,
    effort: int = DEFAULT_EFFORT,
    progress: Progress | None = None,
    kept: Kept | None = None,
) -> bytes:
    """The `.nc` file of a picture.

    Args:
        quality: 0 (smallest) to 100 (best), kept to two decimals.
        model: name of the weights.
        tile: side of a tile in pixels, a power of two from 64 to 2048; from `DEFAULT_TILES` if not given.
        effort: 1 (fast) to 9 (best); from 2, the latent of this very picture is refined.
        progress: called now and then with the share that is done, 0 to 1.
        kept: what calls for the same picture and model at other qualities need not do again; an empty
            dictionary for the first of them. It grows to about 8 bytes for each pixel.

    Raises:
        UsageError: quality, model, tile or effort is out of range.
    """
    quality = checked_quality(quality)
    effort = _checked_effort(effort)
    path = weights.by_name(model)
    report = progress or (lambda share: None)
    height, width, channels = picture.pixels.shape
    tile = DEFAULT_TILES[weights.codec(path)] if tile is None else tile
    header = Header(
        codec=weights.codec(path),
        weights_id=weights.weights_id(path),
        width=width,
        height=height,
        quality=quality,
        tile=tile,
        grey=channels == 1,
        alpha=picture.alpha is not None,
    )
    write_header(header)  # refuses what a file cannot say, before the work
    if header.codec == GRU:
        if effort > 1:
            raise UsageError(f"effort {effort} is for the conv codec: gru has no other effort than 1")
        from neuralcodec.models.gru.runner import load as load_stages

        whole = Box.whole(latent_size(height), latent_size(width)).scaled(LATENT_STRIDE)
        pixels = padded_pixels(picture.pixels, whole.slices)
        stages = stagewise.encode_stages(load_stages(path), pixels, header, report)
        return _file(picture, header, stages, kept)
    from neuralcodec.models.conv.runner import load

    segments = tilewise.encode_tiles(
        load(path), picture.pixels, header, effort=effort, report=report, kept=kept
    )
    return _file(picture, header, segments, kept)


def _checked_effort(effort: object) -> int:
    if isinstance(effort, Integral) and not isinstance(effort, bool) and 1 <= int(effort) <= 9:
        return int(effort)
    raise UsageError(f"effort must be a whole number from 1 to 9, not {effort!r}")


def _file(picture: Picture, header: Header, segments: list[bytes], kept: Kept | None) -> bytes:
    plane = picture.alpha
    alpha = None if plane is None else once(kept, "alpha", lambda _: pack_alpha(plane))
    return container.write(Container(header, segments, alpha, picture.icc, picture.exif, picture.xmp))


def checked_quality(quality: object) -> float:
    """The quality rounded to the hundredths that a file can say.

    Raises:
        UsageError: it is no number from 0 to 100.
    """
    if isinstance(quality, Real) and not isinstance(quality, bool) and 0 <= float(quality) <= 100:
        return round(float(quality), 2)
    raise UsageError(f"quality must be a number from 0 to 100, not {quality!r}")


def decode_picture(
    data: bytes,
    *,
    region: Box | None = None,
    stage: int | None = None,
    partial: bool = False,
    limits: Limits = container.DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Picture:
    """The picture in an `.nc` file, or a part of it.

    Args:
        region: the pixels to decode, within the picture. Of a conv file only tiles near it are read.
        stage: of a gru file, stop after this many stages, from 1.
        partial: of a damaged file, decode what is left: lost tiles are filled in smoothly, a lost alpha plane
            is opaque, lost metadata are left out. `Picture.damage` says what is missing.

    Raises:
        DamagedFileError: the file is damaged, not an `.nc` file, needs weights that are not here, or asks
            for more than `limits`. With `partial`, damage is an error only where no tile is intact.
        UsageError: the region is empty or not within the picture; the file does not have that stage.
    """
    file = container.read(data, limits=limits, strict=not partial)
    header = file.header
    stages = stagewise.stages_to_decode(file, stage)
    if stages < header.stages and file.damage:
        file.damage.append(f"the first {stages} of {header.stages} stages are whole")
    whole = Box.whole(header.height, header.width)
    region = region or whole
    if region.height < 1 or region.width < 1 or region.within(whole) != region:
        raise UsageError(f"the region is not within the {header.width}x{header.height} pixels of the picture")
    path = _weights_of(header)
    alpha = _alpha(file, file.damage if partial else None)
    report = progress or (lambda share: None)
    if header.codec == GRU:
        pixels = stagewise.decode_picture(path, file, stages, report)[region.slices]
        pixels = grey(pixels) if header.grey else np.ascontiguousarray(pixels)
        alpha = None if alpha is None else alpha[region.slices]
        coarse = range(header.tile_count if stage is None and stages < header.stages else 0)
        return Picture(pixels, alpha, file.icc, file.exif, file.xmp, _damage(file, coarse, region))
    from neuralcodec.models.conv.runner import load

    codec = load(path)
    recovered: Latents | None = None
    lost: Sequence[int] = ()
    if partial:
        plane = Box.whole(latent_size(header.height), latent_size(header.width))
        recovered, lost = recover_latents(file, codec, region.shrunk(LATENT_STRIDE).grown(HALO).within(plane))
    pixels = np.empty((*region.shape, 1 if header.grey else 3), np.uint8)
    for box, part in tilewise.decode_windows(codec, file, region, report, recovered):
        pixels[box.moved(-region.top, -region.left).slices] = part
    alpha = None if alpha is None else alpha[region.slices]
    return Picture(pixels, alpha, file.icc, file.exif, file.xmp, _damage(file, lost, region))


def decode_stages(data: bytes, *, limits: Limits = container.DEFAULT_LIMITS) -> Iterator[Picture]:
    """The picture after each stage of a gru file, all in one pass; a conv file has one.

    Raises:
        DamagedFileError: as `decode_picture`.
    """
    file = container.read(data, limits=limits)
    header = file.header
    if header.codec != GRU:
        yield decode_picture(data, limits=limits)
        return
    stages = stagewise.stages_to_decode(file, None)
    path, alpha = _weights_of(header), _alpha(file, None)
    for pixels in stagewise.decode_pictures(path, file, stages, lambda share: None):
        yield Picture(grey(pixels) if header.grey else pixels, alpha, file.icc, file.exif, file.xmp)


def _weights_of(header: Header) -> Path:
    path = weights.by_id(header.weights_id)
    if weights.codec(path) != header.codec:
        raise DamagedFileError("the codec of the header is not that of its weights: the header is damaged")
    return path


def _damage(file: Container, lost: Sequence[int], region: Box) -> Damage | None:
    """What is wrong with a decoded region; None of an intact file."""
    if not file.damage:
        return None
    header = file.header
    tiles = list(boxes(Box.whole(header.height, header.width), header.tile))
    lost_boxes = tuple(tiles[number] for number in lost)
    return Damage(len(tiles), tuple(lost), lost_boxes, region, tuple(file.damage))


def _alpha(file: Container, damage: list[str] | None) -> Plane | None:
    """The alpha plane. A damaged one is opaque, with a line in `damage`; without such a list, an error."""
    header = file.header
    if not header.alpha:
        return None
    try:
        if file.alpha is None:
            raise DamagedFileError("the alpha plane is lost")
        return unpack_alpha(file.alpha, header.width, header.height)
    except DamagedFileError as error:
        if damage is None:
            raise
        damage.append(f"{error}; all is opaque instead")
        return np.full((header.height, header.width), 255, np.uint8)
