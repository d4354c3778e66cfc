"""What an output is taken for, and that its numbers are those of NumPy, however softmax and sigmoid are spelt."""

from typing import Any

import numpy as np
import pytest

import convlens
from convlens.errors import ModelError, OptionError, TargetError
from tests.contract import twin
from tests.unit import heads
from tests.unit.heads import ON_TORCH, functional, keras, layers, ops, subclassed

SHAPE = {"input_shape": (*twin.SIDES, 3)}
LAST = "two"
SIGMOIDS = {
    "layer": lambda: functional(1, lambda z: layers.Activation("sigmoid")(z)),
    "layer, then a reshape": lambda: functional(1, lambda z: layers.Reshape((1, 1))(layers.Activation("sigmoid")(z))),
    "operation": lambda: functional(1, ops.sigmoid),
    "function": lambda: subclassed(1, ops.sigmoid),
    "function, one axis": lambda: subclassed(1, lambda z: ops.reshape(ops.sigmoid(z), (-1,))),
    "function of another scale": lambda: subclassed(1, lambda z: 0.5 * (ops.tanh(z / 2) + 1)),
}
SOFTMAXES = {
    "layer": lambda: functional(5, lambda z: layers.Softmax()(z)),
    "layer, then a flatten": lambda: functional(5, lambda z: layers.Flatten()(layers.Softmax()(z))),
    "function": lambda: subclassed(5, ops.softmax),
    "logarithm": lambda: subclassed(5, ops.log_softmax),
    "logarithm, operation": lambda: functional(5, ops.log_softmax),
}
if ON_TORCH:
    import torch

    SIGMOIDS |= {
        "torch": lambda: heads.torch_module(1, torch.sigmoid),
        "torch in place": lambda: heads.torch_module(1, lambda z: z.sigmoid_()),
        "torch view": lambda: heads.torch_module(1, lambda z: torch.sigmoid(z).view(-1)),
        "torch squeeze": lambda: heads.torch_module(1, lambda z: torch.sigmoid(z).squeeze()),
        "torch squeeze before": lambda: heads.torch_module(1, lambda z: torch.sigmoid(z.squeeze(-1))),
    }
    SOFTMAXES |= {
        "torch": lambda: heads.torch_module(5, lambda z: torch.softmax(z, 1)),
        "torch logarithm": lambda: heads.torch_module(5, lambda z: torch.log_softmax(z, 1)),
        "torch squeeze": lambda: heads.torch_module(5, lambda z: torch.softmax(z, 1).squeeze()),
    }


def opened(model: Any, **options: Any) -> Any:
    return convlens.load(model, preprocess="none", **SHAPE, **options)


def explained(network: Any, target: Any = None, **options: Any) -> Any:
    layer = "last" if network.framework == "torch" else LAST
    return convlens.heatmap(network, heads.given(heads.images()), target, layer, **options)


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("spelling", SIGMOIDS)
def test_a_sigmoid_is_looked_through_however_it_is_spelt(spelling: str) -> None:
    network = opened(SIGMOIDS[spelling]())
    head = network.head()
    assert (head.kind, head.sure, head.unit, head.classes) == ("binary", True, "probability", 2)
    off, on = explained(network, [0, 1])
    close(on.values, heads.grad_cam(1, 0))
    close(off.values, heads.grad_cam(1, 0, sign=-1))
    chances = heads.sigmoid(heads.logits(1)[:, 0])
    for shown, chance in zip(on.predictions, chances, strict=True):
        assert {one.index: one.score for one in shown} == pytest.approx({1: chance, 0: 1 - chance}, abs=1e-5)
    likeliest = explained(network)
    assert likeliest.targets == tuple(int(chance >= 0.5) for chance in chances)
    assert min(chances) < 0.5, "the case in which class 0 is the likeliest"
    assert f"probability {max(1 - chances[0], chances[0]):.3f}" in likeliest.title(0)
    alone = convlens.heatmap(network, heads.given(heads.images())[0], 1, on.layer)
    close(alone.values, heads.grad_cam(1, 0)[:1])


@pytest.mark.parametrize("spelling", SOFTMAXES)
def test_a_softmax_is_looked_through_however_it_is_spelt(spelling: str) -> None:
    network = opened(SOFTMAXES[spelling]())
    head = network.head()
    assert (head.kind, head.sure, head.function, head.unit) == ("classes", True, "softmax", "probability")
    for target in (0, 3):
        close(explained(network, target).values, heads.grad_cam(5, target))
    expected = heads.softmax(heads.logits(5))
    found = network.predict(heads.given(heads.images()), top=None)
    for shown, row in zip(found, expected, strict=True):
        assert [one.index for one in shown] == list(np.argsort(-row))
        assert [one.score for one in shown] == pytest.approx(np.sort(row)[::-1], abs=1e-5)


