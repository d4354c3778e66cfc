"""The one loop: what a method does as a whole, restarts, other networks than one image, and cancellation."""

from typing import Any

import numpy as np
import pytest

import convlens
from convlens import backend
from convlens.backend import keras_ready
from convlens.cli import main
from convlens.errors import CancelledError, FilterError, OptionError
from convlens.techniques.patterns.ascent import Job, Settings
from convlens.techniques.patterns.filters import filter_patterns
from convlens.techniques.patterns.images.base import Colours
from convlens.techniques.patterns.making import make
from convlens.techniques.patterns.objectives.base import Objective
from convlens.techniques.patterns.objectives.channel import Channel
from convlens.techniques.patterns.objectives.class_logit import ClassLogit
from convlens.techniques.patterns.objectives.direction import Direction
from convlens.techniques.patterns.objectives.layer import Layer
from convlens.techniques.patterns.objectives.neuron import Neuron
from convlens.techniques.patterns.optimizers.sign import Sign
from convlens.techniques.patterns.recipes import RECIPES
from convlens.techniques.patterns.selection import parse_filters
from convlens.techniques.request import Compute, PatternRequest


def model() -> Any:
    keras = keras_ready()
    keras.utils.set_random_seed(5)
    return keras.Sequential([
        keras.Input((None, None, 3)),
        keras.layers.Conv2D(8, 5, activation="relu", name="one"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Conv2D(12, 3, name="two"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(7, activation="softmax", name="classes"),
    ])  # fmt: skip


@pytest.fixture(scope="module")
def network() -> Any:
    return convlens.load(model(), preprocess="rescale")


def activation(network: Any, layer: str, images: np.ndarray) -> np.ndarray:
    """Keras's own output of a layer for pixels."""
    keras = keras_ready()
    features = keras.Model(network.model.inputs[0], network.model.get_layer(layer).output)
    return keras.ops.convert_to_numpy(features(images.astype("float32") / 255))


def made(network: Any, objectives: list[Objective], method: str = "fourier", steps: int = 12) -> Any:
    jobs = [Job(objective.located(network), number) for number, objective in enumerate(objectives)]
    recipe = RECIPES[method]
    colours = Colours(np.eye(3, dtype="float32") / 255, np.zeros(3, "float32"))
    return make(network, jobs, recipe, colours, (32, 32), Settings(steps, recipe.step_size, 0), Compute(batch_size=4))


def test_fourier_patterns_are_shown_as_the_network_sees_them(network: Any) -> None:
    patterns = convlens.filter_patterns(network, "two", [1, 4, 7], 48, method="fourier", steps=30)
    seen = activation(network, "two", patterns.images).mean((1, 2))
    for row, index in enumerate(patterns.filters):
        assert patterns.end[row] == pytest.approx(seen[row, index], rel=0.02)
        assert patterns.end[row] > patterns.start[row] + 0.02
    assert set(patterns.status) == {"ok"}
    assert patterns.provenance["request"]["method"] == "fourier"
    assert patterns.provenance["request"]["step_size"] == 0.05


def test_a_fourier_pattern_is_the_same_whatever_runs_beside_it(network: Any) -> None:
    together = convlens.filter_patterns(network, "two", range(6), 32, method="fourier", steps=5)
    alone = convlens.filter_patterns(network, "two", [4], 32, method="fourier", steps=5)
    np.testing.assert_array_equal(alone.images[0], together.images[4])
    other = convlens.filter_patterns(network, "two", [4], 32, method="fourier", steps=5, seed=1)
    assert (other.images != alone.images).any()


@pytest.mark.parametrize(
    ("objective", "value"),
    [
        (Neuron("two", 3), lambda two: two[5, 5, 3]),
        (Direction("two", tuple(range(-6, 6))), lambda two: two.mean((0, 1)) @ np.arange(-6, 6)),
        (Layer("two"), lambda two: (two**2).mean()),
        (-Channel("two", 3), lambda two: -two[..., 3].mean()),
        (Channel("two", 1) + 2 * Channel("two", 3), lambda two: two[..., 1].mean() + 2 * two[..., 3].mean()),
    ],
)
@pytest.mark.parametrize("method", ["ascent", "fourier"])
def test_each_objective_is_raised(objective: Objective, value: Any, method: str, network: Any) -> None:
    found = made(network, [objective], method)
    (two,) = activation(network, "two", found.images)
    if isinstance(objective, Neuron):
        assert two.shape[:2] == (12, 12)
        two = two[1:, 1:]  # the middle, (6, 6)
    assert found.end[0] == pytest.approx(value(two), rel=1e-3, abs=1e-4)
    assert found.end[0] > found.start[0]


def test_a_logit_of_a_class_is_raised_by_the_whole_network(network: Any) -> None:
    found = made(network, [ClassLogit(2), ClassLogit(6)])
    kernel, bias = network.model.get_layer("classes").get_weights()
    logits = activation(network, "two", found.images).mean((1, 2)) @ kernel + bias
    np.testing.assert_allclose(found.end, [logits[0, 2], logits[1, 6]], rtol=1e-4)
    assert (found.end > found.start).all()


def test_optimizers_of_any_kind_go_with_any_image(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    mixed = replace(RECIPES["ascent"], name="mixed", optimizer=Sign(), transforms=RECIPES["fourier"].transforms)
    monkeypatch.setitem(RECIPES, "mixed", mixed)
    patterns = convlens.filter_patterns(network, "two", [1, 4], 32, method="mixed", steps=10)
    assert (patterns.end > patterns.start).all()


def counted(network: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects a mark for each step that is taken of an ascent."""
    steps: list[int] = []
    own = network.compiled

    def compiled(key: Any, fn: Any) -> Any:
        run = own(key, fn)
        if key[0] != "ascent":
            return run
        return lambda *arguments: (steps.append(1), run(*arguments))[1]

    monkeypatch.setattr(network, "compiled", compiled)
    return steps


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_cancelled_ascent_stops_within_a_step(at_once: int, network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if keras_ready().backend.backend() != "torch":
        monkeypatch.setattr(backend.current(), "calls_at_once", lambda: at_once)
    steps = counted(network, monkeypatch)
    compute = Compute(batch_size=2, cancelled=lambda: len(steps) >= 5)
    with pytest.raises(CancelledError):
        filter_patterns(network, PatternRequest("two", range(8), 24, steps=50), compute)
    assert 5 <= len(steps) < 5 + at_once


def test_all_steps_are_taken_where_nobody_cancels(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = counted(network, monkeypatch)
    filter_patterns(network, PatternRequest("two", [1, 4], 24, steps=9), Compute(batch_size=2))
    assert len(steps) == 9


@pytest.mark.parametrize(("method", "steps", "step_size"), [("ascent", 40, 1.0), ("fourier", 128, 0.05)])
def test_steps_are_the_methods_own_by_default(method: str, steps: int, step_size: float) -> None:
    request = PatternRequest("two", method=method)
    assert (request.steps, request.step_size) == (steps, step_size)
    assert request.key == PatternRequest("two", steps=steps, step_size=step_size, method=method).key
    with pytest.raises(OptionError, match="unknown method 'assent': did you mean ascent"):
        PatternRequest("two", method="assent")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("200:300", "filters 200:300 are out of range: layer conv1 has 96 filters, 0 to 95; a range goes up to 96,"),
        ("0:97", "filters 0:97 are out of range: layer conv1 has 96 filters, 0 to 95; a range goes up to 96,"),
        ("3,96:", "filters 96: are out of range: layer conv1 has 96 filters, 0 to 95"),
        ("96", "filter 96 is out of range: layer conv1 has 96 filters, 0 to 95"),
        ([-1], "filter -1 is out of range: layer conv1 has 96 filters, 0 to 95"),
        ("5:5", "no filters chosen in '5:5': layer conv1 has 96 filters, 0 to 95"),
    ],
)
def test_a_range_out_of_reach_is_told_what_there_is(text: Any, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filters(text, 96, "conv1")
    assert str(caught.value).startswith(words)
    assert "97" not in str(caught.value).replace(str(text), "")
    assert parse_filters("0:96", 96, "conv1") == tuple(range(96))


def test_the_command_tells_the_real_range(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["filters", "bundled", "--layer", "conv2d_7", "--filters", "200:300"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "layer conv2d_7 has 128 filters, 0 to 127" in line
