# pyright: strict
"""One caller at a time for each model: looking into a model changes it for the time of a call."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

_locks: WeakKeyDictionary[Any, Lock] = WeakKeyDictionary()  # by model: two networks may be of the same one
_choosing = Lock()
_held: ContextVar[frozenset[int]] = ContextVar("held", default=frozenset())


@contextmanager
def exclusive(model: Any) -> Generator[None]:
    """A context that one caller at a time is in; another thread waits for it.

    It may be entered again from within, also by worker threads that run in a copy of the holder's `contextvars`.
    """
    held = _held.get()
    if id(model) in held:
        yield
        return
    with _choosing:
        lock = _locks.setdefault(model, Lock())
    with lock:
        token = _held.set(held | {id(model)})
        try:
            yield
        finally:
            _held.reset(token)
