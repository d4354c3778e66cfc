"""From a manifest to what the page shows: facts in words, the strip, and the data that its script works on."""

import re
from pathlib import PurePath
from typing import Any

from convlens.data.predictions import LOGIT, PROBABILITY, VALUE, noun

TIMES = "\N{MULTIPLICATION SIGN}"
PLAIN_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
STATUS = {
    "no positive evidence": "Nothing at this layer speaks for this class: everything found there counts against it."
    " There is no map to show; the photo is left as it is.",
    "no positive values": "The map has no value above 0, so there is nothing to show; the photo is left as it is.",
    "zero gradient": "The score of this class does not change with this layer at all (its gradient is exactly 0),"
    " so there is no map to show.",
    "saturated": "The network puts out a probability that is 0 or 1 as far as its numbers reach, so that its logit and"
    " what raises it cannot be told from it.",
    "constant": "The map has the same value everywhere: at this layer no place counts more than another.",
}
UNITS = {
    PROBABILITY: "probability of each class",
    LOGIT: "raw score of each class (logit): it is not known to be a probability",
    VALUE: "value of each unit, as the network puts it out",
}
NON_FINITE = "Values that are no finite numbers appear at {}: check the weights and the preprocessing."


def view(manifest: dict[str, Any]) -> dict[str, Any]:
    """Everything that the template and the script need.

    Args:
        manifest: of a run of `convlens report`; parts of it may be missing.
    """
    network = manifest.get("network") or {}
    photos = [_photo(photo) for photo in manifest.get("photos") or []]
    layers = _layers(manifest, network)
    heat = [_heat(entry) for entry in _by_layer(manifest)] if photos else []
    for index, photo in enumerate(photos):
        photo["predictions"] = _predictions(manifest, index)
    patterns = {one["layer"]: _patterns(one) for one in manifest.get("patterns") or []}
    data = {"photos": photos, "layers": layers, "patterns": patterns, "heat": heat}
    return {
        "title": title(network),
        "source": network.get("source"),
        "facts": facts(manifest, network),
        "missing": missing(manifest),
        "status": manifest.get("status"),
        "notes": manifest.get("notes") or [],
        "blocks": blocks(network, layers),
        "depth": depth(network, layers),
        "size": network.get("input"),
        "photos": photos,
        "unit": UNITS.get(photos[0]["predictions"][0]["unit"]) if photos and photos[0]["predictions"] else None,
        "embedding": (network.get("head") or {}).get("kind") == "embedding",
        "without_classes": bool(heat) and any(one["direction"] for one in heat[0]["images"][0]),
        "layers": layers,
        "patterns": patterns,
        "heat": heat,
        "pattern_size": next((one["size"] for one in patterns.values()), None),
        "version": manifest.get("convlens"),
        "created": manifest.get("created"),
        "data": data,
    }


def title(network: dict[str, Any]) -> str:
    source = str(network.get("source") or "this network")
    return "the bundled network" if source == "bundled" else PurePath(source).name or source


def picture(place: Any) -> str | None:
    """A picture's place in the folder, if it is one: a manifest may come from anywhere."""
    return place if isinstance(place, str) and PLAIN_PATH.fullmatch(place) else None


def _photo(photo: dict[str, Any]) -> dict[str, Any]:
    height, width = photo["size"]
    return {
        "name": photo["name"],
        "picture": picture(photo["picture"]),
        "height": height,
        "width": width,
        "note": photo.get("note"),
    }


