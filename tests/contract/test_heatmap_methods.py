"""Every heatmap method equals its slow twin, on every kind of network and every backend."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import convlens
from convlens import backend
from convlens.errors import CancelledError, OptionError
from convlens.techniques.heatmaps.explain import explain, planned
from convlens.techniques.heatmaps.table import FORWARD_PASSES, GRADIENTS, METHODS, Method, find_method
from convlens.techniques.probe import ClassProbe, probing
from convlens.techniques.request import HeatmapRequest
from tests.contract import heatmap_twins, twin
from tests.contract.heatmap_twins import TWINS, Net, Seen
from tests.contract.kinds import KINDS, Kind

TORCH = keras.backend.backend() == "torch"
STATUSES = {"ok", "constant", "zero gradient", "no positive evidence", "no positive values"}


def keras_model(net: Net) -> Any:
    model = keras.Sequential(
        [
            keras.Input((*heatmap_twins.SIDES, 3)),
            layers.Conv2D(6, 3, activation=net.activation, name="conv"),
            layers.Flatten(),
            layers.Dense(heatmap_twins.UNITS, activation="relu"),
            layers.Dense(heatmap_twins.CLASSES, activation="softmax", name="classes"),
        ]
    )
    model.set_weights([net.kernel, net.bias, net.dense, net.dense_bias, net.last, net.last_bias])
    return model


def loaded(net: Net) -> Any:
    return convlens.load(keras_model(net), preprocess="none")


def shown(images: np.ndarray, network: Any, target: Any, method: Any, layer: str = "conv", **options: Any) -> Any:
    return convlens.heatmap(network, list(images), target, layer, method=method, value_range="network", **options)


def signed(images: np.ndarray, network: Any, targets: tuple[int, ...], method: str, layer: str = "conv") -> np.ndarray:
    """Maps before the ReLU, (targets, batch, height, width)."""
    request = HeatmapRequest(targets, layer, method)
    return explain(network, [images], planned(network, request)).signed


def test_every_method_has_a_twin() -> None:
    assert METHODS.keys() - TWINS.keys() == {"random"}  # whose numbers are nobody's


@pytest.fixture(scope="module", params=["relu", "tanh", "silu", "relu with negative logits"])
def flat(request: pytest.FixtureRequest) -> tuple[Net, Any]:
    """A network without pooling, and the same loaded."""
    net = heatmap_twins.net(request.param.split()[0], last_bias=-20.0 if "negative" in request.param else 0.0)
    return net, loaded(net)


@pytest.mark.parametrize("method", TWINS)
def test_maps_before_the_relu_equal_the_twins(flat: tuple[Net, Any], method: str) -> None:
    (net, network), images = flat, heatmap_twins.images()
    found = signed(images, network, (1, 2), method)
    assert found.dtype == np.float32
    for maps, target in zip(found, (1, 2), strict=True):
        seen = net.seen(images, target)
        if method == "score-cam":  # of the same probabilities: nothing here is 0 or 1
            assert seen.probability(images).min() > 1e-4
        expected = TWINS[method](seen)
        np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
        assert (seen.score < 0).all() or (net.last_bias > -10).all()


def test_the_networks_tell_the_methods_apart() -> None:
    """No two twins agree on them, so that one formula in another's place is found; but for two that are the same where
    no activation is negative."""
    for activation in heatmap_twins.ACTIVATIONS:
        same = {("grad-cam-elementwise", "layercam")} if activation == "relu" else set()
        seen = heatmap_twins.net(activation).seen(heatmap_twins.images(), 1)
        maps = {name: function(seen) for name, function in TWINS.items()}
        for first in maps:
            for second in maps:
                if first < second and (first, second) not in same:
                    gap = np.abs(maps[first] - maps[second]).max()
                    assert gap > 1e-2 * np.abs(maps[first]).max(), (first, second)


def test_the_twins_gradient_is_that_of_finite_differences() -> None:
    net, step = heatmap_twins.net("silu"), 1e-6
    features = net.features(heatmap_twins.images(1).astype("float64"))
    for place in ((0, 0, 0, 0), (0, 3, 2, 4), (0, 6, 4, 5)):
        moved = features.copy()
        moved[place] += step
        slope = (net.logits(moved) - net.logits(features))[0, 1] / step
        assert net.gradients(features, 1)[place] == pytest.approx(slope, rel=1e-4, abs=1e-7)


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Iterator[tuple[Kind, Any]]:
    made = KINDS[request.param]()
    with made.caller():
        yield made, convlens.load(made.model, preprocess="none", **made.options)


def seen_by_twin(images: np.ndarray, channels: int, target: int) -> Seen:
    """What the contract's network has for a method at its layer "two"."""
    w = twin.weights(channels)
    features = twin.forward(images, w)["two"]
    slope = w.dense[:, target].astype("float64") / np.prod(features.shape[1:3])

    def score_with(changed: np.ndarray) -> np.ndarray:
        return (changed.mean((1, 2)) @ w.dense + w.dense_bias)[:, target]

    return Seen(
        features,
        np.broadcast_to(slope, features.shape),
        images.astype("float64"),
        score_with(features),
        lambda changed: twin.forward(changed, w)["classes"][:, target],
        score_with,
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_on_every_kind(kind: tuple[Kind, Any], method: str) -> None:
    made, network = kind
    images = twin.images(channels=made.channels) * np.float32(255 / 40)  # far from where the softmax saturates
    sample = [made.sample(image) for image in images]
    one, three = convlens.heatmap(network, sample, [1, 3], made.paths["two"], method=method, value_range="network")
    tolerance = 5 * max(made.tolerance if not made.exact else 1e-5, 1e-5)
    for heatmap, target in ((one, 1), (three, 3)):
        assert heatmap.values.dtype == np.float32
        assert heatmap.values.shape == (2, *network.observe().shapes[made.paths["two"]][1:3])
        assert (heatmap.values >= 0).all()
        assert set(heatmap.status) <= STATUSES
        assert heatmap.class_free == METHODS[method].class_free
        if method in TWINS:
            expected = np.maximum(TWINS[method](seen_by_twin(images, made.channels, target)), 0)
            np.testing.assert_allclose(heatmap.values, expected, rtol=tolerance, atol=tolerance * expected.max())
    assert np.array_equal(one.values, three.values) == METHODS[method].class_free


@pytest.mark.skipif(not TORCH, reason="PyTorch models need the torch backend")
@pytest.mark.parametrize("prefix", [0, 1])
def test_every_method_on_the_tokens_of_a_transformer(prefix: int) -> None:
    import torch

    from tests.unit.test_tokens import GRID, SIDES, Small

    torch.manual_seed(prefix + 2)  # so that no channel sums up to nearly 0
    model = Small(prefix).eval()
    network = convlens.load(model, preprocess="none", input_shape=(*SIDES, 3), head="classes")
    images = np.random.default_rng(1).normal(0, 1, (2, *SIDES, 3)).astype("float32")
    exact, target = Small(prefix).eval().double(), 3
    exact.load_state_dict(model.state_dict())

    def entered(changed: np.ndarray) -> Any:
        return torch.from_numpy(np.asarray(changed, "float64")).permute(0, 3, 1, 2)

    tokens = exact.blocks[:2](exact.embed(entered(images))).detach().requires_grad_(True)
    exact.tail(tokens, 2)[:, target].sum().backward()

    def apart(values: Any) -> np.ndarray:
        return values[:, prefix:].detach().reshape(2, *GRID, -1).numpy()

    def score_with(changed: np.ndarray) -> np.ndarray:
        replaced = torch.cat([tokens[:, :prefix], torch.from_numpy(changed).flatten(1, 2)], 1)
        return exact.tail(replaced, 2)[:, target].detach().numpy()

    def probability(changed: np.ndarray) -> np.ndarray:
        return exact(entered(changed)).softmax(-1)[:, target].detach().numpy()

    seen = Seen(apart(tokens), apart(tokens.grad), images, score_with(apart(tokens)), probability, score_with)
    rounding = 1e-6 * np.abs(seen.gradients * seen.features).sum(-1).max()
    for method, function in TWINS.items():
        expected = function(seen)
        found = signed(images, network, (target,), method, "blocks.1")[0]
        np.testing.assert_allclose(found, expected, 1e-3, 1e-4 * np.abs(expected).max() + rounding, err_msg=method)
    # what reaches the class token has gone through a layer norm, so that scaling a patch changes nothing
    notes = shown(images, network, target, "hirescam", "blocks.1").notes
    assert any(note.startswith("hirescam") for note in notes) == bool(prefix)


def forward_passes(network: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images in each forward pass from now on, or in each that is traced."""
    sizes: list[int] = []
    forward: Callable = network.forward

    def counted(inputs: Any) -> Any:
        sizes.append(int(inputs[0].shape[0]))
        return forward(inputs)

    monkeypatch.setattr(network, "forward", counted)
    return sizes


@pytest.fixture(scope="module")
def plain() -> Any:
    return loaded(heatmap_twins.net("relu"))


@pytest.mark.parametrize("method", METHODS)
def test_methods_take_the_passes_that_their_rows_say(plain: Any, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = plain, heatmap_twins.images()
    shown(images, network, [1, 2], method, batch_size=2)
    sizes = forward_passes(network, monkeypatch)
    shown(images, network, [0, 3], method, batch_size=2)
    if not TORCH:
        assert sizes == []  # nothing is traced again
    elif FORWARD_PASSES in METHODS[method].needs:
        assert sizes == [2, *[2] * 6, 1, *[2] * 3]  # 6 channels of two images, then of one
    else:
        assert sizes == [2, 1]


def test_the_memory_that_variants_take_is_bounded_by_the_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    network = loaded(heatmap_twins.net("relu"))
    network.head()
    sizes = forward_passes(network, monkeypatch)
    heatmap = shown(heatmap_twins.images(), network, 1, "score-cam", batch_size=1)
    assert set(sizes) == {1}
    whole = shown(heatmap_twins.images(), network, 1, "score-cam")
    np.testing.assert_allclose(heatmap.values, whole.values, rtol=1e-5)


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if GRADIENTS not in row.needs])
def test_a_method_without_gradients_differentiates_nothing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = loaded(heatmap_twins.net("relu")), heatmap_twins.images()
    expected = shown(images, network, 1, method).values

    def fail(*arguments: Any) -> Any:
        raise AssertionError("a gradient was asked for")

    monkeypatch.setattr(backend.current(), "gradients", fail)
    monkeypatch.setattr(network, "differentiating", fail)
    network = loaded(heatmap_twins.net("relu"))
    monkeypatch.setattr(network, "differentiating", fail)
    np.testing.assert_allclose(shown(images, network, 1, method).values, expected, rtol=1e-5)


@keras.saving.register_keras_serializable("convlens-tests")
class Stopped(layers.Layer):
    """Passes on what it gets, and no gradient."""

    def call(self, inputs: Any) -> Any:
        return keras.ops.stop_gradient(inputs)


def test_forward_passes_explain_a_network_without_gradients() -> None:
    net, images = heatmap_twins.net("relu"), heatmap_twins.images()
    model = keras_model(net)
    stopped = keras.Sequential([keras.Input((*heatmap_twins.SIDES, 3)), model.layers[0], Stopped(), *model.layers[1:]])
    network = convlens.load(stopped, preprocess="none")
    assert shown(images, network, 1, "grad-cam").status == ("zero gradient",) * 3
    seen = net.seen(images, 1)
    for method in ("score-cam", "ablation-cam"):
        expected = np.maximum(TWINS[method](seen), 0)
        found = shown(images, network, 1, method)
        assert "ok" in found.status
        np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_statuses_of_a_layer_that_is_0_everywhere() -> None:
    network = loaded(heatmap_twins.net("relu", bias=-100.0))
    for name, method in METHODS.items():
        status = shown(heatmap_twins.images(), network, 1, name).status
        expected = "no positive evidence" if GRADIENTS in method.needs else "no positive values"
        assert status == ("ok" if name in ("random", "edges") else expected,) * 3, name


def test_values_that_are_not_finite_have_a_place_with_every_method() -> None:
    net = heatmap_twins.net("relu")
    net.kernel[0, 0, 0, 0] = np.inf
    network = convlens.load(keras_model(net), preprocess="none", head="classes")
    for name in METHODS.keys() - {"random", "edges"}:
        assert set(shown(heatmap_twins.images(), network, 1, name).status) == {"non-finite at conv"}, name


class Given:
    """Stands for a probe: a layer of one channel and four positions, and gradients."""

    def __init__(self, features: list[float], gradients: list[float]) -> None:
        self.features, self._gradients = (
            keras.ops.reshape(keras.ops.convert_to_tensor(np.array(values, "float32")), (1, 2, 2, 1))
            for values in (features, gradients)
        )
        self.notes: list[str] = []

    def of_each_target(self, maps: Callable) -> Any:
        return maps(self._gradients)


@pytest.mark.parametrize(
    ("method", "features", "gradients", "weight", "said"),
    [
        ("xgrad-cam", [1, 2, -3, 4], [1, 0, 0, 2], (1 + 8) / 4, False),
        ("xgrad-cam", [1, 2, -3, 1e-4], [1, 0, 0, 2], 0, True),
        ("xgrad-cam", [0, 0, 0, 0], [1, 0, 0, 2], 0, False),
        ("grad-cam++", [1, 2, 3, 4], [1, 0, -2, 0.5], 1 / 12 + 0.5 / 7, False),
        ("grad-cam++", [-3, 0, 1, 0], [1, 0, -2, 0.5], 0.5 / 1, True),  # 2 + 1 * (-2) is 0
        ("grad-cam++", [1, 0, 0, 0], [-2, 0, 0, 0.5], 0.5 / 2.5, False),  # is 0 where the ReLU leaves nothing anyway
        ("grad-cam++", [1, 0, 0, 1], [1e-20, 0, 0, 0], 1e-20 / 2, False),  # whose third power is 0 in float32
    ],
)
def test_a_division_by_nearly_nothing_is_left_out_and_said(
    method: str, features: list[float], gradients: list[float], weight: float, said: bool
) -> None:
    given = Given(features, gradients)
    maps = keras.ops.convert_to_numpy(METHODS[method].maps(given))
    np.testing.assert_allclose(maps.ravel(), np.multiply(weight, features), rtol=1e-5)
    assert [note.startswith(method) and "left out" in note for note in given.notes] == [True] * said


def test_class_free_methods_say_so() -> None:
    network = loaded(heatmap_twins.net("relu"))
    for name, method in METHODS.items():
        heatmap = shown(heatmap_twins.images(), network, 1, name)
        assert heatmap.provenance["class_free"] == heatmap.to_json()["class_free"] == method.class_free
        assert (f"{name} ignores the class" in heatmap.title()) == method.class_free
        expected = None if method.class_free else "probability" if name == "score-cam" else "logit"
        assert (heatmap.score, heatmap.provenance["score"]) == (expected, expected)


def test_a_random_map_belongs_to_its_image() -> None:
    network, images = loaded(heatmap_twins.net("relu")), heatmap_twins.images(20)
    values = shown(images, network, 1, "random").values
    np.testing.assert_array_equal(shown(images[::-1], network, 2, "random", batch_size=3).values[::-1], values)
    assert len({each.tobytes() for each in values}) == 20
    assert values.min() >= 0
    assert values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=4 * (1 / 12 / values.size) ** 0.5)


def test_score_cam_refuses_an_output_without_probabilities() -> None:
    net = heatmap_twins.net("relu")
    network = convlens.load(keras_model(net), preprocess="none", head="score")
    with pytest.raises(OptionError, match=r"method score-cam, which weighs by probabilities: .* taken as score"):
        shown(heatmap_twins.images(), network, "1 up", "score-cam")
    down, up = (shown(heatmap_twins.images(), network, f"1 {way}", "ablation-cam") for way in ("down", "up"))
    assert not (down.values * up.values).any()


def test_unknown_methods_are_told_the_near_ones() -> None:
    with pytest.raises(OptionError, match=r"unknown method 'scorecam': did you mean score-cam"):
        find_method("scorecam")
    with pytest.raises(OptionError, match=r"unknown method \['grad-cam'\]: did you mean grad-cam"):
        shown(heatmap_twins.images(), loaded(heatmap_twins.net("relu")), 1, ["grad-cam"])


def test_a_cancelled_score_cam_ends_before_the_next_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    network = loaded(heatmap_twins.net("relu"))
    asked: list[bool] = []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) > 4

    with pytest.raises(CancelledError):
        shown(heatmap_twins.images(), network, 1, "score-cam", batch_size=1, cancelled=cancelled)
    assert len(asked) == 5


def probe(network: Any, images: np.ndarray, targets: tuple[int, ...], needs: tuple[str, ...]) -> tuple[ClassProbe, Any]:
    plan = planned(network, HeatmapRequest(targets, "conv"))
    method = Method("own", "", "", needs, False, "", "", "")
    context = probing(network, method, "float32")
    return ClassProbe(network, plan.question, method, [images], plan.targets), context


def test_a_probe_gives_the_gradients_by_the_images() -> None:
    net, images, step = heatmap_twins.net("silu"), heatmap_twins.images(2), 1e-5
    asked, context = probe(loaded(net), images, (0, 2), (GRADIENTS,))
    with context:
        found = keras.ops.convert_to_numpy(asked.input_gradients())
    assert found.shape == (2, *images.shape)
    for place in ((0, 4, 3, 1), (1, 0, 0, 0), (1, 8, 6, 2)):
        ends = []
        for way in (step, -step):
            moved = images.astype("float64")
            moved[place] += way
            ends.append(net.logits(net.features(moved))[place[0]])
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(found[(slice(None), *place)], slope[[0, 2]], rtol=1e-3, atol=1e-5)


def test_a_probe_gives_scores_of_variants_with_their_images_targets() -> None:
    net, images = heatmap_twins.net("relu"), heatmap_twins.images(2)
    asked, context = probe(loaded(net), images, (3, 1), (FORWARD_PASSES,))
    rows = np.array([1, 0, 0])
    changed = images[rows] * np.float32([1, 0.5, 0])[:, None, None, None]
    with context:
        found = asked.scores(keras.ops.convert_to_tensor(changed), rows)
        replaced = asked.scores_with(keras.ops.convert_to_tensor(net.features(changed).astype("float32")), rows)
        with pytest.raises(RuntimeError, match="asks for gradients"):
            asked.gradients()
    expected = net.logits(net.features(changed))[:, [3, 1]].T
    for scores in (found, replaced):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(scores), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not TORCH, reason="PyTorch models need the torch backend")
def test_the_activations_before_an_in_place_relu_are_the_layers_own() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    body = [nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3), nn.ReLU(inplace=True)]
    model = nn.Sequential(*body, nn.Flatten(), nn.Linear(5 * 5 * 3, 3)).eval()
    network = convlens.load(model, preprocess="none", input_shape=(*heatmap_twins.SIDES, 3), head="classes")
    images = heatmap_twins.images(2)
    before = model[0](torch.from_numpy(images).permute(0, 3, 1, 2)).detach()
    shifted = before.clone().requires_grad_(True)
    (slopes,) = torch.autograd.grad(model[1:](shifted + 0)[:, 1].sum(), shifted)
    for method, weights in (("grad-cam", slopes.mean((2, 3), keepdim=True)), ("hirescam", slopes)):
        expected = (weights * before).sum(1).numpy()
        found = signed(images, network, (1,), method, "0")[0]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("method", METHODS)
def test_a_map_does_not_depend_on_the_images_beside_it(plain: Any, method: str) -> None:
    network, images = plain, heatmap_twins.images()
    together = shown(images, network, 1, method).values
    alone = shown(images[2:], network, 1, method).values
    np.testing.assert_allclose(alone[0], together[2], rtol=1e-4, atol=1e-5 * together.max())
