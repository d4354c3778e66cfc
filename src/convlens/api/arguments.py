"""What a public function says to an argument that it does not have."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from convlens.errors import ArgumentError, near

Taken = ParamSpec("Taken")
Result = TypeVar("Result")

# what other tools and tutorials call things, and what they are called here
ELSEWHERE = {
    **dict.fromkeys(
        ("class_idx", "class_index", "category", "category_index", "pred_index", "target_category", "target_class"),
        "target",
    ),
    **dict.fromkeys(("targets", "classes", "labels", "class_id", "class_name"), "target"),
    **dict.fromkeys(("target_layer", "layer_name", "conv_layer", "penultimate_layer", "last_conv_layer_name"), "layer"),
    **dict.fromkeys(("layer_names", "target_layers", "layer"), "layers"),
    **dict.fromkeys(("filter_index", "filter_indices", "channel", "channels", "neuron"), "filters"),
    **dict.fromkeys(("img_size", "image_size", "input_size"), "size"),
    **dict.fromkeys(("iterations", "n_iter", "n_steps", "epochs", "thresholds"), "steps"),
    **dict.fromkeys(("lr", "learning_rate"), "step_size"),
    **dict.fromkeys(("image", "img", "input_tensor", "seed_input", "inputs", "x"), "images"),
    **dict.fromkeys(("model", "net"), "network"),
    **dict.fromkeys(("out_dir", "output_dir", "folder", "path", "save_path"), "out"),
    **dict.fromkeys(("preprocessing", "preprocess_input", "transform", "transforms"), "preprocess"),
    **dict.fromkeys(("class_names", "categories"), "labels"),
    **dict.fromkeys(("custom_objects",), "custom"),
    **dict.fromkeys(("random_state", "random_seed"), "seed"),
    **dict.fromkeys(("dtype", "mixed_precision"), "precision"),
}


def names_ours(function: Callable[Taken, Result]) -> Callable[Taken, Result]:
    """The function; called with an argument that it does not have, it says what is meant by that here.

    Raises:
        ArgumentError: an argument by an unknown name, one too many or one too few.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def checked(*args: Taken.args, **kwargs: Taken.kwargs) -> Result:
        for name in kwargs:
            if name not in signature.parameters:
                raise ArgumentError(f"{function.__name__}() has no argument {name!r}: {_advice(name, signature)}")
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{function.__name__}(): {error}; it takes {_listed(signature)}") from None
        return function(*args, **kwargs)

    return checked


def _advice(name: str, signature: inspect.Signature) -> str:
    ours = ELSEWHERE.get(name.lower())
    for candidate in (ours, ours and ours.rstrip("s"), ours and f"{ours}s"):
        if candidate and candidate in signature.parameters:
            return f"it is called {candidate!r} here"
    return near(name, signature.parameters)


def _listed(signature: inspect.Signature) -> str:
    return ", ".join(
        name if parameter.default is parameter.empty else f"{name}=" for name, parameter in signature.parameters.items()
    )
