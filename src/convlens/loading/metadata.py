"""What lies beside a model file: its metadata, its class names."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from convlens.data.labels import read_labels
from convlens.data.preprocessing import MODES
from convlens.errors import LabelsError, ModelError
from convlens.loading.loaded import Loaded

LIMIT = 1 << 20  # bytes; a longer file is no metadata


def sha256(path: Path) -> str:
    """The digest of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def metadata_beside(path: Path) -> dict[str, Any] | None:
    """What `STEM.json` beside a model says, unless it is an architecture or something else altogether.

    Raises:
        ModelError: it is metadata, but a value in it makes no sense.
    """
    beside = path.with_suffix(".json")
    if beside == path or not beside.is_file() or beside.stat().st_size > LIMIT:
        return None
    try:
        metadata = json.loads(beside.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError):
        return None
    if not isinstance(metadata, dict) or "class_name" in metadata or not {"preprocessing", "labels"} & set(metadata):
        return None
    preprocessing, labels = metadata.get("preprocessing"), metadata.get("labels")
    if preprocessing is not None and preprocessing not in list(MODES):
        raise ModelError.unknown(f"{beside}: unknown preprocessing {preprocessing!r}", preprocessing, MODES)
    if labels is not None and not (isinstance(labels, list) and all(isinstance(name, str) for name in labels)):
        raise ModelError(f'{beside}: "labels" must be a list of names, one a class; got {type(labels).__name__}')
    return metadata


def with_surroundings(loaded: Loaded, path: Path) -> Loaded:
    """The same, with what the files beside the model say where nothing better is known."""
    metadata = metadata_beside(path) or {}
    where = f"metadata file {path.with_suffix('.json').name}"
    changes: dict[str, Any] = {}
    if metadata.get("preprocessing") is not None and loaded.preprocessing is None:
        changes |= {"preprocessing": metadata["preprocessing"], "preprocessing_source": where}
    if metadata.get("labels") is not None:
        changes |= {"labels": tuple(metadata["labels"]), "labels_source": where, "labels_beside": True}
    elif loaded.labels is None and (path.parent / "labels.txt").is_file():
        changes |= _labels_beside(loaded, path.parent / "labels.txt")
    return replace(loaded, **changes)


def _labels_beside(loaded: Loaded, file: Path) -> dict[str, Any]:
    """Teachable Machine and others put the names into labels.txt beside the model; they count if they fit."""
    try:
        names = read_labels(file)
    except LabelsError:
        return {}
    shape = getattr(loaded.model, "output_shape", None)
    classes = shape[-1] if isinstance(shape, tuple) else None
    if classes is not None and classes not in (len(names), len(names) - 1):
        note = f"{file} has {len(names)} names for {classes} classes and was left aside"
        return {"notes": (*loaded.notes, note)}
    return {"labels": names, "labels_source": str(file), "labels_beside": True}
