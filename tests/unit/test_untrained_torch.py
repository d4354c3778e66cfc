"""The same for PyTorch: state_dicts that lack layers."""

import keras
import numpy as np
import pytest

import convlens
from convlens.errors import ModelError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="opening a PyTorch model needs its backend")
PHOTO = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


class Branched(torch.nn.Module):
    """a, then b and c side by side, each with a ReLU in place, then a classifier; a scale of its own if asked for."""

    def __init__(self, scaled: bool = False) -> None:
        super().__init__()
        self.a, self.b, self.c = (torch.nn.Conv2d(given, 4, 3, padding=1) for given in (3, 4, 4))
        self.norm = torch.nn.BatchNorm2d(4)
        self.relu = torch.nn.ReLU(inplace=True)
        self.fc = torch.nn.Linear(4, 3)
        self.scale = torch.nn.Parameter(torch.ones(1)) if scaled else 1

    def forward(self, x):
        first = self.relu(self.a(x * self.scale))
        both = self.relu(self.b(first)) + self.relu(self.norm(self.c(first)))
        return self.fc(both.mean((2, 3)))


@pytest.fixture
def opened(tmp_path):
    def opened(without: str, scaled: bool = False, **options):
        weights = Branched(scaled).state_dict()
        torch.save({key: value for key, value in weights.items() if not key.startswith(without)}, tmp_path / "net.pt")
        given = {"architecture": Branched(scaled), "preprocess": "rescale", "input_shape": (32, 32, 3)}
        return convlens.load(tmp_path / "net.pt", **given, **options)

    return opened


@pytest.mark.parametrize(
    ("without", "refused"),
    [
        ("fc", {"fc"}),
        ("b", {"b", "relu:1", "fc"}),
        ("c", {"c", "norm", "relu:2", "fc"}),
        ("norm.running", {"norm", "relu:2", "fc"}),  # statistics are weights, too
        ("a", {"a", "relu", "b", "relu:1", "c", "norm", "relu:2", "fc"}),
    ],
)
def test_what_runs_through_is_refused(opened, without, refused):
    network = opened(without)
    assert network.untrained.paths == (without.split(".")[0],)
    for layer in network.layers:
        if layer.path in refused:
            with pytest.raises(
                ModelError, match=rf"layer {layer.path} of .* no weights: {network.untrained.paths[0]};"
            ):
                convlens.activations(network, PHOTO, [layer.path])
        else:
            assert convlens.activations(network, PHOTO, [layer.path])[layer.path].shape[0] == 1
    with pytest.raises(ModelError, match="the output of"):
        convlens.heatmap(network, PHOTO, layer="a")
    partial = opened(without, partial=True)
    assert convlens.heatmap(partial, PHOTO, layer="a").values.shape == (1, 32, 32)


def test_a_parameter_of_the_network_itself(opened):
    network = opened("scale", scaled=True)
    with pytest.raises(ModelError, match="no weights: the network itself"):
        convlens.activations(network, PHOTO, ["a"])


def test_counters_are_no_weights(opened):
    network = opened("norm.num_batches_tracked")
    assert network.untrained.paths == ()
    assert convlens.heatmap(network, PHOTO).values.shape == (1, 32, 32)
