"""The commands for files in stages: `ncodec truncate` and `ncodec progressive`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from neuralcodec import files
from neuralcodec.cli.inputs import byte_limit, limits_of, name_of, path_of
from neuralcodec.errors import UsageError
from neuralcodec.terminal import about, say


def truncate(args: Namespace) -> int:
    """The first stages of a file, without encoding again."""
    (job,) = files.plan([args.file, args.out], None, lambda name: name, force=args.force)
    from neuralcodec.coding.progressive import truncate as first_stages

    with about(name_of(job.source)):
        data = files.read(job.source, byte_limit(args))
        shorter = first_stages(data, stages=args.stage, size=args.size, limits=limits_of(args))
    with about(name_of(job.target, "standard output")), files.writing(job.target) as file:
        file.write(shorter)
    if not args.quiet:
        from neuralcodec.format.container import read_header

        stages = f"{read_header(shorter).stages} of {read_header(data).stages} stages"
        say(f"{args.file} → {args.out}  {len(data):,} → {len(shorter):,} bytes  {stages}")
    return 0


def progressive(args: Namespace) -> int:
    """A picture of every stage, and all of them on one sheet."""
    out = Path(args.out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is not a folder")
    if not args.force and (existing := sorted(out.glob("stage-*.png")) + sorted(out.glob("sheet.png"))):
        raise UsageError(f"{existing[0]} exists: -f overwrites")
    from neuralcodec.coding.progressive import contact_sheet, frames
    from neuralcodec.picture import reading

    source = path_of(args.file)
    with about(name_of(source)):
        data = files.read(source, byte_limit(args))
        shown = list(frames(data, limits=limits_of(args)))
    if args.against is None:
        reference, of = shown[-1].picture, "the last stage"
    else:
        with about(args.against):
            original = files.read(Path(args.against), byte_limit(args))
            reference, of = reading.load(original, max_pixels=limits_of(args).max_pixels), args.against
    height, width = reference.pixels.shape[:2]
    if shown[0].picture.pixels.shape[:2] != (height, width):
        raise UsageError(f"{args.against} has {width}x{height} pixels, the file has not")
    from neuralcodec.picture import metrics

    labels = []
    for frame in shown:
        similarity = metrics.ms_ssim(*reading.same_channels(reference, frame.picture))
        bpp = 8 * frame.size / (height * width)
        labels.append(f"{frame.stage}: {frame.size:,} bytes  {bpp:.3f} bpp  MS-SSIM {similarity:.4f}")
    out.mkdir(parents=True, exist_ok=True)
    for frame in shown:
        target = out / f"stage-{frame.stage}.png"
        with about(str(target)), files.writing(target) as file:
            reading.save(frame.picture, file, "PNG")
    with about(str(out / "sheet.png")), files.writing(out / "sheet.png") as file:
        contact_sheet(shown, labels).save(file, "PNG")
    if not args.quiet:
        say(f"{args.file} → {out}  MS-SSIM against {of}")
        for label in labels:
            say(f"  {label}")
    return 0
