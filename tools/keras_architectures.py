"""Small networks of many architectures, written by whatever Keras is installed, with what it computes of them.

    python keras_architectures.py FOLDER

Runs in an environment of its own, with TensorFlow 2.12 to 2.15 (its own Keras) or Keras 3 on any backend, and needs
nothing else. Into FOLDER it writes, for each architecture NAME, `NAME.keras`, `NAME.weights.h5`,
`NAME.h5` and `NAME.json` (the architecture alone) where it can, and `NAME.npy`: the outputs for `inputs()`, float32
(2, units), of the network in memory. Not every version reads all of its own files. Weights are drawn from a seed, large
enough that layers with the weights of others put out something else.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np

VERSION = keras.__version__
if VERSION < "3":
    from tensorflow import keras

layers = keras.layers
register = getattr(keras, "saving", keras.utils).register_keras_serializable
SIZE = 12  # pixels; images are (SIZE, SIZE, 3)


def inputs(size=SIZE):
    """Two images, float32 (2, size, size, 3) in 0-1."""
    return np.random.default_rng(7).uniform(0, 1, (2, size, size, 3)).astype("float32")


def image():
    return keras.Input((SIZE, SIZE, 3))


def sequential():
    """The plainest network, trained for a step, so that the file holds an optimizer's state too."""
    model = keras.Sequential(
        [
            image(),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.5),
            layers.Conv2D(4, 3, padding="same"),
            layers.Flatten(),
            layers.Dense(5, activation="relu"),
            layers.Dense(5, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.train_on_batch(inputs(), np.eye(3, dtype="float32")[:2])
    return model


def deferred():
    """A Sequential model that starts without an input, and is built by its first call."""
    model = keras.Sequential([layers.Conv2D(3, 3), layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(2)])
    model(inputs())
    return model


def branches():
    """Branches that are merged in another order than they were made in."""
    start = image()
    left = layers.Conv2D(3, 3, padding="same", activation="relu")(start)
    right = layers.Conv2D(3, 3, padding="same", activation="relu")(start)
    right = layers.Conv2D(3, 3, padding="same")(right)
    short = layers.Conv2D(3, 3, padding="same")(start)
    merged = layers.concatenate([layers.add([right, short]), left])
    merged = layers.Conv2D(3, 3, padding="same")(merged)
    pooled = layers.concatenate([layers.GlobalMaxPooling2D()(merged), layers.GlobalAveragePooling2D()(left)])
    return keras.Model(start, layers.Dense(3)(layers.Dense(3)(pooled)))


def nested():
    """Models in models: augmentation, a functional part, two Sequential parts."""
    augment = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])
    inner = keras.Input((SIZE, SIZE, 3))
    tensor = layers.Conv2D(3, 3, padding="same")(inner)
    tensor = layers.Conv2D(3, 3, padding="same")(tensor)
    deep = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Conv2D(3, 3, padding="same"), layers.ReLU()])
    backbone = keras.Model(inner, deep(tensor), name="backbone")
    start = image()
    tensor = backbone(augment(start))
    tensor = layers.Conv2D(3, 3)(tensor)
    shape = tuple(tensor.shape)[1:]
    tensor = keras.Sequential([keras.Input(shape), layers.Conv2D(3, 3), layers.BatchNormalization()])(tensor)
    head = keras.Sequential([keras.Input((3,)), layers.Dense(3, activation="relu"), layers.Dense(2)], name="head")
    return keras.Model(start, head(layers.GlobalAveragePooling2D()(tensor)))


def shared():
    """Layers and a model that are called twice, and one layer that is also part of an inner model."""
    start = image()
    same = layers.Conv2D(3, 3, padding="same", activation="tanh")
    inside = keras.Input((SIZE, SIZE, 3))
    both = keras.Model(inside, layers.Conv2D(3, 1)(same(inside)))
    tensor = layers.Conv2D(3, 3, padding="same")(start)
    tensor = both(same(layers.Conv2D(3, 3, padding="same")(same(tensor))))
    tensor = layers.Conv2D(3, 3, padding="same")(both(tensor))
    dense = layers.Dense(3, activation="tanh")
    tensor = dense(dense(layers.GlobalAveragePooling2D()(tensor)))
    return keras.Model(start, layers.Dense(2)(tensor))


