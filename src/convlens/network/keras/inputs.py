"""What a Keras model says of its inputs."""

from typing import Any

from convlens.errors import ModelError
from convlens.network.layers import InputSpec


def has_graph(model: Any) -> bool:
    """Whether the model knows its inputs: functional models do, and Sequential ones that were built."""
    try:
        return bool(model.inputs)
    except (AttributeError, ValueError):
        return False


def built_shapes(model: Any) -> Any:
    """What a model without a graph was built for: a shape with the batch, a list or a dict of them; None if unknown."""
    config = (model.get_build_config() if model.built else None) or {}
    shapes = config.get("input_shape")
    return shapes or list((config.get("shapes_dict") or {}).values()) or None


def own_specs(model: Any, source: str, channels_first: bool) -> tuple[InputSpec, ...]:
    """Inputs as the model knows them: from its graph, or from when it was built."""
    if has_graph(model):
        structure = getattr(model, "input", None)  # some Sequential models have none
        keys = {id(tensor): key for key, tensor in structure.items()} if isinstance(structure, dict) else {}
        named = [(keys.get(id(tensor), tensor.name), tuple(tensor.shape[1:])) for tensor in model.inputs]
    else:
        shapes = built_shapes(model)
        if not shapes:
            raise ModelError(
                f"{source} was never built, so its input is unknown; give input_shape=(height, width, channels)"
                " or call the model once on an image"
            )
        if not isinstance(shapes, dict):
            shapes = shapes if isinstance(shapes[0], list | tuple) else [shapes]
            shapes = {f"input_{number}": sides for number, sides in enumerate(shapes)}
        named = [(name, tuple(sides)[1:]) for name, sides in shapes.items()]
    last = [(name, (*sides[1:], sides[0]) if channels_first and len(sides) == 3 else sides) for name, sides in named]
    return tuple(InputSpec(name, sides) for name, sides in last)


def with_planes(specs: tuple[InputSpec, ...], convolves: bool) -> tuple[tuple[InputSpec, ...], frozenset[int]]:
    """The inputs, and the numbers of those (height, width) that are grey images without an axis for channels.

    Args:
        convolves: whether the network has convolutions over two axes, without which they are sequences.
    """
    if not convolves or any(spec.is_image for spec in specs):
        return specs, frozenset()
    planes = frozenset(number for number, spec in enumerate(specs) if len(spec.shape) == 2 and None not in spec.shape)
    return tuple(
        InputSpec(spec.name, (*spec.shape, 1)) if number in planes else spec for number, spec in enumerate(specs)
    ), planes
