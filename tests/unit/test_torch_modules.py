"""PyTorch modules as they come: wrapped, compiled, random, quantized; and what they say of themselves."""

import copy
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402
from torch.optim.swa_utils import AveragedModel  # noqa: E402

import convlens  # noqa: E402
from convlens.errors import ModelError  # noqa: E402
from tests.unit.torch_nets import Cifar, Pooled, Sized  # noqa: E402

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch models need the torch backend"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]
PHOTO = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype("uint8")


def cifar() -> Any:
    torch.manual_seed(0)
    return Cifar()


def part_compiled() -> Any:
    model = cifar()
    model.conv2 = torch.compile(model.conv2)
    return model


def compiled_in_place() -> Any:
    model = cifar()
    model.compile()
    return model


WRAPPED = {
    "compiled": lambda: torch.compile(cifar()),
    "compiled parallel": lambda: torch.compile(nn.DataParallel(cifar())),
    "parallel compiled": lambda: nn.DataParallel(torch.compile(cifar())),
    "averaged": lambda: AveragedModel(cifar()),
    "a part compiled": part_compiled,
    "compiled in place": compiled_in_place,
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_lies_around_a_module_changes_nothing(name: str) -> None:
    plain = convlens.load(cifar(), preprocess="rescale")
    expected = convlens.heatmap(plain, PHOTO, 1)
    network = convlens.load(WRAPPED[name](), preprocess="rescale")
    assert network.paths == plain.paths == ["conv1", "pool", "conv2", "fc1", "fc2", "fc3"]
    found = convlens.heatmap(network, PHOTO, 1)
    assert (found.layer, network.inputs[0].shape) == ("conv2", (32, 32, 3))
    np.testing.assert_array_equal(found.values, expected.values)


def test_a_distributed_module_is_looked_into(tmp_path: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    try:
        network = convlens.load(nn.parallel.DistributedDataParallel(cifar()), preprocess="rescale")
    finally:
        torch.distributed.destroy_process_group()
    assert network.default_layer == "conv2"


class AlwaysOn(nn.Module):
    def forward(self, x: Any) -> Any:
        return F.dropout(x, 0.5, training=True)


class KeepsOn(nn.Dropout):
    def train(self, mode: bool = True) -> Any:
        return super().train(True)


def test_dropout_that_is_always_on_is_said_and_does_not_move_the_default_layer() -> None:
    expected = convlens.load(Sized(32)).default_layer
    assert expected == "body.4"
    network = convlens.load(Sized(32, drop=AlwaysOn()).eval(), preprocess="rescale")
    assert network.default_layer == expected
    assert any("the network is random" in note for note in network.notes)
    quiet = convlens.load(Sized(32, drop=KeepsOn(0.5)).eval(), preprocess="rescale")
    assert quiet.default_layer == expected
    assert not any("random" in note for note in quiet.notes)  # in inference it is off, whatever its author's eval does
    twice = [convlens.heatmap(quiet, PHOTO, 1).values for _ in range(2)]
    np.testing.assert_array_equal(*twice)
    assert quiet.model.drop.training


def quantized(dynamic: bool) -> Any:
    quantization = torch.ao.quantization
    if dynamic:
        return quantization.quantize_dynamic(cifar().eval(), {nn.Linear})
    model = nn.Sequential(
        quantization.QuantStub(),
        nn.Conv2d(3, 4, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
        quantization.DeQuantStub(),
    ).eval()
    model.qconfig = quantization.get_default_qconfig("fbgemm")  # pyright: ignore[reportArgumentType]
    quantization.prepare(model, inplace=True)
    model(torch.rand(2, 3, 16, 16))
    return quantization.convert(model)


@pytest.mark.parametrize("dynamic", [False, True])
def test_quantized_modules_are_refused_by_name(dynamic: bool) -> None:
    with pytest.raises(ModelError, match=r"is quantized: .*\(Linear\).*no gradients.*give the float module"):
        convlens.load(quantized(dynamic))


def test_torchscript_and_lazy_modules_are_refused() -> None:
    with pytest.raises(ModelError, match="is TorchScript"):
        convlens.load(torch.jit.trace(cifar().eval(), torch.zeros(1, 3, 32, 32)))
    lazy = nn.Sequential(nn.LazyConv2d(3, 3))
    with pytest.raises(ModelError, match="lazy layers that have no weights yet"):
        convlens.load(lazy)
    assert isinstance(lazy[0], nn.LazyConv2d)


def carrying(**attributes: Any) -> Any:
    """A network of any size with what a library leaves on its modules."""
    model = Pooled()
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


TIMM = {
    "input_size": (3, 96, 80),
    "mean": (0.5,) * 3,
    "std": (0.5,) * 3,
    "num_classes": 5,
    "label_names": list("abcde"),
}


def test_timms_configuration_is_read_from_the_object() -> None:
    network = convlens.load(carrying(pretrained_cfg=TIMM, num_classes=5))
    assert network.input_size == (96, 80)
    assert str(network.preprocessing) == "tf (RGB -1 to 1), timm's configuration of Pooled"
    assert network.labels.names == tuple("abcde")
    assert not network.notes
    other = convlens.load(carrying(default_cfg=TIMM | {"num_classes": 1000, "label_names": None}, num_classes=5))
    assert (other.input_size, other.labels) == ((96, 80), None)


def test_timms_configuration_of_other_channels_is_left_aside() -> None:
    model = Pooled(1)
    model.pretrained_cfg = TIMM | {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}  # pyright: ignore[reportArgumentType]
    network = convlens.load(model)
    assert (network.input_size, network.preprocessing) == ((96, 80), None)
    assert any("preprocessing left aside" in note for note in network.notes)


def test_hugging_faces_configuration_is_read_from_the_object() -> None:
    config = SimpleNamespace(image_size=64, id2label=dict(enumerate("vwxyz")))
    network = convlens.load(carrying(config=config))
    assert (network.input_size, network.labels.names) == ((64, 64), tuple("vwxyz"))
    unnamed = {number: f"LABEL_{number}" for number in range(5)}
    assert convlens.load(carrying(config=SimpleNamespace(image_size=[48, 64], id2label=unnamed))).labels is None


def test_sizes_that_others_leave_on_the_object() -> None:
    assert convlens.load(carrying(_global_params=SimpleNamespace(image_size=240))).input_size == (240, 240)
    assert convlens.load(carrying(image_size=160)).input_size == (160, 160)
    assert convlens.load(carrying(image_size="large")).input_size == (224, 224)
    # a size that the module does not take is passed over, and said to be
    model = copy.deepcopy(cifar())
    model.image_size = 100
    network = convlens.load(model)
    assert network.input_size == (32, 32)
    assert any("does not run on its makers' 100x100; 32x32 is inferred" in note for note in network.notes)


class WithNone(nn.Module):
    """Gives the same as another module, beside what it computes in training alone."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return {"loss": None, "logits": self.inner(x), "aux": None}


def test_a_none_among_the_outputs_is_no_output() -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    photo = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    options = {"preprocess": "rescale", "head": "classes", "input_shape": (20, 20, 3)}
    network = convlens.load(WithNone(inner), **options)
    assert network.output_names == ("logits",)
    bare = convlens.load(inner, **options)
    found, expected = (convlens.heatmap(each, photo, 1) for each in (network, bare))
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-8)
    x = torch.from_numpy(photo / np.float32(255)).permute(2, 0, 1)[None]
    chances = inner(x).softmax(-1).detach().numpy()[0]
    shown = {prediction.index: prediction.score for prediction in network.predict(photo)[0]}
    assert shown == pytest.approx(dict(enumerate(chances)), rel=1e-4)
