"""The sequences of randomization on a network that is a dictionary."""

from contextlib import contextmanager

import numpy as np
import pytest

from convlens.errors import OptionError
from convlens.techniques.metrics.randomization import (
    complexity_rise,
    random_classes,
    randomization,
    smoothed,
    stages,
)
from convlens.techniques.metrics.similarity import pearson

LAYERS = ("head", "block2", "block1")


class Fake:
    """Three weights, and a map that is what `draw` makes of them."""

    def __init__(self, draw):
        self.weights = {
            name: np.random.default_rng(number).normal(size=(2, 6, 8)) for number, name in enumerate(LAYERS)
        }
        self.draw, self.log = draw, []

    @contextmanager
    def redraw(self, layers, seed):
        self.log.append((tuple(layers), seed))
        saved = dict(self.weights)
        for layer in layers:
            self.weights[layer] = np.random.default_rng((seed, LAYERS.index(layer), 9)).normal(size=(2, 6, 8))
        try:
            yield
        finally:
            self.weights.update(saved)

    def maps(self):
        return self.draw(self.weights)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("cascading", [("head",), ("head", "block2"), ("head", "block2", "block1")]),
        ("independent", [("head",), ("block2",), ("block1",)]),
        ("bottom-up", [("block1",), ("block1", "block2"), ("block1", "block2", "head")]),
    ],
)
def test_the_order_of_layers(order: str, expected) -> None:
    fake = Fake(lambda weights: sum(weights.values()))
    before = dict(fake.weights)
    result = randomization(fake.redraw, fake.maps, LAYERS, order=order, seed=4)
    assert [stage.layers for stage in result] == expected == list(stages(LAYERS, order))
    assert fake.log == [(layers, 4) for layers in expected]
    assert all(fake.weights[name] is before[name] for name in LAYERS)


def test_what_does_not_depend_on_a_layer_stays_the_same() -> None:
    fake = Fake(lambda weights: weights["block1"])
    similar = [stage.similarities for stage in randomization(fake.redraw, fake.maps, LAYERS)]
    assert similar[0] == similar[1] == pytest.approx((1, 1))
    assert max(map(abs, similar[2])) < 0.4


def test_similarities_are_those_of_each_image() -> None:
    fake = Fake(lambda weights: weights["head"] + weights["block2"])
    learned = fake.maps()
    with fake.redraw(("head",), 7):
        drawn = fake.maps()
    stage = randomization(fake.redraw, fake.maps, ("head",), seed=7, similarity=pearson)[0]
    expected = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(learned, drawn, strict=True)]
    assert stage.similarities == pytest.approx(expected, abs=1e-6)


def test_the_sign_is_kept() -> None:
    turned = {"now": 1.0}

    @contextmanager
    def redraw(layers, seed):
        turned["now"] = -1.0
        try:
            yield
        finally:
            turned["now"] = 1.0

    heatmap = np.random.default_rng(0).normal(size=(1, 5, 5))
    result = randomization(redraw, lambda: heatmap * turned["now"], ["head"])
    assert result[0].similarities == pytest.approx((-1,))


def test_maps_that_are_written_over_are_copied() -> None:
    fake, shared = Fake(lambda weights: weights["head"]), np.zeros((2, 6, 8))

    def maps():
        shared[:] = fake.maps()
        return shared

    assert max(map(abs, randomization(fake.redraw, maps, ("head",))[0].similarities)) < 0.4


def test_maps_of_a_random_network_that_say_nothing() -> None:
    fake = Fake(lambda weights: weights["head"])
    learned = fake.weights["head"]
    for empty in (0.0, np.nan):
        fake.draw = lambda weights, empty=empty: learned if weights["head"] is learned else learned * empty
        assert randomization(fake.redraw, fake.maps, ("head",))[0].similarities == (None, None)


def test_weights_are_back_after_an_exception() -> None:
    fake = Fake(lambda weights: weights["head"])
    before = dict(fake.weights)

    def maps():
        if fake.weights["block2"] is not before["block2"]:
            raise RuntimeError("out of memory")
        return fake.maps()

    for call in (
        lambda: randomization(fake.redraw, maps, LAYERS),
        lambda: complexity_rise(fake.redraw, maps, LAYERS),
    ):
        with pytest.raises(RuntimeError, match="out of memory"):
            call()
        assert all(fake.weights[name] is before[name] for name in LAYERS)


def test_what_is_no_sequence_is_an_error() -> None:
    fake = Fake(lambda weights: weights["head"])
    with pytest.raises(OptionError, match="did you mean cascading"):
        randomization(fake.redraw, fake.maps, LAYERS, order="cascade")
    with pytest.raises(OptionError, match="no layers"):
        randomization(fake.redraw, fake.maps, [])
    with pytest.raises(OptionError, match="expected \\(images, height, width\\)"):
        randomization(fake.redraw, lambda: np.zeros((3, 3)), LAYERS)
    assert fake.log == []


def test_complexity_rise_in_closed_form() -> None:
    """Two equal halves before, 48 different values after: ln 2 becomes ln 48."""
    fake = Fake(None)
    learned = fake.weights["head"]
    halves = np.tile(np.repeat([0.0, 1.0], 24).reshape(6, 8), (2, 1, 1))
    grades = np.tile(np.arange(48.0).reshape(6, 8), (2, 1, 1))
    fake.draw = lambda weights: halves if weights["head"] is learned else grades
    expected = np.log(48) / np.log(2) - 1
    assert complexity_rise(fake.redraw, fake.maps, LAYERS) == pytest.approx((expected, expected))
    assert fake.log == [(LAYERS, 0)]
    fake.draw = lambda weights: halves
    assert complexity_rise(fake.redraw, fake.maps, LAYERS) == (0, 0)
    fake.draw = lambda weights: np.zeros((2, 6, 8)) if weights["head"] is learned else grades
    assert complexity_rise(fake.redraw, fake.maps, LAYERS) == (None, None)
    fake.draw = lambda weights: grades if weights["head"] is learned else grades * np.nan
    assert complexity_rise(fake.redraw, fake.maps, LAYERS) == (None, None)


def test_smoothed_maps_against_their_twin() -> None:
    images = (
        np.random.default_rng(1).uniform(size=(2, 3, 4, 2)).astype("float32") * np.array([1, 50])[:, None, None, None]
    )
    seen = []

    def maps(inputs):
        assert len(inputs) <= 4
        seen.extend(inputs.astype("float64"))
        return np.abs(inputs).sum(axis=-1) ** 2

    taken = smoothed(maps, images, noise=0.1, samples=9, batch_size=4)
    result = taken()
    noisy = np.stack(seen).reshape(2, 9, 3, 4, 2)
    np.testing.assert_allclose(result, (np.abs(noisy).sum(axis=-1) ** 2).mean(axis=1), rtol=1e-5)
    for number in range(2):  # the noise is a share of each image's own range
        assert (noisy[number] - images[number]).std() / np.ptp(images[number]) == pytest.approx(0.1, rel=0.15)
    assert (taken() == result).all()  # each stage sees the same noise


def test_another_class_is_any_but_its_own() -> None:
    drawn = random_classes([2] * 4000, 5)
    shares = np.bincount(drawn, minlength=5) / 4000
    assert shares[2] == 0
    np.testing.assert_allclose(shares[[0, 1, 3, 4]], 0.25, atol=0.03)
    assert random_classes([0, 1, 0], 2) == (1, 0, 1)
    assert random_classes([2] * 10, 5) == drawn[:10]
    with pytest.raises(OptionError, match="no other class"):
        random_classes([0], 1)
