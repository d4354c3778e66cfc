"""Architectures rewritten as data: each cause that Keras 3 stumbles over, against what the layers compute by hand."""

import gzip
import json
import pickle
import sys
import tarfile
import zipfile
from io import BytesIO

import keras
import numpy as np
import pytest
from keras import ops

from convlens.errors import ModelError
from convlens.loading import find_source, open_model
from tests.unit.loading_files import conv2d, write_hdf5

RANDOM = np.random.default_rng(0)


def run(model, *inputs) -> np.ndarray:
    arrays = [np.asarray(value, "float32") for value in inputs]
    return ops.convert_to_numpy(model(arrays[0] if len(arrays) == 1 else arrays, training=False))


def functional(layers, inputs, outputs, kind="Functional"):
    return {
        "class_name": kind,
        "config": {"name": "m", "layers": layers, "input_layers": inputs, "output_layers": outputs},
    }


def source(name, shape):
    return {
        "class_name": "InputLayer",
        "name": name,
        "config": {"name": name, "batch_input_shape": [None, *shape], "dtype": "float32", "sparse": False},
        "inbound_nodes": [],
    }


def dense(name, nodes, units=2, **more):
    config = {"name": name, "units": units, "use_bias": False, "activation": "linear"} | more
    return {"class_name": "Dense", "name": name, "config": config, "inbound_nodes": nodes}


def kernel(rows=3, columns=2):
    return RANDOM.normal(size=(rows, columns)).astype("float32")


def test_sequential_as_a_list_with_what_no_longer_parses(tmp_path):
    """A list for a config, arguments with batch axes on every layer, initializers and constraints that are gone."""
    w = RANDOM.normal(size=(1, 1, 2, 3)).astype("float32")
    entry = conv2d("c", 3, 1, (4, 4, 2), use_bias=False)
    entry["config"]["kernel_initializer"] = {"class_name": "Gone", "config": {"a": 1}}
    entry["config"]["kernel_constraint"] = {"class_name": "Old", "config": {}}
    again = conv2d("d", 3, 1, (4, 4, 3), use_bias=False, kernel_regularizer={"class_name": "L1L2", "config": {"l2": 9}})
    config = {"class_name": "Sequential", "config": [entry, again]}
    path = write_hdf5(
        tmp_path / "m.h5",
        config,
        {"c": {"c/kernel:0": w}, "d": {"d/kernel:0": w[:, :, [0, 0, 0]]}},
        "2.1.0",
        "tensorflow",
    )
    x = RANDOM.normal(size=(1, 4, 4, 2)).astype("float32")
    loaded = open_model(path)
    assert loaded.framework == find_source(path).framework == "keras"
    np.testing.assert_allclose(run(loaded.model, x), x @ w[0, 0] @ w[0, 0][[0, 0, 0]], rtol=1e-4, atol=1e-5)


def test_nested_models_that_put_out_lists_called_by_numbers_of_elsewhere(tmp_path):
    """Keras 2 counted calls outside of the model too: the first call of the nested model here is its number 1."""
    a, b = kernel(), kernel(2, 2)
    inner = functional([source("x", (3,)), dense("a", [[["x", 0, 0, {}]]])], [["x", 0, 0]], [["a", 0, 0]], "Model")
    nested = {
        "class_name": "Model",
        "name": "inner",
        "config": inner["config"] | {"name": "inner"},
        "inbound_nodes": [[["y", 0, 0, {}]]],
    }
    layers = [source("y", (3,)), nested, dense("b", [[["inner", 1, 0, {}]]])]
    config = functional(layers, [["y", 0, 0]], [["b", 0, 0]], "Model")
    weights = {"y": {}, "inner": {"a/kernel:0": a}, "b": {"b/kernel:0": b}}
    path = write_hdf5(tmp_path / "m.h5", config, weights, "2.1.0", "tensorflow")
    x = RANDOM.normal(size=(2, 3))
    np.testing.assert_allclose(run(open_model(path).model, x), x @ a @ b, rtol=1e-4, atol=1e-5)


