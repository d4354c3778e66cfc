"""The three views of the networks that strangers trained, against plain Keras and plain PyTorch."""

import csv
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import convlens
from convlens.cli import main
from convlens.jobs.survey import pattern_layers
from convlens.network.samples import read_samples
from tests.integration.test_wild import Mnist, ResNet20, Scripted

CLASSIFIERS = {  # the last spatial layer that every path crosses, and its sides
    "K03": ("activation_2", (24, 24)),
    "K12": ("activation_3", (12, 12)),
    "K13": ("conv2d_7", (4, 4)),  # a map for each class, whose mean is the logit
    "K16": ("cnn2D_2_relu", (5, 5)),
    "K21": ("conv_2", (8, 8)),
    "K24": ("activation_2", (7, 7)),
    "K33": ("sequential_1/model1/out_relu", (7, 7)),
    "K42": ("activation_26", (3, 3)),
    "K44": ("conv2d_1", (13, 13)),
    "K51": ("conv2d_2", (3, 3)),
    "K54": ("conv2d_2", (4, 4)),
}
REGRESSORS = {"K06": ("Conv2D3", (16, 36)), "K08": ("elu_5", (1, 18))}


@pytest.fixture(scope="session")
def wild(data: Path) -> Any:
    folder = data / "wild"
    if not folder.is_dir():
        pytest.skip("the collected networks are not here")
    with (folder / "manifest.csv").open() as file:
        return {row["id"]: folder / row["id"] / row["files"].split("|")[0] for row in csv.DictReader(file)}


@pytest.fixture(scope="session")
def photos(wild: Any) -> list[Path]:
    return [wild["K12"].parent / "test_cat.jpg", wild["K12"].parent / "test_dog.jpg"]


def as_keras_computes(network: Any, images: Any, path: str | None = None) -> np.ndarray:
    """A layer's output, or the network's, by Keras alone."""
    model = network.model
    inner = keras.Model(model.inputs, model.outputs[0] if path is None else model.get_layer(path).output)
    x = read_samples(network, images).arrays[0]
    shape = [side or own for side, own in zip(inner.inputs[0].shape[1:], x.shape[1:], strict=False)]
    return keras.ops.convert_to_numpy(inner([x.reshape(len(x), *shape)], training=False))


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def climb(network: Any, size: Any, steps: int = 10) -> list[str]:
    """Statuses of the first filters of a network's earliest and latest pattern layers."""
    statuses: list[str] = []
    layers = pattern_layers(network)
    for layer in {layers[0].path: layers[0], layers[-1].path: layers[-1]}.values():
        made = convlens.filter_patterns(network, layer.path, range(min(6, layer.output_shape[-1])), size, steps=steps)
        assert made.images.dtype == np.uint8
        for row, status in enumerate(made.status):
            if status == "ok":
                assert made.end[row] > made.start[row]
                assert made.images[row].std() > 0
        statuses += made.status
    assert "non-finite" not in statuses
    return statuses


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_three_views_of_an_image_classifier(wild: Any, photos: list[Path], name: str) -> None:
    network = convlens.load(wild[name])
    seen = convlens.activations(network, photos)
    for path in [path for path in seen if "/" not in path][:4]:
        close(seen[path], as_keras_computes(network, photos, path))
    heatmap = convlens.heatmap(network, photos)
    layer, sides = CLASSIFIERS[name]
    assert heatmap.layer == layer
    assert heatmap.values.shape == (2, *sides)
    assert heatmap.status == ("ok", "ok")
    assert (heatmap.values.max((1, 2)) > 0).all()
    expected = as_keras_computes(network, photos)
    for image, row in enumerate(expected):
        first = heatmap.predictions[image][0]
        assert row[first.index] == row.max()
        assert first.score == pytest.approx(float(row.max()), rel=1e-3)
    assert "ok" in climb(network, 28 if name == "K21" else 32)


@pytest.mark.parametrize("name", REGRESSORS)
def test_the_three_views_of_a_regressor(wild: Any, photos: list[Path], name: str) -> None:
    """One unit, raised and lowered, so that the two maps come of opposite gradients; its value is Keras's own."""
    network = convlens.load(wild[name])
    assert "Lambda" in network.preprocessing.source
    layer, sides = REGRESSORS[name]
    for path, values in convlens.activations(network, photos).items():
        close(values, as_keras_computes(network, photos, path))
    assert (network.head().kind, network.head().reason) == ("score", "its loss is mean_squared_error")
    raises, lowers = convlens.heatmap(network, photos, ["up", "down"])
    for shown, value in zip(raises.predictions, as_keras_computes(network, photos)[:, 0], strict=True):
        assert (shown[0].unit, shown[0].score) == ("value", pytest.approx(float(value), rel=1e-4, abs=1e-6))
    assert raises.layer == lowers.layer == layer
    assert raises.values.shape == (2, *sides)
    assert not (raises.values * lowers.values).any()
    assert (raises.values + lowers.values).any()
    assert "ok" in climb(network, network.image_shape[:2], steps=4)


