"""`ncodec encode`: turn pictures into `.nc` files."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuralcodec import files, weights
from neuralcodec.cli import batch, coding
from neuralcodec.cli.command import Command
from neuralcodec.cli.inputs import byte_limit, limits_of, name_of
from neuralcodec.cli.jobs import Result, Store, Task
from neuralcodec.cli.planning import Job
from neuralcodec.cli.values import effort, ms_ssim, noise, positive, quality, score, size
from neuralcodec.coding.families import FAMILIES, expect, family_of
from neuralcodec.errors import DamagedFileError, UsageError, warn
from neuralcodec.format.container import read
from neuralcodec.format.header import MAGIC, codec_named
from neuralcodec.options import DEFAULT_EFFORT, DEFAULT_MODEL
from neuralcodec.picture.formats import SUFFIXES
from neuralcodec.terminal import Show, about

TEXT = """\
examples:
  ncodec encode photo.png                     writes photo.nc
  ncodec encode -q 80 photo.png best.nc
  ncodec encode --target-size 24kB photo.png
  ncodec encode -e 9 photo.png                takes its time for a smaller file
  ncodec encode *.png -o small/               writes small/NAME.nc for each
  ncodec encode -r photos/ -o small/ --resume goes on where it was stopped
  curl -s https://example.org/a.jpg | ncodec encode - a.nc

PNG, JPEG, WebP, TIFF, AVIF, PPM, BMP, GIF, JPEG 2000, PSD, QOI, SGI, PCX and TGA go in, whatever the name;
HEIC and JPEG XL with a plugin. ICC profile, EXIF, XMP and transparency are kept.

