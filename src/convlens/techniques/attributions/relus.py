"""Gradients on whose way back ReLUs let other values through than theirs. The network itself is not changed."""

from typing import Any

from convlens.techniques.attributions.settings import Maps, Settings
from convlens.techniques.heatmaps.gradients import grad_cam
from convlens.techniques.heatmaps.resampling import bilinear, resampled
from convlens.techniques.probe import ClassProbe


def guided_backprop(probe: ClassProbe, settings: Settings) -> Maps:
    """g, where each ReLU passes back max(g, 0) where its input is above 0. Springenberg et al. 2014, arXiv 1412.6806.

    It changes ReLUs alone, as layers or functions: other activations pass back their own gradient.
    """
    return Maps(probe.input_gradients("guided"))


def deconvnet(probe: ClassProbe, settings: Settings) -> Maps:
    """g, where each ReLU passes back max(g, 0) wherever. Zeiler and Fergus 2013, arXiv 1311.2901.

    Max pooling passes back to where its maximum came from, as the paper's switches do.
    """
    return Maps(probe.input_gradients("deconvnet"))


def guided_grad_cam(probe: ClassProbe, settings: Settings) -> Maps:
    """Guided backprop times Grad-CAM's map, ReLU(sum_k mean(g_k) A_k), over its maximum and enlarged (bilinear).

    Selvaraju et al. 2016, arXiv 1610.02391, section 3.2. Where Grad-CAM's map is 0 everywhere, so is this one.
    """
    from keras import ops

    cams: Any = ops.relu(grad_cam(probe))
    highest = ops.max(cams, axis=(2, 3), keepdims=True)
    shares = cams / ops.where(highest > 0, highest, 1.0)
    ways = [bilinear(*sides) for sides in zip(cams.shape[2:], probe.inputs.shape[1:3], strict=True)]
    enlarged = ops.stack([resampled(maps, *ways) for maps in shares])
    return Maps(probe.input_gradients("guided") * ops.expand_dims(enlarged, -1))
