"""Entropy and Gini index of maps against slow twins."""

from math import log

import numpy as np
import pytest

from convlens.errors import OptionError
from convlens.techniques.metrics.complexity import complexity, histogram_entropy, sparseness

RANDOM = np.random.default_rng(22)
MAPS = [
    RANDOM.normal(size=(5, 8)),
    np.round(RANDOM.normal(size=(7, 3))),
    np.maximum(RANDOM.normal(size=(6, 6)), 0),
    -np.arange(12.0).reshape(3, 4),
]


@pytest.mark.parametrize("heatmap", MAPS)
def test_complexity_against_its_twin(heatmap) -> None:
    values = np.abs(heatmap).ravel().tolist()
    shares = [value / sum(values) for value in values if value]
    assert complexity(heatmap) == pytest.approx(-sum(share * log(share) for share in shares), rel=1e-5)


@pytest.mark.parametrize("heatmap", MAPS)
def test_sparseness_is_the_mean_difference_of_all_pairs(heatmap) -> None:
    values = np.abs(heatmap).ravel().tolist()
    differences = sum(abs(one - other) for one in values for other in values)
    assert sparseness(heatmap) == pytest.approx(differences / (2 * len(values) * sum(values)), rel=1e-5)


@pytest.mark.parametrize("size", [1, 2, 48])
def test_one_pixel_alone_and_all_the_same(size: int) -> None:
    single, same = np.zeros((1, size)), np.full((1, size), -0.3)
    single[0, -1] = 5
    assert complexity(single) == 0
    assert complexity(same) == pytest.approx(log(size), abs=1e-6)
    assert sparseness(single) == pytest.approx(1 - 1 / size)
    assert sparseness(same) == pytest.approx(0, abs=1e-6)


def test_a_map_of_zeros_has_neither() -> None:
    assert complexity(np.zeros((3, 3))) is None
    assert sparseness(np.zeros((3, 3))) is None


@pytest.mark.parametrize("measure", [complexity, sparseness])
@pytest.mark.parametrize("scale", [1e-30, -7, 1e30])
def test_scale_and_sign_do_not_count(measure, scale: float) -> None:
    assert measure(MAPS[0] * scale) == pytest.approx(measure(MAPS[0]), rel=1e-5)


@pytest.mark.parametrize("heatmap", MAPS)
@pytest.mark.parametrize("bins", [1, 4, 100])
def test_histogram_entropy_against_numpy(heatmap, bins: int) -> None:
    counts, _ = np.histogram(heatmap.astype("float32").astype("float64"), bins=bins)
    shares = [count / heatmap.size for count in counts if count]
    assert histogram_entropy(heatmap, bins) == pytest.approx(-sum(share * log(share) for share in shares), abs=1e-9)


def test_histogram_entropy_in_closed_form() -> None:
    assert histogram_entropy(np.zeros((3, 3))) == 0
    assert histogram_entropy(np.array([[-1.0, 1.0, -1.0, 1.0]])) == pytest.approx(log(2))
    assert histogram_entropy(np.arange(100.0).reshape(10, 10)) == pytest.approx(log(100))


@pytest.mark.parametrize("measure", [complexity, sparseness, histogram_entropy])
def test_values_that_are_not_finite_are_an_error(measure) -> None:
    with pytest.raises(OptionError, match="not finite"):
        measure(np.array([[1.0, np.nan]]))
