"""Summaries of the measurements: bytes at equal quality, for each picture and on average, and BD-rates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from neuralcodec.bench.curves import EVERYTHING, Point, Span, bd_rate, rate_at
from neuralcodec.bench.scores import finite_or_none
from neuralcodec.bench.sweep import Measurement
from neuralcodec.errors import NeuralCodecError
from neuralcodec.picture.metrics import ms_ssim_db


class Metric(NamedTuple):
    """A metric, and how it is used in comparisons.

    Args:
        name: for readers.
        scale: the scale over which log-rate is interpolated; for a similarity that ends at 1, dB.
        unit: of that scale.
        targets: qualities at which bytes are compared.
        digits: of a target, after the point.
        spans: of quality; there is a BD-rate over each.
        lowest: the lowest quality that is drawn; nobody would want pictures below.
    """

    name: str
    scale: Callable[[float], float] = float
    unit: str = ""
    targets: tuple[float, ...] = ()
    digits: int = 2
    spans: tuple[Span, ...] = (EVERYTHING,)
    lowest: float = -math.inf


METRICS = {
    "ms_ssim": Metric("MS-SSIM", ms_ssim_db, "dB", (0.90, 0.95, 0.98, 0.99)),
    "ssimulacra2": Metric("SSIMULACRA2", float, "", (50, 60, 70, 80, 85, 90), 0, ((30, 60), (60, 88)), 0),
    "psnr": Metric("PSNR", float, "dB"),
    "haarpsi": Metric("HaarPSI", ms_ssim_db, "dB"),
    "vsi": Metric("VSI", ms_ssim_db, "dB"),
}
#: Targets for the headline: of each metric, it takes the first that ours and the reference both reach.
HEADLINES = {"ms_ssim": (0.95, 0.90, 0.98, 0.99), "ssimulacra2": (70, 60, 50, 80, 85, 90)}


class Average(NamedTuple):
    """A BD-rate: its key in the results, its metric, its name for readers, and its span of quality."""

    key: str
    metric: str
    name: str
    span: Span


def _averages() -> Iterator[Average]:
    for key, metric in METRICS.items():
        for span in metric.spans:
            if span == EVERYTHING:
                yield Average(key, key, metric.name, span)
            else:
                low, high = (f"{end:g}" for end in span)
                yield Average(f"{key}_{low}_{high}", key, f"{metric.name} {low}–{high}", span)


AVERAGES = tuple(_averages())


def key_of(metric: str, target: float) -> str:
    """Write a target as the results name it: `0.95`, `70`."""
    return f"{target:.{METRICS[metric].digits}f}"


def saving(rate: float | None, reference: float | None) -> float | None:
    """Compute how many percent less `rate` is than the reference's; below zero where it is more."""
    return None if rate is None or reference is None else 100 * (1 - rate / reference)


def reference_of(codecs: Iterable[str], ours: str) -> str:
    """Choose the codec that all are compared with: JPEG, or without it the first beside ours.

    Args:
        codecs: those that are measured on all pictures.

    Raises:
        NeuralCodecError: there is none beside ours.
    """
    others = [codec for codec in codecs if codec != ours]
    if not others:
        raise NeuralCodecError("nothing to compare with is measured on all pictures: name another codec")
    return "jpeg" if "jpeg" in others else others[0]


def complete_images(points: Sequence[Measurement], settings: Mapping[str, Sequence[int]]) -> set[str]:
    """Return the pictures measured with every codec at every setting: only their means can be compared."""
    done: dict[str, int] = {}
    for point in points:
        if point["codec"] in settings:
            done[point["image"]] = done.get(point["image"], 0) + 1
    total = sum(map(len, settings.values()))
    return {image for image, count in done.items() if count == total}


def summarise(
    points: Sequence[Measurement],
    settings: Mapping[str, Sequence[int]],
    reference: str,
    partial: Collection[str] = (),
) -> dict[str, Any]:
    """Compute each codec's mean curve, BD-rates against the reference, and bits at the targets.

    Rate and quality (MS-SSIM on its linear scale) are averaged over the pictures at each setting; the mean
    MS-SSIM is then turned into dB, as published tables do. Averaging dB instead would make every codec look 2
    to 4 % smaller at a given MS-SSIM, since pictures that are easy to code then count for more.

    Args:
        partial: codecs that were measured on only a part of the pictures. Each is compared with the
            reference on that part; the means of the others do not depend on it.
    """
    complete = complete_images(points, {codec: s for codec, s in settings.items() if codec not in partial})
    found = {}
    for codec in settings:
        images = complete & complete_images(points, {codec: settings[codec]})
        usable = [point for point in points if point["image"] in images]
        curves = (dataset_curve(usable, name, settings[name]) for name in (codec, reference))
        found[codec] = {"pictures": len(images), **_compared(*curves)}
    return found


