# pyright: strict
"""A model with all that is known of it: what its source says, and what running it shows, found when it is asked for."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from convlens import backend
from convlens.data.labels import Labels
from convlens.data.preprocessing import Guess, Preprocessing
from convlens.errors import LayerError, ModelError
from convlens.network.driver import Driver
from convlens.network.inspect.default_layer import find_default_layer
from convlens.network.inspect.guess import chosen, guess
from convlens.network.inspect.head import Head
from convlens.network.inspect.head_kinds import OutputFacts, find_head
from convlens.network.inspect.observation import Observation, called_layers, run_observed
from convlens.network.inspect.outputs import output_number
from convlens.network.inspect.untrained import Untrained
from convlens.network.layers import LayerInfo, find_layer, select_layers
from convlens.network.passes import Passes

KEPT = 8  # compiled functions, and observations


class Inspected(Passes):
    """A model with all that is known of it, none of which changes once it is there.

    What is found by running the model is found once and kept, for one caller at a time.
    """

    def __init__(
        self,
        driver: Driver,
        source: str,
        *,
        sha256: str | None = None,
        preprocessing: Preprocessing | None = None,
        labels: Labels | None = None,
        untrained: Untrained | None = None,
        outputs: OutputFacts | None = None,
        notes: Sequence[str] = (),
        seen: Observation | None = None,
        loading: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Args:
            outputs: what is known of the outputs beside what they compute.
            seen: what a pass of zeros at the model's own size showed, where there was one already.
            loading: what `convlens.load` was given, as JSON holds it; see `recipe`.
        """
        super().__init__(driver, source)
        self._sha256, self._preprocessing, self._labels, self._notes = sha256, preprocessing, labels, tuple(notes)
        self._loading = MappingProxyType(dict(loading or {}))
        self._untrained, self._outputs = untrained or Untrained(), outputs or OutputFacts()
        self._observed: OrderedDict[tuple[tuple[int, ...], ...], Observation] = OrderedDict()
        if seen is not None:
            self._observed[_shapes(self.input_arrays(1))] = seen
        self._compiled: OrderedDict[Any, Callable[..., Any]] = OrderedDict()
        self._heads: dict[int, Head] = {}
        self._own: Observation | None = seen
        self._called: list[LayerInfo] | None = None
        self._layers: tuple[LayerInfo, ...] | None = None
        self._default: str | None = None
        self._guess: tuple[Guess | None] | None = None

    @property
    def sha256(self) -> str | None:
        """Of the model's file; None where there is none."""
        return self._sha256

    @property
    def preprocessing(self) -> Preprocessing | None:
        """From pixels 0-255 RGB to the network's input, and where that was found; None if unknown."""
        return self._preprocessing

    @property
    def labels(self) -> Labels | None:
        """Class names, and where they were found; None if unknown."""
        return self._labels

    @property
    def untrained(self) -> Untrained:
        """The layers without weights of their own, and what depends on them."""
        return self._untrained

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about how it was loaded, a line each."""
        return self._notes

    @property
    def loading(self) -> Mapping[str, Any]:
        """What `convlens.load` was given, as JSON holds it; see `recipe`."""
        return self._loading

    def observe(self, arrays: Sequence[np.ndarray] | None = None) -> Observation:
        """Runs the network once, and says which layers were called and what they put out.

        Args:
            arrays: inputs; zeros of the network's own size by default.

        Raises:
            ImageError: the network does not take inputs of this size.
        """
        if arrays is None:
            if self._own is None:
                self._own = self.observe(self.input_arrays(1))
            return self._own
        key = _shapes(arrays)
        if key not in self._observed:
            with self.exclusive():
                self._observed[key] = run_observed(self, [array[:1] for array in arrays])
                while len(self._observed) > KEPT:
                    self._observed.popitem(last=False)
        return self._observed[key]

    def _called_layers(self) -> list[LayerInfo]:
        if self._called is None:
            self._called = called_layers(self, self.observe())
        return self._called

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """What can be looked at, in the order in which the network computes it; the default heatmap layer marked."""
        if self._layers is None:
            default = self._find_default()
            self._layers = tuple(replace(layer, default=layer.path == default) for layer in self._called_layers())
        return self._layers

    def layer(self, name: str) -> LayerInfo:
        """The layer of this path or unique name; see `find_layer`."""
        return find_layer(self._layers or self._called_layers(), name, self.source)

    def select(self, names: str | Iterable[str] | None) -> list[LayerInfo]:
        """Layers by name or glob, in the order of computing; see `select_layers`."""
        return select_layers(self._layers or self._called_layers(), names, self.source)

    @property
    def default_layer(self) -> str:
        """The layer for heatmaps: the last spatial tensor that every path to the output crosses.

        Raises:
            LayerError: there is none.
        """
        if default := self._find_default():
            return default
        raise LayerError(f"no spatial layer of {self.source} is crossed by every path to its output; name one")

    def _find_default(self) -> str | None:
        if self._default is None:
            with self.exclusive():
                self._default = find_default_layer(self, self.observe(), self._called_layers()) or ""
        return self._default or None

    def can_compute_only(self, path: str) -> bool:
        """Whether some output channels of a layer can be computed without the others, as `only_channels` does."""
        return self.driver.can_compute_only(path) and f"{path}:1" not in self.observe().shapes

    @property
    def output_names(self) -> tuple[str | None, ...]:
        """The names of the outputs in the order of their numbers, None for one without: their keys, else Keras's."""
        return self.observe().names

    def head(self, output: int | str = 0) -> Head:
        """How classes or values are read from an output, given by its number or name.

        Raises:
            OptionError: there is no such output, or what the user said of it cannot be.
            ModelError: the output has no entry for each image.
        """
        number = output_number(self.output_names, output, self.source)
        if number not in self._heads:
            with self.exclusive():
                self._heads[number] = find_head(self, self.observe(), self._outputs, number)
        return self._heads[number]

    def guess_preprocessing(self) -> Guess | None:
        """The likeliest of the known preprocessings, whether or not the network's own is known.

        Returns:
            None where the network takes no photos, or what it says of them means nothing.
        """
        if self._guess is None:
            with self.exclusive():
                self._guess = (
                    None if self._output_is_untrained() else guess(self, self.observe(), self._first_head()),
                )
        return self._guess[0]

    def known_preprocessing(self) -> tuple[Preprocessing, tuple[str, ...]]:
        """The network's preprocessing, or the likeliest where it is unknown, with a note that says so."""
        if self.preprocessing is not None:
            return self.preprocessing, ()
        return chosen(self.guess_preprocessing(), self._output_is_untrained())

    def _output_is_untrained(self) -> bool:
        """Whether the first output runs through layers without weights of their own."""
        return 0 in self.untrained.reach(self).outputs

    def _first_head(self) -> Head | None:
        try:
            return self.head()
        except ModelError:  # no classes: the answers tell nothing
            return None

    def compiled(self, key: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
        """`fn` compiled, kept under a key of its own; the oldest are dropped."""
        if key not in self._compiled:
            self._compiled[key] = backend.current().compiled(fn, self.variables)
            while len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return self._compiled[key]


def _shapes(arrays: Sequence[np.ndarray]) -> tuple[tuple[int, ...], ...]:
    return tuple(array.shape[1:] for array in arrays)
