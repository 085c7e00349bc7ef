"""Small fitted twins with known parameters, for everything that is asked of them."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.inference import Fit
from dotwin.spec import read_twin


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
