"""What a PyTorch module takes, and how its layers' outputs lie in memory: found by running it, before it is used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens.backend.torch import seeded
from convlens.errors import ModelError
from convlens.network.layers import InputSpec, base_path, named_specs, zeros_for
from convlens.network.torch.inputs import BATCH, SIDES, Trials, find_channels, find_sides, miscounted
from convlens.network.torch.modules import alike, argument_names, class_layout, random_state
from convlens.network.torch.runner import Runner
from convlens.network.torch.tokens import Layout, Shape, Sides, find_layouts

TALLER = 32  # pixels that a second, taller input has more: as many as most networks shrink by


@dataclass(frozen=True)
class Facts:
    """What running a module showed.

    Attributes:
        inputs: in the order in which it takes them.
        sides: height and width in pixels that stand for an image of any size.
        input_size: the same where that is what to feed; None for the image's own.
        layouts: how what each call of a layer puts out lies in memory.
        axes: how many each output has for several images.
        in_order: whether the module gets tensors that lie in memory one axis after the other.
        notes: what the user should know, a line each.
    """

    inputs: tuple[InputSpec, ...]
    sides: Sides
    input_size: Sides | None
    layouts: Mapping[str, Layout]
    axes: tuple[int, ...]
    in_order: bool
    notes: tuple[str, ...]


def find_facts(runner: Runner, source: str, input_shape: Any, input_size: Sides | None) -> Facts:
    """Runs a module on zeros and on noise.

    Args:
        source: how the user named the module.
        input_shape: the user's shapes of the inputs; None where they are to be found.
        input_size: height and width in pixels that the module's makers say.

    Raises:
        ModelError: it runs on no size that was tried.
    """
    sides, fed, notes = input_size or (SIDES[0], SIDES[0]), input_size, []
    inputs = _find_inputs(runner, source, input_shape, sides)
    if any(spec.is_image and None in spec.shape for spec in inputs):
        trials = Trials(lambda height, width: runner.outputs(zeros_for(inputs, BATCH, (height, width))), runner.module)
        sides, note = find_sides(trials, input_size, source)
        if input_shape is None:  # unless the user told that any size goes, this is the one to feed
            fed = sides
        if note or not (input_shape is not None or input_size):
            note = note or f"{sides[0]}x{sides[1]} is taken, as the network does not say what it was trained on"
            notes.append(f"input size: {note}; give input_shape= if it is another")
    inputs, layouts = _find_layouts(runner, inputs, sides)
    memory = _find_memory_order(runner, source, inputs, zeros_for(inputs, BATCH, sides))
    return Facts(inputs, sides, fed, layouts, memory.axes, memory.in_order, (*notes, *memory.notes))


def _find_inputs(runner: Runner, source: str, input_shape: Any, sides: Sides) -> tuple[InputSpec, ...]:
    """The user's inputs, or one image of any size with the channels that the module takes."""
    if input_shape is not None:
        return named_specs(input_shape, argument_names(runner.module))

    def run(height: int, width: int, channels: int) -> list[Any] | None:
        return runner.outputs([np.zeros((BATCH, height, width, channels), "float32")])

    return (InputSpec("input", (None, None, find_channels(run, runner.module, sides, source))),)


def _find_layouts(
    runner: Runner, inputs: tuple[InputSpec, ...], sides: Sides
) -> tuple[tuple[InputSpec, ...], dict[str, Layout]]:
    """How the outputs lie in memory, and the inputs, whose sides are fixed where only one of two sizes goes."""
    image = next((number for number, spec in enumerate(inputs) if spec.is_image), None)
    if image is None:
        return inputs, {}
    height, width = zeros_for(inputs, 1, sides)[image].shape[1:3]
    taller: dict[str, Shape] = {}
    try:
        shapes = runner.output_shapes(zeros_for(inputs, 1, sides))
    except Exception:  # said by whoever runs it next, with the size that was asked for
        return inputs, {}
    try:
        taller = runner.output_shapes(zeros_for(inputs, 1, sides, height + TALLER, width))
    except Exception:
        inputs = tuple(
            InputSpec(spec.name, (height, width, spec.shape[2])) if None in spec.shape else spec for spec in inputs
        )
    hints = {call: class_layout(runner.by_path[base_path(call, list(runner.by_path))]) for call in shapes}
    known = {call: hint for call, hint in hints.items() if hint}
    return inputs, find_layouts(shapes, taller, (height, width), known)


@dataclass(frozen=True)
class _Memory:
    """See `Facts`; where the module cannot be run, the next to run it says so."""

    axes: tuple[int, ...] = ()
    in_order: bool = True
    notes: tuple[str, ...] = ()


def _find_memory_order(
    runner: Runner, source: str, inputs: Sequence[InputSpec], zeros: Sequence[np.ndarray]
) -> _Memory:
    """Whether the module takes tensors with their channels last in memory, which are faster, and is random.

    `view` and the like work on the memory itself, and fail on other strides than their author had.
    """
    rng = np.random.default_rng(0)
    arrays = [
        rng.random(array.shape, "float32") if spec.is_image else array
        for spec, array in zip(inputs, zeros, strict=True)
    ]

    def run(in_order: bool, seed: int = 0) -> tuple[list[Any], bool]:
        with seeded(seed):
            before = random_state()
            return runner.outputs(arrays, in_order) or [], before != random_state()

    try:
        expected, draws = run(in_order=True)
    except Exception:  # as above
        return _Memory()
    if problem := miscounted(expected):
        raise ModelError(f"{source} does not run on inputs of this shape: {problem}; give another input_shape")
    notes = []
    if draws and not alike(expected, run(in_order=True, seed=1)[0]):
        notes.append(
            "the network is random, also in inference (dropout that is always on, or the like): what it puts out,"
            " and what is computed here, varies from run to run"
        )
    try:
        in_order = not alike(expected, run(in_order=False)[0])
    except Exception:  # whatever the user's modules raise
        in_order = True
    if in_order:
        notes.append("the network works on how tensors lie in memory (view), so it gets them with their channels first")
    return _Memory(tuple(output.ndim for output in expected), in_order, tuple(notes))