def separable():
    return keras.Sequential(
        [
            image(),
            layers.SeparableConv2D(4, 3, activation="relu"),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.SeparableConv2D(4, 3, depth_multiplier=2, use_bias=False),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
            layers.Conv2D(4, 3, groups=2, padding="same"),
            layers.Conv2DTranspose(4, 3, use_bias=False),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )


def normalized():
    """All kinds of normalization, adapted to data where they are, some of them frozen."""
    adapted = layers.Normalization()
    adapted.adapt(3 * inputs())
    model = keras.Sequential(
        [
            image(),
            layers.Rescaling(2.0, offset=-0.5),
            adapted,
            layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
            layers.Conv2D(3, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Conv2D(3, 3, use_bias=False),
            layers.BatchNormalization(scale=False),
            layers.PReLU(shared_axes=[1, 2]),
            layers.LayerNormalization(),
            layers.BatchNormalization(center=False),
            layers.LayerNormalization(scale=False),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    model.layers[4].trainable = False
    return model


def recurrent():
    """Recurrent layers on the rows of a convolution's output."""
    start = image()
    tensor = layers.Conv2D(3, 3, strides=2, activation="relu")(start)
    tensor = layers.TimeDistributed(layers.Conv1D(3, 2))(tensor)
    tensor = layers.Reshape((-1, 12))(tensor)
    tensor = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(tensor)
    tensor = layers.TimeDistributed(layers.Dense(3, activation="tanh"))(tensor)
    tensor = layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode="sum")(tensor)
    tensor = layers.LSTM(3, return_sequences=True)(tensor)
    tensor = layers.RNN([layers.GRUCell(3), layers.LSTMCell(3)], return_sequences=True)(tensor)
    tensor = layers.SimpleRNN(3)(layers.GRU(3, return_sequences=True)(tensor))
    return keras.Model(start, layers.Dense(2)(tensor))


def deep():
    """More than ten layers of one class (as text, 10 comes before 2), each of which the outputs show."""
    start = tensor = image()
    shown = []
    for number in range(13):
        tensor = layers.Conv2D(2, 3, padding="same", activation="tanh")(tensor)
        if number % 4 == 1:
            tensor = layers.BatchNormalization()(tensor)
        shown.append(layers.GlobalAveragePooling2D()(tensor))
    tensor = layers.Flatten()(tensor)
    for _ in range(11):
        tensor = layers.Dense(3, activation="tanh")(tensor)
        shown.append(tensor)
    return keras.Model(start, layers.concatenate(shown))


def renamed():
    """Names that are those of others: what a layer is called says nothing about its place."""
    start = image()
    tensor = start
    for name in ("conv2d_2", "conv2d", "zebra", "conv2d_1", "dense", "a"):
        tensor = layers.Conv2D(3, 3, padding="same", activation="tanh", name=name)(tensor)
    tensor = layers.GlobalAveragePooling2D(name="vars")(tensor)
    for name in ("layers", "conv2d_3", "dense_1"):
        tensor = layers.Dense(3, activation="tanh", name=name)(tensor)
    return keras.Model(start, tensor, name="conv2d_9")


def attention():
    """Attention on patches, with an activation that is a layer of its own."""
    start = image()
    tensor = layers.Conv2D(4, 4, strides=4, activation=layers.LeakyReLU())(start)
    tensor = layers.Reshape((9, 4))(tensor)
    for _ in range(2):
        normal = layers.LayerNormalization()(tensor)
        tensor = tensor + layers.MultiHeadAttention(2, 2)(normal, normal)
        tensor = tensor + layers.Dense(4, activation="gelu")(layers.LayerNormalization()(tensor))
    return keras.Model(start, layers.Dense(2)(layers.GlobalAveragePooling1D()(tensor)))


def frozen():
    """Parts that are not trained further: they are saved in another order in older formats."""
    inner = keras.Input((SIZE, SIZE, 3))
    tensor = layers.BatchNormalization()(layers.Conv2D(3, 3, use_bias=False)(inner))
    tensor = layers.BatchNormalization()(layers.Conv2D(3, 3, use_bias=False)(tensor))
    part = keras.Model(inner, tensor)
    for layer in part.layers[:3]:
        layer.trainable = False
    start = image()
    other = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 3), layers.BatchNormalization()])
    other.trainable = False
    tensor = layers.Conv2D(3, 3)(other(part(start)))
    return keras.Model(start, layers.Dense(2)(layers.GlobalAveragePooling2D()(tensor)))


