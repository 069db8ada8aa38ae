"""What a sweep came to: variance against published values, intervals, and honest words."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import f_oneway, linregress

from segkit.report import estimate
from segkit.sweeping import Outcome, Ranked, Trial, analyse_variance, verdict

# Breaks of yarn by wool and tension, nine looms each (Tippett 1950; the data set `warpbreaks` of R).
BREAKS = {
    ("A", "L"): (26, 30, 54, 25, 70, 52, 51, 26, 67),
    ("A", "M"): (18, 21, 29, 17, 12, 18, 35, 30, 36),
    ("A", "H"): (36, 21, 24, 18, 10, 43, 28, 15, 26),
    ("B", "L"): (27, 14, 29, 19, 29, 31, 41, 20, 44),
    ("B", "M"): (42, 26, 19, 16, 39, 28, 21, 39, 29),
    ("B", "H"): (20, 21, 24, 17, 13, 15, 15, 16, 28),
}


def test_variance_is_that_of_a_published_table():
    rows = [(wool, tension, score) for (wool, tension), scores in BREAKS.items() for score in scores]
    wool, tension, scores = zip(*rows, strict=True)
    found = analyse_variance({"wool": wool, "tension": tension}, scores)
    first, second = found.effects
    assert (first.key, first.freedom, second.key, second.freedom) == ("tension", 2, "wool", 1)
    # R: summary(aov(breaks ~ wool + tension, warpbreaks))
    assert (first.squares, first.f, first.p) == pytest.approx((2034.3, 7.537, 0.00138), rel=2e-3)
    assert (second.squares, second.f, second.p) == pytest.approx((450.7, 3.339, 0.07361), rel=1e-3)
    assert (found.squares, found.freedom) == (pytest.approx(6747.9, abs=0.1), 50)
    assert first.share + second.share + found.share == pytest.approx(1)


def test_one_unbalanced_factor_is_a_one_way_analysis(rng):
    groups = [rng.normal(mean, 1, size) for mean, size in ((0, 5), (0.5, 9), (2, 3))]
    levels = [level for level, group in zip("abc", groups, strict=True) for _ in group]
    found = analyse_variance({"x": levels, "same": [1] * len(levels)}, np.concatenate(groups))
    expected = f_oneway(*groups)
    (effect,) = found.effects  # what did not vary has none
    assert (effect.f, effect.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_a_trend_is_a_regression(rng):
    x = rng.uniform(-4, -1, 30)
    y = 0.2 * x + rng.normal(0, 0.3, 30)
    (effect,) = analyse_variance({"rate": x}, y, trends=["rate"]).effects
    line = linregress(x, y)
    assert (effect.freedom, effect.p, effect.share) == (1, pytest.approx(line.pvalue), pytest.approx(line.rvalue**2))


def test_type_two_does_not_count_what_another_setting_explains():
    # Only `a` acts, and `b` nearly always goes with it.
    a = [0, 0, 0, 0, 1, 1, 1, 1]
    b = [0, 0, 0, 1, 1, 1, 1, 0]
    noise = np.array([1, -1, 0.5, -0.5, 0.25, -0.25, 0.75, -0.75])
    found = {effect.key: effect for effect in analyse_variance({"a": a, "b": b}, 10.0 * np.array(a) + noise).effects}
    assert found["a"].p is not None
    assert found["b"].p is not None
    assert found["a"].p < 1e-4
    assert found["b"].p > 0.2


def test_nothing_to_compare_with_is_said_by_none():
    found = analyse_variance({"a": ["x", "y"]}, [0.1, 0.4])
    assert (found.effects[0].f, found.effects[0].p, found.effects[0].share) == (None, None, pytest.approx(1))
    alias = analyse_variance({"a": [1, 1, 2, 2], "b": ["p", "p", "q", "q"]}, [1.0, 2.0, 4.0, 6.0])
    assert [(effect.freedom, effect.p) for effect in alias.effects] == [(0, None), (0, None)]


def ranked(number: int, *scores: float) -> Ranked:
    outcomes = {seed: Outcome("completed", best=score) for seed, score in enumerate(scores)}
    trial = Trial(number, {}, outcomes)
    mean = estimate(trial.scores)
    assert mean is not None
    return Ranked(trial, "net", mean, True)


def test_the_verdict_is_honest():
    best, near, far = ranked(1, 0.90, 0.91, 0.92), ranked(2, 0.89, 0.90, 0.92), ranked(3, 0.50, 0.51, 0.52)
    assert "not distinguishable from 1 of 2 others (trials 2)" in verdict([best, near, far])
    assert "better than all 1 others" in verdict([best, far])
    assert "is not known" in verdict([ranked(1, 0.9), ranked(2, 0.1)])
    assert verdict([best]) == ""
