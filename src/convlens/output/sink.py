"""What a result needs in order to write itself, wherever it goes."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np
from PIL import Image

from convlens.output import encoding
from convlens.output.encoding import Encode
from convlens.output.manifest import COMPLETE, INTERRUPTED, Entry, Join, Manifest
from convlens.output.names import safe_place

Self = TypeVar("Self", bound="Writer")


class Sink(Protocol):
    """Takes pictures, arrays and texts, each under a name of parts joined by "/", and what the manifest says.

    What takes a file gives its place: the name with every part made safe. Keywords are what the manifest says of it.
    """

    def picture(self, name: str, image: Image.Image, **entry: object) -> str:
        """A PNG."""
        ...

    def web_picture(self, name: str, image: Image.Image, exact: bool, **entry: object) -> str:
        """A WebP for a page: every pixel as it is, or a few times smaller and nearly so."""
        ...

    def arrays(self, name: str, arrays: Mapping[str, np.ndarray], **entry: object) -> str:
        """An .npz of arrays by name."""
        ...

    def text(self, name: str, text: str, **entry: object) -> str:
        """A text in UTF-8."""
        ...

    def origin(self, provenance: Mapping[str, Any]) -> None:
        """Where the whole run comes from; that of its first result by default."""
        ...

    def result(self, section: str, entry: Entry, provenance: Mapping[str, Any], join: Join | None = None) -> None:
        """What a result says of itself, and where it comes from: one of those listed in a section of the manifest.

        Args:
            join: of a section that is one entry and no list: makes one of the entry that is there and a further one.
        """
        ...

    def notes(self, lines: Iterable[str]) -> None:
        """What the user should know; a line that was there before is not repeated."""
        ...

    def note(self, key: str, value: object) -> None:
        """A value for the manifest."""
        ...

    def failure(self, what: str, why: str) -> None:
        """Something that could not be made, for the manifest."""
        ...


class Writer(ABC):
    """A `Sink` but for where the bytes go, which `begin`, `put`, `finish` and `discard` of a subclass say.

    It is used as a context manager. An interrupted run keeps what was finished, and its manifest says so; after any
    other error nothing is left.

    Attributes:
        manifest: what the run says of itself; whole once `settle` was called.
    """

    def __init__(self, command: str) -> None:
        """
        Args:
            command: what the run is called in its manifest.
        """
        self.manifest = Manifest(command)

    @abstractmethod
    def begin(self) -> None:
        """Makes ready for files.

        Raises:
            OutputError: nothing can be written there.
        """

    @abstractmethod
    def put(self, place: str, encode: Encode) -> None:
        """Has `encode` write the bytes of a file, which counts once it is whole."""

    @abstractmethod
    def finish(self) -> None:
        """Keeps all that was put, and the manifest, which is last."""

    @abstractmethod
    def discard(self) -> None:
        """Leaves nothing."""

    def settle(self) -> None:  # noqa: B027 (most writers have nothing to wait for)
        """Waits until what was put is written, where that happens aside; raises the first error of it."""

    def __enter__(self: Self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        late: BaseException | None = None
        try:
            self.settle()
        except BaseException as failure:
            late = failure
        why = type(late) if late and kind is None else kind
        if why is None or issubclass(why, KeyboardInterrupt):
            self.manifest.status = COMPLETE if why is None else INTERRUPTED
            self.finish()
        else:
            self.discard()
        if late and kind is None:
            raise late

    def picture(self, name: str, image: Image.Image, **entry: object) -> str:
        return self._file(name, encoding.png(image), entry)

    def web_picture(self, name: str, image: Image.Image, exact: bool, **entry: object) -> str:
        return self._file(name, encoding.webp(image, exact), {"kind": "page", **entry})

    def arrays(self, name: str, arrays: Mapping[str, np.ndarray], **entry: object) -> str:
        return self._file(name, encoding.npz(arrays), {"kind": "arrays", **entry})

    def text(self, name: str, text: str, **entry: object) -> str:
        return self._file(name, encoding.utf8(text), entry)

    def _file(self, name: str, encode: Encode, entry: dict[str, object]) -> str:
        place = safe_place(name)
        self.put(place, encode)
        self.manifest.files.append({"path": place, **entry})
        return place

    def origin(self, provenance: Mapping[str, Any]) -> None:
        self.manifest.origin(provenance)

    def result(self, section: str, entry: Entry, provenance: Mapping[str, Any], join: Join | None = None) -> None:
        self.manifest.result(section, entry, provenance, join)

    def notes(self, lines: Iterable[str]) -> None:
        self.manifest.notes(lines)

    def note(self, key: str, value: object) -> None:
        self.manifest.note(key, value)

    def failure(self, what: str, why: str) -> None:
        self.manifest.failure(what, why)