"""


def add_arguments(parser: ArgumentParser) -> None:
    kinds = [f"{family.codec.name}: {family.summary}" for family in FAMILIES.values()]
    default = family_of(codec_named(DEFAULT_MODEL)).quality
    others = [f"; {f.codec.name}: {f.quality:g}" for f in FAMILIES.values() if f.quality != default]
    coding.add_files(parser)
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument(
        "-q",
        "--quality",
        type=quality,
        metavar="0..100",
        help="from 30 to 90 about the SSIMULACRA2 score, and two decimals count "
        f"(default: {default:g}{''.join(others)})",
    )
    wanted.add_argument(
        "--target-size",
        type=size,
        metavar="SIZE",
        help="at most 24000, 24kB, 1.5MiB, ...; up to 2 %% less",
    )
    wanted.add_argument(
        "--target-bpp",
        type=positive,
        metavar="BPP",
        help="the same, in bits for each pixel of the picture",
    )
    wanted.add_argument(
        "--target-msssim",
        type=ms_ssim,
        metavar="VALUE",
        help="an MS-SSIM, such as .95; met within .001",
    )
    wanted.add_argument(
        "--target-ssimulacra2",
        type=score,
        metavar="N",
        help="a SSIMULACRA2, such as 70; met within .5",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="MODEL",
        help=f"{'; '.join(kinds)} (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "-e",
        "--effort",
        type=effort,
        default=DEFAULT_EFFORT,
        metavar="1..9",
        help="more finds smaller files of equal quality and takes far longer (default: 1)",
    )
    parser.add_argument(
        "--denoise",
        type=noise,
        metavar="auto|light|strong|SIGMA",
        help="leave noise out: as much as is there (auto), or of this standard deviation, 0 to 50",
    )
    parser.add_argument("--mask", metavar="MASK.png", help="fill what is white in it, as ncodec inpaint does")
    parser.add_argument("--strip", action="store_true", help="drop ICC profile, EXIF and XMP")
    coding.add_output(parser)


def encode(args: Namespace) -> int:
    """Turn pictures into `.nc` files."""
    weights.by_name(args.model)  # refuses an unknown one before any work
    # `ncodec encode *.png` with two files in the folder must not replace the second one.
    if args.output_dir is None and len(args.files) == 2 and Path(args.files[1]).suffix.lower() in SUFFIXES:
        raise UsageError(f"{args.files[1]} is no name for an .nc file; -o FOLDER takes several inputs")
    jobs = coding.plan(args, _encoded_name, SUFFIXES)
    if args.mask is not None and (len(jobs) != 1 or args.ray is not None):
        raise UsageError("--mask is of one picture, encoded on this machine")
    return batch.run(Task(_encode_one, args, byte_limit(args), _is_there), jobs)


def _encode_one(job: Job, args: Namespace, store: Store, show: Show | None) -> Result:
    with about(job.name):
        data = store.read(job.source, byte_limit(args))
        if data.startswith(MAGIC):
            raise UsageError("is an .nc file already: `ncodec decode` makes a picture of it")
        expect(weights.by_name(args.model), effort=args.effort)
        from neuralcodec.picture.picture import upright
        from neuralcodec.picture.reading import load

        picture = load(data, max_pixels=limits_of(args).max_pixels)
        warn(picture.notes)
        if args.strip:
            # The orientation, which is in the EXIF block, goes into the pixels.
            picture = replace(upright(picture), icc=None, exif=None, xmp=None)
        start = time.perf_counter()
        if args.mask is not None:
            from neuralcodec.coding.inpaint import without

            picture = without(picture, mask=args.mask, model=args.model)
        from neuralcodec.coding import targets

        found = targets.encode(
            picture,
            quality=args.quality,
            target_size=args.target_size,
            target_bpp=args.target_bpp,
            target_msssim=args.target_msssim,
            target_ssimulacra2=args.target_ssimulacra2,
            model=args.model,
            effort=args.effort,
            denoise=args.denoise,
            progress=show,
        )
    with about(name_of(job.target, "standard output")), store.writing(job.target) as file:
        file.write(found.data)
    height, width = picture.pixels.shape[:2]
    facts: dict[str, Any] = {"bpp": 8 * len(found.data) / (height * width), "quality": found.quality}
    notes = [f"quality {found.quality:g}"]
    if found.reached is not None:
        facts["reached"] = found.reached
        notes.append(found.reached)
    if args.denoise is not None:
        facts["denoised"] = round(found.noise, 2)
        notes.append(f"noise {facts['denoised']:.3g}")
    notes += [] if found.encodes == 1 else [f"{found.encodes} encodes"]
    return coding.result(
        job, picture, sizes=(len(data), len(found.data)), facts=facts, notes=notes, start=start
    )


def _is_there(job: Job, args: Namespace) -> bool:
    """Tell whether the output is a whole `.nc` file that, as far as it shows, these options would make.

    Raises:
        UsageError: it is whole, but another one.
    """
    from neuralcodec import weights

    data = files.read(job.target, byte_limit(args))
    try:
        file = read(data, limits=limits_of(args))
    except DamagedFileError:
        return False
    coding.refuse_older(job)
    header = file.header
    stored = weights.by_name(args.model)
    if header.weights_id != stored.id:
        model = weights.name_of(header.weights_id) or header.weights_id.hex()
        raise coding.another(job, f"was made with model {model}, not {args.model}")
    largest = args.target_size
    if args.target_bpp is not None:
        largest = int(args.target_bpp * header.width * header.height / 8)
    if largest is not None and len(data) > largest:
        raise coding.another(job, f"has {len(data):,} bytes, more than {largest:,}")
    wanted = family_of(header.codec).default_quality(stored) if args.quality is None else args.quality
    free = largest is not None or args.target_msssim is not None or args.target_ssimulacra2 is not None
    if not free and header.quality != round(wanted, 2):
        raise coding.another(job, f"was made with quality {header.quality:g}, not {wanted:g}")
    if args.strip and (file.icc or file.exif or file.xmp):
        raise coding.another(job, "has metadata, which --strip drops")
    return True


def _encoded_name(name: str) -> str:
    path = Path(name)
    return f"{path.stem if path.suffix.lower() in SUFFIXES else name}.nc"


COMMAND = Command(encode, add_arguments, TEXT)
