"""A network as a value: what it says of itself, that it does not change, and that one caller has it at a time."""

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting  # the built-in one from Python 3.11 on
from threading import Event
from typing import Any

import keras
import numpy as np
import pytest

import convlens
from convlens import backend
from convlens.network.exclusive import exclusive
from convlens.techniques.batches import side_by_side

PHOTO = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def network(**options: Any) -> Any:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    parts = [layers.Conv2D(4, 3, name="conv"), layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    return convlens.load(keras.Sequential([keras.Input((16, 16, 3), name="photo"), *parts], name="small"), **options)


def test_a_network_tells_what_is_known_of_it_and_is_not_run_for_it() -> None:
    opened = network()
    passes = opened._passes
    before = repr(opened)
    assert opened._passes == passes
    assert before == (f"<Network {opened.source}: keras, input photo (16 x 16 x 3), 3 layers, preprocessing unknown>")
    opened.head()
    assert repr(opened) == before.replace("3 layers", "3 layers, output 0 classes")
    assert repr(network(preprocess="tf")).endswith("preprocessing tf (RGB -1 to 1), given>")


@pytest.mark.parametrize(
    "name", ["source", "model", "preprocessing", "labels", "notes", "untrained", "inputs", "input_size", "sha256"]
)
def test_a_loaded_network_does_not_change(name: str) -> None:
    opened = network()
    before = getattr(opened, name)
    with pytest.raises(AttributeError):
        setattr(opened, name, None)
    assert getattr(opened, name) is before or getattr(opened, name) == before
    assert isinstance(opened.notes, tuple)


def test_what_was_called_before_changes_nothing() -> None:
    """The same heatmap, predictions and notes, on a network that was used and on one that was not."""
    used, fresh = network(), network()
    convlens.filter_patterns(used, "conv", [0], 16, steps=1)
    convlens.activations(used, PHOTO)
    first, second = (convlens.heatmap(each, PHOTO) for each in (used, fresh))
    np.testing.assert_array_equal(first.values, second.values)
    assert first.predictions == second.predictions
    assert first.provenance["notes"] == second.provenance["notes"]
    assert first.provenance["preprocessing"] == second.provenance["preprocessing"]


def test_a_second_thread_waits_until_the_first_is_done() -> None:
    opened, inside, done = network(), Event(), Event()

    def second() -> bool:
        inside.wait(20)
        with opened.exclusive():
            return done.is_set()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second)
        with opened.exclusive(), opened.exclusive():  # again from within
            inside.set()
            assert not waiting.done()
            convlens.heatmap(opened, PHOTO, 0)
            done.set()
        assert waiting.result(20)


def test_two_networks_of_one_model_are_one_and_of_two_models_are_not() -> None:
    opened, other = network(), network()
    again = convlens.load(opened.model)

    def taken(each: Any) -> bool:
        with each.exclusive():
            return True

    with ThreadPoolExecutor(2) as pool, opened.exclusive():
        assert pool.submit(taken, other).result(20)
        waiting = pool.submit(taken, again)
        with pytest.raises(StillWaiting):
            waiting.result(0.2)
    assert waiting.result(20)


def test_workers_of_the_caller_are_let_in_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend.current(), "calls_at_once", lambda: 2)
    opened, first = network(), Event()

    def work(part: int, check: Any) -> int:
        with opened.exclusive():
            if part == 0:
                assert first.wait(20)  # set by the other, while this one is inside
            first.set()
            return part

    with opened.exclusive():
        assert list(side_by_side(work, range(2))) == [0, 1]


def test_an_error_within_lets_the_next_in() -> None:
    opened = network()
    with pytest.raises(ValueError, match="no"), opened.exclusive():
        raise ValueError("no")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: opened.exclusive().__enter__() is None).result(20)


def test_a_model_is_forgotten_with_its_lock() -> None:
    import gc
    from weakref import ref

    class Model:
        pass

    model = Model()
    with exclusive(model):
        pass
    kept = ref(model)
    del model
    gc.collect()
    assert kept() is None
