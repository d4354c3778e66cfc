"""The network and the photo that come with convlens."""

from pathlib import Path

import numpy as np
import pytest

import convlens
from convlens.bundled import MODEL, photo
from convlens.network.predicting import scores
from convlens.network.samples import read_samples


@pytest.fixture(scope="module")
def network() -> object:
    return convlens.load("bundled")


def test_its_first_eight_layers_are_the_seeds(network) -> None:
    layers = network.layers[:8]
    names = [f"{kind}_{number}" for number in (5, 6, 7, 8) for kind in ("conv2d", "max_pooling2d")]
    assert [layer.path for layer in layers] == names
    assert [layer.output_shape[1:] for layer in layers] == [
        (148, 148, 32),
        (74, 74, 32),
        (72, 72, 64),
        (36, 36, 64),
        (34, 34, 128),
        (17, 17, 128),
        (15, 15, 128),
        (7, 7, 128),
    ]
    assert network.default_layer == "conv2d_8"


def test_it_is_small_and_says_what_it_takes(network) -> None:
    assert MODEL.stat().st_size <= 4_000_000
    assert network.preprocessing.name == "rescale"
    assert network.labels.names == ("cat", "dog")
    assert (MODEL.parent / "MODEL_CARD.md").is_file()


def test_it_sees_the_cat_in_the_bundled_photo(network) -> None:
    heatmap = convlens.heatmap(network, photo(), "cat")
    assert heatmap.predictions[0][0].name == "cat"
    assert heatmap.status == ("ok",)
    assert heatmap.overlay().size == photo().size[::-1]


def test_its_accuracy_on_photos_that_it_never_saw(network, data: Path) -> None:
    right = []
    for label, name in enumerate(("cats", "dogs")):
        paths = sorted((data / "dogs_vs_cats/test" / name).glob("*.jpg"))[::5]
        arrays = read_samples(network, paths).arrays
        right += list(scores(network, arrays).shown.argmax(-1) == label)
    assert len(right) == 200
    assert np.mean(right) >= 0.80


def test_activations_of_the_seeds_photo(network, data: Path) -> None:
    found = convlens.activations(network, data / "dogs_vs_cats/test/cats/cat.1700.jpg")
    assert len(found) == 8
    assert found["conv2d_5"].shape == (1, 148, 148, 32)
    keras = network.model.layers[0](np.asarray(read_samples(network, found.photos[0]).arrays[0]))
    np.testing.assert_allclose(found["conv2d_5"], np.asarray(keras), rtol=1e-4, atol=1e-5)
