"""ReLUs on PyTorch that pass back other gradients than theirs, by hooks in the graph that autograd has built.

A ReLU is found there however it is spelled: as a layer, a function, a method, in place, or as a clamp.
"""

from collections.abc import Iterator
from typing import Any

import torch

from convlens.backend import unchanged_relus

UPPER = "_saved_max_val", "_saved_max"


def change_relus(scores: Any, rule: str) -> None:
    """From now on the graph that led to these scores passes back what the rule says.

    Raises:
        ModelError: it has no ReLU.
    """
    relus = [node for node in _nodes(scores.grad_fn) if _is_relu(node)]
    if not relus:
        raise unchanged_relus("there is none in this network")
    for node in relus:
        node.register_hook(_positive if rule == "guided" else _deconvnet(node))


def _nodes(last: Any) -> Iterator[Any]:
    seen, waiting = set(), [last] if last is not None else []
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        yield node
        waiting += [before for before, _ in node.next_functions if before is not None]


def _is_relu(node: Any) -> bool:
    name = node.name()
    if name.startswith("ReluBackward"):
        return True
    if name.startswith("HardtanhBackward"):
        return node._saved_min_val == 0
    if name.startswith("ThresholdBackward"):
        return node._saved_threshold == 0
    if name.startswith("Clamp"):
        return _is_zero(getattr(node, "_saved_min", None))
    return name == "MaximumBackward0" and (_is_zero(node._saved_self) or _is_zero(node._saved_other))


def _is_zero(limit: Any) -> bool:
    return limit is not None and (not limit.any() if isinstance(limit, torch.Tensor) else limit == 0)


def _positive(passed: tuple, arrived: tuple) -> tuple:
    return tuple(None if gradient is None else gradient.clamp(min=0) for gradient in passed)


def _deconvnet(node: Any) -> Any:
    """What arrives, where it is above 0: but nothing where an upper limit was reached, as a ReLU6 has."""
    upper = next((getattr(node, name) for name in UPPER if getattr(node, name, None) is not None), None)
    below = None
    if upper is not None:
        kept = node._saved_self if hasattr(node, "_saved_self") else node._saved_result
        below = kept < upper

    def hook(passed: tuple, arrived: tuple) -> tuple:
        gradient = arrived[0].clamp(min=0)
        changed = gradient if below is None else gradient * below
        return tuple(None if part is None else changed for part in passed)

    return hook
