"""What a heatmap method may ask of a network."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from convlens import backend
from convlens.backend.arrays import numpy_arrays
from convlens.network.budget import chunks, images_at_once
from convlens.network.network import Network
from convlens.techniques import class_passes
from convlens.techniques.class_passes import Answer, Question
from convlens.techniques.heatmaps.table import ACTIVATIONS, FORWARD_PASSES, GRADIENTS, IMAGE, Method
from convlens.techniques.request import PLAIN, Compute
from convlens.techniques.targets import Target


@contextmanager
def probing(network: Network, method: Method, precision: str) -> Iterator[None]:
    """A context in which a method's probes work: nothing is prepared for gradients that it does not need."""
    if GRADIENTS in method.needs:
        with network.differentiating(precision):
            yield
    else:
        with network.reading(), network.computing(precision):
            yield


class ClassProbe:
    """A network on a few images, a layer in it, and the targets at its output: all that a heatmap method may ask.

    What a method asks for is computed when it asks. The images themselves go through the network once, which gives
    features and scores, and gradients too where the method's row in the table has them among its needs: without them
    nothing is differentiated. Tensors are the backend's, float32, channels last. To be used within `probing`.

    Attributes:
        notes: what the method says of its maps, a line each.
        max_input_gradient: the largest in size of all gradients by the images so far, (targets, batch); None before
            the first.
    """

    def __init__(
        self,
        network: Network,
        question: Question,
        method: Method,
        arrays: Sequence[np.ndarray],
        targets: Sequence[Target] | None = None,
        precision: str = "float32",
        compute: Compute = PLAIN,
    ) -> None:
        """
        Args:
            network: the network.
            question: where to look, and what is explained.
            method: the method that asks.
            arrays: the images, one array an input, as the network takes them.
            targets: the targets; None for the likeliest of each image.
            precision: in which the network is computed: that of `probing`.
            compute: how many images or variants of them at once, and who may cancel.
        """
        self._network, self._question, self._method = network, question, method
        self._arrays, self._batch, self._compute, self._precision = arrays, len(arrays[0]), compute, precision
        aimed = targets or [Target(0)] * question.count
        self._indices = np.tile(np.array([target.index for target in aimed], "int32"), (self._batch, 1))
        self._signs = np.tile(np.array([target.sign for target in aimed], "float32"), (self._batch, 1))
        self._tensors = network.tensors(arrays)
        self.notes: list[str] = []
        self.max_input_gradient: np.ndarray | None = None

    @property
    def features(self) -> Any:
        """The layer's output A, (batch, height, width, channels)."""
        self._needs(ACTIVATIONS)
        return self.answer.features

    def gradients(self) -> Any:
        """dy/dA for each target's score y, (targets, batch, height, width, channels)."""
        self._needs(GRADIENTS)
        return self.answer.gradients

    @property
    def values(self) -> Any:
        """Each target's score y, (targets, batch); its negative for a value that is to be lowered."""
        return self.answer.values

    @property
    def inputs(self) -> Any:
        """The images as the network takes them, (batch, height, width, channels)."""
        self._needs(IMAGE)
        return self._tensors[self._network.image_input]

    def input_gradients(self, relu: str | None = None) -> Any:
        """dy/dx for each target's score by the images, (targets, batch, height, width, channels).

        Args:
            relu: as for `gradients_at`.
        """
        return self.gradients_at(self._tensors[self._network.image_input], relu=relu)

    def gradients_at(self, inputs: Any, images: np.ndarray | None = None, relu: str | None = None) -> Any:
        """dy/dx for each target's score at changed images, (targets, n, height, width, channels).

        Args:
            inputs: (n, height, width, channels), as the network takes them.
            images: as for `scores`.
            relu: how ReLUs pass gradients back: None for as they do, or a rule of `backend.RELU_RULES`.

        Raises:
            ModelError: there is no ReLU whose gradient can be changed so, or one whose cannot.
        """
        self._needs(GRADIENTS)

        def run(part: slice, rows: np.ndarray) -> Any:
            others = self._rows(rows)
            others.pop(self._network.image_input)
            gradients = self._compiled(class_passes.image_gradients, relu)(inputs[part], *self._aimed(rows), *others)
            self._note_size(gradients, rows)
            return gradients

        return self._in_parts(run, images)

    def _note_size(self, gradients: Any, images: np.ndarray) -> None:
        from keras import ops

        (sizes,) = numpy_arrays(ops.max(ops.abs(gradients), axis=(2, 3, 4)))
        if self.max_input_gradient is None:
            self.max_input_gradient = np.zeros((self._question.count, self._batch), "float32")
        for column, image in enumerate(images):
            self.max_input_gradient[:, image] = np.maximum(self.max_input_gradient[:, image], sizes[:, column])

    def scores(self, inputs: Any, images: np.ndarray | None = None) -> Any:
        """The targets' scores of changed images, (targets, n), by forward passes.

        Args:
            inputs: (n, height, width, channels), as the network takes them.
            images: int (n,), which image each is a variant of: its targets, and its further inputs, hold for it. The
                images in their order by default.
        """
        self._needs(FORWARD_PASSES)

        def run(part: slice, rows: np.ndarray) -> Any:
            tensors = self._rows(rows)
            tensors[self._network.image_input] = inputs[part]
            with backend.current().forward_only():
                return self._compiled(class_passes.scores)(*self._aimed(rows), *tensors)

        return self._in_parts(run, images)

    def scores_with(self, features: Any, images: np.ndarray | None = None) -> Any:
        """The targets' scores with the layer's output replaced, (targets, n), by forward passes.

        Args:
            features: (n, height, width, channels).
            images: as for `scores`.
        """
        self._needs(FORWARD_PASSES)

        def run(part: slice, rows: np.ndarray) -> Any:
            with backend.current().forward_only():
                return self._compiled(class_passes.scores_with)(features[part], *self._aimed(rows), *self._rows(rows))

        return self._in_parts(run, images)

    def of_each_target(self, maps: Callable[[Any], Any]) -> Any:
        """`maps(gradients)`, from (batch, height, width, channels) to (batch, height, width), for one target after the
        other: (targets, batch, height, width)."""
        from keras import ops

        return ops.stack([maps(gradients) for gradients in self.gradients()])

    def same_for_all(self, maps: Any) -> Any:
        """Maps (batch, height, width) that ignore the target, for all of them: (targets, batch, height, width)."""
        from keras import ops

        return ops.stack([maps] * self._question.count)

    def of_each_channel(self, scored: Callable[[np.ndarray, np.ndarray], Any]) -> Any:
        """Scores of a variant for every channel of every image, (targets, batch, channels).

        Only as many variants exist at a time as fit the memory budget.

        Args:
            scored: from the numbers of n images and of n channels, int (n,) each, to scores (targets, n).
        """
        from keras import ops

        channels = self.features.shape[-1]
        total = self._batch * channels
        size, parts = min(self._at_once, total), []
        for part in chunks(total, size):
            pairs = np.arange(part.start, part.start + size) % total  # the last are filled up: one shape, one trace
            images, channel = np.divmod(pairs, channels)
            parts.append(scored(images, channel)[:, : part.stop - part.start])
        return ops.reshape(ops.concatenate(parts, axis=1), (self._question.count, self._batch, channels))

    def sum_of_variants(self, count: int, terms: Callable[[np.ndarray, np.ndarray], tuple[Any, ...]]) -> list[Any]:
        """Sums over as many variants of each image, each sum (targets, batch, ...).

        Only as many variants exist at a time as fit the memory budget, and each image's sum holds none of another's.

        Args:
            count: variants of an image.
            terms: from the numbers of n images and of n variants, int (n,) each, to the terms, (targets, n, ...) each.
        """
        from keras import ops

        parts = math.ceil(count / max(min(self._at_once // self._batch, count), 1))
        each = math.ceil(count / parts)
        images, sums = np.repeat(np.arange(self._batch), each), None
        for part in chunks(count, each):
            numbers = np.arange(part.start, part.start + each)  # the last are filled up: one shape, one trace
            tensors = terms(images, np.tile(np.minimum(numbers, count - 1), self._batch))
            kept = part.stop - part.start
            folded = [
                ops.sum(ops.reshape(one, (one.shape[0], self._batch, each, *one.shape[2:]))[:, :, :kept], axis=2)
                for one in tensors
            ]
            sums = folded if sums is None else [one + other for one, other in zip(sums, folded, strict=True)]
        return sums or []

    @cached_property
    def answer(self) -> Answer:
        """All that the one pass of the images gave."""
        self._compute.check()
        aimed = self._network.tensors([self._indices, self._signs])
        layer = self._question.layer
        if layer is None or GRADIENTS not in self._method.needs:
            features, *rest = self._compiled(class_passes.forward)(*aimed, *self._tensors)
            return Answer(None, None, features, *rest)
        shape = self._network.observe(self._arrays).shapes[layer][1:]
        (zeros,) = self._network.tensors([np.zeros((self._batch, *shape), "float32")])
        return Answer(*self._compiled(class_passes.forward_and_back)(zeros, *aimed, *self._tensors))

    @property
    def _at_once(self) -> int:
        return self._compute.batch_size or images_at_once(self._network, self._arrays)

    def _needs(self, what: str) -> None:
        if what not in self._method.needs:
            raise RuntimeError(f"method {self._method.name} asks for {what}, which is not among its row's needs")

    def _compiled(self, build: Callable[[Network, Question], Callable], relu: str | None = None) -> Callable:
        question = replace(self._question, relu=relu)
        if build not in (class_passes.forward, class_passes.forward_and_back):
            question = replace(question, given=True)  # by then they are known
        key = (build.__name__, question.layer, question.head.output, question.score, question.count, question.given)
        return self._network.compiled(("probe", self._precision, relu, *key), build(self._network, question))

    @cached_property
    def _targets(self) -> np.ndarray:
        return self._indices if self._question.given else numpy_arrays(self.answer.targets)[0]

    def _aimed(self, images: np.ndarray) -> list[Any]:
        """The targets of these images, and their signs."""
        return self._network.tensors([self._targets[images], self._signs[images]])

    def _rows(self, images: np.ndarray) -> list[Any]:
        """The inputs of these images."""
        from keras import ops

        (rows,) = self._network.tensors([images.astype("int32")])
        return [ops.take(tensor, rows, axis=0) for tensor in self._tensors]

    def _in_parts(self, run: Callable[[slice, np.ndarray], Any], images: np.ndarray | None) -> Any:
        """Passes of all variants, so many at a time as fit the memory budget."""
        from keras import ops

        rows, parts = np.arange(self._batch) if images is None else np.asarray(images), []
        for part in chunks(len(rows), self._at_once):
            self._compute.check()
            parts.append(run(part, rows[part]))
        return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)
