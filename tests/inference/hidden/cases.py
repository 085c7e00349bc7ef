"""Twins with hidden causes, and panels made from them by NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dotwin.panel import Panel, read_panel
from dotwin.spec.twin import Twin

MONTHLY = {
    "unit": "home",
    "levels": ["region"],
    "period": {"column": "month", "frequency": "month"},
}
AFFECTED = ("turnover", "falls", "calls")


def twin_with(
    hidden: Mapping[str, Any],
    families: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    pooling: tuple[str, ...] = (),
) -> Twin:
    """Three indicators that a hidden cause may affect, and a given."""
    families = families or {name: {"family": "normal"} for name in AFFECTED}
    return Twin(
        twin="hidden",
        panel=MONTHLY,
        indicators={
            "need": {"domain": "context"},
            **{
                name: {"domain": "quality", "causes": {"need": {}}, "pooling": pooling, **fields}
                for name, fields in families.items()
            },
        },
        hidden_causes={"management": {"affects": tuple(families), **hidden}},
    )


def table(homes: int, months: int, values: Mapping[str, Any], *, seed: int = 0) -> pd.DataFrame:
    """A table with values of dims (home, month); ``need`` is drawn."""
    rng = np.random.default_rng(seed)
    home = np.repeat(np.arange(homes), months)
    return pd.DataFrame(
        {
            "region": [f"r{h % 3}" for h in home],
            "home": [f"h{h:03d}" for h in home],
            "month": [f"{2020 + t // 12}-{t % 12 + 1:02d}" for t in np.tile(range(months), homes)],
            "need": rng.normal(size=homes * months),
            **{name: np.asarray(array).ravel() for name, array in values.items()},
        }
    )


def panel_with(twin: Twin, homes: int = 9, months: int = 5, *, seed: int = 1) -> Panel:
    """A panel of noise that every family can take."""
    rng = np.random.default_rng(seed)
    draw = {
        "normal": lambda: rng.normal(size=(homes, months)),
        "student_t": lambda: rng.standard_t(5, size=(homes, months)),
        "gamma": lambda: rng.gamma(2.0, size=(homes, months)),
        "beta": lambda: rng.beta(2.0, 5.0, size=(homes, months)),
        "poisson": lambda: rng.poisson(3.0, size=(homes, months)),
        "negative_binomial": lambda: rng.negative_binomial(2, 0.3, size=(homes, months)),
        "bernoulli": lambda: rng.integers(0, 2, size=(homes, months)),
    }
    values = {
        name: draw[str(one.family)]()
        for name, one in twin.indicators.items()
        if one.family is not None
    }
    return read_panel(table(homes, months, values), twin)
