"""What each `ncodec` command does. Heavy imports come late, after all that can be refused without them."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from neuralcodec import files
from neuralcodec.cli import batch
from neuralcodec.cli.inputs import byte_limit, limits_of, name_of
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format.container import read, read_header
from neuralcodec.format.header import MAGIC
from neuralcodec.terminal import Show, about, say

if TYPE_CHECKING:
    from neuralcodec.coding.damage import Damage
    from neuralcodec.picture.reading import Picture, Plane

PICTURE_SUFFIXES = {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpeg", ".jpg", ".jxl"}
PICTURE_SUFFIXES |= {".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}


# ---- encode and decode -----------------------------------------------------------------------------------


def encode(args: Namespace) -> int:
    """Pictures to `.nc` files."""
    jobs, found = _plan(args, _encoded_name, PICTURE_SUFFIXES)
    for job in jobs:
        # `ncodec encode *.png` with two files in the folder must not replace the second one.
        if job.target is not None and job.target.suffix.lower() in PICTURE_SUFFIXES:
            raise UsageError(f"{job.target} is no name for an .nc file; -o FOLDER takes several inputs")
    return batch.run(batch.Task(_encode_one, args, byte_limit(args)), jobs, found=found)


def _encode_one(job: files.Job, args: Namespace, store: batch.Store, show: Show | None) -> batch.Sizes:
    with about(job.name, quiet=args.quiet):
        data = store.read(job.source, byte_limit(args))
        if data.startswith(MAGIC):
            raise UsageError("is an .nc file already: `ncodec decode` makes a picture of it")
        from neuralcodec.picture import reading

        picture = reading.load(data, max_pixels=limits_of(args).max_pixels)
        if args.strip:
            # The orientation, which is in the EXIF block, goes into the pixels.
            picture = replace(reading.upright(picture), icc=None, exif=None, xmp=None)
        from neuralcodec.coding import targets

        start = time.perf_counter()
        found = targets.encode(
            picture,
            quality=args.quality,
            target_size=args.target_size,
            target_bpp=args.target_bpp,
            target_msssim=args.target_msssim,
            model=args.model,
            effort=args.effort,
            progress=show,
        )
        seconds = time.perf_counter() - start
    with about(name_of(job.target, "standard output"), quiet=args.quiet), store.writing(job.target) as file:
        file.write(found.data)
    sizes = batch.Sizes(len(data), len(found.data), picture.pixels.shape[0] * picture.pixels.shape[1])
    notes = [f"quality {found.quality:g}"]
    notes += [] if found.ms_ssim is None else [f"MS-SSIM {found.ms_ssim:.4f}"]
    notes += [] if found.encodes == 1 else [f"{found.encodes} encodes"]
    _report(job, picture, sizes, coded=len(found.data), notes=notes, seconds=seconds, args=args)
    return sizes


def decode(args: Namespace) -> int:
    """`.nc` files to pictures."""
    extension = _extension(args)
    from neuralcodec.picture import reading

    reading.format_for(f"x{extension}")
    jobs, found = _plan(args, lambda name: _decoded_name(name, extension), {".nc"})
    for job in jobs:
        _format(job, args)  # refuses an unknown one before any work
    if args.damage_map is not None:
        _check_mask(args, jobs)
    return batch.run(batch.Task(_decode_one, args, byte_limit(args)), jobs, found=found)


def _decode_one(job: files.Job, args: Namespace, store: batch.Store, show: Show | None) -> batch.Sizes:
    with about(job.name, quiet=args.quiet):
        data = store.read(job.source, byte_limit(args))
        read_header(data)  # what is not ours is refused here, before the second that torch takes to load
        from neuralcodec.coding.codec import decode_picture
        from neuralcodec.picture import reading

        start = time.perf_counter()
        try:
            picture = decode_picture(
                data,
                region=args.region,
                stage=args.stage,
                partial=args.partial,
                limits=limits_of(args),
                progress=show,
            )
        except DamagedFileError as error:
            if args.partial or not _something_is_left(data, args):
                raise
            raise DamagedFileError(f"{error} (--partial decodes what is left)") from None
        seconds = time.perf_counter() - start
    with about(name_of(job.target, "standard output"), quiet=args.quiet), store.writing(job.target) as file:
        reading.save(picture, file, _format(job, args))
        after = file.tell()
    if args.damage_map is not None:
        mask = Path(args.damage_map)
        with about(name_of(mask), quiet=args.quiet), store.writing(mask) as file:
            reading.save(reading.Picture(_damage_map(picture)), file, "PNG")
    if picture.damage is not None and not args.quiet:
        _report_damage(job.name, picture.damage)
    pixels = picture.pixels.shape[0] * picture.pixels.shape[1]
    sizes = batch.Sizes(len(data), after, pixels, damaged=picture.damage is not None)
    _report(job, picture, sizes, coded=len(data), notes=[], seconds=seconds, args=args)
    return sizes


def _something_is_left(data: bytes, args: Namespace) -> bool:
    """Whether a damaged file has intact tiles, in stages a whole first stage of them."""
    try:
        file = read(data, limits=limits_of(args), strict=False)
        return bool(file.damage) and len(file.tiles) >= file.header.tile_count
    except DamagedFileError:
        return False


def _check_mask(args: Namespace, jobs: list[files.Job]) -> None:
    """Refuse a damage map that could not be written, as any other output."""
    if not args.partial:
        raise UsageError("--damage-map needs --partial, which is what leaves something to map")
    if len(jobs) != 1 or args.ray is not None:
        raise UsageError("--damage-map is the mask of one picture, decoded on this machine")
    if not args.damage_map.lower().endswith(".png"):
        raise UsageError(f"--damage-map {args.damage_map}: the mask is a .png")
    (job,) = jobs
    files.plan(["-" if job.source is None else str(job.source), args.damage_map], None, str, force=args.force)
    if job.target is not None and Path(args.damage_map).resolve() == job.target.resolve():
        raise UsageError(f"{args.damage_map} would be both the picture and its damage map")


def _damage_map(picture: Picture) -> Plane:
    """`(H, W, 1)`; all black where nothing is damaged."""
    import numpy as np

    height, width = picture.pixels.shape[:2]
    mask = np.zeros((height, width), np.uint8) if picture.damage is None else picture.damage.map()
    return mask[..., None]


def _report_damage(name: str, damage: Damage) -> None:
    """What is approximate or missing, and why: the first few places."""
    shown = 5
    for note in damage.notes[:shown]:
        say(f"ncodec: warning: {name}: {note}")
    if len(damage.notes) > shown:
        say(f"ncodec: warning: {name}: {len(damage.notes) - shown} more damaged places")
    say(f"ncodec: warning: {name}: {damage}")


def _plan(
    args: Namespace, rename: Callable[[str], str], suffixes: Collection[str]
) -> tuple[list[files.Job], int]:
    """The jobs, and how many more there are whose results exist and stay."""
    jobs = files.plan(
        args.files,
        args.output_dir,
        rename,
        force=args.force or args.resume,
        suffixes=suffixes if args.recursive else None,
    )
    # An output is there when it is complete, and not before.
    left = [job for job in jobs if not (args.resume and job.target is not None and job.target.exists())]
    return left, len(jobs) - len(left)


def _extension(args: Namespace) -> str:
    return "." + (args.format or "png").lower().removeprefix(".")


def _format(job: files.Job, args: Namespace) -> str:
    """The format of a decoded picture."""
    from neuralcodec.picture import reading

    if args.format or job.target is None or files.is_stream(job.target):
        return reading.format_for(f"x{_extension(args)}")
    return reading.format_for(job.target)


def _encoded_name(name: str) -> str:
    path = Path(name)
    return f"{path.stem if path.suffix.lower() in PICTURE_SUFFIXES else name}.nc"


def _decoded_name(name: str, extension: str) -> str:
    path = Path(name)
    return f"{path.stem if path.suffix.lower() == '.nc' else name}{extension}"


def _report(
    job: files.Job,
    picture: Picture,
    sizes: batch.Sizes,
    *,
    coded: int,
    notes: list[str],
    seconds: float,
    args: Namespace,
) -> None:
    if args.quiet:
        return
    height, width, channels = picture.pixels.shape
    bpp = 8 * coded / (height * width)
    names = " → ".join("-" if path is None else str(path) for path in job)
    facts = [names, f"{sizes.before:,} → {sizes.after:,} bytes", f"{bpp:.2f} bpp", *notes, f"{seconds:.2f} s"]
    say("  ".join(facts))
    if args.verbose:
        parts = [f"{width}x{height}", "grey" if channels == 1 else "colour"]
        parts += ["alpha"] if picture.alpha is not None else []
        parts += [f"{n} {len(b):,} bytes" for n in ("icc", "exif", "xmp") if (b := getattr(picture, n))]
        say(f"  {', '.join(parts)}")


# ---- benchmark and training --------------------------------------------------------------------------------


def bench(args: Namespace) -> int:
    """Measures codecs on pictures and writes a report."""
    from neuralcodec.bench import command

    return command.run(args)


def train(args: Namespace) -> int:
    """A recipe and a folder of pictures to a checkpoint."""
    from neuralcodec import weights
    from neuralcodec.training.loop import Trainer
    from neuralcodec.training.recipe import read_recipe

    recipe = read_recipe(Path(args.recipe))
    if args.minutes is not None:
        recipe = replace(recipe, training=replace(recipe.training, minutes=args.minutes))
    valid = None if args.valid is None else Path(args.valid)
    start = None
    if args.start is not None:
        start = Path(args.start) if Path(args.start).is_file() else weights.by_name(args.start)
    data, out = Path(args.data), Path(args.out)
    trainer = Trainer(recipe, data, out, valid, precision=args.precision, start=start, compiled=args.compile)
    trainer.run(save_minutes=args.save_minutes, valid_minutes=args.valid_minutes)
    return 0


def export(args: Namespace) -> int:
    """A checkpoint to the weights that the codec runs on."""
    out = Path(args.out)
    if out.is_file() and not args.force:
        raise UsageError(f"{out} exists: -f overwrites")
    from neuralcodec.training.export import export as export_weights

    images = None if args.images is None else Path(args.images)
    photos = None if args.fit is None else Path(args.fit)
    for name, value in export_weights(Path(args.checkpoint), out, images, photos).items():
        print(f"{name}: {value:.0f}" if float(value).is_integer() else f"{name}: {value:.6g}")
    return 0
