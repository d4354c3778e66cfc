"""Similarities of maps against slow twins, with their sign, and none where a map says nothing."""

import numpy as np
import pytest

from convlens.errors import OptionError
from convlens.techniques.metrics.similarity import SIMILARITIES, normalized, pearson, spearman, ssim


def slow_pearson(first, second):
    one, other = first.ravel().astype(float).tolist(), second.ravel().astype(float).tolist()
    mean, second_mean = sum(one) / len(one), sum(other) / len(other)
    products = sum((a - mean) * (b - second_mean) for a, b in zip(one, other, strict=True))
    squares = sum((a - mean) ** 2 for a in one) * sum((b - second_mean) ** 2 for b in other)
    return products / squares**0.5


def slow_ranks(heatmap):
    values = heatmap.ravel()
    return np.array([(values < value).sum() + ((values == value).sum() + 1) / 2 for value in values])


def slow_ssim(first, second, window):
    one, other = (heatmap.astype(float) / (heatmap.astype(float) ** 2).mean() ** 0.5 for heatmap in (first, second))
    span = max(one.max(), other.max()) - min(one.min(), other.min())
    c1, c2, found = (0.01 * span) ** 2, (0.03 * span) ** 2, []
    for top in range(one.shape[0] - window + 1):
        for left in range(one.shape[1] - window + 1):
            a, b = (each[top : top + window, left : left + window].ravel() for each in (one, other))
            covariance = np.cov(a, b)
            above = (2 * a.mean() * b.mean() + c1) * (2 * covariance[0, 1] + c2)
            below = (a.mean() ** 2 + b.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
            found.append(above / below)
    return sum(found) / len(found)


def maps(shape, seed=0):
    """Two maps that share something, with ties, zeros and both signs."""
    random = np.random.default_rng(seed)
    first = np.round(random.normal(size=shape) * 2).astype("float32")
    return first, (first + np.round(random.normal(size=shape) * 3)).astype("float32")


@pytest.mark.parametrize("shape", [(7, 7), (9, 13), (1, 6), (3, 4)])
def test_correlations_against_their_twins(shape) -> None:
    first, second = maps(shape)
    assert pearson(first, second) == pytest.approx(slow_pearson(first, second), abs=1e-9)
    expected = slow_pearson(slow_ranks(first), slow_ranks(second))
    assert spearman(first, second) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("shape", "window"), [((9, 13), 7), ((7, 7), 7), ((6, 20), 5), ((3, 4), 3)])
def test_ssim_against_its_twin(shape, window: int) -> None:
    first, second = maps(shape)
    assert ssim(first, second) == pytest.approx(slow_ssim(first, second, window), abs=1e-6)
    assert ssim(first, first) == pytest.approx(1)


@pytest.mark.parametrize("measure", [pearson, spearman])
def test_a_map_and_its_opposite(measure) -> None:
    """Of absolute values, both would be the same."""
    first, second = maps((8, 8))
    assert measure(first, -first) == pytest.approx(-1)
    assert measure(first, -second) == pytest.approx(-measure(first, second))
    assert ssim(first, -first) == pytest.approx(slow_ssim(first, -first, 7), abs=1e-6)
    assert ssim(first, -first) < 0.5


@pytest.mark.parametrize("measure", SIMILARITIES.values(), ids=SIMILARITIES)
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_the_scale_of_a_map_does_not_count(measure, scale: float) -> None:
    first, second = maps((8, 8))
    assert measure(first, second * np.float32(scale)) == pytest.approx(measure(first, second), abs=1e-5)


@pytest.mark.parametrize("measure", SIMILARITIES.values(), ids=SIMILARITIES)
@pytest.mark.parametrize("value", [0.0, 3.0, -0.1, np.nan, np.inf])
def test_nothing_is_like_a_map_that_says_nothing(measure, value: float) -> None:
    first, empty = maps((8, 8))[0], np.full((8, 8), value, "float32")
    holed = first.copy()
    holed[2, 2] = np.nan
    for pair in ((first, empty), (empty, first), (empty, empty), (first, holed)):
        assert measure(*pair) is None


def test_one_pixel_and_thin_maps() -> None:
    assert [measure(np.ones((1, 1)), np.ones((1, 1))) for measure in SIMILARITIES.values()] == [None] * 3
    assert ssim(*maps((2, 9))) is None
    assert pearson(*maps((2, 9))) is not None


def test_values_that_hardly_differ_are_still_a_map() -> None:
    first = np.full((4, 4), 1.0, "float32")
    first[0, 0] += np.float32(1.2e-7)
    assert pearson(first, first) == pytest.approx(1)


def test_maps_of_other_sizes_are_an_error() -> None:
    with pytest.raises(OptionError, match=r"\(2, 3\) and \(3, 2\)"):
        pearson(np.zeros((2, 3)), np.zeros((3, 2)))


def test_normalized_keeps_sign_and_zero() -> None:
    assert normalized(np.array([[3.0, -4.0, 0.0, 0.0]])).tolist() == [[1.2, -1.6, 0, 0]]
    assert normalized(np.zeros((1, 2))).tolist() == [[0, 0]]
