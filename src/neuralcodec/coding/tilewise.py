"""Encode and decode with the conv model, band by band, window by window.

    encode:  pixels ─windows, analysis─► y ─tiles─► hyper-analysis, prior, coder ─► segments
    decode:  segments ─tiles─► coder, prior ─► y_hat ─windows, synthesis─► pixels

Both go down the picture in bands, so that only a few rows of tiles of the latent are held at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neuralcodec import parallel
from neuralcodec.arrays import Box, Floats, Pixels, Progress, quiet
from neuralcodec.coding.latents import Latents, decode_latents
from neuralcodec.coding.pixels import Kept, grey, padded_pixels, part
from neuralcodec.coding.tiling import WINDOW, Window, band_height, bands, boxes, latent_size, windows
from neuralcodec.entropy.coder import SymbolWriter
from neuralcodec.entropy.rounding import Rounding, error_weight
from neuralcodec.errors import UsageError
from neuralcodec.format.container import Container
from neuralcodec.format.header import Header
from neuralcodec.models.conv import DETAIL_HALO, STRIDE
from neuralcodec.models.conv.thumbnail import LEAST, thumbnail_of

if TYPE_CHECKING:
    from neuralcodec.coding.refine import DetailRefiner, Refiner
    from neuralcodec.models.conv.runner import Model
    from neuralcodec.models.protocols import TileDecoder, TileModel

#: Below this quality the mean colour of the decoded picture is checked.
COLOUR_KEPT_BELOW = 35
#: How far the mean of a channel may be off, in 8-bit levels; how far off a correction leaves it, since moving
#: it more than needed makes spots of colour; and how many encodes that may take.
MOST_SHIFT, AIM = 0.9, 0.5
MOST_ROUNDS = 5


def encode_tiles(
    codec: TileModel,
    pixels: Pixels,
    header: Header,
    *,
    effort: int,
    report: Progress = quiet,
    kept: Kept | None = None,
) -> list[bytes]:
    """Encode pixels to the segments of all tiles, in raster order.

    At low qualities, a plain ground rounds all its few flat components in the same direction, and the mean
    colour of the picture moves. There the result is decoded, and the picture is encoded again with its
    colours moved the other way, until the mean is right.

    Args:
        pixels: `(H, W, 3)`, or `(H, W, 1)` of a grey picture.
        effort, kept: see `encode_file`.
        report: called now and then with the share done, 0 to 1.
    """
    levels = codec.levels(header.quality)
    if levels.detail is not None:
        plane = Box.whole(*(latent_size(side, STRIDE) for side in pixels.shape[:2]))
        base = Latents.empty(plane, codec, detail=False)
        segments = _encode(
            codec, pixels, header, effort=1, report=part(report, 0, 0.5), kept=kept, decoded=base
        )
        half = part(report, 0.5, 1)
        return segments + _encode_detail(codec, pixels, header, base, effort=effort, report=half)
    if header.quality >= COLOUR_KEPT_BELOW:
        return _encode(codec, pixels, header, effort=effort, report=report, kept=kept)
    mean = pixels.mean((0, 1))
    shift, error = np.zeros_like(mean), np.zeros_like(mean)
    step = np.zeros_like(mean)
    best: tuple[float, list[bytes]] | None = None
    for number in range(MOST_ROUNDS):
        round_report = part(report, number / MOST_ROUNDS, (number + 1) / MOST_ROUNDS)
        moved = shift.astype(np.float32) if number else None
        segments = _encode(codec, pixels, header, effort=effort, report=round_report, kept=kept, shift=moved)
        before, error = error, _decoded_mean(codec, Container(header, segments)) - mean
        worst = float(np.abs(error).max())
        if best is None or worst < best[0]:
            best = worst, segments
        if worst <= MOST_SHIFT:
            break
        # Correct all that exceeds the aim; after an overshoot, interpolate linearly. A channel that others
        # moved, not a step of its own, has overshot nothing.
        too_far = (before * error < 0) & (step != 0)
        gain = np.divide(step, before - error, out=-np.ones_like(step), where=too_far)
        step = gain * (error - error.clip(-AIM, AIM))
        shift += step
    report(1.0)
    assert best is not None
    return best[1]


def _encode(
    codec: TileModel,
    pixels: Pixels,
    header: Header,
    *,
    effort: int,
    report: Progress,
    kept: Kept | None,
    shift: Floats | None = None,
    decoded: Latents | None = None,
) -> list[bytes]:
    """Encode the pixels to the segments of all tiles.

    Args:
        shift: `(1,)` or `(3,)`, added to the channels, in 8-bit levels.
        decoded: latents of the whole plane, which get what the segments decode to.
    """
    row = codec.levels(header.quality).base_row

    def read(box: Box) -> Pixels | Floats:
        values = padded_pixels(pixels, box.slices)
        return values if shift is None else values + shift

    def latent_of(window: Window) -> Floats:
        features = None if kept is None else kept.features.get(window)
        if features is None:
            features = codec.features(read(window.read.scaled(STRIDE)))
        if kept is not None:
            kept.features[window] = features
        return codec.latent(features, header.quality)

    def write_tile(latents: tuple[Box, Floats, Floats]) -> bytes:
        box, y, z = latents
        writer = SymbolWriter(codec.prior.tables)
        y_hat = codec.prior.code(writer, row, *box.shape, (y, z), rounding=rounding)
        if decoded is not None:
            decoded.at(box)[:] = y_hat
        return writer.finish()

    if shift is not None:
        kept = None  # it holds features of the unshifted pixels
    height, width = pixels.shape[:2]
    refine = _refiner(codec, header, effort)
    # A refined latent is meant to be rounded to the nearest.
    weight = error_weight(codec.levels(header.quality).base / codec.levels.highest)
    rounding = Rounding(codec.prior.tables, weight) if refine is None else None
    plane = Box.whole(latent_size(height, STRIDE), latent_size(width, STRIDE))
    segments: list[bytes] = []
    most = WINDOW if refine is None else refine.window
    for band in bands(plane, band_height(plane, header.tile // STRIDE, codec.halo, most)):
        report_band = part(report, band.top / plane.height, band.bottom / plane.height)
        y = np.empty((*band.shape, codec.prior.latent), np.float32)
        refined = y if refine is None else np.empty_like(y)
        cut = list(windows(plane, band, codec.halo, most))
        for number, window in enumerate(cut, 1):
            report_window = part(report_band, 0.7 * (number - 1) / len(cut), 0.7 * number / len(cut))
            latent = latent_of(window)
            place = window.keep.moved(-band.top, 0).slices
            y[place] = latent[window.inner.slices]
            if refine is not None:
                seen = window.read.scaled(STRIDE).within(Box.whole(height, width))
                refined[place] = refine(read(seen), latent, window, report_window)
            report_window(1)

        tiles = []
        for box in boxes(band, header.tile // STRIDE):
            place = box.moved(-band.top, 0).slices
            beyond = ((0, -box.height % 4), (0, -box.width % 4), (0, 0))
            tile_y = np.pad(y[place], beyond)
            z = codec.hyper_analyse(tile_y)
            if refine is not None:
                tile_y = np.pad(refined[place], beyond)
            tiles.append((box, tile_y, z))
        segments += parallel.run(write_tile, tiles, codec.threads, part(report_band, 0.7, 1))
    return segments


def _encode_detail(
    codec: TileModel, pixels: Pixels, header: Header, base: Latents, *, effort: int, report: Progress
) -> list[bytes]:
    """Encode the detail layer of pixels whose base decodes to `base`, the whole plane."""
    prior, row, size = codec.detail_prior, codec.levels(header.quality).detail_row, header.tile // STRIDE
    assert prior is not None
    plane = base.box

    def write_tile(tile: tuple[Box, Floats]) -> bytes:
        writer = SymbolWriter(codec.prior.tables)
        prior.code(writer, row, base.at(tile[0]), tile[1])  # cheaper symbols cost what they save
        return writer.finish()

    segments: list[bytes] = []
    refine = _detail_refiner(codec, header, effort)
    most = WINDOW if refine is None else refine.window
    for band in bands(plane, band_height(plane, size, DETAIL_HALO, most)):
        report_band = part(report, band.top / plane.height, band.bottom / plane.height)
        y = np.empty((2 * band.height, 2 * band.width, prior.latent), np.float32)
        cut = list(windows(plane, band, DETAIL_HALO, most))
        for number, window in enumerate(cut, 1):
            seen = padded_pixels(pixels, window.read.scaled(STRIDE).slices)
            decoded = np.ascontiguousarray(base.at(window.read))
            latent = codec.analyse_detail(seen, decoded, header.quality)
            place = window.keep.moved(-band.top, 0).scaled(2).slices
            report_window = part(report_band, 0.6 * (number - 1) / len(cut), 0.6 * number / len(cut))
            if refine is None:
                y[place] = latent[window.inner.scaled(2).slices]
            else:
                refine.over(decoded)
                visible = window.read.scaled(STRIDE).within(Box.whole(*pixels.shape[:2]))
                y[place] = refine(padded_pixels(pixels, visible.slices), latent, window, report_window)
            report_window(1)
        inside = [(box, y[box.moved(-band.top, 0).scaled(2).slices]) for box in boxes(band, size)]
        segments += parallel.run(write_tile, inside, codec.threads, part(report_band, 0.6, 1))
    return segments


def _refiner(codec: TileModel, header: Header, effort: int) -> Refiner | None:
    """Make the refiner for an effort above 1; None for effort 1."""
    if effort == 1:
        return None
    from neuralcodec.coding.refine import STEPS_OF_EFFORT, Refiner

    model = _in_torch(codec)
    tile, steps = header.tile // STRIDE, STEPS_OF_EFFORT[effort - 1]
    return Refiner(model, header.quality, codec.levels(header.quality).base_row, tile, steps)


def _detail_refiner(codec: TileModel, header: Header, effort: int) -> DetailRefiner | None:
    """Make the refiner of a detail layer for an effort above 1; None for effort 1.

    Raises:
        UsageError: the weights do not say what their detail layer was trained for.
    """
    if effort == 1:
        return None
    from neuralcodec.coding.refine import STEPS_OF_EFFORT, DetailRefiner

    model = _in_torch(codec)
    if model.detail_tradeoff is None:
        raise UsageError(f"effort {effort}: these weights do not say what their detail layer was trained for")
    return DetailRefiner(model, header.quality, header.tile // STRIDE, STEPS_OF_EFFORT[effort - 1])


def _in_torch(codec: TileModel) -> Model:
    from neuralcodec.models.conv.runner import Model

    assert isinstance(codec, Model)  # which is what an effort above 1 loads
    return codec


def _decoded_mean(codec: TileDecoder, file: Container) -> npt.NDArray[np.float64]:
    """Compute the mean of each channel `(1,)` or `(3,)` of the decoded picture, in 8-bit levels."""
    header = file.header
    parts = decode_windows(codec, file, Box.whole(header.height, header.width))
    total = sum(pixels.sum((0, 1), dtype=np.int64) for _, pixels in parts)
    return np.asarray(total) / (header.height * header.width)


def halo_of(codec: TileDecoder, file: Container) -> int:
    """Return how many latent positions around it the pixels of a position depend on."""
    return DETAIL_HALO if file.layers > 1 else codec.halo


def decode_region(
    codec: TileDecoder,
    file: Container,
    region: Box,
    report: Progress = quiet,
    recovered: Latents | None = None,
    *,
    reduce: int = 1,
) -> Pixels:
    """Decode a region to pixels `(h, w, 1 or 3)`; arguments and errors are those of `decode_windows`."""
    shown = region.shrunk(reduce)
    pixels = np.empty((*shown.shape, 1 if file.header.grey else 3), np.uint8)
    for box, values in decode_windows(codec, file, region, report, recovered, reduce=reduce):
        pixels[box.moved(-shown.top, -shown.left).slices] = values
    return pixels


def interpolate(
    codec: TileDecoder, one: Container, other: Container, shares: Sequence[float]
) -> Iterator[Pixels]:
    """Decode latents on the line between those of two files of one header: `(H, W, 1 or 3)`."""
    start, end = (decode_latents(file, codec) for file in (one, other))
    whole = Box.whole(one.header.height, one.header.width)
    for share in shares:
        values = start.values + np.float32(share) * (end.values - start.values)
        detail = None
        if start.detail is not None and end.detail is not None:
            detail = start.detail + np.float32(share) * (end.detail - start.detail)
        between = Latents(start.box, values, detail)
        yield decode_region(codec, one, whole, recovered=between)


def decode_windows(
    codec: TileDecoder,
    file: Container,
    region: Box,
    report: Progress = quiet,
    recovered: Latents | None = None,
    *,
    reduce: int = 1,
) -> Iterator[tuple[Box, Pixels]]:
    """Decode a region in parts that do not overlap; yield the box and the pixels `(h, w, 1 or 3)` of each.

    Args:
        recovered: latents of the region and a halo around it, if not those of the file.
        reduce: 1, 2, 4, 8 or 16: give means of so many pixels to a side, and boxes in these. The edges of the
            region must be multiples of it, except at the edges of the picture. Where the weights have a
            network for thumbnails, it makes those of 8 and 16.

    Raises:
        DamagedFileError: a tile is damaged.
    """
    header = file.header
    plane = Box.whole(latent_size(header.height, STRIDE), latent_size(header.width, STRIDE))
    area = region.shrunk(STRIDE)
    small = thumbnail_of(header.weights_id) if reduce >= LEAST else None
    latents = None
    halo = halo_of(codec, file)
    for band in bands(area, band_height(area, header.tile // STRIDE, halo)):
        start, end = ((edge - area.top) / area.height for edge in (band.top, band.bottom))
        report_band = part(report, start, end)
        needed = band.grown(halo).within(plane)
        latents = recovered or decode_latents(
            file, codec, needed, known=latents, report=part(report_band, 0, 0.3)
        )
        cut = list(windows(plane, band, halo))
        for number, window in enumerate(cut, 1):
            y_hat, detail = np.ascontiguousarray(latents.at(window.read)), latents.detail_at(window.read)
            if small is None:
                pixels = codec.at(window.read).synthesise(y_hat, header.quality, reduce, detail)
            else:
                pixels = small(y_hat, codec.levels(header.quality).base, reduce)
            target = window.keep.scaled(STRIDE).within(region)
            inner = target.moved(-window.read.top * STRIDE, -window.read.left * STRIDE)
            pixels = pixels[inner.shrunk(reduce).slices]
            yield target.shrunk(reduce), grey(pixels) if header.grey else pixels
            report_band(0.3 + 0.7 * number / len(cut))
