"""Networks by name: preprocessing, class names, and what is said when something is missing."""

import sys
from types import ModuleType, SimpleNamespace

import keras
import numpy as np
import pytest

from convlens.errors import ModelError
from convlens.loading import find_source, open_model, zoo
from convlens.loading.transforms import named, normalization

# what the documentation of keras.applications says each family takes
MODES = {
    "vgg16": "caffe",
    "resnet": "caffe",
    "resnet_v2": "tf",
    "inception_v3": "tf",
    "xception": "tf",
    "mobilenet": "tf",
    "mobilenet_v2": "tf",
    "mobilenet_v3": "none",
    "densenet": "torch",
    "nasnet": "tf",
    "efficientnet": "none",
    "efficientnet_v2": "none",
    "convnext": "none",
}


@pytest.mark.parametrize("family", MODES)
def test_preprocessing_is_discovered_by_what_it_does(family):
    assert named(getattr(keras.applications, family).preprocess_input) == MODES[family]


def test_unknown_preprocessing_is_kept_as_a_function():
    def odd(images):
        return images**2

    assert named(odd) is odd


def test_untrained_network_by_name():
    loaded = open_model("keras:mobilenetv2", weights="random")
    assert loaded.model.name == "mobilenetv2_1.00_224"
    assert (loaded.preprocessing, loaded.preprocessing_source) == ("tf", "keras.applications.mobilenet_v2")
    assert loaded.labels[386] == "African elephant, Loxodonta africana"
    assert find_source("keras:mobilenetv2").framework == "keras"


def test_unknown_name_says_the_near_ones():
    with pytest.raises(ModelError, match="no network 'VGG61': did you mean VGG19 or VGG16"):
        open_model("keras:VGG61")


def test_weights_that_cannot_be_downloaded(monkeypatch, capsys):
    def build(**options):
        print("Downloading data from somewhere")
        raise Exception("URL fetch failure on somewhere: None -- no route\nmore")

    module = keras.applications.vgg16
    monkeypatch.setattr(zoo, "_application", lambda name: (module, build))
    with pytest.raises(ModelError, match="weights=FILE for a downloaded file, or weights=random") as caught:
        open_model("keras:VGG16")
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_weights_from_a_file_with_another_number_of_classes(tmp_path):
    trained = keras.applications.MobileNet(weights=None, classes=7)
    path = tmp_path / "w.h5"
    _legacy_weights(trained, path)
    loaded = open_model("keras:MobileNet", weights=path)
    for found, expected in zip(loaded.model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert loaded.model.output_shape == (None, 7)
    assert loaded.preprocessing == "tf"
    assert loaded.labels is None


def _legacy_weights(model, path):
    from tests.unit.loading_files import write_hdf5

    layers = {}
    for layer in model.layers:
        weights = [*layer.trainable_weights, *layer.non_trainable_weights]
        layers[layer.name] = {f"{layer.name}/{i}:0": keras.ops.convert_to_numpy(w) for i, w in enumerate(weights)}
    write_hdf5(path, None, layers, "2.11.0", "tensorflow")


on_torch = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="opening a PyTorch model needs the torch backend"
)


@pytest.fixture
def torchvision(monkeypatch):
    """A stand-in with the documented functions of torchvision.models, for the code that calls them."""
    torch = pytest.importorskip("torch")

    class Weights:
        name = "IMAGENET1K_V2"
        meta = {"categories": ["cat", "dog", "bird"]}  # noqa: RUF012

        def transforms(self):
            return SimpleNamespace(
                mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], crop_size=[232], resize_size=[240]
            )

    def get_model(name, weights=None, num_classes=3):
        if weights is not None:
            raise OSError("<urlopen error no route>")
        return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4, num_classes))

    models = ModuleType("torchvision.models")
    models.list_models = lambda: ["resnet18", "vgg16"]
    models.get_model = get_model
    models.get_model_weights = lambda name: SimpleNamespace(DEFAULT=Weights())
    package = ModuleType("torchvision")
    package.models = models
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    return models


@on_torch
def test_torchvision(torchvision, tmp_path):
    import torch

    loaded = open_model("torchvision:resnet18", weights="random")
    assert (loaded.preprocessing, loaded.input_size) == ("torch", (232, 232))
    assert loaded.preprocessing_source == "torchvision's Weights.IMAGENET1K_V2"
    assert loaded.labels == ("cat", "dog", "bird")
    with pytest.raises(ModelError, match="weights of torchvision:resnet18 cannot be had"):
        open_model("torchvision:resnet18")
    with pytest.raises(ModelError, match="no network 'resnet81': did you mean resnet18"):
        open_model("torchvision:resnet81")
    torch.save(torchvision.get_model("resnet18", num_classes=9).state_dict(), tmp_path / "nine.pt")
    loaded = open_model("torchvision:resnet18", weights=tmp_path / "nine.pt")
    assert loaded.model[2].out_features == 9
    assert loaded.labels is None
    assert loaded.preprocessing == "torch"


@on_torch
def test_absent_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match="pip install timm"):
        open_model("timm:vit_tiny_patch16_224")


def test_normalization_of_other_numbers():
    function = normalization((0.5, 0.5, 0.5), (0.25, 0.5, 1.0))
    pixels = np.full((1, 1, 1, 3), 255, "float32")
    np.testing.assert_allclose(function(pixels)[0, 0, 0], [2, 1, 0.5])
    assert normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)) == "tf"
