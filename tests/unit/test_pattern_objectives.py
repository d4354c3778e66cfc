"""Objectives of patterns against a NumPy twin: what each measures, and that their arithmetic means what it says."""

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import convlens
from convlens.backend import keras_ready
from convlens.backend.arrays import numpy_arrays
from convlens.errors import FilterError, LayerError, OptionError, TargetError
from convlens.techniques.patterns.objectives.base import Objective
from convlens.techniques.patterns.objectives.channel import Channel
from convlens.techniques.patterns.objectives.class_logit import ClassLogit
from convlens.techniques.patterns.objectives.direction import Direction
from convlens.techniques.patterns.objectives.layer import Layer
from convlens.techniques.patterns.objectives.measure import Measure, stacked
from convlens.techniques.patterns.objectives.neuron import Neuron
from tests.contract import twin

VECTOR = (0.5, -1.0, 2.0, 0.25, 0.0, -3.0)


@pytest.fixture(scope="module")
def network() -> Any:
    keras = keras_ready()
    w = twin.weights()
    model = keras.Sequential([
        keras.Input((*twin.SIDES, 3)),
        keras.layers.Conv2D(4, 3, activation="relu", name="one"),
        keras.layers.MaxPooling2D(2, name="pool"),
        keras.layers.Conv2D(6, 3, activation="relu", name="two"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(twin.CLASSES, activation="softmax", name="classes"),
    ])  # fmt: skip
    model.set_weights([w.one, w.one_bias, w.two, w.two_bias, w.dense, w.dense_bias])
    return convlens.load(model, preprocess="none")


def measured(network: Any, objectives: list[Any], images: np.ndarray) -> np.ndarray:
    located = [objective.located(network) for objective in objectives]
    assert len({objective.key for objective in located}) == 1
    measure, arrays = Measure(network, located[0]), stacked(located)
    with network.reading():
        return numpy_arrays(measure.values(*network.tensors([images]), network.tensors(arrays), []))[0]


def expected(name: str, seen: dict[str, np.ndarray]) -> np.ndarray:
    """Of the twin, for the image of each row."""
    two = seen["two"]
    return {
        "channel": two[..., 5].mean((1, 2)),
        "inner channel": seen["pool"][..., 2].mean((1, 2)),
        "neuron": two[:, 2, 0, 1],
        "middle": two[:, two.shape[1] // 2, two.shape[2] // 2, 1],
        "direction": two.mean((1, 2)) @ np.array(VECTOR),
        "layer": (two**2).mean((1, 2, 3)),
        "class": seen["logits"][:, 3],
    }[name]


OBJECTIVES: dict[str, Objective] = {
    "channel": Channel("two", 5),
    "inner channel": Channel("pool", 2),
    "neuron": Neuron("two", 1, (2, 0)),
    "middle": Neuron("two", 1),
    "direction": Direction("two", VECTOR),
    "layer": Layer("two"),
    "class": ClassLogit(3),
}


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_each_measures_what_the_twin_does(name: str, network: Any) -> None:
    images = twin.images(3)
    found = measured(network, [OBJECTIVES[name]] * 3, images)
    wanted = expected(name, twin.forward(images, twin.weights()))
    assert np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("first", list(OBJECTIVES))
@pytest.mark.parametrize("second", ["channel", "inner channel", "class"])
def test_arithmetic_means_what_it_says(first: str, second: str, network: Any) -> None:
    images = twin.images(2)
    seen = twin.forward(images, twin.weights())
    a, b = OBJECTIVES[first], OBJECTIVES[second]
    x, y = expected(first, seen), expected(second, seen)
    for objective, wanted in [
        (a + 2 * b, x + 2 * y),
        (a - b, x - y),
        (-a, -x),
        (a / 4 - 3 * (b - a) * np.float32(0.5), x / 4 - 1.5 * (y - x)),
        (1 - a + 0.5, 1.5 - x),
        (0.3 * a + 0.7 * b, 0.3 * x + 0.7 * y),
        (sum([a, b, b]), x + 2 * y),
    ]:
        np.testing.assert_allclose(measured(network, [objective] * 2, images), wanted, rtol=1e-4, atol=1e-5)


def test_rows_of_one_key_have_weights_and_filters_of_their_own(network: Any) -> None:
    images = twin.images(3)
    rows = [Channel("two", index) + weight * Channel("pool", 3) for index, weight in ((0, 2.0), (4, -1.0), (5, 0.0))]
    seen = twin.forward(images, twin.weights())
    two, pool = seen["two"].mean((1, 2)), seen["pool"].mean((1, 2))[:, 3]
    wanted = [two[0, 0] + 2 * pool[0], two[1, 4] - pool[1], two[2, 5]]
    np.testing.assert_allclose(measured(network, rows, images), wanted, rtol=1e-5)


def test_one_filter_alone_is_computed_without_the_others(network: Any) -> None:
    images = network.tensors([twin.images(2)])[0]
    with network.reading():
        for objective, channels in ((-Channel("two", 5), 2), (Channel("two", 5) + Channel("two", 1), 6)):
            measure = Measure(network, objective)
            arrays = network.tensors(stacked([objective] * 2))
            assert measure.read(images, arrays, []).layers["two"].shape[-1] == channels


@pytest.mark.parametrize(
    ("objective", "error", "words"),
    [
        (Channel("two", 6), FilterError, "filter 6 is out of range: layer two has 6 filters, 0 to 5"),
        (Channel("two", -1) + Channel("two", 0), FilterError, "filter -1 is out of range"),
        (Neuron("one", 4), FilterError, "layer one has 4 filters"),
        (Direction("one", VECTOR), FilterError, "a direction of 6 numbers: layer one has 4 channels"),
        (ClassLogit(5), TargetError, "class 5 is out of range: .* has 5, 0 to 4"),
        (ClassLogit(0, "nope"), OptionError, "nope"),
        (Layer("three"), LayerError, "three"),
    ],
)
def test_what_is_not_there_is_told(objective: Objective, error: type, words: str, network: Any) -> None:
    with pytest.raises(error, match=words):
        objective.located(network)


def test_a_position_outside_is_told() -> None:
    with pytest.raises(OptionError, match=r"position \(7, 0\) .*layer two puts out 7x3 positions"):
        Neuron("two", 0, (7, 0)).check({"two": (1, 7, 3, 6)})
    with pytest.raises(OptionError, match="a neuron's position needs a spatial one"):
        Neuron("two", 0).check({"two": (1, 6)})


@pytest.mark.parametrize("vector", [(), (0.0, 0.0), (1.0, np.nan), ((1.0,), (2.0,))])
def test_what_is_no_direction_is_refused(vector: Any) -> None:
    with pytest.raises(OptionError, match="direction"):
        Direction("two", vector)


def test_objectives_are_values() -> None:
    one = Channel("two", 1) + 2 * Neuron("two", 3, (0, 1))
    assert one == pickle.loads(pickle.dumps(one)) == Channel("two", 1) + Neuron("two", 3, (0, 1)) * 2
    assert hash(one) == hash(pickle.loads(pickle.dumps(one)))
    assert one != replace(one, constant=1.0)
    assert one.key == (Channel("two", 5) - Neuron("two", 0, (4, 4))).key
    for nonsense in ("text", None, [1]):
        with pytest.raises(TypeError):
            one + nonsense
    with pytest.raises(TypeError):
        one * one
    with pytest.raises(OptionError, match="finite"):
        np.nan * one
