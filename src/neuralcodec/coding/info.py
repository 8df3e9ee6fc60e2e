"""The facts of a file that need no decoding."""

from __future__ import annotations

from dataclasses import dataclass

from neuralcodec.format import container
from neuralcodec.format.container import Limits
from neuralcodec.format.header import VERSION


@dataclass(frozen=True)
class Info:
    """What the header and the chunks of an `.nc` file say.

    Args:
        format: version of the format.
        codec: name of the model family.
        weights: id of the weights that decode the file, in hexadecimal.
        weights_name: their name; None if they are not here.
        width, height: in pixels.
        quality: 0 to 100.
        stages: number of stages that the quality of gru stands for, or of layers that a conv file holds.
        tile: side of a tile in pixels.
        tiles: number of tile chunks.
        grey, alpha: whether the picture has one channel instead of three, and whether it has transparency.
        bytes: size of the whole file.
        bpp: bits for each pixel, of the whole file.
        tile_bytes, alpha_bytes, icc_bytes, exif_bytes, xmp_bytes: sizes of the parts; metadata uncompressed.
        lost_tiles: numbers of the tiles that are not intact.
        damage: all that is wrong with the file, one line each.
    """

    format: int
    codec: str
    weights: str
    weights_name: str | None
    width: int
    height: int
    quality: float
    stages: int
    tile: int
    tiles: int
    grey: bool
    alpha: bool
    bytes: int
    bpp: float
    tile_bytes: int
    alpha_bytes: int
    icc_bytes: int
    exif_bytes: int
    xmp_bytes: int
    lost_tiles: tuple[int, ...]
    damage: tuple[str, ...]


def info_of(data: bytes, limits: Limits) -> Info:
    """Read the header and the chunks of a file.

    Raises:
        DamagedFileError: the data are not ours, ask for more than the limits, or no tile is intact.
    """
    from neuralcodec import weights

    file = container.read(data, limits=limits, strict=False)
    header = file.header
    return Info(
        format=VERSION,
        codec=header.codec.name,
        weights=header.weights_id.hex(),
        weights_name=weights.name_of(header.weights_id),
        width=header.width,
        height=header.height,
        quality=header.quality,
        stages=max(header.stages, file.layers),
        tile=header.tile,
        tiles=len(file.tiles),
        grey=header.grey,
        alpha=header.alpha,
        bytes=len(data),
        bpp=8 * len(data) / (header.width * header.height),
        tile_bytes=sum(map(len, file.tiles)),
        alpha_bytes=len(file.alpha or b""),
        icc_bytes=len(file.icc or b""),
        exif_bytes=len(file.exif or b""),
        xmp_bytes=len(file.xmp or b""),
        lost_tiles=tuple(file.lost),
        damage=tuple(file.damage),
    )
