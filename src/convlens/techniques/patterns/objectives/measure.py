"""What objectives of one key measure of images: from as few forward passes as go."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from convlens.network.inspect.head import read
from convlens.network.network import Network
from convlens.techniques.patterns.objectives.base import Objective
from convlens.techniques.patterns.objectives.reading import Reading
from convlens.techniques.recording import recorded


class Measure:
    """The values of an objective for a network: what all objectives of its key share.

    Attributes:
        objective: one of them, with its layers located.
        key: what tells compiled functions of it apart.
    """

    def __init__(self, network: Network, objective: Objective) -> None:
        self._network, self.objective = network, objective
        narrow = objective.only_channels([*map(np.asarray, objective.arrays())]) is not None
        self._only_channels = narrow and network.can_compute_only(objective.layers[0])
        self._heads = {number: network.head(number) for number in objective.outputs}
        self._record = recorded(network, [network.layer(path) for path in objective.layers])
        self.key = objective.key, self._only_channels

    def values(self, images: Any, arrays: Sequence[Any], others: Sequence[Any]) -> Any:
        """What is measured of each image, float32 (rows,).

        Args:
            images: in the network's own units, (rows, height, width, channels).
            arrays: of the objectives, as `stacked` gives them.
            others: the network's further inputs.
        """
        return self.objective.values(self.read(images, arrays, others), arrays)

    def read(self, images: Any, arrays: Sequence[Any], others: Sequence[Any]) -> Reading:
        """One forward pass, and one more for each output after the first."""
        place = self._network.image_input
        tensors = [*others[:place], images, *others[place:]]
        if self._heads:
            return self._with_logits(tensors)
        few = nullcontext()
        if self._only_channels:
            few = self._network.only_channels(self.objective.layers[0], self.objective.only_channels(arrays))
        with few:
            outputs = self._record(*tensors)
        return Reading(dict(zip(self.objective.layers, outputs, strict=True)), {}, self._only_channels)

    def _with_logits(self, tensors: Sequence[Any]) -> Reading:
        from keras import ops

        layers: dict[str, Any] = {}

        def kept(path: str) -> Callable:
            def hook(tensor: Any) -> Any:
                layers[path] = ops.cast(ops.copy(tensor), "float32")  # what follows may work in place
                return tensor

            return hook

        hooks = {path: kept(path) for path in self.objective.layers}
        raw = {number: read(self._network, head, tensors, hooks) for number, head in self._heads.items()}
        return Reading(layers, {number: self._heads[number].logits(values) for number, values in raw.items()})


def stacked(objectives: Sequence[Objective]) -> list[np.ndarray]:
    """The arrays of objectives of one key, a row each: as many arrays as one has, (rows, ...)."""
    return [np.stack(column) for column in zip(*(objective.arrays() for objective in objectives), strict=True)]
