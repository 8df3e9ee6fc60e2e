"""What each `ncodec` command does. Heavy imports come late, after all that can be refused without them."""

from __future__ import annotations

import json
import math
import time
from argparse import Namespace
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from neuralcodec import batch, files
from neuralcodec.container import Limits, read_header
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.header import MAGIC
from neuralcodec.terminal import Show, about, say

if TYPE_CHECKING:
    from neuralcodec.damage import Damage
    from neuralcodec.image import Picture, Plane

PICTURE_SUFFIXES = {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpeg", ".jpg", ".jxl"}
PICTURE_SUFFIXES |= {".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}

#: Above, `compare` leaves SSIMULACRA2 out: its package takes 0.5 GB and 5 s for each megapixel.
SSIMULACRA2_PIXELS = 1 << 22


# ---- encode and decode -----------------------------------------------------------------------------------


def encode(args: Namespace) -> int:
    """Pictures to `.nc` files."""
    jobs, found = _plan(args, _encoded_name, PICTURE_SUFFIXES)
    for job in jobs:
        # `ncodec encode *.png` with two files in the folder must not replace the second one.
        if job.target is not None and job.target.suffix.lower() in PICTURE_SUFFIXES:
            raise UsageError(f"{job.target} is no name for an .nc file; -o FOLDER takes several inputs")
    return batch.run(batch.Task(_encode_one, args, _byte_limit(args)), jobs, found=found)


def _encode_one(job: files.Job, args: Namespace, store: batch.Store, show: Show | None) -> batch.Sizes:
    with about(job.name, quiet=args.quiet):
        data = store.read(job.source, _byte_limit(args))
        if data.startswith(MAGIC):
            raise UsageError("is an .nc file already: `ncodec decode` makes a picture of it")
        from neuralcodec import image

        picture = image.load(data, max_pixels=_limits(args).max_pixels)
        if args.strip:
            # The orientation, which is in the EXIF block, goes into the pixels.
            picture = replace(image.upright(picture), icc=None, exif=None, xmp=None)
        from neuralcodec import targets

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
    with about(_name(job.target, "standard output"), quiet=args.quiet), store.writing(job.target) as file:
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
    from neuralcodec import image

    image.format_for(f"x{extension}")
    jobs, found = _plan(args, lambda name: _decoded_name(name, extension), {".nc"})
    for job in jobs:
        _format(job, args)  # refuses an unknown one before any work
    if args.damage_map is not None:
        _check_mask(args, jobs)
    return batch.run(batch.Task(_decode_one, args, _byte_limit(args)), jobs, found=found)


def _decode_one(job: files.Job, args: Namespace, store: batch.Store, show: Show | None) -> batch.Sizes:
    with about(job.name, quiet=args.quiet):
        data = store.read(job.source, _byte_limit(args))
        read_header(data)  # what is not ours is refused here, before the second that torch takes to load
        from neuralcodec import image
        from neuralcodec.codec import decode_picture

        start = time.perf_counter()
        picture = decode_picture(
            data,
            region=args.region,
            stage=args.stage,
            partial=args.partial,
            limits=_limits(args),
            progress=show,
        )
        seconds = time.perf_counter() - start
    with about(_name(job.target, "standard output"), quiet=args.quiet), store.writing(job.target) as file:
        image.save(picture, file, _format(job, args))
        after = file.tell()
    if args.damage_map is not None:
        mask = Path(args.damage_map)
        with about(_name(mask), quiet=args.quiet), store.writing(mask) as file:
            image.save(image.Picture(_damage_map(picture)), file, "PNG")
    if picture.damage is not None and not args.quiet:
        _report_damage(job.name, picture.damage)
    pixels = picture.pixels.shape[0] * picture.pixels.shape[1]
    sizes = batch.Sizes(len(data), after, pixels, damaged=picture.damage is not None)
    _report(job, picture, sizes, coded=len(data), notes=[], seconds=seconds, args=args)
    return sizes


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
    from neuralcodec import image

    if args.format or job.target is None or files.is_stream(job.target):
        return image.format_for(f"x{_extension(args)}")
    return image.format_for(job.target)


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


# ---- looking at files ------------------------------------------------------------------------------------


def info(args: Namespace) -> int:
    """Prints what the header and the chunks of a file say."""
    import neuralcodec

    source = _path(args.file)
    with about(_name(source)):
        data = files.read(source, _byte_limit(args))
        facts = neuralcodec.info(data, max_pixels=_limits(args).max_pixels)
    if args.json:
        print(json.dumps(facts))
    else:
        widest = max(len(name) for name in facts)
        for name, value in facts.items():
            print(f"{name:{widest}}  {_plain(value)}")
    if facts["damage"]:
        lost = f"{len(facts['lost_tiles'])} of {facts['tiles']} tiles are damaged or missing"
        raise DamagedFileError(f"{_name(source)}: {lost}: {facts['damage'][0]}")
    return 0


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def compare(args: Namespace) -> int:
    """Prints how near two pictures are, and what they cost."""
    if args.a == args.b == "-":
        raise UsageError("only one of the two can come from standard input")
    (size_a, a), (size_b, b) = (_load_any(_path(name), args) for name in (args.a, args.b))
    height, width = a.pixels.shape[:2]
    if b.pixels.shape[:2] != (height, width):
        other = f"{b.pixels.shape[1]}x{b.pixels.shape[0]}"
        raise UsageError(f"pictures of {width}x{height} and {other} pixels cannot be compared")
    if a.alpha is not None or b.alpha is not None:
        say("ncodec: warning: only the colours are compared, not the transparency")
    if min(height, width) < 161:
        say("ncodec: warning: MS-SSIM is defined from 161 pixels a side: compare this one with its like only")

    from neuralcodec.bench import metrics
    from neuralcodec.image import same_channels

    one, two = same_channels(a, b)
    similarity = metrics.ms_ssim(one, two)
    decibels, psnr = metrics.ms_ssim_db(similarity), metrics.psnr(one, two)
    perceived = metrics.ssimulacra2(one, two) if height * width <= SSIMULACRA2_PIXELS else None
    costs = [(name, size, 8 * size / (height * width)) for name, size in ((args.a, size_a), (args.b, size_b))]
    if args.json:
        scores = {"ms_ssim": similarity, "ms_ssim_db": _finite(decibels), "psnr": _finite(psnr)}
        scores["ssimulacra2"] = perceived  # null where it was not measured
        entries = [{"file": name, "bytes": size, "bpp": bpp} for name, size, bpp in costs]
        print(json.dumps({"width": width, "height": height, **scores, "files": entries}))
        return 0
    print(f"MS-SSIM      {similarity:.5f}  {decibels:.2f} dB")
    print(f"PSNR         {psnr:.2f} dB")
    print(f"SSIMULACRA2  {_without_ssimulacra2(height, width) if perceived is None else f'{perceived:.2f}'}")
    widest = max(len(args.a), len(args.b))
    for name, size, bpp in costs:
        shown = name.encode(errors="replace").decode()  # a name need not be valid text
        print(f"{shown:{widest}}  {size:>12,} bytes  {bpp:.3f} bpp")
    return 0


def _without_ssimulacra2(height: int, width: int) -> str:
    """Why there is no value."""
    if height * width > SSIMULACRA2_PIXELS:
        return "–  only up to 4 megapixels"
    return "–  only from 8 pixels a side" if min(height, width) < 8 else "–  pip install 'neuralcodec[bench]'"


def view(args: Namespace) -> int:
    """Writes or serves a page to look at a picture."""
    if args.file == args.against == "-":
        raise UsageError("only one of the two can come from standard input")
    target = None
    if args.out is not None:
        if args.out != "-" and args.against and Path(args.out).resolve() == Path(args.against).resolve():
            raise UsageError(f"{args.out} is an input, which is never overwritten")
        [(_, target)] = files.plan([args.file, args.out], None, str, force=args.force)
    from neuralcodec.image import upright
    from neuralcodec.viewer.page import Frame, page

    def frames(name: str) -> list[Frame]:
        source = _path(name)
        with about(_name(source)):
            data = files.read(source, _byte_limit(args))
            if not data.startswith(MAGIC):
                return [Frame(_name(source), len(data), upright(_decode_any(data, args)))]
            from neuralcodec.progressive import frames as stages

            shown = list(stages(data, limits=_limits(args)))
        labels = [_name(source)] * len(shown)
        if len(shown) > 1:
            labels = [f"{label}, stage {frame.stage}" for label, frame in zip(labels, shown, strict=True)]
        return [Frame(label, f.size, upright(f.picture)) for label, f in zip(labels, shown, strict=True)]

    document = page(frames(args.file), None if args.against is None else frames(args.against)[-1])
    if args.out is not None:
        with about(_name(target, "standard output")), files.writing(target) as file:
            file.write(document.encode())
        return 0
    from neuralcodec.viewer import server

    with about(f"port {args.port}"), suppress(KeyboardInterrupt):  # Ctrl-C is how this ends
        server.serve(document, args.port, lambda address: print(f"{address}  (Ctrl-C ends)", flush=True))
    return 0


def bench(args: Namespace) -> int:
    """Measures codecs on pictures and writes a report."""
    from neuralcodec.bench import command

    return command.run(args)


def _finite(value: float) -> float | None:
    """The value as JSON can hold it: no infinity."""
    return value if math.isfinite(value) else None


def _load_any(source: Path | None, args: Namespace) -> tuple[int, Picture]:
    """The size in bytes and the picture of a file, an `.nc` file or any other."""
    with about(_name(source)):
        data = files.read(source, _byte_limit(args))
        return len(data), _decode_any(data, args)


def _decode_any(data: bytes, args: Namespace) -> Picture:
    if data.startswith(MAGIC):
        from neuralcodec.codec import decode_picture

        return decode_picture(data, limits=_limits(args))
    from neuralcodec import image

    return image.load(data, max_pixels=_limits(args).max_pixels)


# ---- training --------------------------------------------------------------------------------------------


def train(args: Namespace) -> int:
    """A recipe and a folder of pictures to a checkpoint."""
    from neuralcodec.training.loop import Trainer
    from neuralcodec.training.recipe import read_recipe

    recipe = read_recipe(Path(args.recipe))
    if args.minutes is not None:
        recipe = replace(recipe, training=replace(recipe.training, minutes=args.minutes))
    valid = None if args.valid is None else Path(args.valid)
    trainer = Trainer(recipe, Path(args.data), Path(args.out), valid, args.precision)
    trainer.run(save_minutes=args.save_minutes, valid_minutes=args.valid_minutes)
    return 0


def export(args: Namespace) -> int:
    """A checkpoint to the weights that the codec runs on."""
    out = Path(args.out)
    if out.is_file() and not args.force:
        raise UsageError(f"{out} exists: -f overwrites")
    from neuralcodec.training.export import export as export_weights

    images = None if args.images is None else Path(args.images)
    for name, value in export_weights(Path(args.checkpoint), out, images).items():
        print(f"{name}: {value:.0f}" if float(value).is_integer() else f"{name}: {value:.6g}")
    return 0


# ---- arguments -------------------------------------------------------------------------------------------


def _path(name: str) -> Path | None:
    return None if name == "-" else Path(name)


def _name(path: Path | None, stream: str = "standard input") -> str:
    return stream if path is None else str(path)


def _limits(args: Namespace) -> Limits:
    return Limits() if args.max_pixels is None else Limits(max_pixels=args.max_pixels)


def _byte_limit(args: Namespace) -> int:
    """What the largest allowed picture may take: 16 bits of four channels, and 64 MiB of metadata."""
    return 8 * _limits(args).max_pixels + 2**26
