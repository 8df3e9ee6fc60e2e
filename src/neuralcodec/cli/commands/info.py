"""`ncodec info`: print what the header and the chunks of files say."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from neuralcodec import files
from neuralcodec.cli.command import Command, add_limit
from neuralcodec.cli.inputs import byte_limit, limits_of, name_of
from neuralcodec.cli.planning import input_path
from neuralcodec.errors import DamagedFileError, NeuralCodecError
from neuralcodec.terminal import about, report_error, write

TEXT = """\
examples:
  ncodec info photo.nc
  ncodec info --json *.nc

Reads the header and the chunks, decodes nothing. With --json, each file has a line of its own.

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="an .nc file, or - for standard input")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each file")
    add_limit(parser)


def info(args: Namespace) -> int:
    """Print what the header and the chunks of each file say."""
    status = 0
    for number, name in enumerate(args.files):
        try:
            if number and not args.json:
                write("")
            _show(name, args)
        except NeuralCodecError as error:
            status = max(status, report_error(error, debug=args.verbose))
    return status


def _show(name: str, args: Namespace) -> None:
    """Print the facts of one file.

    Raises:
        NeuralCodecError: it cannot be read, or is damaged; what is known of it has been printed.
    """
    import neuralcodec

    source = input_path(name)
    with about(name_of(source)):
        data = files.read(source, byte_limit(args))
        facts = asdict(neuralcodec.info(data, max_pixels=limits_of(args).max_pixels))
    facts = {"file": name, **facts}
    if args.json:
        write(json.dumps(facts))
    else:
        widest = max(map(len, facts))
        for fact, value in facts.items():
            write(f"{fact:{widest}}  {_plain(value)}")
    if facts["damage"]:
        lost = f"{len(facts['lost_tiles'])} of {facts['tiles']} tiles are damaged or missing"
        raise DamagedFileError(f"{name_of(source)}: {lost}: {facts['damage'][0]}")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "; ".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


COMMAND = Command(info, add_arguments, TEXT)
