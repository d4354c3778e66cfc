"""Intervals and comparisons against closed forms, enumeration and simulated coverage."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import t

from convlens.errors import OptionError
from convlens.techniques.metrics.statistics import compare, mean_interval


def test_many_values_have_students_interval() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    interval = mean_interval(values.tolist(), level=0.9)
    half = t.ppf(0.95, 399) * values.std(ddof=1) / 20
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03 * half)
    assert (interval.count, interval.undefined, interval.level) == (400, 0, 0.9)


@pytest.mark.parametrize("count", [6, 15])
def test_the_interval_of_few_images_holds_the_truth_as_often_as_it_says(count: int) -> None:
    """Plain percentiles of 6 values hold it in about 86 of 100 cases."""
    random, held = np.random.default_rng(1), 0
    for number in range(1000):
        interval = mean_interval(random.normal(size=count).tolist(), draws=1000, seed=number)
        held += interval.low <= 0 <= interval.high
    assert 0.93 <= held / 1000 <= 0.97


def test_the_seed_decides() -> None:
    values = np.random.default_rng(2).uniform(size=30).tolist()
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)
    assert mean_interval(values, seed=3) != mean_interval(values, seed=4)


def test_undefined_values_are_counted_and_left_out() -> None:
    interval = mean_interval([0.2, None, 0.4, None, 0.6, 0.1, 0.8])
    assert (interval.count, interval.undefined) == (5, 2)
    assert interval.mean == pytest.approx(0.42)
    assert interval == mean_interval([None, 0.2, 0.4, 0.6, 0.1, 0.8, None])
    assert interval.low < 0.42 < interval.high


@pytest.mark.parametrize(
    ("values", "mean"),
    [([], None), ([None, None], None), ([0.3], 0.3), ([None, 0.3], 0.3), ([0.1, 0.2, 0.4, 0.5], 0.3)],
)
def test_few_images_do_not_tell_how_images_differ(values, mean) -> None:
    interval = mean_interval(values)
    assert (interval.low, interval.high) == (None, None)
    assert interval.mean == (None if mean is None else pytest.approx(mean))
    assert interval.count + interval.undefined == len(values)


def test_equal_values_have_an_interval_of_no_length() -> None:
    interval = mean_interval([0.5] * 8)
    assert (interval.low, interval.mean, interval.high) == (0.5, 0.5, 0.5)


def test_many_images_are_drawn_in_parts() -> None:
    values = np.random.default_rng(3).normal(size=300_000)
    interval = mean_interval(values.tolist(), draws=100)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / np.sqrt(300_000), rel=0.3)


def enumerated(differences):
    """How many of all signs give a sum as far from zero."""
    reached = [
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True))) >= abs(sum(differences)) - 1e-12
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(reached) / len(reached)


@pytest.mark.parametrize("differences", [[1.0] * 6, [0.3, -0.1, 0.4, 0.4, 0.0, 0.2], [0.1, -0.1], [0.0, 0.0], [2.0]])
def test_the_sign_flip_test_against_enumeration(differences) -> None:
    second = [0.25] * len(differences)
    first = [one + other for one, other in zip(differences, second, strict=True)]
    result = compare(first, second, higher_is_better=True)
    assert result.p_value == pytest.approx(enumerated(differences))


def test_many_images_are_tested_by_random_signs() -> None:
    random = np.random.default_rng(4)
    differences = random.normal(0.35, 1, 40)
    result = compare(differences.tolist(), [0.0] * 40, higher_is_better=True)
    students = 2 * t.sf(abs(differences.mean() / differences.std(ddof=1) * 40**0.5), 39)
    assert result.p_value == pytest.approx(students, abs=0.01)
    assert compare([1.0] * 40, [0.0] * 40, higher_is_better=True).p_value == pytest.approx(1 / 10_001)


def test_who_wins_depends_on_what_is_better() -> None:
    first, second = [0.1, 0.2, 0.3, None, 0.9], [0.2, 0.3, 0.3, 0.5, 0.1]
    up, down = (compare(first, second, higher_is_better=better) for better in (True, False))
    assert (up.wins, up.losses, up.ties) == (1, 2, 1)
    assert (down.wins, down.losses, down.ties) == (2, 1, 1)
    assert up.difference == down.difference
    assert up.difference.mean == pytest.approx((-0.1 - 0.1 + 0 + 0.8) / 4)
    assert up.difference.undefined == 1


def test_pairing_sees_what_separate_intervals_do_not() -> None:
    base = np.random.default_rng(5).uniform(size=30)
    result = compare((base + 0.01).tolist(), base.tolist(), higher_is_better=True)
    assert 0 < result.difference.low <= 0.01 + 1e-9
    assert mean_interval(base.tolist()).high > mean_interval((base + 0.01).tolist()).low


@pytest.mark.parametrize(
    "call",
    [
        lambda: mean_interval([1.0, float("nan")]),
        lambda: mean_interval([1.0], level=95),
        lambda: mean_interval([1.0], draws=0),
        lambda: compare([1.0], [1.0, 2.0], higher_is_better=True),
    ],
)
def test_what_gives_no_number_is_an_error(call) -> None:
    with pytest.raises(OptionError):
        call()


def test_no_common_image_gives_no_comparison() -> None:
    result = compare([None, 1.0], [1.0, None], higher_is_better=True)
    assert (result.p_value, result.difference.mean, result.difference.undefined) == (None, None, 2)
