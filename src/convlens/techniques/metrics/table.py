# pyright: strict
"""All metrics by name: what each one measures, in which unit, what it costs and needs."""

from dataclasses import dataclass
from typing import Literal

Need = Literal["probabilities", "logits", "maps", "weights", "class folders", "boxes or masks", "another class"]


@dataclass(frozen=True)
class Metric:
    """One metric of a map.

    Attributes:
        name: as the commands take it.
        title: for people, without a formula.
        paper: authors, year and arXiv identifier.
        function: module of this package and function that computes it.
        higher_is_better: None where neither end is better by itself.
        unit: of a value.
        range: lowest and highest value; None where there is no bound.
        passes: forward passes of one image, or maps where it says so, in words.
        needs: what must be at hand beside the image and its map.
    """

    name: str
    title: str
    paper: str
    function: str
    higher_is_better: bool | None
    unit: str
    range: tuple[float | None, float | None]
    passes: str
    needs: tuple[Need, ...]


RISE = "Petsiuk et al. 2018, arXiv 1806.07421"
GRAD_CAM_PLUS_PLUS = "Chattopadhyay et al. 2018, arXiv 1710.11063"
INFIDELITY = "Yeh et al. 2019, arXiv 1901.09392"
ROWS = (
    Metric(
        "deletion",
        "Deletion: does the score fall where the map is high?",
        RISE,
        "faithfulness:deletion",
        False,
        "probability",
        (0, 1),
        "steps + 1",
        ("probabilities",),
    ),
    Metric(
        "insertion",
        "Insertion: does the score rise where the map is high?",
        RISE,
        "faithfulness:insertion",
        True,
        "probability",
        (0, 1),
        "steps + 1",
        ("probabilities",),
    ),
    Metric(
        "road",
        "ROAD: least relevant against most relevant pixels imputed",
        "Rong et al. 2022, arXiv 2202.00449",
        "road:road",
        True,
        "probability",
        (-1, 1),
        "2 x shares",
        ("probabilities",),
    ),
    Metric(
        "average-drop",
        "Average drop: what is lost when only the map's part is kept",
        GRAD_CAM_PLUS_PLUS,
        "faithfulness:drop",
        False,
        "share",
        (0, 1),
        "2",
        ("probabilities",),
    ),
    Metric(
        "average-increase",
        "Increase in confidence: how often the map's part scores higher than all",
        GRAD_CAM_PLUS_PLUS,
        "faithfulness:increase",
        True,
        "share of images",
        (0, 1),
        "2, the same as of the average drop",
        ("probabilities",),
    ),
    Metric(
        "average-gain",
        "Average gain: what is won when only the map's part is kept",
        "Zhang et al. 2023, arXiv 2301.07002",
        "faithfulness:gain",
        True,
        "share",
        (0, 1),
        "2, the same as of the average drop",
        ("probabilities",),
    ),
    Metric(
        "adcc",
        "ADCC: keeps the score, with few pixels, and explains itself",
        "Poppi et al. 2021, arXiv 2104.10252",
        "faithfulness:adcc",
        True,
        "share",
        (0, 1),
        "2 and 1 map",
        ("probabilities", "maps"),
    ),
    Metric(
        "infidelity",
        "Infidelity: does the map foretell what changes of the input do?",
        INFIDELITY,
        "perturbation:infidelity",
        False,
        "squared score",
        (0, None),
        "samples + 1",
        ("logits",),
    ),
    Metric(
        "max-sensitivity",
        "Maximum sensitivity: how much does the map change under noise?",
        INFIDELITY,
        "perturbation:max_sensitivity",
        False,
        "share of the map's length",
        (0, None),
        "1 map per sample",
        ("maps",),
    ),
    Metric(
        "focus",
        "Focus: relevance on the two images of the class in a mosaic of four",
        "Arias-Duart et al. 2021, arXiv 2109.15035",
        "localization:focus",
        True,
        "share",
        (0, 1),
        "1 map per mosaic",
        ("maps", "class folders"),
    ),
    Metric(
        "pointing-game",
        "Pointing game: is the highest value on the object?",
        "Zhang et al. 2016, arXiv 1608.00507",
        "localization:pointing_game",
        True,
        "share of images",
        (0, 1),
        "none",
        ("boxes or masks",),
    ),
    Metric(
        "complexity",
        "Complexity: entropy of the map",
        "Bhatt et al. 2020, arXiv 2005.00631",
        "complexity:complexity",
        False,
        "nats",
        (0, None),
        "none",
        (),
    ),
    Metric(
        "sparseness",
        "Sparseness: Gini index of the map",
        "Chalasani et al. 2020, arXiv 1810.06583",
        "complexity:sparseness",
        True,
        "share",
        (0, 1),
        "none",
        (),
    ),
    Metric(
        "randomization",
        "Parameter randomization: does the map depend on the weights?",
        "Adebayo et al. 2018, arXiv 1810.03292",
        "randomization:randomization",
        False,
        "correlation",
        (-1, 1),
        "1 map per stage and 1 more",
        ("maps", "weights"),
    ),
    Metric(
        "smooth-randomization",
        "Smooth parameter randomization: the same for means over noisy inputs",
        "Hedström et al. 2024, arXiv 2401.06465",
        "randomization:smoothed",
        False,
        "correlation",
        (-1, 1),
        "1 map per sample, for each stage and 1 more",
        ("maps", "weights"),
    ),
    Metric(
        "efficient-randomization",
        "Efficient parameter randomization: how much more complex is the map of a random network?",
        "Hedström et al. 2024, arXiv 2401.06465",
        "randomization:complexity_rise",
        True,
        "share of the map's complexity",
        (-1, None),
        "2 maps",
        ("maps", "weights"),
    ),
    Metric(
        "random-logit",
        "Random logit: does the map depend on the class?",
        "Sixt et al. 2020, arXiv 1912.09818",
        "randomization:random_classes",
        False,
        "correlation",
        (-1, 1),
        "1 map",
        ("maps", "another class"),
    ),
)
METRICS: dict[str, Metric] = {row.name: row for row in ROWS}
