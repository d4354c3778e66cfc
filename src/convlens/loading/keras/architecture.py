"""What a Keras file says of its network's architecture, as data."""

import json
from dataclasses import dataclass, replace
from typing import Any

import h5py

from convlens.errors import ModelError
from convlens.loading import sniff
from convlens.loading.hdf5.safe import attribute, json_attribute, open_hdf5, text
from convlens.loading.keras.hdf5_weights import root_of
from convlens.loading.keras.yaml import read_yaml
from convlens.loading.keras.zip import json_member, writer_version
from convlens.loading.sniff import ModelFile


@dataclass(frozen=True)
class Architecture:
    """What a model is built from: a class, its configuration, its writer's major version of Keras, its loss."""

    class_name: str
    config: Any
    major: int
    build_config: Any = None
    loss: Any = None


def architecture_of(value: Any, version: str | None, name: str) -> Architecture:
    """The architecture in a parsed JSON or YAML.

    Raises:
        ModelError: it is none.
    """
    if isinstance(value, str):  # a JSON text within a JSON text, as some wrote `json.dump(model.to_json())`
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{name} is text, but no architecture of a Keras model") from error
    if not isinstance(value, dict) or "class_name" not in value or "config" not in value:
        raise ModelError(f"{name} is no architecture of a Keras model: it has no class_name and config")
    version = str(value.get("keras_version") or version or "")
    if "module" in value and not version:
        version = "3"
    major = int(version[0]) if version[:1].isdigit() else 2
    compiled = value.get("compile_config")
    loss = compiled.get("loss") if isinstance(compiled, dict) else None
    return Architecture(str(value["class_name"]), value["config"], major, value.get("build_config"), loss)


def read_architecture(file: ModelFile) -> Architecture:
    """The architecture in a file: .json, .yaml, or a whole model.

    Raises:
        ModelError: the file has none.
    """
    path, name = file.path, str(file.path)
    if file.kind == sniff.JSON:
        return architecture_of(json.loads(path.read_text(encoding="utf-8-sig")), None, name)
    if file.kind == sniff.YAML:
        return architecture_of(read_yaml(path), None, name)
    if file.kind == sniff.KERAS_ZIP:
        config = json_member(path, "config.json")
        if config is None:
            raise ModelError(f"{path} is a damaged Keras file (no config.json); get the file again")
        return architecture_of(config, writer_version(path) or "3", name)
    if file.kind == sniff.HDF5:
        with open_hdf5(path, name) as opened:
            architecture = _in_hdf5(opened, name)
            if architecture is not None:
                return architecture
    raise ModelError(f"{path} ({file.kind}) has no architecture of a Keras model in it")


def _in_hdf5(file: h5py.File, name: str) -> Architecture | None:
    config = json_attribute(file, "model_config", name)
    if config is None:
        return None
    version = attribute(file, "keras_version", name)
    if version is None:
        version = attribute(root_of(file), "keras_version", name)
    architecture = architecture_of(config, text(version) if version is not None else "1", name)
    try:
        training = json_attribute(file, "training_config", name)
    except ModelError:  # of what is not needed
        training = None
    return replace(architecture, loss=training.get("loss")) if isinstance(training, dict) else architecture


def has_architecture(file: ModelFile) -> bool:
    """Whether a Keras file describes its network, or holds weights alone."""
    if file.kind != sniff.HDF5:
        return True
    with open_hdf5(file.path, str(file.path)) as opened:
        return attribute(opened, "model_config", str(file.path)) is not None
