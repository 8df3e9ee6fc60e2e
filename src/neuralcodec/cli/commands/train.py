"""`ncodec train`: make a checkpoint by a recipe from a folder of pictures."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from neuralcodec.cli.command import Command, add_threads
from neuralcodec.cli.values import positive

TEXT = """\
examples:
  ncodec train conv --data photos/ --valid held-out/ --out runs/conv
  torchrun --nproc-per-node 8 -m neuralcodec train conv --data photos/ --out runs/conv

Stops cleanly at Ctrl-C; the same command goes on where the last one stopped.

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a TOML file, or the name of a shipped one: conv")
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of training pictures")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the run: checkpoint and log")
    parser.add_argument("--valid", metavar="DIR", help="folder of pictures to measure the progress on")
    parser.add_argument(
        "--start", metavar="WEIGHTS", help="weights to begin with, a file or the name of shipped ones"
    )
    parser.add_argument(
        "--compile", action="store_true", help="compile the loss: faster steps, needs a C++ compiler"
    )
    parser.add_argument("--minutes", type=positive, metavar="M", help="length of the run (default: recipe)")
    parser.add_argument(
        "--precision",
        choices=["auto", "bfloat16", "float32"],
        default="auto",
        help="of the transforms (default: auto, bfloat16 where it is fast)",
    )
    for name, default, what in (("save", 3.0, "checkpoints"), ("valid", 10.0, "measurements")):
        parser.add_argument(
            f"--{name}-minutes",
            type=positive,
            default=default,
            metavar="M",
            help=f"between two {what} (default: {default:g})",
        )
    add_threads(parser)


def train(args: Namespace) -> int:
    """Make a checkpoint by a recipe from a folder of pictures."""
    from neuralcodec import weights
    from neuralcodec.models.runtime import require_torch

    require_torch("train")
    from neuralcodec.training.loop import Trainer
    from neuralcodec.training.recipe import read_recipe

    recipe = read_recipe(Path(args.recipe))
    if args.minutes is not None:
        recipe = replace(recipe, training=replace(recipe.training, minutes=args.minutes, steps=0))
    valid = None if args.valid is None else Path(args.valid)
    start = None if args.start is None else weights.by_name(args.start)
    data, out = Path(args.data), Path(args.out)
    trainer = Trainer(recipe, data, out, valid, precision=args.precision, start=start, compiled=args.compile)
    trainer.run(save_minutes=args.save_minutes, valid_minutes=args.valid_minutes)
    return 0


COMMAND = Command(train, add_arguments, TEXT)
