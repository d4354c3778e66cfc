"""A run in memory: for a server, a notebook, or a test."""

import io

from convlens.output.encoding import Encode
from convlens.output.manifest import MANIFEST
from convlens.output.sink import Writer


class Memory(Writer):
    """Keeps what a run writes.

    Attributes:
        files: the bytes of each file by its place; with the manifest, once the run is over.
    """

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.files: dict[str, bytes] = {}

    def begin(self) -> None:
        self.files.clear()

    def put(self, place: str, encode: Encode) -> None:
        file = io.BytesIO()
        encode(file)
        self.files[place] = file.getvalue()

    def finish(self) -> None:
        self.files[MANIFEST] = self.manifest.to_bytes()

    def discard(self) -> None:
        self.files.clear()
