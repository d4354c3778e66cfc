"""The likeliest preprocessing of a network that does not tell its own: one result a network, the same for all."""

from weakref import WeakKeyDictionary

import numpy as np

from convlens.data.preprocessing import Guess, Preprocessing, preprocessing
from convlens.network.inspect.evidence import Evidence, evidence, possible_modes
from convlens.network.network import Network

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

_KEPT: "WeakKeyDictionary[Network, Guess]" = WeakKeyDictionary()


def guess(network: Network) -> Guess | None:
    """The likeliest of the known preprocessings, from the network alone; None where it takes no photos, or
    where what it says of them means nothing.

    It depends on the network's weights and on photos that come with convlens, not on the user's images, so that every
    command comes to the same one.
    """
    if network not in _KEPT:
        if not possible_modes(network) or _says_nothing(network):
            return None
        _KEPT[network] = judged(evidence(network))
    return _KEPT[network]


def _says_nothing(network: Network) -> bool:
    """Whether the output runs through layers without weights of their own."""
    return 0 in network.untrained.reach(network).outputs


def judged(found: dict[str, Evidence]) -> Guess:
    """The verdict on what was found for each mode: a conditional logit, whose odds are products over the evidence."""
    terms = {mode: _terms(mode, each) for mode, each in found.items()}
    odds = np.array([sum(each.values()) for each in terms.values()])
    shares = np.exp(odds - odds.max()) / np.exp(odds - odds.max()).sum()
    order = sorted(zip(found, map(float, shares), strict=True), key=lambda pair: -pair[1])
    (best, _), (second, _) = order[:2]
    lead = {name: terms[best][name] - terms[second][name] for name in terms[best]}
    groups = {words: sum(lead[name] for name in names) for names, words in WORDS}
    telling = [words for words, worth in groups.items() if worth > 0.25 * max(groups.values()) > 0]
    misfit = STATISTICS if found[best].first > MISFIT else ""
    if terms[best]["spread"] + terms[best]["shift"] < IMPLAUSIBLE:
        misfit = misfit or "what trained networks answer to photos"
    return Guess(tuple(order), tuple(telling), misfit)


def _terms(mode: str, found: Evidence) -> dict[str, float]:
    terms = {name: weight * getattr(found, name) for name, weight in WEIGHTS.items()}
    return {**terms, "bias": BIAS[mode] * found.bias}


def known_preprocessing(network: Network) -> tuple[Preprocessing, tuple[str, ...]]:
    """The network's preprocessing, or the likeliest where it is unknown, with a note that says so."""
    if network.preprocessing is not None:
        return network.preprocessing, ()
    verdict, advice = guess(network), "give preprocess= if it is another"
    if verdict is None:
        why = (
            "what runs through untrained layers tells nothing" if _says_nothing(network) else "it takes no single photo"
        )
        as_it_is = preprocessing("none", f"as it is: {why}")
        return as_it_is, (f"preprocessing is unknown; inputs go in as they are, as {why}: {advice}",)
    guessed = preprocessing(verdict.mode, str(verdict), verdict)
    more = "" if verdict.certainty == "sure" else f"; went on with {verdict.mode}"
    return guessed, (f"preprocessing is unknown; {verdict}{more}: {advice}",)
