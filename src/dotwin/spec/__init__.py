"""The specification of a twin: pure data, its expressions, its YAML, and what is wrong with it."""

from dotwin.spec.check import problems_of_expression, problems_of_scenario, problems_of_twin
from dotwin.spec.exposure import Exposure
from dotwin.spec.expressions import Environment, Expr, evaluate, parse
from dotwin.spec.interventions import Intervention
from dotwin.spec.library import models
from dotwin.spec.prior import Prior
from dotwin.spec.scenario import Scenario
from dotwin.spec.twin import (
    Assigned,
    Cause,
    Governance,
    HiddenCause,
    Indicator,
    PanelLayout,
    PeriodLayout,
    Season,
    Threshold,
    Twin,
    Zeros,
)
from dotwin.spec.value import problems_of_error
from dotwin.spec.verbs import at_least, at_most, block, do, policy, redeploy, scale, shift
from dotwin.spec.yaml import check_file, read_twin, read_yaml, write_yaml

__all__ = [
    "Assigned",
    "Cause",
    "Environment",
    "Exposure",
    "Expr",
    "Governance",
    "HiddenCause",
    "Indicator",
    "Intervention",
    "PanelLayout",
    "PeriodLayout",
    "Prior",
    "Scenario",
    "Season",
    "Threshold",
    "Twin",
    "Zeros",
    "at_least",
    "at_most",
    "block",
    "check_file",
    "do",
    "evaluate",
    "models",
    "parse",
    "policy",
    "problems_of_error",
    "problems_of_expression",
    "problems_of_scenario",
    "problems_of_twin",
    "read_twin",
    "read_yaml",
    "redeploy",
    "scale",
    "shift",
    "write_yaml",
]
