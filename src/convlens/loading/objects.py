"""What a PyTorch module in memory says of itself: timm, Hugging Face and others leave it on the object."""

from collections.abc import Mapping
from typing import Any

from convlens.data.labels import usual_names
from convlens.loading.transforms import normalization, sides_of


def described(module: Any) -> dict[str, Any]:
    """What an unwrapped module carries, as fields of `Loaded`."""
    name = type(module).__name__
    config = timm_configuration(module)
    if config:
        return timm_description(module, f"timm's configuration of {config.get('architecture') or name}")
    config = getattr(module, "config", None)
    if hasattr(config, "id2label") or hasattr(config, "image_size"):
        return _hugging_face(config, f"the configuration of {name}")
    parameters = getattr(module, "_global_params", None)  # EfficientNet and its descendants
    for owner, attribute in ((parameters, "image_size"), (module, "image_size"), (module, "img_size")):
        if size := _sides(getattr(owner, attribute, None)):
            return {"input_size": size}
    return {}


def timm_configuration(module: Any) -> Mapping[str, Any] | None:
    for name in ("pretrained_cfg", "default_cfg"):
        config = getattr(module, name, None)
        if isinstance(config, Mapping) and "input_size" in config:
            return config
    return None


def timm_description(module: Any, where: str) -> dict[str, Any]:
    """The size, preprocessing and class names that a timm module was configured with."""
    config = timm_configuration(module) or {}
    fields: dict[str, Any] = {}
    if config.get("input_size"):
        fields["input_size"] = sides_of(config["input_size"][1:])
    if config.get("mean") is not None and config.get("std") is not None:
        fields |= {"preprocessing": normalization(config["mean"], config["std"]), "preprocessing_source": where}
    classes = getattr(module, "num_classes", config.get("num_classes"))
    names = config.get("label_names") or usual_names(config.get("num_classes")) or ()
    if len(names) == classes:
        fields |= {"labels": tuple(names), "labels_source": where}
    return fields


def _hugging_face(config: Any, where: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if size := _sides(getattr(config, "image_size", None)):
        fields["input_size"] = size
    names = getattr(config, "id2label", None)
    if isinstance(names, Mapping) and names:
        listed = [str(names.get(number, names.get(str(number), ""))) for number in range(len(names))]
        if all(listed) and listed != [f"LABEL_{number}" for number in range(len(names))]:  # its stand-ins for names
            fields |= {"labels": tuple(listed), "labels_source": where}
    return fields


def _sides(size: Any) -> tuple[int, int] | None:
    """A size where it is one: attributes of this name may hold anything."""
    sides = size if isinstance(size, tuple | list) else (size,)
    whole = all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)
    return sides_of(sides) if whole and len(sides) in (1, 2) else None
