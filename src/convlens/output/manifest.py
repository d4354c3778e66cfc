"""What a run says of itself: how its network was loaded, what was asked, what came of it, and which files there are."""

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

MANIFEST = "manifest.json"
RUNNING, COMPLETE, INTERRUPTED = "running", "complete", "interrupted"

Entry = Mapping[str, Any]
Join = Callable[[Entry, Entry], Entry]


def plain(value: Any) -> Any:
    """A value as JSON knows it: arrays as lists, paths as text, and null for what is not a number."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


class Manifest:
    """Collects what a run says of itself.

    The provenance of the run is that of its first result, or what `origin` was told; an entry's own "provenance" holds
    what differs from it, null for what the entry does not have. How the network was loaded stands once, as "load".

    Attributes:
        status: "running", "complete" or "interrupted".
        files: an entry a file, with its "path" in the run.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self.created = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self.status = RUNNING
        self.files: list[dict[str, Any]] = []
        self._origin: dict[str, Any] | None = None
        self._lists: dict[str, list[tuple[Entry, Entry]]] = {}
        self._joined: dict[str, tuple[Entry, Entry]] = {}
        self._notes: list[str] | None = None
        self._values: dict[str, Any] = {}
        self._failures: list[dict[str, str]] = []

    def origin(self, provenance: Entry) -> None:
        self._origin = dict(provenance)

    def result(self, section: str, entry: Entry, provenance: Entry, join: Join | None = None) -> None:
        if self._origin is None:
            self.origin(provenance)
        if join is None:
            self._lists.setdefault(section, []).append((entry, provenance))
            return
        if section in self._joined:
            before, its_provenance = self._joined[section]
            images = [*its_provenance.get("images", ()), *provenance.get("images", ())]
            entry, provenance = join(before, entry), {**provenance, **({"images": images} if images else {})}
        self._joined[section] = (entry, provenance)

    def notes(self, lines: Iterable[str]) -> None:
        self._notes = list(dict.fromkeys([*(self._notes or ()), *lines]))

    def note(self, key: str, value: Any) -> None:
        self._values[key] = value

    def failure(self, what: str, why: str) -> None:
        self._failures.append({"what": what, "why": why})

    def drop(self, place: str) -> None:
        """Takes a file that could not be written off the list."""
        self.files = [entry for entry in self.files if entry["path"] != place]

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON knows it."""
        origin = plain(self._origin or {})
        load = {"load": origin.pop("load")} if "load" in origin else {}
        head = {"command": self.command, **load, "provenance": origin, "convlens": version("convlens")}
        head |= {"created": self.created, "status": self.status, "failures": self._failures}
        notes = {} if self._notes is None else {"notes": self._notes}
        results: dict[str, Any] = {name: _told(*result, origin) for name, result in self._joined.items()}
        results |= {name: [_told(*result, origin) for result in listed] for name, listed in self._lists.items()}
        return {**head, **plain({**notes, **self._values}), **results, "files": plain(self.files)}

    def to_bytes(self) -> bytes:
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False).encode("utf-8")


def _told(entry: Entry, provenance: Entry, origin: Entry) -> dict[str, Any]:
    """An entry with what of its provenance differs from that of the run."""
    own: dict[str, Any] = {name: value for name, value in plain(provenance).items() if name != "load"}
    changed = {name: value for name, value in own.items() if name not in origin or origin[name] != value}
    missing = {name: None for name in origin if name not in own and origin[name] is not None}
    return {**plain(entry), "provenance": {**changed, **missing}}
