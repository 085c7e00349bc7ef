"""Small fitted twins with known parameters, for everything that simulates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import xarray as xr

from dotwin.inference import Fit
from dotwin.panel import Panel
from dotwin.spec import Twin, read_twin

MONTHS = {"column": "month", "frequency": "month"}


def make_panel(
    twin: Twin,
    values: Mapping[str, Any],
    units: int,
    periods: int = 1,
    groups: Mapping[str, list[str]] | None = None,
) -> Panel:
    """A panel of units ``u00``, ``u01`` …, monthly from January 2024, of broadcast values."""
    shape = (units, periods)
    data = {
        name: (("unit", "period"), np.array(np.broadcast_to(np.asarray(array), shape)))
        for name, array in values.items()
    }
    start = np.datetime64("2024-01", "M")
    time = (start + np.arange(periods)).astype("datetime64[ns]")
    coords = {
        "unit": [f"u{i:02d}" for i in range(units)],
        "period": time if twin.panel.period else np.arange(periods),
        **{level: ("unit", names) for level, names in (groups or {}).items()},
    }
    return Panel.from_dataset(xr.Dataset(data, coords=coords), twin)


def known_fit(twin: Twin, panel: Panel, values: Mapping[str, Any], draws: int = 1) -> Fit:
    """A fit whose draws all have the same parameters."""
    repeated = {
        name: np.repeat(np.asarray(value, dtype=float)[None], draws, axis=0)
        for name, value in values.items()
    }
    return Fit.from_parameters(twin, panel, repeated)


@pytest.fixture(scope="session")
def build() -> tuple[Callable[..., Panel], Callable[..., Fit]]:
    return make_panel, known_fit


@pytest.fixture(scope="session")
def workforce() -> Fit:
    """The embedded example, small, with draws that differ a little in every intercept."""
    twin = read_twin("workforce_pressure")
    panel = twin.simulate_panel(units={"region": 3, "provider": 14}, periods=9, seed=3)
    rng = np.random.default_rng(0)
    draws = 12
    values = {}
    for name, truth in panel.truth.items():
        array = np.repeat(truth.values[None], draws, axis=0)
        if str(name).endswith(".intercept"):
            array = array + rng.normal(0, 0.05, draws)
        values[str(name)] = array
    return Fit.from_parameters(twin, panel, values)
