"""Rate-distortion curves of every codec over a folder of pictures, and what follows from them.

    python benchmarks/kodak.py FOLDER --out results.json

Each picture is encoded by each codec at each setting into a real file, read back and decoded to 8 bits; its
size is the file's. What has been measured once is kept in a cache beside the results (one JSON object a
line, written as the run goes on), so a second run, or one after a kill, measures only what is new: another
picture, setting, library version or set of weights.

The results are one JSON object:

    schema       "neuralcodec-bench/1"
    command      the call, with the folder's name instead of its path
    created      UTC, ISO 8601
    environment  versions of Python, Pillow, PyTorch and the package; processor type and cores
    codecs       {name: {version, settings}}
    images       [{name, sha256, width, height}]
    points       [{image, codec, setting, bytes, bpp, ms_ssim, psnr, ssimulacra2, encode_s, decode_s}];
                 ms_ssim on its linear scale, psnr and ssimulacra2 null where infinite or not measured
    summary      {codec: {curve, bd_rate_vs_jpeg, bpp_at_ms_ssim}}: curve is the mean of the pictures at each
                 setting; bd_rate_vs_jpeg is in percent by metric; bpp_at_ms_ssim is read off the curve

Rate and MS-SSIM (on its linear scale) are averaged over the pictures at each setting, and the mean MS-SSIM is
then turned into dB, as published tables do. Averaging dB instead would make every codec look 2 to 4 % smaller
at a given MS-SSIM, since pictures that are easy to code then count for more.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import datetime, timezone
from importlib import metadata
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from neuralcodec.bench.curves import Point, bd_rate, mean_curve, rate_at
from neuralcodec.bench.metrics import ms_ssim, ms_ssim_db, psnr, ssimulacra2
from neuralcodec.bench.peers import PEERS, as_array, like
from neuralcodec.errors import NeuralCodecError, UsageError

SCHEMA = "neuralcodec-bench/1"
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".ppm", ".bmp", ".tif", ".tiff"}
MS_SSIM_TARGETS = (0.90, 0.95, 0.98)
METRICS = ("ms_ssim_db", "psnr", "ssimulacra2")

Measurement = dict[str, Any]


class Task(NamedTuple):
    """One picture through one codec at some settings: the unit of work of a process."""

    image: Path
    codec: str
    settings: tuple[int, ...]
    with_ssimulacra2: bool


class Cache:
    """Every measurement ever made, by picture content, codec, version and setting."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[tuple[Any, ...], Measurement] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:
                    continue  # the last line of a killed run
                self.entries[tuple(entry["key"])] = entry["measurement"]

    def has(self, key: tuple[Any, ...], with_ssimulacra2: bool) -> bool:
        """Whether the measurement is there, with SSIMULACRA2 if that is asked for."""
        return key in self.entries and not (with_ssimulacra2 and self.entries[key]["ssimulacra2"] is None)

    def add(self, entries: Iterable[tuple[tuple[Any, ...], Measurement]]) -> None:
        """Keeps new measurements, on disk at once."""
        with self.path.open("a") as file:
            for key, measurement in entries:
                self.entries[key] = measurement
                file.write(json.dumps({"key": key, "measurement": measurement}) + "\n")


def measure(task: Task) -> list[Measurement]:
    """Encodes, stores, reads back and scores a picture at each setting of a task."""
    peer = PEERS[task.codec]
    with Image.open(task.image) as opened:
        image = as_array(opened)
    measurements = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture"
        for setting in task.settings:
            start = time.perf_counter()
            file.write_bytes(peer.encode(image, setting))
            encoded = time.perf_counter()
            decoded = peer.decode(file.read_bytes())
            done = time.perf_counter()
            size = file.stat().st_size
            decoded = like(decoded, image)
            measurements.append(
                {
                    "setting": setting,
                    "bytes": size,
                    "bpp": 8 * size / (image.shape[0] * image.shape[1]),
                    "ms_ssim": ms_ssim(image, decoded),
                    "psnr": finite_or_none(psnr(image, decoded)),
                    "ssimulacra2": ssimulacra2(image, decoded) if task.with_ssimulacra2 else None,
                    "encode_s": encoded - start,
                    "decode_s": done - encoded,
                }
            )
    return measurements


