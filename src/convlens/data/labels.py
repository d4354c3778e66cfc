"""Class names: where they come from, and a class by its name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from convlens.errors import LabelsError, TargetError, listing


@dataclass(frozen=True)
class Labels:
    """Names of the classes in the order of the output, and where they were found."""

    names: tuple[str, ...]
    source: str

    def name(self, index: int) -> str | None:
        return self.names[index] if 0 <= index < len(self.names) else None

    def index(self, name: str) -> int:
        """The class of this name: the whole name, one of its synonyms, or a part that only one class has.

        Raises:
            TargetError: no class, or several, go by it.
        """
        wanted = _plain(name)
        whole = [i for i, known in enumerate(self.names) if _plain(known) == wanted]
        synonym = [i for i, known in enumerate(self.names) if wanted in map(_plain, known.split(","))]
        part = [i for i, known in enumerate(self.names) if wanted in _plain(known)]
        for indices in (whole, synonym, part):
            if len(indices) == 1:
                return indices[0]
            if indices:
                candidates = [f"{i} ({self.names[i]})" for i in indices]
                raise TargetError(
                    f"class name {name!r} is ambiguous: {listing(candidates)}; give the index",
                    expected="the name of one class",
                    received=name,
                    available=candidates,
                    advice="give the index",
                )
        raise TargetError.unknown(f"no class is named {name!r}", name, self.names)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


@cache
def imagenet_names() -> tuple[str, ...]:
    """The 1000 class names of ImageNet (ILSVRC 2012), in the usual order."""
    text = resources.files("convlens.data").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def usual_names(classes: int | None) -> tuple[str, ...] | None:
    """The names of so many classes where nothing else tells them: ImageNet's of 1000; None for any other number."""
    return imagenet_names() if classes == len(imagenet_names()) else None


def read_labels(source: str | Path | Iterable[str]) -> tuple[str, ...]:
    """Class names from a sequence, or from a text file with one a line (a leading class number is dropped).

    Raises:
        LabelsError: the file cannot be read or is empty.
    """
    if not isinstance(source, str | Path):
        return tuple(str(name) for name in source)
    try:
        lines = Path(source).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsError(
            f"labels file {source} cannot be read ({error}); expected text with one name a line"
        ) from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise LabelsError(f"labels file {source} is empty; expected one class name a line")
    numbered = [name.split(maxsplit=1) for name in names]
    if all(len(parts) == 2 and parts[0] == str(i) for i, parts in enumerate(numbered)):
        names = [parts[1] for parts in numbered]
    return tuple(names)


def checked(names: Sequence[str], classes: int, source: str) -> Labels:
    """Labels that fit an output with so many classes.

    Raises:
        LabelsError: another number of names than classes.
    """
    if len(names) != classes:
        raise LabelsError(
            f"{source} has {len(names)} names, but the network has {classes} classes; give one name a class",
            expected=classes,
            received=len(names),
            advice="give one name a class",
        )
    return Labels(tuple(names), source)
