"""Trained networks that strangers published between 2016 and today."""

import csv

import keras
import numpy as np
import pytest
from PIL import Image

from convlens.loading import open_model
from convlens.network.keras.tree import every_layer

CONVOLUTIONS = {  # how many each file has, from the collection's manifest
    "K03": 2, "K06": 3, "K08": 5, "K12": 3, "K13": 15, "K16": 2, "K18": 13, "K21": 2, "K24": 3, "K33": 52, "K42": 27,
    "K44": 2, "K45": 2, "K51": 3, "K54": 3, "K59": 2,
}  # fmt: skip
ALSO_PLAIN = ("K13", "K18", "K44", "K54", "K59")  # those that Keras itself loads


def lenet():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 3, activation="relu"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


@pytest.fixture(scope="session")
def wild(data):
    folder = data / "wild"
    if not folder.is_dir():
        pytest.skip("the collected networks are not here")
    with (folder / "manifest.csv").open() as file:
        return {row["id"]: (folder / row["id"] / row["files"].split("|")[0], row) for row in csv.DictReader(file)}


def outputs(model, x):
    return [keras.ops.convert_to_numpy(value) for value in keras.tree.flatten(model(x, training=False))]


def images(model, count=2):
    shape = [side or 32 for side in model.inputs[0].shape[1:]]
    return np.random.default_rng(0).uniform(0, 1, (count, *shape)).astype("float32")


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_every_keras_file_loads_whole(wild, name):
    path, row = wild[name]
    loaded = open_model(path, architecture=lenet() if name == "K45" else None)
    kinds = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv1D", "Conv2DTranspose")
    assert sum(type(layer).__name__ in kinds for layer in every_layer(loaded.model)) == CONVOLUTIONS[name]
    assert int(row["convs"]) == CONVOLUTIONS[name]
    found = outputs(loaded.model, images(loaded.model))
    assert all(np.isfinite(value).all() for value in found)
    assert not [note for note in loaded.notes if "untrained" in note or "no longer" in note]
    if "softmax" in row["head"] and "conv" not in row["head"]:
        np.testing.assert_allclose(found[0].sum(-1), 1, atol=1e-4)


@pytest.mark.parametrize("name", ALSO_PLAIN)
@pytest.mark.filterwarnings("ignore")  # those of plain Keras
def test_outputs_are_those_of_plain_keras(wild, name):
    path, _ = wild[name]
    ours, plain = open_model(path).model, keras.saving.load_model(path, compile=False)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in plain.layers]
    x = images(ours)
    for found, expected in zip(outputs(ours, x), outputs(plain, x), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("photo", "cat", "dog"), [("test_dog.jpg", 0.0462, 0.9204), ("test_cat.jpg", 0.9014, 0.0964)])
def test_numbers_that_the_author_published(wild, photo, cat, dog):
    path, _ = wild["K12"]
    loaded = open_model(path)
    assert loaded.notes == ("weights taken from weights.h5, which lies beside model.json",)
    with Image.open(path.parent / photo) as image:
        pixels = np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR), "float32")
    np.testing.assert_allclose(outputs(loaded.model, pixels[None])[0][0], [cat, dog], atol=1e-3)


def test_lambdas_of_2016_are_read(wild):
    for name, layer in (("K06", "Preprocess"), ("K08", "lambda_1")):
        loaded = open_model(wild[name][0])
        assert (loaded.preprocessing, loaded.preprocessing_source) == (
            "none",
            f"the Lambda layer {layer} (x / 127.5 - 1)",
        )
        first = loaded.model.layers[0]
        x = np.linspace(0, 255, 6, dtype="float32")
        np.testing.assert_allclose(keras.ops.convert_to_numpy(first(x)), x / 127.5 - 1, atol=1e-6)


torch = pytest.importorskip("torch")
on_torch = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="opening a PyTorch model needs the torch backend"
)
relu, pool = torch.nn.functional.relu, torch.nn.functional.max_pool2d


