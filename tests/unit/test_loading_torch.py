"""PyTorch checkpoints of every kind, into an architecture; against PyTorch itself."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from convlens.errors import BackendError, ModelError  # noqa: E402
from convlens.loading import find_source, open_model, sniff  # noqa: E402
from convlens.loading.torch.archives import safetensors_weights, script_weights  # noqa: E402
from convlens.loading.torch.checkpoints import load_state, read_content, state_dict_in  # noqa: E402

on_torch = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="opening a PyTorch model needs the torch backend"
)


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return torch.relu(self.norm(x))


class Net(nn.Module):
    """Small, with a module in a module, buffers and a transposed weight."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.inner = Inner()
        self.fc = nn.Linear(4, classes)

    def forward(self, x):
        return self.fc(self.inner(self.conv(x)).mean((2, 3)))


@pytest.fixture
def trained():
    torch.manual_seed(0)
    net = Net()
    net(torch.rand(8, 3, 6, 6))  # moves the running statistics
    with torch.no_grad():
        net.conv.weight.copy_(net.conv.weight.permute(0, 1, 3, 2).clone())
    return net.eval()


def outputs(net) -> np.ndarray:
    x = torch.from_numpy(np.random.default_rng(0).uniform(size=(2, 3, 6, 6)).astype("float32"))
    return net.eval()(x).detach().numpy()


def saved(kind: str, net: nn.Module, path) -> None:
    state = net.state_dict()
    if kind == "plain":
        torch.save(state, path)
    elif kind == "legacy":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif kind == "checkpoint":
        torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, "state_dict": state}, path)
    elif kind == "parallel":
        torch.save({"state_dict": nn.DataParallel(net).state_dict(), "best": 0.5}, path)
    elif kind == "compiled":
        torch.save({f"_orig_mod.module.{key}": value for key, value in state.items()}, path)
    elif kind == "old":
        torch.save({key: value for key, value in state.items() if "num_batches" not in key}, path)
    elif kind == "half":
        torch.save({key: value.half() if value.is_floating_point() else value for key, value in state.items()}, path)


@pytest.mark.parametrize("kind", ["plain", "legacy", "checkpoint", "parallel", "compiled", "old", "half"])
def test_weights_are_found_and_fit(tmp_path, trained, kind):
    path = tmp_path / "model.bin"  # the name says nothing
    saved(kind, trained, path)
    assert find_source(path).framework == "torch"
    fresh = Net()
    weights = state_dict_in(read_content(sniff.sniffed(path), trust=False))
    assert load_state(fresh, weights, path.name).notes == ()
    np.testing.assert_allclose(outputs(fresh), outputs(trained), atol=2e-3 if kind == "half" else 1e-7)


@on_torch
def test_architecture_in_memory_is_left_as_it_was(tmp_path, trained):
    saved("parallel", trained, tmp_path / "m.pt")
    given = nn.DataParallel(Net())
    before = {key: value.clone() for key, value in given.state_dict().items()}
    loaded = open_model(tmp_path / "m.pt", architecture=given)
    np.testing.assert_array_equal(outputs(loaded.model.module), outputs(trained))
    assert all(torch.equal(before[key], value) for key, value in given.state_dict().items())
    assert loaded.framework == "torch"
    assert len(loaded.sha256) == 64


@on_torch
def test_architecture_by_function(tmp_path, trained, monkeypatch):
    saved("plain", trained, tmp_path / "m.pt")
    (tmp_path / "nets.py").write_text("from tests.unit.test_loading_torch import Net\n")
    monkeypatch.chdir(tmp_path)
    for name in ("nets:Net", f"{tmp_path / 'nets.py'}:Net"):
        np.testing.assert_array_equal(outputs(open_model("m.pt", architecture=name).model), outputs(trained))
    assert type(open_model("nets:Net").model).__name__ == "Net"
    np.testing.assert_array_equal(outputs(open_model("nets:Net", weights="m.pt").model), outputs(trained))


@on_torch
def test_errors_say_what_is_missing(tmp_path, trained):
    saved("plain", trained, tmp_path / "m.pt")
    with pytest.raises(ModelError, match=r"holds weights alone; give architecture=module:function.*conv\.weight"):
        open_model(tmp_path / "m.pt")
    with pytest.raises(ModelError, match=r"fc\.weight takes \(5, 4\), m\.pt has \(3, 4\)"):
        open_model(tmp_path / "m.pt", architecture=Net(5))
    with pytest.raises(ModelError, match=r"no weight of the architecture is in m\.pt"):
        open_model(tmp_path / "m.pt", architecture=nn.Sequential(nn.Conv2d(3, 4, 3)))
    torch.save({"epoch": 3}, tmp_path / "n.pt")
    with pytest.raises(ModelError, match="no weights by name"):
        open_model(tmp_path / "n.pt", architecture=Net())