@pytest.mark.parametrize("units", [2, 3])
def test_sigmoids_of_several_units_are_independent(units: int) -> None:
    network = opened(subclassed(units, ops.sigmoid))
    assert (network.head().kind, network.head().sure) == ("independent", True)
    expected = heads.sigmoid(heads.logits(units))
    for shown, row in zip(network.predict(heads.given(heads.images())), expected, strict=True):
        assert {one.index: one.score for one in shown} == pytest.approx(dict(enumerate(row)), abs=1e-5)
    assert explained(network).targets == tuple(expected.argmax(-1))


def test_a_sigmoid_without_a_layer_before_it_is_read_back_from_its_probability() -> None:
    network = opened(subclassed(1, lambda z: ops.sigmoid(3 * z - 1)))
    assert network.head().scored.startswith("log(p / (1 - p))")
    close(explained(network, 1).values, 3 * heads.grad_cam(1, 0), 1e-3)
    expected = heads.sigmoid(3 * heads.logits(1)[:, 0] - 1)
    for shown, chance in zip(network.predict(heads.given(heads.images())), expected, strict=True):
        assert {one.index: one.score for one in shown}[1] == pytest.approx(chance, abs=1e-5)


@pytest.mark.parametrize("shift", [40.0, -120.0])
def test_a_probability_that_rounds_to_0_or_1_says_so(shift: float) -> None:
    network = opened(subclassed(1, lambda z: ops.sigmoid(z * 1.5 + shift)), head="binary")
    assert explained(network, 1).status == ("saturated", "saturated")
    behind_a_layer = opened(functional(1, lambda z: layers.Activation("sigmoid")(layers.Rescaling(1.5, shift)(z))))
    close(explained(behind_a_layer, 1).values, 1.5 * heads.grad_cam(1, 0))


NO_SIGMOIDS = {
    "clipped": lambda z: ops.clip(z, 0, 1),
    "hard": ops.hard_sigmoid,
    "relu1": lambda z: ops.minimum(ops.relu(z), 1),
}


@pytest.mark.parametrize("name", NO_SIGMOIDS)
def test_values_between_0_and_1_are_not_always_probabilities(name: str) -> None:
    head = opened(subclassed(1, NO_SIGMOIDS[name])).head()
    assert (head.kind, head.sure, head.unit) == ("score", False, "value")
    assert "not by a sigmoid" in head.reason


@pytest.mark.parametrize(
    ("units", "tail", "kind", "sure"),
    [
        (1, lambda z: z, "score", False),
        (1, ops.tanh, "score", True),
        (5, lambda z: z, "classes", False),
        (8, lambda z: z / ops.norm(z, axis=-1, keepdims=True), "embedding", True),
        (8, ops.relu, "embedding", False),
        (1, lambda z: ops.softmax(ops.concatenate([z], -1)), "score", False),
    ],
)
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")
def test_what_has_no_probabilities_gets_none(units: int, tail: Any, kind: str, sure: bool) -> None:
    head = opened(subclassed(units, tail)).head()
    assert (head.kind, head.sure) == (kind, sure)
    assert head.unit == ("logit" if kind == "classes" else "value")
    assert bool(head.notes) != sure


def fixed(outputs: list[float], **options: Any) -> Any:
    """A network whose raw outputs are these numbers, plus a little of the image."""
    model = functional(len(outputs), lambda z: z)
    model.get_layer("dense").set_weights([np.full((6, len(outputs)), 1e-6, "float32"), np.array(outputs)])
    return opened(model, **options)


def test_a_value_is_no_class(tmp_path: Any) -> None:
    network = fixed([58.3])
    found = explained(network)
    assert found.title() == "unit 0 up, value 58.3"
    assert (found.direction, found.targets) == ("up", (0, 0))
    (shown,) = found.predictions[0]
    assert (shown.index, shown.unit) == (0, "value")
    assert shown.score == pytest.approx(58.3, abs=1e-3)
    assert "nothing tells whether it is a value or the logit" in found.notes[-1]
    found.save(tmp_path / "out")
    assert "probability" not in (tmp_path / "out" / "manifest.json").read_text()


