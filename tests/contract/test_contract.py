"""What must hold for every kind of network on every backend. KERAS_BACKEND picks the backend of a run."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import pytest

import convlens
from convlens import backend
from convlens.network.layers import StopForward
from tests.contract import twin
from tests.contract.kinds import KINDS, Kind


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    made = KINDS[request.param]()
    with made.caller():
        yield made


def opened(kind: Kind) -> Any:
    return convlens.load(kind.model, preprocess="none", **kind.options)


def samples(kind: Kind, images: np.ndarray) -> Any:
    return [kind.sample(image) for image in images * 255]


def seen_by_network(kind: Kind) -> np.ndarray:
    """The images that `samples` gives, as the network takes them."""
    return twin.images(channels=kind.channels) * np.float32(255)


def state(model: Any) -> list[Any]:
    """All that must not change: weights bit by bit, training and trainable flags, policies, hooks, attributes."""
    if not isinstance(model, keras.Model):
        tensors = [tensor.detach().clone().view(-1) for tensor in model.state_dict().values()]
        flags = [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
        return [*(t.float().numpy().tobytes() + str(t.dtype).encode() for t in tensors), *flags] + [
            (p.requires_grad, p.grad is None) for p in model.parameters()
        ]
    seen = [v.numpy().astype("float64").tobytes() + v.dtype.encode() for v in model.variables]
    for layer in [model, *model._flatten_layers()]:
        seen.append((layer.name, layer.trainable, layer.dtype_policy.name, sorted(vars(layer)), "call" in vars(layer)))
        seen.append(getattr(layer, "activation", None))
    return seen


def test_activations_equal_the_twin(kind: Kind) -> None:
    network = opened(kind)
    wanted = [kind.paths[name] for name in ("one", "pool", "two")]
    found = convlens.activations(network, samples(kind, twin.images(channels=kind.channels)), wanted)
    expected = twin.forward(seen_by_network(kind), twin.weights(kind.channels))
    for name in ("one", "pool", "two"):
        values = found[kind.paths[name]]
        assert values.dtype == np.float32
        np.testing.assert_allclose(
            values, expected[name], rtol=kind.tolerance, atol=kind.tolerance * expected[name].max()
        )


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_grad_cam_equals_the_twin(kind: Kind, score: str) -> None:
    network = opened(kind)
    images = twin.images(channels=kind.channels)
    scaled = images * np.float32(1 / 40)  # far from where the softmax saturates
    both = convlens.heatmap(
        network, samples(kind, scaled), [1, 3], kind.paths["two"], score=score, batch_size=2, output=0
    )
    for heatmap, target in zip(both, (1, 3), strict=True):
        expected = twin.grad_cam(scaled * np.float32(255), twin.weights(kind.channels), target, score)
        tolerance = max(kind.tolerance if not kind.exact else 1e-5, 1e-5) * 5
        np.testing.assert_allclose(heatmap.values, expected, rtol=tolerance, atol=tolerance * expected.max())
        assert heatmap.status == tuple("ok" if image.max() > 0 else "no positive evidence" for image in expected)


def test_predictions_are_the_twins_probabilities(kind: Kind) -> None:
    images = twin.images(channels=kind.channels) / 40
    heatmap = convlens.heatmap(opened(kind), samples(kind, images), 0, kind.paths["two"])
    expected = twin.forward(images * 255, twin.weights(kind.channels))["classes"]
    for shown, row in zip(heatmap.predictions, expected, strict=True):
        assert [one.index for one in shown] == list(np.argsort(-row))
        np.testing.assert_allclose([one.score for one in shown], np.sort(row)[::-1], atol=kind.tolerance)


@pytest.mark.parametrize("layer", ["one", "two"])
def test_one_ascent_step_equals_the_seeds_formula(kind: Kind, layer: str) -> None:
    from convlens.techniques.patterns.ascent import ascent_step
    from convlens.techniques.patterns.images.base import Colours
    from convlens.techniques.patterns.images.pixel import Pixel
    from convlens.techniques.patterns.objectives.channel import Channel
    from convlens.techniques.patterns.objectives.measure import Measure, stacked
    from convlens.techniques.patterns.optimizers.normalized import Normalized

    network, filters = opened(kind), [0, 2, 3]
    objectives = [Channel(kind.paths[layer], index).located(network) for index in filters]
    image = Pixel(twin.SIDES, Colours(np.eye(kind.channels), np.zeros(kind.channels)))
    start = np.random.default_rng(5).random((3, *twin.SIDES, kind.channels)).astype("float32")
    others = network.input_arrays(3)
    others.pop(network.image_input)
    with network.differentiating():
        step = ascent_step(Measure(network, objectives[0]), image, (), Normalized())
        run = backend.current().compiled(step, network.variables)
        after, values, _ = run(*network.tensors([start, image.step_sizes(1.0), *stacked(objectives), *others]))
    w = twin.weights(kind.channels)
    before = twin.forward(start, w)[layer].mean((1, 2))
    tolerance = 1e-5 if kind.exact else 2e-2
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(values),
        [before[i, f] for i, f in enumerate(filters)],
        rtol=tolerance,
        atol=tolerance,
    )
    expected = twin.ascent_step(start, w, layer, filters)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(after), expected, atol=tolerance * np.abs(expected).max())


def test_patterns_are_made_of_any_size_and_raise_the_activation(kind: Kind) -> None:
    network = opened(kind)
    patterns = convlens.filter_patterns(network, kind.paths["two"], range(3), size=(17, 15), steps=3)
    assert patterns.images.shape == (3, 17, 15, 3)
    # three steps leave most of the start
    live = [row for row, status in enumerate(patterns.status) if status in ("ok", "mostly its start")]
    assert live
    assert all(patterns.end[row] > patterns.start[row] for row in live)


def test_nothing_is_left_changed(kind: Kind) -> None:
    network = opened(kind)
    network.observe()  # an unbuilt model gets its weights by the first look
    before = state(kind.model)
    images = samples(kind, twin.images(channels=kind.channels))
    convlens.activations(network, images, [kind.paths["one"]])
    convlens.heatmap(network, images, 1, kind.paths["two"])
    convlens.filter_patterns(network, kind.paths["one"], [0], size=13, steps=1)
    assert state(kind.model) == before


@pytest.mark.parametrize("error", [RuntimeError("in the middle"), KeyboardInterrupt(), StopForward()])
def test_nothing_is_left_changed_by_an_error_in_the_middle(kind: Kind, error: BaseException) -> None:
    network = opened(kind)
    network.observe()
    before = state(kind.model)

    def fail(tensor: Any) -> Any:
        raise error

    stopped = isinstance(error, StopForward)
    with (
        nullcontext() if stopped else pytest.raises(type(error)),
        network.differentiating(),
        network.linear_head(network.head().layer),
        network.intercept({kind.paths["two"]: fail}),
    ):
        assert network.forward(network.tensors(network.input_arrays(1))) is None
    assert state(kind.model) == before


def test_the_forward_pass_stops_at_the_last_layer_wanted(kind: Kind) -> None:
    from convlens.techniques.recording import recorded

    network = opened(kind)
    after: list[str] = []

    def note(tensor: Any) -> Any:
        after.append("classes")
        return tensor

    with network.reading(), network.intercept({kind.paths["classes"]: note}):
        recorded(network, [network.layer(kind.paths["pool"])])(*network.tensors(network.input_arrays(1)))
    assert not after


def test_all_filters_of_a_layer_share_one_trace(kind: Kind) -> None:
    network = opened(kind)
    convlens.filter_patterns(network, kind.paths["one"], [0], size=13, steps=1)
    kept = list(network._compiled.values())
    passes = network._passes
    convlens.filter_patterns(network, kind.paths["one"], [3], size=13, steps=1)
    assert list(network._compiled.values()) == kept
    if backend.keras_ready().backend.backend() != "torch":  # eager there: every step is a pass
        retried = network._passes - passes
        assert retried == 0


def test_layers_are_listed_with_what_the_twin_knows_of_them(kind: Kind) -> None:
    network = opened(kind)
    listed = {layer.path: layer for layer in network.layers}
    shapes = {
        name: values.shape[1:]
        for name, values in twin.forward(seen_by_network(kind), twin.weights(kind.channels)).items()
    }
    for name in ("one", "pool", "two"):
        assert listed[kind.paths[name]].output_shape == (None, *shapes[name])
    assert (network.head().kind, network.head().function) == ("classes", "softmax")
    assert network.head().layer == kind.paths["classes"]
