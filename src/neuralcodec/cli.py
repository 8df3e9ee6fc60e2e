"""`ncodec`: its arguments, and what becomes of errors. The commands themselves are in `commands.py`."""

from __future__ import annotations

import argparse
import os
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import NoReturn

from neuralcodec import __version__, commands, files
from neuralcodec.errors import UsageError
from neuralcodec.parallel import limit_threads
from neuralcodec.terminal import report_error, say
from neuralcodec.tiling import Box

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}

INTERRUPTED = 130  # as a shell reports a program that Ctrl-C ended
NO_READER = 141  # as a shell reports a program whose output nobody reads any more

EXIT_CODES = """\
exit codes:
  0    done
  1    failed: no permission, a full disk, not enough memory, ...
  2    wrong usage: an option, a missing input, an output that exists
  3    the input is damaged, cut short, not of a known format, or beyond the limits
  4    decoded with --partial from a damaged file: parts are approximate or missing
  130  interrupted by Ctrl-C
  of several files, the highest code counts
"""

OVERVIEW = """\
examples:
  ncodec encode photo.png                     writes photo.nc
  ncodec decode photo.nc photo.jpg
  ncodec encode -q 30 *.png -o small/
  ncodec compare photo.png photo.nc

`ncodec COMMAND --help` has the options and more examples.

"""

ENCODE = """\
examples:
  ncodec encode photo.png                     writes photo.nc
  ncodec encode -q 80 photo.png best.nc
  ncodec encode --target-size 24kB photo.png
  ncodec encode -e 9 photo.png                takes its time for a smaller file
  ncodec encode *.png -o small/               writes small/NAME.nc for each
  ncodec encode -r photos/ -o small/ --resume goes on where it was stopped
  curl -s https://example.org/a.jpg | ncodec encode - a.nc

Any format Pillow reads goes in, whatever its name says. ICC profile, EXIF, XMP and transparency are kept.

"""

DECODE = """\
examples:
  ncodec decode photo.nc                      writes photo.png
  ncodec decode photo.nc photo.jpg
  ncodec decode *.nc -o pictures/ --format webp
  ncodec decode --format ppm photo.nc - | display -
  ncodec decode --region 1000,500,400,300 large.nc detail.png
  ncodec decode --partial --damage-map mask.png damaged.nc

The extension of OUT says the format: png, jpg, webp, tif, avif, ppm or bmp.

"""

INFO = """\
example:
  ncodec info --json photo.nc

Reads the header and the chunks, decodes nothing.

"""

COMPARE = """\
examples:
  ncodec compare photo.png photo.nc
  ncodec compare --json photo.png photo.jpg

All measures are of the 8-bit pictures. SSIMULACRA2 needs neuralcodec[bench]. In JSON, null stands for an
infinite value and for one that was not measured.

"""

TRUNCATE = """\
examples:
  ncodec truncate photo.nc preview.nc --size 8kB
  ncodec truncate photo.nc - --stage 3 > three.nc

Takes the first stages of a file that `encode --model gru` wrote. Nothing is encoded again: the result
is what encoding with fewer stages gives.

"""

PROGRESSIVE = """\
examples:
  ncodec progressive photo.nc --out stages/
  ncodec progressive photo.nc --out stages/ --against photo.png

Writes stage-1.png, stage-2.png, ... and sheet.png, which has all of them with their bytes and MS-SSIM.

"""

VIEW = """\
examples:
  ncodec view photo.nc                        serves the page until Ctrl-C
  ncodec view photo.nc --against photo.jpg --out page.html

The page is one file that needs nothing else: zoom, a line to move between the two pictures, sizes, MS-SSIM
and PSNR. Pictures of more than 4 megapixels are shown reduced, and measured in full.

"""

BENCH = """\
examples:
  ncodec bench sample_images/ --out report/   writes report/report.html, .md and .json
  ncodec bench kodak/ --out report/ --against jpeg,webp,avif,jxl

A folder stands for the pictures in it and in its own folders. What a run into the same folder has measured is
not measured again. What fails is reported and left out, and the exit code tells.

"""

