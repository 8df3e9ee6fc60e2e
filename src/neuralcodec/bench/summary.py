"""What the measurements say: bytes at equal quality, picture by picture and on average, and BD-rates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from neuralcodec.bench.curves import Point, bd_rate, mean_curve, rate_at
from neuralcodec.bench.sweep import Measurement, finite_or_none
from neuralcodec.picture.metrics import ms_ssim_db

TARGETS = (0.90, 0.95, 0.98)
METRICS = {"ms_ssim_db": "MS-SSIM", "psnr": "PSNR", "ssimulacra2": "SSIMULACRA2"}


def key_of(target: float) -> str:
    """How the results name an MS-SSIM: `0.95`."""
    return f"{target:.2f}"


def saving(rate: float | None, reference: float | None) -> float | None:
    """How many percent fewer bytes than the reference; below zero where they are more."""
    return None if rate is None or reference is None else 100 * (1 - rate / reference)


def reference_of(codecs: Iterable[str], ours: str) -> str:
    """What all others are compared with: JPEG, or without it the first codec beside ours."""
    others = [codec for codec in codecs if codec != ours]
    return "jpeg" if "jpeg" in others else others[0]


def complete_images(points: Sequence[Measurement], settings: Mapping[str, Sequence[int]]) -> set[str]:
    """The pictures that every codec was measured on at every setting: only their means can be compared."""
    done: dict[str, int] = {}
    for point in points:
        done[point["image"]] = done.get(point["image"], 0) + 1
    total = sum(map(len, settings.values()))
    return {image for image, count in done.items() if count == total}


def summarise(
    points: Sequence[Measurement], settings: Mapping[str, Sequence[int]], reference: str
) -> dict[str, Any]:
    """For each codec its mean curve, BD-rates against the reference, and the bits at the target MS-SSIM.

    Rate and MS-SSIM (on its linear scale) are averaged over the pictures at each setting; the mean MS-SSIM
    is then turned into dB, as published tables do. Averaging dB instead would make every codec look 2 to 4 %
    smaller at a given MS-SSIM, since pictures that are easy to code then count for more.
    """
    complete = complete_images(points, settings)
    usable = [point for point in points if point["image"] in complete]
    curves = {codec: dataset_curve(usable, codec, settings[codec]) for codec in settings}
    at = {
        codec: {key_of(t): rate_at(rate_points(curve, "ms_ssim_db"), ms_ssim_db(t)) for t in TARGETS}
        for codec, curve in curves.items()
    }
    return {
        codec: {
            "curve": curve,
            "bd_rate": {
                metric: bd_rate(rate_points(curves[reference], metric), rate_points(curve, metric))
                for metric in METRICS
            },
            "at": {
                target: {"bpp": bpp, "saving": saving(bpp, at[reference][target])}
                for target, bpp in at[codec].items()
            },
        }
        for codec, curve in curves.items()
    }


def match_images(
    points: Sequence[Measurement], codecs: Sequence[str], reference: str
) -> list[dict[str, Any]]:
    """For each picture and target MS-SSIM the bytes of each codec, between its neighbouring settings.

    `bytes`, `bpp` and `saving` are null where the settings of the codec do not reach the target.
    """
    curves: dict[tuple[str, str], list[Measurement]] = {}
    for point in points:
        curves.setdefault((point["image"], point["codec"]), []).append(point)
    matched = []
    for image in dict.fromkeys(point["image"] for point in points):
        for target in TARGETS:
            sizes = {
                codec: rate_at(size_points(curves.get((image, codec), [])), ms_ssim_db(target))
                for codec in codecs
            }
            for codec, size in sizes.items():
                bits = curves.get((image, codec), [])
                matched.append(
                    {
                        "image": image,
                        "ms_ssim": target,
                        "codec": codec,
                        "bytes": None if size is None else round(size),
                        "bpp": None if size is None else size * bits[0]["bpp"] / bits[0]["bytes"],
                        "saving": saving(size, sizes[reference]),
                    }
                )
    return matched


def dataset_curve(points: Sequence[Measurement], codec: str, settings: Sequence[int]) -> list[dict[str, Any]]:
    """The means over the pictures at each setting; empty without pictures."""
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
            "bpp": similarity[0],
            "ms_ssim": similarity[1],
            "ms_ssim_db": finite_or_none(ms_ssim_db(similarity[1])),
            "psnr": finite_or_none(psnr[1]),
            "ssimulacra2": finite_or_none(ssimulacra2[1]),
        }
        for setting, similarity, psnr, ssimulacra2 in zip(settings, *means.values(), strict=False)
    ]


def rate_points(curve: Sequence[Measurement], metric: str) -> list[Point]:
    """A mean curve's `(bpp, quality)` where that quality was measured and is finite."""
    return [(point["bpp"], point[metric]) for point in curve if point[metric] is not None]


def size_points(points: Iterable[Measurement]) -> list[Point]:
    """One picture's `(bytes, MS-SSIM in dB)`."""
    return [(point["bytes"], ms_ssim_db(point["ms_ssim"])) for point in points]


def setting_near(points: Sequence[Measurement], target: float) -> int:
    """The setting that should reach an MS-SSIM, read off the sweep; the nearest end outside of it."""
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
