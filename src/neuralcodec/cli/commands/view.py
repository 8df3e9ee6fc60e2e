"""`ncodec view`: write or serve a page to look at a picture."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from contextlib import suppress
from pathlib import Path

from neuralcodec import files
from neuralcodec.cli import planning
from neuralcodec.cli.command import Command, add_device, add_force, add_limit, add_threads
from neuralcodec.cli.inputs import byte_limit, decode_any, limits_of, name_of
from neuralcodec.cli.planning import input_path
from neuralcodec.cli.values import port
from neuralcodec.errors import UsageError
from neuralcodec.format.header import MAGIC
from neuralcodec.terminal import about

#: Those that `--vivid` shows.
REALISMS = (0.0, 0.25, 0.5, 0.75, 1.0)
TEXT = """\
examples:
  ncodec view photo.nc                        serves the page until Ctrl-C
  ncodec view photo.nc --against photo.jpg --out page.html
  ncodec view photo.nc --vivid                with a slider of realism

The page is one file that needs nothing else: zoom, a line to move between the two pictures, sizes, MS-SSIM
and PSNR. Pictures of more than 4 megapixels are shown reduced, and measured in full.

"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="an .nc file or any picture, or - for standard input")
    parser.add_argument("--against", metavar="FILE", help="a picture or .nc file to compare it with")
    parser.add_argument("--vivid", action="store_true", help="add a slider of realism, as in `ncodec decode`")
    parser.add_argument("-o", "--out", metavar="PAGE", help="write the page, do not serve it")
    add_force(parser, "PAGE")
    parser.add_argument(
        "--port",
        type=port,
        default=0,
        metavar="N",
        help="of 127.0.0.1 to serve on (default: a free one)",
    )
    add_device(parser)
    add_limit(parser)
    add_threads(parser)


def view(args: Namespace) -> int:
    """Write or serve a page to look at a picture."""
    if args.file == args.against == "-":
        raise UsageError("only one of the two can come from standard input")
    target = None
    if args.out is not None:
        if args.out != "-" and args.against and Path(args.out).resolve() == Path(args.against).resolve():
            raise UsageError(f"{args.out} is an input, which is never overwritten")
        [(_, target, _)] = planning.plan([args.file, args.out], None, str, force=args.force)
    from neuralcodec.picture.picture import upright
    from neuralcodec.viewer.page import Frame, page

    def frames(name: str, *, vivid: bool = False) -> list[Frame]:
        source = input_path(name)
        label = os.fsencode(name_of(source)).decode(errors="replace")  # a name need not be valid text
        with about(name_of(source)):
            data = files.read(source, byte_limit(args))
            if not data.startswith(MAGIC):
                if vivid:
                    raise UsageError("--vivid shows an .nc file")
                return [Frame(label, len(data), upright(decode_any(data, args)))]
            if vivid:
                from neuralcodec.coding.codec import decode_picture

                return [
                    Frame(
                        f"{label}, realism {realism:g}",
                        len(data),
                        upright(decode_picture(data, realism=realism, limits=limits_of(args))),
                    )
                    for realism in REALISMS
                ]
            from neuralcodec.coding.progressive import frames as stages

            shown = list(stages(data, limits=limits_of(args)))
        labels = [label] * len(shown)
        if len(shown) > 1:
            labels = [f"{label}, stage {frame.stage}" for frame in shown]
        return [Frame(name, f.size, upright(f.picture)) for name, f in zip(labels, shown, strict=True)]

    against = None if args.against is None else frames(args.against)[-1]
    slider = "Realism" if args.vivid else "Received"
    document = page(frames(args.file, vivid=args.vivid), against, slider=slider)
    if args.out is not None:
        with about(name_of(target, "standard output")), files.writing(target) as file:
            file.write(document.encode())
        return 0
    from neuralcodec.viewer import server

    with about(f"port {args.port}"), suppress(KeyboardInterrupt):  # Ctrl-C is how this ends
        server.serve(document, args.port, lambda address: print(f"{address}  (Ctrl-C ends)", flush=True))
    return 0


COMMAND = Command(view, add_arguments, TEXT)
