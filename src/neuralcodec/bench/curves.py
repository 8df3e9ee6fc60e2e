"""Rate-distortion curves: BD-rate, the rate at a matched quality, and the mean curve of a dataset.

A curve is a sequence of `(rate, quality)` points, one per setting of a codec. Rate is in bits per pixel or
bytes, above zero; quality is any measure of which more is better. Give MS-SSIM in dB
(`neuralcodec.picture.metrics.ms_ssim_db`), since its linear scale squeezes everything of interest into the
last few hundredths.

Real codecs are not quite monotone, so every function first reduces a curve to its front. A point is dropped
where another is at least as good for no more bytes, because nobody would choose it. So are points that are
not finite, such as the PSNR of a lossless file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
Array = npt.NDArray[np.float64]
Span = tuple[float, float]
EVERYTHING: Span = (-math.inf, math.inf)
_ENOUGH = 0.9  # of a finite span


def bd_rate(reference: Sequence[Point], test: Sequence[Point], span: Span = EVERYTHING) -> float | None:
    """Compute by how many percent the rate of `test` differs from that of `reference` at equal quality.

    Log-rate is interpolated over quality by PCHIP and averaged over the interval of quality that both curves
    cover, with an exact integral. Minus 50 means half the bytes. Bjøntegaard, "Calculation of average PSNR
    differences between RD-curves", VCEG-M33, 2001; PCHIP instead of its cubic fit as in JVET-N1010 and later.
    It needs SciPy, which the extra `neuralcodec[bench]` brings.

    Args:
        span: the lowest and the highest quality to average over.

    Returns:
        Percent; None where the curves share no interval of quality, or less than nine tenths of a finite
        span. Nothing is extrapolated.
    """
    from scipy.interpolate import PchipInterpolator

    fronts = [_log_rate_over_quality(curve) for curve in (reference, test)]
    if any(len(quality) < 2 for quality, _ in fronts):
        return None
    low = max(span[0], *(quality[0] for quality, _ in fronts))
    high = min(span[1], *(quality[-1] for quality, _ in fronts))
    if not low < high or (span != EVERYTHING and high - low < _ENOUGH * (span[1] - span[0])):
        return None
    areas = [PchipInterpolator(quality, log_rate).integrate(low, high) for quality, log_rate in fronts]
    return 100 * math.expm1((areas[1] - areas[0]) / (high - low))


def rate_at(points: Sequence[Point], quality: float) -> float | None:
    """Interpolate the rate at which a codec reaches `quality`.

    The interpolation is of log-rate, between the neighbouring settings.

    Returns:
        The unit of the points' rates; None outside the qualities that the settings reach.
    """
    qualities, log_rates = _log_rate_over_quality(points)
    if len(qualities) == 0 or not qualities[0] <= quality <= qualities[-1]:
        return None
    return math.exp(float(np.interp(quality, qualities, log_rates)))


def mean_curve(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """Average the curves of a dataset: rates and qualities, at each setting, by their arithmetic means.

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
    """Return the finite points that no other point beats, by rising rate and rising quality."""
    front: list[Point] = []
    finite = [(r, q) for r, q in points if math.isfinite(q) and math.isfinite(r) and r > 0]
    for rate, quality in sorted(finite, key=lambda point: (point[0], -point[1])):
        if not front or quality > front[-1][1]:
            front.append((rate, quality))
    return front


def _log_rate_over_quality(points: Sequence[Point]) -> tuple[Array, Array]:
    front = np.array(pareto_front(points), dtype=np.float64).reshape(-1, 2)
    return front[:, 1], np.log(front[:, 0])
