"""One small twin, its panel and one real fit, shared by the tests of inference."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dotwin.errors import ConvergenceWarning
from dotwin.inference import Fit, fit
from dotwin.panel import Panel, read_panel
from dotwin.spec.twin import Twin

LAYOUT = {
    "unit": "provider",
    "levels": ["region"],
    "period": {"column": "month", "frequency": "month"},
}
INDICATORS: dict[str, Any] = {
    "wage_gap": {"domain": "workforce"},
    "visits": {"domain": "demand"},
    "vacancy": {
        "domain": "workforce",
        "family": "beta",
        "pooling": ["provider"],
        "causes": {"logit(vacancy[-1])": {}, "wage_gap": {}},
    },
    "missed": {
        "domain": "quality",
        "family": "binomial",
        "trials": "visits",
        "pooling": ["region", "provider"],
        "causes": {"logit(vacancy)": {}, "log1p(backlog[-1])": {}},
    },
    "incidents": {
        "domain": "safeguarding",
        "family": "poisson",
        "pooling": ["provider", "period"],
        "causes": {"logit(share(missed))": {}},
    },
    "backlog": {"domain": "capacity", "equals": "max(0, backlog[-1] + missed - 4)", "start": 2},
}


def twin_with(**changes: dict[str, Any]) -> Twin:
    """The small twin with some fields of some indicators changed."""
    indicators = {name: {**one, **changes.get(name, {})} for name, one in INDICATORS.items()}
    return Twin(twin="small", panel=LAYOUT, indicators=indicators)


def simulated_table(seed: int = 4, providers: int = 24, months: int = 10) -> pd.DataFrame:
    """Providers in three regions by month, made by the equations of the small twin."""
    rng = np.random.default_rng(seed)
    level = rng.normal(-1.6, 0.3, providers)
    slack, region = rng.normal(0, 0.3, providers), rng.normal(0, 0.2, 3)
    risk, shocks = rng.normal(0, 0.3, providers), rng.normal(0, 0.2, months)
    vacancy, backlog = np.full(providers, 0.17), np.full(providers, 2.0)
    rows = []
    for t in range(months):
        gap = rng.normal(0.1, 0.1, providers)
        mean = 1 / (1 + np.exp(-(0.4 * np.log(vacancy / (1 - vacancy)) + 0.6 * level + gap)))
        vacancy = np.clip(rng.beta(40 * mean, 40 * (1 - mean)), 0.01, 0.95)
        visits = rng.integers(20, 60, providers)
        eta = (
            -1.8 + 0.4 * np.log(vacancy / (1 - vacancy)) + slack + region[np.arange(providers) % 3]
        )
        missed = rng.binomial(visits, 1 / (1 + np.exp(-eta - 0.2 * np.log1p(backlog))))
        share = np.log((missed + 0.5) / (visits - missed + 0.5))
        incidents = rng.poisson(np.exp(1.2 + 0.3 * share + risk + shocks[t]))
        if t:
            backlog = np.maximum(0, backlog + missed - 4)
        rows.append(
            pd.DataFrame(
                {
                    "region": [f"r{i % 3}" for i in range(providers)],
                    "provider": [f"p{i:02d}" for i in range(providers)],
                    "month": f"{2024 + t // 12}-{t % 12 + 1:02d}",
                    "wage_gap": gap,
                    "visits": visits,
                    "vacancy": vacancy,
                    "missed": missed,
                    "incidents": incidents,
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


@pytest.fixture(scope="session")
def small_twin() -> Twin:
    return twin_with()


@pytest.fixture(scope="session")
def small_table() -> pd.DataFrame:
    return simulated_table()


@pytest.fixture(scope="session")
def small_panel(small_twin: Twin, small_table: pd.DataFrame) -> Panel:
    return read_panel(small_table, small_twin)


@pytest.fixture(scope="session")
def small_fit(small_twin: Twin, small_panel: Panel) -> Fit:
    with warnings.catch_warnings():
        # What is tested of it does not hang on the last effective draw.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(
            small_twin,
            small_panel,
            draws=1500,
            tune=700,
            chains=2,
            seed=1,
            engine="nuts",
            progress=False,
        )
