"""Stands for torch in type checks where it is not installed: packages of ours go by the same name."""

from typing import Any

def __getattr__(name: str) -> Any: ...
