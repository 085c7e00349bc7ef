"""Mechanisms: families, terms, scales, priors; the one equation and its interpreters."""

from dotwin.mechanisms.design import Design, build_design
from dotwin.mechanisms.equation import DEFAULT_PRIORS, Equation, equation
from dotwin.mechanisms.families import FAMILIES, Family, build_family
from dotwin.mechanisms.parameters import Parameter, parameters
from dotwin.mechanisms.words import equations, priors

__all__ = [
    "DEFAULT_PRIORS",
    "FAMILIES",
    "Design",
    "Equation",
    "Family",
    "Parameter",
    "build_design",
    "build_family",
    "equation",
    "equations",
    "parameters",
    "priors",
]
