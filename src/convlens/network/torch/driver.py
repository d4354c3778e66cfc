"""Any PyTorch module, through forward hooks."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from keras import ops, tree
from torch import nn

from convlens.backend.torch import seeded
from convlens.errors import ModelError
from convlens.network.driver import Driver, OnOutput
from convlens.network.layers import (
    SIGMOID,
    SOFTMAX,
    Calls,
    InputSpec,
    LayerDescription,
    StopForward,
    base_path,
    named_specs,
    zeros_for,
)
from convlens.network.torch.inputs import BATCH, SIDES, Trials, find_channels, find_sides, miscounted
from convlens.network.torch.modules import (
    alike,
    argument_names,
    check_can_be_looked_into,
    class_layout,
    described,
    laid_out,
    modules_by_path,
    random_state,
    uncompiled,
    unwrapped,
)
from convlens.network.torch.tokens import FIRST, LAST, Layout, Sides, Tokens, find_layouts, spread

TALLER = 32  # pixels that a second, taller input has more: as many as most networks shrink by


class TorchDriver(Driver):
    """An `nn.Module` that takes images (batch, channels, height, width).

    Modules do not say what they take, so that it is found by running them.

    Args:
        source: how the user named the module.
        input_shape: the user's shapes of the inputs.
        input_size: height and width in pixels that the module's makers say.

    Raises:
        ModelError: its layers cannot be seen, or it runs on no size that was tried.
    """

    framework = "torch"

    def __init__(self, model: Any, source: str, *, input_shape: Any = None, input_size: Sides | None = None) -> None:
        self.model, self.input_size, self._source = model, input_size, source
        self._module = unwrapped(model)
        check_can_be_looked_into(self._module, source)
        self._by_path = modules_by_path(self._module)
        self._by_name = isinstance(input_shape, dict)
        self._running: Sides = (1, 1)  # height and width of the images in the pass that runs
        self._layouts: dict[str, Layout] = {}
        self._sides: Sides = input_size or (SIDES[0], SIDES[0])
        self._axes: list[int] = []  # of the outputs for several images
        self._in_order = True  # whether the module gets tensors that lie in memory one axis after the other
        notes: list[str] = []
        self._specs = self._find_inputs(input_shape)
        if any(spec.is_image and None in spec.shape for spec in self._specs):
            notes += self._find_sides(told=input_shape is not None)
        self._find_layouts()
        notes += self._find_memory_order()
        self.notes = tuple(notes)

    def _find_inputs(self, input_shape: Any) -> tuple[InputSpec, ...]:
        """The user's inputs, or one image of any size with the channels that the module takes."""
        if input_shape is not None:
            return named_specs(input_shape, argument_names(self._module))

        def any_size(channels: int) -> tuple[InputSpec, ...]:
            return (InputSpec("input", (None, None, channels)),)

        def run(height: int, width: int, channels: int) -> list[Any] | None:
            return self._outputs(zeros_for(any_size(channels), BATCH, self._sides, height, width))

        return any_size(find_channels(run, self._module, self._sides, self._source))

    def _zeros(self, batch: int, height: int | None = None, width: int | None = None) -> list[np.ndarray]:
        return zeros_for(self._specs, batch, self._sides, height, width)

    def _outputs(self, arrays: Sequence[Any]) -> list[Any] | None:
        """The outputs on inputs with the channels last; None where the pass was stopped on its way."""
        with self.reading():
            try:
                outputs = self.run([self.from_last(ops.convert_to_tensor(array)) for array in arrays])
            except StopForward:
                return None
            return [self.to_last(output) for output in tree.flatten(outputs)]

    def _find_sides(self, told: bool) -> list[str]:
        """Finds a size that the module takes; unless the user told that it takes any, that is the one to feed.

        Returns:
            what the user should know about it.

        Raises:
            ModelError: it runs on none.
        """
        known = self.input_size
        trials = Trials(lambda height, width: self._outputs(self._zeros(BATCH, height, width)), self._module)
        self._sides, note = find_sides(trials, known, self._source)
        if not told:
            self.input_size = self._sides
        if not note and (told or known):
            return []
        height, width = self._sides
        note = note or f"{height}x{width} is taken, as the network does not say what it was trained on"
        return [f"input size: {note}; give input_shape= if it is another"]

    def _output_shapes(self, height: int, width: int) -> dict[str, tuple[int, ...]]:
        """What each call of a layer puts out for one image of this size."""
        shapes: dict[str, tuple[int, ...]] = {}
        calls = Calls()

        def note(path: str, arguments: tuple, raw: Any) -> Any:
            call = calls.name(path)
            first = next((part for part in tree.flatten(raw) if isinstance(part, torch.Tensor)), None)
            if first is not None:
                shapes[call] = tuple(first.shape)
            return raw

        with self.tap(self.paths, note):
            outputs = self._outputs(self._zeros(1, height, width))
        if problem := miscounted(outputs or [], 1):
            raise ValueError(problem)
        return shapes

    def _find_layouts(self) -> None:
        """How the outputs lie in memory, and whether inputs of any size go, from two sizes of the input."""
        if not any(spec.is_image for spec in self._specs):
            return
        image = next(number for number, spec in enumerate(self._specs) if spec.is_image)
        height, width = self._zeros(1)[image].shape[1:3]
        taller: dict[str, tuple[int, ...]] = {}
        try:
            shapes = self._output_shapes(height, width)
        except Exception:  # said by whoever runs it next, with the size that was asked for
            return
        try:
            taller = self._output_shapes(height + TALLER, width)
        except Exception:
            self._specs = tuple(
                InputSpec(spec.name, (height, width, spec.shape[2])) if None in spec.shape else spec
                for spec in self._specs
            )
        hints = {call: class_layout(self._by_path[base_path(call, self.paths)]) for call in shapes}
        self._layouts = find_layouts(
            shapes, taller, (height, width), {call: hint for call, hint in hints.items() if hint}
        )

    def _find_memory_order(self) -> list[str]:
        """Whether the module takes tensors with their channels last in memory, which are faster, and is random.

        `view` and the like work on the memory itself, and fail on other strides than their author had.

        Returns:
            what the user should know about it.
        """
        rng = np.random.default_rng(0)
        arrays = [
            rng.random(array.shape, "float32") if spec.is_image else array
            for spec, array in zip(self._specs, self._zeros(BATCH), strict=True)
        ]

        def run(in_order: bool, seed: int = 0) -> tuple[list[Any], bool]:
            self._in_order = in_order
            with self.reading(), seeded(seed):
                before = random_state()
                return self._outputs(arrays) or [], before != random_state()

        try:
            expected, draws = run(in_order=True)
        except Exception:  # as above
            return []
        if problem := miscounted(expected):
            raise ModelError(
                f"{self._source} does not run on inputs of this shape: {problem}; give another input_shape"
            )
        self._axes = [output.ndim for output in expected]
        notes = []
        if draws and not alike(expected, run(in_order=True, seed=1)[0]):
            notes.append(
                "the network is random, also in inference (dropout that is always on, or the like): what it puts out,"
                " and what is computed here, varies from run to run"
            )
        try:
            self._in_order = not alike(expected, run(in_order=False)[0])
        except Exception:  # whatever the user's modules raise
            self._in_order = True
        if self._in_order:
            notes.append(
                "the network works on how tensors lie in memory (view), so it gets them with their channels first"
            )
        return notes

    def to_last(self, tensor: Any, call: str | None = None) -> Any:
        layout = self._layouts.get(call or "", FIRST)
        if isinstance(layout, Tokens):
            grid = layout.grid(tensor.shape[1], self._running) if len(tensor.shape) == 3 else None
            return spread(tensor, layout.prefix, grid) if grid else tensor
        return tensor if layout == LAST else super().to_last(tensor)

    def from_last(self, tensor: Any, call: str | None = None, raw: Any = None) -> Any:
        layout = self._layouts.get(call or "", FIRST)
        if isinstance(layout, Tokens) and len(tensor.shape) == 4:
            tensor = torch.cat([raw[:, : layout.prefix], tensor.flatten(1, 2)], 1)
        elif layout == FIRST:
            tensor = super().from_last(tensor)
        return laid_out(tensor, raw) if raw is not None or self._in_order else tensor

    def with_batch_axis(self, outputs: list[Any], images: int) -> list[Any]:
        if images > 1 or len(outputs) != len(self._axes):
            return outputs
        # an image alone has lost its axis where the module squeezes
        return [
            output[None] if output.ndim == axes - 1 else output
            for output, axes in zip(outputs, self._axes, strict=True)
        ]

    def prefix(self, call: str) -> int:
        layout = self._layouts.get(call)
        return layout.prefix if isinstance(layout, Tokens) else 0

    @property
    def paths(self) -> list[str]:
        return list(self._by_path)

    def path_of(self, layer: Any) -> str:
        return next((path for path, module in self._by_path.items() if module is layer), "")

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return self._specs

    @property
    def channels_first(self) -> bool:
        return True

    @property
    def variables(self) -> list[Any]:
        return []

    def probe_size(self) -> tuple[int, int]:
        return self._sides

    def describe(self, path: str) -> LayerDescription:
        return described(self._by_path[base_path(path, self.paths)])

    @contextmanager
    def tap(self, paths: Iterable[str], on_output: OnOutput) -> Iterator[None]:
        def hook(path: str) -> Any:
            return lambda module, arguments, raw: on_output(path, arguments, raw)

        with ExitStack() as stack:
            for path in paths:
                stack.callback(self._by_path[path].register_forward_hook(hook(path)).remove)
            yield

    def run(self, inputs: Sequence[Any]) -> Any:
        training = [module for module in self.model.modules() if module.training]
        self._running = next((tuple(tensor.shape[2:]) for tensor in inputs if len(tensor.shape) == 4), (1, 1))
        weight = next(self.model.parameters(), None)
        if weight is not None:
            inputs = [tensor.to(weight.device, weight.dtype) for tensor in inputs]
        try:
            for module in training:
                module.training = False
            named = zip(self._specs, inputs, strict=True) if self._by_name else ()
            with uncompiled(self._module):
                return self._module(*(() if named else inputs), **{spec.name: tensor for spec, tensor in named})
        finally:
            for module in training:
                module.training = True

    @contextmanager
    def computing(self, precision: str) -> Iterator[None]:
        halves = [*self.model.parameters(), *self.model.buffers()]
        before = [(weight, weight.data) for weight in halves if weight.dtype in (torch.float16, torch.bfloat16)]
        kind = halves[0].device.type if halves else "cpu"
        try:
            for weight, data in before:
                weight.data = data.float()
            with torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16"):
                yield
        finally:
            for weight, data in before:
                weight.data = data

    @property
    def takes_bfloat16(self) -> bool:
        return True  # autocast keeps in float32 what needs it

    def can_compute_only(self, path: str) -> bool:
        module = self._by_path.get(path)
        return type(module) is nn.Conv2d and module.groups == 1 and "forward" not in vars(module)

    @contextmanager
    def only_channels(self, path: str, channels: Any) -> Iterator[None]:
        module: Any = self._by_path[path]

        def forward(inputs: Any) -> Any:
            bias = None if module.bias is None else module.bias[channels]
            return module._conv_forward(inputs, module.weight[channels], bias)

        module.forward = forward
        try:
            yield
        finally:
            del module.forward

    def final_activation(self, path: str) -> str | None:
        module = self._by_path.get(path)
        if isinstance(module, nn.Softmax | nn.LogSoftmax | nn.Softmax2d):
            return SOFTMAX
        return SIGMOID if isinstance(module, nn.Sigmoid) else None

    def weights(self, path: str) -> dict[str, np.ndarray]:
        values = self._by_path[path].state_dict()
        return {name: value.detach().float().cpu().numpy() for name, value in values.items() if torch.is_tensor(value)}

    def inner_preprocessing(self) -> tuple[str, str] | None:
        return None

    def linear_head(self, path: str) -> AbstractContextManager[None]:
        return self.tap([path], lambda path, arguments, raw: arguments[0])