class Mnist(torch.nn.Module):
    """The architecture of P03."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = torch.nn.Conv2d(1, 20, 5), torch.nn.Conv2d(20, 50, 5)
        self.fc1, self.fc2 = torch.nn.Linear(800, 500), torch.nn.Linear(500, 10)

    def forward(self, x):
        x = pool(relu(self.conv2(pool(relu(self.conv1(x)), 2))), 2)
        return torch.log_softmax(self.fc2(relu(self.fc1(x.flatten(1)))), 1)


class Scripted(torch.nn.Module):
    """The architecture of P04."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = torch.nn.Conv2d(3, 6, 5), torch.nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = torch.nn.Linear(7744, 120), torch.nn.Linear(120, 84), torch.nn.Linear(84, 12)

    def forward(self, x):
        x = pool(relu(self.conv2(pool(relu(self.conv1(x)), 2))), 2)
        return self.fc3(relu(self.fc2(relu(self.fc1(x.flatten(1))))))


class Block(torch.nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.step = before != after
        self.conv1 = torch.nn.Conv2d(before, after, 3, 2 if self.step else 1, 1, bias=False)
        self.conv2 = torch.nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = torch.nn.BatchNorm2d(after), torch.nn.BatchNorm2d(after)

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if self.step:  # every other pixel, and zeros for the new channels
            more = y.shape[1] - x.shape[1]
            x = torch.nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, more // 2, more - more // 2))
        return relu(x + y)


class ResNet20(torch.nn.Module):
    """The architecture of P05."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False), torch.nn.BatchNorm2d(16)
        for number, (before, after) in enumerate(((16, 16), (16, 32), (32, 64)), 1):
            blocks = [Block(before, after), Block(after, after), Block(after, after)]
            setattr(self, f"layer{number}", torch.nn.Sequential(*blocks))
        self.linear = torch.nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


@on_torch
@pytest.mark.parametrize(("name", "kind", "shape"), [("P03", Mnist, (1, 28, 28)), ("P05", ResNet20, (3, 32, 32))])
def test_checkpoints_load_into_their_architecture(wild, name, kind, shape):
    """Against the same values put into the module by hand."""
    path, _ = wild[name]
    loaded = open_model(path, architecture=kind())
    assert loaded.notes == ()
    content = torch.load(path, map_location="cpu", weights_only=True)
    content = content.get("state_dict", content)
    twin = kind().eval()
    twin.load_state_dict({key.removeprefix("module."): value for key, value in content.items()}, strict=False)
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded.model.eval()(x), twin(x))


@on_torch
def test_photo_through_resnet20(wild, data):
    """CIFAR-10's classes 3 and 5 are cat and dog: the weights are those of a trained network."""
    network = open_model(wild["P05"][0], architecture=ResNet20()).model.eval()
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    right = 0
    photos = [(3, path) for path in sorted((data / "dogs_vs_cats/test/cats").glob("*.jpg"))[:40]]
    photos += [(5, path) for path in sorted((data / "dogs_vs_cats/test/dogs").glob("*.jpg"))[:40]]
    for label, path in photos:
        with Image.open(path) as image:
            pixels = torch.from_numpy(np.asarray(image.convert("RGB").resize((32, 32)), "float32").copy())
        scores = network((((pixels / 255) - mean) / deviation).permute(2, 0, 1)[None])[0]
        right += int(scores[label] > scores[8 - label])
    assert right >= 52  # 65 %; chance is 40


@on_torch
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_weights_compute_what_the_script_computes(wild):
    path, _ = wild["P04"]
    loaded = open_model(path, architecture=Scripted())
    x = torch.rand(2, 3, 100, 100, generator=torch.Generator().manual_seed(0))
    expected = torch.jit.load(str(path))(x)
    torch.testing.assert_close(loaded.model.eval()(x), expected, rtol=1e-6, atol=1e-6)
