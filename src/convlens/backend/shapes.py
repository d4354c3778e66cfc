"""Compiled functions kept by the shapes of their arguments."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

KEPT = 8  # shapes a function


def by_shape(build: Callable[[Sequence[Any]], Callable]) -> Callable:
    """A function that is built for the first arguments of each shape; the oldest shapes are dropped."""
    kept: OrderedDict[Any, Callable] = OrderedDict()
    lock = Lock()

    def call(*arguments: Any) -> Any:
        key = tuple((tuple(argument.shape), argument.dtype) for argument in arguments)
        with lock:  # a model can be traced by one thread only
            if key not in kept:
                kept[key] = build(arguments)
                while len(kept) > KEPT:
                    kept.popitem(last=False)
            kept.move_to_end(key)
            run = kept[key]
        return run(*arguments)

    return call