def test_shared_layer_called_twice_out_of_order(tmp_path):
    a = kernel(3, 3)
    layers = [
        {
            "class_name": "Add",
            "name": "sum",
            "config": {"name": "sum"},
            "inbound_nodes": [[["a", 0, 0, {}], ["a", 1, 0, {}]]],
        },
        dense("a", [[["p", 0, 0, {}]], [["q", 0, 0, {}]]], 3),
        source("p", (3,)),
        source("q", (3,)),
    ]
    config = functional(layers, [["p", 0, 0], ["q", 0, 0]], [["sum", 0, 0]])
    path = write_hdf5(tmp_path / "m.h5", config, {"a": {"a/kernel:0": a}}, "2.8.0", "tensorflow")
    p, q = RANDOM.normal(size=(2, 1, 3))
    np.testing.assert_allclose(run(open_model(path).model, p, q), (p + q) @ a, rtol=1e-4, atol=1e-5)


def test_operations_of_tensorflow_in_a_model(tmp_path):
    """x / 127.5 - 1, a slice and a ReLU6, as tf.keras wrote them between layers."""

    def operation(name, function, node, kind="TFOpLambda"):
        return {
            "class_name": kind,
            "name": name,
            "config": {"name": name, "function": function},
            "inbound_nodes": [node],
        }

    whole = {"start": None, "stop": None, "step": None}
    layers = [
        source("x", (4,)),
        operation("tf.math.truediv", "math.truediv", ["x", 0, 0, {"y": 127.5, "name": None}]),
        operation("tf.math.subtract", "math.subtract", ["tf.math.truediv", 0, 0, {"y": 1.0, "name": None}]),
        operation(
            "slice",
            "__operators__.getitem",
            ["tf.math.subtract", 0, 0, {"slice_spec": [whole, {"start": 1, "stop": None, "step": None}]}],
            "SlicingOpLambda",
        ),
        operation("tf.concat", "concat", [["slice", 0, 0, {"axis": -1}], ["x", 0, 0, {"axis": -1}]]),
        operation("tf.nn.relu6", "nn.relu6", ["tf.concat", 0, 0, {"name": None}]),
        dense("d", [[["tf.nn.relu6", 0, 0, {}]]]),
    ]
    w = kernel(7, 2)
    path = write_hdf5(
        tmp_path / "m.h5", functional(layers, [["x", 0, 0]], [["d", 0, 0]]), {"d": {"d/kernel:0": w}}, "2.4.0"
    )
    x = RANDOM.uniform(-300, 300, size=(3, 4))
    expected = np.clip(np.concatenate([(x / 127.5 - 1)[:, 1:], x], -1), 0, 6) @ w
    np.testing.assert_allclose(run(open_model(path).model, x), expected, rtol=1e-4, atol=1e-4)
    layers[1]["config"]["function"] = "io.read_file"
    path = write_hdf5(tmp_path / "n.h5", functional(layers, [["x", 0, 0]], [["d", 0, 0]]), {}, "2.4.0")
    with pytest.raises(ModelError, match=r"calls TensorFlow's io\.read_file"):
        open_model(path)


@pytest.mark.parametrize("kind", ["Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D"])
def test_channels_first_as_wide_as_there_are_filters(tmp_path, kind):
    """Keras on TensorFlow adds the bias along the width here; the twin is the same layer with the channels last."""
    options = {"kernel_size": 3, "padding": "same"} | ({} if kind == "DepthwiseConv2D" else {"filters": 4})
    last = getattr(keras.layers, kind)(**options)
    last.build((None, 4, 4, 4))
    values = [RANDOM.normal(size=weight.shape).astype("float32") for weight in last.weights]
    last.set_weights(values)
    config = {"name": "c", "data_format": "channels_first", "activation": "relu", "batch_input_shape": [None, 4, 4, 4]}
    model = {"class_name": "Sequential", "config": [{"class_name": kind, "config": options | config}]}
    weights = {"c": {f"c/{place}:0": value for place, value in enumerate(values)}}
    found = open_model(write_hdf5(tmp_path / "m.h5", model, weights, "2.2.4", "tensorflow")).model
    x = RANDOM.normal(size=(2, 4, 4, 4)).astype("float32")
    expected = np.maximum(run(last, x.transpose(0, 2, 3, 1)), 0).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(run(found, x), expected, rtol=1e-4, atol=1e-4)


def small(classes=2):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(4, 3, name="c"),
            keras.layers.BatchNormalization(name="b"),
            keras.layers.Flatten(name="f"),
            keras.layers.Dense(classes, name="d"),
        ]
    )


