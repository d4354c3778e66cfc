"""The page of a run: what it says, what it refuses, and that names and manifests from anywhere are harmless."""

import base64
import copy
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convlens import page
from convlens.data.images import Photo
from convlens.errors import OutputError
from convlens.output.folder import Folder
from convlens.page.view import blocks, digits, missing, picture
from convlens.render.sprites import contrast_cells, sheet
from convlens.results.activations import Activations, each_channel
from convlens.results.heatmaps import Heatmap, Prediction
from convlens.results.patterns import FilterPatterns
from tests.unit.made import measured

LAYER = "block/conv"
HOSTILE = "../../x<script>window.hacked=1</script>\"'><img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Activations of one image, (6, 8, 5); channel 3 is blank."""
    made = np.maximum(np.random.default_rng(0).normal(0.3, 1, (6, 8, 5)), 0).astype("float32")
    made[..., 3] = 0
    return made


@pytest.fixture(scope="module")
def folder(values: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as a survey writes it, made without any framework."""
    out = tmp_path_factory.mktemp("runs") / "run"
    pixels = np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype("uint8")
    photos = (Photo("cat", pixels),)
    guesses = ((Prediction(1, "dog", 0.75), Prediction(0, "cat", 0.25)),)
    origin = {"backend": {"keras": "3.0"}, "device": "CPU", "seed": 0}
    batch = values[None]
    found = Activations({LAYER: batch}, photos, {LAYER: (measured(values),)}, origin)
    heat = Heatmap(batch.sum(-1), LAYER, 1, ("dog",), ("ok",), guesses, "logit", "grad-cam", photos, (None,), origin)
    images = np.random.default_rng(2).integers(0, 256, (3, 16, 16, 3)).astype("uint8")
    numbers = np.array([0.1, 0.2, 0]), np.array([1.5, 2.5, 0]), np.array([0.1, 0.2, 1])
    patterns = FilterPatterns(images, (0, 1, 3), *numbers, ("ok", "ok", "unreached"), LAYER, origin)
    with Folder(out, "report") as run:
        run.origin(origin)
        path = run.web_picture("photos/cat.webp", Image.fromarray(pixels), exact=False)
        run.note("photos", [{"name": "cat", "size": [30, 40], "note": None, "picture": path}])
        layer = {"path": LAYER, "kind": "Conv2D", "role": "convolution", "output_shape": [None, 6, 8, 5]}
        run.note(
            "network",
            {"source": "models/pets.keras", "parameters": 1234567, "input": [12, 16, 3], "classes": 2}
            | {"layers": [layer | {"parameters": 140, "default": True}]},
        )
        for result in (found, heat, patterns):
            result.write(run, page=True)
        run.note("planned", {"photos": 1, "patterns": [LAYER]})
        run.note("seconds", {"activations": 1.0, "heatmaps": 2.5, f"patterns of {LAYER}": 3.0})
    return out


@pytest.fixture
def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


class Tags(HTMLParser):
    """All tags of a page with their attributes, and the words between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def channel_colour(values: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The seed's scaling of one channel, written from its description, as colours."""
    scaled = (values.astype("float64") - values.mean(dtype="float64")) / values.std(dtype="float64") * 64 + 128
    return colours[np.clip(scaled, 0, 255).astype(int)]


def test_a_sheet_holds_every_channel_at_its_place(folder: Path, manifest: dict[str, Any], values: np.ndarray) -> None:
    from matplotlib import colormaps

    viridis = (np.asarray(colormaps["viridis"].colors) * 255).round().astype(int)
    made = manifest["activations"]["layers"][LAYER]["images"][0]
    with Image.open(folder / made["channel"]) as shown:
        pixels = np.asarray(shown.convert("RGB")).astype(int)
    for channel in (0, 1, 2, 4):
        row, column = divmod(channel, made["columns"])
        tile = pixels[row * 6 : row * 6 + 6, column * 8 : column * 8 + 8]
        assert np.abs(tile - channel_colour(values[..., channel], viridis)).max() <= 2


def test_each_channel_is_measured(values: np.ndarray) -> None:
    spoilt = values.copy()
    spoilt[0, 0, 1] = np.nan
    found = each_channel(spoilt)
    for channel in (0, 2, 3, 4):
        positions = [float(spoilt[row, column, channel]) for row in range(6) for column in range(8)]
        assert found["mean"][channel] == pytest.approx(sum(positions) / 48, rel=1e-3)
        assert found["maximum"][channel] == pytest.approx(max(positions), rel=1e-3)
        assert found["active"][channel] == pytest.approx(len([x for x in positions if x > 0]) / 48, rel=1e-3)
    assert found["mean"][1] is None
    assert found["maximum"][1] is None


def test_a_large_sheet_is_reduced_to_what_a_browser_decodes_at_once() -> None:
    tiles = np.zeros((64, 300, 200, 3), "uint8")
    tiles[::2] = 200
    made, columns = sheet(tiles)
    assert made.width * made.height <= 4_100_000
    wide, high = made.width // columns, made.height // -(-64 // columns)
    assert (wide, high) == (166, 250) or wide / high == pytest.approx(2 / 3, abs=0.02)
    assert made.getpixel((wide // 2, high // 2)) == (200, 200, 200)
    assert made.getpixel((wide + wide // 2, high // 2)) == (0, 0, 0)


def test_a_contrast_is_coloured_around_its_zero() -> None:
    made, limit = contrast_cells(np.array([[-2.0, 0.0, 1.0]]))
    purple, none, orange = (made.getpixel((x, 0)) for x in range(3))
    assert limit == 2
    assert purple[2] > purple[1]
    assert max(none) - min(none) <= 3
    assert min(none) > 240
    assert orange[0] > orange[1] > orange[2]


def test_the_page_says_what_the_manifest_holds(manifest: dict[str, Any]) -> None:
    words = Tags(page.html(manifest)).words
    for expected in (
        "pets.keras",
        "1,234,567",
        "6.5 s",
        "CPU",
        "keras 3.0",
        "75.0 %",
        LAYER,
        "12 \N{MULTIPLICATION SIGN} 16",
    ):
        assert expected in words
    assert "could not" not in words


def test_the_page_is_well_made(manifest: dict[str, Any]) -> None:
    tags = Tags(page.html(manifest))
    assert all("alt" in image for image in tags.named("img"))
    ids = Counter(attributes["id"] for _, attributes in tags.tags if "id" in attributes)
    assert max(ids.values()) == 1
    for _, attributes in tags.tags:
        assert (attributes.get("aria-labelledby") or "title") in ids
    assert not [name for _, attributes in tags.tags for name in attributes if name.startswith("on")]


def test_the_page_points_to_nothing_outside_and_runs_its_own_script_alone(manifest: dict[str, Any]) -> None:
    text = page.html(manifest)
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", text)
    assert "http://" not in text
    assert "https://" not in text
    policy = Tags(text).named("meta")[-1]["content"] or ""
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_hostile_names_are_text(manifest: dict[str, Any]) -> None:
    text = json.dumps(manifest).replace(LAYER, "@").replace('"dog"', '"@"').replace("pets.keras", "@")
    hostile = json.loads(text.replace("@", json.dumps(HOSTILE)[1:-1]))
    hostile["photos"][0]["name"] = hostile["convlens"] = HOSTILE
    hostile["notes"] = [HOSTILE]
    hostile["failures"] = [{"what": HOSTILE, "why": HOSTILE}]
    plain, spoilt = Tags(page.html(manifest)), Tags(page.html(hostile))
    extra = Counter(tag for tag, _ in spoilt.tags) - Counter(tag for tag, _ in plain.tags)
    assert set(extra) <= {"div", "p", "b", "ul", "li"}  # the notices
    assert len(spoilt.named("script")) == len(plain.named("script"))
    assert HOSTILE in spoilt.words


@pytest.mark.parametrize(
    "place",
    [
        "../secret.webp",
        "/etc/passwd",
        "https://x/y.webp",
        "a/../../b.webp",
        "javascript:1",
        "a//b",
        ".hidden",
        "",
        None,
        3,
    ],
)
def test_a_picture_lies_in_the_folder_or_is_none(place: Any) -> None:
    assert picture(place) is None
    assert picture("activations/cat.1700/block1_conv1-channel.webp") is not None


def test_a_single_file_carries_every_picture(folder: Path, manifest: dict[str, Any], tmp_path: Path) -> None:
    made = page.build(folder, tmp_path / "one.html", single_file=True)
    text = made.read_text()
    held = json.loads(re.search(r'id="embedded">(.*?)</script>', text, re.DOTALL)[1])  # pyright: ignore
    pictures = {entry["path"] for entry in manifest["files"] if entry["path"].endswith(".webp")}
    assert pictures == set(held)
    for place in pictures:
        assert base64.b64decode(held[place]) == (folder / place).read_bytes()
    assert not [image for image in Tags(text).named("img") if "src" in image]


def test_a_page_is_built_again_in_its_folder(folder: Path) -> None:
    made = page.build(folder)
    assert made == folder / "index.html"
    first = made.read_text()
    assert page.build(folder).read_text() == first
    assert not list(folder.glob(".*"))


def test_what_cannot_be_built_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no run of convlens"):
        page.build(tmp_path)
    with pytest.raises(OutputError, match="where its pictures are"):
        page.build(folder, tmp_path / "page.html")
    (tmp_path / "taken.html").write_text("mine")
    with pytest.raises(OutputError, match="there already"):
        page.build(folder, tmp_path / "taken.html", single_file=True)
    with pytest.raises(OutputError, match="is a folder"):
        page.build(folder, tmp_path, single_file=True)
    assert (tmp_path / "taken.html").read_text() == "mine"
    (tmp_path / "manifest.json").write_text('{"convlens": "1", "command": "filters"}')
    with pytest.raises(OutputError, match="'filters', which has no page"):
        page.build(tmp_path)


def test_a_damaged_manifest_is_refused(manifest: dict[str, Any], tmp_path: Path) -> None:
    manifest["photos"] = [{"name": "cat"}]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(OutputError, match="is damaged"):
        page.build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_an_interrupted_run_says_what_is_missing(manifest: dict[str, Any]) -> None:
    cut = copy.deepcopy(manifest)
    cut["status"] = "interrupted"
    cut["planned"] = {"photos": 2, "patterns": [LAYER, "deep"]}
    del cut["heatmaps"], cut["seconds"]["heatmaps"]
    lines = missing(cut)
    assert lines == [
        "the run was interrupted before these were finished: heatmaps, patterns of deep",
        "activations were finished for 1 of 2 images",
    ]
    words = Tags(page.html(cut)).words
    assert "This run was interrupted." in words
    assert all(line in words for line in lines)


def test_a_failure_is_named_with_its_reason(manifest: dict[str, Any]) -> None:
    manifest["failures"] = [{"what": "heatmaps", "why": "out of memory"}]
    del manifest["heatmaps"]
    words = Tags(page.html(manifest)).words
    assert "Something could not be made." in words
    assert "heatmaps: out of memory" in words
    assert "No predictions were made." in words


@pytest.mark.parametrize(
    "key", ["photos", "network", "activations", "heatmaps", "patterns", "planned", "seconds", "provenance"]
)
def test_a_manifest_without_a_part_still_gives_a_page(manifest: dict[str, Any], key: str) -> None:
    manifest.pop(key)
    manifest["status"] = "interrupted"
    assert "This run was interrupted." in Tags(page.html(manifest)).words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (1234.5, "1,230"),
        (0.01234, "0.0123"),
        (-2.5, "-2.5"),
        (0.00001234, "1.23e-05"),
        (987654321.0, "9.88e+08"),
    ],
)
def test_numbers_are_written_as_people_do(value: float, words: str) -> None:
    assert digits(value) == words


def test_the_strip_shows_channels_as_height_and_maps_as_width() -> None:
    shapes = {"a": [100, 50, 16], "b": [25, 25, 64]}
    listed = [
        {"path": path, "kind": "Conv2D", "output_shape": [None, *shape], "parameters": 9}
        for path, shape in shapes.items()
    ]
    dense = {"path": "c", "kind": "Dense", "output_shape": [None, 1000], "parameters": 9}
    flat = {"path": "d", "kind": "Flatten", "output_shape": [None, 1000], "parameters": 0}
    layers = [{"path": path, "shape": shape} for path, shape in shapes.items()]
    a, b, c = blocks({"layers": [*listed, flat, dense]}, layers)
    assert a["height"] / b["height"] == pytest.approx((16 / 64) ** 0.5)
    assert a["width"] / b["width"] == pytest.approx((100 / 25) ** 0.5, rel=1e-3)
    assert (c["path"], c["looked"], c["height"]) == ("c", False, 1)


@pytest.mark.parametrize(
    ("unit", "shown", "words"),
    [("value", "58.3", "value of each unit"), ("logit", "58.3", "not known to be a probability")],
)
def test_what_is_no_probability_has_no_percents(unit: str, shown: str, words: str) -> None:
    one = {"index": 0, "name": None, "score": 58.3, "unit": unit}
    entry = {"status": "ok", "maximum": 1.0, "cells": "c.webp", "smooth": "s.webp", "contrast": None}
    heatmap = {
        "layer": "late", "shape": [1, 2, 2], "method": "grad-cam", "images": ["cat"], "targets": [0], "names": [None],
        "direction": "up" if unit == "value" else None, "predictions": [[one]], "pictures": [entry],
    }  # fmt: skip
    photo = {"name": "cat", "size": [10, 10], "note": None, "picture": "photos/cat.webp"}
    found = page.html({"photos": [photo], "heatmaps": [heatmap], "status": "complete"})
    bars = found[found.index('data-role="bars"') :]
    bars = bars[: bars.index("</ol>")]
    assert f">{shown}<" in bars
    assert "%</span>" not in bars
    assert "hidden" in bars
    assert words in found
