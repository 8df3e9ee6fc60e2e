"""A picture to an `.nc` file and back.

    encode:  pixels ─analysis─► y ─tiles─► hyper-analysis, prior, coder ─► segments ─► container
    decode:  container ─► segments ─coder, prior─► tiles of y_hat ─► synthesis ─► pixels

Encoding and decoding stand side by side; what both must do alike (`IntegerPrior.code`) is one function.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from neuralcodec import container, parallel, weights
from neuralcodec.alpha import pack_alpha, unpack_alpha
from neuralcodec.container import Container, Limits
from neuralcodec.entropy.coder import SymbolReader, SymbolWriter
from neuralcodec.entropy.exact import Floats
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.header import CONV, Header, write_header
from neuralcodec.image import Picture
from neuralcodec.tiling import HALO, LATENT_STRIDE, Box, boxes, latent_size, windows

if TYPE_CHECKING:
    from neuralcodec.models.runner import Model, Pixels

DEFAULT_QUALITY = 50
DEFAULT_TILE = 512

Progress = Callable[[float], None]


def encode_picture(
    picture: Picture,
    *,
    quality: float = DEFAULT_QUALITY,
    model: str = "conv",
    tile: int = DEFAULT_TILE,
    progress: Progress | None = None,
) -> bytes:
    """The `.nc` file of a picture.

    Args:
        quality: 0 (smallest) to 100 (best), kept to two decimals.
        model: name of the weights.
        tile: side of a tile in pixels, a power of two from 64 to 2048.
        progress: called now and then with the share that is done, 0 to 1.

    Raises:
        UsageError: quality, model or tile is out of range.
    """
    quality = checked_quality(quality)
    path = weights.by_name(model)
    from neuralcodec.models.runner import load

    codec = load(path)
    report = progress or (lambda share: None)
    height, width, channels = picture.pixels.shape
    header = Header(
        codec=CONV,
        weights_id=codec.id,
        width=width,
        height=height,
        quality=quality,
        tile=tile,
        grey=channels == 1,
        alpha=picture.alpha is not None,
    )
    write_header(header)  # refuses what a file cannot say, before the work

    y = np.empty((latent_size(height), latent_size(width), codec.prior.latent), np.float32)
    for window in windows(*y.shape[:2]):
        pixels = _padded_pixels(picture.pixels, window.read.scaled(LATENT_STRIDE).slices)
        y[window.keep.slices] = codec.analyse(pixels, quality)[window.inner.slices]
        report(0.7 * window.keep.bottom / y.shape[0])

    tiles = []
    for box in boxes(Box.whole(*y.shape[:2]), tile // LATENT_STRIDE):
        tile_y = np.pad(y[box.slices], ((0, -box.height % 4), (0, -box.width % 4), (0, 0)))
        tiles.append((box, tile_y, codec.hyper_analyse(tile_y)))

    def write_tile(item: tuple[Box, Floats, Floats]) -> bytes:
        box, tile_y, tile_z = item
        writer = SymbolWriter(codec.prior.tables)
        codec.prior.code(writer, header.quality_row, box.height, box.width, (tile_y, tile_z))
        return writer.finish()

    segments = parallel.run(write_tile, tiles, codec.threads, lambda share: report(0.7 + 0.3 * share))
    return container.write(
        Container(
            header,
            segments,
            alpha=None if picture.alpha is None else pack_alpha(picture.alpha),
            icc=picture.icc,
            exif=picture.exif,
            xmp=picture.xmp,
        )
    )


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
    limits: Limits = container.DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Picture:
    """The picture in an `.nc` file, or a part of it.

    Args:
        region: the pixels to decode, within the picture. Only tiles near it are read.

    Raises:
        DamagedFileError: the file is damaged, not an `.nc` file, needs weights that are not here, or asks
            for more than `limits`.
        UsageError: the region is empty or not within the picture.
    """
    file = container.read(data, limits=limits)
    header = file.header
    if header.codec != CONV:
        raise DamagedFileError(f"the file needs codec {header.codec}, which this version lacks")
    whole = Box.whole(header.height, header.width)
    region = region or whole
    if region.height < 1 or region.width < 1 or region.within(whole) != region:
        raise UsageError(f"the region is not within the {header.width}x{header.height} pixels of the picture")
    path = weights.by_id(header.weights_id)
    alpha = None if file.alpha is None else unpack_alpha(file.alpha, header.width, header.height)
    report = progress or (lambda share: None)
    from neuralcodec.models.runner import load

    codec = load(path)
    area = region.shrunk(LATENT_STRIDE)
    y_hat = decode_latents(file, codec, area, report)
    canvas = np.empty((*area.scaled(LATENT_STRIDE).shape, 3), np.uint8)
    for window in windows(*y_hat.shape[:2], area=area):
        part = codec.synthesise(np.ascontiguousarray(y_hat[window.read.slices]), header.quality)
        target = window.keep.moved(-area.top, -area.left).scaled(LATENT_STRIDE)
        canvas[target.slices] = part[window.inner.scaled(LATENT_STRIDE).slices]
        report(0.3 + 0.7 * (window.keep.bottom - area.top) / area.height)
    pixels = canvas[region.moved(-area.top * LATENT_STRIDE, -area.left * LATENT_STRIDE).slices]
    if header.grey:
        # The three channels differ by rounding alone; their mean is grey.
        pixels = pixels.mean(2, keepdims=True, dtype=np.float32).round().astype(np.uint8)
    alpha = None if alpha is None else alpha[region.slices]
    return Picture(np.ascontiguousarray(pixels), alpha, file.icc, file.exif, file.xmp)


def decode_latents(
    file: Container, codec: Model, area: Box | None = None, report: Progress = lambda share: None
) -> Floats:
    """y_hat `(H/16, W/16, C)` of a file: the exact part of decoding, the same on every machine.

    With an `area` of latent positions, only the tiles that its synthesis depends on are filled in.
    """
    header = file.header
    y_hat = np.empty((latent_size(header.height), latent_size(header.width), codec.prior.latent), np.float32)
    plane = Box.whole(*y_hat.shape[:2])
    needed = plane if area is None else area.grown(HALO).within(plane)

    def read_tile(item: tuple[Box, bytes]) -> None:
        box, segment = item
        reader = SymbolReader(codec.prior.tables, segment)
        y_hat[box.slices] = codec.prior.code(reader, header.quality_row, box.height, box.width)

    tiles = zip(boxes(plane, header.tile // LATENT_STRIDE), file.tiles, strict=True)
    wanted = [(box, segment) for box, segment in tiles if box.overlaps(needed)]
    parallel.run(read_tile, wanted, codec.threads, lambda share: report(0.3 * share))
    return y_hat


def _padded_pixels(pixels: Pixels, place: tuple[slice, slice]) -> Pixels:
    """The pixels `(h, w, 3)` at `place`, the last row and column repeated where it reaches beyond."""
    part = pixels[place]
    rows, columns = (s.stop - s.start - n for s, n in zip(place, part.shape, strict=False))
    if rows or columns:
        part = np.pad(part, ((0, rows), (0, columns), (0, 0)), mode="edge")
    return np.require(np.broadcast_to(part, (*part.shape[:2], 3)), requirements=["C", "W"])
