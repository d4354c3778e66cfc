"""The guess of an unknown preprocessing, on networks whose range is known."""

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import convlens
from convlens.data.preprocessing import MODES
from convlens.network import samples as feed
from convlens.network.inspect.evidence import Evidence, typical_photos
from convlens.network.inspect.guess import judged
from tests.ranges import read

FOLDER = Path(__file__).parents[1] / "known_ranges"
NETWORKS = sorted(FOLDER.glob("*.npz"))
COLOURS = np.array([123.7, 116.3, 103.5]), np.array([58.4, 57.1, 57.4])  # ImageNet's means and deviations


def photos(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(count).integers(0, 256, (count, 40, 50, 3)).astype("uint8"))


def unsure() -> tuple[Any, Any]:
    """A network whose guess is unsure: tf and torch differ by little but their scale."""
    small, model = read(FOLDER / "tests-1135-2-tf.npz")
    return small, convlens.load(model)


def normalized(mean: np.ndarray, deviation: np.ndarray) -> Any:
    """A network whose first layer passes its input on, with running statistics of the input's channels."""
    channels = len(mean)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((40, 40, channels)),
            layers.Conv2D(channels, 1, use_bias=False),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    dense = np.random.default_rng(0).normal(size=(channels, 3))
    ones = np.ones(channels)
    model.set_weights([np.eye(channels)[None, None], ones, 0 * ones, mean, deviation**2, dense, np.zeros(3)])
    return convlens.load(model)


def test_the_networks_are_those_of_the_plan() -> None:
    """5 ranges x with and without normalization x grey and RGB (of 3 ranges) x two and ten classes, and 8 more."""
    known = [read(path)[0] for path in NETWORKS]
    assert len(known) == 40
    assert len({(one.mode, one.norm, one.channels, one.classes) for one in known}) == 32
    for path in NETWORKS:
        accuracy = float(np.load(path)["accuracy"])
        assert accuracy > (0.62 if "-2-" in path.name else 0.3)


def test_the_truth_is_guessed_or_among_the_two() -> None:
    """At least 95 % are right, or unsure with the truth among the two; at most 2 % are wrong without a doubt."""
    right, doubted, wrong = [], [], []
    for path in NETWORKS:
        small, model = read(path)
        found = convlens.load(model).guess_preprocessing()
        assert found is not None
        if found.certainty == "sure":
            (right if found.mode == small.mode else wrong).append(path.name)
        elif found.certainty == "unsure" and small.mode in (found.mode, found.rival):
            doubted.append(path.name)
        keras.backend.clear_session()
    assert wrong == []
    assert len(right) + len(doubted) >= 38, (right, doubted)
    assert len(right) >= 30, doubted


@pytest.mark.parametrize("mode", MODES)
def test_running_statistics_tell_range_and_order(mode: str) -> None:
    """The statistics are those that the colours of ImageNet have in each range, worked out by hand."""
    mean, deviation = COLOURS
    grey_mean, grey = mean / 255, deviation / 255
    expected = {
        "none": (mean, deviation),
        "rescale": (grey_mean, grey),
        "tf": (2 * grey_mean - 1, 2 * grey),
        "caffe": (mean[::-1] - (103.939, 116.779, 123.68), deviation[::-1]),
        "torch": ((grey_mean - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225), grey / (0.229, 0.224, 0.225)),
    }[mode]
    found = normalized(*expected).guess_preprocessing()
    assert found is not None
    assert found.mode == mode
    assert found.certainty == "sure" or mode in ("tf", "torch"), found
    assert found.evidence[0] == "the running statistics of batch normalization"


@pytest.mark.parametrize(("scale", "shift"), [(20.0, 0.0), (0.05, 0.0), (1 / 255, 3.0)])
def test_a_range_that_is_none_of_the_known_is_said_to_be(scale: float, shift: float) -> None:
    network = normalized(COLOURS[0] * scale + shift, COLOURS[1] * scale)
    found = network.guess_preprocessing()
    assert found is not None
    assert found.certainty == "unknown"
    _, (note,) = network.known_preprocessing()
    assert "none of the known ranges fits the running statistics of batch normalization" in note
    assert note.endswith(f"uses {found.mode}: give preprocess= if it is another")


