"""A picture to an `.nc` file and back.

    encode:  pixels ─analysis─► y ─tiles─► hyper-analysis, prior, coder ─► segments ─► container
    decode:  container ─► segments ─coder, prior─► tiles of y_hat ─► synthesis ─► pixels

Encoding and decoding stand side by side; what both must do alike (`IntegerPrior.code`) is one function. Both
walk down the picture in bands, so that of the latent only a few rows of tiles are held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from neuralcodec import container, parallel, stagewise, weights
from neuralcodec.alpha import pack_alpha, unpack_alpha
from neuralcodec.container import Container, Limits
from neuralcodec.damage import Damage
from neuralcodec.entropy.coder import SymbolWriter
from neuralcodec.entropy.exact import Floats
from neuralcodec.entropy.rounding import Rounding, error_weight
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.header import CONV, GRU, Header, write_header
from neuralcodec.image import Picture, Plane
from neuralcodec.latents import Latents, decode_latents, recover_latents
from neuralcodec.tiling import (
    HALO,
    LATENT_STRIDE,
    WINDOW,
    Box,
    Window,
    band_height,
    bands,
    boxes,
    latent_size,
    windows,
)

if TYPE_CHECKING:
    from neuralcodec.models.conv import Features
    from neuralcodec.models.refine import Refiner
    from neuralcodec.models.runner import Model, Pixels

DEFAULT_QUALITY = 50
#: Side of a tile in pixels. Damage stays in a tile, a region takes whole ones; large ones take fewer bytes.
DEFAULT_TILES = {CONV: 1024, GRU: 512}
DEFAULT_EFFORT = 1

Progress = Callable[[float], None]
#: Results of `encode_picture` that do not depend on the quality.
Kept = dict[Hashable, Any]
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


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
        from neuralcodec.models.stage_runner import load as load_stages

        whole = Box.whole(latent_size(height), latent_size(width)).scaled(LATENT_STRIDE)
        pixels = _padded_pixels(picture.pixels, whole.slices)
        stages = stagewise.encode_stages(load_stages(path), pixels, header, report)
        return _file(picture, header, stages, kept)
    from neuralcodec.models.runner import load

    codec = load(path)

    def features(window: Window) -> Features:
        return codec.features(_padded_pixels(picture.pixels, window.read.scaled(LATENT_STRIDE).slices))

    def write_tile(latents: tuple[Box, Floats, Floats]) -> bytes:
        box, y, z = latents
        writer = SymbolWriter(codec.prior.tables)
        codec.prior.code(writer, header.quality_row, *box.shape, (y, z), rounding=rounding)
        return writer.finish()

    refine = _refiner(codec, header, effort)
    # What was refined is meant to be rounded to the nearest.
    rounding = Rounding(codec.prior.tables, error_weight(quality)) if refine is None else None
    plane = Box.whole(latent_size(height), latent_size(width))
    segments: list[bytes] = []
    most = WINDOW if refine is None else refine.window
    for band in bands(plane, band_height(plane, tile // LATENT_STRIDE, most)):
        report_band = _part(report, band.top / plane.height, band.bottom / plane.height)
        y = np.empty((*band.shape, codec.prior.latent), np.float32)
        refined = y if refine is None else np.empty_like(y)
        cut = list(windows(*plane.shape, area=band, most=most))
        for number, window in enumerate(cut, 1):
            report_window = _part(report_band, 0.7 * (number - 1) / len(cut), 0.7 * number / len(cut))
            part = codec.latent(_once(kept, window, features), quality)
            place = window.keep.moved(-band.top, 0).slices
            y[place] = part[window.inner.slices]
            if refine is not None:
                seen = window.read.scaled(LATENT_STRIDE).within(Box.whole(height, width))
                pixels = _padded_pixels(picture.pixels, seen.slices)
                refined[place] = refine(pixels, part, window, report_window)
            report_window(1)

        tiles = []
        for box in boxes(band, tile // LATENT_STRIDE):
            place = box.moved(-band.top, 0).slices
            beyond = ((0, -box.height % 4), (0, -box.width % 4), (0, 0))
            tile_y = np.pad(y[place], beyond)
            z = codec.hyper_analyse(tile_y)
            if refine is not None:
                tile_y = np.pad(refined[place], beyond)
            tiles.append((box, tile_y, z))
        segments += parallel.run(write_tile, tiles, codec.threads, _part(report_band, 0.7, 1))
    return _file(picture, header, segments, kept)


def _checked_effort(effort: object) -> int:
    if isinstance(effort, Integral) and not isinstance(effort, bool) and 1 <= int(effort) <= 9:
        return int(effort)
    raise UsageError(f"effort must be a whole number from 1 to 9, not {effort!r}")


def _refiner(codec: Model, header: Header, effort: int) -> Refiner | None:
    """What makes a better latent of a window, with an effort above 1."""
    if effort == 1:
        return None
    from neuralcodec.models.refine import STEPS_OF_EFFORT, Refiner

    tile, steps = header.tile // LATENT_STRIDE, STEPS_OF_EFFORT[effort - 1]
    return Refiner(codec, header.quality, header.quality_row, tile, steps)


def _file(picture: Picture, header: Header, segments: list[bytes], kept: Kept | None) -> bytes:
    plane = picture.alpha
    alpha = None if plane is None else _once(kept, "alpha", lambda _: pack_alpha(plane))
    return container.write(Container(header, segments, alpha, picture.icc, picture.exif, picture.xmp))


def _once(kept: Kept | None, key: K, make: Callable[[K], T]) -> T:
    """What `make` makes of the key, from `kept` if that was done before."""
    if kept is None:
        return make(key)
    if key not in kept:
        kept[key] = make(key)
    return kept[key]


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
        pixels = _grey(pixels) if header.grey else np.ascontiguousarray(pixels)
        alpha = None if alpha is None else alpha[region.slices]
        coarse = range(header.tile_count if stage is None and stages < header.stages else 0)
        return Picture(pixels, alpha, file.icc, file.exif, file.xmp, _damage(file, coarse, region))
    from neuralcodec.models.runner import load

    codec = load(path)
    plane = Box.whole(latent_size(header.height), latent_size(header.width))
    area = region.shrunk(LATENT_STRIDE)
    recovered: Latents | None = None
    lost: Sequence[int] = ()
    if partial:
        recovered, lost = recover_latents(file, codec, area.grown(HALO).within(plane))
    latents = None
    pixels = np.empty((*region.shape, 1 if header.grey else 3), np.uint8)
    for band in bands(area, band_height(area, header.tile // LATENT_STRIDE)):
        start, end = ((edge - area.top) / area.height for edge in (band.top, band.bottom))
        report_band = _part(report, start, end)
        needed = band.grown(HALO).within(plane)
        latents = recovered or decode_latents(
            file, codec, needed, known=latents, report=_part(report_band, 0, 0.3)
        )
        cut = list(windows(*plane.shape, area=band))
        for number, window in enumerate(cut, 1):
            part = codec.synthesise(np.ascontiguousarray(latents.at(window.read)), header.quality)
            target = window.keep.scaled(LATENT_STRIDE).within(region)
            inner = target.moved(-window.read.top * LATENT_STRIDE, -window.read.left * LATENT_STRIDE)
            part = part[inner.slices]
            if header.grey:
                part = _grey(part)
            pixels[target.moved(-region.top, -region.left).slices] = part
            report_band(0.3 + 0.7 * number / len(cut))
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
        yield Picture(_grey(pixels) if header.grey else pixels, alpha, file.icc, file.exif, file.xmp)


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


def _grey(pixels: Pixels) -> Pixels:
    """One channel of three that differ by rounding alone."""
    return pixels.mean(2, keepdims=True, dtype=np.float32).round().astype(np.uint8)


def _part(report: Progress, start: float, end: float) -> Progress:
    """Reports the progress of a part of the work, from one share of the whole to another."""
    return lambda share: report(start + share * (end - start))


def _padded_pixels(pixels: Pixels, place: tuple[slice, slice]) -> Pixels:
    """The pixels `(h, w, 3)` at `place`, the last row and column repeated where it reaches beyond."""
    part = pixels[place]
    rows, columns = (s.stop - s.start - n for s, n in zip(place, part.shape, strict=False))
    if rows or columns:
        part = np.pad(part, ((0, rows), (0, columns), (0, 0)), mode="edge")
    return np.require(np.broadcast_to(part, (*part.shape[:2], 3)), requirements=["C", "W"])
