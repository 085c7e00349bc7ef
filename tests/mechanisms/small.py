"""A small panel of providers, and designs of mechanisms on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dotwin.mechanisms import build_design
from dotwin.mechanisms.design import Design
from dotwin.panel import Panel, read_panel
from dotwin.spec.twin import Twin

LAYOUT = {
    "unit": "provider",
    "levels": ["region"],
    "period": {"column": "quarter", "frequency": "quarter"},
}
STARS = ("one", "two", "three")


def small_table(seed: int = 3, providers: int = 12, quarters: int = 6) -> pd.DataFrame:
    """Providers in four regions by quarter, with inputs of every kind."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(providers), quarters)
    period = np.tile(np.arange(quarters), providers)
    size = unit.size
    return pd.DataFrame(
        {
            "region": [f"r{u % 4}" for u in unit],
            "provider": [f"p{u:02d}" for u in unit],
            "quarter": [f"{2020 + t // 4}Q{t % 4 + 1}" for t in period],
            "staffing": rng.normal(3.0, 1.0, size),
            "beds": rng.uniform(20, 90, providers)[unit].round(),
            "days": rng.uniform(5.0, 20.0, size),
            "visits": rng.integers(5, 40, size),
            "surveys": rng.integers(0, 4, size),
            "owner": np.array(["chain", "public", "single"])[rng.integers(0, 3, providers)][unit],
            "stars": np.array(STARS)[rng.integers(0, 3, size)],
            "turnover": rng.beta(2.0, 20.0, size),
        }
    )


GIVEN: dict[str, Any] = {
    **{name: {"domain": "context"} for name in ("staffing", "beds", "days", "visits", "surveys")},
    "owner": {
        "domain": "context",
        "categories": ["single", "chain", "public"],
        "reference": "public",
    },
}


def small_twin(**indicators: Any) -> Twin:
    """A twin of the small table's inputs and some mechanisms."""
    named = {name: {"domain": "quality", **one} for name, one in indicators.items()}
    return Twin(twin="small", panel=LAYOUT, indicators={**GIVEN, **named})


def small_panel(table: pd.DataFrame | None = None, **indicators: Any) -> Panel:
    """The small table read for a twin with these mechanisms."""
    return read_panel(small_table() if table is None else table, small_twin(**indicators))


def design_of(panel: Panel, child: str) -> Design:
    """The design of one mechanism."""
    return build_design(panel.twin, child, panel)
