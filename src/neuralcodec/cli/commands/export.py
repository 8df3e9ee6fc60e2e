"""`ncodec export`: a checkpoint to the weights that the codec runs on."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from neuralcodec.cli.command import Command, add_force, add_threads
from neuralcodec.errors import UsageError

TEXT = """\
example:
  ncodec export runs/conv/checkpoint.safetensors conv.safetensors --images held-out/ --fit photos/

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint.safetensors of a run")
    parser.add_argument("out", metavar="OUT", help="the weights to write")
    parser.add_argument("--images", metavar="DIR", help="folder of held-out pictures to check the rate with")
    parser.add_argument("--fit", metavar="DIR", help="folder of photographs to fit the probability tables to")
    add_force(parser)
    add_threads(parser)


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


COMMAND = Command("export", "turn a training checkpoint into weights", export, add_arguments, TEXT)
