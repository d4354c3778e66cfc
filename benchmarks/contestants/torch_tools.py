"""captum, torch-cam and pytorch-grad-cam: Grad-CAM of one batch, on the same network, channels last."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.contest import SHOWN


def prepare(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """The task says which tool."""
    import torch

    from benchmarks.vgg import inputs, torch_model

    model = torch_model(top=True).to(memory_format=torch.channels_last)
    images = inputs(task)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    explain = {"captum": _captum, "torch-cam": _torch_cam, "pytorch-grad-cam": _grad_cam}[task["tool"]](model)

    def run() -> dict[str, Any]:
        maps = np.asarray(explain(tensor))
        return {"units": len(images), "seen": maps.reshape(len(images), *maps.shape[-2:])[:SHOWN]}

    return run


def _captum(model: Any) -> Callable[[Any], Any]:
    from captum.attr import LayerGradCam

    tool = LayerGradCam(model, model.block5_conv3_relu)
    return lambda images: tool.attribute(images, target=386, relu_attributions=True).detach().numpy()


def _torch_cam(model: Any) -> Callable[[Any], Any]:
    from torchcam.methods import GradCAM

    tool = GradCAM(model, "block5_conv3_relu")
    return lambda images: tool([386] * len(images), model(images))[0].detach().numpy()


def _grad_cam(model: Any) -> Callable[[Any], Any]:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    tool = GradCAM(model, [model.block5_conv3_relu])
    return lambda images: tool(images, [ClassifierOutputTarget(386)] * len(images))
