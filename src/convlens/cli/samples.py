"""Images as they are named on the command line."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convlens.errors import OptionError

if TYPE_CHECKING:
    from convlens.network.network import Network
    from convlens.network.samples import Samples


def samples(network: "Network", images: Sequence[str], text: str | None) -> "Samples":
    """The images of a command, for a network.

    Args:
        images: as they are named on the command line.
        text: of --value-range.
    """
    from convlens.network.samples import read_samples

    return read_samples(network, named_samples(network, images), value_range(text))


def named_samples(network: "Network", images: Sequence[str]) -> list[Any]:
    """What the network's functions take: for a network with several inputs, FILE,FILE or name=FILE,name=FILE each."""
    names = [spec.name for spec in network.inputs]
    return [_sample(text, names) for text in images] if len(names) > 1 else list(images)


def _sample(text: str, names: Sequence[str]) -> tuple[str, ...] | dict[str, str]:
    """The files of one sample, in the order of the inputs, or by their names where all of them are named."""
    files = _files(text, names)
    named = [_named(file, names) for file in files]
    if all(name for name, _ in named) and len({name for name, _ in named}) == len(named):
        return {name: file for name, file in named if name}
    return tuple(files)


def _named(text: str, names: Sequence[str]) -> tuple[str | None, str]:
    """The input's name and the file of name=FILE; None and the whole of it where it is a file itself."""
    name, equals, file = text.partition("=")
    return (name, file) if equals and name in names and not os.path.exists(text) else (None, text)


def _files(text: str, names: Sequence[str]) -> list[str]:
    """Parted at commas, except at those in the name of a file that exists."""
    parts, files = text.split(","), []
    while parts:
        joined = [",".join(parts[:count]) for count in range(len(parts), 0, -1)]
        longest = next((one for one in joined if os.path.exists(_named(one, names)[1])), parts[0])
        files.append(longest)
        parts = parts[longest.count(",") + 1 :]
    return files


def value_range(text: str | None) -> Any:
    """LOW,HIGH as two numbers; anything else as it is.

    Raises:
        OptionError: neither that nor "network".
    """
    if text is None or text == "network":
        return text
    try:
        low, high = (float(side) for side in text.split(","))
    except ValueError as error:
        raise OptionError(f'--value-range {text}: expected LOW,HIGH such as -1000,400, or "network"') from error
    return low, high