def mixture():
    """Something of everything."""
    start = image()
    tensor = start * 2.0 - 1.0
    block = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.SeparableConv2D(3, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
        ],
        name="block/1" if VERSION < "3" else "block_1",
    )
    wide = layers.Conv2D(3, 3, padding="same", name="late")(tensor)
    tensor = layers.SeparableConv2D(3, 3, padding="same")(block(tensor))
    tensor = layers.add([block(tensor), wide])
    tensor = layers.BatchNormalization()(layers.Conv2D(3, 3, name="early")(tensor))
    tensor = layers.GlobalAveragePooling2D()(layers.ZeroPadding2D()(tensor))
    return keras.Model(start, layers.Dense(2, activation="softmax")(layers.Dropout(0.2)(tensor)))


@register("writers")
class Block(layers.Layer):
    """A layer of one's own, with layers in attributes and in a list, one of them in both."""

    def __init__(self, filters, **options):
        super().__init__(**options)
        self.filters = filters
        self.zero = layers.Conv2D(filters, 3, padding="same")
        self.convolutions = [layers.Conv2D(filters, 3, padding="same") for _ in range(3)]
        self.first = self.convolutions[0]
        self.normal = layers.BatchNormalization()
        self._last = layers.Conv2D(filters, 3, padding="same")

    def build(self, shape):
        inner = (*shape[:-1], self.filters)
        self.zero.build(shape)
        for layer in (*self.convolutions, self.normal, self._last):
            layer.build(inner)
        self.scale = self.add_weight(name="scale", shape=(self.filters,), initializer="ones")
        super().build(shape)

    def call(self, tensor):
        tensor = self.zero(tensor)
        for layer in self.convolutions:
            tensor = keras.activations.tanh(layer(tensor))
        return self._last(self.normal(tensor)) * self.scale

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


def custom():
    return keras.Sequential([image(), Block(3), layers.Conv2D(3, 3), Block(3), layers.Flatten(), layers.Dense(2)])


ARCHITECTURES = (sequential, deferred, branches, nested, shared, separable, normalized, recurrent, deep, renamed,
                 attention, frozen, mixture, custom)  # fmt: skip


def draw_weights(model, seed):
    """Gives a model weights from a seed; what a Normalization measured stays."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        name = weight.name.split("/")[-1].split(":")[0]
        shape = tuple(weight.shape)
        if name in ("mean", "variance", "count") or "seed" in name:
            continue
        if name == "moving_variance":
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.normal(0, 1, shape) * (1.5 / np.prod(shape[:-1]) ** 0.5 if len(shape) > 1 else 0.5)
        weight.assign((value + (name == "gamma")).astype("float32"))


def attempt(path, save):
    """Writes a file where this Keras can: 3.0 to 3.5 fail on random layers on JAX, 3.0 to 3.2 on layers in layers."""
    try:
        save(path)
    except (TypeError, ValueError) as error:
        print(f"{path.name} is not written: {str(error).splitlines()[0][:120]}")
        path.unlink(missing_ok=True)


def write(folder):
    for seed, make in enumerate(ARCHITECTURES):
        name = make.__name__
        keras.backend.clear_session()
        model = make()
        draw_weights(model, seed)
        np.save(folder / f"{name}.npy", np.asarray(model(inputs(), training=False), "float32"))
        whole = {"save_format": "keras_v3"} if VERSION.startswith("2.12") else {}
        model.save(folder / f"{name}.keras", **whole)
        model.save_weights(folder / f"{name}.weights.h5")
        attempt(folder / f"{name}.h5", model.save)
        attempt(folder / f"{name}.json", lambda path, model=model: path.write_text(model.to_json()))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
