"""One equation, two interpreters: NumPy's log density is that of PyMC's observed variable."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dotwin.mechanisms.design import Design
from dotwin.mechanisms.parameters import draw_prior, parameters
from dotwin.mechanisms.pymc_model import build_pymc_model
from dotwin.mechanisms.response import log_likelihood
from dotwin.panel import Panel
from tests.mechanisms.family_cases import PLAIN_MODE
from tests.mechanisms.small import STARS, design_of, small_panel, small_table

DRAWS = 20
CAUSES: dict[str, Any] = {"staffing": {"varying": ["region"]}, "log(beds)": {}}
ZEROS = {"as": "hurdle", "causes": {"staffing": {}}, "pooling": ["region", "period"]}
POOLED = {"pooling": ["region", "provider"], "causes": CAUSES}

Draw = Callable[[np.random.Generator, pd.DataFrame], Any]

#: Every family, and every modifier at least once.
MECHANISMS: dict[str, tuple[Draw, dict[str, Any]]] = {
    "normal": (
        lambda r, t: r.normal(4, 2, 72),
        {"family": "normal", **POOLED, "trend": "walk", "season": {"cycle": 4, "harmonics": 2}},
    ),
    "normal_log": (
        lambda r, t: r.normal(9, 1, 72),
        {"family": "normal", "link": "log", "trend": "linear", **POOLED},
    ),
    "normal_bound": (
        lambda r, t: t["surveys"] + r.gamma(2, 1, 72),
        {"family": "normal", "at_least": "surveys", **POOLED},
    ),
    "student": (lambda r, t: r.standard_t(3, 72), {"family": "student_t", **POOLED}),
    "lognormal": (
        lambda r, t: np.where(r.random(72) < 0.3, 0, r.lognormal(1, 1, 72)),
        {"family": "lognormal", "zeros": ZEROS, **POOLED},
    ),
    "gamma": (
        lambda r, t: np.where(r.random(72) < 0.2, 0, r.gamma(2, 3, 72)),
        {"family": "gamma", "zeros": "hurdle", **POOLED},
    ),
    "beta": (lambda r, t: r.beta(2, 6, 72), {"family": "beta", **POOLED}),
    "beta_ends": (
        lambda r, t: 100 * np.where(r.random(72) < 0.3, r.integers(0, 2, 72), r.beta(2, 2, 72)),
        {"family": "beta", "ends": [0, 100], "out_of": 100, **POOLED},
    ),
    "bernoulli": (lambda r, t: r.integers(0, 2, 72), {"family": "bernoulli", **POOLED}),
    "binomial": (
        lambda r, t: r.binomial(t["visits"], 0.2),
        {"family": "binomial", "trials": "visits", **POOLED},
    ),
    "binomial_zeros": (
        lambda r, t: r.binomial(t["visits"], 0.2) * r.integers(0, 2, 72),
        {"family": "binomial", "trials": "visits", "zeros": "inflated", **POOLED},
    ),
    "beta_binomial": (
        lambda r, t: r.binomial(t["visits"], r.beta(2, 8, 72)),
        {"family": "beta_binomial", "trials": "visits", **POOLED},
    ),
    "poisson": (
        lambda r, t: r.poisson(2, 72),
        {"family": "poisson", "exposure": "days", "zeros": {**ZEROS, "as": "inflated"}, **POOLED},
    ),
    "negative_binomial": (
        lambda r, t: np.where(t["surveys"] > 0, t["surveys"] + r.poisson(2, 72), 0),
        {
            "family": "negative_binomial",
            "at_least": "surveys",
            "when": "surveys > 0",
            "otherwise": 0,
            **POOLED,
        },
    ),
    "negative_binomial_zeros": (
        lambda r, t: r.poisson(2, 72) * r.integers(0, 2, 72),
        {"family": "negative_binomial", "zeros": "hurdle", "exposure": "days", **POOLED},
    ),
    "ordinal": (
        lambda r, t: np.array(STARS)[r.integers(0, 3, 72)],
        {"family": "ordinal", "categories": list(STARS), **POOLED},
    ),
    "own_lag": (
        lambda r, t: r.gamma(2, 3, 72),
        {
            "family": "gamma",
            "pooling": ["region", "provider", "period"],
            "causes": {"log(own_lag[-1])": {}, "staffing": {}},
        },
    ),
}


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng, table = np.random.default_rng(8), small_table()
    outcomes = {name: draw(rng, table) for name, (draw, _) in MECHANISMS.items()}
    return small_panel(
        table.assign(**outcomes), **{name: one for name, (_, one) in MECHANISMS.items()}
    )


def prior_draws(design: Design) -> dict[str, Any]:
    listed = parameters(design.equation, design.reference, design.group_names, design.period_names)
    return draw_prior(listed, DRAWS, 11)


@pytest.mark.parametrize("name", list(MECHANISMS))
def test_log_density_of_rows_is_that_of_the_pymc_model(panel: Panel, name: str) -> None:
    import pymc as pm
    import pytensor

    design = design_of(panel, name)
    drawn = prior_draws(design)
    ours = log_likelihood(design, drawn)
    model = build_pymc_model([design])
    rows = pm.logp(model[name], design.y)
    inputs = [model[parameter] for parameter in drawn]
    density = pytensor.function(inputs, rows, mode=PLAIN_MODE, on_unused_input="ignore")
    theirs = np.stack([density(*(values[i] for values in drawn.values())) for i in range(DRAWS)])
    assert np.isfinite(theirs).all()
    np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_every_family_of_the_language_is_compared() -> None:
    from dotwin.spec.twin import FAMILIES

    assert {one["family"] for _, one in MECHANISMS.values()} == set(FAMILIES)
