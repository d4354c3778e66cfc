"""Where a result comes from."""

from collections.abc import Sequence
from typing import Any

from convlens import backend
from convlens.data.preprocessing import Preprocessing
from convlens.network.inspected import Inspected
from convlens.network.recipe import unsaid


def provenance(
    network: Inspected, preprocessing: Preprocessing | None, notes: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    """Model, how it was loaded, software and preprocessing behind a result, and what the technique adds.

    Args:
        preprocessing: the one that the images went through, which may be guessed; None where they came as they are.
        notes: what the user should know of this result, beside what is known since loading.
    """
    running = backend.current()
    again = unsaid(network.loading)
    return {
        "load": dict(network.loading),
        **({"load_notes": again} if again else {}),
        "model": network.source,
        "sha256": network.sha256,
        "framework": network.framework,
        "backend": {"keras": backend.keras_ready().__version__, **running.versions()},
        "device": running.device(),
        "preprocessing": str(preprocessing) if preprocessing else None,
        "preprocessing_guess": preprocessing.guess.to_json() if preprocessing and preprocessing.guess else None,
        "notes": [*network.notes, *notes],
        **more,
    }
