"""A manifest suffices to make its results again, and says the same whoever wrote it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convlens
from convlens.cli import main
from convlens.network.samples import Samples, read_samples
from convlens.output.manifest import MANIFEST
from convlens.output.memory import Memory
from convlens.techniques.activations import activations
from convlens.techniques.heatmaps.explain import heatmaps
from convlens.techniques.patterns.filters import filter_patterns
from convlens.techniques.request import ActivationsRequest, HeatmapRequest, PatternRequest, ReportRequest


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that does not tell its preprocessing, so that it is guessed."""
    from convlens.backend import keras_ready

    keras = keras_ready()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    entry = keras.Input((24, 20, 3))
    x = layers.Conv2D(5, 3, activation="relu", name="early")(entry)
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="late")(x)
    outputs = layers.Dense(3, activation="softmax", name="classes")(layers.GlobalAveragePooling2D()(x))
    path = tmp_path_factory.mktemp("silent") / "silent.keras"
    keras.Model(entry, outputs).save(path)
    return path


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """An image of 12 bits, whose range is for the user to tell."""
    values = np.random.default_rng(5).integers(0, 4096, (30, 26, 3)).astype("int32")
    np.save(tmp_path / "deep.npy", values)
    return tmp_path / "deep.npy"


def command(out: Path, *arguments: Any) -> dict[str, Any]:
    """The manifest of a command."""
    main([str(argument) for argument in (*arguments, "--out", out)])
    return json.loads((out / MANIFEST).read_text())


def again(manifest: dict[str, Any]) -> tuple[Any, Samples]:
    """The network and the samples of a manifest, from what it says alone."""
    network = convlens.load(**manifest["load"])
    images = manifest["provenance"].get("images") or []
    spread = images[0]["value_range"] if images else None
    samples = read_samples(network, [entry["path"] for entry in images], spread and tuple(spread)) if images else None
    for entry, origin in zip(images, samples.origins if samples else (), strict=True):
        assert entry["sha256"] == origin["sha256"]
    assert network.sha256 == manifest["provenance"]["sha256"]
    return network, samples  # pyright: ignore[reportReturnType]


