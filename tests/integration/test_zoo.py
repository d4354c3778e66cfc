"""The networks that people use: default layers, and what is known of a trained one."""

import numpy as np
import pytest
from PIL import Image

import convlens
from convlens.backend import keras_ready
from convlens.bundled import photo
from convlens.results.heatmaps import correlation

DEFAULTS = {
    "VGG16": "block5_conv3",
    "ResNet50": "conv5_block3_out",
    "MobileNet": "conv_pw_13_relu",
    "MobileNetV2": "out_relu",
    "DenseNet121": "relu",
    "EfficientNetB0": "top_activation",
    "InceptionV3": "mixed10",
    "Xception": "block14_sepconv2_act",
    "NASNetMobile": "activation_187",
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_layer_of_keras_networks(name: str) -> None:
    keras_ready().backend.clear_session()  # NASNet's layers are numbered through a session
    network = convlens.load(f"keras:{name}", weights="random")
    assert network.default_layer == DEFAULTS[name]
    assert [layer.path for layer in network.layers if layer.default] == [DEFAULTS[name]]


@pytest.fixture(scope="module")
def squeezenet(data) -> object:
    return convlens.load(data / "squeezenet_imagenet.keras", preprocess="caffe")


def test_squeezenet_sees_the_elephant(squeezenet, data) -> None:
    found = convlens.heatmap(squeezenet, data / "elephant.jpg").predictions[0][0]
    assert (found.index, found.name) == (386, "African elephant, Loxodonta africana")
    assert found.score == pytest.approx(0.637, abs=0.01)


def test_the_heatmap_lies_on_the_elephants(squeezenet, data) -> None:
    elephant, ox = convlens.heatmap(squeezenet, data / "elephant.jpg", ["African elephant", 345])
    assert elephant.status == ("ok",)
    height, width = elephant.photos[0].size
    heat = np.asarray(Image.fromarray(elephant.values[0]).resize((width, height), Image.Resampling.BILINEAR))
    large, calf = np.zeros((2, height, width), bool)
    large[50:222, 238:525] = True
    calf[132:235, 90:290] = True
    assert large[np.unravel_index(heat.argmax(), heat.shape)]
    assert heat[large | calf].sum() / heat.sum() >= 0.75  # the boxes cover 0.35 of the photo
    (alike,) = correlation(elephant, ox)
    assert alike is not None
    assert alike < 0.9


BLOCKS = [15, 17, 19]  # of fire9_expand3x3: pictures in which one sees the blocks of a coarse start
STRUCTURES = [1, 2, 3, 4, 6, 9, 10]
UNREACHED = [0, 5, 7, 8, 12, 14]


def test_patterns_of_squeezenet_are_ok_where_one_sees_a_structure(squeezenet) -> None:
    wanted = STRUCTURES + BLOCKS + UNREACHED
    found = convlens.filter_patterns(squeezenet, "fire9_expand3x3", wanted, 128, precision="float32")
    status = dict(zip(found.filters, found.status, strict=True))
    assert [status[index] for index in STRUCTURES] == ["ok"] * 7
    assert [status[index] for index in BLOCKS] == ["mostly its start"] * 3
    assert [status[index] for index in UNREACHED] == ["unreached"] * 6
    assert (found.of_start[:7] < 0.45).all()
    assert ((found.of_start[7:10] > 0.7) & (found.end[7:10] > 100 * found.start[7:10])).all()
    assert "it may still fire on photos" in found.to_json()["filters"][-1]["meaning"]


def test_filters_that_an_ascent_does_not_reach_fire_on_a_photo(squeezenet) -> None:
    model = squeezenet.model
    inner = keras_ready().Model(model.inputs[0], model.get_layer("fire9_expand3x3").output)
    x = np.asarray(Image.fromarray(photo().pixels).resize((227, 227)), "float32")[..., ::-1]
    seen = keras_ready().ops.convert_to_numpy(inner((x - np.array([103.939, 116.779, 123.68], "float32"))[None]))
    assert (seen[0, ..., UNREACHED].max((1, 2)) > 1).sum() >= 5


def test_an_activation_that_fell_is_not_ok(squeezenet) -> None:
    found = convlens.filter_patterns(squeezenet, "conv_final", [43, 51, 0], 64, precision="float32")
    assert found.status == ("fell", "zero gradient", "ok")
    assert found.end[0] < 0.1 * found.start[0]
    assert found.end[1] == found.start[1] > 0  # its bias: nothing comes out of the layer before


def test_the_preprocessing_is_guessed(data) -> None:
    network = convlens.load(data / "squeezenet_imagenet.keras")
    found = convlens.activations(network, data / "elephant.jpg", "pool1")
    guessed = found.provenance["preprocessing_guess"]
    assert (guessed["mode"], guessed["rival"]) == ("caffe", "none")  # BGR less its mean, or RGB: the colours are close
    assert "unsure between caffe" in found.notes[-1]


def test_heatmaps_of_a_batch_are_those_of_its_images(squeezenet, data) -> None:
    images = [data / "elephant.jpg", data / "dogs_vs_cats/test/cats/cat.1700.jpg", data / "elephant.jpg"]
    batch = convlens.heatmap(squeezenet, images, batch_size=2)
    assert batch.target == (386, 285, 386)
    for index, image in enumerate(images):
        alone = convlens.heatmap(squeezenet, image)
        np.testing.assert_allclose(batch.values[index], alone.values[0], rtol=1e-3, atol=1e-4 * alone.values.max())
