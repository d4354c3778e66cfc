"""What the user names as a model, told apart once: a file, a network of a library, a function, or the model itself."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convlens import bundled
from convlens.loading.memory import is_torch_module
from convlens.loading.sniff import ModelFile, sniffed

FILE, NAME, FUNCTION, OBJECT = "file", "name", "function", "object"
LIBRARIES = {"keras": "keras", "torchvision": "torch", "timm": "torch"}  # and the framework of their networks
FUNCTIONS = re.compile(r"[\w./\\~ -]+:[A-Za-z_][\w.]*")  # module:function; "C:\\model.h5" is none


@dataclass(frozen=True)
class Source:
    """Where a model is to come from.

    Attributes:
        value: a path, "keras:NAME", "module:function" ... as text, or a model in memory.
        kind: "file", "name" (of a library's network), "function" or "object".
        framework: "keras" or "torch"; None where only running the function tells.
        file: what a file was found to be.
    """

    value: Any
    kind: str
    framework: str | None
    file: ModelFile | None = None

    def __str__(self) -> str:
        return str(self.value)


def find_source(value: Any) -> Source:
    """What a path, a name or an object stands for, found without importing a framework.

    Args:
        value: as for `open_model`, or what this function returned before.

    Raises:
        ModelError: it is a file, but not of a model, or there is no such file.
    """
    if isinstance(value, Source):
        return value
    if not isinstance(value, str | os.PathLike):
        return Source(value, OBJECT, "torch" if is_torch_module(value) else "keras")
    text = os.fsdecode(value)
    library, colon, _ = text.partition(":")
    if colon and library in LIBRARIES:
        return Source(text, NAME, LIBRARIES[library])
    path = bundled.MODEL if text == "bundled" else Path(text)
    if not os.path.exists(path) and FUNCTIONS.fullmatch(text):  # unlike the path's own method, it takes any name
        return Source(text, FUNCTION, None)
    file = sniffed(path)
    return Source(text, FILE, file.framework, file)