@on_torch
def test_whole_modules_are_pickles_and_need_trust(tmp_path, trained):
    torch.save(trained, tmp_path / "m.pt")
    with pytest.raises(ModelError, match=r"would run code .*test_loading_torch\.Net.*trust=True"):
        open_model(tmp_path / "m.pt")
    np.testing.assert_array_equal(outputs(open_model(tmp_path / "m.pt", trust=True).model), outputs(trained))


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="for the other backends")
def test_other_backends_say_what_to_do(tmp_path, trained):
    saved("plain", trained, tmp_path / "m.pt")
    with pytest.raises(BackendError, match="KERAS_BACKEND=torch"):
        open_model(tmp_path / "m.pt", architecture=trained)


def test_partial_weights_are_said_by_name(trained):
    weights = {key: value for key, value in trained.state_dict().items() if not key.startswith("fc")}
    net = Net()
    filling = load_state(net, weights, "m.pt")
    assert filling.notes == ("no weights in m.pt for fc: these layers are untrained",)
    assert filling.layers == (net.fc,)
    with pytest.raises(ModelError, match=r"m\.pt has none for fc, and no layer takes those that it has for head;"):
        load_state(Net(), weights | {"head.weight": torch.ones(3)}, "m.pt")
    whole = load_state(Net(), trained.state_dict() | {"head.weight": torch.ones(3), "total_ops": torch.ones(1)}, "m.pt")
    assert whole.notes == ("weights in m.pt that no layer has: head",)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_weights_without_running_it(tmp_path, trained):
    torch.jit.script(trained).save(str(tmp_path / "s.pt"))
    assert sniff.sniffed(tmp_path / "s.pt").kind == sniff.TORCHSCRIPT
    found = script_weights(tmp_path / "s.pt")
    assert {key for key in found if "num_batches" not in key} == {k for k in trained.state_dict() if "num_b" not in k}
    fresh = Net()
    load_state(fresh, found, "s.pt")
    np.testing.assert_array_equal(outputs(fresh), outputs(trained))


def test_exported_program(tmp_path, trained):
    program = torch.export.export(trained, (torch.zeros(2, 3, 6, 6),))
    torch.export.save(program, tmp_path / "e.pt2")
    file = sniff.sniffed(tmp_path / "e.pt2")
    assert file.kind == sniff.TORCH_EXPORT
    fresh = Net()
    load_state(fresh, read_content(file, trust=False), "e.pt2")
    np.testing.assert_array_equal(outputs(fresh), outputs(trained))


def test_safetensors(tmp_path):
    """Eight bytes of length, a JSON table, values: written out by hand."""
    values = np.arange(6, dtype="<f4").tobytes() + np.array([1.5], "<f2").tobytes()
    table = (
        b'{"__metadata__":{"format":"pt"},"a.b":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},'
        b'"c":{"dtype":"F16","shape":[1],"data_offsets":[24,26]}}'
    )
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(table).to_bytes(8, "little") + table + values)
    assert sniff.sniffed(path).kind == sniff.SAFETENSORS
    found = safetensors_weights(path)
    np.testing.assert_array_equal(found["a.b"].numpy(), [[0, 1, 2], [3, 4, 5]])
    assert found["c"].item() == 1.5
    path.write_bytes(len(table).to_bytes(8, "little") + table.replace(b"[2,3]", b"[9,9]") + values)
    with pytest.raises(ModelError, match="lies outside of its data"):
        safetensors_weights(path)


@on_torch
@pytest.mark.filterwarnings("ignore")
def test_quantized_networks_are_told(tmp_path):
    """Statically and dynamically quantized ones, in every kind of file."""
    quantization = torch.ao.quantization
    engines = [engine for engine in torch.backends.quantized.supported_engines if engine != "none"]
    torch.backends.quantized.engine = engines[-1]
    net = nn.Sequential(quantization.QuantStub(), nn.Conv2d(3, 4, 3), nn.ReLU(), quantization.DeQuantStub()).eval()
    net.qconfig = quantization.get_default_qconfig(engines[-1])
    quantization.prepare(net, inplace=True)
    net(torch.rand(1, 3, 8, 8))
    quantization.convert(net, inplace=True)
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    torch.save({"epoch": 1, "model": net.state_dict()}, tmp_path / "checkpoint.pt")
    torch.save(net, tmp_path / "whole.pt")
    torch.jit.script(net).save(str(tmp_path / "script.pt"))
    dynamic = quantization.quantize_dynamic(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2)), {nn.Linear}
    )
    torch.save(dynamic.state_dict(), tmp_path / "dynamic.pt")
    for name in ("weights", "checkpoint", "whole", "script", "dynamic"):
        with pytest.raises(ModelError, match=rf"{name}\.pt holds a quantized network"):
            open_model(tmp_path / f"{name}.pt", architecture=Net(), trust=True)
