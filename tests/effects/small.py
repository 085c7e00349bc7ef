"""Small twins with known parameters, and panels for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import logit

from dotwin.inference import Fit
from dotwin.mechanisms import build_design
from dotwin.panel import Panel
from dotwin.spec import Twin
from tests.worlds.conftest import MONTHS, known_fit, make_panel

__all__ = ["MONTHS", "NATURAL", "binary_network", "known_fit", "linear", "make_panel"]

NATURAL = {"scale": "natural"}


def binary_network(
    parents: Mapping[str, Sequence[str]],
    risk: Mapping[str, Mapping[tuple[int, ...], float]],
    exact: Mapping[str, str] | None = None,
    values: Mapping[str, Any] | None = None,
    units: int = 1500,
    draws: int = 40,
    given: Mapping[str, Any] | None = None,
) -> Fit:
    """Yes/no indicators with a probability for each state of their parents (at most two)."""
    indicators: dict[str, Any] = {
        name: {
            "domain": "outcome",
            "family": "bernoulli",
            "causes": dict.fromkeys(above, NATURAL)
            | ({f"{above[0]} * {above[1]}": NATURAL} if len(above) == 2 else {}),
        }
        for name, above in parents.items()
    }
    indicators |= {
        name: {"domain": "outcome", "equals": text} for name, text in (exact or {}).items()
    }
    indicators |= {
        name: {"domain": "context", **(extra or {})} for name, extra in (given or {}).items()
    }
    twin = Twin(twin="network", panel={"unit": "person"}, indicators=indicators)
    rng = np.random.default_rng(0)
    recorded = values or {n: rng.integers(0, 2, (units, 1)) for n in [*parents, *(given or {})]}
    panel = make_panel(twin, recorded, units)
    parameters: dict[str, Any] = {}
    for name, above in parents.items():
        factors = build_design(twin, name, panel).reference.factors
        centres = [factors[parent][0] for parent in above]
        states = list(risk[name])
        rows = []
        for state in states:
            row = [1.0, *(s - c for s, c in zip(state, centres, strict=True))]
            rows.append([*row, row[1] * row[2]] if len(above) == 2 else row)
        solved = np.linalg.solve(np.array(rows), logit([risk[name][s] for s in states]))
        parameters[f"{name}.intercept"] = solved[0]
        if above:
            parameters[f"{name}.causes"] = solved[1:]
    return known_fit(twin, panel, parameters, draws=draws)


def linear(
    coefficients: Mapping[str, Mapping[str, float]],
    *,
    units: int = 3,
    periods: int = 3,
    sd: float = 1.0,
    draws: int = 2,
    **more: Any,
) -> Fit:
    """Normal indicators of known linear mechanisms in raw units; a monthly panel of small noise."""
    indicators = {
        name: {
            "domain": "outcome",
            "family": "normal",
            "plausible": [-3.29 / 2, 3.29 / 2],
            "causes": dict.fromkeys(causes, NATURAL),
        }
        for name, causes in coefficients.items()
    }
    twin = Twin(
        twin="linear", panel={"unit": "home", "period": MONTHS, **more}, indicators=indicators
    )
    rng = np.random.default_rng(1)
    values = {name: rng.normal(size=(units, periods)) for name in coefficients}
    panel: Panel = make_panel(twin, values, units, periods)
    parameters: dict[str, Any] = {}
    for name, causes in coefficients.items():
        parameters[f"{name}.intercept"] = 0.0
        parameters[f"{name}.residual_sd"] = sd
        if causes:
            parameters[f"{name}.causes"] = list(causes.values())
    return known_fit(twin, panel, parameters, draws=draws)
