"""A component in which one missing cause is read in every way that the language has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.inference.components import components_of
from dotwin.inference.engine import Component
from dotwin.panel import read_panel
from dotwin.spec.twin import Twin

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Any]

LAYOUT = {
    "unit": "home",
    "levels": ["region"],
    "period": {"column": "month", "frequency": "month"},
}
HOMES, MONTHS = 9, 7

#: Draws of each family's outcome, the family's fields, and how readers may write it.
FAMILIES: dict[str, tuple[Draw, dict[str, Any], str]] = {
    "normal": (lambda rng, n: rng.normal(1.0, 1.0, n), {"family": "normal"}, "x"),
    "normal, log link": (
        lambda rng, n: rng.normal(3.0, 0.5, n),
        {"family": "normal", "link": "log"},
        "sqrt(x)",
    ),
    "student_t": (lambda rng, n: rng.standard_t(4, n), {"family": "student_t"}, "square(x)"),
    "lognormal": (lambda rng, n: np.exp(rng.normal(size=n)), {"family": "lognormal"}, "log(x)"),
    "gamma": (lambda rng, n: rng.gamma(2.0, size=n), {"family": "gamma"}, "saturating(x, 2)"),
    "beta": (lambda rng, n: rng.beta(2, 5, n), {"family": "beta"}, "logit(x)"),
    "beta, percentage": (
        lambda rng, n: 100.0 * rng.beta(2, 5, n),
        {"family": "beta", "out_of": 100},
        "logit(x / 100)",
    ),
    "bernoulli": (lambda rng, n: rng.integers(0, 2, n), {"family": "bernoulli"}, "x"),
    "binomial": (
        lambda rng, n: rng.integers(0, 6, n),
        {"family": "binomial", "trials": "visits"},
        "logit(share(x))",
    ),
    "beta_binomial": (
        lambda rng, n: rng.integers(0, 6, n),
        {"family": "beta_binomial", "trials": "visits"},
        "share(x)",
    ),
    "poisson": (
        lambda rng, n: rng.poisson(3.0, n),
        {"family": "poisson", "exposure": "visits"},
        "log1p(x)",
    ),
    "negative_binomial": (
        lambda rng, n: rng.negative_binomial(2, 0.3, n),
        {"family": "negative_binomial"},
        "max(min(x, 6), hinge(x, 2)) - exp(0.1 * x) / (1 + 0.2 * x)",
    ),
}


def component(family: str, *, readers: bool = True, seed: int = 1) -> Component:
    """Build the component of an ``x`` of this family with missing values.

    Parameters
    ----------
    family : str
        A key of `FAMILIES`.
    readers : bool
        Whether other mechanisms read x; its own next period does in any case.
    """
    draw, fields, form = FAMILIES[family]
    lagged = form.replace("x", "x[-1]").replace("max[-1]", "max").replace("ex[-1]p", "exp")
    rng = np.random.default_rng(seed)
    n = HOMES * MONTHS
    home = np.repeat(np.arange(HOMES), MONTHS)
    given = ["need", "visits"]
    frame = pd.DataFrame(
        {
            "region": [f"r{h % 3}" for h in home],
            "home": [f"h{h}" for h in home],
            "month": [f"2024-{m + 1:02d}" for m in np.tile(np.arange(MONTHS), HOMES)],
            "need": rng.normal(size=n),
            "visits": rng.integers(6, 12, n),
            "cost": rng.normal(size=n),
            "falls": np.where(rng.random(n) < 0.3, 0, rng.poisson(2.0, n)),
            "calls": np.where(rng.random(n) < 0.3, 0, rng.poisson(2.0, n)),
            "late": rng.integers(0, 6, n),
            "grade": np.array(["low", "middle", "high"])[rng.integers(0, 3, n)],
            "hours": 1.0 + rng.gamma(2.0, size=n),
        }
    )
    values = np.asarray(draw(rng, n), dtype=float)
    frame["x"] = np.where(rng.random(n) < 0.25, np.nan, values)
    indicators: dict[str, Any] = {name: {"domain": "context"} for name in given}
    indicators["x"] = {
        "domain": "workforce",
        "missing": "impute",
        "causes": {"need": {}, lagged: {"prior": "normal(0.2, 0.1)"}},
        "pooling": ["region"],
        **fields,
    }
    both = {form: {"varying": ["region"]}, "need": {}, f"({form}) * need": {}}
    if readers:
        indicators |= {
            "cost": {
                "domain": "cost",
                "family": "normal",
                "causes": {form: {"scale": "natural"}, lagged: {}},
                "pooling": ["home"],
            },
            "falls": {
                "domain": "safeguarding",
                "family": "poisson",
                "causes": both,
                "pooling": ["region", "home", "period"],
                "zeros": {"as": "hurdle", "causes": {form: {}}},
            },
            "calls": {
                "domain": "demand",
                "family": "negative_binomial",
                "causes": {form: {}, lagged: {}},
                "zeros": {"as": "inflated", "causes": {lagged: {}}},
            },
            "late": {
                "domain": "quality",
                "family": "beta_binomial",
                "trials": "visits",
                "causes": {form: {}},
            },
            "grade": {
                "domain": "quality",
                "family": "ordinal",
                "categories": ["low", "middle", "high"],
                "causes": {form: {}},
            },
            "hours": {
                "domain": "workforce",
                "family": "student_t",
                "at_least": 1,
                "causes": {form: {}},
            },
        }
    twin = Twin(twin="read", panel=LAYOUT, indicators=indicators)
    kept = [c for c in frame.columns if c in indicators or c in ("region", "home", "month")]
    found = components_of(twin, read_panel(frame[kept], twin))
    (joint,) = [c for c in found if c.imputation is not None]
    return joint
