"""The command `ncodec bench`, from the pictures to the report."""

from __future__ import annotations

import hashlib
import json
import os
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from neuralcodec.bench import peers, registry, report, scores, speed, tables, views, zoo
from neuralcodec.bench.images import Photo, Problem, gather
from neuralcodec.bench.ours import Ours
from neuralcodec.bench.summary import reference_of, setting_near
from neuralcodec.bench.sweep import Cache, Codec, Measurement, Sweep
from neuralcodec.errors import NeuralCodecError, UsageError
from neuralcodec.models.runtime import on_gpu
from neuralcodec.options import DEFAULT_EFFORT, DEFAULT_MODEL
from neuralcodec.processes import available_cores, most, pool
from neuralcodec.terminal import progress, say

DEFAULT_AGAINST = ("jpeg", "webp", "avif", "jxl")
MOST_VIEWS = 30  # more would make a page of over 15 MB or so
TIMED_AT = 0.95


def run(args: Namespace) -> int:
    """Measure what no earlier run into the same folder has measured, and write the report anew."""
    ours, codecs, problems = choose_codecs(args)
    photos, unusable = gather([Path(name) for name in args.images], args.limit)
    problems += unusable
    if not photos:
        tell(problems)
        raise UsageError("there is no picture to measure on")
    out = Path(args.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NeuralCodecError(f"{out}: {error.strerror}") from None
    measured = measure(args, photos, codecs, ours, out)
    problems += measured.problems
    results = report.assemble(
        command=repeatable(args, measured.codecs, ours),
        photos=photos,
        codecs=measured.codecs,
        ours=ours,
        reference=measured.reference,
        points=measured.points,
        speed=measured.speed,
        views=measured.views,
        problems=problems,
        published=args.published,
    )
    unwritten = report.write(results, measured.views, out)
    problems += unwritten
    for table in tables.all_tables(results):
        if not table.folded:
            print(tables.as_text(table), end="\n\n")
    tell(problems)
    count, new = len(measured.points), measured.new
    where = out if unwritten else out / "report.html"
    say(f"{where}: {count:,} files measured, {new:,} of them in this run")
    return max((problem.exit_code for problem in problems), default=0)


def tell(problems: Sequence[Problem]) -> None:
    """Report each problem in one line, on standard error."""
    for problem in problems:
        say(f"ncodec: {'error' if problem.exit_code else 'note'}: {problem.subject}: {problem.message}")


class Measured(NamedTuple):
    """All results of a run, some of them from earlier runs."""

    codecs: dict[str, Codec]
    reference: str
    points: list[Measurement]
    speed: dict[str, Any] | None
    views: list[dict[str, Any]]
    problems: list[Problem]
    new: int


def measure(
    args: Namespace, photos: Sequence[Photo], codecs: Mapping[str, Codec], ours: str, out: Path
) -> Measured:
    """Run the sweep, then measure speed at equal quality and make the pictures to show."""
    cache, view_cache = Cache(out / "points.cache.jsonl"), Cache(out / "views.cache.jsonl")
    threads = args.threads or available_cores()
    jobs = most(threads, on_gpu=on_gpu())
    sweep = Sweep(photos, codecs, cache, scores.available())
    shown = photos[:MOST_VIEWS]
    steps = len(sweep.missing) + len(shown)
    steps += speed.steps(photos, len(codecs), args.rounds) if args.rounds else 0
    done = 0
    with progress("measuring", quiet=False) as show:

        def advance(count: int = 1) -> None:
            nonlocal done
            done += count
            if show is not None:
                show(done / steps)

        advance(0)  # start the estimate of the time left
        failures = sweep.run(jobs, advance)
        points = sweep.points()
        alive, problems = without_the_dead(codecs, ours, points, failures)
        reference = reference_of(on_all_pictures(alive), ours)
        timed = None
        if args.rounds:
            settings = {name: timed_setting(codec, points) for name, codec in alive.items()}
            versions = {name: codec.version for name, codec in alive.items()}
            timed, failures = time_codecs(
                photos, settings, versions, cache, rounds=args.rounds, threads=threads, advance=advance
            )
            problems += failures
        tasks = view_tasks(shown, alive, ours, reference, points)
        made, failures = make_views(tasks, view_cache, jobs, advance)
    return Measured(alive, reference, points, timed, made, problems + failures, len(sweep.missing))


# ---- what to measure -------------------------------------------------------------------------------------


class Chosen(NamedTuple):
    """The usable codecs of a run, ours last, and the problems of the others."""

    ours: str  # the one of ours that the report is about
    codecs: dict[str, Codec]
    problems: list[Problem]


def choose_codecs(args: Namespace) -> Chosen:
    """Choose the codecs that `--against`, `--model` and `--effort` ask for.

    Raises:
        UsageError: a codec is unknown, or there is no such model of ours.
        NeuralCodecError: there is nothing to compare with.
    """
    own = own_codecs(args)
    asked = [registry.find(name) for name in dict.fromkeys(args.against or DEFAULT_AGAINST)]
    codecs: dict[str, Codec] = {}
    problems = []
    for peer in (*asked, *own.values()):
        reason = peer.missing()
        usable: peers.Peer | None = peer
        if reason is not None:
            usable = zoo.untrained(peer)
            if usable is not None:
                reason += "; only its speed is measured, with random weights"
            # The exit code tells of a missing codec only if it was asked for by name.
            code = NeuralCodecError.exit_code if args.against else 0
            problems.append(Problem(peer.name, reason, code))
        if usable is not None:
            settings = usable.settings
            if args.qualities and isinstance(usable, Ours):
                settings = usable.nearest(args.qualities)
            codecs[usable.name] = Codec(
                usable, usable.version(), settings, args.subset if usable.slow else None
            )
    first = next(iter(own))
    if not any(codec.settings for name, codec in codecs.items() if name != first):
        reasons = "; ".join(f"{problem.subject}: {problem.message}" for problem in problems)
        raise NeuralCodecError(f"there is no codec to compare with: {reasons or 'name one with --against'}")
    reference_of(on_all_pictures(codecs), first)  # fail before anything is measured
    last = {name: codec for name, codec in codecs.items() if name in own}
    return Chosen(first, {name: c for name, c in codecs.items() if name not in own} | last, problems)


def on_all_pictures(codecs: Mapping[str, Codec]) -> list[str]:
    """Return the names of the codecs that have a curve over all pictures."""
    return [name for name, codec in codecs.items() if codec.settings and codec.pictures is None]


def own_codecs(args: Namespace) -> dict[str, Ours]:
    """Return each model at each effort, by name; the report is about the first.

    A model that has only one effort appears once.

    Raises:
        UsageError: there is no such model, or none with such an effort.
    """
    found: list[Ours] = []
    for model in args.model:
        if reason := Ours(model).missing():
            raise UsageError(reason)
        efforts = args.effort or [DEFAULT_EFFORT]
        able = [codec for effort in efforts if (codec := Ours(model, effort)).missing() is None]
        found += able or [Ours(model)]
    if args.effort and all(codec.family.efforts == DEFAULT_EFFORT for codec in found):
        raise UsageError(f"--effort is for other models than {', '.join(args.model)}")
    return {codec.name: codec for codec in found}


def without_the_dead(
    codecs: Mapping[str, Codec], ours: str, points: Sequence[Measurement], problems: Sequence[Problem]
) -> tuple[dict[str, Codec], list[Problem]]:
    """Drop the codecs that failed on every picture, and keep one problem of each.

    Raises:
        NeuralCodecError: ours failed on every picture, or nothing is left beside ours.
    """
    measured = {point["codec"] for point in points}
    dead = [name for name, codec in codecs.items() if codec.settings and name not in measured]
    kept = [problem for problem in problems if problem.codec not in dead]
    for name in dead:
        first = next(problem for problem in problems if problem.codec == name)
        message = f"failed on every picture: {first.message}"
        if name == ours:
            raise NeuralCodecError(f"{name} {message}")
        kept.append(Problem(name, message, first.exit_code))
    if measured == {ours}:
        raise NeuralCodecError(f"nothing to compare with: {kept[0].subject}: {kept[0].message}")
    return {name: codec for name, codec in codecs.items() if name not in dead}, kept


def repeatable(args: Namespace, codecs: Mapping[str, Codec], ours: str) -> str:
    """Write the command in a form that can be published: names instead of paths."""
    own = own_codecs(args)
    words = ["ncodec bench", *(Path(os.path.realpath(name)).name for name in args.images[:4])]
    words += ["..."] if len(args.images) > 4 else []
    words += ["--against", ",".join(name for name in codecs if name not in own)]
    words += ["--model", ",".join(args.model)] if args.model != [DEFAULT_MODEL] else []
    words += ["--effort", ",".join(map(str, args.effort))] if args.effort else []
    words += ["--qualities", ",".join(map(str, codecs[ours].settings))] if args.qualities else []
    words += ["--limit", str(args.limit)] if args.limit else []
    words += ["--subset", str(args.subset)] if args.subset else []
    return " ".join(words)


# ---- speed and pictures ----------------------------------------------------------------------------------


def time_codecs(
    photos: Sequence[Photo],
    settings: Mapping[str, int],
    versions: Mapping[str, str],
    cache: Cache,
    *,
    rounds: int,
    threads: int,
    advance: Callable[[], None],
) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Measure speed and memory of all codecs at about equal quality, unless an earlier run has."""
    pictures = [photo.sha256 for photo in speed.choose(photos)]
    facts = json.dumps((dict(settings), dict(versions), pictures, rounds, threads, report.environment()))
    key = ("speed", hashlib.sha256(facts.encode()).hexdigest())
    if (known := cache.get(key)) is not None:
        return {**known, "images": [photo.name for photo in speed.choose(photos)]}, []
    timed, problems = speed.measure(photos, settings, rounds=rounds, threads=threads, advance=advance)
    if timed is not None and not problems:
        problems += _keep(cache, key, timed)
    return timed, problems


def timed_setting(codec: Codec, points: Sequence[Measurement]) -> int:
    """Return the setting that should reach the MS-SSIM of the timing, averaged over the pictures."""
    if not codec.settings:
        return sum(codec.peer.limits) // 2
    values: dict[int, list[float]] = {}
    for point in points:
        if point["codec"] == codec.peer.name:
            values.setdefault(point["setting"], []).append(point["ms_ssim"])
    return setting_near([{"setting": s, "ms_ssim": fmean(v)} for s, v in values.items()], TIMED_AT)


def view_tasks(
    photos: Sequence[Photo],
    codecs: Mapping[str, Codec],
    ours: str,
    reference: str,
    points: Sequence[Measurement],
) -> list[views.ViewTask]:
    """List the views to make: of the pictures that ours and the reference were measured on."""
    shown = [name for name in dict.fromkeys((ours, reference, *views.SAME_BYTES)) if name in codecs]
    versions = {name: codecs[name].version for name in shown}
    known: dict[tuple[str, str], list[Measurement]] = {}
    for point in points:
        known.setdefault((point["image"], point["codec"]), []).append(point)
    tasks = []
    for photo in photos:
        own = {name: tuple(known[photo.name, name]) for name in shown if (photo.name, name) in known}
        if ours in own and reference in own:
            tasks.append(views.ViewTask(photo, ours, reference, versions, own))
    return tasks


def make_views(
    tasks: Sequence[views.ViewTask], cache: Cache, jobs: int, advance: Callable[[], None]
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Make the views that are not cached; return all, in the order of the pictures, and what failed."""
    problems: list[Problem] = []
    missing = [task for task in tasks if cache.get(task.key()) is None]
    if missing:
        with pool(views.make, jobs=jobs, threads=1) as workers:
            for task, view, error in workers.run(missing):
                advance()
                if view is None:
                    problems.append(
                        Problem(f"{task.photo.name}: pictures", error or "", NeuralCodecError.exit_code)
                    )
                else:
                    problems += _keep(cache, task.key(), view)
        # Views are large, and those of other weights will not be needed again.
        cache.forget_all_but({task.key() for task in tasks})
    found = ((task, cache.get(task.key())) for task in tasks)
    return [{**view, "image": task.photo.name} for task, view in found if view is not None], problems


def _keep(cache: Cache, key: tuple[str, str], value: Any) -> list[Problem]:
    try:
        cache.add(key, value)
    except OSError as error:
        message = f"cannot be kept for the next run: {error.strerror}"
        return [Problem(cache.path.name, message, NeuralCodecError.exit_code)]
    return []
