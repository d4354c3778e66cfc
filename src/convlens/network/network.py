# pyright: strict
"""What the techniques see of a network, whatever framework it is written in."""

from typing import Any

from convlens.data.predictions import Predictions
from convlens.network.inspected import Inspected
from convlens.network.predicting import predict


class Network(Inspected):
    """A trained network that can be looked into: made once by `convlens.load`, and never changed after that.

    Looking into a network changes its model for the time of a call, and leaves it as it was. Callers in several
    threads wait for one another (see `exclusive`).

    Example:
        >>> network = convlens.load("bundled")
        >>> len(network.layers), network.default_layer
        (12, 'conv2d_8')
        >>> network.predict(photo())[0][0].name
        'cat'
    """

    def predict(
        self, images: Any, output: int | str = 0, *, top: int | None = 5, batch_size: int | None = None
    ) -> Predictions:
        """The likeliest classes of images, or the values that an output has for them.

        Args:
            images: as `convlens.heatmap` takes them.
            output: which of the network's outputs, by number or name.
            top: how many a picture; None for all.
            batch_size: images at once; as many as fit the memory budget by default.

        Raises:
            ImageError: an image cannot be read or does not fit the network.
            OptionError: the network has no such output.
            ModelError: the output runs through layers without weights.
        """
        with self.exclusive():
            return predict(self, images, output, top, batch_size)

    def __repr__(self) -> str:
        """What is known of the network without running it."""
        facts = [self.framework, *(f"input {spec}" for spec in self.inputs)]
        if self._own is not None:
            facts.append(f"{len(self._own.shapes)} layers")
        facts += [f"output {head.name or number} {head.kind}" for number, head in sorted(self._heads.items())]
        facts.append(f"preprocessing {self.preprocessing or 'unknown'}")
        return f"<Network {self.source}: {', '.join(facts)}>"
