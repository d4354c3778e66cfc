"""The attribution methods: what each is called, where it comes from, what it takes and what it costs.

As for heatmaps, the table loads no framework; a method's module is imported when the method is used.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from convlens.errors import OptionError, near
from convlens.techniques.heatmaps.table import ACTIVATIONS, FORWARD_PASSES, GRADIENTS, IMAGE, Method

PARAMETERS = ("baselines", "steps", "rule", "samples", "noise", "patch", "stride", "segments", "layer")
ONE, EACH_STEP, EACH_SAMPLE = (
    "1 forward and 1 backward pass",
    "1 forward and 1 backward pass for each of the steps",
    "1 forward and 1 backward pass for each of the samples",
)
INDEPENDENT = (
    "{title} depends little on the network's weights and on the class (arXiv 1810.03292): it shows edges of the image"
    " that reach the output, and is no proof of what the network looks at"
)


@dataclass(frozen=True)
class AttributionMethod(Method):
    """One way to attribute a score to the pixels: a row like a heatmap method's, and what else it takes.

    Attributes:
        formula: of a pixel's value; x is the image, b a baseline, y the target's score, g the gradient of y.
        defaults: its parameters, some of PARAMETERS, with the values that they have unless told.
        warning: what whoever looks at the map should know, a line; "" if nothing.
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    warning: str = ""

    @property
    def maps(self) -> Callable[..., Any]:
        """The function: from a `ClassProbe` and `Settings` to `Maps`."""
        module, name = self.function.split(".")
        return getattr(importlib.import_module(f"convlens.techniques.attributions.{module}"), name)

    def to_json(self) -> dict[str, Any]:
        defaults = {name: list(value) if isinstance(value, tuple) else value for name, value in self.defaults.items()}
        return {**super().to_json(), "parameters": defaults, "warning": self.warning}


def _row(
    name: str,
    title: str,
    paper: str,
    needs: tuple[str, ...],
    cost: str,
    formula: str,
    function: str,
    warning: str = "",
    **defaults: Any,
) -> AttributionMethod:
    """A row; no attribution method ignores the target."""
    return AttributionMethod(
        name, title, paper, needs, False, cost, formula, function, defaults=defaults, warning=warning
    )


