"""Any PyTorch module, through forward hooks."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from keras import tree
from torch import nn

from convlens.backend.torch import seeded
from convlens.errors import ModelError
from convlens.network.driver import OnOutput
from convlens.network.inspect.head import SIGMOID, SOFTMAX, Head
from convlens.network.inspect.layers import Calls, InputSpec, base_path, named_specs
from convlens.network.network import Network
from convlens.network.torch.inputs import BATCH, SIDES, Trials, find_channels, find_sides, miscounted
from convlens.network.torch.modules import (
    alike,
    argument_names,
    check_can_be_looked_into,
    described,
    laid_out,
    layout_of,
    modules_by_path,
    random_state,
    uncompiled,
    unwrapped,
)
from convlens.network.torch.tokens import FIRST, LAST, Layout, Sides, Tokens, find_layouts, spread

TALLER = 32  # pixels that a second, taller input has more: as many as most networks shrink by


class TorchNetwork(Network):
    """An `nn.Module` that takes images (batch, channels, height, width)."""

    framework = "torch"

    def __init__(self, model: Any, source: str, *, input_shape: Any = None, **options: Any) -> None:
        super().__init__(model, source, **options)
        self._module = unwrapped(model)
        check_can_be_looked_into(self._module, source)
        self._by_path = modules_by_path(self._module)
        self._by_name = isinstance(input_shape, dict)
        self._running: Sides = (1, 1)
        self._layouts: dict[str, Layout] = {}
        self._sides: Sides = self.input_size or (SIDES[0], SIDES[0])
        self._axes: list[int] = []  # of the outputs for several images
        self._in_order = True  # whether the module gets tensors that lie in memory one axis after the other
        if input_shape is None:
            channels = find_channels(self._on_zeros, self._module, self._sides, source)
            self._specs = (InputSpec("input", (None, None, channels)),)
        else:
            self._specs = named_specs(input_shape, argument_names(self._module))
        if any(spec.is_image and None in spec.shape for spec in self._specs):
            self._find_sides(told=input_shape is not None)
        self._find_layouts()
        self._find_memory_order()

    def _on_zeros(self, height: int, width: int, channels: int | None = None) -> list[Any] | None:
        arrays = self.input_arrays(BATCH, height, width) if channels is None else []
        with self.reading():
            return self.forward(self.tensors(arrays or [np.zeros((BATCH, height, width, channels or 1), "float32")]))

    def _find_sides(self, told: bool) -> None:
        """Finds a size that the module takes; unless the user told that it takes any, that is the one to feed.

        Raises:
            ModelError: it runs on none.
        """
        known = self.input_size
        self._sides, said = find_sides(Trials(self._on_zeros, self._module), known, self.source)
        if not told:
            self.input_size = self._sides
        if said or not (told or known):
            tall, wide = self._sides
            said = said or f"{tall}x{wide} is taken, as the network does not say what it was trained on"
            self.notes.append(f"input size: {said}; give input_shape= if it is another")

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

        with self.reading(), self.tap(self.paths, note):
            outputs = self.forward(self.tensors(self.input_arrays(1, height, width)))
        if problem := miscounted(outputs or [], 1):
            raise ValueError(problem)
        return shapes

    def _find_layouts(self) -> None:
        """How the outputs lie in memory, and whether inputs of any size go, from two sizes of the input."""
        if not any(spec.is_image for spec in self._specs):
            return
        height, width = self.input_arrays(1)[self.image_input].shape[1:3]
        taller: dict[str, tuple[int, ...]] = {}
        try:
            shapes = self._output_shapes(height, width)
        except Exception:  # said by whoever looks next, with the size that was asked for
            return
        try:
            taller = self._output_shapes(height + TALLER, width)
        except Exception:
            self._specs = tuple(
                InputSpec(spec.name, (height, width, spec.shape[2])) if None in spec.shape else spec
                for spec in self._specs
            )
        hints = {call: layout_of(self._by_path[base_path(call, self.paths)]) for call in shapes}
        self._layouts = find_layouts(shapes, taller, (height, width), {c: h for c, h in hints.items() if h})

    def _find_memory_order(self) -> None:
        """Whether the module takes tensors with their channels last in memory, which are faster, and is random.

        `view` and the like work on the memory itself, and fail on other strides than their author had.
        """
        rng = np.random.default_rng(0)
        tensors = self.tensors(
            [
                rng.random(array.shape, "float32") if spec.is_image else array
                for spec, array in zip(self._specs, self.input_arrays(BATCH), strict=True)
            ]
        )

        def run(in_order: bool, seed: int = 0) -> tuple[list[Any], bool]:
            self._in_order = in_order
            with self.reading(), seeded(seed):
                before = random_state()
                return self.forward(tensors) or [], before != random_state()

        try:
            expected, draws = run(in_order=True)
        except Exception:  # as above
            return
        if problem := miscounted(expected):
            raise ModelError(f"{self.source} does not run on inputs of this shape: {problem}; give another input_shape")
        self._axes = [output.ndim for output in expected]
        if draws and not alike(expected, run(in_order=True, seed=1)[0]):
            self.notes.append(
                "the network is random, also in inference (dropout that is always on, or the like): what it puts out,"
                " and what is computed here, varies from run to run"
            )
        try:
            self._in_order = not alike(expected, run(in_order=False)[0])
        except Exception:  # whatever the user's modules raise
            self._in_order = True
        if self._in_order:
            self.notes.append(
                "the network works on how tensors lie in memory (view), so it gets them with their channels first"
            )

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

    def forward(self, inputs: Sequence[Any]) -> list[Any] | None:
        outputs = super().forward(inputs)
        if outputs is None or len(inputs[0]) > 1 or len(outputs) != len(self._axes):
            return outputs
        # an image alone has lost its axis where the module squeezes
        return [one[None] if one.ndim == axes - 1 else one for one, axes in zip(outputs, self._axes, strict=True)]

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

    def describe(self, path: str) -> tuple[str, str, int, bool]:
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

    def can_narrow(self, path: str) -> bool:
        module = self._by_path.get(path)
        return (
            type(module) is nn.Conv2d
            and module.groups == 1
            and "forward" not in vars(module)
            and f"{path}:1" not in self.observe().shapes
        )

    @contextmanager
    def narrowed(self, path: str, channels: Any) -> Iterator[None]:
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
        found = self._by_path[path].state_dict()
        return {name: value.detach().float().cpu().numpy() for name, value in found.items() if torch.is_tensor(value)}

    def inner_preprocessing(self) -> tuple[str, str] | None:
        return None

    @contextmanager
    def linear_head(self, head: Head) -> Iterator[None]:
        if head.layer is None:
            yield
        else:
            with self.tap([head.layer], lambda path, arguments, raw: arguments[0]):
                yield
