"""What a network says of images, and what it would say with another preprocessing that is about as likely."""

from dataclasses import asdict
from typing import Any

import numpy as np

from convlens.network.base import Network
from convlens.network.feed import Samples
from convlens.network.head import Head, predictions
from convlens.results.heatmaps import Prediction
from convlens.techniques.batches import chunks, images_at_once
from convlens.techniques.targets import class_name

SHOWN = 5  # predictions an image
NAMED = 4  # images whose predictions a note tells


def likeliest(
    network: Network, head: Head, scores: np.ndarray, probabilities: np.ndarray
) -> tuple[tuple[Prediction, ...], ...]:
    """The classes with the highest scores, a tuple an image.

    Args:
        scores, probabilities: (images, classes).
    """
    shown = []
    for row, shares in zip(scores, probabilities, strict=True):
        order = np.argsort(-row, kind="stable")[: min(SHOWN, head.classes)]
        shown.append(tuple(Prediction(int(i), class_name(network, int(i)), float(shares[i])) for i in order))
    return tuple(shown)


def rival_predictions(
    network: Network, head: Head, samples: Samples, batch_size: int | None
) -> tuple[tuple[Prediction, ...], ...] | None:
    """The likeliest classes with the preprocessing that is the next likely; None where there is no doubt."""
    rival = samples.rival
    if rival is None:
        return None
    at_once = batch_size or images_at_once(network, rival.arrays)
    parts = [predictions(network, rival[part].arrays, head.output) for part in chunks(len(rival), at_once)]
    probabilities = np.concatenate(parts)
    return likeliest(network, head, probabilities, probabilities)


def rival_note(samples: Samples, rivals: tuple[tuple[Prediction, ...], ...] | None) -> list[str]:
    """The likeliest class of the first images with the rival preprocessing, in a line."""
    if samples.rival is None or rivals is None:
        return []
    words = [
        f"{photo.name}: {shown[0].name or f'class {shown[0].index}'} {shown[0].score:.3f}"
        for photo, shown in zip(samples.photos, rivals, strict=True)
    ]
    rest = f", and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return [f"with {samples.rival.preprocessing.name} the predictions are {', '.join(words[:NAMED])}{rest}"]


def with_rivals(origin: dict[str, Any], rivals: tuple[tuple[Prediction, ...], ...] | None) -> dict[str, Any]:
    """A provenance whose guess of the preprocessing tells what the rival would predict."""
    if rivals is None:
        return origin
    listed = [[asdict(one) for one in shown] for shown in rivals]
    return {**origin, "preprocessing_guess": {**origin["preprocessing_guess"], "rival_predictions": listed}}
