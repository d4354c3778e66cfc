"""Files that want to run code, read other files or eat the memory."""

import base64
import json
import os
import pickle
import zipfile
from io import BytesIO
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from convlens.errors import ModelError
from convlens.loading import open_model
from tests.unit.loading_files import conv2d, write_hdf5

CODES = json.loads((Path(__file__).parent / "test_loading_lambdas.json").read_text())


class Exploit:
    def __reduce__(self):
        return (os.system, ("echo pwned > pwned",))


@pytest.fixture(autouse=True)
def untouched(tmp_path, monkeypatch):
    """Nothing is written into the current folder, whatever is opened."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "pwned").exists()


def keras_zip(path: Path, config: dict) -> Path:
    """A Keras 3 file with this architecture and no weights."""
    weights = BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", '{"keras_version": "3.5.0"}')
        archive.writestr("model.weights.h5", weights.getvalue())
    return path


def sequential(*layers: dict) -> dict:
    entry = {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "name": "x"}}
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [entry, *layers]}}


@pytest.mark.parametrize("version", CODES)
def test_lambda_with_a_command_is_refused_and_shown(tmp_path, version):
    layer = {
        "class_name": "Lambda",
        "config": {
            "name": "evil",
            "function": {
                "class_name": "__lambda__",
                "config": {"code": CODES[version]["malicious"], "defaults": None, "closure": None},
            },
        },
    }
    with pytest.raises(ModelError, match="the Lambda layer evil holds Python code") as caught:
        open_model(keras_zip(tmp_path / "m.keras", sequential(layer)))
    assert "echo pwned > pwned" in str(caught.value)
    assert "trust=True" in str(caught.value)


def test_old_lambda_in_hdf5(tmp_path):
    text = base64.b64decode(CODES["3.6"]["malicious"]).decode("raw_unicode_escape")
    config = {
        "class_name": "Sequential",
        "config": [
            {
                "class_name": "Lambda",
                "config": {
                    "name": "evil",
                    "function": [text, None, None],
                    "function_type": "lambda",
                    "batch_input_shape": [None, 4],
                },
            }
        ],
    }
    with pytest.raises(ModelError, match="the Lambda layer evil holds Python code"):
        open_model(write_hdf5(tmp_path / "m.h5", config, {}, "2.0.0"))


LAYERS = {
    "is of the class 'system', which is not Keras's": {"module": "os", "class_name": "system", "config": {"a": "b"}},
    "damaged architecture": {"module": "builtins", "class_name": "function", "config": "eval"},
    "TFSMLayer, which runs or reads": {"class_name": "TFSMLayer", "config": {"filepath": "/etc"}},
    "TorchModuleWrapper, which runs": {"class_name": "TorchModuleWrapper", "config": {"module": "gASVAAAA"}},
    "StringLookup, which runs or reads": {"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
    "is of the class 'get_file'": {"module": "keras.utils", "class_name": "get_file", "config": {"origin": "http://x"}},
    "activation 'system' is not Keras's": {
        "class_name": "Dense",
        "config": {"units": 2, "activation": {"module": "os", "class_name": "function", "config": "system"}},
    },
    "is not Keras's|holds Python code|is a Python function": {
        "class_name": "Dense",
        "config": {"units": 2, "kernel": {"class_name": "__lambda__", "config": {"code": "AAAA"}}},
    },
}


@pytest.mark.parametrize("words", LAYERS)
def test_names_in_a_file_reach_nothing_but_layers(tmp_path, words):
    with pytest.raises(ModelError, match=words):
        open_model(keras_zip(tmp_path / "m.keras", sequential(LAYERS[words])))


def test_archive_whose_names_climb_is_never_unpacked(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    folder = tmp_path / "inner"
    folder.mkdir()
    model.save(folder / "m.keras")
    with zipfile.ZipFile(folder / "m.keras", "a") as archive:
        archive.writestr("../pwned", "x")
        archive.writestr("assets/../../pwned", "x")
    open_model(folder / "m.keras")
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["inner", "m.keras"]


def test_archive_that_swells(tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", " " * (200 << 20))
    with pytest.raises(ModelError, match="claims 209,715,200 bytes"):
        open_model(path)


def test_hdf5_that_claims_100_gigabytes(tmp_path):
    config = {"class_name": "Sequential", "config": [conv2d("c", 3, 1, (4, 4, 2), use_bias=False)]}
    path = write_hdf5(tmp_path / "m.h5", config, {"c": {"c/kernel:0": np.ones((1, 1, 2, 3), "float32")}}, "2.1.0")
    with h5py.File(path, "r+") as file:
        del file["model_weights/c/c/kernel:0"]
        file["model_weights/c"].create_dataset("c/kernel:0", shape=(25_000_000_000,), dtype="float32", chunks=(1024,))
    with pytest.raises(ModelError, match=r"claims 100\.0 GB .* and stores 0 bytes; refused"):
        open_model(path)


@pytest.mark.parametrize("kind", ["external", "soft"])
def test_hdf5_that_points_elsewhere(tmp_path, kind):
    config = {"class_name": "Sequential", "config": [conv2d("c", 3, 1, (4, 4, 2), use_bias=False)]}
    path = write_hdf5(tmp_path / "m.h5", config, {"c": {"c/kernel:0": np.ones((1, 1, 2, 3), "float32")}}, "2.1.0")
    with h5py.File(path, "r+") as file:
        link = h5py.ExternalLink("/etc/hostname", "/x") if kind == "external" else h5py.SoftLink("/model_weights")
        file["model_weights/c/more"] = link
    with pytest.raises(ModelError, match="a link to elsewhere"):
        open_model(path)


def test_hdf5_whose_values_lie_in_another_file(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(64))
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["layer_names"] = np.array([b"c"])
        file.create_dataset("c/k", (16,), "float32", external=[("secret", 0, 64)])
    with pytest.raises(ModelError, match="keeps its values in another file"):
        open_model(tmp_path / "w.h5")


def test_architecture_that_asks_for_a_huge_layer(tmp_path):
    layer = {"class_name": "Dense", "config": {"name": "d", "units": 9_000_000}}
    entry = {"class_name": "Dense", "config": {"name": "e", "units": 900_000, "batch_input_shape": [None, 4]}}
    config = {"class_name": "Sequential", "config": [entry, layer]}
    path = write_hdf5(tmp_path / "m.h5", config, {"d": {"d/kernel:0": np.ones((4, 4), "float32")}}, "2.1.0")
    with pytest.raises(ModelError, match=r"wants .* numbers in one weight, more than the file has"):
        open_model(path)


def test_yaml_that_builds_objects_or_swells(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("class_name: Sequential\nconfig: !!python/object/apply:os.system ['echo pwned > pwned']\n")
    with pytest.raises(ModelError, match="does not read"):
        open_model(path)
    lines = ["a0: &a0 [1, 1]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    path.write_text("class_name: Sequential\n" + "\n".join(lines) + "\nconfig: *a39\n")
    with pytest.raises(ModelError, match="stands for more than"):
        open_model(path)


def test_json_nested_without_end(tmp_path):
    (tmp_path / "a.json").write_text('{"class_name": "Sequential", "config": ' + "[" * 200_000 + "]" * 200_000 + "}")
    with pytest.raises(ModelError):
        open_model(tmp_path / "a.json", weights="random")


def test_pickle_is_recognized_and_not_opened(tmp_path):
    torch = pytest.importorskip("torch")
    from convlens.loading.sniff import sniffed
    from convlens.loading.torch.checkpoints import read_content

    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Exploit(), 2))
    torch.save({"state_dict": Exploit()}, tmp_path / "zip.pt")
    torch.save(Exploit(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("plain.pt", "zip.pt", "old.pt"):
        path = tmp_path / name
        with pytest.raises(ModelError, match=r"would run code|damaged PyTorch file"):
            read_content(sniffed(path), trust=False)


def test_pickle_inside_torchscript_is_not_run(tmp_path):
    pytest.importorskip("torch")
    from convlens.loading.torch.archives import script_weights

    with zipfile.ZipFile(tmp_path / "s.pt", "w") as archive:
        archive.writestr("s/data.pkl", pickle.dumps(Exploit(), 2))
        archive.writestr("s/constants.pkl", pickle.dumps((), 2))
        archive.writestr("s/code/__torch__.py", "")
    with pytest.raises(ModelError, match=r"damaged TorchScript file \(it asks for"):
        script_weights(tmp_path / "s.pt")
