"""Architectures in YAML, as Keras 1 and 2 wrote them: plain data, nothing that runs."""

from pathlib import Path
from typing import Any

from convlens.errors import ModelError

MAX_VALUES = 10**6


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        ModelError: it is damaged, holds more than plain data, or PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise ModelError(f"{path} is YAML, which needs PyYAML: pip install pyyaml") from error

    class Loader(yaml.SafeLoader):
        """The safe loader, which also reads tuples, as lists."""

    def as_list(loader: Any, node: Any) -> list:
        return loader.construct_sequence(node, deep=True)

    def as_text(loader: Any, node: Any) -> str:
        return loader.construct_scalar(node)

    Loader.add_constructor("tag:yaml.org,2002:python/tuple", as_list)
    Loader.add_constructor("tag:yaml.org,2002:python/unicode", as_text)
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())[:120]
        raise ModelError(f"{path} is YAML that convlens does not read ({problem})") from error
    _counted(content, [0], path)
    return content


def _counted(value: Any, count: list[int], path: Path, depth: int = 0) -> None:
    """Aliases let a short file stand for a huge structure; it is counted before anything walks it."""
    count[0] += 1
    if count[0] > MAX_VALUES or depth > 100:
        raise ModelError(f"{path} stands for more than {MAX_VALUES:,} values; it is no architecture")
    if isinstance(value, dict):
        for part in value.values():
            _counted(part, count, path, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _counted(part, count, path, depth + 1)
