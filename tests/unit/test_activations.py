"""What is measured of a layer, worked out by hand: on the way that images take."""

from typing import Any

import keras
import numpy as np
import pytest

import convlens
from convlens.results.activations import LayerStatistics


def measured(values: np.ndarray, *layers: Any) -> LayerStatistics:
    """The statistics of the last layer of a network that is given these values of one image as they are."""
    model = keras.Sequential([keras.Input(values.shape), *layers])
    model.layers[-1].name = "last"
    network = convlens.load(model)
    (statistics,) = convlens.activations(network, values, "last", value_range="network").statistics["last"]
    return statistics


def test_statistics_of_a_map() -> None:
    """Two rows, two columns, three channels: one of mixed signs, one constant, one of zeros."""
    values = np.array([[[1, 5, 0], [-2, 5, 0]], [[3, 5, 0], [0, 5, 0]]], "float32")
    found = measured(values, keras.layers.Activation("linear"))
    assert found == LayerStatistics(active=6 / 12, blank=(1, 2), mean=pytest.approx(22 / 12), maximum=5.0, channels=3)
    assert str(found) == "50.0% of positions active, 2 of 3 channels blank, mean 1.833, maximum 5"


@pytest.mark.parametrize("layer", [keras.layers.Flatten, lambda: keras.layers.Activation("linear")])
def test_statistics_of_features(layer: Any) -> None:
    """A lone feature is blank where it is 0."""
    found = measured(np.array([0.5, 0, -1], "float32").reshape(1, 1, 3), layer())
    third = pytest.approx(1 / 3)
    assert found == LayerStatistics(active=third, blank=(1,), mean=pytest.approx(-0.5 / 3), maximum=0.5, channels=3)


def test_statistics_of_tokens() -> None:
    values = np.array([[[1, 4, 0], [2, 4, 0]]], "float32")
    found = measured(values, keras.layers.Reshape((2, 3)))
    assert (found.blank, found.channels, found.active) == ((1, 2), 3, pytest.approx(4 / 6))
