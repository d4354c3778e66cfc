"""The heatmap methods: what each is called, where it comes from, what it takes and what it costs.

The command line reads this table for its help, so that it loads no framework; a method's module is imported when the
method is used.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convlens.errors import OptionError

ACTIVATIONS, GRADIENTS, FORWARD_PASSES, IMAGE = "activations", "gradients", "forward passes", "image"
PROBABILITY = "probability"
ONE_PASS, BACKWARD = "1 forward pass", "1 forward pass, 1 backward pass a target"


@dataclass(frozen=True)
class Method:
    """One way to make a heatmap.

    Attributes:
        name: what it is asked for by.
        title: its name in its paper.
        paper: authors, year and arXiv number, or where else it stands.
        needs: what it asks of the probe, beside the scores: some of "activations", "gradients", "forward passes" of
            changed inputs or activations, and "image".
        class_free: whether the map is the same whatever the target.
        cost: for one image.
        formula: of the map before the last ReLU; A are activations, g the gradients of the score y by them, k channels.
        function: MODULE.NAME in this package, of a function of a probe that gives the maps.
        score: which score it explains whatever is asked for; None for the one asked for.
    """

    name: str
    title: str
    paper: str
    needs: tuple[str, ...]
    class_free: bool
    cost: str
    formula: str
    function: str
    score: str | None = None

    @property
    def maps(self) -> Callable[[Any], Any]:
        """The function: from a `ClassProbe` to maps before the last ReLU, (targets, batch, height, width)."""
        module, name = self.function.split(".")
        return getattr(importlib.import_module(f"convlens.techniques.heatmaps.{module}"), name)

    def to_json(self) -> dict[str, Any]:
        """What a user chooses a method by."""
        shown = ("name", "title", "paper", "needs", "class_free", "cost", "formula")
        return {name: getattr(self, name) for name in shown}


ROWS = (
    Method(
        name="grad-cam",
        title="Grad-CAM",
        paper="Selvaraju et al. 2016, arXiv 1610.02391",
        needs=(ACTIVATIONS, GRADIENTS),
        class_free=False,
        cost=BACKWARD,
        formula="sum_k mean(g_k) A_k",
        function="gradients.grad_cam",
    ),
    Method(
        name="hirescam",
        title="HiResCAM",
        paper="Draelos and Carin 2020, arXiv 2011.08891",
        needs=(ACTIVATIONS, GRADIENTS),
        class_free=False,
        cost=BACKWARD,
        formula="sum_k g_k A_k",
        function="gradients.hirescam",
    ),
    Method(
        name="grad-cam-elementwise",
        title="Element-wise Grad-CAM",
        paper="none: HiResCAM with the ReLU before the sum",
        needs=(ACTIVATIONS, GRADIENTS),
        class_free=False,
        cost=BACKWARD,
        formula="sum_k ReLU(g_k A_k)",
        function="gradients.grad_cam_elementwise",
    ),
    Method(
        name="layercam",
        title="LayerCAM",
        paper="Jiang et al. 2021, IEEE Transactions on Image Processing 30",
        needs=(ACTIVATIONS, GRADIENTS),
        class_free=False,
        cost=BACKWARD,
        formula="sum_k ReLU(g_k) A_k",
        function="gradients.layercam",
    ),
    Method(
        name="grad-cam++",
        title="Grad-CAM++",
        paper="Chattopadhyay et al. 2017, arXiv 1710.11063",
        needs=(ACTIVATIONS, GRADIENTS),
        class_free=False,
        cost=BACKWARD,
        formula="sum_k w_k A_k; w = sum a ReLU(g), a = g^2 / (2 g^2 + g^3 sum A)",
        function="weighted.grad_cam_plus_plus",
    ),
    Method(
        name="xgrad-cam",
        title="XGrad-CAM",
        paper="Fu et al. 2020, arXiv 2008.02312",
        needs=(ACTIVATIONS, GRADIENTS),
        class_free=False,
        cost=BACKWARD,
        formula="sum_k w_k A_k; w = sum(g A) / sum A",
        function="weighted.xgrad_cam",
    ),
    Method(
        name="eigencam",
        title="Eigen-CAM",
        paper="Muhammad and Yeasin 2020, arXiv 2008.00299",
        needs=(ACTIVATIONS,),
        class_free=True,
        cost=ONE_PASS,
        formula="A v; v is the first right singular vector of A, (positions, channels)",
        function="components.eigencam",
    ),
    Method(
        name="score-cam",
        title="Score-CAM",
        paper="Wang et al. 2019, arXiv 1910.01279",
        needs=(ACTIVATIONS, FORWARD_PASSES, IMAGE),
        class_free=False,
        cost="1 forward pass, and 1 a channel",
        formula="sum_k w_k A_k; w = softmax_k p(x m_k), m_k is A_k at the image's size, from 0 to 1",
        function="forward.score_cam",
        score=PROBABILITY,
    ),
    Method(
        name="ablation-cam",
        title="Ablation-CAM",
        paper="Desai and Ramaswamy 2020, IEEE Winter Conference on Applications of Computer Vision",
        needs=(ACTIVATIONS, FORWARD_PASSES),
        class_free=False,
        cost="1 forward pass, and 1 a channel",
        formula="sum_k w_k A_k; w = (y - y_k) / |y|, y_k is the score without channel k",
        function="forward.ablation_cam",
    ),
    Method(
        name="random",
        title="Random map",
        paper="none: a baseline",
        needs=(ACTIVATIONS, IMAGE),
        class_free=True,
        cost=ONE_PASS,
        formula="numbers from 0 to 1, drawn for each position",
        function="baselines.random",
    ),
    Method(
        name="edges",
        title="Edges of the image",
        paper="none: a baseline",
        needs=(ACTIVATIONS, IMAGE),
        class_free=True,
        cost=ONE_PASS,
        formula="length of the image's gradient by Sobel's filters, averaged over each position's part of the image",
        function="baselines.edges",
    ),
)
METHODS = {method.name: method for method in ROWS}


def find_method(name: str) -> Method:
    """The method of this name.

    Raises:
        OptionError: there is none; the names nearest to it are told.
    """
    if not isinstance(name, str) or name not in METHODS:
        raise OptionError.unknown(f"unknown method {name!r}", str(name), METHODS)
    return METHODS[name]
