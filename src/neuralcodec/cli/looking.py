"""The commands that look at files: `ncodec info`, `compare` and `view`."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

from neuralcodec import files
from neuralcodec.cli.inputs import byte_limit, decode_any, limits_of, load_any, name_of, path_of
from neuralcodec.errors import DamagedFileError, UsageError
from neuralcodec.format.header import MAGIC
from neuralcodec.terminal import about, say

#: Above, `compare` leaves SSIMULACRA2 out: its package takes 0.5 GB and 5 s for each megapixel.
SSIMULACRA2_PIXELS = 1 << 22


def info(args: Namespace) -> int:
    """Prints what the header and the chunks of a file say."""
    import neuralcodec

    source = path_of(args.file)
    with about(name_of(source)):
        data = files.read(source, byte_limit(args))
        facts = neuralcodec.info(data, max_pixels=limits_of(args).max_pixels)
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
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def compare(args: Namespace) -> int:
    """Prints how near two pictures are, and what they cost."""
    if args.a == args.b == "-":
        raise UsageError("only one of the two can come from standard input")
    (size_a, a), (size_b, b) = (load_any(path_of(name), args) for name in (args.a, args.b))
    height, width = a.pixels.shape[:2]
    if b.pixels.shape[:2] != (height, width):
        other = f"{b.pixels.shape[1]}x{b.pixels.shape[0]}"
        raise UsageError(f"pictures of {width}x{height} and {other} pixels cannot be compared")
    if a.alpha is not None or b.alpha is not None:
        say("ncodec: warning: only the colours are compared, not the transparency")
    if min(height, width) < 161:
        say("ncodec: warning: MS-SSIM is defined from 161 pixels a side: compare this one with its like only")

    from neuralcodec.picture import metrics
    from neuralcodec.picture.reading import same_channels

    one, two = same_channels(a, b)
    similarity = metrics.ms_ssim(one, two)
    decibels, psnr = metrics.ms_ssim_db(similarity), metrics.psnr(one, two)
    perceived = metrics.ssimulacra2(one, two) if height * width <= SSIMULACRA2_PIXELS else None
    costs = [(name, size, 8 * size / (height * width)) for name, size in ((args.a, size_a), (args.b, size_b))]
    if args.json:
        scores = {"ms_ssim": similarity, "ms_ssim_db": _finite(decibels), "psnr": _finite(psnr)}
        scores["ssimulacra2"] = perceived  # null where it was not measured
        entries = [{"file": name, "bytes": size, "bpp": bpp} for name, size, bpp in costs]
        print(json.dumps({"width": width, "height": height, **scores, "files": entries}))
        return 0
    print(f"MS-SSIM      {similarity:.5f}  {decibels:.2f} dB")
    print(f"PSNR         {psnr:.2f} dB")
    print(f"SSIMULACRA2  {_without_ssimulacra2(height, width) if perceived is None else f'{perceived:.2f}'}")
    widest = max(len(args.a), len(args.b))
    for name, size, bpp in costs:
        shown = name.encode(errors="replace").decode()  # a name need not be valid text
        print(f"{shown:{widest}}  {size:>12,} bytes  {bpp:.3f} bpp")
    return 0


def _without_ssimulacra2(height: int, width: int) -> str:
    """Why there is no value."""
    if height * width > SSIMULACRA2_PIXELS:
        return "–  only up to 4 megapixels"
    return "–  only from 8 pixels a side" if min(height, width) < 8 else "–  pip install 'neuralcodec[bench]'"


def view(args: Namespace) -> int:
    """Writes or serves a page to look at a picture."""
    if args.file == args.against == "-":
        raise UsageError("only one of the two can come from standard input")
    target = None
    if args.out is not None:
        if args.out != "-" and args.against and Path(args.out).resolve() == Path(args.against).resolve():
            raise UsageError(f"{args.out} is an input, which is never overwritten")
        [(_, target)] = files.plan([args.file, args.out], None, str, force=args.force)
    from neuralcodec.picture.reading import upright
    from neuralcodec.viewer.page import Frame, page

    def frames(name: str) -> list[Frame]:
        source = path_of(name)
        with about(name_of(source)):
            data = files.read(source, byte_limit(args))
            if not data.startswith(MAGIC):
                return [Frame(name_of(source), len(data), upright(decode_any(data, args)))]
            from neuralcodec.coding.progressive import frames as stages

            shown = list(stages(data, limits=limits_of(args)))
        labels = [name_of(source)] * len(shown)
        if len(shown) > 1:
            labels = [f"{label}, stage {frame.stage}" for label, frame in zip(labels, shown, strict=True)]
        return [Frame(label, f.size, upright(f.picture)) for label, f in zip(labels, shown, strict=True)]

    document = page(frames(args.file), None if args.against is None else frames(args.against)[-1])
    if args.out is not None:
        with about(name_of(target, "standard output")), files.writing(target) as file:
            file.write(document.encode())
        return 0
    from neuralcodec.viewer import server

    with about(f"port {args.port}"), suppress(KeyboardInterrupt):  # Ctrl-C is how this ends
        server.serve(document, args.port, lambda address: print(f"{address}  (Ctrl-C ends)", flush=True))
    return 0


def _finite(value: float) -> float | None:
    """The value as JSON can hold it: no infinity."""
    return value if math.isfinite(value) else None
