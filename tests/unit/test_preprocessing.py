"""Pixels to network inputs, against Keras's own functions."""

import numpy as np
import pytest

from convlens.backend import keras_ready
from convlens.data.preprocessing import MODES, preprocessing
from convlens.errors import PreprocessingError

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 5, 7, 3)).astype("float32")
ORACLES = {"caffe": "vgg16", "tf": "mobilenet_v2", "torch": "densenet", "none": "efficientnet"}


@pytest.mark.parametrize("name", ORACLES)
def test_modes_equal_those_of_keras_applications(name: str) -> None:
    module = getattr(keras_ready().applications, ORACLES[name])
    np.testing.assert_allclose(
        preprocessing(name, "")(PIXELS), module.preprocess_input(PIXELS.copy()), rtol=1e-5, atol=1e-5
    )


def test_rescale_is_a_share_of_white() -> None:
    np.testing.assert_allclose(preprocessing("rescale", "")(PIXELS), PIXELS / 255, rtol=1e-6)


@pytest.mark.parametrize("name", MODES)
def test_the_affine_form_gives_the_same_values(name: str) -> None:
    matrix, offset = preprocessing(name, "").affine(3)
    np.testing.assert_allclose(PIXELS @ matrix.T + offset, preprocessing(name, "")(PIXELS), rtol=1e-4, atol=1e-3)


def test_a_function_that_mixes_pixels_has_no_affine_form() -> None:
    with pytest.raises(PreprocessingError, match="not the same affine function for every pixel"):
        preprocessing(lambda images: images - images.mean(), "").affine(3)


def test_a_function_of_the_user_is_taken_as_it_is() -> None:
    found = preprocessing(lambda images: images[..., ::-1] * 2, "given")
    np.testing.assert_array_equal(found(PIXELS), PIXELS[..., ::-1] * 2)
    np.testing.assert_allclose(found.affine(3)[0], 2 * np.eye(3)[::-1], atol=1e-5)


@pytest.mark.parametrize("name", ["caffe", "torch"])
def test_colour_means_need_three_channels(name: str) -> None:
    with pytest.raises(PreprocessingError, match="for 3 channels, the network takes 1"):
        preprocessing(name, "")(PIXELS[..., :1])


def test_unknown_names_list_the_near_ones() -> None:
    with pytest.raises(PreprocessingError, match="did you mean caffe"):
        preprocessing("cafe", "")