def finite_or_none(value: float) -> float | None:
    """The value as JSON can hold it."""
    return value if math.isfinite(value) else None


def limit_threads(threads: int) -> None:
    """Keeps a process to its share of the cores."""
    import torch

    torch.set_num_threads(threads)


def run_tasks(tasks: list[Task], jobs: int, threads: int) -> Iterator[tuple[Task, list[Measurement]]]:
    """The measurements of each task, as they are done."""
    if jobs == 1:
        limit_threads(threads)
        for task in tasks:
            yield task, measure(task)
        return
    # Forked copies of a process that has used torch's threads may hang.
    with ProcessPoolExecutor(jobs, get_context("spawn"), limit_threads, (threads,)) as pool:
        futures = {pool.submit(measure, task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()


def find_images(folder: Path, limit: int | None) -> list[Path]:
    """The pictures of a folder by name, the first `limit` of them."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)[:limit]
    if not images:
        raise UsageError(f"no pictures in {folder}")
    return images


def describe_image(path: Path) -> dict[str, Any]:
    """An entry of the results' list of images."""
    with Image.open(path) as image:
        width, height = image.size
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"name": path.name, "sha256": digest, "width": width, "height": height}


def environment() -> dict[str, str | int | None]:
    """What timings and bytes depend on, beside the codecs' own versions."""
    versions = {name: metadata.version(name) for name in ("neuralcodec", "numpy", "pillow", "torch")}
    return {
        "python": platform.python_version(),
        **versions,
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def summarise(points: list[Measurement], codecs: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """The dataset's mean curve of each codec, and what can be read off it."""
    curves = {codec: dataset_curve(points, codec, settings) for codec, settings in codecs.items()}
    summary = {}
    for codec, curve in curves.items():
        quality = rate_points(curve, "ms_ssim_db")
        summary[codec] = {
            "curve": curve,
            "bd_rate_vs_jpeg": {
                metric: bd_rate(rate_points(curves["jpeg"], metric), rate_points(curve, metric))
                for metric in METRICS
            }
            if "jpeg" in curves
            else {},
            "bpp_at_ms_ssim": {f"{t:.2f}": rate_at(quality, ms_ssim_db(t)) for t in MS_SSIM_TARGETS},
        }
    return summary


def dataset_curve(points: list[Measurement], codec: str, settings: tuple[int, ...]) -> list[Measurement]:
    """The means over the pictures at each setting."""
    means: dict[str, list[Point]] = {}
    for metric in ("ms_ssim", "psnr", "ssimulacra2"):
        images: dict[str, list[Point]] = {}
        for point in points:
            if point["codec"] == codec:
                value = math.inf if point[metric] is None else point[metric]
                images.setdefault(point["image"], []).append((point["bpp"], value))
        means[metric] = mean_curve(list(images.values()))
    return [
        {
            "setting": setting,
            "bpp": means["ms_ssim"][row][0],
            "ms_ssim": means["ms_ssim"][row][1],
            "ms_ssim_db": finite_or_none(ms_ssim_db(means["ms_ssim"][row][1])),
            "psnr": finite_or_none(means["psnr"][row][1]),
            "ssimulacra2": finite_or_none(means["ssimulacra2"][row][1]),
        }
        for row, setting in enumerate(settings)
    ]


def rate_points(curve: list[Measurement], metric: str) -> list[Point]:
    """A mean curve's `(bpp, quality)` where that quality was measured and is finite."""
    return [(point["bpp"], point[metric]) for point in curve if point[metric] is not None]


def print_summary(summary: dict[str, Any]) -> None:
    """The table people compare: BD-rate against JPEG, and bits per pixel at fixed MS-SSIM."""
    headings = "".join(f"{f'bpp@{target:.2f}':>10}" for target in MS_SSIM_TARGETS)
    print(f"{'codec':<10}{'BD MS-SSIM':>12}{'BD PSNR':>12}{headings}")
    for codec, values in summary.items():
        rates = [values["bd_rate_vs_jpeg"].get(metric) for metric in ("ms_ssim_db", "psnr")]
        line = "".join(f"{'-' if rate is None else f'{rate:+.1f} %':>12}" for rate in rates)
        line += "".join(f"{'-' if b is None else f'{b:.3f}':>10}" for b in values["bpp_at_ms_ssim"].values())
        print(f"{codec:<10}{line}")


def run(args: argparse.Namespace) -> None:
    """Measures what is missing, then writes and prints the results."""
    if args.ssimulacra2 and find_spec("ssimulacra2") is None:
        raise UsageError("--ssimulacra2 needs the package of that name: pip install 'neuralcodec[bench]'")
    images = find_images(args.folder, args.limit)
    described = {path: describe_image(path) for path in images}
    codecs = {name: PEERS[name].settings for name in args.peers}
    if args.qualities:
        codecs.update({name: args.qualities for name in codecs if name.startswith("ours")})
    versions = {name: PEERS[name].version() for name in codecs}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    cache = Cache(args.cache or args.out.with_suffix(".cache.jsonl"))

    def key(path: Path, codec: str, setting: int) -> tuple[Any, ...]:
        return (described[path]["sha256"], codec, versions[codec], setting)

    tasks = []
    for path in images:
        for codec, settings in codecs.items():
            missing = tuple(s for s in settings if not cache.has(key(path, codec, s), args.ssimulacra2))
            if missing:
                tasks.append(Task(path, codec, missing, args.ssimulacra2))
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("measuring", total=sum(len(task.settings) for task in tasks))
        for task, measurements in run_tasks(tasks, args.jobs, args.threads):
            cache.add((key(task.image, task.codec, m["setting"]), m) for m in measurements)
            progress.advance(bar, len(measurements))

    points = [
        {"image": path.name, "codec": codec, **cache.entries[key(path, codec, setting)]}
        for path in images
        for codec, settings in codecs.items()
        for setting in settings
    ]
    summary = summarise(points, codecs)
    results = {
        "schema": SCHEMA,
        "command": command(args),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "environment": environment(),
        "codecs": {n: {"version": versions[n], "settings": settings} for n, settings in codecs.items()},
        "images": list(described.values()),
        "points": points,
        "summary": summary,
    }
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print_summary(summary)


def command(args: argparse.Namespace) -> str:
    """The call in a form that can be published: names instead of paths."""
    words = ["python benchmarks/kodak.py", args.folder.resolve().name, "--peers", ",".join(args.peers)]
    if args.qualities:
        words += ["--qualities", ",".join(map(str, args.qualities))]
    if args.limit is not None:
        words += ["--limit", str(args.limit)]
    return " ".join([*words, *(["--ssimulacra2"] if args.ssimulacra2 else [])])


def parse_args() -> argparse.Namespace:
    """The command line."""

    def peers(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in PEERS:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {','.join(PEERS)}")
        return names

    def qualities(text: str) -> tuple[int, ...]:
        return tuple(sorted({int(word) for word in text.split(",")}))

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="pictures, such as the 24 of the Kodak set"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="where the results go")
    parser.add_argument(
        "--peers", type=peers, default=["jpeg", "webp", "avif", "ours"], metavar="A,B", help="codecs"
    )
    parser.add_argument("--qualities", type=qualities, metavar="0,5,...", help="settings of our models")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures")
    parser.add_argument(
        "--ssimulacra2", action="store_true", help="also SSIMULACRA2 (extra `bench`; 0.5 s a point)"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="JSONL", help="earlier measurements (default: beside --out)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes; timings are only meaningful with 1")
    parser.add_argument("--threads", type=int, default=2, help="threads of each process")
    return parser.parse_args()


def main() -> int:
    """Runs the benchmark; the exit code is that of `ncodec`."""
    try:
        run(parse_args())
    except NeuralCodecError as error:
        print(f"kodak.py: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("kodak.py: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
