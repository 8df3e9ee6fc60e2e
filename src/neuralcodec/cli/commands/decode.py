"""`ncodec decode`: turn `.nc` files into pictures."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from neuralcodec import files
from neuralcodec.arrays import Box
from neuralcodec.cli import batch, coding, planning
from neuralcodec.cli.command import Command
from neuralcodec.cli.inputs import byte_limit, limits_of, name_of
from neuralcodec.cli.jobs import Result, Store, Task
from neuralcodec.cli.planning import Job
from neuralcodec.cli.values import count, lossy_quality, realism, region, whole
from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError, warn
from neuralcodec.format.container import read, read_header
from neuralcodec.options import REDUCES
from neuralcodec.picture.formats import format_for
from neuralcodec.terminal import Show, about, say

if TYPE_CHECKING:
    from neuralcodec.arrays import Damage, Plane
    from neuralcodec.format.container import Container
    from neuralcodec.picture.picture import Picture


TEXT = """\
examples:
  ncodec decode photo.nc                      writes photo.png
  ncodec decode photo.nc photo.jpg
  ncodec decode *.nc -o pictures/ --format webp
  ncodec decode --format ppm photo.nc - | display -
  ncodec decode -q 80 --strip photo.nc small.jpg
  ncodec decode --region 1000,500,400,300 large.nc detail.png
  ncodec decode --realism 1 photo.nc vivid.png
  ncodec decode --partial --damage-map mask.png damaged.nc

The extension of OUT says the format: png, jpg, webp, tif, avif, ppm or bmp.

