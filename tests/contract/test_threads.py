"""Two threads that look through one network at once get what one alone gets, for every kind on every backend."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest

import convlens
from tests.contract import twin
from tests.contract.kinds import KINDS, Kind


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What calls give that begin in the same moment, each in a thread of its own."""
    start = Barrier(len(calls), timeout=60)

    def run(call: Callable[[], Any]) -> Any:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.parametrize("name", list(KINDS))
def test_threads_on_one_network_wait_for_one_another(name: str) -> None:
    kind = KINDS[name]()
    images = [kind.sample(image) for image in twin.images(channels=kind.channels) * np.float32(255 / 40)]

    def opened() -> Any:
        return convlens.load(kind.model, preprocess="none", **kind.options)

    with kind.caller():
        alone, shared = opened(), opened()

    def heatmap(network: Any, target: int) -> np.ndarray:
        with kind.caller():
            return convlens.heatmap(network, images, target, kind.paths["two"]).values

    def patterns(network: Any) -> np.ndarray:
        with kind.caller():
            made = convlens.filter_patterns(network, kind.paths["one"], range(3), 13, steps=2, precision="float32")
        return np.stack([made.start, made.end])

    def activations(network: Any) -> np.ndarray:
        with kind.caller():
            return convlens.activations(network, images, [kind.paths["one"]])[kind.paths["one"]]

    def predictions(network: Any) -> list[float]:
        with kind.caller():
            return [shown.score for row in network.predict(images, top=None) for shown in row]

    expected = heatmap(alone, 1), heatmap(alone, 3), patterns(alone), activations(alone), predictions(alone)
    found = at_once(
        lambda: heatmap(shared, 1),
        lambda: heatmap(shared, 3),
        lambda: patterns(shared),
        lambda: activations(kind_again(opened, kind)),  # the model once more, as a network of its own
        lambda: predictions(shared),
    )
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6 * np.abs(one).max())


def kind_again(opened: Callable[[], Any], kind: Kind) -> Any:
    with kind.caller():
        return opened()