def test_a_game_players_two_heads(wild: Any) -> None:
    """Not photos but boards, channels first in the file: 3 x 3 fields, one plane a player."""
    network = convlens.load(wild["K18"], preprocess="none")
    board = np.zeros((3, 3, 2), "float32")
    board[0, 0, 0] = board[1, 1, 1] = 1
    (path,) = [layer.path for layer in network.layers if layer.role == "convolution"][:1]
    values = convlens.activations(network, [board * 255], path)[path]
    inner = keras.Model(network.model.inputs, network.model.get_layer(path).output)
    expected = keras.ops.convert_to_numpy(inner([np.moveaxis(board[None] * 255, -1, 1)], training=False))
    close(values, np.moveaxis(expected, 1, -1))
    for output, classes in ((0, 2), (1, 9)):
        heatmap = convlens.heatmap(network, [board * 255], layer=path, output=output)
        assert heatmap.values.shape == (1, 3, 3)
        assert np.isfinite(heatmap.values).all()
        assert heatmap.targets[0] < classes


def test_a_reader_of_text(wild: Any, photos: list[Path]) -> None:
    """A sequence of letters for each image: the score of a letter is its mean over the positions."""
    network = convlens.load(wild["K59"])
    heatmap = convlens.heatmap(network, photos)
    assert (heatmap.layer, heatmap.values.shape, heatmap.status) == ("conv2d_1", (2, 37, 80), ("ok", "ok"))
    expected = as_keras_computes(network, photos).mean(1)
    assert [shown[0].score for shown in heatmap.predictions] == pytest.approx(expected.max(-1).tolist(), rel=1e-3)
    for path, values in convlens.activations(network, photos).items():
        close(values, as_keras_computes(network, photos, path))
    assert "ok" in climb(network, 32)


def test_the_preprocessing_of_the_dog_cat_classifier_is_found(wild: Any, photos: list[Path]) -> None:
    """Fed with 0 to 255, as the guess finds by itself, it gives the numbers that its author published."""
    network = convlens.load(wild["K12"])
    heatmap = convlens.heatmap(network, photos)
    cat, dog = heatmap.predictions
    assert "guessed none (RGB 0 to 255)" in heatmap.notes[-1]
    assert (cat[0].index, dog[0].index) == (0, 1)
    assert cat[0].score == pytest.approx(0.9014, abs=1e-3)
    assert dog[0].score == pytest.approx(0.9204, abs=1e-3)


def test_the_command_line_says_that_it_guessed(wild: Any, photos: list[Path], tmp_path: Path, capsys: Any) -> None:
    main(["heatmap", str(wild["K12"]), *map(str, photos), "--out", str(tmp_path / "out")])
    assert "guessed none (RGB 0 to 255)" in " ".join(capsys.readouterr().err.split())


on_torch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch models need the torch backend")
CHECKPOINTS = {  # architecture, default layer, its sides
    "P03": (Mnist, "conv2", (8, 8)),
    "P04": (Scripted, "conv2", (44, 44)),
    "P05": (ResNet20, "layer3.2", (8, 8)),
}


@on_torch
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_three_views_of_a_checkpoint(wild: Any, photos: list[Path], name: str) -> None:
    import torch

    architecture, layer, sides = CHECKPOINTS[name]
    # ResNet20 takes any size, and was trained on this one
    trained_on = (32, 32, 3) if name == "P05" else None
    network = convlens.load(wild[name], architecture=architecture(), input_shape=trained_on)
    heatmap = convlens.heatmap(network, photos, 1)
    assert (heatmap.layer, heatmap.values.shape) == (layer, (2, *sides))
    kept: list[Any] = []

    def keep(_: Any, __: Any, out: Any) -> None:
        out.retain_grad()
        kept.append(out)

    module = network.model.get_submodule(layer)
    handle = module.register_forward_hook(keep)
    x = torch.from_numpy(read_samples(network, photos).arrays[0]).permute(0, 3, 1, 2)
    scores = network.model.eval()(x)
    handle.remove()
    scores[:, 1].sum().backward()
    kept_values, slopes = kept[0].detach(), kept[0].grad
    close(convlens.activations(network, photos, layer)[layer], kept_values.permute(0, 2, 3, 1).numpy(), 1e-6)
    if name != "P03":  # whose output is a log-softmax's, not the logit
        cam = (slopes.mean((2, 3), keepdim=True) * kept_values).sum(1).relu().numpy()
        close(heatmap.values, cam)
    assert "ok" in climb(network, network.probe_size())
