"""What a network would say of images with another preprocessing that is about as likely as the one guessed."""

from dataclasses import asdict
from typing import Any

from convlens.data.predictions import Prediction, noun, number
from convlens.errors import listing
from convlens.network.inspect.head import Head
from convlens.network.network import Network
from convlens.network.predicting import listed, scores
from convlens.network.samples import Samples

NAMED = 4  # images whose predictions a note tells


def rival_predictions(
    network: Network, head: Head, samples: Samples, batch_size: int | None, top: int
) -> tuple[tuple[Prediction, ...], ...] | None:
    """The likeliest classes with the preprocessing that is the next likely; None where there is no doubt."""
    rival = samples.rival
    if rival is None:
        return None
    said = scores(network, rival.arrays, head.output, batch_size)
    return listed(network, head, said.shown, said.ranked, top)


def rival_note(samples: Samples, rivals: tuple[tuple[Prediction, ...], ...] | None) -> list[str]:
    """The likeliest class of the first images with the rival preprocessing, in a line."""
    if samples.rival is None or rivals is None:
        return []
    words = [
        f"{photo.name}: {shown[0].name or f'{noun(shown[0].unit)} {shown[0].index}'}"
        f" {number(shown[0].score, shown[0].unit, 3)}"
        for photo, shown in zip(samples.photos, rivals, strict=True)
    ]
    return [f"with {samples.rival.preprocessing.name} the predictions are {listing(words, NAMED)}"]


def with_rivals(origin: dict[str, Any], rivals: tuple[tuple[Prediction, ...], ...] | None) -> dict[str, Any]:
    """A provenance whose guess of the preprocessing tells what the rival would predict."""
    if rivals is None:
        return origin
    told = [[asdict(one) for one in shown] for shown in rivals]
    return {**origin, "preprocessing_guess": {**origin["preprocessing_guess"], "rival_predictions": told}}
