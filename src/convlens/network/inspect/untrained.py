"""What of a network runs through layers that have no weights of their own file, and so shows nothing it has learned."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.errors import ModelError, listing
from convlens.network.layers import Calls, LayerInfo, base_path
from convlens.network.passes import Passes, flat, outputs_in

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
        self._paths, self._partial = tuple(paths), partial
        self._reach: Reach | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        return self._paths

    @property
    def partial(self) -> bool:
        return self._partial

    def reach(self, passes: Passes) -> Reach:
        """What depends on these layers and is not to be computed; nothing does where the user wants it."""
        if self.partial or not self.paths:
            return Reach(frozenset(), frozenset())
        with passes.exclusive():
            if self._reach is None:
                self._reach = reach_of(passes, self._paths)
            return self._reach

    def trained(self, passes: Passes, layers: Iterable[LayerInfo]) -> list[LayerInfo]:
        """Those of some layers that depend on no untrained one."""
        calls = self.reach(passes).calls
        return [layer for layer in layers if layer.path not in calls]

    def check(self, passes: Passes, paths: Iterable[str] = (), output: int | None = None) -> None:
        """Refuses what runs through untrained layers.

        Args:
            paths: layers that are to be looked at.
            output: the number of the output that is to be computed.

        Raises:
            ModelError: one of them depends on untrained layers, which it names.
        """
        reach = self.reach(passes)
        refused = [f"layer {path}" for path in paths if path in reach.calls]
        if output in reach.outputs:
            refused.append("the output")
        if refused:
            names = listing(path or "the network itself" for path in self.paths)
            raise ModelError(
                f"{', '.join(refused[:4])} of {passes.source} runs through layers that have no weights: {names};"
                " give a file that has them, look at layers before them, or load with partial=True (--partial) to"
                " compute with random ones"
            )


def reach_of(passes: Passes, untrained: Iterable[str]) -> Reach:
    """Runs the network on one random image with the untrained layers' outputs replaced: what changes depends on them.

    It is replaced by two draws of noise and by NaN, which also passes where noise is cut off or cancelled.

    Args:
        untrained: paths; "" for weights that are the network's own and no layer's.
    """
    chosen = set(untrained)
    arrays = [np.random.default_rng(0).uniform(0, 1, array.shape) for array in passes.input_arrays(1)]
    inputs = [array.astype("float32") for array in arrays]
    if "" in chosen:
        everything = _passed(passes, set(), inputs, 0)
        calls = frozenset(call for call in everything if isinstance(call, str))
        return Reach(calls, frozenset(range(len(everything) - len(calls))))
    first, second, broken = (_passed(passes, chosen, inputs, draw) for draw in (0, 1, None))
    changed = {
        call
        for call, values in first.items()
        if not all(np.array_equal(*pair, equal_nan=True) for pair in zip(values, second[call], strict=True))
        or any(
            np.isnan(after).any() and not np.isnan(before).any()
            for before, after in zip(values, broken[call], strict=True)
        )
    }
    outputs = {call for call in changed if isinstance(call, int)}
    inside = {call for call in first if isinstance(call, str) and _within(base_path(call, passes.paths), chosen)}
    return Reach(frozenset(call for call in changed if isinstance(call, str)) | inside, frozenset(outputs))


def _within(path: str, containers: set[str]) -> bool:
    return any(path == outer or path.startswith((f"{outer}/", f"{outer}.")) for outer in containers)


def _passed(
    passes: Passes, chosen: set[str], inputs: list[np.ndarray], draw: int | None
) -> dict[Any, list[np.ndarray]]:
    """What every call of a layer, by its name, and every output, by its number, gives in one pass."""
    from keras import ops, tree

    rng = np.random.default_rng(draw)
    calls = Calls()
    passed: dict[Any, list[np.ndarray]] = {}

    def replaced(part: Any) -> Any:
        if not _is_float(part):
            return part
        noise = LOUD * rng.normal(size=tuple(part.shape)) if draw is not None else np.full(tuple(part.shape), np.nan)
        return ops.cast(ops.convert_to_tensor(noise.astype("float32")), part.dtype)

    def on_output(path: str, arguments: tuple, raw: Any) -> Any:
        if path in chosen:
            raw = tree.map_structure(replaced, raw)
        # copies: what follows may work in place
        kept = [ops.copy(ops.cast(part, "float32")) for part in flat(raw) if _is_float(part)]
        passed[calls.name(path)] = [np.array(value) for value in numpy_arrays(*kept)]
        return raw

    with passes.reading(), passes.tap(passes.paths, on_output):
        for number, raw in enumerate(outputs_in(passes.raw_forward(passes.tensors(inputs)))):
            passed[number] = [np.array(value) for value in numpy_arrays(ops.cast(raw, "float32"))]
    return passed


def _is_float(part: Any) -> bool:
    return "float" in str(getattr(part, "dtype", ""))