BY_GRADIENTS, BY_PASSES = (IMAGE, GRADIENTS), (IMAGE, FORWARD_PASSES)
BY_BOTH = (IMAGE, GRADIENTS, FORWARD_PASSES)
ROWS = (
    _row(
        "gradient",
        "Gradient",
        "Simonyan et al. 2013, arXiv 1312.6034",
        BY_GRADIENTS,
        ONE,
        "g, summed over the colours with its sign (the paper shows the largest in size)",
        "gradients.gradient",
    ),
    _row(
        "gradient-x-input",
        "Gradient x input",
        "Shrikumar et al. 2016, arXiv 1605.01713",
        BY_GRADIENTS,
        ONE,
        "g x, with x in the network's units",
        "gradients.gradient_x_input",
    ),
    _row(
        "integrated-gradients",
        "Integrated gradients",
        "Sundararajan et al. 2017, arXiv 1703.01365",
        BY_BOTH,
        f"{EACH_STEP} and baselines",
        "(x - b) times the mean of g on the straight line from b to x; averaged over the baselines",
        "paths.integrated_gradients",
        baselines=("black",),
        steps=64,
        rule="midpoint",
    ),
    _row(
        "guided-ig",
        "Guided integrated gradients",
        "Kapishnikov et al. 2021, arXiv 2106.09788",
        BY_BOTH,
        f"{EACH_STEP} and baselines, one after the other",
        "sum of g dx on a path from b to x that changes the pixels of small g first",
        "guided_path.guided_ig",
        baselines=("black",),
        steps=100,
    ),
    _row(
        "blur-ig",
        "Blur integrated gradients",
        "Xu et al. 2020, arXiv 2004.03383",
        BY_BOTH,
        EACH_STEP,
        "sum of g dx on the path from x blurred by a fifth of its longer side to x",
        "paths.blur_ig",
        steps=64,
    ),
    _row(
        "gradient-shap",
        "Gradient SHAP",
        "Lundberg and Lee 2017, arXiv 1705.07874; Erion et al. 2019, arXiv 1906.10670 (expected gradients)",
        BY_BOTH,
        EACH_SAMPLE,
        "mean of (x - b) g at random places between the baselines in turn and x, with noise added to them",
        "paths.gradient_shap",
        baselines=("black", "white", "grey", "blur", "noise"),
        samples=100,
        noise=0.0,
    ),
    _row(
        "smoothgrad",
        "SmoothGrad",
        "Smilkov et al. 2017, arXiv 1706.03825",
        BY_GRADIENTS,
        EACH_SAMPLE,
        "mean of g at noisy x; the noise is normal, its deviation a share of the range of x",
        "smoothing.smoothgrad",
        samples=50,
        noise=0.15,
    ),
    _row(
        "squaregrad",
        "SmoothGrad-Squared",
        "Hooker et al. 2018, arXiv 1806.10758",
        BY_GRADIENTS,
        EACH_SAMPLE,
        "mean of g squared at noisy x: no map of it is below 0",
        "smoothing.squaregrad",
        samples=50,
        noise=0.15,
    ),
    _row(
        "vargrad",
        "VarGrad",
        "Adebayo et al. 2018, arXiv 1810.03307",
        BY_GRADIENTS,
        EACH_SAMPLE,
        "variance of g at noisy x: no map of it is below 0",
        "smoothing.vargrad",
        samples=50,
        noise=0.15,
    ),
    _row(
        "guided-backprop",
        "Guided backprop",
        "Springenberg et al. 2014, arXiv 1412.6806",
        BY_GRADIENTS,
        ONE,
        "g, where each ReLU passes back max(g, 0) where its input is above 0",
        "relus.guided_backprop",
        INDEPENDENT.format(title="Guided backprop"),
    ),
    _row(
        "deconvnet",
        "Deconvolutional network",
        "Zeiler and Fergus 2013, arXiv 1311.2901",
        BY_GRADIENTS,
        ONE,
        "g, where each ReLU passes back max(g, 0) everywhere",
        "relus.deconvnet",
        INDEPENDENT.format(title="The deconvolutional network"),
    ),
    _row(
        "guided-grad-cam",
        "Guided Grad-CAM",
        "Selvaraju et al. 2016, arXiv 1610.02391",
        (IMAGE, GRADIENTS, ACTIVATIONS),
        "1 forward and 2 backward passes",
        "guided backprop times Grad-CAM's map over its maximum, enlarged (bilinear)",
        "relus.guided_grad_cam",
        INDEPENDENT.format(title="The fine structure of Guided Grad-CAM, which is guided backprop's,"),
        layer=None,
    ),
    _row(
        "occlusion",
        "Occlusion",
        "Zeiler and Fergus 2013, arXiv 1311.2901",
        BY_PASSES,
        "1 forward pass, and 1 a place of the patch and a baseline",
        "mean of y(x) - y(x with the patch of b) over all patches that cover the pixel",
        "masking.occlusion",
        baselines=("grey",),
        patch=None,
        stride=None,
    ),
    _row(
        "rise",
        "RISE",
        "Petsiuk et al. 2018, arXiv 1806.07421",
        BY_PASSES,
        "1 forward pass for each of the samples",
        "mean of y(x m + b (1 - m)) weighted by the masks m at the pixel, minus its mean over all masks",
        "masking.rise",
        baselines=("black",),
        samples=2000,
    ),
    _row(
        "kernel-shap",
        "Kernel SHAP",
        "Lundberg and Lee 2017, arXiv 1705.07874",
        BY_PASSES,
        "1 forward pass for each of the samples",
        "Shapley values of superpixels (SLIC), by least squares on sets of them over b; spread over their pixels",
        "superpixels.kernel_shap",
        baselines=("grey",),
        segments=50,
        samples=1000,
    ),
    _row(
        "lime",
        "LIME",
        "Ribeiro et al. 2016, arXiv 1602.04938",
        BY_PASSES,
        "1 forward pass for each of the samples",
        "weights of a ridge regression on sets of superpixels (SLIC) over b, near sets counting more",
        "superpixels.lime",
        baselines=("grey",),
        segments=50,
        samples=1000,
    ),
    _row(
        "xrai",
        "XRAI",
        "Kapishnikov et al. 2019, arXiv 1906.02825",
        BY_BOTH,
        f"{EACH_STEP} and baselines",
        "mean integrated gradients of regions (Felzenszwalb, several scales), the densest taken first",
        "regions.xrai",
        baselines=("black", "white"),
        steps=64,
        rule="midpoint",
    ),
)
METHODS = {method.name: method for method in ROWS}


def find_attribution(name: str) -> AttributionMethod:
    """The method of this name.

    Raises:
        OptionError: there is none; the names nearest to it are told.
    """
    if name not in METHODS:
        raise OptionError(f"unknown method {name!r}: {near(name, METHODS)}")
    return METHODS[name]
