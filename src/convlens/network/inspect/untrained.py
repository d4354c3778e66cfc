"""What of a network runs through layers that have no weights of their own file, and so shows nothing it has learned."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.errors import ModelError, listing
from convlens.network.inspect.layers import Calls, base_path

if TYPE_CHECKING:
    from convlens.network.network import Network

LOUD = 100.0  # of the noise in place of an untrained layer's output: enough to pass a ReLU and a bias


@dataclass(frozen=True)
class Reach:
    """What depends on untrained layers.

    Attributes:
        calls: paths of layers, as `intercept` names calls.
        outputs: numbers of the network's outputs.
    """

    calls: frozenset[str]
    outputs: frozenset[int]


class Untrained:
    """The layers for which a file of weights had none. Nothing is computed through them by accident.

    Attributes:
        paths: of the layers; "" for weights that are the network's own and no layer's.
        partial: whether the user wants what runs through them all the same.
    """

    def __init__(self, paths: Iterable[str] = (), partial: bool = False) -> None:
        self.paths = tuple(paths)
        self.partial = partial
        self._reach: Reach | None = None

    def reach(self, network: "Network") -> Reach:
        """What depends on these layers and is not to be computed; nothing does where the user wants it."""
        if self.partial or not self.paths:
            return Reach(frozenset(), frozenset())
        if self._reach is None:
            self._reach = reach_of(network, self.paths)
        return self._reach

    def trained(self, network: "Network", layers: Iterable[Any]) -> list[Any]:
        """Those of some layers that depend on no untrained one."""
        calls = self.reach(network).calls
        return [layer for layer in layers if layer.path not in calls]

    def check(self, network: "Network", paths: Iterable[str] = (), output: int | None = None) -> None:
        """Refuses what runs through untrained layers.

        Args:
            paths: layers that are to be looked at.
            output: the number of the output that is to be computed.

        Raises:
            ModelError: one of them depends on untrained layers, which it names.
        """
        reach = self.reach(network)
        found = [f"layer {path}" for path in paths if path in reach.calls]
        if output in reach.outputs:
            found.append("the output")
        if found:
            names = listing(path or "the network itself" for path in self.paths)
            raise ModelError(
                f"{', '.join(found[:4])} of {network.source} runs through layers that have no weights: {names};"
                " give a file that has them, look at layers before them, or load with partial=True (--partial) to"
                " compute with random ones"
            )


def reach_of(network: "Network", untrained: Iterable[str]) -> Reach:
    """Runs the network on one random image with the untrained layers' outputs replaced: what changes depends on them.

    It is replaced by two draws of noise and by NaN, which also passes where noise is cut off or cancelled.

    Args:
        untrained: paths; "" for weights that are the network's own and no layer's.
    """
    chosen = set(untrained)
    arrays = [np.random.default_rng(0).uniform(0, 1, array.shape) for array in network.input_arrays(1)]
    if "" in chosen:
        seen = network.observe()
        return Reach(frozenset(seen.shapes), frozenset(range(len(seen.outputs))))
    inputs = [array.astype("float32") for array in arrays]
    first, second, broken = (_passed(network, chosen, inputs, draw) for draw in (0, 1, None))
    found = {
        call
        for call, values in first.items()
        if not all(np.array_equal(*pair, equal_nan=True) for pair in zip(values, second[call], strict=True))
        or any(
            np.isnan(after).any() and not np.isnan(before).any()
            for before, after in zip(values, broken[call], strict=True)
        )
    }
    outputs = {call for call in found if isinstance(call, int)}
    inside = {call for call in first if isinstance(call, str) and _within(base_path(call, network.paths), chosen)}
    return Reach(frozenset(call for call in found if isinstance(call, str)) | inside, frozenset(outputs))


def _within(path: str, containers: set[str]) -> bool:
    return any(path == one or path.startswith((f"{one}/", f"{one}.")) for one in containers)


def _passed(
    network: "Network", chosen: set[str], inputs: list[np.ndarray], draw: int | None
) -> dict[Any, list[np.ndarray]]:
    """What every call of a layer, by its name, and every output, by its number, gives in one pass."""
    from keras import ops, tree

    rng = np.random.default_rng(draw)
    calls = Calls()
    found: dict[Any, list[np.ndarray]] = {}

    def replaced(part: Any) -> Any:
        if not _is_float(part):
            return part
        noise = LOUD * rng.normal(size=tuple(part.shape)) if draw is not None else np.full(tuple(part.shape), np.nan)
        return ops.cast(ops.convert_to_tensor(noise.astype("float32")), part.dtype)

    def on_output(path: str, arguments: tuple, raw: Any) -> Any:
        if path in chosen:
            raw = tree.map_structure(replaced, raw)
        # copies: what follows may work in place
        kept = [ops.copy(ops.cast(part, "float32")) for part in tree.flatten(raw) if _is_float(part)]
        found[calls.name(path)] = [np.array(value) for value in numpy_arrays(*kept)]
        return raw

    with network.reading(), network.tap(network.paths, on_output):
        network.forward(network.tensors(inputs))
        for number, raw in enumerate(network.raw_outputs):
            found[number] = [np.array(value) for value in numpy_arrays(ops.cast(raw, "float32"))]
        network.raw_outputs = []
    return found


def _is_float(part: Any) -> bool:
    return "float" in str(getattr(part, "dtype", ""))
