"""The size of patterns: 64 where the layer goes with it, else the network's own or the smallest that goes, and said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import convlens
from convlens.cli.commands import convlens as command
from convlens.errors import OptionError, reason
from convlens.jobs.survey import survey
from convlens.techniques.request import ReportRequest

ON_TORCH = keras.backend.backend() == "torch"
layers = keras.layers


def flat(*shape: int) -> Any:
    """A convolution again after a dense layer, for which images must have their size."""
    return keras.Sequential([
        keras.Input(shape),
        layers.Conv2D(4, 3, activation="relu", name="early"),
        layers.Flatten(),
        layers.Dense(48, activation="relu", name="dense"),
        layers.Reshape((4, 4, 3)),
        layers.Conv2D(3, 3, name="late"),
        layers.GlobalAveragePooling2D(),
    ])  # fmt: skip


def reshaped(height: int, width: int) -> Any:
    inputs = keras.Input((height, width, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    x = layers.Reshape((height, width * 4))(x)
    x = layers.Reshape((height, width, 4))(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(5, 3, name="late")(x)))


class Position(layers.Layer):
    """Adds a vector to each token, of which there are so many as the network was built with."""

    def build(self, shape: Any) -> None:
        self.vectors = self.add_weight(shape=(1, *shape[1:]), name="vectors")

    def call(self, tokens: Any) -> Any:
        return tokens + self.vectors


def tokens(side: int) -> Any:
    """A small vision transformer: patches, positions, attention."""
    inputs = keras.Input((side, side, 3))
    x = layers.Conv2D(8, 8, strides=8, name="patches")(inputs)
    x = Position()(layers.Reshape((-1, 8))(x))
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)])
    return keras.Model(inputs, layers.GlobalAveragePooling1D()(layers.Dense(6, name="mix")(x)))


def deep(shape: tuple) -> Any:
    """Nothing is left of images of less than 78 pixels a side, as with Inception's valid convolutions."""
    stages: list[Any] = [keras.Input(shape)]
    for number in range(5):
        stages += [layers.Conv2D(4, 3, activation="relu", name=f"conv{number}"), layers.MaxPooling2D(2)]
    return keras.Sequential([*stages[:-1], layers.GlobalAveragePooling2D()])


def opened(model: Any) -> Any:
    return convlens.load(model, preprocess="rescale")


NETWORKS: dict[str, tuple[Callable[[], Any], str, tuple[int, int]]] = {
    "before the dense layer": (lambda: flat(20, 20, 3), "early", (64, 64)),
    "after a dense layer": (lambda: flat(20, 20, 3), "late", (20, 20)),
    "larger than 64": (lambda: flat(80, 80, 3), "late", (80, 80)),
    "not square": (lambda: flat(80, 160, 3), "late", (80, 160)),
    "grey": (lambda: flat(28, 28, 1), "late", (28, 28)),
    "reshaped": (lambda: reshaped(24, 16), "late", (24, 16)),
    "tokens": (lambda: tokens(32), "mix", (32, 32)),
    "patches": (lambda: tokens(32), "patches", (64, 64)),
    "any size, an early layer": (lambda: deep((None, None, 3)), "conv2", (64, 64)),
    "any size, a late layer": (lambda: deep((None, None, 3)), "conv4", (80, 80)),
    "its own size, a late layer": (lambda: deep((299, 299, 3)), "conv4", (299, 299)),
    "any width": (lambda: deep((100, None, 3)), "conv4", (100, 80)),
}


@pytest.mark.parametrize("name", list(NETWORKS))
def test_the_default_size_is_one_that_goes_and_is_said(name: str) -> None:
    make, layer, sides = NETWORKS[name]
    keras.utils.set_random_seed(1)
    found = convlens.filter_patterns(opened(make()), layer, [0, 1], steps=2)
    assert found.images.shape == (2, *sides, 3)
    assert found.provenance["size"] == list(sides)
    assert np.isfinite(found.end).all()
    told = [note for note in found.notes if "is taken" in note]
    if sides == (64, 64):
        assert told == []
    else:
        (note,) = told
        what = "the smallest usual size that goes" if "any" in name else "the network's own size"
        assert note.startswith(f"layer {layer} cannot be computed on images of 64x64 pixels (")
        assert f"; {sides[0]}x{sides[1]}, {what}, is taken" in note
        assert "Exception encountered" not in note


@pytest.mark.parametrize("name", ["larger than 64", "reshaped", "tokens", "any size, a late layer"])
def test_a_size_that_does_not_go_is_refused_with_the_layers_own_reason(name: str) -> None:
    make, layer, _ = NETWORKS[name]
    with pytest.raises(OptionError) as caught:
        convlens.filter_patterns(opened(make()), layer, [0], size=40)
    message = str(caught.value)
    assert message.startswith(f"layer {layer} cannot be computed on images of 40x40 pixels; ")
    assert "\n" not in message
    assert "Exception encountered" not in message
    assert "Arguments received" not in message
    assert "\x1b" not in message
    assert ("try a larger one" if "any" in name else "its own size is") in message


