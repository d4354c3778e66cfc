"""In which precision networks are computed."""

from convlens import backend
from convlens.errors import OptionError
from convlens.network.network import Network

PRECISIONS = ("auto", "float32", "bfloat16")


def precision_of(network: Network, wanted: str) -> str:
    """ "float32" or "bfloat16": what is asked for, or by "auto" bfloat16 where the machine gains by it and all layers
    are known to work in it.

    Raises:
        OptionError: no such precision.
    """
    if wanted not in PRECISIONS:
        raise OptionError.unknown(f"unknown precision {wanted!r}", wanted, PRECISIONS)
    if wanted != "auto":
        return wanted
    return "bfloat16" if backend.current().gains_by_bfloat16() and network.takes_bfloat16 else "float32"
