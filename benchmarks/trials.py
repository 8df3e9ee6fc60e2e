"""Short training runs of equal time against each other, to see which choice pays.

    python benchmarks/trials.py photos/ held-out/ --minutes 8 --out runs/trials
    python benchmarks/trials.py photos/ held-out/ --out runs/trials --start conv --only base batch-4

Each trial is the recipe with one change, its whole schedule in `--minutes` of time in steps. Prints a table:
steps, and the BD-rate by MS-SSIM on the held-out crops against JPEG and against the first trial. A trial
that was run to its end in that folder is not run again. Nothing else should be busy: what counts is time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from neuralcodec import weights
from neuralcodec.bench.curves import bd_rate
from neuralcodec.models.conv import ConvCodec
from neuralcodec.training.loop import Trainer
from neuralcodec.training.optimizer import MuonAdamW
from neuralcodec.training.recipe import Recipe, read_recipe
from optimizers import AdamW, Soap
from runs import jpeg_curve, validations


@dataclass(frozen=True)
class Trial:
    """One change: entries of the recipe's two tables, another optimizer, or what is done to the model."""

    training: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    optimizer: type[MuonAdamW] = MuonAdamW
    prepare: Callable[[ConvCodec], None] = lambda model: None


@torch.no_grad()
def without_shortcuts(model: ConvCodec) -> None:
    """Take the linear paths out; the deep synthesis then must not start at zero."""
    for shortcut in (model.transforms.analysis.shortcut, model.transforms.synthesis.shortcut):
        shortcut.weight.zero_()
        shortcut.weight.requires_grad_(False)
    torch.nn.init.kaiming_uniform_(model.transforms.synthesis.head.weight, a=5**0.5)
    model.transforms.analysis.head.weight.mul_(10)


TRIALS = {
    "base": Trial(),
    "adamw": Trial(optimizer=AdamW),
    "soap": Trial(optimizer=Soap),
    "rate-half": Trial({"learning_rate": 0.5}),
    "rate-double": Trial({"learning_rate": 2.0}),
    "constant-0": Trial({"constant_share": 0.0}),
    "constant-70": Trial({"constant_share": 0.7}),
    "batch-4": Trial({"batch": 4}),
    "batch-16": Trial({"batch": 16}),
    "crop-384": Trial({"crop": 384, "batch": 4}),
    "narrow": Trial(model={"fine": 64, "coarse": 128}),
    "wide": Trial(model={"fine": 128, "coarse": 256}),
    "shallow": Trial(model={"fine_blocks": 2, "coarse_blocks": 2}),
    "context-192": Trial(model={"width": 192}),
    "no-shortcuts": Trial(prepare=without_shortcuts),
    "mse-to-the-end": Trial({"mse_share": 1.0}),
    "no-mse-first": Trial({"mse_share": 0.0}),
    "mse-fifth": Trial({"mse_weight": 0.2}),
    "noise-only": Trial({"rounded_share": 0.0}),
    "rounded-only": Trial({"rounded_share": 1.0}),
}
#: Entries whose value in a trial is a factor of the recipe's.
FACTORS = {"learning_rate"}


def changed(recipe: Recipe, trial: Trial, minutes: float) -> Recipe:
    """The recipe of a trial."""
    assert recipe.conv is not None
    training = {
        name: value * getattr(recipe.training, name) if name in FACTORS else value
        for name, value in trial.training.items()
    }
    return Recipe(
        replace(recipe.training, **training, minutes=minutes), conv=replace(recipe.conv, **trial.model)
    )


def run(recipe: Recipe, trial: Trial, args: argparse.Namespace, out: Path) -> None:
    """Train one trial to its end."""

    class Trying(Trainer):
        def make_optimizer(self) -> MuonAdamW:
            assert isinstance(self.model, ConvCodec)
            trial.prepare(self.model)
            return trial.optimizer(self.model, weight_decay=self.config.weight_decay)

    partial = out.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if "crop" not in trial.training:  # which pictures are large enough goes by it
        os.link(args.out / "pixels.bin", partial / "pixels.bin")
        shutil.copy(args.out / "pixels.json", partial)
    start = None if args.start is None else weights.by_name(args.start)
    trainer = Trying(recipe, args.photos, partial, args.held_out, start=start, compiled=args.compile)
    trainer.run(save_minutes=1e9, valid_minutes=1e9)
    if trainer.progress < 1:
        raise SystemExit(130)  # Ctrl-C: half a trial says nothing
    partial.rename(out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("held_out", type=Path)
    parser.add_argument("--recipe", type=Path, default=Path("conv"))
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", metavar="NAME", help="go on from these shipped weights")
    parser.add_argument("--only", nargs="+", choices=TRIALS, default=list(TRIALS), metavar="TRIAL")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()

    recipe = read_recipe(args.recipe)
    from neuralcodec.training.data import open_store

    args.out.mkdir(parents=True, exist_ok=True)
    open_store(args.photos, args.out / "pixels.bin", minimum=recipe.training.crop)
    reference = jpeg_curve(args.held_out)
    first: list[tuple[float, float]] | None = None
    print("| trial | steps | against JPEG | against the first |\n|---|---:|---:|---:|", flush=True)
    for name in args.only:
        out = args.out / name
        if not out.exists():
            run(changed(recipe, TRIALS[name], args.minutes), TRIALS[name], args, out)
        record = validations(out)[-1]
        points = [(bpp, decibels) for bpp, _, decibels in record["valid"]]
        first = first or points
        gains = (bd_rate(reference, points), bd_rate(first, points))
        shown = " | ".join("-" if gain is None else f"{gain:+.1f} %" for gain in gains)
        print(f"| {name} | {record['step']:,} | {shown} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
