"""Runs a PyTorch module as it is, and taps the modules inside of it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from keras import ops, tree

from convlens.backend.torch import forward_only
from convlens.network.driver import OnOutput
from convlens.network.layers import Calls, StopForward
from convlens.network.passes import outputs_in
from convlens.network.torch.inputs import miscounted
from convlens.network.torch.modules import check_can_be_looked_into, laid_out, modules_by_path, uncompiled, unwrapped
from convlens.network.torch.tokens import Shape, Sides


class Runner:
    """A module, and what it takes to run it, in its own layout.

    Attributes:
        module: the user's, without what is wrapped around it.
        by_path: the modules inside of it.
        running: height and width of the images in the latest pass.

    Args:
        model: the user's module, as it came.
        source: how the user named it.
        names: of the arguments by which it takes its inputs; None where it takes them one after the other.

    Raises:
        ModelError: its layers cannot be seen.
    """

    def __init__(self, model: Any, source: str, names: Sequence[str] | None = None) -> None:
        self._model, self._names = model, names
        self.module = unwrapped(model)
        check_can_be_looked_into(self.module, source)
        self.by_path = modules_by_path(self.module)
        self.running: Sides = (1, 1)

    @contextmanager
    def tap(self, paths: Iterable[str], on_output: OnOutput) -> Iterator[None]:
        def hook(path: str) -> Any:
            return lambda module, arguments, raw: on_output(path, arguments, raw)

        with ExitStack() as stack:
            for path in paths:
                stack.callback(self.by_path[path].register_forward_hook(hook(path)).remove)
            yield

    def run(self, inputs: Sequence[Any]) -> Any:
        """What the module puts out in inference mode, whatever its own."""
        training = [module for module in self._model.modules() if module.training]
        self.running = next((tuple(tensor.shape[2:]) for tensor in inputs if len(tensor.shape) == 4), (1, 1))
        weight = next(self._model.parameters(), None)
        if weight is not None:
            inputs = [tensor.to(weight.device, weight.dtype) for tensor in inputs]
        try:
            for module in training:
                module.training = False
            with uncompiled(self.module):
                if self._names is None:
                    return self.module(*inputs)
                return self.module(**dict(zip(self._names, inputs, strict=True)))
        finally:
            for module in training:
                module.training = True

    def outputs(self, arrays: Sequence[np.ndarray], in_order: bool = True) -> list[Any] | None:
        """The outputs, channels last; None where the pass was stopped on its way.

        Args:
            arrays: the inputs, channels last.
            in_order: hand over tensors that lie in memory one axis after the other.
        """
        with forward_only():
            tensors: list[Any] = [ops.convert_to_tensor(array) for array in arrays]
            inputs = [tensor.movedim(-1, 1) if tensor.ndim > 3 else tensor for tensor in tensors]
            try:
                outputs = self.run([laid_out(tensor) for tensor in inputs] if in_order else inputs)
            except StopForward:
                return None
            return [output.movedim(1, -1) if output.ndim > 3 else output for output in outputs_in(outputs)]

    def output_shapes(self, arrays: Sequence[np.ndarray]) -> dict[str, Shape]:
        """What each call of a layer puts out for one image.

        Raises:
            ValueError: other than one image comes out; the module's own errors too.
        """
        shapes: dict[str, Shape] = {}
        calls = Calls()

        def note(path: str, arguments: tuple[Any, ...], raw: Any) -> Any:
            call = calls.name(path)
            first = next((part for part in tree.flatten(raw) if ops.is_tensor(part)), None)
            if first is not None:
                shapes[call] = tuple(first.shape)
            return raw

        with self.tap(self.by_path, note):
            outputs = self.outputs(arrays)
        if problem := miscounted(outputs or [], 1):
            raise ValueError(problem)
        return shapes
