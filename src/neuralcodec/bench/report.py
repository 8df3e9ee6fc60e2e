"""The results of a benchmark as one object of a fixed form, and the files that it becomes.

The form is documented in `docs/benchmark.md`. The page and the Markdown are made from the object alone, apart
from the pictures on the page.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from neuralcodec import files
from neuralcodec.bench import tables
from neuralcodec.bench.charts import figure
from neuralcodec.bench.images import Photo, Problem, are_kodak
from neuralcodec.bench.page import page
from neuralcodec.bench.summary import complete_images, match_images, summarise, versus
from neuralcodec.bench.sweep import Codec, Measurement
from neuralcodec.bench.views import without_pictures
from neuralcodec.errors import NeuralCodecError

SCHEMA = "neuralcodec-bench/3"
PACKAGES = ("neuralcodec", "numpy", "pillow", "onnxruntime", "torch", "ssimulacra2", "piq")


def assemble(
    *,
    command: str,
    photos: Sequence[Photo],
    codecs: Mapping[str, Codec],
    ours: str,
    reference: str,
    points: Sequence[Measurement],
    speed: Mapping[str, Any] | None,
    views: Sequence[dict[str, Any]],
    problems: Sequence[Problem],
    published: bool,
) -> dict[str, Any]:
    """Build the object that `report.json` holds."""
    settings = {name: codec.settings for name, codec in codecs.items() if codec.settings}
    partial = [name for name, codec in codecs.items() if codec.pictures is not None]
    compared = complete_images(points, {name: s for name, s in settings.items() if name not in partial})
    return {
        "schema": SCHEMA,
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
        "ours": ours,
        "reference": reference,
        "codecs": {
            name: {"label": codec.peer.label, "version": codec.version, "settings": list(codec.settings)}
            for name, codec in codecs.items()
        },
        "images": [
            {"name": p.name, "sha256": p.sha256, "width": p.width, "height": p.height} for p in photos
        ],
        "compared": [photo.name for photo in photos if photo.name in compared],
        "summary": (summary := summarise(points, settings, reference, partial)),
        "versus": versus(summary, ours),
        "matched": match_images(points, list(settings), reference),
        "speed": speed,
        "views": [without_pictures(view) for view in views],
        "published": published_curves() if published or are_kodak(photos) else [],
        "problems": [{"subject": problem.subject, "message": problem.message} for problem in problems],
        "points": list(points),
    }


def write(report: dict[str, Any], views: Sequence[dict[str, Any]], folder: Path) -> list[Problem]:
    """Write `report.json`, `.md`, `.html` and `curves.svg`; return what cannot be written."""
    contents = {
        "report.json": json.dumps(report, indent=1, ensure_ascii=False) + "\n",
        "report.md": markdown(report),
        "report.html": page(report, views),
        "curves.svg": figure(report),
    }
    problems = []
    for name, content in contents.items():
        if not content:  # the figure of a report without curves
            continue
        try:
            with files.writing(folder / name) as file:
                # The contents hold file names, which need not be valid text.
                file.write(content.encode("utf-8", "backslashreplace"))
        except OSError as error:
            problems.append(Problem(name, error.strerror or str(error), NeuralCodecError.exit_code))
    return problems


def markdown(report: dict[str, Any]) -> str:
    """Write the headline, all tables, and what was not measured."""
    text = tables.markdown
    parts = [
        f"# {text(tables.title(report))}\n",
        f"{tables.markdown_code(report['command'])}, {report['created'][:10]}\n",
    ]
    parts += [tables.as_markdown(table) for table in tables.all_tables(report)]
    if report["problems"]:
        lines = "\n".join(f"- **{text(p['subject'])}**: {text(p['message'])}" for p in report["problems"])
        parts.append(f"## Not measured\n\n{lines}\n")
    used = (f"{codec['label']}: {codec['version']}" for codec in report["codecs"].values())
    versions = "\n".join(f"- {text(words)}" for words in used)
    machine = text(", ".join(f"{name} {value}" for name, value in report["environment"].items()))
    parts.append(f"## Measured with\n\n{versions}\n- {machine}\n")
    return "\n".join(parts)


def published_curves() -> list[dict[str, Any]]:
    """Return Kodak curves from papers: `{name, source, points}` with points of bits per pixel and MS-SSIM."""
    text = resources.files("neuralcodec.bench").joinpath("published.json").read_text("utf-8")
    return list(json.loads(text)["curves"])


def environment() -> dict[str, str | int | None]:
    """Describe what timings and bytes depend on, beside the codecs' own versions."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        **versions,
        "system": platform.system(),
        "processor": processor(),
        "cores": os.cpu_count(),
    }


def processor() -> str:
    """Return the model of the processor, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
