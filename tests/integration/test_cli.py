"""The command line as a person uses it: what it writes, and what it says of bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convlens
from convlens.cli import main
from convlens.jobs import patterns


def run(capsys: pytest.CaptureFixture, *arguments: Any) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    capsys.readouterr()
    try:
        main([str(argument) for argument in arguments])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def refused(capsys: pytest.CaptureFixture, *arguments: Any) -> str:
    """The one line that a command says of bad input."""
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("convlens: ")
    assert err.count("\n") == 1
    return err


def test_layers_lists_what_can_be_looked_at(capsys: pytest.CaptureFixture, model: Path) -> None:
    code, out, _ = run(capsys, "layers", model, "--json")
    found = json.loads(out)
    assert code == 0
    assert [layer["path"] for layer in found["layers"]] == ["rescale", "early", "pool", "late", "mean", "classes"]
    assert [layer["path"] for layer in found["layers"] if layer["default"]] == ["late"]
    late = found["layers"][3]
    assert late["kind"] == "Conv2D"
    assert late["output_shape"] == [None, 9, 7, 18]
    assert late["parameters"] == 3 * 3 * 5 * 18 + 18
    assert found["preprocessing"].startswith("none")
    assert "rescale" in found["preprocessing"]
    code, out, _ = run(capsys, "layers", model)
    assert code == 0
    assert "828" in out


def test_activations_writes_a_picture_a_layer_and_the_raw_values(
    capsys: pytest.CaptureFixture, model: Path, photo: Path, tmp_path: Path
) -> None:
    code, out, err = run(capsys, "activations", model, photo, "--out", tmp_path / "a", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    direct = convlens.activations(str(model), photo)
    assert list(found["layers"]) == list(direct) == ["early", "pool", "late"]
    kept = np.load(tmp_path / "a/activations/noise/values.npz")
    np.testing.assert_array_equal(kept["late"], direct["late"][0])
    assert found["layers"]["late"]["images"][0]["active"] == pytest.approx((direct["late"] > 0).mean())
    manifest = json.loads((tmp_path / "a/manifest.json").read_text())
    assert manifest["status"] == "complete"
    for entry in manifest["files"]:
        assert (tmp_path / "a" / entry["path"]).is_file()
    assert all(Path(path).is_file() for path in found["files"])


def test_filters_gives_the_same_files_for_the_same_seed(
    capsys: pytest.CaptureFixture, model: Path, tmp_path: Path
) -> None:
    options = ["filters", model, "--layer", "late", "--filters", "0:2,17", "--size", "16", "--step-size", "30"]
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert run(capsys, *options, "--seed", seed, "--out", tmp_path / name)[0] == 0
    shown = {name: (tmp_path / name / "filters/late/17.png").read_bytes() for name in "abc"}
    assert shown["a"] == shown["b"] != shown["c"]
    listed = json.loads((tmp_path / "a/manifest.json").read_text())["patterns"][0]["filters"]
    assert [one["filter"] for one in listed] == [0, 1, 17]
    assert listed[2]["status"] == "ok"


def test_heatmap_explains_named_classes(
    capsys: pytest.CaptureFixture, model: Path, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\nhorse\n")
    options = ["--labels", tmp_path / "labels.txt", "--out", tmp_path / "h", "--json"]
    code, out, err = run(capsys, "heatmap", model, photo, "--target", "dog", "--target", "2", *options)
    assert (code, err) == (0, "")
    maps = json.loads(out)["heatmaps"]
    assert [one["targets"] for one in maps] == [[1], [2]]
    assert [one["names"] for one in maps] == [["dog"], ["horse"]]
    assert maps[0]["layer"] == "late"
    assert sum(one["score"] for one in maps[0]["predictions"][0]) == pytest.approx(1, abs=1e-5)
    with Image.open(tmp_path / "h/heatmaps/noise/1-overlay.png") as shown:
        assert shown.size == (40, 30)


def test_report_makes_a_page_of_everything(
    capsys: pytest.CaptureFixture, model: Path, photo: Path, tmp_path: Path
) -> None:
    code, out, _ = run(capsys, "report", model, photo, "--out", tmp_path / "r", "--json")
    assert code == 0
    page = Path(json.loads(out)["page"])
    assert page == tmp_path / "r/index.html"
    assert "late" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["layers", "{tmp}/none.keras"], "none.keras"),
        (["layers", "{text}"], "text.keras"),
        (["layers", "keras:VGG"], "VGG16"),
        (["activations", "{model}", "{tmp}/none.png"], "no such image"),
        (["activations", "{model}", "{text}"], "not an image"),
        (["activations", "{model}", "{cut}"], "cut.jpg"),
        (["activations", "{model}", "{empty}"], "0 bytes"),
        (["activations", "{model}", "{photo}", "-l", "laet"], "did you mean late or"),
        (["activations", "{model}", "{photo}", "--colormap", "virids"], "viridis"),
        (["activations", "{model}", "{photo}", "--preprocess", "cafe"], "caffe"),
        (["activations", "{model}", "{photo}", "--labels", "{two}"], "2 names, but the network has 3 classes"),
        (["activations", "{model}", "{channels}"], "in 5 channels, the network takes 3"),
        (["heatmap", "{model}", "{photo}", "-l", "classes"], "such as late, pool, early"),
        (["heatmap", "{model}", "{photo}", "-t", "3"], "class 3 is out of range"),
        (["heatmap", "{model}", "{photo}", "-t", "-1"], "class -1 is out of range"),
        (["heatmap", "{model}", "{photo}", "-t", "dog"], "have no names"),
        (["heatmap", "{model}", "{photo}", "-t", "a", "--labels", "{alike}"], "ambiguous: 0 (a cat), 1 (a dog)"),
        (["heatmap", "{model}", "{photo}", "--top", "9"], "top 9 is out of range"),
        (["heatmap", "{model}", "{photo}", "--score", "odds"], "unknown score"),
        (["heatmap", "{model}", "{photo}", "--method", "magic"], "unknown method"),
        (["heatmap", "{model}", "{photo}", "--strength", "2"], "--strength"),
        (
            ["filters", "{model}", "-l", "late", "-f", "18"],
            "filter 18 is out of range: layer late has 18 filters, 0 to 17",
        ),
        (["filters", "{model}", "-l", "late", "-f", "0:19"], "out of range"),
        (["filters", "{model}", "-l", "late", "-f", "x"], "expected indices and ranges"),
        (["filters", "{model}", "-l", "late", "--size", "3"], "cannot be computed on images of 3x3"),
        (["filters", "{model}"], "--layer"),
        (["filters", "{model}", "-l", "late", "--out", "{full}"], "is not empty"),
        (["filters", "{model}", "-l", "late", "--out", "{full}", "--overwrite"], "other things"),
        (["filters", "{model}", "-l", "late", "--out", "{text}"], "is a file"),
        (["nonsense"], "nonsense"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    capsys: pytest.CaptureFixture, model: Path, photo: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    files = {
        name: tmp_path / name for name in ("text.keras", "cut.jpg", "empty.png", "two.txt", "alike.txt", "five.npy")
    }
    files["text.keras"].write_text("no model at all")
    Image.effect_noise((200, 200), 90).convert("RGB").save(files["cut.jpg"])
    files["cut.jpg"].write_bytes(files["cut.jpg"].read_bytes()[:2000])
    files["empty.png"].touch()
    files["two.txt"].write_text("cat\ndog\n")
    files["alike.txt"].write_text("a cat\na dog\nhorse\n")
    np.save(files["five.npy"], np.zeros((8, 9, 5)))
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("precious")
    named = {"tmp": tmp_path, "model": model, "photo": photo, "text": files["text.keras"], "cut": files["cut.jpg"]}
    named |= {"empty": files["empty.png"], "two": files["two.txt"], "alike": files["alike.txt"], "full": full}
    named |= {"channels": files["five.npy"]}
    before = sorted(tmp_path.rglob("*"))
    filled = [argument.format(**named) for argument in arguments]
    if arguments[0] not in ("layers", "nonsense") and "--out" not in arguments:
        filled += ["--out", str(tmp_path / "out")]
    assert words in refused(capsys, *filled)
    assert sorted(tmp_path.rglob("*")) == before
    assert (full / "mine.txt").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(
    capsys: pytest.CaptureFixture, model: Path, photo: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o500)
    assert "cannot write" in refused(capsys, "activations", model, photo, "--out", tmp_path / "out")


def test_a_very_large_photo_is_reduced_not_refused(capsys: pytest.CaptureFixture, model: Path, tmp_path: Path) -> None:
    Image.new("L", (10_000, 10_000), 99).save(tmp_path / "large.png")
    code, _, _ = run(capsys, "heatmap", model, tmp_path / "large.png", "--out", tmp_path / "h")
    assert code == 0
    (overlay,) = (tmp_path / "h/heatmaps/large").glob("*-overlay.png")
    with Image.open(overlay) as shown:
        assert shown.size == (3334, 3334)  # a third: the largest whole fraction under 16 megapixels


def test_an_interrupted_run_keeps_what_was_finished(
    capsys: pytest.CaptureFixture, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = patterns.filter_patterns
    calls: list[Any] = []

    def third_time_interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments[1])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(*arguments, **options)

    monkeypatch.setattr(patterns, "filter_patterns", third_time_interrupted)
    monkeypatch.setattr(patterns, "UNIT", 5)
    options = ["--size", "16", "--steps", "2", "--out", tmp_path / "f"]
    code, _, err = run(capsys, "filters", model, "-l", "early", "-l", "late", *options)
    assert code == 130
    assert "interrupted" in err
    manifest = json.loads((tmp_path / "f/manifest.json").read_text())
    assert manifest["status"] == "interrupted"
    finished = {one["layer"]: [each["filter"] for each in one["filters"]] for one in manifest["patterns"]}
    assert finished == {"early": [0, 1, 2, 3, 4], "late": [0, 1, 2, 3, 4]}
    assert (tmp_path / "f/filters/late/4.png").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_patterns_made_in_parts_are_those_made_at_once(
    capsys: pytest.CaptureFixture, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "UNIT", 7)
    options = ["--size", "16", "--steps", "2", "--out", tmp_path / "f"]
    assert run(capsys, "filters", model, "-l", "late", *options)[0] == 0
    whole = convlens.filter_patterns(str(model), "late", size=16, steps=2)
    with Image.open(tmp_path / "f/filters/late-grid.png") as shown:
        difference = np.asarray(shown).astype(int) - np.asarray(whole.grid()).astype(int)
    assert np.abs(difference).max() <= 1


def test_an_error_leaves_nothing_and_no_model_changed(model: Path, photo: Path, tmp_path: Path) -> None:
    with pytest.raises(convlens.ConvlensError):
        convlens.report(str(model), [photo, tmp_path / "none.png"], tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_help_needs_no_framework_and_names_every_command() -> None:
    shown = subprocess.run([sys.executable, "-m", "convlens", "--help"], capture_output=True, text=True, check=True)
    for command in ("demo", "layers", "activations", "filters", "heatmap", "report"):
        assert command in shown.stdout