def whole(manifest: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """An entry's provenance, by the rule that the manifest's documentation gives."""
    return {**manifest["provenance"], **entry["provenance"]}


def test_heatmaps_are_made_again_from_a_commands_manifest(silent: Path, deep: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog\nhorse\n")
    given = ["--value-range", "0,4095", "--labels", tmp_path / "names.txt", "-l", "early", "-t", "dog", "-t", "2"]
    manifest = command(tmp_path / "h", "heatmap", silent, deep, *given, "--score", "probability")
    network, samples = again(manifest)
    assert len(manifest["heatmaps"]) == 2
    for number, entry in enumerate(manifest["heatmaps"]):
        request = HeatmapRequest.from_json(entry["request"])
        heatmap = heatmaps(network, samples, request)[number]
        with np.load(tmp_path / f"h/heatmaps/deep/{heatmap.targets[0]}-values.npz") as stored:
            assert stored["values"].max() > 0
            np.testing.assert_allclose(heatmap.values[0], stored["values"], rtol=0, atol=1e-6)
    told = whole(manifest, manifest["heatmaps"][1])
    assert (told["method"], told["score"], told["precision"]) == ("grad-cam", "probability", "float32")
    assert told["preprocessing_guess"]["mode"] in told["preprocessing"]
    assert manifest["load"]["labels"] == str(tmp_path / "names.txt")


def test_activations_are_made_again_from_a_commands_manifest(silent: Path, photo: Path, tmp_path: Path) -> None:
    manifest = command(tmp_path / "a", "activations", silent, photo, "-l", "l*", "-l", "early", "--preprocess", "tf")
    network, samples = again(manifest)
    result = activations(network, samples, ActivationsRequest.from_json(manifest["activations"]["request"]))
    with np.load(tmp_path / "a/activations/noise/values.npz") as stored:
        assert sorted(stored) == ["early", "late"]
        for layer in stored:
            np.testing.assert_allclose(result[layer][0], stored[layer], rtol=0, atol=1e-6)
    assert manifest["provenance"]["preprocessing"].startswith("tf")
    assert manifest["load"]["preprocess"] == "tf"


def test_patterns_are_made_again_from_a_commands_manifest(silent: Path, tmp_path: Path) -> None:
    given = ["-l", "early", "-l", "late", "-f", "1,3:5", "--size", 20, "--steps", 3, "--step-size", 2.5, "--seed", 7]
    manifest = command(tmp_path / "f", "filters", silent, *given, "--precision", "bfloat16")
    network, _ = again(manifest)
    for entry in manifest["patterns"]:
        patterns = filter_patterns(network, PatternRequest.from_json(entry["request"]))
        for index in (1, 3, 4):
            with Image.open(tmp_path / f"f/filters/{entry['layer']}/{index}.png") as picture:
                assert np.array_equal(np.asarray(picture), np.asarray(patterns.image(index)))
        told = whole(manifest, entry)
        assert (told["steps"], told["step_size"], told["seed"], told["method"]) == (3, 2.5, 7, "ascent")
        assert (told["size"], told["precision"]) == ([20, 20], "bfloat16")
        assert told["preprocessing_guess"]["mode"] in told["preprocessing"]
        assert told["request"] == entry["request"]


def test_a_report_is_made_again_from_a_commands_manifest(silent: Path, photo: Path, tmp_path: Path) -> None:
    manifest = command(tmp_path / "r", "report", silent, photo, "--seed", 4)
    provenance = manifest["provenance"]
    assert (provenance["technique"], provenance["seed"]) == ("report", 4)
    assert provenance["preprocessing_guess"]["mode"] in provenance["preprocessing"]
    network, samples = again(manifest)
    assert ReportRequest.from_json(provenance["request"]) == ReportRequest(seed=4)
    measured = manifest["activations"]["layers"]["late"]["images"][0]
    values = activations(network, samples, ActivationsRequest.from_json(manifest["activations"]["request"]))["late"]
    assert measured["maximum"] == pytest.approx(values.max(), abs=1e-6)
    for entry in manifest["heatmaps"]:
        maps = heatmaps(network, samples, HeatmapRequest.from_json(entry["request"]))
        (heatmap,) = [each for each in maps if each.targets == tuple(entry["targets"])]
        assert entry["pictures"][0]["maximum"] == pytest.approx(heatmap.values.max(), abs=1e-6)
    written = Memory("report")
    with written:
        for entry in manifest["patterns"]:
            filter_patterns(network, PatternRequest.from_json(entry["request"])).write(written, page=True)
            assert whole(manifest, entry)["seed"] == 4
    for place in (entry["sheet"] for entry in manifest["patterns"]):
        assert written.files[place] == (tmp_path / "r" / place).read_bytes()


def test_save_and_the_command_write_the_same(
    silent: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = convlens.load(str(silent))
    options = ["--size", 16, "--steps", 2]
    ways = {
        "heatmap": (["heatmap", silent, photo], convlens.heatmap(network, str(photo))),
        "activations": (["activations", silent, photo], convlens.activations(network, str(photo))),
        "filters": (
            ["filters", silent, "-l", "late", *options],
            convlens.filter_patterns(network, "late", size=16, steps=2),
        ),
    }
    for name, (arguments, result) in ways.items():
        by_command = command(tmp_path / f"{name}-command", *arguments)
        result.save(tmp_path / f"{name}-save")
        saved = json.loads((tmp_path / f"{name}-save" / MANIFEST).read_text())
        assert {**saved, "created": None} == {**by_command, "created": None}
        for entry in saved["files"]:
            both = [(tmp_path / f"{name}-{way}" / entry["path"]).read_bytes() for way in ("command", "save")]
            assert both[0] == both[1]


def test_memory_holds_what_a_folder_does(silent: Path, photo: Path, tmp_path: Path) -> None:
    network = convlens.load(str(silent))
    for result in (convlens.heatmap(network, photo), convlens.activations(network, photo)):
        folder = tmp_path / type(result).__name__
        result.save(folder)
        command = json.loads((folder / MANIFEST).read_text())["command"]
        with Memory(command) as memory:
            result.write(memory)
        paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        assert set(memory.files) == set(paths)
        manifest = json.loads(memory.files.pop(MANIFEST))
        assert {**manifest, "created": 0} == {**json.loads(paths[MANIFEST].read_text()), "created": 0}
        for place, content in memory.files.items():
            assert content == paths[place].read_bytes()


def test_what_json_cannot_say_is_named_and_is_not_loaded_as_something_else(silent: Path, photo: Path) -> None:
    def halved(images: np.ndarray) -> np.ndarray:
        return images / 2

    network = convlens.load(str(silent), preprocess=halved, input_shape=(24, 20, 3), head={0: "embedding"})
    with Memory("heatmap") as memory:
        convlens.heatmap(network, photo, 0).write(memory)
    manifest = json.loads(memory.files[MANIFEST])
    (note,) = manifest["provenance"]["load_notes"]
    assert "preprocess was <function" in note
    assert "halved>" in note
    with pytest.raises(convlens.ConvlensError, match="unknown preprocessing"):
        convlens.load(**manifest["load"])
    loaded = convlens.load(**{**manifest["load"], "preprocess": halved})
    assert loaded.image_shape == (24, 20, 3)
    assert loaded.head().kind == network.head().kind
    np.testing.assert_array_equal(convlens.heatmap(loaded, photo, 0).values, convlens.heatmap(network, photo, 0).values)


def test_samples_of_several_inputs_say_where_each_comes_from(photo: Path, tmp_path: Path) -> None:
    from convlens.backend import keras_ready

    keras = keras_ready()
    picture, number = keras.Input((24, 20, 3), name="picture"), keras.Input((2,), name="number")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3, name="conv")(picture))
    outputs = keras.layers.Dense(2)(keras.layers.Concatenate()([x, number]))
    network = convlens.load(keras.Model([picture, number], outputs), preprocess="rescale")
    np.save(tmp_path / "pair.npy", np.array([0.5, 1.5]))
    origins = read_samples(network, [(str(photo), tmp_path / "pair.npy"), (str(photo), np.zeros(2))]).origins
    pair = hashlib.sha256(np.array([0.5, 1.5], "float32").tobytes()).hexdigest()
    with Image.open(photo) as opened:
        pixels = hashlib.sha256(np.asarray(opened.convert("RGB")).tobytes()).hexdigest()
    assert origins[0]["inputs"] == {
        "picture": {"path": str(photo), "sha256": pixels},
        "number": {"path": str(tmp_path / "pair.npy"), "sha256": pair},
    }
    assert (origins[0]["sha256"], origins[1]["inputs"]["number"]["path"]) == (pixels, None)
    (tmp_path / "two").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "two" / name).write_bytes(photo.read_bytes())
    with pytest.raises(convlens.ConvlensError, match="received 2 for picture, 1 for number"):
        read_samples(network, [(str(tmp_path / "two"), np.zeros(2))])
