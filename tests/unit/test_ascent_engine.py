"""The engine of filter patterns: precision, independence of what runs together, and what is compiled."""

from typing import Any

import keras
import numpy as np
import pytest

import convlens
from convlens import backend
from convlens.errors import OptionError
from tests.unit.test_patterns import latents


def model(seed: int = 3) -> Any:
    """Five convolutions deep, with weights that keep their outputs' scale (He et al. 2015)."""
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((32, 32, 3))]
    for number, width in enumerate((16, 16, 32, 32, 48)):
        layers.append(
            keras.layers.Conv2D(
                width, 3, padding="same", activation="relu", name=f"conv{number}", kernel_initializer="he_normal"
            )
        )
        if number % 2:
            layers.append(keras.layers.MaxPooling2D())
    return keras.Sequential(layers)


def measured(network: Any, layer: str, patterns: Any, images: np.ndarray) -> np.ndarray:
    """The filters' mean activations on images in input units, in float32, by Keras's own functional model."""
    model = keras.Model(network.model.inputs, network.model.get_layer(layer).output)
    outputs = keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(images)))
    return outputs.mean((1, 2))[np.arange(len(images)), list(patterns.filters)]


def test_bfloat16_reaches_the_activation_of_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    network, kept = convlens.load(model(), preprocess="caffe"), latents(monkeypatch)
    exact = convlens.filter_patterns(network, "conv4", range(24), 32, precision="float32")
    fast = convlens.filter_patterns(network, "conv4", range(24), 32, precision="bfloat16")
    means = np.array([103.939, 116.779, 123.68])
    inputs = [(images[..., ::-1] - means).astype("float32") for images in kept]
    live = [row for row in range(24) if exact.status[row] == fast.status[row] == "ok"]
    assert len(live) > 12
    wanted, reached = (
        measured(network, "conv4", patterns, images)[live]
        for patterns, images in zip((exact, fast), inputs, strict=True)
    )
    np.testing.assert_allclose(exact.end[live], wanted, rtol=1e-4)
    np.testing.assert_allclose(fast.end[live], reached, rtol=2e-2)  # said in bfloat16, measured in float32
    assert reached.mean() >= 0.98 * wanted.mean()
    assert np.median(reached / wanted) >= 0.98
    assert fast.provenance["precision"] == "bfloat16"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_filters_pattern_is_the_same_bits_whatever_runs_beside_it(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, kept = convlens.load(model(), preprocess="none"), latents(monkeypatch)
    for filters in (range(48), [7], [7, 40], [40, 3, 7]):
        convlens.filter_patterns(network, "conv4", filters, 24, steps=6, precision=precision)
    every, alone, two, three = kept
    assert np.abs(every[7] - 128).max() > 1
    np.testing.assert_array_equal(alone[0], every[7])
    np.testing.assert_array_equal(two, every[[7, 40]])
    np.testing.assert_array_equal(three, every[[40, 3, 7]])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_that_changed_since_the_last_call_count(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = model(3), model(4)
    network, kept = convlens.load(first, preprocess="none"), latents(monkeypatch)
    convlens.filter_patterns(network, "conv4", range(4), 24, steps=3, precision=precision)
    first.set_weights(second.get_weights())
    convlens.filter_patterns(network, "conv4", range(4), 24, steps=3, precision=precision)
    convlens.filter_patterns(
        convlens.load(second, preprocess="none"), "conv4", range(4), 24, steps=3, precision=precision
    )
    before, after, fresh = kept
    assert np.abs(before - after).max() > 1
    np.testing.assert_array_equal(after, fresh)


def test_some_channels_of_a_convolution_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    network = convlens.load(model(), preprocess="none")
    kept = latents(monkeypatch)
    assert network.can_compute_only("conv3")
    narrow = convlens.filter_patterns(network, "conv3", [1, 30, 5], 24, steps=2, precision="float32")
    monkeypatch.setattr(type(network), "can_compute_only", lambda self, path: False)
    whole = convlens.filter_patterns(network, "conv3", [1, 30, 5], 24, steps=2, precision="float32")
    np.testing.assert_allclose(narrow.start, whole.start, rtol=1e-5)
    np.testing.assert_allclose(kept[0], kept[1], atol=1e-2)  # of 0-255, after two steps of 1


def test_a_layer_of_which_no_channel_can_be_computed_alone_is_computed_whole() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 4))
    first = keras.layers.Conv2D(8, 3, groups=2, name="grouped")(inputs)
    second = keras.layers.Conv2D(8, 3, activation="softmax", name="softmax")(first)
    last = keras.layers.DepthwiseConv2D(3, name="depthwise")(second)
    network = convlens.load(keras.Model(inputs, last), preprocess="rescale")
    assert [network.can_compute_only(layer.path) for layer in network.layers] == [False] * 3
    patterns = convlens.filter_patterns(network, "softmax", [0, 5], 16, steps=4)
    assert (patterns.end > patterns.start).all()


def test_a_second_layer_does_not_compile_the_first_again() -> None:
    network = convlens.load(model(), preprocess="none")
    for layer in ("conv1", "conv2"):
        convlens.filter_patterns(network, layer, [0], 16, steps=1)
    kept, passes = dict(network._compiled), network._passes
    for filters in ([0], range(9)):
        convlens.filter_patterns(network, "conv1", filters, 16, steps=1)
    assert dict(network._compiled) == kept
    if keras.backend.backend() != "torch":  # eager there: every step is a pass
        assert network._passes == passes


def test_compiled_functions_are_dropped_when_there_are_many_shapes() -> None:
    from convlens.backend.shapes import KEPT, by_shape

    built: list[tuple[int, ...]] = []

    def build(arguments: Any) -> Any:
        built.append(arguments[0].shape)
        return lambda array: array + 1

    call = by_shape(build)
    for size in [*range(1, KEPT + 2), KEPT + 1, 2, 1]:
        np.testing.assert_array_equal(call(np.zeros(size)), np.ones(size))
    assert built == [(size,) for size in [*range(1, KEPT + 2), 1]]


def test_auto_is_bfloat16_only_where_it_is_faster_and_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    inputs = keras.Input((16, 16, 3))
    own = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="conv")(Own()(inputs)))
    used = {}
    for gains in (True, False):
        monkeypatch.setattr(backend.current(), "gains_by_bfloat16", lambda gains=gains: gains)
        for name, kind in (("own", own), ("keras", model())):
            network = convlens.load(kind, preprocess="none")
            layer = "conv" if name == "own" else "conv0"
            used[gains, name] = convlens.filter_patterns(network, layer, [0], 16, steps=1).provenance["precision"]
    assert used == {
        (True, "own"): "float32",
        (True, "keras"): "bfloat16",
        (False, "own"): "float32",
        (False, "keras"): "float32",
    }


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(OptionError, match="unknown precision 'half'"):
        convlens.filter_patterns(convlens.load(model(), preprocess="none"), "conv0", [0], 16, precision="half")
