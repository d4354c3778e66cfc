"""How classes are read from a network's output, with the softmax or sigmoid looked through."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.errors import ModelError

if TYPE_CHECKING:
    from convlens.network.base import Network

SOFTMAX, SIGMOID, LOGITS, PROBABILITIES = "softmax", "sigmoid", "logits", "probabilities"


@dataclass(frozen=True)
class Head:
    """One output of a network.

    Attributes:
        output: its number.
        kind: "softmax" or "sigmoid" (in `layer`, which is left out to get at the logits), "logits" (as they come)
            or "probabilities" (made by something that cannot be left out; their logarithm stands for the logits).
        layer: the path of the layer with the softmax or sigmoid.
        units: size of the output's last axis.
        is_map: whether the output has a value for each position.
    """

    output: int
    kind: str
    layer: str | None
    units: int
    is_map: bool

    @property
    def classes(self) -> int:
        """One unit stands for two classes: class 1 raises it, class 0 lowers it."""
        return 2 if self.units == 1 else self.units

    @property
    def exclusive(self) -> bool:
        """Whether the classes' probabilities sum to one by a softmax."""
        return self.units > 1 and self.kind != SIGMOID

    def __str__(self) -> str:
        where = f" of layer {self.layer}" if self.layer else ""
        return {
            SOFTMAX: f"logits before the softmax{where}",
            SIGMOID: f"logits before the sigmoid{where}",
            LOGITS: "logits as the network puts them out",
            PROBABILITIES: "logarithm of the probabilities that the network puts out",
        }[self.kind]

    def scores(self, output: Any, score: str) -> Any:
        """Class scores (batch, classes), float32, from the output of a forward pass inside `linear_head`.

        Args:
            output: (batch, units), or (batch, …, units) for maps, which are averaged over their positions.
            score: "logit" or "probability".
        """
        from keras import ops

        logits: Any = ops.cast(output, "float32")
        if self.kind == PROBABILITIES:
            logits = ops.log(logits + 1e-30)
        if self.units == 1:
            logits = ops.concatenate([-logits, logits], axis=-1)
        if score == "probability":
            logits = ops.softmax(logits, axis=-1) if self.exclusive else ops.sigmoid(logits)
        if len(logits.shape) > 2:
            logits = ops.mean(logits, axis=tuple(range(1, len(logits.shape) - 1)))
        return logits


def find_head(network: "Network", output: int) -> Head:
    """Looks for a softmax or sigmoid in the layers whose output is the network's output.

    Raises:
        ModelError: the network has no such output, or one without classes.
    """
    seen = network.observe()
    if not 0 <= output < len(seen.outputs):
        raise ModelError(f"{network.source} has {len(seen.outputs)} outputs, numbered from 0; received {output}")
    arrays = [np.random.default_rng(0).random(array.shape, "float32") for array in network.input_arrays(2)]
    values = _values(network, arrays, output)
    if values.ndim < 2:
        raise ModelError(f"output {output} of {network.source} has shape {values.shape}; expected (batch, classes)")
    kind, layer = _kind(network, seen, output, values)
    return Head(output, kind, layer, values.shape[-1], values.ndim > 2)


def _kind(network: "Network", seen: Any, output: int, values: np.ndarray) -> tuple[str, str | None]:
    place = seen.outputs[output]
    makers = [path for path, number in seen.same.items() if number == place] if place is not None else []
    for path in makers:
        activation = network.final_activation(path)
        if activation:
            return activation, path
    sums = values.sum(-1)
    if values.shape[-1] > 1 and values.min() >= 0 and np.allclose(sums, 1, atol=1e-2):
        return PROBABILITIES, None
    return LOGITS, None


def _values(network: "Network", arrays: list[np.ndarray], output: int) -> np.ndarray:
    from keras import ops

    def run(*tensors: Any) -> Any:
        outputs = network.forward(tensors)
        assert outputs is not None
        return ops.cast(outputs[output], "float32")

    with network.reading():
        return numpy_arrays(network.compiled(("output", output), run)(*network.tensors(arrays)))[0]


def predictions(network: "Network", arrays: Sequence[np.ndarray], output: int = 0) -> np.ndarray:
    """Class probabilities, float32 (batch, classes), for inputs as the network takes them.

    Raises:
        ModelError: the output runs through layers without weights.
    """
    network.untrained.check(network, output=output)
    head = network.head(output)

    def run(*tensors: Any) -> Any:
        with network.linear_head(head):
            outputs = network.forward(tensors)
        assert outputs is not None
        return head.scores(outputs[output], "probability")

    with network.reading():
        found = network.compiled(("predictions", output), run)(*network.tensors(arrays))
        return numpy_arrays(found)[0]
