"""The likeliest preprocessing of a network that does not tell its own: one result a network, the same for all."""

import numpy as np

from convlens.data.preprocessing import Guess, Preprocessing, preprocessing
from convlens.network.inspect.evidence import Evidence, evidence, possible_modes
from convlens.network.inspect.head import Head
from convlens.network.inspect.observation import Observation
from convlens.network.passes import Passes

# What each piece of evidence counts, in natural logarithms of odds. Fitted by tools/fit_guess.py to networks whose
# range is known.
WEIGHTS = {"spread": -0.68, "shift": -3.61, "first": -1.43, "later": -1.15}
BIAS = {"none": 0.13, "rescale": -3.79, "tf": 1.35, "caffe": 0.0, "torch": 1.07}
STATISTICS = "the running statistics of batch normalization"
MISFIT = 0.9  # distance of the first batch normalization; of networks whose range is known it is below 0.45
IMPLAUSIBLE = -9.0  # what the answers count for the likeliest; of networks whose range is known it is above -7
WORDS = (
    (("first", "later"), STATISTICS),
    (("spread",), "the spread of the logits"),
    (("shift",), "the mean of the logits"),
    (("bias",), "the bias of the first layer"),
)


def guess(passes: Passes, seen: Observation, head: Head | None) -> Guess | None:
    """The likeliest of the known preprocessings, from the network alone; None where it takes no photos.

    It depends on the network's weights and on photos that come with convlens, not on the user's images, so that every
    command comes to the same one.

    Args:
        head: of the first output; None where it cannot be read.
    """
    return judged(evidence(passes, seen, head)) if possible_modes(passes) else None


def judged(by_mode: dict[str, Evidence]) -> Guess:
    """The verdict on what was found for each mode: a conditional logit, whose odds are products over the evidence."""
    terms = {mode: _terms(mode, each) for mode, each in by_mode.items()}
    odds = np.array([sum(each.values()) for each in terms.values()])
    shares = np.exp(odds - odds.max()) / np.exp(odds - odds.max()).sum()
    order = sorted(zip(by_mode, map(float, shares), strict=True), key=lambda pair: -pair[1])
    (best, _), (second, _) = order[:2]
    lead = {name: terms[best][name] - terms[second][name] for name in terms[best]}
    groups = {words: sum(lead[name] for name in names) for names, words in WORDS}
    telling = [words for words, worth in groups.items() if worth > 0.25 * max(groups.values()) > 0]
    misfit = STATISTICS if by_mode[best].first > MISFIT else ""
    if terms[best]["spread"] + terms[best]["shift"] < IMPLAUSIBLE:
        misfit = misfit or "what trained networks answer to photos"
    return Guess(tuple(order), tuple(telling), misfit)


def _terms(mode: str, each: Evidence) -> dict[str, float]:
    terms = {name: weight * getattr(each, name) for name, weight in WEIGHTS.items()}
    return {**terms, "bias": BIAS[mode] * each.bias}


def chosen(verdict: Guess | None, untrained: bool) -> tuple[Preprocessing, tuple[str, ...]]:
    """What is used where the preprocessing is unknown: the likeliest, or none, with a note that says so.

    Args:
        untrained: whether the output, by which a guess is made, runs through untrained layers.
    """
    advice = "give preprocess= if it is another"
    if verdict is None:
        why = "what runs through untrained layers tells nothing" if untrained else "it takes no single photo"
        unchanged = preprocessing("none", f"as it is: {why}")
        return unchanged, (f"preprocessing is unknown; inputs go in as they are, as {why}: {advice}",)
    guessed = preprocessing(verdict.mode, str(verdict), verdict)
    more = "" if verdict.certainty == "sure" else f"; uses {verdict.mode}"
    return guessed, (f"preprocessing is unknown; {verdict}{more}: {advice}",)
