"""The forward engine draws what PyMC draws from the same mechanisms and parameters."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy import stats

from dotwin.inference.fit import Fit
from dotwin.mechanisms import build_design
from dotwin.mechanisms.parameters import draw_prior, parameters
from dotwin.mechanisms.pymc_model import build_pymc_model
from dotwin.panel import read_panel
from dotwin.spec import Scenario, Twin, do

UNITS, DRAWS = 12, 300
FREQUENCY = {"column": "month", "frequency": "month"}
#: Families and modifiers, each given x and, where it can, its own past.
CASES: dict[str, dict[str, Any]] = {
    "normal": {"family": "normal", "causes": {"x": {}, "normal[-1]": {}}},
    "student_t": {"family": "student_t", "causes": {"x": {}}},
    "lognormal": {"family": "lognormal", "causes": {"x": {}, "log(lognormal[-1])": {}}},
    "gamma": {"family": "gamma", "causes": {"x": {}}},
    "gamma_hurdle": {"family": "gamma", "zeros": "hurdle", "causes": {"x": {}}},
    "beta": {"family": "beta", "causes": {"x": {}, "logit(beta[-1])": {}}},
    "beta_ends": {"family": "beta", "ends": [0, 1], "causes": {"x": {}}},
    "bernoulli": {"family": "bernoulli", "causes": {"x": {}}},
    "binomial": {"family": "binomial", "trials": "n", "causes": {"x": {}}},
    "beta_binomial": {"family": "beta_binomial", "trials": "n", "causes": {"x": {}}},
    "poisson": {"family": "poisson", "exposure": "days", "causes": {"x": {}}},
    "poisson_inflated": {"family": "poisson", "zeros": "inflated", "causes": {"x": {}}},
    "negative_binomial": {"family": "negative_binomial", "causes": {"x": {}}},
    "nb_truncated": {"family": "negative_binomial", "at_least": "few", "causes": {"x": {}}},
    "nb_hurdle": {"family": "negative_binomial", "zeros": "hurdle", "causes": {"x": {}}},
    "ordinal": {"family": "ordinal", "categories": ["low", "mid", "high"], "causes": {"x": {}}},
}
#: A value inside the support, for the period whose outcome PyMC predicts.
INSIDE = {"beta": 0.5, "beta_ends": 0.5, "bernoulli": 1.0, "ordinal": 1.0}


def _twin() -> Twin:
    given = {
        "x": {"domain": "context", "plausible": [-1.6, 1.6]},
        "n": {"domain": "context"},
        "days": {"domain": "context"},
        "few": {"domain": "context"},
    }
    modelled = {
        name: {"domain": "outcome", "pooling": ["home"], **fields} for name, fields in CASES.items()
    }
    return Twin(
        twin="all families",
        panel={"unit": "home", "period": FREQUENCY},
        indicators={**given, **modelled},
    )


def _table(twin: Twin, periods: int) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    homes = [f"home-{i}" for i in range(UNITS)]
    given = pd.DataFrame(
        {
            "home": homes,
            "x": rng.normal(size=UNITS),
            "n": rng.integers(3, 30, UNITS).astype(float),
            "days": rng.uniform(0.5, 3.0, UNITS),
            "few": rng.integers(1, 3, UNITS).astype(float),
        }
    )
    months = [f"2024-{m:02d}" for m in range(1, 3)]
    table = given.merge(pd.DataFrame({"month": months}), how="cross")
    varied = np.random.default_rng(4)
    for name in CASES:
        inside = INSIDE.get(name, 2.0)
        # The first two periods are the same whatever follows; values vary inside the support.
        jitter = varied.uniform(0.8, 1.2, len(table))
        discrete = name not in ("normal", "student_t", "lognormal", "gamma", "gamma_hurdle") and (
            "beta" not in name or name == "beta_binomial"
        )
        table[name] = inside if discrete else inside * jitter
    if periods == 3:
        last = table[table.month == months[-1]].assign(month="2024-03")
        table = pd.concat([table, last], ignore_index=True)
    table["ordinal"] = table["ordinal"].map({1.0: "mid"})
    return table


@pytest.fixture(scope="module")
def known() -> tuple[Twin, Fit]:
    """Many draws of known parameters for a twin with every family."""
    twin = _twin()
    panel = read_panel(_table(twin, 2), twin)
    values: dict[str, Any] = {}
    for seed, name in enumerate(CASES):
        design = build_design(twin, name, panel)
        listed = parameters(
            design.equation, design.reference, design.group_names, design.period_names
        )
        values |= draw_prior(listed, DRAWS, seed)
    return twin, Fit.from_parameters(twin, panel, values)


@pytest.fixture(scope="module")
def ahead(known: tuple[Twin, Fit]) -> Any:
    """One simulated period, dims (draw, unit) for each indicator."""
    return known[1].simulate(periods=1, seed=11, draws=DRAWS).draws.isel(period=0)


@pytest.mark.parametrize("name", list(CASES))
def test_one_step_ahead_agrees_with_pymc(name: str, known: tuple[Twin, Fit], ahead: Any) -> None:
    twin, fit = known
    logging.getLogger("pymc").setLevel(logging.ERROR)
    longer = read_panel(_table(twin, 3), twin)
    old = fit.designs[name]
    design = build_design(twin, name, longer, structure=old.structure, reference=old.reference)
    last = design.period == design.period.max()
    with build_pymc_model([design], parametrisation="named"):
        predicted = pm.sample_posterior_predictive(
            fit.posterior,
            var_names=[name],
            random_seed=5,
            progressbar=False,
            compile_kwargs={"mode": "FAST_COMPILE"},
        )
    theirs = predicted["posterior_predictive"][name].values[0][:, last]
    ours = ahead[name].sel(scenario="baseline").transpose("chain", "draw", "unit").values[0]
    assert ours.shape == theirs.shape == (DRAWS, UNITS)
    # Each draw has parameters of its own, so draws pair up; the two have independent noise. Signed
    # ranks see a shift, Kolmogorov and Smirnov any difference in shape.
    assert stats.ks_2samp(ours.ravel(), theirs.ravel(), method="asymp").pvalue > 1e-4
    gap = (np.arcsinh(ours) - np.arcsinh(theirs)).mean(axis=1)
    error = gap.std(ddof=1) / np.sqrt(DRAWS)
    assert abs(gap.mean()) < 4.0 * error + 1e-12


def test_a_do_agrees_with_pymc_do() -> None:
    twin = Twin(
        twin="chain",
        panel={"unit": "home"},
        indicators={
            "x": {"domain": "demand", "family": "normal", "plausible": [-1.645, 1.645]},
            "m": {
                "domain": "quality",
                "family": "normal",
                "causes": {"x": {"scale": "natural"}},
                "plausible": [-3.29, 3.29],
            },
            "y": {
                "domain": "outcome",
                "family": "poisson",
                "causes": {"m": {"scale": "natural"}, "x": {"scale": "natural"}},
            },
        },
    )
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(400, 2)), columns=["x", "m"])
    table = table.assign(home=[str(i) for i in range(400)], y=rng.poisson(1.0, 400))
    panel = read_panel(table, twin)
    fit = Fit.from_parameters(
        twin,
        panel,
        {
            "x.intercept": 0.2,
            "x.residual_sd": 1.1,
            "m.intercept": -0.3,
            "m.causes": [0.8],
            "m.residual_sd": 0.7,
            "y.intercept": 0.1,
            "y.causes": [0.5, -0.2],
        },
    )
    centre = {name: fit.designs["y"].reference.factors[name][0] for name in ("x", "m")}
    futures = fit.simulate(scenarios=[Scenario("more", [do("x", 1.5)])], seed=3)
    ours = futures.draws["y"].sel(scenario="more").values.ravel()
    with pm.Model() as model:
        x = pm.Normal("x", 0.2, 1.1)
        m = pm.Normal("m", -0.3 + 0.8 * (x - fit.designs["m"].reference.factors["x"][0]), 0.7)
        pm.Poisson("y", pm.math.exp(0.1 + 0.5 * (m - centre["m"]) - 0.2 * (x - centre["x"])))
    theirs = pm.draw(
        pm.do(model, {"x": 1.5})["y"], draws=20_000, random_seed=9, mode="FAST_COMPILE"
    )
    error = np.hypot(ours.std() / np.sqrt(ours.size), theirs.std() / np.sqrt(theirs.size))
    assert abs(ours.mean() - theirs.mean()) < 4.0 * error
    assert stats.ks_2samp(ours, theirs, method="asymp").pvalue > 1e-4