def test_keras_3_file_with_arguments_that_keras_dropped_and_odd_storing(tmp_path):
    """The architecture of a .keras file is rewritten too; its weights may lie under the names of tf.keras 2.12."""
    import h5py

    model = small()
    model.save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "r+") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
    config = json.loads(model.to_json())
    config["config"]["layers"].insert(
        1,
        {
            "module": "keras.layers",
            "class_name": "RandomRotation",
            "registered_name": None,
            "config": {"name": "r", "factor": [-0.1, 0.1], "value_range": [0, 255], "seed": None},
        },
    )
    (tmp_path / "a.json").write_text(json.dumps(config))
    loaded = open_model(tmp_path / "a.json", weights=tmp_path / "w.weights.h5")
    x = RANDOM.uniform(size=(2, 6, 6, 3))
    np.testing.assert_array_equal(run(loaded.model, x), run(model, x))
    assert loaded.notes == ()
    assert [layer.name for layer in loaded.model.layers] == ["r", "c", "b", "f", "d"]


def test_partial_weights_are_said_by_name(tmp_path):
    model = small()
    layers = {
        "c": {"c/kernel:0": model.layers[0].get_weights()[0], "c/bias:0": np.ones(4, "float32")},
        "gone": {"gone/k:0": np.ones(3)},
    }
    path = write_hdf5(tmp_path / "m.h5", json.loads(model.to_json()), layers, "3.0.0", "tensorflow")
    with pytest.raises(ModelError, match=r"m\.h5 has none for b, d, and no layer takes those that it has for gone;"):
        open_model(path)
    del layers["gone"]
    path = write_hdf5(tmp_path / "m.h5", json.loads(model.to_json()), layers, "3.0.0", "tensorflow")
    loaded = open_model(path)
    assert loaded.notes == ("no weights in m.h5 for b, d: these layers are untrained",)
    assert [layer.name for layer in loaded.untrained] == ["b", "d"]
    np.testing.assert_array_equal(loaded.model.layers[0].get_weights()[1], 1)


