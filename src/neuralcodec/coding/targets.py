"""Encoding to a target, a size, an MS-SSIM or a SSIMULACRA2, instead of a quality.

With each step of quality, sizes grow by a few percent, and what a metric lacks shrinks by as much. So
straight lines through the logarithms of the trials find most targets in two or three encodes. What does not
depend on the quality is done once for all encodes (`kept` of `encode_file`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any, NamedTuple, Protocol

from neuralcodec import parallel, weights
from neuralcodec.arrays import Pixels, Progress, quiet
from neuralcodec.coding import codec
from neuralcodec.coding.denoise import noise_level, without_noise
from neuralcodec.coding.pixels import Kept, part
from neuralcodec.coding.progressive import first_stages
from neuralcodec.errors import UsageError, warn
from neuralcodec.format import container
from neuralcodec.format.container import Container
from neuralcodec.options import DEFAULT_MODEL, checked_whole
from neuralcodec.picture.content import looks_drawn
from neuralcodec.picture.picture import Picture

MOST_ENCODES = 8
#: How far below its target a size may be, as a share of it.
SIZE_TOLERANCE = 0.02
MS_SSIM_TOLERANCE = 0.001
SSIMULACRA2_TOLERANCE = 0.5
#: Least side, in pixels, for which MS-SSIM is defined.
MS_SSIM_SIDE = 161

# The bpp of photographs at quality 0, and what a step of quality adds: where the search begins.
_TYPICAL_BPP, _LOG_BYTES_A_STEP = 0.02, 0.05


class Encoded(NamedTuple):
    """An `.nc` file, and how it was found."""

    data: bytes
    quality: float
    encodes: int
    reached: str | None = None  # the metric that was the target, and its value
    noise: float = 0.0  # what was taken out of the picture, a standard deviation in 8-bit levels


class _Trial(NamedTuple):
    """A quality that was tried.

    Args:
        excess: log-distance from the middle of the accepted range; positive means too much.
        near: whether it is within the accepted range.
        allowed: whether it may be the answer where no trial is near.
    """

    quality: float
    file: Container
    data: bytes
    excess: float
    near: bool
    allowed: bool
    words: str
    reached: str | None = None


class _Target(Protocol):
    @property
    def first(self) -> float:
        """The quality to begin with, from 0 to 100 or beyond."""

    @property
    def slope(self) -> float:
        """The amount that a step of quality usually adds to `excess`."""

    def judge(self, quality: float, file: Container) -> _Trial:
        """Judge how near an encoded picture is to the target."""

    def out_of_range(self, end: _Trial) -> str:
        """Word the warning for a target that even quality 0 or 100 does not reach.

        Raises:
            UsageError: this end cannot stand for the target.
        """

    def choose(self, trials: list[_Trial]) -> _Trial | None:
        """Choose one of all the trials, which are given smallest first; None if none will do."""


def encode(
    picture: Picture,
    *,
    quality: float | None = None,
    target_size: int | None = None,
    target_bpp: float | None = None,
    target_msssim: float | None = None,
    target_ssimulacra2: float | None = None,
    denoise: str | float | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Encoded:
    """Encode a picture to an `.nc` file, at a quality or at the quality that meets a target.

    Args:
        quality: 0 (smallest) to 100 (best). Without a quality and a target, the model family's own.
        target_size: bytes that the file may have; it is up to 2 % smaller, never larger.
        target_bpp: the same in bits for each pixel, metadata and transparency included.
        target_msssim: above 0 and below 1, met within 0.001 by the decoded 8-bit picture.
        target_ssimulacra2: above 0 and below 100, met within 0.5 by the decoded 8-bit picture.
        denoise: noise to take out first, as in `noise_level`; metrics compare with the picture without it.
        progress: as in `encode_file`.
        options: the other arguments of `encode_file`.

    Raises:
        UsageError: several of the five are given, one is out of range, or the picture cannot meet it.
    """
    wanted = {
        "quality": quality,
        "target_size": target_size,
        "target_bpp": target_bpp,
        "target_msssim": target_msssim,
        "target_ssimulacra2": target_ssimulacra2,
    }
    given = [name for name, value in wanted.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} cannot both be met: give one of them")
    noise = noise_level(picture.pixels, denoise, options.get("device"))
    report = progress or quiet
    if noise:
        picture = without_noise(picture, noise, device=options.get("device"), progress=part(report, 0, 0.3))
        report = part(report, 0.3, 1)
    target = _target(picture, target_size, target_bpp, target_msssim, target_ssimulacra2)
    if looks_drawn(picture.pixels):
        warn(["looks drawn: text, interfaces and line art are sharper as PNG, and often no larger"])
    if target is not None:
        in_stages = weights.by_name(options.get("model", DEFAULT_MODEL)).codec.in_stages
        find = _among_stages if in_stages else _search
        return find(picture, target, report, options)._replace(noise=noise)
    file = codec.encode_file(picture, quality=quality, progress=report, **options)
    return Encoded(container.write(file), file.header.quality, 1, noise=noise)


def _target(
    picture: Picture,
    size: int | None,
    bpp: float | None,
    ms_ssim: float | None,
    ssimulacra2: float | None,
) -> _Target | None:
    height, width = picture.pixels.shape[:2]
    if size is not None:
        return _Size(checked_whole("target_size", size), height * width)
    if bpp is not None:
        if isinstance(bpp, bool) or not isinstance(bpp, Real) or not 0 < bpp < math.inf:
            raise UsageError(f"target_bpp must be a number above 0, not {bpp!r}")
        return _Size(math.floor(float(bpp) * height * width / 8), height * width)
    if ms_ssim is not None:
        return _ms_ssim(ms_ssim, picture)
    if ssimulacra2 is not None:
        return _ssimulacra2(ssimulacra2, picture)
    return None


def _search(picture: Picture, target: _Target, progress: Progress, options: dict[str, Any]) -> Encoded:
    kept = Kept()
    trials: list[_Trial] = []

    def found(trial: _Trial) -> Encoded:
        progress(1.0)
        return Encoded(trial.data, trial.quality, len(trials), trial.reached)

    quality = _within_range(target.first)
    while True:
        file = codec.encode_file(
            picture,
            quality=quality,
            kept=kept,
            progress=lambda share: progress((len(trials) + share) / MOST_ENCODES),
            **options,
        )
        trial = target.judge(quality, file)
        trials.append(trial)
        if trial.near:
            return found(trial)
        if quality == (0 if trial.excess > 0 else 100):
            warn([target.out_of_range(trial)])
            return found(trial)
        quality = _next_quality(trials, target.slope)
        tried = any(trial.quality == quality for trial in trials)
        if not any(trial.allowed for trial in trials) and (tried or len(trials) == MOST_ENCODES - 1):
            quality = 0.0  # the last chance: the smallest file
        elif tried or len(trials) == MOST_ENCODES:
            break
    best = min((trial for trial in trials if trial.allowed), key=lambda trial: abs(trial.excess))
    warn([f"{best.words} is as near to the target as {len(trials)} encodes came"])
    return found(best)


def _among_stages(picture: Picture, target: _Target, progress: Progress, options: dict[str, Any]) -> Encoded:
    """Meet the target with a model in stages: encode once, and keep some of the stages."""
    whole = codec.encode_file(picture, quality=100, progress=progress, **options)
    files = [first_stages(whole, stages) for stages in range(1, whole.header.stages + 1)]
    trials = [target.judge(file.header.quality, file) for file in files]
    best = target.choose(trials)
    if best is None:
        end = trials[0] if trials[0].excess > 0 else trials[-1]
        raise UsageError(target.out_of_range(end))
    return Encoded(best.data, best.quality, 1, best.reached)


def _next_quality(trials: list[_Trial], slope: float) -> float:
    """Find where a straight line between two trials meets the target; `slope` is the usual one."""
    by_quality = sorted(trials)
    around = [(a, b) for a, b in pairwise(by_quality) if a.excess <= 0 < b.excess]
    if around:
        a, b = min(around, key=lambda pair: pair[1].excess - pair[0].excess)
        quality = _within_range(a.quality - a.excess * (b.quality - a.quality) / (b.excess - a.excess))
        # Where the last two fell on one side, the curve bends too much for a line, as where a layer begins.
        bent = len(trials) > 2 and (trials[-1].excess > 0) == (trials[-2].excess > 0)
        inside = a.quality < quality < b.quality and not bent
        return quality if inside else _within_range((a.quality + b.quality) / 2)
    # All are on one side: go on. Bound the slope: noise must cause no leap or standstill.
    last, *others = by_quality if by_quality[0].excess > 0 else reversed(by_quality)
    if others and others[0].quality != last.quality:
        rise = (others[0].excess - last.excess) / (others[0].quality - last.quality)
        slope = min(max(rise, slope / 4), 4 * slope)
        # Where the last step took off little of what is missing, go at least twice as far.
        least = 2 * (last.quality - others[0].quality) * (abs(last.excess) > 0.75 * abs(others[0].excess))
        return _within_range(last.quality + max(-last.excess / slope, least, key=abs))
    return _within_range(last.quality - last.excess / slope)


def _within_range(quality: float) -> float:
    return min(max(round(quality, 2), 0.0), 100.0)


@dataclass(frozen=True)
class _Size:
    """At most `size` bytes, for a picture of so many pixels."""

    size: int
    pixels: int
    slope: float = _LOG_BYTES_A_STEP

    @property
    def first(self) -> float:
        return math.log(max(8 * self.size / self.pixels, 1e-9) / _TYPICAL_BPP) / self.slope

    def judge(self, quality: float, file: Container) -> _Trial:
        # Only the tiles grow with the quality; the rest is the same at any quality.
        data, tiles = container.write(file), sum(map(len, file.tiles))
        aim = (1 - SIZE_TOLERANCE / 2) * self.size - (len(data) - tiles)
        excess = math.log(max(tiles, 1) / max(aim, 1.0))
        allowed = len(data) <= self.size
        near = allowed and len(data) >= (1 - SIZE_TOLERANCE) * self.size
        return _Trial(quality, file, data, excess, near, allowed, f"a file of {len(data):,} bytes")

    def choose(self, trials: list[_Trial]) -> _Trial | None:
        return max((trial for trial in trials if trial.allowed), default=None)

    def out_of_range(self, end: _Trial) -> str:
        if end.allowed:
            return f"{end.words} is all that quality 100 takes, the target is {self.size:,}"
        tiles = sum(map(len, end.file.tiles))
        raise UsageError(
            f"the target of {self.size:,} bytes is too small: the smallest file of this picture has "
            f"{len(end.data):,}, {len(end.data) - tiles:,} of them for metadata, transparency and headers"
        )


@dataclass(frozen=True)
class _Metric:
    """A value of a metric that compares with the picture.

    The search uses the logarithm of what is missing to `perfect`, which falls almost evenly with quality.

    Args:
        tolerance: the largest distance from `value` that is near enough.
        first: where the search begins: the quality at which photographs have the value, on average.
    """

    name: str
    value: float
    picture: Picture
    measure: Callable[[Pixels, Pixels], float]
    perfect: float
    tolerance: float
    digits: int
    first: float
    slope: float

    def judge(self, quality: float, file: Container) -> _Trial:
        decoded = codec.decode_file(file).pixels
        with parallel.computing():
            value = self.measure(self.picture.pixels, decoded)
        near = abs(value - self.value) <= self.tolerance
        excess = self._height(value) - self._height(self.value)
        words = f"{self.name} {value:.{self.digits}f}"
        return _Trial(quality, file, container.write(file), excess, near, True, words, words)

    def choose(self, trials: list[_Trial]) -> _Trial | None:
        return next((trial for trial in trials if trial.near or trial.excess > 0), None)

    def out_of_range(self, end: _Trial) -> str:
        if end.excess > 0:
            return f"{end.words} is what quality 0 has already, the target is {self.value:g}"
        raise UsageError(f"{self.name} {self.value:g} is out of reach: quality 100 has {end.words}")

    def _height(self, value: float) -> float:
        return -math.log(max(self.perfect - value, 1e-9))


def _ms_ssim(value: float, picture: Picture) -> _Metric:
    from neuralcodec.picture.metrics import ms_ssim

    if not isinstance(value, Real) or not 0 < value < 1:
        raise UsageError(f"target_msssim must be a number between 0 and 1, not {value!r}")
    _check_size(picture, "target_msssim: MS-SSIM", MS_SSIM_SIDE)
    slope = 0.0336
    first = math.log(0.17 / (1 - value)) / slope
    return _Metric(
        "MS-SSIM", float(value), picture, ms_ssim, 1.0, MS_SSIM_TOLERANCE, 4, first=first, slope=slope
    )


def _ssimulacra2(value: float, picture: Picture) -> _Metric:
    from neuralcodec.models.runtime import require_torch

    require_torch("target_ssimulacra2")
    from neuralcodec.models.ssimulacra2 import SMALLEST_SIDE, ssimulacra2

    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < 100:
        raise UsageError(f"target_ssimulacra2 must be a number between 0 and 100, not {value!r}")
    _check_size(picture, "target_ssimulacra2: SSIMULACRA2", SMALLEST_SIDE)
    measure, tolerance = ssimulacra2, SSIMULACRA2_TOLERANCE
    # A quality is about the score itself.
    return _Metric(
        "SSIMULACRA2", float(value), picture, measure, 100.0, tolerance, 2, first=float(value), slope=0.025
    )


def _check_size(picture: Picture, metric: str, side: int) -> None:
    height, width = picture.pixels.shape[:2]
    if min(height, width) < side:
        message = f"{metric} is not defined under {side} pixels a side, and the picture has {width}x{height}"
        raise UsageError(message)
