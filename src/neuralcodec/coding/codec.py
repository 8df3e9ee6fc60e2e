"""A picture to an `.nc` file and back: header, segments, alpha plane and metadata.

The model family codes pixels to segments and back, see `neuralcodec.coding.families`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from neuralcodec import parallel, weights
from neuralcodec.arrays import Box, Damage, Plane, Progress, quiet
from neuralcodec.coding.families import family_of
from neuralcodec.coding.families.protocol import Family
from neuralcodec.coding.pixels import Kept, box_reduced
from neuralcodec.coding.tiling import boxes
from neuralcodec.coding.vivid import load_decoder
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format import container
from neuralcodec.format.container import Container, Limits
from neuralcodec.format.header import Header, write_header
from neuralcodec.options import (
    DEFAULT_EFFORT,
    DEFAULT_MODEL,
    checked_effort,
    checked_quality,
    checked_realism,
    checked_reduce,
    is_whole,
)
from neuralcodec.picture.alpha import pack_alpha, unpack_alpha
from neuralcodec.picture.picture import Picture
from neuralcodec.weights import WeightsFile


def encode_picture(
    picture: Picture,
    *,
    quality: float | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    tile: int | None = None,
    effort: int = DEFAULT_EFFORT,
    device: str | None = None,
    progress: Progress | None = None,
    kept: Kept | None = None,
) -> bytes:
    """Encode a picture to the bytes of an `.nc` file; arguments and errors are those of `encode_file`."""
    file = encode_file(
        picture,
        quality=quality,
        model=model,
        tile=tile,
        effort=effort,
        device=device,
        progress=progress,
        kept=kept,
    )
    return container.write(file)


@parallel.computing()
def encode_file(
    picture: Picture,
    *,
    quality: float | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    tile: int | None = None,
    effort: int = DEFAULT_EFFORT,
    device: str | None = None,
    progress: Progress | None = None,
    kept: Kept | None = None,
) -> Container:
    """Encode a picture to the parts of an `.nc` file.

    Args:
        quality: 0 (smallest) to 100 (best), kept to two decimals; by default the family's own.
        model: name of the weights, or the path of a weights file.
        tile: side of a tile in pixels, a power of two from 64 to 2048; by default the family's own.
        effort: 1 (fast) to 9 (best); from 2, the encoder refines the latent of the picture.
        device: where the transforms run, `auto`, `cpu` or `cuda`; by default what `NCODEC_DEVICE` says.
        progress: called now and then with the share done, 0 to 1.
        kept: cache shared by encodes of one picture and model at several qualities; at first an empty one.

    Raises:
        UsageError: quality, model, tile or effort is out of range, or the picture too large for the model.
    """
    height, width, channels = picture.pixels.shape
    stored, header = start_file(
        (width, height),
        quality=quality,
        model=model,
        tile=tile,
        grey=channels == 1,
        alpha=picture.alpha is not None,
    )
    family = family_of(header.codec)
    effort = checked_effort(effort)
    if effort > family.efforts:
        name = header.codec.name
        raise UsageError(f"effort {effort}: the {name} model has no other effort than {family.efforts}")
    loaded, report = family.load(stored, device, effort=effort), progress or quiet
    segments = family.encode(loaded, picture.pixels, header, effort=effort, report=report, kept=kept)
    alpha = None if kept is None else kept.alpha
    if alpha is None and picture.alpha is not None:
        alpha = pack_alpha(picture.alpha)
        if kept is not None:
            kept.alpha = alpha
    return Container(header, segments, alpha, picture.icc, picture.exif, picture.xmp)


def start_file(
    size: tuple[int, int],
    *,
    quality: float | None,
    model: str | os.PathLike[str],
    tile: int | None = None,
    grey: bool = False,
    alpha: bool = False,
) -> tuple[WeightsFile, Header]:
    """Choose the weights and the header of a file of a width and a height; see `encode_file`.

    Raises:
        UsageError: an argument is out of range, or the picture is too large for the model.
    """
    stored = weights.by_name(model)
    family = family_of(stored.codec)
    header = Header(
        codec=stored.codec,
        weights_id=stored.id,
        width=size[0],
        height=size[1],
        quality=checked_quality(family.default_quality(stored) if quality is None else quality),
        tile=family.tile if tile is None else tile,
        grey=grey,
        alpha=alpha,
    )
    write_header(header)  # refuses what a file cannot hold
    if problem := _size_problem(header, family):
        raise UsageError(f"{problem}; the {DEFAULT_MODEL} model takes it")
    return stored, header


def _size_problem(header: Header, family: Family) -> str | None:
    most = family.max_pixels
    if most is None or header.width * header.height <= most:
        return None
    name = family.codec.name
    return f"{header.width}x{header.height} pixels are more than the {most} that the {name} model takes"


def decode_picture(
    data: bytes,
    *,
    region: Box | None = None,
    stage: int | None = None,
    reduce: int = 1,
    partial: bool = False,
    realism: float = 0.0,
    limits: Limits = container.DEFAULT_LIMITS,
    device: str | None = None,
    progress: Progress | None = None,
) -> Picture:
    """Decode the bytes of an `.nc` file, or a part of the picture in it.

    Args:
        partial: decode what is left of a damaged file: lost tiles are filled in smoothly, a lost alpha plane
            is opaque, lost metadata are left out. `Picture.damage` says what is missing.
        limits: the most that the file may ask for.
        region, stage, reduce, realism, device, progress: as in `decode_file`.

    Raises:
        DamagedFileError: the file is damaged, not an `.nc` file, needs weights that are not here, or asks
            for more than `limits`. With `partial`, damage is an error only where no tile is intact.
        UsageError: the region is empty or not within the picture; the file does not have that stage.
    """
    file = container.read(data, limits=limits, strict=not partial)
    return decode_file(
        file,
        region=region,
        stage=stage,
        reduce=reduce,
        partial=partial,
        realism=realism,
        device=device,
        progress=progress,
    )


@parallel.computing()
def decode_file(
    file: Container,
    *,
    region: Box | None = None,
    stage: int | None = None,
    reduce: int = 1,
    partial: bool = False,
    realism: float = 0.0,
    device: str | None = None,
    progress: Progress | None = None,
) -> Picture:
    """Decode the parts of an `.nc` file.

    Args:
        region: the pixels to decode, within the picture. Only tiles of a conv file that are near it are read.
        stage: stop after this many stages, from 1, of a file in stages.
        reduce: 1, 2, 4, 8 or 16: give the means of so many pixels to a side. The sides are rounded up.
            Metadata and the report of damage stay those of the whole picture.
        partial: decode what is left of a file that was read with its damage.
        realism: 0 is the true picture; up to 1, a vivid decoder adds texture that may have been there.
        device: as in `encode_file`.

    Raises:
        DamagedFileError, UsageError: as in `decode_picture`.
    """
    header, reduce = file.header, checked_reduce(reduce)
    family = family_of(header.codec)
    held = _stages_held(file, family)
    model = load_decoder(family, _weights_of(header), file, checked_realism(realism), device)
    stages = family.stages(model, header)
    if stage is not None and stages == 1:
        raise UsageError(f"the file has no stages: the {header.codec.name} model wrote it, in one layer")
    if stage is not None and not (is_whole(stage) and 1 <= int(stage) <= held):
        raise UsageError(f"the file has stages 1 to {held}, not {stage!r}")
    if held > stages:
        raise DamagedFileError(f"damaged file: it has {held} layers, and its quality stands for {stages}")
    if held < stages and not partial and stage is None:
        raise DamagedFileError(f"damaged file: it has {held} of its {stages} layers")
    if held < stages and (partial or file.damage):
        file.damage.append(f"the first {held} of {stages} stages are whole")
    whole = Box.whole(header.height, header.width)
    region = region or whole
    if region.height < 1 or region.width < 1 or region.within(whole) != region:
        raise UsageError(f"the region is not within the {header.width}x{header.height} pixels of the picture")
    alpha = _alpha(file, file.damage if partial else None)
    decoded = family.decode(
        model,
        file,
        region,
        stages=int(stage or held),
        reduce=reduce,
        partial=partial,
        report=progress or quiet,
    )
    coarse = stage is None and held < stages
    damage = _damage(file, range(header.tile_count) if coarse else decoded.lost, region, family.margin(file))
    alpha = None if alpha is None else box_reduced(alpha[region.slices], reduce)
    return Picture(decoded.pixels, alpha, file.icc, file.exif, file.xmp, damage)


def decode_stages(file: Container) -> Iterator[Picture]:
    """Decode the picture after each stage of a file, in one pass; a file without stages gives one picture.

    Raises:
        DamagedFileError: as in `decode_picture`.
    """
    header = file.header
    family = family_of(header.codec)
    stages, alpha = _stages_held(file, family), _alpha(file, None)
    with parallel.computing():
        model = family.load(_weights_of(header), None)
    for pixels in parallel.each_computing(family.decode_stages(model, file, stages=stages)):
        yield Picture(pixels, alpha, file.icc, file.exif, file.xmp)


def _stages_held(file: Container, family: Family) -> int:
    """Count the whole stages that a file holds, at least 1.

    Raises:
        DamagedFileError: it holds none, or the picture is larger than its codec takes.
    """
    if problem := _size_problem(file.header, family):
        raise DamagedFileError(problem)
    held = file.layers
    if not held:
        raise DamagedFileError("damaged file: not even the first stage is whole")
    return held


def _weights_of(header: Header) -> WeightsFile:
    stored = weights.by_id(header.weights_id)
    if stored.codec != header.codec:
        raise DamagedFileError("the codec of the header is not that of its weights: the header is damaged")
    return stored


def _damage(file: Container, lost: Sequence[int], region: Box, margin: int) -> Damage | None:
    """Describe what is wrong with a decoded region; None for an intact file."""
    if not file.damage:
        return None
    header = file.header
    tiles = list(boxes(Box.whole(header.height, header.width), header.tile))
    lost_boxes = tuple(tiles[number] for number in lost)
    return Damage(len(tiles), tuple(lost), lost_boxes, region, margin, tuple(file.damage))


def _alpha(file: Container, damage: list[str] | None) -> Plane | None:
    """Decode the alpha plane. A damaged one is opaque, with a line in `damage`; without a list, an error."""
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
