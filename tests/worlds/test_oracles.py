"""Answers that are known from elsewhere, reached by forward simulation at known parameters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import expit, logit

from dotwin.mechanisms import build_design
from dotwin.spec import Scenario, Twin, do


def test_a_logit_chain_agrees_with_numerical_integration(build) -> None:
    """X ~ N(0, 1), M = X + N(0, sd 2), Y ~ Bernoulli(logit^-1(M - 2)).

    Pushing the mean of M through the link would give 0.119 for E[Y | do(X = 0)].
    """
    make_panel, known_fit = build
    natural = {"scale": "natural"}
    twin = Twin(
        twin="chain",
        panel={"unit": "home"},
        indicators={
            "x": {"domain": "context", "family": "normal", "plausible": [-1, 1]},
            "m": {
                "domain": "quality",
                "family": "normal",
                "plausible": [-1, 1],
                "causes": {"x": natural},
            },
            "y": {"domain": "outcome", "family": "bernoulli", "causes": {"m": natural}},
        },
    )
    rng = np.random.default_rng(0)
    panel = make_panel(twin, {n: rng.integers(0, 2, (1000, 1)) for n in ("x", "m", "y")}, 1000)
    values = {
        "x.intercept": 0.0, "x.residual_sd": 1.0,
        "m.intercept": 0.0, "m.causes": [1.0], "m.residual_sd": 2.0,
        "y.intercept": -2.0, "y.causes": [1.0],
    }  # fmt: skip
    fit = known_fit(twin, panel, values, draws=200)
    scenarios = [Scenario("zero", [do("x", 0)]), Scenario("two", [do("x", 2)])]
    y = fit.simulate(scenarios=scenarios, seed=1, draws=200).draws["y"].mean(("draw", "unit"))

    def truth(x: float) -> float:
        density = stats.norm(x, 2).pdf
        return integrate.quad(lambda m: expit(m - 2) * density(m), -30, 30)[0]

    assert truth(0.0) == pytest.approx(0.225, abs=5e-4)
    assert truth(2.0) - truth(0.0) == pytest.approx(0.275, abs=5e-4)
    error = 4 * 0.5 / np.sqrt(200_000)
    for name, x in (("zero", 0.0), ("two", 2.0)):
        assert y.sel(scenario=name).item() == pytest.approx(truth(x), abs=error)


def test_the_asia_network_agrees_with_its_published_interventional_risks(build) -> None:
    """P(dyspnoea | do(smoking)): 0.552808 and 0.319133.

    The network and its probabilities: Lauritzen, S. L., & Spiegelhalter, D. J. (1988), J. R.
    Statist. Soc. B 50(2), 157-194, doi:10.1111/j.2517-6161.1988.tb01721.x; the two risks follow
    from them by enumeration.
    """
    make_panel, known_fit = build
    parents = {
        "asia": [], "smoke": [], "tub": ["asia"], "lung": ["smoke"], "bronc": ["smoke"],
        "xray": ["either"], "dysp": ["bronc", "either"],
    }  # fmt: skip
    risk = {
        "asia": {(): 0.01},
        "smoke": {(): 0.5},
        "tub": {(1,): 0.05, (0,): 0.01},
        "lung": {(1,): 0.10, (0,): 0.01},
        "bronc": {(1,): 0.60, (0,): 0.30},
        "xray": {(1,): 0.98, (0,): 0.05},
        "dysp": {(1, 1): 0.9, (0, 1): 0.7, (1, 0): 0.8, (0, 0): 0.1},
    }
    natural = {"scale": "natural"}
    indicators = {
        name: {
            "domain": "outcome",
            "family": "bernoulli",
            "causes": dict.fromkeys(above, natural)
            | ({"bronc * either": natural} if name == "dysp" else {}),
        }
        for name, above in parents.items()
    }
    indicators["either"] = {"domain": "outcome", "equals": "max(lung, tub)"}
    twin = Twin(twin="asia", panel={"unit": "person"}, indicators=indicators)
    rng = np.random.default_rng(0)
    panel = make_panel(twin, {n: rng.integers(0, 2, (1500, 1)) for n in parents}, 1500)
    values: dict[str, object] = {}
    for name in parents:
        factors = build_design(twin, name, panel).reference.factors
        centres = [factors[parent][0] for parent in parents[name]]
        states = list(risk[name])
        columns = [[1.0, *(s - c for s, c in zip(state, centres, strict=True))] for state in states]
        for row in columns:
            if name == "dysp":
                row.append(row[1] * row[2])
        solved = np.linalg.solve(np.array(columns), logit([risk[name][s] for s in states]))
        values[f"{name}.intercept"] = solved[0]
        if parents[name]:
            values[f"{name}.causes"] = solved[1:]
    fit = known_fit(twin, panel, values, draws=150)
    scenarios = [Scenario("yes", [do("smoke", 1)]), Scenario("no", [do("smoke", 0)])]
    draws = fit.simulate(scenarios=scenarios, seed=2, draws=150).draws
    error = 4 * 0.5 / np.sqrt(150 * 1500)
    dysp = draws["dysp"].mean(("draw", "unit", "chain", "period"))
    assert dysp.sel(scenario="yes").item() == pytest.approx(0.552808, abs=error)
    assert dysp.sel(scenario="no").item() == pytest.approx(0.319133, abs=error)
    for name in ("asia", "tub"):
        values_ = draws[name].values
        np.testing.assert_array_equal(values_[0], values_[1])