def _layers(manifest: dict[str, Any], network: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers whose activations were recorded, with an entry an image."""
    known = {layer["path"]: layer for layer in network.get("layers") or []}
    made = (manifest.get("activations") or {}).get("layers") or {}
    return [
        {
            "path": path,
            "kind": known.get(path, {}).get("kind", "layer"),
            "parameters": known.get(path, {}).get("parameters", 0),
            "shape": layer["shape"],
            "images": [
                {**image, "channel": picture(image["channel"]), "layer": picture(image["layer"])}
                for image in needed(layer["images"], "blank")
            ],
        }
        for path, layer in made.items()
    ]


def _patterns(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "sheet": picture(one["sheet"]),
        "columns": one["columns"],
        "size": one["size"],
        "filters": needed(one["filters"], "meaning"),
    }


def needed(entries: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Entries of a manifest that the script reads this key of; a KeyError where another version wrote them."""
    for entry in entries:
        entry[key]
    return entries


def _by_layer(manifest: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The heatmaps of one layer together, in the order in which they were made: the coarsest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for heatmap in manifest.get("heatmaps") or []:
        found.setdefault(heatmap["layer"], []).append(heatmap)
    return list(found.values())


def _heat(heatmaps: list[dict[str, Any]]) -> dict[str, Any]:
    first = heatmaps[0]
    images = [[_target(one, index) for one in heatmaps] for index in range(len(first["images"]))]
    return {"layer": first["layer"], "shape": first["shape"][1:], "method": first["method"], "images": images}


def _target(heatmap: dict[str, Any], index: int) -> dict[str, Any]:
    target, made = heatmap["targets"][index], heatmap["pictures"][index]
    found = {one["index"]: one for one in heatmap["predictions"][index]}
    contrast = made.get("contrast")
    shown = found.get(target) or {"index": target, "name": heatmap["names"][index], "unit": _unit(heatmap, index)}
    return {
        **_prediction(shown),
        "direction": heatmap.get("direction"),
        "status": made["status"],
        "words": status_words(made["status"]),
        "maximum": made["maximum"],
        "cells": picture(made.get("cells")),
        "smooth": picture(made.get("smooth")),
        "contrast": contrast and _contrast(contrast),
    }


def _contrast(contrast: dict[str, Any]) -> dict[str, Any]:
    unit, difference = contrast.get("unit", PROBABILITY), contrast["difference"]
    by = f"{100 * difference:.1f} percentage points" if unit == PROBABILITY else digits(difference)
    return {
        **contrast,
        "cells": picture(contrast["cells"]),
        "words": f"The {'probabilities' if unit == PROBABILITY else 'logits'} differ by {by}.",
    }


def _unit(heatmap: dict[str, Any], index: int) -> str:
    return next((one.get("unit", PROBABILITY) for one in heatmap["predictions"][index]), VALUE)


def _prediction(one: dict[str, Any]) -> dict[str, Any]:
    """A class or value for a list: what it is called, its number as text, and a share for its bar if it is one."""
    unit, score = one.get("unit", PROBABILITY), one.get("score")
    chance = unit == PROBABILITY and score is not None
    text = "" if score is None else f"{100 * score:.1f} %" if chance else digits(score)
    title = one["name"] or f"{noun(unit)} {one['index']}"
    return {"index": one["index"], "name": title, "shown": text, "share": score if chance else None, "unit": unit}


def status_words(status: str) -> str | None:
    """A status as a sentence; None where the map says something."""
    if status.startswith("non-finite at "):
        return NON_FINITE.format(status.removeprefix("non-finite at "))
    return None if status == "ok" else STATUS.get(status, status)


def _predictions(manifest: dict[str, Any], index: int) -> list[dict[str, Any]]:
    heatmaps = manifest.get("heatmaps") or []
    return [_prediction(one) for one in heatmaps[0]["predictions"][index]] if heatmaps else []


def facts(manifest: dict[str, Any], network: dict[str, Any]) -> list[tuple[str, str]]:
    """What is known of the network and the run, as pairs of a word and a value."""
    source = manifest.get("provenance") or {}
    versions = ", ".join(f"{name} {version}" for name, version in (source.get("backend") or {}).items())
    size = network.get("input")
    seconds = manifest.get("seconds") or {}
    found = {
        "Network": network.get("source"),
        "SHA-256": network.get("sha256") or "none: it came from memory or by name",
        "Parameters": f"{network['parameters']:,}" if "parameters" in network else None,
        "Input": shape_words(size) + f" (height {TIMES} width {TIMES} channels)" if size else None,
        "Classes": f"{network['classes']:,}" if "classes" in network else None,
        "Class names": network.get("labels") or "unknown; classes are shown by number",
        "Preprocessing": network.get("preprocessing") or "unknown",
        "Output": (network.get("head") or {}).get("words"),
        "Heatmaps explain": network.get("score"),
        "Backend": versions or None,
        "Device": source.get("device"),
        "Time taken": f"{sum(seconds.values()):.1f} s" if seconds else None,
        "Seed": str(source["seed"]) if "seed" in source else None,
    }
    return [(name, value) for name, value in found.items() if value]


def shape_words(shape: list[int | None]) -> str:
    return f" {TIMES} ".join("any" if side is None else f"{side:,}" for side in shape)


def digits(value: float) -> str:
    """A number to three digits, without an exponent where people would write none."""
    size = abs(value)
    if value == 0 or 1e-3 <= size < 1e5:
        return f"{float(f'{value:.3g}'):,.15g}"
    return f"{value:.2e}"


def missing(manifest: dict[str, Any]) -> list[str]:
    """What the page would show but cannot, and why, a line each."""
    lines = [f"{one['what']}: {one['why']}" for one in manifest.get("failures") or []]
    if manifest.get("status") == "complete":
        return lines
    failed = {one["what"] for one in manifest.get("failures") or []}
    planned = manifest.get("planned") or {}
    wanted = ["activations", "heatmaps", *(f"patterns of {layer}" for layer in planned.get("patterns") or [])]
    finished = set(manifest.get("seconds") or {})
    unfinished = [name for name in wanted if name not in failed | finished]
    if unfinished:
        lines.append(f"the run was interrupted before these were finished: {', '.join(unfinished)}")
    images = [len(layer["images"]) for layer in ((manifest.get("activations") or {}).get("layers") or {}).values()]
    total = planned.get("photos") or 0
    if images and min(images) < total:
        lines.append(f"activations were finished for {min(images)} of {total} images")
    return lines


def blocks(network: dict[str, Any], layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The strip from input to output: the layers looked at, and the dense ones after them.

    Heights grow with the square root of the number of channels, widths with that of the side of a map, so that
    both ends can be seen; shares are 0-1.
    """
    shown = {layer["path"]: layer for layer in layers}
    found = []
    for layer in network.get("layers") or []:
        path, shape = layer["path"], layer["output_shape"]
        if path in shown:
            found.append({"path": path, "kind": layer["kind"], "shape": shown[path]["shape"], "looked": True})
        elif len(shape) == 2 and layer["parameters"] and None not in shape[1:]:
            found.append({"path": path, "kind": layer["kind"], "shape": shape[1:], "looked": False})
    tallest = max((block["shape"][-1] for block in found if block["looked"]), default=1)
    for block in found:
        sides = block["shape"][:-1]
        block["height"] = round(min(max((block["shape"][-1] / tallest) ** 0.5, 0.06), 1), 4)
        block["width"] = round(max(sides) ** 0.5, 3) if sides else 1.2
        block["words"] = shape_words(block["shape"])
    return found


def depth(network: dict[str, Any], layers: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The first and the last convolution: pooling keeps the greatest of its values, so it is fuller than both."""
    roles = {layer["path"]: layer["role"] for layer in network.get("layers") or []}
    measured = [layer for layer in layers if roles.get(layer["path"]) == "convolution"]
    return {"first": measured[0], "last": measured[-1]} if len(measured) > 1 else None
