"""Where a result comes from."""

from typing import Any

from convlens import backend
from convlens.network.base import Network


def provenance(network: Network, **more: Any) -> dict[str, Any]:
    """Model, software and preprocessing behind a result, and what the technique adds."""
    running = backend.current()
    return {
        "model": network.source,
        "sha256": network.sha256,
        "framework": network.framework,
        "backend": {"keras": backend.keras_ready().__version__, **running.versions()},
        "device": running.device(),
        "preprocessing": str(network.preprocessing) if network.preprocessing else None,
        **more,
    }
