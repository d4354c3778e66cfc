"""What a network is, as JSON."""

from typing import Any

from convlens.data.preprocessing import Preprocessing
from convlens.network.layers import LayerInfo
from convlens.network.network import Network


def facts(network: Network, preprocessing: Preprocessing) -> dict[str, Any]:
    """What the network is, for the manifest: source, layers, parameters, input, output, preprocessing, class names."""
    head = network.head()
    return {
        "source": network.source,
        "sha256": network.sha256,
        "framework": network.framework,
        "parameters": sum(
            layer.parameters for layer in network.layers if not layer.container and ":" not in layer.path
        ),
        "input": list(network.image_shape),
        **({"classes": head.classes} if head.has_classes else {}),
        "head": {**head.to_json(), "words": str(head)},
        "score": head.scored,
        "preprocessing": str(preprocessing),
        "labels": network.labels.source if network.labels else None,
        "layers": [layer_json(layer) for layer in network.layers],
    }


def layer_json(layer: LayerInfo) -> dict[str, Any]:
    """A layer, for the manifest and for `convlens layers --json`."""
    return {
        "path": layer.path,
        "kind": layer.kind,
        "role": layer.role,
        "output_shape": list(layer.output_shape),
        "parameters": layer.parameters,
        "default": layer.default,
    }