def test_weights_of_layers_with_other_names_go_by_their_order(tmp_path):
    values = [kernel(3, 3), kernel(3, 3)]
    layers = {"dense_7": {"dense_7/kernel:0": values[0]}, "dense_8": {"dense_8/kernel:0": values[1]}}
    path = write_hdf5(tmp_path / "w.h5", None, layers, "2.1.0", "tensorflow")
    known = keras.Sequential([keras.Input((3,)), *(keras.layers.Dense(3, use_bias=False) for _ in range(2))])
    before = known.get_weights()
    found = open_model(path, architecture=known).model
    x = RANDOM.normal(size=(1, 3))
    np.testing.assert_allclose(run(found, x), x @ values[0] @ values[1], rtol=1e-4, atol=1e-5)
    for kept, now in zip(before, known.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_pairs_of_architecture_and_weights(tmp_path):
    model = small()
    (tmp_path / "net.json").write_text(model.to_json())
    with pytest.raises(ModelError, match="without weights, and none lie beside it; give weights=FILE"):
        open_model(tmp_path / "net.json")
    assert "untrained" in open_model(tmp_path / "net.json", weights="random").notes[0]
    model.save_weights(tmp_path / "one.weights.h5")
    loaded = open_model(tmp_path / "net.json")
    assert loaded.notes == ("weights taken from one.weights.h5, which lies beside net.json",)
    model.save_weights(tmp_path / "two.weights.h5")
    with pytest.raises(ModelError, match=r"several lie beside it \(one\.weights\.h5, two\.weights\.h5\)"):
        open_model(tmp_path / "net.json")
    model.save_weights(tmp_path / "net.weights.h5")
    x = RANDOM.uniform(size=(2, 6, 6, 3))
    np.testing.assert_array_equal(run(open_model(tmp_path / "net.json").model, x), run(model, x))
    with pytest.raises(ModelError, match=r"holds weights alone; give architecture=FILE\.json, keras:NAME or module"):
        open_model(tmp_path / "one.weights.h5")


def test_yaml_architecture(tmp_path):
    w = kernel(3, 2)
    (tmp_path / "a.yaml").write_text(
        "backend: tensorflow\nclass_name: Sequential\nconfig:\n- class_name: Dense\n  config:\n"
        "    activation: linear\n    batch_input_shape: !!python/tuple [null, 3]\n    name: d\n    units: 2\n"
        "    use_bias: false\nkeras_version: 2.0.6\n"
    )
    write_hdf5(tmp_path / "a.h5", None, {"d": {"d/kernel:0": w}}, "2.0.6", "tensorflow")
    x = RANDOM.normal(size=(2, 3))
    np.testing.assert_allclose(run(open_model(tmp_path / "a.yaml").model, x), x @ w, rtol=1e-5, atol=1e-6)


def test_metadata_and_labels_beside_a_model(tmp_path):
    small().save(tmp_path / "m.keras")
    (tmp_path / "m.json").write_text(json.dumps({"preprocessing": "rescale", "labels": ["cat", "dog"]}))
    loaded = open_model(tmp_path / "m.keras")
    assert (loaded.preprocessing, loaded.labels) == ("rescale", ("cat", "dog"))
    assert loaded.preprocessing_source == "metadata file m.json"
    (tmp_path / "m.json").write_text(json.dumps({"preprocessing": "recsale"}))
    with pytest.raises(ModelError, match="did you mean rescale"):
        open_model(tmp_path / "m.keras")
    (tmp_path / "m.json").unlink()
    (tmp_path / "labels.txt").write_text("0 Katze\n1 Hund\n")
    assert open_model(tmp_path / "m.keras").labels == ("Katze", "Hund")
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\n")
    loaded = open_model(tmp_path / "m.keras")
    assert loaded.labels is None
    assert "has 4 names for 2 classes" in loaded.notes[0]


def test_custom_layers_are_the_users(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import keras\nclass Double(keras.layers.Layer):\n    def call(self, x):\n        return 2 * x\n"
        "def make():\n    return keras.Sequential([keras.Input((3,)), Double()])\n"
    )
    config = {
        "class_name": "Sequential",
        "config": [
            {
                "class_name": "Dense",
                "config": {"name": "d", "units": 2, "use_bias": False, "batch_input_shape": [None, 3]},
            },
            {"class_name": "Custom>Double", "config": {"name": "t"}},
        ],
    }
    w = kernel()
    path = write_hdf5(tmp_path / "m.h5", config, {"d": {"d/kernel:0": w}}, "2.8.0")
    with pytest.raises(
        ModelError, match="layer t is of the class 'Double', which is not Keras's; give custom=MODULE:Double"
    ):
        open_model(path)
    monkeypatch.chdir(tmp_path)
    x = RANDOM.normal(size=(1, 3))
    np.testing.assert_allclose(run(open_model(path, custom=["mine:Double"]).model, x), 2 * x @ w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(open_model("mine:make").model, x), 2 * x, rtol=1e-6)
    with pytest.raises(ModelError, match="mine has no nothing"):
        open_model("mine:nothing")
    sys.modules.pop("mine")


ONNX = b"\x08\x07\x12\x07pytorch\x3a\x04\x12\x02ab\x42\x02\x10\x0d"  # version, producer, graph, operators
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 98765\n"


def zipped(*names: str) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return buffer.getvalue()


def tarred(*names: str) -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), BytesIO())
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.h5", None, "no such file"),
        ("a.h5", b"", "is empty"),
        ("a.h5", b"\xff\xd8\xff\xe0 a photo", "is not a model"),
        ("a.json", b'{"some": "thing"}', "no architecture of a Keras model"),
        ("a.json", b'{"class_name": "Sequential", "config": [', "is damaged"),
        ("a.tflite", b"\x1c\x00\x00\x00TFL3" + bytes(64), "TensorFlow Lite"),
        ("a.onnx", ONNX, "ONNX"),
        ("a.onnx", b"\x08\x07\x12\x07pytorch\x1a\x05" + bytes(64), "of no known kind"),  # no such message
        ("a.bin", b"\x08\x12" + bytes(64), "of no known kind"),
        ("saved_model.pb", b"\x08\x01\x12\x06\x0a\x04\x0a\x02\x08\x01", "one file of a TensorFlow SavedModel"),
        (
            "keras_metadata.pb",
            b"\x0a\x15\x10\x00\x1a\x04root\x22\x0b_tf_keras_x",
            "one file of a TensorFlow SavedModel",
        ),
        ("model.h5", LFS, "a Git LFS pointer, .* 98,765 bytes .* git lfs pull"),
        ("model.h5", b"\n<!DOCTYPE html>\n<html><head><title>Download</title>", "an HTML page"),
        ("model.pt", b"<html lang=en>", "an HTML page"),
        ("model.h5.gz", gzip.compress(b"\x89HDF"), "a gzip archive; unpack it"),
        (
            "model.zip",
            zipped("m/model.h5", "m/labels.txt", "__MACOSX/m/._model.h5"),
            r"zip archive .* with m/model\.h5 in",
        ),
        ("model.zip", zipped("m/saved_model.pb", "m/variables/v.index"), r"with m/saved_model\.pb in it; unpack it"),
        ("model.tar", tarred("m/net.pth", "m/readme"), r"a tar archive, with m/net\.pth in it; unpack it"),
        ("a.zip", b"PK\x05\x06" + bytes(18), "zip archive, but not of a model"),
    ],
)
def test_what_is_no_model(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=words) as caught:
        open_model(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickled_keras_models_are_told(tmp_path, protocol):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(small(), protocol=protocol))
    with pytest.raises(ModelError, match=r"a pickled Keras model.*model\.save"):
        open_model(path)


