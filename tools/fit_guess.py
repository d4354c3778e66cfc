"""Fit what each piece of evidence counts in the guess of an unknown preprocessing, and say how often it is right.

    python tools/fit_guess.py NETWORKS           # fits to NETWORKS/fit-*.npz, and prints the constants of guess.py
    python tools/fit_guess.py NETWORKS --check   # fits nothing; says how often today's guess is right, a set a line

NETWORKS holds what `tools/train_ranges.py` wrote. The fit is a conditional logit with a weak penalty on the squares of
the weights; it is checked by leaving out every tenth network in turn. Needs SciPy and a Keras backend.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).parents[1]))
import convlens
from convlens.network.inspect import guess
from convlens.network.inspect.evidence import Evidence, evidence
from tests.ranges import Small, read

NUMBERS = tuple(guess.WEIGHTS)
BIASED = ("none", "rescale", "tf", "torch")  # one range needs none: only differences count
PENALTY = 0.02
Case = tuple[str, Small, dict[str, Evidence]]


def cases(folder: Path, name: str) -> list[Case]:
    """The networks of a set, with what is found for each range."""
    found = []
    for path in sorted(folder.glob(f"{name}-*.npz")):
        small, model = read(path)
        network = convlens.load(model)
        found.append((path.stem, small, evidence(network, network.observe(), network.head())))
    return found


def row(mode: str, each: Evidence) -> np.ndarray:
    return np.array([getattr(each, name) for name in NUMBERS] + [each.bias * (mode == other) for other in BIASED])


def fitted(known: list[Case]) -> np.ndarray:
    rows = [(small.mode, {mode: row(mode, each) for mode, each in found.items()}) for _, small, found in known]

    def loss(weights: np.ndarray) -> float:
        total = PENALTY * float((weights**2).sum())
        for truth, modes in rows:
            odds = np.array([each @ weights for each in modes.values()])
            total += float(np.logaddexp.reduce(odds) - modes[truth] @ weights)
        return total

    return minimize(loss, np.zeros(len(NUMBERS) + len(BIASED))).x


def use(weights: np.ndarray) -> None:
    """Lets the guess count with these."""
    guess.WEIGHTS.update(zip(NUMBERS, map(float, weights), strict=False))
    guess.BIAS.update(zip(BIASED, map(float, weights[len(NUMBERS) :]), strict=True))


def verdict(case: Case) -> str:
    name, small, found = case
    said = guess.judged(found)
    if said.certainty == "sure":
        kind = "right" if said.mode == small.mode else "WRONG"
    else:
        kind = (
            f"{said.certainty}, truth {'among the two' if small.mode in (said.mode, said.rival) else 'NOT among them'}"
        )
    if kind != "right":
        print(f"  {name}: {said}")
    return kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.check:
        for name in ("tests", "others", "strange"):
            print(name, dict(Counter(map(verdict, cases(options.networks, name)))))
        return
    known, left_out = cases(options.networks, "fit"), Counter()
    for part in range(10):
        use(fitted([case for number, case in enumerate(known) if number % 10 != part]))
        left_out.update(map(verdict, known[part::10]))
    use(fitted(known))
    print("left out in turn:", dict(left_out))
    print("WEIGHTS =", {name: round(value, 2) for name, value in guess.WEIGHTS.items()})
    print("BIAS =", {name: round(value, 2) for name, value in guess.BIAS.items()})


if __name__ == "__main__":
    main()
