"""`ncodec info`: what the header and the chunks of a file say."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from neuralcodec import files
from neuralcodec.cli.command import Command, add_limit
from neuralcodec.cli.inputs import byte_limit, limits_of, name_of, path_of
from neuralcodec.errors import DamagedFileError
from neuralcodec.terminal import about

TEXT = """\
example:
  ncodec info --json photo.nc

Reads the header and the chunks, decodes nothing.

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="an .nc file, or - for standard input")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_limit(parser)


def info(args: Namespace) -> int:
    """Prints what the header and the chunks of a file say."""
    import neuralcodec

    source = path_of(args.file)
    with about(name_of(source)):
        data = files.read(source, byte_limit(args))
        facts = asdict(neuralcodec.info(data, max_pixels=limits_of(args).max_pixels))
    if args.json:
        print(json.dumps(facts))
    else:
        widest = max(len(name) for name in facts)
        for name, value in facts.items():
            print(f"{name:{widest}}  {_plain(value)}")
    if facts["damage"]:
        lost = f"{len(facts['lost_tiles'])} of {facts['tiles']} tiles are damaged or missing"
        raise DamagedFileError(f"{name_of(source)}: {lost}: {facts['damage'][0]}")
    return 0


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "; ".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


COMMAND = Command("info", "show what is known of an .nc file", info, add_arguments, TEXT)
