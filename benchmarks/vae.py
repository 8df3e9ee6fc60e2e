"""The study of docs/vae.md: VAEs of shapes for five values of beta, their scores and their figures.

    python benchmarks/vae.py runs/vae                 # all of it: weights, scores, table.md, figures
    python benchmarks/vae.py runs/vae --steps 100     # a trial, which shows nothing

What is there already is kept, so a study that was stopped goes on. Needs neuralcodec[bench] for the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot

from neuralcodec.vae import model as vae
from neuralcodec.vae import sheets
from neuralcodec.vae.data import Pictures
from neuralcodec.vae.scores import measure, score
from neuralcodec.vae.sprites import PLACES, ROTATIONS, SCALES, SHAPES, Array, Indices, Sprites
from neuralcodec.vae.training import Training, train

SEEDED = (1.0, 4.0)
#: beta and seed of each run, in the order of training.
RUNS = [(1.0, 0), (4.0, 0), (16.0, 0), (0.25, 0), (1.0, 1), (4.0, 1), (1.0, 2), (4.0, 2), (2.0, 0)]
#: How many pictures the models of `few` know, and for which beta.
FEW, FEW_BETAS = 500, (0.05, 1.0, 16.0)
Facts = dict[str, Any]


def main() -> int:
    """Train, score and draw what is missing in the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the weights, the scores and the figures")
    parser.add_argument("--steps", type=int, default=18_000, help="of each run (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default: 1), a thread each")
    parser.add_argument("--dci", action="store_true", help="DCI too, which takes minutes for each seed")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    known = Few()
    with ProcessPoolExecutor(args.jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        tasks = [
            pool.submit(study, args.out / name_of(beta, seed), beta, seed, args.steps, args.dci)
            for beta, seed in RUNS
        ]
        few_steps = max(args.steps // 3, 1)
        others = [
            pool.submit(run, args.out / f"few-beta{beta:g}", known, Training(beta=beta, steps=few_steps))
            for beta in FEW_BETAS
        ]
        facts = {name_of(*which): task.result() for which, task in zip(RUNS, tasks, strict=True)}
        for task in others:
            task.result()
    (args.out / "table.md").write_text(table(facts))
    shipped = {beta: vae.load(str(args.out / f"{median(facts, beta)}.safetensors")) for beta in SEEDED}
    for beta, model in shipped.items():
        responses(model, args.out / f"responses-beta{beta:g}.png")
    curves(facts, args.out / "curves.png")
    few(known, args.out)
    samples(args.out, shipped)
    print((args.out / "table.md").read_text())
    for beta in SEEDED:
        print(f"beta {beta:g}: ship {median(facts, beta)}")
    return 0


def name_of(beta: float, seed: int) -> str:
    """What a run is called."""
    return f"beta{beta:g}-seed{seed}"


class Few(Pictures):
    """A few hundred of the shapes, again and again."""

    name, channels = "shapes", 1

    def __init__(self) -> None:
        self._all = Sprites()
        self._which = np.random.default_rng(0).integers(len(self._all), size=FEW)

    def __len__(self) -> int:
        return FEW

    def pictures(self, indices: Indices) -> Array:
        return self._all.pictures(self._which[indices])


def study(path: Path, beta: float, seed: int, steps: int, dci: bool) -> Facts:
    """Train and measure one run, as far as that was not done."""
    run(path, Sprites(), Training(beta=beta, seed=seed, steps=steps))
    return facts_of(path, full=beta in SEEDED, dci=dci)


def run(path: Path, data: Any, config: Training) -> None:
    """Train one model, unless it is there."""
    target = path.with_name(f"{path.name}.safetensors")
    if not target.exists():
        model = train(data, config, report=lambda _, line: print(f"{path.name}: {line}", flush=True))
        vae.save(model, target)


def facts_of(path: Path, *, full: bool, dci: bool) -> Facts:
    """What is known of a run, from its file if it is there; with `full`, its scores too."""
    target = path.with_name(f"{path.name}.json")
    found: Facts = json.loads(target.read_text()) if target.exists() else {}
    model = vae.load(str(path.with_name(f"{path.name}.safetensors")))
    if not found or (dci and full and "disentanglement" not in found):
        print(f"{path.name}: scores", flush=True)
        measured = (
            score(model, seed=0, dci=dci) if full else measure(model, Sprites(), np.random.default_rng(0))
        )
        found = {**model.trained, **measured}
        target.write_text(json.dumps(found))
    return found


def median(facts: dict[str, Facts], beta: float) -> str:
    """The run with the median FactorVAE score of its three seeds."""
    names = [name_of(beta, seed) for seed in range(3)]
    return sorted(names, key=lambda name: facts[name]["factor_vae_score"])[1]


def table(facts: dict[str, Facts]) -> str:
    """All runs, by beta and seed."""
    scores = ("factor_vae_score", "mutual_information_gap", "disentanglement")
    lines = [
        "| beta | seed | reconstruction | KL | latents used | wrong pixels | FactorVAE | MIG | D | minutes |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for beta, seed in sorted(RUNS):
        f = facts[name_of(beta, seed)]
        known = " | ".join(f"{f[name]:.3f}" if name in f else "" for name in scores)
        lines.append(
            f"| {beta:g} | {seed} | {f['reconstruction']:.1f} | {f['kl']:.1f} | {f['latents_used']} |"
            f" {100 * f['wrong_pixels']:.2f} % | {known} | {f['minutes']:.1f} |"
        )
    return "\n".join(lines) + "\n"


# ---- figures ---------------------------------------------------------------------------------------------


def means(model: vae.VAE, factors: Indices) -> Array:
    """The means of q(z | x) of pictures that are given by factors, `(..., latents)`."""
    data, flat = Sprites(), factors.reshape(-1, factors.shape[-1])
    parts = [
        model.encode(torch.from_numpy(data.pictures(data.indices_of(part))))[0].numpy()
        for part in np.array_split(flat, max(1, len(flat) // 1000))
    ]
    return np.concatenate(parts).reshape(*factors.shape[:-1], -1)


def responses(model: vae.VAE, target: Path) -> None:
    """For each latent, a row: its mean by place, by scale and by rotation, its traversal, its KL."""
    rng, data = np.random.default_rng(0), Sprites()

    def varied(fixed: dict[str, Indices], count: int) -> Array:
        """Means of the code, over random values of all factors but some, `(..., latents)`."""
        shape = np.broadcast_shapes(*(values.shape for values in fixed.values()))
        factors = rng.integers(data.sizes, size=(*shape, count, len(data.sizes)))
        for name, values in fixed.items():
            factors[..., data.factors.index(name)] = np.broadcast_to(values, shape)[..., None]
        return means(model, factors).mean(-2)

    place = varied({"x": np.arange(PLACES)[None], "y": np.arange(PLACES)[:, None]}, 16)
    shapes = np.arange(len(SHAPES))[:, None]
    scale = varied({"shape": shapes, "scale": np.arange(len(SCALES))[None]}, 300)
    turn = varied({"shape": shapes, "rotation": np.arange(len(ROTATIONS))[None]}, 100)
    order, kl = sheets.by_use(model)
    walks = sheets.traverse(model, np.linspace(-2, 2, 11).tolist())

    figure, axes = pyplot.subplots(
        len(order), 4, figsize=(9.6, 0.82 * len(order)), width_ratios=[1, 1.2, 1.2, 9.5], layout="constrained"
    )
    for row, latent in zip(axes, order, strict=True):
        row[0].imshow(place[..., latent], cmap="RdBu", vmin=-2, vmax=2)
        for number in range(len(SHAPES)):
            row[1].plot(SCALES, scale[number, :, latent])
            row[2].plot(ROTATIONS, turn[number, :, latent])
        row[3].imshow(sheets.sheet([walks[latent]]), interpolation="none")
        row[0].set_ylabel(f"z{latent}\n{kl[latent]:.2f}", rotation=0, labelpad=18, va="center", fontsize=8)
        for axis in row:
            axis.set_xticks([])
            axis.set_yticks([])
        for axis in row[1:3]:
            axis.set_ylim(-2.5, 2.5)
    for axis, title in zip(axes[0], ("place", "scale", "rotation", "from -2 to 2"), strict=True):
        axis.set_title(title, fontsize=9)
    figure.savefig(target, dpi=100)
    pyplot.close(figure)


def curves(facts: dict[str, Facts], target: Path) -> None:
    """What a larger beta costs and what it gives: a point for each run, a line through the means."""
    figure, axes = pyplot.subplots(1, 4, figsize=(11, 2.6), layout="constrained")
    kinds = ("reconstruction", "latents_used", "factor_vae_score", "mutual_information_gap")
    titles = ("reconstruction, nats", "latents used of 10", "FactorVAE score", "mutual information gap")
    betas = sorted({beta for beta, _ in RUNS})
    for axis, kind, title in zip(axes, kinds, titles, strict=True):
        points = [
            (beta, facts[name_of(beta, s)][kind]) for beta, s in RUNS if kind in facts[name_of(beta, s)]
        ]
        axis.plot(*zip(*points, strict=True), "o", color="C0")
        there = [beta for beta in betas if any(beta == other for other, _ in points)]
        means = [np.mean([value for other, value in points if other == beta]) for beta in there]
        axis.plot(there, means, color="C0", linewidth=1)
        axis.set(xscale="log", xticks=betas, xticklabels=[f"{beta:g}" for beta in betas], xlabel="beta")
        axis.minorticks_off()
        axis.set_ylim(bottom=0)
        axis.set_title(title, fontsize=10)
    figure.savefig(target, dpi=90)
    pyplot.close(figure)


def few(known: Few, out: Path) -> None:
    """Reconstruction of the few pictures that a model knows, and of others."""
    figure, axis = pyplot.subplots(figsize=(5, 3), layout="constrained")
    models = [vae.load(str(out / f"few-beta{beta:g}.safetensors")) for beta in FEW_BETAS]
    for data, label in ((Sprites(), "pictures it has not seen"), (known, f"the {FEW} it was trained on")):
        values = [measure(model, data, np.random.default_rng(1))["reconstruction"] for model in models]
        axis.plot(FEW_BETAS, values, "o-", label=label)
        print(f"few, {label}: {[round(float(str(value)), 1) for value in values]}")
    axis.set(xscale="log", xticks=FEW_BETAS, xticklabels=[f"{beta:g}" for beta in FEW_BETAS], xlabel="beta")
    axis.set(ylabel="reconstruction, nats")
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.legend()
    figure.savefig(out / "few.png", dpi=90)
    pyplot.close(figure)


def samples(out: Path, shipped: dict[float, vae.VAE]) -> None:
    """Samples of the prior, and of far outside it; and the same pictures through every beta."""
    models = {beta: vae.load(str(out / f"{name_of(beta, 0)}.safetensors")) for beta, _ in sorted(RUNS)}
    rows = [sheets.sample(model, 12, seed=0) for model in models.values()]
    sheets.sheet(rows, [f"beta {beta:g}" for beta in models]).save(out / "prior.png", optimize=True)
    far = [sheets.sample(model, 12, seed=0, temperature=5) for model in shipped.values()]
    sheets.sheet(far, [f"beta {beta:g}" for beta in shipped]).save(out / "outside.png", optimize=True)
    data = Sprites()
    originals = data.pictures(np.random.default_rng(3).integers(len(data), size=12))
    rows = [originals]
    rows += [model.decode(model.encode(torch.from_numpy(originals))[0]).numpy() for model in models.values()]
    labels = ["original", *(f"beta {beta:g}" for beta in models)]
    sheets.sheet(rows, labels).save(out / "reconstructions.png", optimize=True)


if __name__ == "__main__":
    sys.exit(main())
