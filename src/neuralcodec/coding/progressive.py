"""Files in stages: cut them to a size, and show the picture after each stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from neuralcodec import weights
from neuralcodec.coding.codec import decode_stages
from neuralcodec.coding.families import family_of
from neuralcodec.errors import UsageError
from neuralcodec.format import container
from neuralcodec.format.container import Container, Limits

if TYPE_CHECKING:
    from PIL import Image

    from neuralcodec.picture.picture import Picture

#: Pixels across one picture of a contact sheet, and pictures in a row.
_SHEET_WIDTH, _SHEET_COLUMNS = 480, 4


class Frame(NamedTuple):
    """A picture after some of its stages, and the number of bytes that a file of these has."""

    stage: int
    size: int
    picture: Picture


def truncate(
    data: bytes,
    *,
    stages: int | None = None,
    size: int | None = None,
    limits: Limits = container.DEFAULT_LIMITS,
) -> bytes:
    """Cut a file to its first stages, without decoding it: the same as encoding with fewer stages.

    Args:
        stages: number of stages, from 1.
        size: or the number of bytes; as many stages as fit are kept.

    Raises:
        UsageError: the file has one stage or layer, or fewer than `stages`; one alone is larger than `size`.
        DamagedFileError: the file is damaged or asks for more than `limits`.
    """
    if (stages is None) == (size is None):
        raise UsageError("give either a number of stages or a size")
    file = container.read(data, limits=limits)
    held = file.layers
    if held == 1 and not file.header.codec.in_stages:
        raise UsageError("the file has one layer: gru files can be truncated, and conv files of two layers")
    if stages is not None:
        if not 1 <= stages <= held:
            raise UsageError(f"the file has stages 1 to {held}, not {stages}")
        return container.write(first_stages(file, stages))
    shorter = b""
    for count in range(held, 0, -1):
        shorter = container.write(first_stages(file, count))
        if size is not None and len(shorter) <= size:
            return shorter
    raise UsageError(f"one stage alone takes {len(shorter):,} bytes, more than {size:,}")


def first_stages(file: Container, stages: int) -> Container:
    """Keep the parts of a file that its first stages need, with the quality they stand for."""
    header = file.header
    if stages < file.layers:
        family, stored = family_of(header.codec), weights.by_id(header.weights_id)
        header = replace(header, quality=family.quality_of(stored, stages))
    return replace(file, header=header, tiles=file.tiles[: stages * header.tile_count])


def frames(data: bytes, *, limits: Limits = container.DEFAULT_LIMITS) -> Iterator[Frame]:
    """Yield the picture after each stage or layer of a file.

    Raises:
        DamagedFileError: the file is damaged or asks for more than `limits`.
    """
    file = container.read(data, limits=limits)
    for stage, picture in enumerate(decode_stages(file), 1):
        size = len(container.write(first_stages(file, stage))) if file.layers > 1 else len(data)
        yield Frame(stage, size, picture)


def contact_sheet(pictures: list[Picture], labels: list[str]) -> Image.Image:
    """Arrange all pictures, small, in one image, each with its label below."""
    from PIL import Image, ImageDraw, ImageFont

    from neuralcodec.picture.picture import to_pil

    first = to_pil(pictures[0])
    width = min(_SHEET_WIDTH, first.width)
    height = max(round(first.height * width / first.width), 1)
    font = ImageFont.load_default(16)
    margin, line = 8, 24
    columns = min(_SHEET_COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    cell = (max(width, 300) + margin, height + line + margin)
    sheet = Image.new("RGB", (columns * cell[0] + margin, rows * cell[1] + margin), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        at = (margin + number % columns * cell[0], margin + number // columns * cell[1])
        small = to_pil(picture).convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(small, at)
        pen.text((at[0], at[1] + height + 3), label, "black", font)
    return sheet