def test_a_folder_with_a_model_in_it_names_it(tmp_path):
    (tmp_path / "net.keras").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"is a folder, and it holds net\.keras; name the model file"):
        open_model(tmp_path)


def test_saved_model_folder_says_what_to_do(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(ModelError, match=r"SavedModel.*model\.save"):
        open_model(tmp_path)


def test_architecture_without_an_input_shape(tmp_path):
    config = {"class_name": "Sequential", "config": [conv2d("c", 3, 1, use_bias=False)]}
    path = write_hdf5(tmp_path / "m.h5", config, {"c": {"c/kernel:0": np.ones((1, 1, 2, 3), "float32")}}, "2.1.0")
    with pytest.raises(ModelError, match="does not say what it takes as input"):
        open_model(path)


def test_teachable_machine_is_recognized(tmp_path):
    inner = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(2, 3)], name="model1")
    first = keras.Sequential([keras.Input((6, 6, 3)), inner, keras.layers.GlobalAveragePooling2D()])
    second = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
    keras.Sequential([keras.Input((6, 6, 3)), first, second]).save(tmp_path / "keras_model.keras")
    (tmp_path / "labels.txt").write_text("0 left\n1 right\n")
    loaded = open_model(tmp_path / "keras_model.keras")
    assert (loaded.preprocessing, loaded.labels) == ("tf", ("left", "right"))


def chained(second: int, last: int) -> dict:
    """x -> d -> e -> d -> out, with the numbers of d's calls as `second` (taken by e) and `last` (the output) say."""
    dense = {"use_bias": False, "units": 2, "trainable": True}
    entries = [
        source("x", (2,)),
        {
            "class_name": "Dense",
            "name": "d",
            "config": {"name": "d", **dense},
            "inbound_nodes": [[["x", 0, 0, {}]], [["e", 0, 0, {}]]],
        },
        {
            "class_name": "Dense",
            "name": "e",
            "config": {"name": "e", **dense},
            "inbound_nodes": [[["d", second, 0, {}]]],
        },
    ]
    return functional(entries, [["x", 0, 0]], [["d", last, 0]])


@pytest.mark.parametrize("calls", [(0, 1), (0, 0)])
def test_calls_that_were_all_numbered_0_are_told_apart_where_one_way_is_possible(tmp_path, calls):
    """Keras 3.2 wrote 0 for all calls of a layer."""
    d, e = kernel(2, 2), kernel(2, 2)
    path = write_hdf5(tmp_path / "m.h5", chained(*calls), {"d": {"d/kernel:0": d}, "e": {"e/kernel:0": e}}, "3.2.0")
    x = RANDOM.normal(size=(1, 2))
    np.testing.assert_allclose(run(open_model(path).model, x), x @ d @ e @ d, rtol=1e-4, atol=1e-5)


def test_calls_that_cannot_be_told_apart_are_refused(tmp_path):
    """One layer on two inputs, and a difference: which is taken from which is not in the file."""
    both = [[["x", 0, 0, {}]], [["y", 0, 0, {}]]]
    entries = [
        source("x", (2,)),
        source("y", (2,)),
        {"class_name": "Dense", "name": "d", "config": {"name": "d", "units": 2}, "inbound_nodes": both},
        {
            "class_name": "Subtract",
            "name": "s",
            "config": {"name": "s"},
            "inbound_nodes": [[["d", 0, 0, {}], ["d", 0, 0, {}]]],
        },
    ]
    config = functional(entries, [["x", 0, 0], ["y", 0, 0]], [["s", 0, 0]])
    path = write_hdf5(tmp_path / "m.h5", config, {"d": {"d/kernel:0": kernel(2, 2), "d/bias:0": np.ones(2)}}, "3.2.0")
    with pytest.raises(ModelError, match="does not say which call of d goes where"):
        open_model(path)
