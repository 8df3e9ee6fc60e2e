"""Rates read off curves, against cases with a known answer."""

import math

import pytest

from neuralcodec.bench.curves import bd_rate, mean_curve, pareto_front, rate_at

CURVE = [(0.1, 8.0), (0.2, 11.0), (0.45, 14.5), (0.8, 17.0), (1.6, 21.0)]


@pytest.mark.parametrize("factor", [0.25, 0.5, 1.0, 1.1, 4.0])
def test_a_scaled_curve_has_that_bd_rate(factor: float) -> None:
    scaled = [(factor * rate, quality) for rate, quality in CURVE]
    assert bd_rate(CURVE, scaled) == pytest.approx(100 * (factor - 1))


def test_bd_rate_uses_only_the_shared_interval() -> None:
    # Log-rate is linear in quality on both, so that any interval has the same answer.
    reference = [(2.0**q, q) for q in (1.0, 2.0, 3.0, 4.0)]
    test = [(0.75 * 2.0**q, q) for q in (2.5, 3.5, 4.5, 9.0)]
    assert bd_rate(reference, test) == pytest.approx(-25)


def test_bd_rate_swaps_to_its_inverse() -> None:
    other = [(0.08, 8.5), (0.22, 13.0), (0.5, 16.0), (1.1, 20.0)]
    forth, back = bd_rate(CURVE, other), bd_rate(other, CURVE)
    assert forth is not None and back is not None
    assert (1 + forth / 100) * (1 + back / 100) == pytest.approx(1)


@pytest.mark.parametrize(
    "other",
    [
        [(0.1, 30.0), (0.2, 31.0)],  # better throughout
        [(2.0, 21.0), (3.0, 25.0)],  # touching in one quality only
        [(0.3, 12.0)],
        [(0.3, 12.0), (0.4, 12.0)],
        [(0.3, math.nan), (0.5, math.inf)],
        [],
    ],
)
def test_no_overlap_is_none(other: list[tuple[float, float]]) -> None:
    assert bd_rate(CURVE, other) is None
    assert bd_rate(other, CURVE) is None


def test_points_that_are_beaten_change_nothing() -> None:
    worse = [*CURVE, (0.3, 10.0), (0.9, 17.0), (2.0, math.inf)]
    assert pareto_front(worse) == CURVE
    assert bd_rate(CURVE, worse) == pytest.approx(0)
    assert rate_at(worse, 12.0) == rate_at(CURVE, 12.0)


def test_order_of_the_points_is_free() -> None:
    assert bd_rate(CURVE, CURVE[::-1]) == pytest.approx(0)


def test_rate_at_settings_between_and_outside() -> None:
    for rate, quality in CURVE:
        assert rate_at(CURVE, quality) == pytest.approx(rate)
    assert rate_at(CURVE, 9.5) == pytest.approx(math.sqrt(0.1 * 0.2))
    assert rate_at(CURVE, 7.99) is None
    assert rate_at(CURVE, 21.01) is None
    assert rate_at([], 10.0) is None
    assert rate_at([(1.0, 10.0)], 10.0) == pytest.approx(1.0)


def test_log_rate_between_the_settings_is_that_of_pchip() -> None:
    # By hand: slopes of 0 and 4 at the ends, and 1.5 inside, the harmonic mean of 1 and 3 with
    # equal steps. The Hermite cubics through 0, 1, 4 have the integrals 1/2 - 1.5/12 and 5/2 + (1.5 - 4)/12.
    bent = [(math.exp(log_rate), quality) for quality, log_rate in ((0, 0), (1, 1), (2, 4))]
    flat = [(1.0, 0.0), (1.0 + 1e-12, 2.0)]
    area = (1 / 2 - 1.5 / 12) + (5 / 2 + (1.5 - 4) / 12)
    assert bd_rate(flat, bent) == pytest.approx(100 * math.expm1(area / 2))


def test_a_span_of_qualities() -> None:
    # 80 % of the bytes below a quality of 3, half above; log-rate is linear in quality in either part.
    reference = [(2.0**q, float(q)) for q in range(7)]
    test = [(0.8 * 2.0**q, float(q)) for q in range(4)] + [(0.5 * 2.0**q, float(q)) for q in (4, 5, 6)]
    assert bd_rate(reference, test, (0, 2)) == pytest.approx(-20, abs=0.5)
    assert bd_rate(reference, test, (4, 6)) == pytest.approx(-50, abs=1)
    assert bd_rate(reference, test, (4, 6.1)) == pytest.approx(-50, abs=1)  # nearly all of it
    assert bd_rate(reference, test, (4, 8)) is None  # half of it


def test_mean_curve() -> None:
    curves = [[(1.0, 10.0), (2.0, 20.0)], [(3.0, 14.0), (6.0, 30.0)]]
    assert mean_curve(curves) == [(2.0, 12.0), (4.0, 25.0)]
    assert mean_curve([]) == []
    with pytest.raises(ValueError, match="shorter"):
        mean_curve([CURVE, CURVE[:-1]])