def versus(summary: Mapping[str, Any], ours: str) -> dict[str, dict[str, float | None]]:
    """Compute the BD-rates of ours against each other codec that was measured on as many pictures."""
    own = summary[ours]
    return {
        codec: {
            key: bd_rate(rate_points(other["curve"], metric), rate_points(own["curve"], metric), span)
            for key, metric, _, span in AVERAGES
        }
        for codec, other in summary.items()
        if codec != ours and other["pictures"] == own["pictures"]
    }


def _compared(curve: list[dict[str, Any]], reference: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare a codec's curve with the reference's: BD-rates, and bits at the targets."""
    at: dict[str, dict[str, Any]] = {}
    for metric in METRICS:
        own, other = rate_points(curve, metric), rate_points(reference, metric)
        for target, quality in _targets(metric):
            bpp, needed = rate_at(own, quality), rate_at(other, quality)
            at.setdefault(metric, {})[key_of(metric, target)] = {"bpp": bpp, "saving": saving(bpp, needed)}
    averages = {
        key: bd_rate(rate_points(reference, metric), rate_points(curve, metric), span)
        for key, metric, _, span in AVERAGES
    }
    return {"curve": curve, "bd_rate": averages, "at": at}


def _targets(metric: str) -> Iterator[tuple[float, float]]:
    """Yield each target as the results name it, and on the scale over which rates are interpolated."""
    for target in METRICS[metric].targets:
        yield target, METRICS[metric].scale(target)


def match_images(
    points: Sequence[Measurement], codecs: Sequence[str], reference: str
) -> list[dict[str, Any]]:
    """Interpolate the bytes of each codec for each picture and target, between neighbouring settings.

    A codec whose settings do not reach the target has no entry; `saving` is null where the reference has
    none.
    """
    curves: dict[tuple[str, str], list[Measurement]] = {}
    for point in points:
        curves.setdefault((point["image"], point["codec"]), []).append(point)
    matched = []
    for image, metric in itertools.product(dict.fromkeys(point["image"] for point in points), METRICS):
        own = {codec: size_points(curves.get((image, codec), []), metric) for codec in codecs}
        for target, quality in _targets(metric):
            sizes = {codec: rate_at(own[codec], quality) for codec in codecs}
            matched += [
                {
                    "image": image,
                    "metric": metric,
                    "target": target,
                    "codec": codec,
                    "bytes": round(size),
                    "saving": saving(size, sizes[reference]),
                }
                for codec, size in sizes.items()
                if size is not None
            ]
    return matched


def dataset_curve(points: Sequence[Measurement], codec: str, settings: Sequence[int]) -> list[dict[str, Any]]:
    """Average the measurements over the pictures at each setting; empty without pictures.

    A metric has no mean where it is infinite or was not measured on one of the pictures.
    """
    own = [point for point in points if point["codec"] == codec]
    curve = []
    for setting in settings:
        there = [point for point in own if point["setting"] == setting]
        if there:
            means = {key: _mean([point.get(key) for point in there]) for key in ("bpp", *METRICS)}
            curve.append({"setting": setting, **means})
    return curve


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None


def rate_points(curve: Iterable[Measurement], metric: str, rate: str = "bpp") -> list[Point]:
    """Return a curve's `(rate, quality)` where that quality was measured and is finite."""
    scale = METRICS[metric].scale
    points = [(float(point[rate]), scale(point[metric])) for point in curve if point.get(metric) is not None]
    return [(bits, quality) for bits, quality in points if finite_or_none(quality) is not None]


def size_points(points: Iterable[Measurement], metric: str = "ms_ssim") -> list[Point]:
    """Return one picture's `(bytes, quality)`, the latter on the scale of the metric."""
    return rate_points(points, metric, "bytes")


def setting_near(points: Sequence[Measurement], target: float) -> int:
    """Read the setting that should reach an MS-SSIM off the sweep; outside of its range, the nearest end."""
    ranked: list[tuple[float, int]] = []
    for point in sorted(points, key=lambda p: p["setting"]):
        quality = ms_ssim_db(point["ms_ssim"])
        if not ranked or quality > ranked[-1][0]:
            ranked.append((quality, point["setting"]))
    wanted = ms_ssim_db(target)
    if wanted <= ranked[0][0]:
        return ranked[0][1]
    for (low, below), (high, above) in itertools.pairwise(ranked):
        if wanted <= high:
            share = 0.0 if math.isinf(high) else (wanted - low) / (high - low)
            return round(below + share * (above - below))
    return ranked[-1][1]