TRAIN = """\
examples:
  ncodec train conv --data photos/ --valid held-out/ --out runs/conv
  torchrun --nproc-per-node 8 -m neuralcodec train conv --data photos/ --out runs/conv

Stops cleanly at Ctrl-C; the same command goes on where the last one stopped.

"""

EXPORT = """\
example:
  ncodec export runs/conv/checkpoint.safetensors conv.safetensors --images held-out/

"""


COMPLETION = """\
examples:
  eval "$(ncodec completion bash)"            in ~/.bashrc
  eval "$(ncodec completion zsh)"             in ~/.zshrc, behind compinit
  ncodec completion fish > ~/.config/fish/completions/ncodec.fish

"""


class _Parser(ArgumentParser):
    """Reports a wrong call as every other error is reported."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line, `sys.argv` without one, and returns the exit code."""
    debug = False
    try:
        args = _parse(sys.argv[1:] if argv is None else argv)
        status = 0
        if args is not None:
            debug = args.verbose
            if args.threads is not None:
                limit_threads(args.threads)
            _use_device(getattr(args, "device", None))
            status = args.run(args)
        files.flush_stdout()
        return status
    except KeyboardInterrupt:
        say("ncodec: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return NO_READER
    except BaseException as error:  # a panic in a compiled extension is no Exception
        return report_error(error, debug=debug)


def _parse(argv: Sequence[str]) -> Namespace | None:
    """The arguments; None when they asked for help or the version, which was printed."""
    parser, of_command = _parsers()
    try:
        if argv and argv[0] in of_command:
            # Subparsers cannot take options between IN and OUT, so the command's own parser reads the rest;
            # the mode that can does not know `--`.
            own = of_command[argv[0]]
            return own.parse_args(argv[1:]) if "--" in argv else own.parse_intermixed_args(argv[1:])
        return parser.parse_args(argv)
    except SystemExit:
        return None


def _use_device(device: str | None) -> None:
    """Tells the models, which read this variable when they are loaded, in this process or one it starts."""
    if device is not None:
        os.environ["NCODEC_DEVICE"] = device


# ---- the arguments ---------------------------------------------------------------------------------------


def _parsers() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """The parser of `ncodec` and those of its commands."""
    parser = _Parser(
        "ncodec",
        description="Stores photographs in far fewer bytes than JPEG at the same quality.",
        epilog=OVERVIEW + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ncodec {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str,
        run: Callable[[Namespace], int],
        add_arguments: Callable[[ArgumentParser], None],
        help: str,
        epilog: str,
    ) -> None:
        added = subparsers.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=epilog + EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        add_arguments(added)
        added.add_argument(
            "-j",
            "--threads",
            type=_count,
            metavar="N",
            help="threads, or files side by side (default: all cores)",
        )
        added.add_argument("-v", "--verbose", action="store_true", help="say more; trace unexpected errors")

    command("encode", commands.encode, _encode_arguments, "turn pictures into .nc files", ENCODE)
    command("decode", commands.decode, _decode_arguments, "turn .nc files into pictures", DECODE)
    command("info", commands.info, _info_arguments, "show what is known of an .nc file", INFO)
    command("compare", commands.compare, _compare_arguments, "measure how near two pictures are", COMPARE)
    command("truncate", _truncate, _truncate_arguments, "cut a gru file to fewer bytes", TRUNCATE)
    command("progressive", _progressive, _progressive_arguments, "show all stages of a gru file", PROGRESSIVE)
    command("view", commands.view, _view_arguments, "look at a picture in a browser", VIEW)
    command("bench", commands.bench, _bench_arguments, "compare with other codecs on pictures", BENCH)
    command("train", commands.train, _train_arguments, "train a model", TRAIN)
    command("export", commands.export, _export_arguments, "turn a training checkpoint into weights", EXPORT)
    command("completion", _completion, _completion_arguments, "print what a shell completes with", COMPLETION)
    return parser, dict(subparsers.choices)


def _encode_arguments(parser: ArgumentParser) -> None:
    _add_files(parser)
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument(
        "-q",
        "--quality",
        type=_quality,
        metavar="0..100",
        help="higher is better, and two decimals count (default: 50; gru: 100)",
    )
    wanted.add_argument(
        "--target-size", type=_size, metavar="SIZE", help="at most 24000, 24kB, 1.5MiB, ...; up to 2 %% less"
    )
    wanted.add_argument(
        "--target-bpp", type=_positive, metavar="BPP", help="the same, in bits for each pixel of the picture"
    )
    wanted.add_argument(
        "--target-msssim", type=_ms_ssim, metavar="VALUE", help="an MS-SSIM, such as .95; met within .001"
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
        type=_effort,
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
        "--region", type=_region, metavar="X,Y,W,H", help="decode these pixels only: left, top, width, height"
    )
    parser.add_argument("--stage", type=_count, metavar="N", help="of a gru file, stop after N stages")
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


def _truncate(args: Namespace) -> int:
    from neuralcodec import stage_commands

    return stage_commands.truncate(args)


def _progressive(args: Namespace) -> int:
    from neuralcodec import stage_commands

    return stage_commands.progressive(args)


def _truncate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="IN", help="a gru file, or - for standard input")
    parser.add_argument("out", metavar="OUT", help="where the shorter file goes, or - for standard output")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--size", type=_size, metavar="SIZE", help="as many stages as fit: 24000, 24kB, 1MiB")
    wanted.add_argument("--stage", type=_count, metavar="N", help="the first N stages")
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
        "--port", type=_port, default=0, metavar="N", help="of 127.0.0.1 to serve on (default: a free one)"
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
        type=lambda text: [_effort(word) for word in text.split(",")],
        metavar="N,N",
        help="of our codecs, 1 to 9 (default: that of encode)",
    )
    parser.add_argument(
        "--qualities",
        type=lambda text: [_setting(word) for word in text.split(",")],
        metavar="Q,Q",
        help="of our codecs (default: 9 from 0 to 100)",
    )
    parser.add_argument("--limit", type=_count, metavar="N", help="use the first N pictures only")
    parser.add_argument(
        "--rounds",
        type=_whole,
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
    parser.add_argument("--minutes", type=_positive, metavar="M", help="length of the run (default: recipe)")
    parser.add_argument(
        "--precision",
        choices=["auto", "bfloat16", "float32"],
        default="auto",
        help="of the transforms (default: auto, bfloat16 where it is fast)",
    )
    for name, default, what in (("save", 3.0, "checkpoints"), ("valid", 10.0, "measurements")):
        parser.add_argument(
            f"--{name}-minutes",
            type=_positive,
            default=default,
            metavar="M",
            help=f"between two {what} (default: {default:g})",
        )


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint.safetensors of a run")
    parser.add_argument("out", metavar="OUT", help="the weights to write")
    parser.add_argument("--images", metavar="DIR", help="folder of pictures to calibrate and check with")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite OUT")


def _completion_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], metavar="SHELL", help="bash, zsh or fish")


