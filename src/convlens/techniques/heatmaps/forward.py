"""Maps sum_k w_k A_k whose weights are found by forward passes alone: no gradient is needed."""

from typing import Any

import numpy as np

from convlens.techniques.heatmaps.resampling import bilinear, resampled
from convlens.techniques.probe import ClassProbe


def score_cam(probe: ClassProbe) -> Any:
    """Score-CAM: w = softmax_k p(x m_k); m_k is A_k enlarged to the image's size (bilinear), then scaled to 0-1.

    Wang et al. 2019, arXiv 1910.01279, with p the probability after the network's own softmax or sigmoid: raw scores,
    which grow without limit, would make the softmax over channels pick one. The score of a baseline image would
    change nothing in a softmax. What is masked out is 0 in the network's units, which not every preprocessing makes
    of black. A channel with one value everywhere makes no mask, and has weight 0.
    """
    from keras import ops

    features, inputs = probe.features, probe.inputs
    sides = zip(features.shape[1:3], inputs.shape[1:3], strict=True)
    rows, columns = (bilinear(small, large) for small, large in sides)
    each = ops.reshape(ops.moveaxis(features, -1, 1), (-1, *features.shape[1:3]))  # (batch x channels, height, width)

    def masked(images: np.ndarray, channels: np.ndarray) -> Any:
        masks = resampled(_taken(each, images * features.shape[-1] + channels), rows, columns)
        low, high = (reduce(masks, axis=(1, 2), keepdims=True) for reduce in (ops.min, ops.max))
        masks = (masks - low) / ops.where(high > low, high - low, 1.0)
        return probe.scores(_taken(inputs, images) * ops.expand_dims(masks, -1), images)

    usable = ops.max(features, axis=(1, 2)) > ops.min(features, axis=(1, 2))  # (batch, channels)
    scores = ops.where(usable, probe.of_each_channel(masked), -np.inf)
    powers = ops.where(usable, ops.exp(scores - ops.maximum(ops.max(scores, axis=-1, keepdims=True), 0.0)), 0.0)
    weights = powers / ops.maximum(ops.sum(powers, axis=-1, keepdims=True), 1e-30)
    return _weighted(weights, features)


def ablation_cam(probe: ClassProbe) -> Any:
    """Ablation-CAM: w_k = (y - y_k) / |y|, y_k the target's score with channel k of the layer put to 0.

    Desai and Ramaswamy 2020, IEEE Winter Conference on Applications of Computer Vision, equation 3, which divides by
    y: that is meant for scores above 0, and would turn the map around for one below. The network is not changed for
    it: its forward pass goes on with other activations. Where y is 0, w is y - y_k.
    """
    from keras import ops

    features = probe.features
    places = np.arange(features.shape[-1])

    def without(images: np.ndarray, channels: np.ndarray) -> Any:
        kept = (places != channels[:, None]).astype("float32")[:, None, None, :]
        return probe.scores_with(_taken(features, images) * ops.convert_to_tensor(kept), images)

    values = ops.expand_dims(probe.values, -1)
    size = ops.abs(values)
    weights = (values - probe.of_each_channel(without)) / ops.where(size > 0, size, 1.0)
    return _weighted(weights, features)


def _taken(tensor: Any, rows: np.ndarray) -> Any:
    """The parts of a tensor at n places of its first axis, (n, ...)."""
    from keras import ops

    return ops.take(tensor, rows.astype("int32"), axis=0)


def _weighted(weights: Any, features: Any) -> Any:
    """sum_k w_k A_k, from weights (targets, batch, channels): (targets, batch, height, width)."""
    from keras import ops

    return ops.einsum("tbc,bhwc->tbhw", weights, features)