"""


def add_arguments(parser: ArgumentParser) -> None:
    coding.add_files(parser)
    parser.add_argument(
        "--region",
        type=region,
        metavar="X,Y,W,H",
        help="decode these pixels only: left, top, width, height",
    )
    parser.add_argument(
        "--stage", type=count, metavar="N", help="of a file in stages or layers, stop after N"
    )
    parser.add_argument("--format", metavar="EXT", help="format of the pictures (default: by name, else png)")
    parser.add_argument(
        "-q",
        "--quality",
        type=lossy_quality,
        metavar="1..100",
        help="of JPEG, AVIF and lossy WebP (default: 95; WebP without loss)",
    )
    parser.add_argument("--strip", action="store_true", help="drop ICC profile, EXIF and XMP")
    parser.add_argument(
        "--reduce",
        type=whole,
        choices=REDUCES[1:],
        default=1,
        metavar="2|4|8|16",
        help="a picture so many times smaller to a side, for thumbnails",
    )
    parser.add_argument(
        "--realism",
        type=realism,
        default=0.0,
        metavar="0..1",
        help="add texture that may have been there, where a low quality left it out (default: 0, none)",
    )
    damaged = parser.add_mutually_exclusive_group()
    damaged.add_argument(
        "--strict",
        action="store_false",
        dest="partial",
        default=False,
        help="refuse a damaged file (the default)",
    )
    damaged.add_argument(
        "--partial",
        action="store_true",
        help="of a damaged file, decode what is left and fill in the rest; exit code 4",
    )
    parser.add_argument(
        "--damage-map",
        metavar="MASK.png",
        help="with --partial: where the picture is approximate, white; near enough to differ, grey",
    )
    coding.add_output(parser)


def decode(args: Namespace) -> int:
    """Turn `.nc` files into pictures."""
    extension = _extension(args)
    format_for(f"x{extension}")
    jobs = coding.plan(args, lambda name: _decoded_name(name, extension), {".nc"})
    for job in jobs:
        _check_format(_format(job, args), args)
    if args.damage_map is not None:
        _check_mask(args, jobs)
    return batch.run(Task(_decode_one, args, byte_limit(args), _is_there), jobs)


def _decode_one(job: Job, args: Namespace, store: Store, show: Show | None) -> Result:
    with about(job.name):
        data = store.read(job.source, byte_limit(args))
        header = read_header(data)  # what is not ours is refused here, before a model is loaded
        start = time.perf_counter()
        try:
            whole = read(data, limits=limits_of(args), strict=not args.partial)
            _expect(whole, args)
            from neuralcodec.coding.codec import decode_file
            from neuralcodec.picture.picture import Picture
            from neuralcodec.picture.writing import save

            picture = decode_file(
                whole,
                region=args.region,
                stage=args.stage,
                reduce=args.reduce,
                partial=args.partial,
                realism=args.realism,
                progress=show,
            )
        except DamagedFileError as error:
            if args.partial or not _something_is_left(data, args):
                raise
            raise DamagedFileError(f"{error} (--partial decodes what is left)") from None
    with about(name_of(job.target, "standard output")), store.writing(job.target) as file:
        warn(save(picture, file, _format(job, args), quality=args.quality, strip=args.strip))
        after = file.tell()
    if args.damage_map is not None:
        mask = Path(args.damage_map)
        with about(name_of(mask)), store.writing(mask) as file:
            save(Picture(_damage_map(picture)), file, "PNG")
    if picture.damage is not None:
        _report_damage(job.name, picture.damage)
    facts = {"bpp": 8 * len(data) / (header.height * header.width), "damaged": picture.damage is not None}
    return coding.result(job, picture, sizes=(len(data), after), facts=facts, notes=[], start=start)


def _expect(file: Container, args: Namespace) -> None:
    """Begin to load what decoding the whole of a file needs."""
    if args.reduce == 1 and file.layers:
        from neuralcodec import weights
        from neuralcodec.coding.families import expect

        with suppress(DamagedFileError):  # the weights are not here, which decoding will say
            expect(weights.by_id(file.header.weights_id), min(args.stage or file.layers, file.layers))


def _is_there(job: Job, args: Namespace) -> bool:
    """Tell whether the output is a whole picture of the right size.

    Raises:
        UsageError: it is whole, but older than the input or of another size.
    """
    from neuralcodec.picture.reading import load

    assert job.target is not None
    try:
        picture = load(job.target, max_pixels=limits_of(args).max_pixels)
    except NeuralCodecError:
        return False
    coding.refuse_older(job)
    header = read_header(files.read(job.source, byte_limit(args)))
    region = args.region or Box.whole(header.height, header.width)
    wanted = Box.whole(*region.shape).shrunk(args.reduce).shape
    height, width = picture.pixels.shape[:2]
    if sorted(wanted) != sorted((height, width)):  # an orientation may have gone into the pixels
        raise coding.another(job, f"has {width}x{height} pixels, not {wanted[1]}x{wanted[0]}")
    return True


def _something_is_left(data: bytes, args: Namespace) -> bool:
    """Tell whether a damaged file has intact tiles; in stages, a whole first stage of them."""
    try:
        file = read(data, limits=limits_of(args), strict=False)
        return bool(file.damage) and len(file.tiles) >= file.header.tile_count
    except DamagedFileError:
        return False


def _check_mask(args: Namespace, jobs: list[Job]) -> None:
    """Refuse a damage map that could not be written, as for any other output."""
    if not args.partial:
        raise UsageError("--damage-map needs --partial, which is what leaves something to map")
    if len(jobs) != 1 or args.ray is not None:
        raise UsageError("--damage-map is the mask of one picture, decoded on this machine")
    if not args.damage_map.lower().endswith(".png"):
        raise UsageError(f"--damage-map {args.damage_map}: the mask is a .png")
    (job,) = jobs
    source = "-" if job.source is None else str(job.source)
    planning.plan([source, args.damage_map], None, str, force=args.force)
    if job.target is not None and Path(args.damage_map).resolve() == job.target.resolve():
        raise UsageError(f"{args.damage_map} would be both the picture and its damage map")


def _damage_map(picture: Picture) -> Plane:
    """Draw the damage map `(H, W, 1)`; it is all black if nothing is damaged."""
    import numpy as np

    height, width = picture.pixels.shape[:2]
    mask = np.zeros((height, width), np.uint8) if picture.damage is None else picture.damage.map()
    return mask[..., None]


def _report_damage(name: str, damage: Damage) -> None:
    """Print what is approximate or missing, and why: the first few places."""
    shown = 5
    for note in damage.notes[:shown]:
        say(f"ncodec: warning: {name}: {note}")
    if len(damage.notes) > shown:
        say(f"ncodec: warning: {name}: {len(damage.notes) - shown} more damaged places")
    say(f"ncodec: warning: {name}: {damage}")


def _check_format(format: str, args: Namespace) -> None:
    """Refuse, before any work, a quality that the format does not have."""
    if args.quality is not None:
        from neuralcodec.picture.writing import rules_for

        rules_for(format, args.quality)


def _extension(args: Namespace) -> str:
    return "." + (args.format or "png").lower().removeprefix(".")


def _format(job: Job, args: Namespace) -> str:
    """Return the format of a decoded picture."""
    if args.format or job.target is None or files.is_stream(job.target):
        return format_for(f"x{_extension(args)}")
    return format_for(job.target)


def _decoded_name(name: str, extension: str) -> str:
    path = Path(name)
    return f"{path.stem if path.suffix.lower() == '.nc' else name}{extension}"


COMMAND = Command(decode, add_arguments, TEXT)
