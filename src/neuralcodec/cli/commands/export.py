"""`ncodec export`: turn a checkpoint into the weights that the codec runs on."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from neuralcodec.cli.command import Command, add_force, add_threads
from neuralcodec.errors import UsageError

TEXT = """\
examples:
  ncodec export runs/conv/checkpoint.safetensors mine.safetensors --images held-out/ --fit photos/
  ncodec encode --model mine.safetensors photo.png
  NCODEC_WEIGHTS=mine.safetensors ncodec decode photo.nc

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint.safetensors of a run")
    parser.add_argument(
        "out", metavar="OUT", help="the weights to write; in a folder, as MODEL-ID.safetensors"
    )
    parser.add_argument("--images", metavar="DIR", help="folder of held-out pictures to check the rate with")
    parser.add_argument("--fit", metavar="DIR", help="folder of photographs to fit the probability tables to")
    add_force(parser)
    add_threads(parser)


def export(args: Namespace) -> int:
    """Turn a checkpoint into the weights that the codec runs on."""
    out = Path(args.out)
    if out.is_file() and not args.force:
        raise UsageError(f"{out} exists: -f overwrites")
    from neuralcodec.models.runtime import require_torch

    require_torch("export")
    from neuralcodec.training.export import export as export_weights

    images = None if args.images is None else Path(args.images)
    photos = None if args.fit is None else Path(args.fit)
    file, report = export_weights(Path(args.checkpoint), out, images, photos)
    print(f"file: {file.path}\nid: {file.id.hex()}")
    for name, value in report.items():
        print(f"{name}: {value:.0f}" if float(value).is_integer() else f"{name}: {value:.6g}")
    return 0


COMMAND = Command(export, add_arguments, TEXT)
