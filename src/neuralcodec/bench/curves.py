"""Rate-distortion curves: BD-rate, the rate at a matched quality, and the mean curve of a dataset.

A curve is a sequence of `(rate, quality)` points, one per setting of a codec. Rate is bits per pixel or
bytes, above zero; quality is anything of which more is better. Give MS-SSIM in dB
(`neuralcodec.bench.metrics.ms_ssim_db`), since its linear scale squeezes everything of interest into the last
few hundredths.

Real codecs are not quite monotone, so every function first reduces a curve to its front: a point is dropped
where another is at least as good for no more bytes, because nobody would choose it, and so are points that
are not finite (the PSNR of a lossless file).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
Array = npt.NDArray[np.float64]


def bd_rate(reference: Sequence[Point], test: Sequence[Point]) -> float | None:
    """By how many percent the rate of `test` differs from that of `reference` at equal quality, on average.

    Log-rate is interpolated over quality by PCHIP and averaged over the interval of quality that both curves
    cover, with an exact integral. Minus 50 means: half the bytes. Bjøntegaard, "Calculation of average PSNR
    differences between RD-curves", VCEG-M33, 2001; PCHIP instead of its cubic fit as in JVET-N1010 and later.

    Returns:
        Percent; None where the curves share no interval of quality. Nothing is extrapolated.
    """
    fronts = [_log_rate_over_quality(curve) for curve in (reference, test)]
    if any(len(quality) < 2 for quality, _ in fronts):
        return None
    low = max(quality[0] for quality, _ in fronts)
    high = min(quality[-1] for quality, _ in fronts)
    if not low < high:
        return None
    areas = [_pchip_integral(quality, log_rate, low, high) for quality, log_rate in fronts]
    return 100 * math.expm1((areas[1] - areas[0]) / (high - low))


def rate_at(points: Sequence[Point], quality: float) -> float | None:
    """The rate at which a codec reaches `quality`: log-rate interpolated between the neighbouring settings.

    Returns:
        The unit of the points' rates; None outside the qualities that the settings reach.
    """
    qualities, log_rates = _log_rate_over_quality(points)
    if len(qualities) == 0 or not qualities[0] <= quality <= qualities[-1]:
        return None
    return math.exp(float(np.interp(quality, qualities, log_rates)))


def mean_curve(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """The curve of a dataset: at each setting, the arithmetic means of the images' rates and qualities.

    Args:
        curves: one curve per image, all with the same settings in the same order. An infinite quality of one
            image makes the mean of its setting infinite.

    Raises:
        ValueError: the curves have different numbers of points.
    """
    return [
        (math.fsum(rate for rate, _ in row) / len(row), math.fsum(quality for _, quality in row) / len(row))
        for row in zip(*curves, strict=True)
    ]


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The finite points that no other point beats, by rising rate and rising quality."""
    front: list[Point] = []
    finite = [(r, q) for r, q in points if math.isfinite(q) and math.isfinite(r) and r > 0]
    for rate, quality in sorted(finite, key=lambda point: (point[0], -point[1])):
        if not front or quality > front[-1][1]:
            front.append((rate, quality))
    return front


def pchip(x: Array, y: Array, at: Array) -> Array:
    """The values at `at` of the monotone piecewise cubic through the nodes.

    Args:
        x: `(N,)`, rising, N of 2 or more.
        y: `(N,)`.
        at: `(M,)`, within the nodes.

    Returns:
        `(M,)`.
    """
    piece = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    offset = at - x[piece]
    result = np.zeros_like(at)
    for coefficient in _pchip_coefficients(x, y):  # Horner, from the highest power
        result = result * offset + coefficient[piece]
    return result


def _log_rate_over_quality(points: Sequence[Point]) -> tuple[Array, Array]:
    front = np.array(pareto_front(points), dtype=np.float64).reshape(-1, 2)
    return front[:, 1], np.log(front[:, 0])


def _pchip_slopes(x: Array, y: Array) -> Array:
    """The derivatives `(N,)` at the nodes that keep the interpolation monotone wherever the data are.

    Fritsch and Carlson, "Monotone piecewise cubic interpolation", 1980, with the weighted harmonic mean of
    Fritsch and Butland, 1984, inside and a three-point formula at the ends, as MATLAB and SciPy do.
    """
    step, secant = np.diff(x), np.diff(y) / np.diff(x)
    if len(x) == 2:
        return np.repeat(secant, 2)
    slopes = np.zeros_like(x)
    left, right = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    rising = secant[:-1] * secant[1:] > 0  # zero slope at a turning point
    harmonic = (left + right)[rising] / (
        left[rising] / secant[:-1][rising] + right[rising] / secant[1:][rising]
    )
    slopes[1:-1][rising] = harmonic
    slopes[0] = _end_slope(step[0], step[1], secant[0], secant[1])
    slopes[-1] = _end_slope(step[-1], step[-2], secant[-1], secant[-2])
    return slopes


def _end_slope(near_step: float, far_step: float, near: float, far: float) -> float:
    """The derivative at an end, from the steps and secants of the two nearest intervals."""
    slope = ((2 * near_step + far_step) * near - near_step * far) / (near_step + far_step)
    if slope * near <= 0:
        return 0.0
    if near * far <= 0 and abs(slope) > 3 * abs(near):
        return 3 * near
    return slope


def _pchip_coefficients(x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    """For each of the N - 1 intervals, the cubic in the distance from its left node, highest power first."""
    step, slopes = np.diff(x), _pchip_slopes(x, y)
    secant = np.diff(y) / step
    square = (3 * secant - 2 * slopes[:-1] - slopes[1:]) / step
    cube = (slopes[:-1] + slopes[1:] - 2 * secant) / step**2
    return cube, square, slopes[:-1], y[:-1]


def _pchip_integral(x: Array, y: Array, low: float, high: float) -> float:
    """The exact integral of the interpolation from `low` to `high`, both within the nodes."""
    start = np.clip(low - x[:-1], 0, np.diff(x))
    stop = np.clip(high - x[:-1], 0, np.diff(x))
    total = 0.0
    for power, coefficient in zip((4, 3, 2, 1), _pchip_coefficients(x, y), strict=True):
        total += float((coefficient * (stop**power - start**power)).sum()) / power
    return total