def test_raw_scores_of_several_labels_are_shown_as_they_are() -> None:
    shown = fixed([0.52, 0.51, -3.0]).predict(heads.given(heads.images()))[0]
    assert [(one.index, one.unit) for one in shown] == [(0, "logit"), (1, "logit"), (2, "logit")]
    assert [one.score for one in shown] == pytest.approx([0.52, 0.51, -3.0], abs=1e-3)
    shown = fixed([0.52, 0.51, -3.0], head="independent").predict(heads.given(heads.images()))[0]
    assert [one.score for one in shown] == pytest.approx(heads.sigmoid(np.array([0.52, 0.51, -3.0])), abs=1e-4)
    shown = fixed([0.52, 0.51, -3.0], head="classes").predict(heads.given(heads.images()))[0]
    assert [one.score for one in shown] == pytest.approx(heads.softmax(np.array([0.52, 0.51, -3.0])), abs=1e-4)
    assert {one.unit for one in shown} == {"probability"}


def test_a_value_is_raised_and_lowered() -> None:
    network = opened(subclassed(2, lambda z: z), head="score")
    for target, unit, sign in ((0, 0, 1), ("0 down", 0, -1), ("1", 1, 1), ("1 up", 1, 1), ("1 down", 1, -1)):
        found = explained(network, target)
        close(found.values, heads.grad_cam(2, unit, sign))
        assert (found.target, found.direction) == (unit, "down" if sign < 0 else "up")
    assert [one.index for one in network.predict(heads.given(heads.images()))[0]] == [0, 1]
    with pytest.raises(TargetError, match='has 2 units; give an index, as "1" or "1 down"'):
        explained(network, "down")
    with pytest.raises(TargetError, match="unit 2 is out of range"):
        explained(network, 2)
    with pytest.raises(OptionError, match="has no probabilities"):
        explained(network, 0, score="probability")
    single = opened(subclassed(1, lambda z: z))
    close(explained(single, "up").values, heads.grad_cam(1, 0))
    close(explained(single, "down").values, heads.grad_cam(1, 0, -1))


def test_raised_and_lowered_are_two_pictures(tmp_path: Any) -> None:
    both = explained(opened(subclassed(1, lambda z: z)), ["up", "down"])
    for found in both:
        found.save(tmp_path / found.direction)
    names = [{path.name for path in (tmp_path / way).rglob("*.png")} for way in ("up", "down")]
    assert names[0].isdisjoint(names[1])


def test_an_embedding_has_no_likeliest_class() -> None:
    network = opened(subclassed(8, lambda z: z / ops.norm(z, axis=-1, keepdims=True)))
    with pytest.raises(TargetError, match=r"embedding of 8 numbers .*give target=INDEX"):
        explained(network)
    assert explained(network, 3).title() == "unit 3 up"
    assert list(network.predict(heads.given(heads.images()))) == [(), ()]


LOSSES = [
    ("mse", 1, "score", True),
    ("mean_absolute_error", 3, "score", True),
    (keras.losses.BinaryCrossentropy(from_logits=True), 1, "binary", True),
    (keras.losses.BinaryCrossentropy(from_logits=True), 3, "independent", True),
    (keras.losses.CategoricalCrossentropy(from_logits=True), 3, "classes", True),
    (keras.losses.SparseCategoricalCrossentropy(from_logits=True), 3, "classes", True),
    ("binary_crossentropy", 1, "score", False),  # takes probabilities, and gets raw numbers
    ("categorical_crossentropy", 3, "classes", False),
]


