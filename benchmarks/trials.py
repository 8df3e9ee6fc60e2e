"""Short training runs of equal time against each other, to see which choice pays.

    python benchmarks/trials.py photos/ held-out/ --minutes 8 --out runs/trials
    python benchmarks/trials.py photos/ held-out/ --out runs/trials --start conv --only batch-4

Each trial is the recipe with one change, its whole schedule in `--minutes` of time in steps, without that of
the compiler. A trial that was run to its end in that folder is not run again. All see the same pictures,
those that the largest crop fits into.

How many steps fit into the time depends on what else the machine does. So the recipe itself is trained
several times, and for half the time: a line through the logarithms of its steps and its bytes says where it
is after any number of steps. With it a trial is compared twice, by MS-SSIM on the held-out crops: with the
recipe after as many steps, and after as much time, by what a step costs. That is measured with steps of both
in turns.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neuralcodec import weights
from neuralcodec.bench.curves import bd_rate
from neuralcodec.models.conv.network import ConvCodec
from neuralcodec.training.data import open_store
from neuralcodec.training.loop import Trainer
from neuralcodec.training.optimizer import MuonAdamW
from neuralcodec.training.recipe import Recipe, read_recipe
from optimizers import AdamW, Soap
from runs import jpeg_curve, validations


@dataclass(frozen=True)
class Trial:
    """One change: entries of the recipe's two tables, another optimizer, or what is done to the model.

    Attributes:
        share: of the time of the other trials.
    """

    training: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    optimizer: type[MuonAdamW] = MuonAdamW
    prepare: Callable[[ConvCodec], None] = lambda model: None
    share: float = 1.0

    @property
    def costs_the_same(self) -> bool:
        """Whether a step is the work that one of the recipe is."""
        other = {"batch", "crop", "mse_share"} & self.training.keys()
        return self.optimizer is MuonAdamW and not self.model and not other


@torch.no_grad()
def without_shortcuts(model: ConvCodec) -> None:
    """Take the linear paths out; the deep synthesis then must not start at zero."""
    for shortcut in (model.transforms.analysis.shortcut, model.transforms.synthesis.shortcut):
        shortcut.weight.zero_()
        shortcut.weight.requires_grad_(False)
    torch.nn.init.kaiming_uniform_(model.transforms.synthesis.head.weight, a=5**0.5)
    model.transforms.analysis.head.weight.mul_(10)


#: The recipe itself. What it is after so many steps is read off them, and what chance does.
BASES = {
    "base": Trial(),
    "seed-2": Trial({"seed": 2}),
    "seed-3": Trial({"seed": 3}),
    "half": Trial(share=0.5),
}
TRIALS = {
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
#: The recipe's warm-up would be a third of so short a run.
WARMUP_STEPS = 30
#: Steps of each of two trials whose time is compared.
TIMED_STEPS = 10


def changed(recipe: Recipe, trial: Trial, minutes: float) -> Recipe:
    """The recipe of a trial."""
    training = {
        name: value * getattr(recipe.training, name) if name in FACTORS else value
        for name, value in trial.training.items()
    }
    training |= {"minutes": minutes * trial.share, "warmup_steps": WARMUP_STEPS}
    return replace(
        recipe, training=replace(recipe.training, **training), model=replace(recipe.model, **trial.model)
    )


class Trying(Trainer):
    """One trial, in `out`, with everything compiled."""

    def __init__(self, trial: Trial, args: argparse.Namespace, out: Path, *, valid: bool) -> None:
        self.trial = trial
        recipe = changed(args.recipe, trial, args.minutes)
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        os.link(args.out / "pixels.bin", out / "pixels.bin")
        index = json.loads((args.out / "pixels.json").read_text()) | {"minimum": recipe.training.crop}
        (out / "pixels.json").write_text(json.dumps(index))
        start = None if args.start is None else weights.by_name(args.start)
        held_out = args.held_out if valid else None
        super().__init__(recipe, args.photos, out, held_out, start=start, compiled=args.compile)
        for mse_only in (True, False):
            self._loss(mse_only=mse_only)[0].backward()  # type: ignore[no-untyped-call]
            self.model.zero_grad()

    def make_optimizer(self) -> MuonAdamW:
        assert isinstance(self.model, ConvCodec)
        self.trial.prepare(self.model)
        return self.trial.optimizer(self.model, weight_decay=self.config.weight_decay)

    def seconds_of_a_step(self) -> float:
        """In the middle of the run, when no step is on MSE alone that is not so to the end."""
        self.seconds = 30 * self.config.minutes
        began = time.perf_counter()
        self._train_step()
        return time.perf_counter() - began


def run(trial: Trial, args: argparse.Namespace, out: Path) -> None:
    """Train one trial to its end."""
    partial = out.with_suffix(".partial")
    torch.compiler.reset()
    trainer = Trying(trial, args, partial, valid=True)
    trainer.run(save_minutes=1e9, valid_minutes=1e9)
    if trainer.progress < 1:
        raise SystemExit(130)  # Ctrl-C: half a trial says nothing
    partial.rename(out)


def cost(trial: Trial, args: argparse.Namespace, out: Path) -> float:
    """The time of a step as a multiple of that of the recipe; remembered in `out`."""
    if trial.costs_the_same:
        return 1.0
    file = out / "cost.json"
    if not file.exists():
        torch.compiler.reset()
        folders = [out.with_suffix(f".cost-{number}") for number in range(2)]
        pair = [
            Trying(each, args, folder, valid=False)
            for each, folder in zip((BASES["base"], trial), folders, strict=True)
        ]
        seconds = [[trainer.seconds_of_a_step() for trainer in pair] for _ in range(TIMED_STEPS)]
        base, other = (sum(column) for column in zip(*seconds, strict=True))
        file.write_text(json.dumps(other / base))
        for folder in folders:
            shutil.rmtree(folder)
    return float(json.loads(file.read_text()))


class Recipes:
    """The recipe after any number of steps, from `(steps, bytes)` of its runs.

    Bytes are those for the same MS-SSIM, as a factor. Runs of one number of steps say nothing.
    """

    def __init__(self, runs: list[tuple[int, float]]) -> None:
        self.line = None if len({steps for steps, _ in runs}) < 2 else np.polyfit(*np.log(runs).T, 1)

    def compared(self, size: float | None, steps: float) -> float | None:
        """By how many percent `size` differs from the recipe after `steps`."""
        if size is None or self.line is None:
            return None
        return 100 * math.expm1(math.log(size) - float(np.polyval(self.line, math.log(steps))))


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

    args.recipe = read_recipe(args.recipe)
    args.out.mkdir(parents=True, exist_ok=True)
    crops = [trial.training.get("crop", args.recipe.training.crop) for trial in TRIALS.values()]
    open_store(args.photos, args.out / "pixels.bin", minimum=max(crops))

    def trained(name: str, trial: Trial) -> tuple[int, list[tuple[float, float]]]:
        if not (args.out / name).exists():
            run(trial, args, args.out / name)
        record = validations(args.out / name)[-1]
        return record["step"], [(bpp, decibels) for bpp, _, decibels, *_ in record["valid"]]

    def size(points: list[tuple[float, float]]) -> float | None:
        gain = bd_rate(bases["base"][1], points)
        return None if gain is None else 1 + gain / 100

    def row(name: str, trial: Trial, steps: int, points: list[tuple[float, float]]) -> str:
        ratio = cost(trial, args, args.out / name)
        gains = (
            bd_rate(reference, points),
            recipes.compared(size(points), steps),
            recipes.compared(size(points), steps * ratio),
        )
        shown = " | ".join("-" if gain is None else f"{gain:+.1f} %" for gain in gains)
        return f"| {name} | {steps:,} | {ratio:.2f} | {shown} |"

    reference = jpeg_curve(args.held_out)
    bases = {name: trained(name, trial) for name, trial in BASES.items()}
    sizes = [(steps, size(points)) for steps, points in bases.values()]
    recipes = Recipes([(steps, size) for steps, size in sizes if size is not None])
    print("| trial | steps | cost of a step | against JPEG | as many steps | as much time |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    for name, (steps, points) in bases.items():
        print(row(name, BASES[name], steps, points), flush=True)
    for name in args.only:
        print(row(name, TRIALS[name], *trained(name, TRIALS[name])), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
