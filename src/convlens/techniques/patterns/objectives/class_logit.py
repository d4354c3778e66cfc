"""What a network says of a class."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.errors import TargetError
from convlens.techniques.patterns.objectives.base import Objective

if TYPE_CHECKING:
    from convlens.network.network import Network
    from convlens.techniques.patterns.objectives.reading import Reading


@dataclass(frozen=True)
class ClassLogit(Objective):
    """A class's logit, before the softmax or sigmoid, or a value of an output without classes; maps are averaged.

    Attributes:
        index: the class, from 0.
        output: which of the network's outputs, by number or name.
    """

    index: int
    output: int | str = 0

    @property
    def key(self) -> tuple[Any, ...]:
        return type(self).__name__, self.output

    @property
    def outputs(self) -> tuple[int, ...]:
        return (int(self.output),)

    def located(self, network: "Network") -> "ClassLogit":
        head = network.head(self.output)
        network.untrained.check(network, output=head.output)
        if not 0 <= self.index < head.classes:
            raise TargetError(
                f"class {self.index} is out of range: output {head.name or head.output} of {network.source} has"
                f" {head.classes}, 0 to {head.classes - 1}"
            )
        return replace(self, output=head.output)

    def arrays(self) -> tuple[np.ndarray, ...]:
        return (np.array(self.index, "int32"),)

    def values(self, reading: "Reading", arrays: Sequence[Any]) -> Any:
        from keras import ops

        logits = reading.logits[int(self.output)]
        return ops.sum(logits * ops.one_hot(arrays[0], logits.shape[-1], dtype="float32"), axis=-1)
