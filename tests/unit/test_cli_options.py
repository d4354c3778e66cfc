"""The options of commands: their defaults are those of the requests and results, which are written once."""

from dataclasses import fields
from inspect import signature

import pytest

from convlens.cli.commands import convlens
from convlens.cli.options import Known
from convlens.results.activations import Activations
from convlens.results.heatmaps import Heatmap
from convlens.techniques.request import HeatmapRequest, PatternRequest, ReportRequest


@pytest.mark.parametrize(
    ("command", "request_class", "result"),
    [
        ("filters", PatternRequest, None),
        ("heatmap", HeatmapRequest, Heatmap),
        ("activations", None, Activations),
        ("report", ReportRequest, None),
        ("demo", ReportRequest, None),
    ],
)
def test_defaults_are_those_of_the_library(command: str, request_class: type | None, result: type | None) -> None:
    defaults = {field.name: field.default for field in fields(request_class)} if request_class else {}
    if result:
        defaults |= {parameter.name: parameter.default for parameter in signature(result.write).parameters.values()}
    chosen = convlens.commands[command]
    context = chosen.make_context(command, [], resilient_parsing=True)
    compared = 0
    for option in chosen.params:
        if isinstance(option, Known):
            assert option.get_default(context) == defaults[option.name], option.name
            compared += 1
    assert compared == {"filters": 3, "heatmap": 6, "activations": 3, "report": 1, "demo": 1}[command]


def test_a_seed_below_zero_is_no_seed() -> None:
    from convlens.errors import OptionError

    for make in (lambda: PatternRequest("conv", seed=-1), lambda: ReportRequest(seed=-1)):
        with pytest.raises(OptionError, match="seed -1: expected 0 or more"):
            make()
