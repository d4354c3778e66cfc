"""What results measure, draw and save. The oracles are small numbers worked out by hand, and the files read back."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convlens.data.images import Photo
from convlens.errors import FilterError, LayerError, OutputError
from convlens.output.manifest import MANIFEST, plain
from convlens.output.memory import Memory
from convlens.results.activations import Activations, LazyArrays
from convlens.results.heatmaps import Heatmap, Prediction
from convlens.results.patterns import FilterPatterns
from tests.unit.made import measured


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def photo(name: str, height: int = 30, width: int = 40) -> Photo:
    return Photo(name, rng().integers(0, 256, (height, width, 3), dtype="uint8"))


def made_activations() -> Activations:
    generator = rng()
    arrays = {
        "block1/conv": generator.normal(size=(2, 6, 6, 5)).astype("float32"),
        "pool": generator.random((2, 1, 1, 4)).astype("float32"),
        "dense": generator.random((2, 7)).astype("float32"),
        "tokens": generator.random((2, 3, 8)).astype("float32"),
    }
    arrays["block1/conv"][..., 2] = 0
    statistics = {path: tuple(measured(values) for values in batch) for path, batch in arrays.items()}
    return Activations(arrays, (photo("cat"), photo("dog")), statistics, {"seed": 3})


def test_activations_are_a_mapping() -> None:
    found = made_activations()
    assert list(found) == ["block1/conv", "pool", "dense", "tokens"]
    assert found["pool"].shape == (2, 1, 1, 4)
    assert [values.shape[0] for values in found.values()] == [2, 2, 2, 2]
    assert "conv" not in found


def test_a_layer_that_is_not_there_is_told_with_the_nearest_names() -> None:
    found = made_activations()
    for ask in (lambda: found["block1/con"], lambda: found.picture("block1/con"), lambda: found.plot("block1/con")):
        with pytest.raises(LayerError) as caught:
            ask()
        assert str(caught.value) == "no activations of layer 'block1/con': did you mean block1/conv?"
        assert isinstance(caught.value, KeyError)  # so that a mapping's own ways hold
    assert found.get("nope") is None
    assert "nope" not in found
    assert dict(found).keys() == found.keys()


def test_results_say_in_a_line_what_they_are() -> None:
    assert repr(made_activations()) == "Activations(2 images, 4 layers: block1/conv, pool, dense, tokens)"
    many = Activations({f"l{number}": np.zeros((1, 2)) for number in range(9)}, (photo("cat"),), {}, {})
    assert repr(many) == "Activations(1 image, 9 layers: l0, l1, l2, l3, l4, l5 and 3 more)"
    assert repr(made_patterns(3, 16)) == "FilterPatterns(block3/conv1: filters 10-12, 16x16, 2 ok)"
    shown = repr(made_heatmap())
    assert shown == "Heatmap(grad-cam of class 3, 5 at conv, 2 of 4x5: 1 ok, 1 no positive evidence)"


def test_a_repr_fetches_nothing_from_the_device() -> None:
    def fetch() -> np.ndarray:
        raise AssertionError("fetched")

    assert "late" in repr(Activations(LazyArrays({"late": fetch}), (photo("cat"),), {}, {}))


def test_batches_written_to_the_same_sink_become_one_entry() -> None:
    whole = made_activations()
    with Memory("report") as apart, Memory("report") as together:
        together.origin({"seed": 3})
        apart.origin({"seed": 3})
        for place in range(2):
            arrays = {layer: values[place : place + 1] for layer, values in whole.items()}
            statistics = {layer: each[place : place + 1] for layer, each in whole.statistics.items()}
            provenance = {"seed": 3, "images": [{"name": whole.photos[place].name}]}
            Activations(arrays, whole.photos[place : place + 1], statistics, provenance).write(apart, page=True)
        provenance = {"seed": 3, "images": [{"name": "cat"}, {"name": "dog"}]}
        Activations(whole.arrays, whole.photos, whole.statistics, provenance).write(together, page=True)
    manifests = [json.loads(memory.files.pop(MANIFEST)) for memory in (apart, together)]
    assert manifests[0]["activations"] == manifests[1]["activations"]
    assert manifests[0]["activations"]["provenance"]["images"] == [{"name": "cat"}, {"name": "dog"}]
    assert apart.files == together.files


def test_activations_are_saved_as_they_are(tmp_path: Path) -> None:
    found = made_activations()
    files = found.save(tmp_path / "out")
    assert all(path.is_file() for path in files)
    assert len([path for path in files if path.suffix == ".png"]) == 2 * len(found)
    for index, name in enumerate(("cat", "dog")):
        with np.load(tmp_path / "out" / "activations" / name / "values.npz") as stored:
            assert len(stored.files) == len(found)
            for layer, values in found.items():
                np.testing.assert_array_equal(stored[layer.replace("/", "__")], values[index])
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert (manifest["status"], manifest["provenance"]) == ("complete", {"seed": 3})
    assert manifest["activations"]["layers"]["block1/conv"]["images"][1]["blank"] == [2]
    pictures = [entry for entry in manifest["files"] if entry.get("view") == "activations"]
    assert {(entry["layer"], entry["photo"]) for entry in pictures} == {(a, b) for a in found for b in ("cat", "dog")}
    with pytest.raises(OutputError):
        found.save(tmp_path / "out")
    assert found.save(tmp_path / "out", overwrite=True)


def test_channels_of_one_position_that_are_not_zero_are_not_drawn_as_blank() -> None:
    found = made_activations()
    assert found.statistics["pool"][0].blank == ()
    colours = np.unique(np.asarray(found.picture("pool")).reshape(-1, 3), axis=0)
    assert len({tuple(colour) for colour in colours.tolist()}) > 20
    assert np.asarray(found.picture("pool")).shape == np.asarray(found.picture("pool", 1)).shape


def made_patterns(count: int = 64, side: int = 64) -> FilterPatterns:
    images = rng().integers(0, 256, (count, side, side, 3), dtype="uint8")
    filters = tuple(range(10, 10 + count))
    status = ("ok",) * (count - 1) + ("unreached",)
    start, end = np.linspace(0, 1, count, dtype="float32"), np.linspace(2, 9, count, dtype="float32")
    end[-1] = np.nan
    of_start = np.full(count, 0.25, "float32")
    return FilterPatterns(images, filters, start, end, of_start, status, "block3/conv1", {"seed": 3})


def test_patterns_are_the_ones_asked_for() -> None:
    found = made_patterns()
    grid = np.asarray(found.grid())
    assert grid.shape == (547, 547, 3)
    np.testing.assert_array_equal(grid[69 : 69 + 64, :64], found.images[8])
    np.testing.assert_array_equal(np.asarray(found.image(18)), found.images[8])
    assert not np.array_equal(np.asarray(found.image(73)), found.images[63])
    assert not np.array_equal(grid[-64:, -64:], found.images[63])
    for missing in (9, 74, 0):
        with pytest.raises(FilterError, match="10-73"):
            found.image(missing)


def test_patterns_from_the_ascents_images_are_scaled_each_by_itself() -> None:
    latents = rng().normal(128, 20, (2, 8, 8, 3)).astype("float32")
    latents[1] = latents[1] * 5 - 300
    found = FilterPatterns.from_latents(latents, [4, 7], np.zeros(2), np.ones(2), np.zeros(2), ["ok", "ok"], "conv", {})
    for latent, image in zip(latents.astype("float64"), found.images, strict=True):
        x = np.clip((latent - latent.mean()) / (latent.std() + 1e-5) * 0.1 + 0.5, 0, 1) * 255
        assert np.abs(image.astype(int) - x.astype("uint8")).max() <= 1
    assert found.filters == (4, 7)


def test_patterns_are_saved_one_by_one(tmp_path: Path) -> None:
    found = made_patterns(count=3, side=16)
    found.save(tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    singles = {entry["filter"]: entry for entry in manifest["files"] if "filter" in entry}
    assert sorted(singles) == [10, 11, 12]
    assert (singles[10]["status"], singles[10]["end"]) == ("ok", 2.0)
    assert (singles[12]["status"], singles[12]["end"]) == ("unreached", None)
    with Image.open(tmp_path / "out" / singles[11]["path"]) as image:
        np.testing.assert_array_equal(np.asarray(image), found.images[1])
    grids = [entry for entry in manifest["files"] if entry.get("kind") == "grid"]
    with Image.open(tmp_path / "out" / grids[0]["path"]) as image:
        assert image.size == (3 * 16 + 2 * 5, 16)


def made_heatmap(target: int | tuple[int, ...] = (3, 5)) -> Heatmap:
    values = rng().random((2, 4, 5)).astype("float32")
    values[1] = 0
    likeliest = (Prediction(3, "cat", 0.75), Prediction(5, None, 0.2))
    return Heatmap(
        values, "conv", target, ("cat", None), ("ok", "no positive evidence"), (likeliest, likeliest), "logit",
        "grad-cam", (photo("a", 30, 40), photo("b", 50, 20)), ({"runner_up": 5, "difference": 0.55}, None), {"seed": 3},
    )  # fmt: skip


def test_overlays_lie_on_the_originals() -> None:
    found = made_heatmap()
    assert found.overlay(0).size == (40, 30)
    assert found.overlay(1).size == (20, 50)
    np.testing.assert_array_equal(np.asarray(found.overlay(0, strength=0.0)), found.photos[0].pixels)
    assert (np.asarray(found.overlay(1))[0] == found.photos[1].pixels[0]).all()


def test_each_image_has_its_own_class() -> None:
    assert made_heatmap().targets == (3, 5)
    assert made_heatmap(3).targets == (3, 3)
    assert made_heatmap().title(0) == "cat (class 3), probability 0.750"
    assert made_heatmap().title(1) == "class 5, probability 0.200"
    assert made_heatmap((9, 9)).title(1) == "class 9"


def test_heatmaps_are_saved_raw(tmp_path: Path) -> None:
    found = made_heatmap()
    found.save(tmp_path / "out", strength=0.3, colormap="jet")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    entries = manifest["files"]
    overlays = {entry["photo"]: entry for entry in entries if entry.get("kind") == "overlay"}
    assert {name: entry["target"] for name, entry in overlays.items()} == {"a": 3, "b": 5}
    with Image.open(tmp_path / "out" / overlays["a"]["path"]) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(found.overlay(0, 0.3, "jet")))
    arrays = [entry["path"] for entry in entries if entry.get("kind") == "arrays"]
    for path, values in zip(arrays, found.values, strict=True):
        with np.load(tmp_path / "out" / path) as stored:
            np.testing.assert_array_equal(stored["values"], values)
    listed = manifest["heatmaps"][0]
    assert (listed["status"], listed["targets"]) == (["ok", "no positive evidence"], [3, 5])
    assert listed["range"][1] == [0, 0]
    assert listed["predictions"][0][0] == {"index": 3, "name": "cat", "score": 0.75, "unit": "probability"}


def test_every_json_is_free_of_what_json_has_not() -> None:
    heatmap = made_heatmap()
    heatmap.values[1] = np.nan
    for result in (made_activations(), made_patterns(), heatmap):
        json.dumps(plain(result.to_json()), allow_nan=False)