@pytest.mark.parametrize(("loss", "units", "kind", "sure"), LOSSES)
@pytest.mark.parametrize("way", ["memory", ".keras", ".h5"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_loss_tells_what_raw_outputs_are(
    loss: Any, units: int, kind: str, sure: bool, way: str, tmp_path: Any
) -> None:
    model = functional(units, lambda z: z)
    model.compile("sgd", loss)
    source = model
    if way != "memory":
        source = tmp_path / f"model{way}"
        model.save(source)
    head = convlens.load(source, preprocess="none").head()
    assert (head.kind, head.sure) == (kind, sure)
    assert "its loss is" in head.reason


def test_outputs_go_by_their_names() -> None:
    inputs, built = keras.Input((*twin.SIDES, 3)), heads.parts(5)
    x = inputs
    for layer in built[:-1]:
        x = layer(x)
    model = keras.Model(inputs, {"age": layers.Dense(1, name="years")(x), "breed": layers.Softmax()(built[-1](x))})
    heads.fill(built, 5)
    network = opened(model, head={"age": "score"})
    assert network.output_names == ("age", "breed")
    assert (network.head("age").kind, network.head("breed").kind) == ("score", "classes")
    close(explained(network, 2, output="breed").values, heads.grad_cam(5, 2))
    close(explained(network, 2, output=1).values, heads.grad_cam(5, 2))
    shown = network.predict(heads.given(heads.images()), "breed", top=1)[0]
    assert shown[0].score == pytest.approx(heads.softmax(heads.logits(5))[0].max(), abs=1e-5)
    with pytest.raises(
        OptionError, match=r"2 outputs, numbered from 0, named age, breed; received 'bread'; did you mean breed"
    ):
        explained(network, output="bread")
    with pytest.raises(OptionError, match="received 2"):
        explained(network, output=2)


def test_names_of_classes_are_those_of_the_first_output() -> None:
    inputs, built = keras.Input((*twin.SIDES, 3)), heads.parts(2)
    x = inputs
    for layer in built[:-1]:
        x = layer(x)
    model = keras.Model(
        inputs, [layers.Softmax()(built[-1](x)), layers.Dense(2, activation="softmax", name="other")(x)]
    )
    network = opened(model, labels=["cat", "dog"])
    assert {one.name for one in network.predict(heads.given(heads.images()))[0]} == {"cat", "dog"}
    assert {one.name for one in network.predict(heads.given(heads.images()), 1)[0]} == {None}


@pytest.mark.parametrize(
    ("units", "tail", "given", "message"),
    [
        (5, ops.softmax, "independent", "does not fit output 0"),
        (5, lambda z: z, "binary", "has 5 units; it can be classes, independent, score, embedding"),
        (1, lambda z: z, "classes", "has 1 unit; it can be binary, score, embedding"),
        (1, lambda z: z, "map", "does not fit"),
        (5, lambda z: z, "class", "unknown head 'class': did you mean classes"),
    ],
)
def test_a_head_that_cannot_be_is_refused(units: int, tail: Any, given: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        opened(subclassed(units, tail), head=given)


def test_a_binary_map_and_a_map_of_classes_are_averaged() -> None:
    inputs = keras.Input((*twin.SIDES, 3))
    seen = layers.Conv2D(4, 3, activation="relu", name="two")(inputs)
    one, several = (
        keras.Model(inputs, layers.Conv2D(units, 1, activation=function)(seen))
        for units, function in ((1, "sigmoid"), (3, "softmax"))
    )
    for model, each in ((one, "binary"), (several, "classes")):
        network = opened(model)
        head = network.head()
        assert (head.kind, head.each, head.sure) == ("map", each, True)
        assert head.scored.endswith("averaged over the positions")
        maps = ops.convert_to_numpy(model(ops.convert_to_tensor(heads.images() * np.float32(255))))
        for shown, chances in zip(network.predict(heads.given(heads.images())), maps.mean((1, 2)), strict=True):
            expected = dict(enumerate(chances)) if each == "classes" else {1: chances[0], 0: 1 - chances[0]}
            assert {one.index: one.score for one in shown} == pytest.approx(expected, abs=1e-5)
            assert shown[0].score == max(one.score for one in shown)


def test_an_output_of_one_number_an_image_has_activations_too() -> None:
    network = opened(subclassed(1, lambda z: ops.reshape(ops.sigmoid(z), (-1,))))
    found = convlens.activations(network, heads.given(heads.images()), LAST)[LAST]
    close(found, twin.forward(heads.images() * np.float32(255), twin.weights(units=1))["two"])


@pytest.mark.skipif(not ON_TORCH, reason="captum is PyTorch's")
def test_a_sigmoid_by_function_equals_captum() -> None:
    captum = pytest.importorskip("captum.attr")
    import torch

    raw = heads.torch_module(1, lambda z: z)
    x = torch.from_numpy(np.ascontiguousarray((heads.images() * np.float32(255)).transpose(0, 3, 1, 2)))
    expected = captum.LayerGradCam(raw, raw.last).attribute(x, 0, relu_attributions=True).detach().numpy()[:, 0]
    found = explained(opened(heads.torch_module(1, lambda z: torch.sigmoid(z).view(-1))), 1)
    close(found.values, expected)


def test_an_output_that_mixes_the_images_of_a_batch_is_refused() -> None:
    inputs = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, name="conv")(inputs))
    scores = keras.layers.Dense(3)(pooled)
    network = convlens.load(keras.Model(inputs, keras.ops.softmax(scores, axis=0)), preprocess="rescale")
    with pytest.raises(ModelError, match="when others are beside it"):
        network.predict(np.zeros((8, 8, 3), "uint8"))
    assert convlens.activations(network, np.zeros((8, 8, 3), "uint8"), "conv")["conv"].shape == (1, 6, 6, 4)