def _completion(args: Namespace) -> int:
    """Prints the completion script of these very arguments."""
    from neuralcodec import completion

    print(completion.script(*_parsers(), args.shell))
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
        "--max-pixels", type=_count, metavar="N", help="refuse larger pictures (default: 268435456)"
    )


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 100, not {text!r}")
    return value


def _size(text: str) -> int:
    parts = re.fullmatch(r"(\d{1,15}|\d*\.\d+) ?([a-z]*)", text.strip().lower(), re.ASCII)
    unit = _UNITS.get(parts[2]) if parts else None
    if not parts or not unit or (size := round(float(parts[1]) * unit)) < 1:
        raise argparse.ArgumentTypeError(
            f"must be a number of bytes such as 24000, 24kB or 1.5MiB, not {text!r}"
        )
    return size


def _ms_ssim(text: str) -> float:
    value = _positive(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, not {text!r}")
    return value


def _setting(text: str) -> int:
    value = _whole(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"must be 0 to 100, not {value}")
    return value


def _effort(text: str) -> int:
    value = _whole(text)
    if not 1 <= value <= 9:
        raise argparse.ArgumentTypeError(f"must be 1 to 9, not {value}")
    return value


def _count(text: str) -> int:
    value = _whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def _port(text: str) -> int:
    value = _whole(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be 0 to 65535, not {value}")
    return value


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def _region(text: str) -> Box:
    try:
        x, y, width, height = (int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be X,Y,W,H in pixels, not {text!r}") from None
    return Box(y, y + height, x, x + width)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value