def test_shares_are_a_softmax_of_weighted_evidence() -> None:
    nothing = Evidence(0, 0, 0, 0, 0)
    even = judged({"none": nothing, "rescale": nothing, "tf": nothing})
    assert [share for _, share in even.shares] == pytest.approx([1 / 3] * 3)
    assert (even.certainty, even.evidence) == ("unknown", ())
    clear = judged({"none": Evidence(9, 3, 0, 0, 0), "rescale": nothing, "tf": Evidence(9, 3, 0, 0, 0)})
    assert (clear.mode, clear.certainty, clear.rival) == ("rescale", "sure", None)
    assert set(clear.evidence) == {"the mean of the logits", "the spread of the logits"}


def test_one_network_has_one_guess_whatever_is_done_first() -> None:
    said = []
    for step in (1, -1):
        small, network = unsure()
        before, layer = network.model.get_weights(), network.layers[0].path
        calls = [
            partial(convlens.filter_patterns, network, layer, [0], 16, steps=1),
            partial(convlens.activations, network, photos(1)),
            partial(convlens.heatmap, network, photos(2)),
            partial(convlens.heatmap, network, photos(8)),
        ]
        said += [call().provenance for call in calls[::step]]
        assert network.preprocessing is None
        for old, new in zip(before, network.model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
    assert {each["preprocessing"] for each in said} == {said[0]["preprocessing"]}
    guesses = [{**each["preprocessing_guess"], "rival_predictions": None} for each in said]
    assert all(each == guesses[0] for each in guesses)
    assert small.mode in (guesses[0]["mode"], guesses[0]["rival"])


def test_where_two_are_likely_both_predictions_are_shown() -> None:
    """What is said of the rival equals what comes of a network that is told it."""
    small, network = unsure()
    found = convlens.heatmap(network, photos(3))
    guessed = found.provenance["preprocessing_guess"]
    assert {guessed["mode"], guessed["rival"]} == {"tf", "torch"}
    assert small.mode in (guessed["mode"], guessed["rival"])
    assert "unsure between" in found.notes[0]
    for name, shown in ((guessed["mode"], found.predictions), (guessed["rival"], found.rival_predictions)):
        images = [np.asarray(one, "float32") for one in feed.fitted(network, found.photos)]
        outputs = keras.ops.convert_to_numpy(network.model(MODES[name](np.stack(images)), training=False))
        for row, predictions in zip(outputs, shown, strict=True):
            dog = float(row[0]) if len(row) == 1 else float(row[1])
            expected = {0: 1 - dog, 1: dog}
            assert {one.index: one.score for one in predictions} == pytest.approx(expected, abs=1e-4)
    assert guessed["rival_predictions"][0][0]["index"] == found.rival_predictions[0][0].index
    assert found.notes[-1].startswith(f"with {guessed['rival']} the predictions are image: class ")
    assert found.to_json()["rival_predictions"][2][0]["score"] == found.rival_predictions[2][0].score
    told = convlens.heatmap(convlens.load(network.model, preprocess="tf"), photos(3))
    assert (told.rival_predictions, told.provenance["preprocessing_guess"]) == (None, None)


@pytest.mark.parametrize("inputs", [[(24, 24, 5)], [(24, 24, 3), (24, 24, 3)]])
def test_what_takes_no_photos_is_not_guessed(inputs: list[tuple[int, ...]]) -> None:
    layers = keras.layers
    taken = [keras.Input(shape) for shape in inputs]
    joined = layers.Concatenate()(taken) if len(taken) > 1 else taken[0]
    outputs = layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(joined)))
    network = convlens.load(keras.Model(taken, outputs))
    assert network.guess_preprocessing() is None
    chosen, (note,) = network.known_preprocessing()
    assert (chosen.name, chosen.guess) == ("none", None)
    assert "inputs go in as they are, as it takes no single photo: give preprocess=" in note


def test_typical_photos_have_the_colours_of_photos() -> None:
    pixels = np.stack([photo.pixels for photo in typical_photos()]).astype("float32")
    assert pixels.shape == (16, 128, 128, 3)
    np.testing.assert_allclose(pixels.mean((0, 1, 2)), COLOURS[0], atol=2)
    np.testing.assert_allclose(pixels.std((0, 1, 2)), COLOURS[1], atol=4)
