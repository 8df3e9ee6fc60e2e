"""The arguments of `ncodec` and its commands."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import NoReturn

from neuralcodec import __version__
from neuralcodec.cli import coding, looking, stages
from neuralcodec.cli import help as texts
from neuralcodec.cli.values import (
    count,
    effort,
    ms_ssim,
    port,
    positive,
    quality,
    region,
    setting,
    size,
    whole,
)
from neuralcodec.errors import UsageError


class _Parser(ArgumentParser):
    """Reports a wrong call as every other error is reported."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def parsers() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """The parser of `ncodec` and those of its commands."""
    parser = _Parser(
        "ncodec",
        description="Stores photographs in far fewer bytes than JPEG at the same quality.",
        epilog=texts.OVERVIEW + texts.EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ncodec {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str,
        run: Callable[[Namespace], int],
        add_arguments: Callable[[ArgumentParser], None],
        help: str,
    ) -> None:
        added = subparsers.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=getattr(texts, name.upper()) + texts.EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        add_arguments(added)
        added.add_argument(
            "-j",
            "--threads",
            type=count,
            metavar="N",
            help="threads, or files side by side (default: all cores)",
        )
        added.add_argument("-v", "--verbose", action="store_true", help="say more; trace unexpected errors")

    command("encode", coding.encode, _encode_arguments, "turn pictures into .nc files")
    command("decode", coding.decode, _decode_arguments, "turn .nc files into pictures")
    command("info", looking.info, _info_arguments, "show what is known of an .nc file")
    command("compare", looking.compare, _compare_arguments, "measure how near two pictures are")
    command("truncate", stages.truncate, _truncate_arguments, "cut a gru file to fewer bytes")
    command("progressive", stages.progressive, _progressive_arguments, "show all stages of a gru file")
    command("view", looking.view, _view_arguments, "look at a picture in a browser")
    command("bench", coding.bench, _bench_arguments, "compare with other codecs on pictures")
    command("train", coding.train, _train_arguments, "train a model")
    command("export", coding.export, _export_arguments, "turn a training checkpoint into weights")
    command("completion", _completion, _completion_arguments, "print what a shell completes with")
    return parser, dict(subparsers.choices)


def _encode_arguments(parser: ArgumentParser) -> None:
    _add_files(parser)
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument(
        "-q",
        "--quality",
        type=quality,
        metavar="0..100",
        help="higher is better, and two decimals count (default: 50; gru: 100)",
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
    parser.add_argument(
        "--model",
        choices=["conv", "gru"],
        default="conv",
        help="conv: fewest bytes; gru: a file in stages that may be cut anywhere (default: conv)",
    )
    parser.add_argument(
        "-e",
        "--effort",
        type=effort,
        default=1,
        metavar="1..9",
        help="more finds smaller files of equal quality and takes far longer (default: 1)",
    )
    parser.add_argument("--strip", action="store_true", help="drop ICC profile, EXIF and XMP")
    _add_output(parser)
    _add_device(parser)
    _add_limit(parser)
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def _decode_arguments(parser: ArgumentParser) -> None:
    _add_files(parser)
    parser.add_argument(
        "--region",
        type=region,
        metavar="X,Y,W,H",
        help="decode these pixels only: left, top, width, height",
    )
    parser.add_argument("--stage", type=count, metavar="N", help="of a gru file, stop after N stages")
    parser.add_argument("--format", metavar="EXT", help="format of the pictures (default: by name, else png)")
    damaged = parser.add_mutually_exclusive_group()
    damaged.add_argument(
        "--strict",
        action="store_false",
        dest="partial",
        default=False,
        help="refuse a damaged file (the default)",
    )
    damaged.add_argument(
        "--partial",
        action="store_true",
        help="of a damaged file, decode what is left and fill in the rest; exit code 4",
    )
    parser.add_argument(
        "--damage-map",
        metavar="MASK.png",
        help="with --partial: where the picture is approximate, white; near enough to differ, grey",
    )
    _add_output(parser)
    _add_device(parser)
    _add_limit(parser)
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def _info_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="an .nc file, or - for standard input")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _add_limit(parser)


def _compare_arguments(parser: ArgumentParser) -> None:
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help="an .nc file or any picture, or - for one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _add_device(parser)
    _add_limit(parser)


def _truncate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="IN", help="a gru file, or - for standard input")
    parser.add_argument("out", metavar="OUT", help="where the shorter file goes, or - for standard output")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--size", type=size, metavar="SIZE", help="as many stages as fit: 24000, 24kB, 1MiB")
    wanted.add_argument("--stage", type=count, metavar="N", help="the first N stages")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite OUT")
    _add_limit(parser)
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def _progressive_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a gru file, or - for standard input")
    parser.add_argument("-o", "--out", required=True, metavar="DIR", help="folder of the pictures")
    parser.add_argument("--against", metavar="PICTURE", help="the original, to measure against")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite existing files")
    _add_limit(parser)
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def _view_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="an .nc file or any picture, or - for standard input")
    parser.add_argument("--against", metavar="FILE", help="a picture or .nc file to compare it with")
    parser.add_argument("-o", "--out", metavar="PAGE", help="write the page, do not serve it")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite PAGE")
    parser.add_argument(
        "--port",
        type=port,
        default=0,
        metavar="N",
        help="of 127.0.0.1 to serve on (default: a free one)",
    )
    _add_device(parser)
    _add_limit(parser)


def _bench_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="pictures or folders of them")
    parser.add_argument(
        "-o", "--out", required=True, metavar="DIR", help="folder of the report and the cache"
    )
    parser.add_argument(
        "--against",
        type=lambda text: text.split(","),
        metavar="A,B",
        help="jpeg, webp, avif, jxl, compressai, ours-MODEL (default: the first four, as far as installed)",
    )
    parser.add_argument(
        "--model",
        type=lambda text: text.split(","),
        default=["conv"],
        metavar="A,B",
        help="our codecs; the report is about the first (default: conv)",
    )
    parser.add_argument(
        "-e",
        "--effort",
        type=lambda text: [effort(word) for word in text.split(",")],
        metavar="N,N",
        help="of our codecs, 1 to 9 (default: that of encode)",
    )
    parser.add_argument(
        "--qualities",
        type=lambda text: [setting(word) for word in text.split(",")],
        metavar="Q,Q",
        help="of our codecs (default: 9 from 0 to 100)",
    )
    parser.add_argument("--limit", type=count, metavar="N", help="use the first N pictures only")
    parser.add_argument(
        "--rounds",
        type=whole,
        default=5,
        metavar="N",
        help="of timing, 0 for none (default: 5)",
    )
    parser.add_argument(
        "--published", action="store_true", help="draw published Kodak curves (default: with its 24 pictures)"
    )


def _train_arguments(parser: ArgumentParser) -> None:
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


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint.safetensors of a run")
    parser.add_argument("out", metavar="OUT", help="the weights to write")
    parser.add_argument("--images", metavar="DIR", help="folder of held-out pictures to check the rate with")
    parser.add_argument("--fit", metavar="DIR", help="folder of photographs to fit the probability tables to")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite OUT")


def _completion_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], metavar="SHELL", help="bash, zsh or fish")


def _completion(args: Namespace) -> int:
    """Prints the completion script of these very arguments."""
    from neuralcodec.cli import completion

    print(completion.script(*parsers(), args.shell))
    return 0


def _add_files(parser: ArgumentParser) -> None:
    parser.usage = f"{parser.prog} [OPTION...] IN [OUT]\n       {parser.prog} [OPTION...] IN... -o DIR"
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="IN and OUT, or with -o inputs only; - is standard input or output",
    )


def _add_output(parser: ArgumentParser) -> None:
    parser.add_argument("-o", "--output-dir", metavar="DIR", help="write every result into this folder")
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="take folders, and write the same folders below DIR"
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("-f", "--force", action="store_true", help="overwrite existing files")
    existing.add_argument("--resume", action="store_true", help="skip inputs whose output exists")
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="work on a Ray cluster: local, auto or ray://HOST:PORT"
    )


def _add_device(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        choices=["auto", "cpu", "cuda"],
        help="where the transforms run (default: auto, a GPU if there is one)",
    )


def _add_limit(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--max-pixels", type=count, metavar="N", help="refuse larger pictures (default: 268435456)"
    )
