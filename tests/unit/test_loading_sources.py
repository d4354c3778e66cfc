"""What the user names as a model is told apart once, and handed on as what it was found to be."""

import json
import sys
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest

import convlens
from convlens import bundled
from convlens.errors import ModelError
from convlens.loading import find_source, open_model, sniff


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """One network in the forms that Keras writes: whole, an architecture, and weights of either layout."""
    folder = tmp_path_factory.mktemp("sources")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    model.save(folder / "whole.keras")
    (folder / "beside.json").write_text(model.to_json())
    model.save_weights(folder / "beside.weights.h5")
    return folder


@pytest.fixture
def sniffs(monkeypatch) -> Counter:
    """How often each file is looked at to find out what it is."""
    counts: Counter = Counter()
    kind = sniff._kind

    def counted(path: Path) -> str:
        counts[path.name] += 1
        return kind(path)

    monkeypatch.setattr(sniff, "_kind", counted)
    return counts


@pytest.mark.parametrize(
    ("source", "options", "looked_at"),
    [
        ("whole.keras", {}, {"whole.keras"}),
        ("whole.keras", {"weights": "beside.weights.h5"}, {"whole.keras", "beside.weights.h5"}),
        ("beside.json", {"weights": "whole.keras"}, {"beside.json", "whole.keras"}),
        ("beside.json", {"weights": "random"}, {"beside.json"}),
        ("beside.weights.h5", {"architecture": "beside.json"}, {"beside.weights.h5", "beside.json"}),
        ("beside.json", {}, {"beside.json", "beside.weights.h5", "whole.keras"}),  # all that may hold its weights
    ],
)
def test_every_file_is_sniffed_once(files, sniffs, source, options, looked_at):
    paths = {key: value if value == "random" else str(files / value) for key, value in options.items()}
    network = convlens.load(str(files / source), **paths)
    assert sniffs == dict.fromkeys(looked_at, 1)
    assert network.source == str(files / source)


def test_a_command_sniffs_its_model_once(files, sniffs, capsys):
    from convlens.cli import main

    main(["layers", str(files / "whole.keras")])
    assert "conv2d" in capsys.readouterr().out
    assert sniffs == {"whole.keras": 1}


@pytest.mark.parametrize(
    ("value", "kind", "framework"),
    [
        ("bundled", "file", "keras"),
        (bundled.MODEL, "file", "keras"),
        ("keras:VGG16", "name", "keras"),
        ("torchvision:resnet18", "name", "torch"),
        ("timm:resnet18", "name", "torch"),
        ("nets:build", "function", None),
        ("some/folder/nets.py:Builder.small", "function", None),
        (3, "object", "keras"),
    ],
)
def test_what_a_source_is(value, kind, framework):
    source = find_source(value)
    assert (source.kind, source.framework) == (kind, framework)
    assert find_source(source) is source
    assert (source.file is not None) == (kind == "file")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("keras", "no such file"),  # a name alone, without the network's
        ("C:\\models\\cat.h5", "no such file"),
        ("x" * 5000, "x: File name too long"),
        ("with\0nothing", "null"),
    ],
    ids=lambda text: text[:20].replace("\0", "0"),
)
def test_names_that_no_file_can_have(name, words):
    """In one line of the family, also before any framework is imported."""
    for look in (find_source, open_model):
        with pytest.raises(ModelError, match=words) as raised:
            look(name)
        assert "\n" not in str(raised.value)


def test_a_whole_file_with_random_weights_is_untrained(files):
    """`weights="random"` asks the same of every architecture, wherever it stands."""
    trained, random = open_model(files / "whole.keras"), open_model(files / "whole.keras", weights="random")
    assert random.notes == ("the network is untrained: weights=random",)
    assert not np.allclose(trained.model.get_weights()[0], random.model.get_weights()[0])


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ("missing.json", "missing.json: no such file"),
        ("torchvision:resnet18", "holds weights of a Keras model; the architecture is a PyTorch module"),
        (42, "expected a path, a name, a keras.Model or a torch.nn.Module, got int"),
    ],
)
def test_an_architecture_that_is_none(files, architecture, words):
    with pytest.raises(ModelError, match=words):
        open_model(files / "beside.weights.h5", architecture=architecture)


def test_a_file_is_no_architecture_of_torch_weights(files, tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"a.weight": torch.zeros(2)}, tmp_path / "w.pt")
    for architecture, words in ((files / "beside.json", "is a file; give"), ("keras:VGG16", "gives a keras model")):
        with pytest.raises(ModelError, match=words):
            open_model(tmp_path / "w.pt", architecture=architecture)


def test_a_failing_function_is_named_with_the_kind_of_its_error(tmp_path, monkeypatch):
    (tmp_path / "failing.py").write_text("def build():\n    return {}['conv']\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"^failing:build failed: KeyError: 'conv'$"):
        open_model("failing:build")
    sys.modules.pop("failing")


def test_a_preprocessing_beside_that_is_no_name(files, tmp_path):
    (tmp_path / "m.keras").write_bytes((files / "whole.keras").read_bytes())
    (tmp_path / "m.json").write_text(json.dumps({"preprocessing": ["rescale"]}))
    with pytest.raises(ModelError, match=r"m\.json: unknown preprocessing \['rescale'\]: ") as raised:
        open_model(tmp_path / "m.keras")
    assert raised.value.received == ["rescale"]
    assert raised.value.available == ("none", "rescale", "tf", "caffe", "torch")
