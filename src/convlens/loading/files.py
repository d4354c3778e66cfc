"""A file -> a model: what the file is decides who reads it."""

from dataclasses import replace

from convlens.backend import keras_ready
from convlens.errors import ModelError
from convlens.loading import sniff
from convlens.loading.loaded import Loaded
from convlens.loading.metadata import sha256, with_surroundings
from convlens.loading.request import Request
from convlens.loading.sniff import ModelFile

UNREAD = {
    sniff.SAVED_MODEL: "a TensorFlow SavedModel, which is a program and no description of layers; load it with the"
    " TensorFlow that made it and save it with model.save('model.keras')",
    sniff.TFLITE: "a TensorFlow Lite model, which cannot be differentiated; give the Keras file that it was made from",
    sniff.SAVED_MODEL_PART: "one file of a TensorFlow SavedModel, which is a program and no description of layers; load"
    " the folder with the TensorFlow that made it and save it with model.save('model.keras')",
    sniff.TENSORFLOW_GRAPH: "a frozen TensorFlow graph, a program without layers; give the Keras file that it was made"
    " from",
    sniff.KERAS_PICKLE: "a pickled Keras model, which runs code to be opened; load it with the Keras that made it and"
    " save it with model.save('model.keras')",
    sniff.ONNX: "an ONNX model; give the PyTorch or Keras model that it was made from",
}


def open_file(file: ModelFile, request: Request) -> Loaded:
    """The model in a file.

    Raises:
        ModelError: it cannot be opened.
        BackendError: the model needs another backend than the one that runs.
    """
    if file.kind in UNREAD:
        raise ModelError(f"{file.path} is {UNREAD[file.kind]}")
    keras_ready("torch" if file.framework == "torch" else None)
    if file.framework == "torch":
        from convlens.loading.torch.checkpoints import open_torch_file

        loaded = open_torch_file(file, request)
    else:
        from convlens.loading.keras.completion import open_keras_file

        loaded = open_keras_file(file, request)
    return with_surroundings(replace(loaded, sha256=sha256(file.path)), file.path)
