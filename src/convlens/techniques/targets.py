"""Which class the user means, and what it is called."""

from convlens.errors import TargetError
from convlens.network.base import Network


def class_index(network: Network, target: int | str) -> int:
    """The class that the user means by an index or a name.

    Raises:
        TargetError: the name is unknown or ambiguous, or the network's classes have no names.
    """
    if not isinstance(target, str):
        return int(target)
    text = target.strip()
    if text.lstrip("-").isdigit():
        return int(text)
    if network.labels is None:
        raise TargetError(f"class {target!r}: the classes of {network.source} have no names; give an index or labels")
    return network.labels.index(text)


def class_name(network: Network, index: int) -> str | None:
    return network.labels.name(index) if network.labels else None
