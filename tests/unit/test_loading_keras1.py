"""Files of Keras 0.3 to 2: old words, old layouts of kernels, against convolutions written out as loops."""

import h5py
import numpy as np
import pytest
from keras import ops

from convlens.errors import ModelError
from convlens.loading import open_model
from tests.unit.loading_files import conv2d, write_hdf5

RANDOM = np.random.default_rng(0)


def run(model, images: np.ndarray) -> np.ndarray:
    return ops.convert_to_numpy(model(images.astype("float32"), training=False))


def correlate(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(channels, height, width) with a kernel (filters, channels, rows, columns), without padding."""
    filters, _, rows, columns = kernel.shape
    height, width = image.shape[1] - rows + 1, image.shape[2] - columns + 1
    out = np.zeros((filters, height, width))
    for f in range(filters):
        for y in range(height):
            for x in range(width):
                out[f, y, x] = (image[:, y : y + rows, x : x + columns] * kernel[f]).sum()
    return out


@pytest.mark.parametrize("theano", [False, True])
def test_keras_1_channels_first(tmp_path, theano):
    """`th` kernels are (filters, channels, rows, columns), and Theano turned them while convolving."""
    kernel, bias = RANDOM.normal(size=(4, 2, 3, 3)).astype("float32"), RANDOM.normal(size=4).astype("float32")
    matrix, shift = RANDOM.normal(size=(4 * 3 * 4, 3)).astype("float32"), RANDOM.normal(size=3).astype("float32")
    config = [
        {
            "class_name": "Convolution2D",
            "config": {
                "name": "c",
                "nb_filter": 4,
                "nb_row": 3,
                "nb_col": 3,
                "border_mode": "valid",
                "subsample": [1, 1],
                "dim_ordering": "th",
                "init": "glorot_uniform",
                "W_regularizer": {"name": "WeightRegularizer", "l2": 0.1},
                "activation": "relu",
                "bias": True,
                "batch_input_shape": [None, 2, 5, 6],
            },
        },
        {"class_name": "Dropout", "config": {"name": "d", "p": 0.5}},
        {"class_name": "Flatten", "config": {"name": "f"}},
        {"class_name": "Dense", "config": {"name": "e", "output_dim": 3, "activation": "linear", "init": "uniform"}},
    ]
    end = "" if theano else ":0"
    layers = {
        "c": {f"c_W{end}": kernel, f"c_b{end}": bias},
        "d": {},
        "f": {},
        "e": {f"e_W{end}": matrix, f"e_b{end}": shift},
    }
    path = write_hdf5(tmp_path / "m.h5", {"class_name": "Sequential", "config": config}, layers, "1.1.0")
    image = RANDOM.normal(size=(2, 5, 6)).astype("float32")
    turned = kernel[:, :, ::-1, ::-1] if theano else kernel
    maps = np.maximum(correlate(image, turned) + bias[:, None, None], 0)
    expected = maps.reshape(-1) @ matrix + shift
    model = open_model(path).model
    assert model.layers[0].data_format == "channels_first"
    np.testing.assert_allclose(run(model, image[None])[0], expected, rtol=1e-4, atol=1e-4)


def test_keras_2_on_theano(tmp_path):
    kernel = RANDOM.normal(size=(3, 3, 2, 4)).astype("float32")
    entry = conv2d("c", 4, 3, (5, 5, 2), use_bias=False)
    config = {"class_name": "Sequential", "config": [entry]}
    path = write_hdf5(tmp_path / "m.h5", config, {"c": {"c/kernel": kernel}}, "2.0.4", "theano")
    image = RANDOM.normal(size=(5, 5, 2)).astype("float32")
    expected = correlate(image.transpose(2, 0, 1), kernel[::-1, ::-1].transpose(3, 2, 0, 1)).transpose(1, 2, 0)
    np.testing.assert_allclose(run(open_model(path).model, image[None])[0], expected, rtol=1e-4, atol=1e-4)


def test_keras_0_3_weights_by_number(tmp_path):
    """The oldest files number their layers and weights: layer_0/param_0."""
    kernel = RANDOM.normal(size=(2, 1, 3, 3)).astype("float32")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["nb_layers"] = 2
        file.create_group("layer_0").attrs["nb_params"] = 0
        group = file.create_group("layer_1")
        group.attrs["nb_params"] = 2
        group["param_0"], group["param_1"] = kernel, np.zeros(2, "float32")
    architecture = tmp_path / "a.json"
    architecture.write_text(
        '{"class_name": "Sequential", "config": [{"class_name": "ZeroPadding2D", "config": {"name": "p", "padding":'
        ' [0, 0], "dim_ordering": "th", "batch_input_shape": [null, 1, 4, 4]}}, {"class_name": "Convolution2D",'
        ' "config": {"name": "c", "nb_filter": 2, "nb_row": 3, "nb_col": 3, "dim_ordering": "th",'
        ' "border_mode": "valid", "activation": "linear"}}]}'
    )
    image = RANDOM.normal(size=(1, 4, 4)).astype("float32")
    model = open_model(tmp_path / "w.h5", architecture=architecture).model
    expected = correlate(image, kernel[:, :, ::-1, ::-1])
    np.testing.assert_allclose(run(model, image[None])[0], expected, rtol=1e-4, atol=1e-4)


def test_keras_1_merge_of_two_branches(tmp_path):
    def branch(name):
        return {
            "class_name": "Sequential",
            "config": [
                {
                    "class_name": "Dense",
                    "config": {"name": name, "output_dim": 2, "batch_input_shape": [None, 3], "activation": "linear"},
                }
            ],
        }

    config = [
        {
            "class_name": "Merge",
            "config": {"name": "m", "mode": "concat", "concat_axis": -1, "layers": [branch("a"), branch("b")]},
        },
        {"class_name": "Dense", "config": {"name": "c", "output_dim": 1, "activation": "linear"}},
    ]
    weights = {
        name: RANDOM.normal(size=size).astype("float32") for name, size in (("a", (3, 2)), ("b", (3, 2)), ("c", (4, 1)))
    }
    layers = {
        name: {f"{name}_W:0": value, f"{name}_b:0": np.zeros(value.shape[1], "float32")}
        for name, value in weights.items()
    }
    path = write_hdf5(tmp_path / "m.h5", {"class_name": "Sequential", "config": config}, layers, "1.2.0")
    left, right = RANDOM.normal(size=(2, 1, 3)).astype("float32")
    found = ops.convert_to_numpy(open_model(path).model([left, right], training=False))
    expected = np.concatenate([left @ weights["a"], right @ weights["b"]], -1) @ weights["c"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_hard_sigmoid_is_that_of_the_keras_that_wrote_the_file(tmp_path):
    config = {
        "class_name": "Sequential",
        "config": [
            {
                "class_name": "Activation",
                "config": {"name": "a", "activation": "hard_sigmoid", "batch_input_shape": [None, 5]},
            },
            {"class_name": "Dense", "config": {"name": "d", "units": 5, "use_bias": False}},
        ],
    }
    path = write_hdf5(
        tmp_path / "m.h5", config, {"d": {"d/kernel:0": np.eye(5, dtype="float32")}}, "2.2.4", "tensorflow"
    )
    x = np.array([[-3, -1, 0, 1, 3]], "float32")
    np.testing.assert_allclose(run(open_model(path).model, x)[0], [0, 0.3, 0.5, 0.7, 1], atol=1e-6)


def test_lstm_of_keras_1_in_twelve_pieces(tmp_path):
    """Keras 1 kept a kernel, a recurrent kernel and a bias for each of the gates i, c, f, o."""
    units, features, steps = 2, 3, 4
    gates = {
        g: [RANDOM.normal(size=s).astype("float32") for s in ((features, units), (units, units), (units,))]
        for g in "icfo"
    }
    config = [
        {
            "class_name": "LSTM",
            "config": {
                "name": "l",
                "output_dim": units,
                "activation": "tanh",
                "inner_activation": "hard_sigmoid",
                "inner_init": "orthogonal",
                "return_sequences": False,
                "consume_less": "cpu",
                "batch_input_shape": [None, steps, features],
            },
        }
    ]
    weights = {f"l_{part}_{g}:0": gates[g][k] for g in "icfo" for k, part in enumerate("WUb")}
    path = write_hdf5(tmp_path / "m.h5", {"class_name": "Sequential", "config": config}, {"l": weights}, "1.0.8")
    x = RANDOM.normal(size=(steps, features)).astype("float32")
    h, c = np.zeros(units), np.zeros(units)
    for step in x:
        z = {g: step @ w + h @ u + b for g, (w, u, b) in gates.items()}
        i, f, o = (np.clip(0.2 * z[g] + 0.5, 0, 1) for g in "ifo")
        c = f * c + i * np.tanh(z["c"])
        h = o * np.tanh(c)
    np.testing.assert_allclose(run(open_model(path).model, x[None])[0], h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (
            {"class_name": "BatchNormalization", "config": {"name": "b", "mode": 1, "batch_input_shape": [None, 3]}},
            "mode=1",
        ),
        (
            {"class_name": "MaxoutDense", "config": {"name": "b", "output_dim": 3, "batch_input_shape": [None, 3]}},
            "custom=MODULE:MaxoutDense",
        ),
    ],
)
def test_what_has_no_equivalent_is_said(tmp_path, layer, words):
    path = write_hdf5(tmp_path / "m.h5", {"class_name": "Sequential", "config": [layer]}, {}, "1.2.0")
    with pytest.raises(ModelError, match=words):
        open_model(path)


@pytest.mark.parametrize("padding", [[1, 0, 2, 1], {"top_pad": 1, "left_pad": 2, "right_pad": 1}])
def test_padding_of_four_sides(tmp_path, padding):
    layers = [
        {"class_name": "ZeroPadding2D", "config": {"name": "p", "padding": padding, "dim_ordering": "tf"}},
        {
            "class_name": "Convolution2D",
            "config": {"name": "c", "nb_filter": 1, "nb_row": 1, "nb_col": 1, "bias": False},
        },
    ]
    layers[0]["config"]["batch_input_shape"] = [None, 2, 2, 1]
    weights = {"c": {"c_W:0": np.full((1, 1, 1, 1), 2, "float32")}}
    path = write_hdf5(tmp_path / "m.h5", {"class_name": "Sequential", "config": layers}, weights, "1.2.0")
    found = run(open_model(path).model, np.ones((1, 2, 2, 1)))[0, :, :, 0]
    np.testing.assert_array_equal(found, [[0, 0, 0, 0, 0], [0, 0, 2, 2, 0], [0, 0, 2, 2, 0]])
