"""`ncodec vae`: train, look at and score variational autoencoders of small pictures."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from neuralcodec import files
from neuralcodec.cli import planning
from neuralcodec.cli.command import Command, add_device, add_force, add_threads
from neuralcodec.cli.values import count, natural, not_negative, positive
from neuralcodec.errors import UsageError
from neuralcodec.terminal import about, progress, say, write

if TYPE_CHECKING:
    from PIL import Image

    from neuralcodec.vae.model import VAE
    from neuralcodec.vae.sprites import Array

TEXT = """\
examples:
  ncodec vae traverse sliders.html            a page with a slider for each latent of the shipped model
  ncodec vae sample samples.png --weights beta1
  ncodec vae interpolate 12345 700000 walk.png
  ncodec vae train shapes --beta 4 --minutes 10 -o mine.safetensors
  ncodec vae score --weights mine.safetensors

`ncodec vae COMMAND --help` has the options. docs/vae.md tells what all of this is about.

"""


def add_arguments(parser: ArgumentParser) -> None:
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, action: Callable[[Namespace], int], help: str) -> ArgumentParser:
        description = help[0].upper() + help[1:] + "."
        added = commands.add_parser(
            name, help=help, description=description, formatter_class=RawDescriptionHelpFormatter
        )
        added.set_defaults(action=action)
        # The same option may stand before the command's name; its default here must not undo that.
        added.add_argument("-v", "--verbose", action="store_true", default=SUPPRESS, help=SUPPRESS)
        return added

    _train_arguments(command("train", train, "train a model on shapes or on pictures of your own"))
    _sample_arguments(command("sample", sample, "draw pictures from the prior"))
    _traverse_arguments(command("traverse", traverse, "move each latent alone, on a sheet or a page"))
    _interpolate_arguments(command("interpolate", interpolate, "walk from one picture to another"))
    _score_arguments(command("score", score, "measure how disentangled the latents are"))


def run(args: Namespace) -> int:
    """Run the command that follows `vae`."""
    from neuralcodec.models.runtime import require_torch

    require_torch("vae")
    status: int = args.action(args)
    return status


# ---- train -----------------------------------------------------------------------------------------------


def _train_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="shapes, coloured (shapes) or a folder of pictures")
    parser.add_argument(
        "-o", "--out", required=True, metavar="OUT", help="the weights to write, .safetensors"
    )
    parser.add_argument(
        "--beta", type=not_negative, default=1.0, metavar="B", help="weight of the KL (default: 1, the VAE)"
    )
    parser.add_argument("--tc", action="store_true", help="beta-TCVAE: weight the total correlation alone")
    parser.add_argument("--latents", type=count, default=10, metavar="N", help="how many (default: 10)")
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="of weights, data and noise")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=positive, metavar="M", help="length of the run (default: 10)")
    length.add_argument("--steps", type=count, metavar="N", help="the same in steps: repeats exactly")
    add_force(parser)
    add_device(parser, runtime=False)
    add_threads(parser)


def train(args: Namespace) -> int:
    """Train a model, and write its weights."""
    target = _target(args, ".safetensors")
    from neuralcodec.vae.data import open_data
    from neuralcodec.vae.model import save
    from neuralcodec.vae.training import Training
    from neuralcodec.vae.training import train as train_model

    minutes = args.minutes if args.steps or args.minutes else 10.0
    config = Training(beta=args.beta, tc=args.tc, seed=args.seed, minutes=minutes, steps=args.steps)
    data = open_data(args.data)
    with progress("training", quiet=False) as show:
        model = train_model(data, config, latents=args.latents, report=show)
    with about(args.out):
        save(model, target)
    say(f"{args.data} → {args.out}  {_described(model)}")
    return 0


# ---- looking ---------------------------------------------------------------------------------------------


def _sample_arguments(parser: ArgumentParser) -> None:
    _add_out(parser, "a .png")
    parser.add_argument("--count", type=count, default=64, metavar="N", help="pictures (default: 64)")
    parser.add_argument(
        "--temperature",
        type=not_negative,
        default=1.0,
        metavar="T",
        help="standard deviation of the latents: below 1 near the mean, far above 1 outside (default: 1)",
    )
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="of the latents (default: 0)")


def sample(args: Namespace) -> int:
    """Draw pictures of random latents on a sheet."""
    target, model = _target(args, ".png"), _model(args)
    from neuralcodec.vae import sheets

    if args.count > _MOST:
        raise UsageError(f"--count is at most {_MOST}")
    pictures = sheets.sample(model, args.count, seed=args.seed, temperature=args.temperature)
    side = min(max(1, round(args.count**0.5)), 32)
    _save(
        sheets.sheet([pictures[start : start + side] for start in range(0, args.count, side)]), target, args
    )
    return 0


def _traverse_arguments(parser: ArgumentParser) -> None:
    _add_out(parser, "a .png, or an .html page with sliders, which needs nothing else")
    parser.add_argument(
        "--from", dest="start", metavar="PICTURE", help="begin there, not at 0: a file or an index of shapes"
    )
    parser.add_argument(
        "--reach", type=positive, metavar="R", help="from -R to R (default: 2 on a sheet, 3 on a page)"
    )
    parser.add_argument(
        "--steps", type=count, default=11, metavar="N", help="pictures a row of a sheet (default: 11)"
    )


def traverse(args: Namespace) -> int:
    """Move each latent alone: on a sheet, or on a page with sliders."""
    target, model = _target(args, ".png", ".html"), _model(args)
    _bound(args.steps)
    start = None if args.start is None else _picture(args.start, model)
    if target.suffix.lower() == ".html":
        from neuralcodec.vae.page import page

        document = page(model, f"A VAE to walk in: {args.weights}", args.reach or 3, start)
        with about(args.out), files.writing(target) as file:
            file.write(document.encode())
        say(f"{args.weights} → {args.out}")
        return 0
    import numpy as np

    from neuralcodec.vae import sheets

    reach = args.reach or 2
    rows = sheets.traverse(model, np.linspace(-reach, reach, args.steps).tolist(), start)
    order, kl = sheets.by_use(model)
    labels = [f"z{latent}  {kl[latent]:.2f} nats" for latent in order]
    _save(sheets.sheet([rows[latent] for latent in order], labels), target, args)
    return 0


def _interpolate_arguments(parser: ArgumentParser) -> None:
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help="a picture, or an index of shapes")
    _add_out(parser, "a .png")
    parser.add_argument("--steps", type=count, default=9, metavar="N", help="pictures (default: 9)")


def interpolate(args: Namespace) -> int:
    """Walk from one picture to another; the pictures themselves stand at the ends of the row."""
    target, model = _target(args, ".png"), _model(args)
    from neuralcodec.vae import sheets

    _bound(args.steps)
    one, other = _picture(args.a, model), _picture(args.b, model)
    import numpy as np

    row = np.concatenate([one, sheets.interpolate(model, one, other, args.steps), other])
    _save(sheets.sheet([row]), target, args)
    return 0


# ---- score -----------------------------------------------------------------------------------------------


def _score_arguments(parser: ArgumentParser) -> None:
    _add_weights(parser)
    parser.add_argument("--dci", action="store_true", help="DCI too: minutes more, needs neuralcodec[vae]")
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="of the samples (default: 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_threads(parser)


def score(args: Namespace) -> int:
    """Print FactorVAE score, MIG, the KL of each latent, and with `--dci` DCI, on standard output."""
    import json

    model = _model(args)
    from neuralcodec.vae.scores import score as score_model

    with progress("scoring", quiet=False) as show:
        found = score_model(model, seed=args.seed, dci=args.dci, report=show)
    if args.json:
        write(json.dumps(found))
        return 0
    for name, value in found.items():
        shown = "  ".join(f"{part:.3f}" for part in value) if isinstance(value, list) else f"{value:.4g}"
        write(f"{name.replace('_', ' ')}: {shown}")
    return 0


# ---- what several use ------------------------------------------------------------------------------------

#: The most pictures on a sheet.
_MOST = 4096


def _add_out(parser: ArgumentParser, what: str) -> None:
    parser.add_argument("out", metavar="OUT", help=what)
    _add_weights(parser)
    add_force(parser)
    add_threads(parser)


def _add_weights(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--weights", default="beta4", metavar="WEIGHTS", help="a file, beta1 or beta4 (default: beta4)"
    )


def _target(args: Namespace, *suffixes: str) -> Path:
    """Return where the result goes; refuse a bad name before any work."""
    [job] = planning.plan(["-", args.out], None, str, force=args.force)
    target = job.target
    if target is None or target.suffix.lower() not in suffixes:
        raise UsageError(f"{args.out}: the name of the output ends in {' or '.join(suffixes)}")
    return target


def _bound(steps: int) -> None:
    if steps > 100:
        raise UsageError("--steps is at most 100")


def _model(args: Namespace) -> VAE:
    from neuralcodec.vae.model import load

    return load(args.weights)


def _picture(name: str, model: VAE) -> Array:
    """Read a picture `(1, channels, 64, 64)`: of a file, or of the shapes by its index."""
    from neuralcodec.vae import data

    if not name.isdecimal():
        with about(name):
            return data.read_picture(Path(name), model.config.channels)
    return data.read_shape(int(name), model.config.channels)


def _save(image: Image.Image, target: Path, args: Namespace) -> None:
    with about(args.out), files.writing(target) as file:
        image.save(file, "PNG")
    say(f"{args.weights} → {args.out}")


def _described(model: VAE) -> str:
    known = model.trained
    names = ("steps", "minutes", "reconstruction")
    facts = [f"{name} {known[name]}" for name in names]
    kl = known["kl"]
    facts += [f"KL {sum(kl):.2f}"] if isinstance(kl, list) else []
    return "  ".join(facts)


COMMAND = Command(run, add_arguments, TEXT)
