"""What a heatmap says where there is nothing to see, and of which score it speaks."""

from typing import Any

import numpy as np
import pytest

import convlens
from convlens.backend import keras_ready
from convlens.errors import LayerError, TargetError
from convlens.techniques.heatmaps.status import status_of

IMAGE = np.random.default_rng(0).random((1, 10, 10, 3)).astype("float32")


def network(dense: np.ndarray, bias: np.ndarray, activation: str | None = None, kernel: float = 0.1) -> Any:
    """conv 3x3 with an even kernel -> mean -> dense: the mean of the conv is a multiple of the image's mean."""
    keras = keras_ready()
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((10, 10, 3)),
            layers.Conv2D(2, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(dense.shape[1], activation=activation, name="dense"),
        ]
    )
    model.layers[0].set_weights([np.full((3, 3, 3, 2), kernel), np.zeros(2)])
    model.layers[2].set_weights([dense, bias])
    return convlens.load(model, preprocess="rescale")


def explain(model: Any, *arguments: Any, **options: Any) -> Any:
    return convlens.heatmap(model, IMAGE[0] * 255, *arguments, value_range=(0, 255), **options)


def test_a_saturated_softmax_has_a_logit_but_no_gradient() -> None:
    model = network(np.array([[300.0, 0], [300, 0]]), np.zeros(2), "softmax")
    assert explain(model, 0).status == ("ok",)
    flat = explain(model, 0, score="probability")
    assert flat.status == ("zero gradient",)
    assert not flat.values.any()


def test_evidence_against_a_class_is_no_evidence_for_it() -> None:
    model = network(np.array([[1.0, -1], [1, -1]]), np.zeros(2), "softmax")
    assert explain(model, 0).status == ("ok",)
    against = explain(model, 1)
    assert against.status == ("no positive evidence",)
    assert not against.values.any()


def test_a_map_that_is_not_finite_names_the_layer_and_keeps_its_values() -> None:
    broken = explain(network(np.ones((2, 2)), np.zeros(2), kernel=np.inf), 0)
    assert broken.status == ("non-finite at conv",)
    assert not np.isfinite(broken.values).all()


@pytest.mark.parametrize(
    ("signed", "max_gradient", "status"),
    [
        ([[1, 2]], 1.0, "ok"),
        ([[1, 1]], 1.0, "constant"),
        ([[-1, 0]], 1.0, "no positive evidence"),
        ([[0, 0]], 0.0, "zero gradient"),
    ],
)
def test_status_in_words(signed: list, max_gradient: float, status: str) -> None:
    assert status_of(np.array(signed, "float32"), max_gradient) == status


def test_one_sigmoid_unit_has_two_classes_with_opposite_evidence() -> None:
    dense, bias = np.array([[3.0], [-1.0]]), np.array([0.2])
    model = network(dense, bias, "sigmoid")
    down, up = explain(model, [0, 1])
    assert up.status == ("ok",)
    assert down.status == ("no positive evidence",)
    seen = convlens.activations(model, IMAGE[0] * 255, "conv", value_range=(0, 255))["conv"]
    logit = float(seen.mean((1, 2))[0] @ dense[:, 0] + bias[0])
    shown = {one.index: one.score for one in up.predictions[0]}
    assert shown[1] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)
    assert shown[0] == pytest.approx(1 - shown[1], abs=1e-5)
    with pytest.raises(TargetError, match="class 2 is out of range"):
        explain(model, 2)


def test_a_softmax_layer_of_its_own_is_looked_through() -> None:
    keras = keras_ready()
    layers = keras.layers
    tails = {
        "fused": [layers.Dense(3, activation="softmax", name="last")],
        "activation": [layers.Dense(3), layers.Activation("softmax", name="last")],
        "layer": [layers.Dense(3), layers.Softmax(name="last")],
        "none": [layers.Dense(3, name="last")],
    }
    maps = {}
    for name, tail in tails.items():
        body = [layers.Conv2D(4, 3, activation="relu", name="conv"), layers.GlobalAveragePooling2D()]
        model = keras.Sequential([keras.Input((10, 10, 3)), *body, *tail])
        rng = np.random.default_rng(1)
        model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
        looked = convlens.load(model, preprocess="rescale")
        assert looked.head().function == (None if name == "none" else "softmax")
        maps[name] = explain(looked, 1, "conv")
    for heatmap in maps.values():
        np.testing.assert_allclose(heatmap.values, maps["none"].values, rtol=1e-5, atol=1e-7)
        if heatmap is maps["none"]:
            assert {one.unit for one in heatmap.predictions[0]} == {"logit"}
            continue
        logits = np.array([one.score for one in maps["none"].predictions[0]])
        assert [one.index for one in heatmap.predictions[0]] == [one.index for one in maps["none"].predictions[0]]
        assert [one.score for one in heatmap.predictions[0]] == pytest.approx(
            np.exp(logits) / np.exp(logits).sum(), abs=1e-6
        )


def test_an_output_that_is_a_map_is_averaged_over_its_positions() -> None:
    keras = keras_ready()
    layers = keras.layers
    conv = layers.Conv2D(4, 3, activation="relu", name="conv")
    last = layers.Conv2D(3, 1, activation="softmax", name="classes")
    model = keras.Sequential([keras.Input((10, 10, 3)), conv, last])
    rng = np.random.default_rng(2)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    heatmap = explain(convlens.load(model, preprocess="rescale"), 2, "conv")
    features = keras.ops.convert_to_numpy(conv(IMAGE))
    kernel = np.asarray(model.get_weights()[2])[0, 0, :, 2]
    # the mean over the map of (features @ kernel) has the same gradient kernel / 64 everywhere
    np.testing.assert_allclose(heatmap.values, np.maximum((features @ kernel) / 64, 0), rtol=1e-4, atol=1e-6)


def test_a_layer_without_space_is_refused_with_others_named() -> None:
    with pytest.raises(LayerError, match=r"layer 'dense' has output .*; a heatmap needs a spatial one .*such as conv"):
        explain(network(np.ones((2, 2)), np.zeros(2)), 0, "dense")


@pytest.mark.parametrize("seed", [None, 3])
def test_dropout_that_is_always_on_does_not_move_the_default_layer(seed: int | None) -> None:
    keras = keras_ready()
    layers = keras.layers

    class AlwaysOn(layers.Dropout):
        def call(self, inputs: Any, training: Any = None) -> Any:
            return super().call(inputs, training=True)

    model = keras.Sequential(
        [
            keras.Input((10, 10, 3)),
            layers.Conv2D(2, 3, name="early"),
            layers.Conv2D(2, 3, name="late"),
            layers.Flatten(),
            AlwaysOn(0.5, seed=seed),
            layers.Dense(3),
        ]
    )
    assert convlens.load(model, preprocess="rescale").default_layer == "late"