@pytest.mark.parametrize("size", [0, -3, (20,), (20, 20, 3), (20, 0), 2.5, (16.0, 16)])
def test_what_is_no_size_is_refused(size: Any) -> None:
    with pytest.raises(OptionError, match="expected pixels a side"):
        convlens.filter_patterns(opened(flat(20, 20, 3)), "early", [0], size=size)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="saved by one backend, read by the others alike")
def test_the_command_and_the_report_take_the_same_size(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    flat(80, 80, 3).save(tmp_path / "flat.keras")
    out = tmp_path / "out"
    line = f"filters {tmp_path / 'flat.keras'} -l early -l late --steps 2 --json --preprocess rescale --out {out}"
    run = CliRunner().invoke(command, line.split())
    assert run.exit_code == 0, run.output
    printed, manifest = json.loads(run.stdout), json.loads((out / "manifest.json").read_text())
    assert [one["size"] for one in printed["patterns"]] == [[64, 64], [80, 80]]
    assert printed["notes"] == manifest["notes"]
    assert sum("80x80, the network's own size, is taken" in note for note in printed["notes"]) == 1
    made = survey(opened(flat(80, 80, 3)), np.zeros((80, 80, 3), "uint8"), tmp_path / "report", ReportRequest(top=1))
    assert [one for one in made.failures if "patterns" in one["what"]] == []
    assert sum("80x80, the network's own size, is taken" in note for note in made.notes) == 1


@pytest.mark.skipif(not ON_TORCH, reason="PyTorch modules run on the torch backend")
@pytest.mark.parametrize(("side", "channels", "own"), [(28, 1, (28, 28)), (96, 3, (96, 96))])
def test_pytorch_modules_of_one_size(side: int, channels: int, own: tuple[int, int]) -> None:
    import torch
    from torch import nn

    class Embedded(nn.Module):
        """Positions are added to the patches; they are not interpolated to other sizes."""

        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(channels, 8, 4, stride=4)
            self.positions = nn.Parameter(torch.zeros(1, 8, side // 4, side // 4))
            self.late = nn.Conv2d(8, 5, 3)
            self.head = nn.Linear(5, 2)

        def forward(self, x: Any) -> Any:
            x = self.late((self.patches(x) + self.positions).relu())
            return self.head(x.mean((2, 3)))

    torch.manual_seed(0)
    network = convlens.load(Embedded(), preprocess="rescale")
    found = convlens.filter_patterns(network, "late", [0], steps=2)
    assert found.images.shape == (1, *own, 3)
    assert any("the network's own size, is taken" in note for note in found.notes)
    assert convlens.filter_patterns(network, "patches", [0], steps=2).images.shape == (1, 64, 64, 3)
    with pytest.raises(OptionError, match=rf"40x40 pixels; its own size is {side}x{side} \(.*must match"):
        convlens.filter_patterns(network, "late", [0], size=40)


def test_channels_first() -> None:
    inputs = keras.Input((3, 72, 90))
    x = layers.Conv2D(4, 3, data_format="channels_first", name="early")(inputs)
    x = layers.Reshape((4 * 70, 88))(x)
    x = layers.Reshape((4, 70, 88))(x)
    x = layers.Conv2D(5, 3, data_format="channels_first", name="late")(x)
    network = opened(keras.Model(inputs, layers.GlobalAveragePooling2D(data_format="channels_first")(x)))
    found = convlens.filter_patterns(network, "late", [0, 3], steps=2)
    assert found.images.shape == (2, 72, 90, 3)


class Broken(layers.Layer):
    def call(self, x: Any) -> Any:
        raise ValueError("a cause in words")


def test_the_reason_of_a_frameworks_error_is_its_innermost_line() -> None:
    with pytest.raises(ValueError, match="Exception encountered when calling Broken") as caught:
        Broken()(keras.ops.zeros((1, 2)))
    assert reason(caught.value) == "a cause in words"
    assert reason(ValueError()) == "ValueError"
    assert reason(KeyError("conv")) == "KeyError: 'conv'"
    assert reason(ValueError("\n\n  one\ntwo")) == "one"
    assert reason(RuntimeError("Error(s) in loading state_dict for Net:\n\tsize mismatch for a.weight")) == (
        "Error(s) in loading state_dict for Net: size mismatch for a.weight"
    )
    keras_wrapped = (
        "Exception encountered when calling Reshape.call().\n\n\x1b[1mThe total size must be unchanged. Received: (3,)"
        "\x1b[0m\n\nArguments received by Reshape.call():\n  \N{BULLET} inputs=tf.Tensor(shape=(1, 3))"
    )
    assert reason(ValueError(keras_wrapped)) == "The total size must be unchanged. Received: (3,)"
    in_code = 'in user code:\n\n    File "a.py", line 3, in call  *\n        x = f(x)\n\n    ValueError: too small\n'
    assert reason(ValueError(in_code)) == "too small"
    assert reason(
        ValueError("{{function_node __wrapped__AddV2}} Incompatible shapes: [1] vs. [2] [Op:AddV2] name: ")
    ) == ("Incompatible shapes: [1] vs. [2]")
    long = reason(ValueError("word " * 100), 60)
    assert len(long) == 60
    assert long.endswith("...")
