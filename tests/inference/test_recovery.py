"""A panel simulated with known truth gives its truth back."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from benchmarks.validate import kind_of, ranks_of, recover, summarise
from dotwin.inference import Fit
from dotwin.spec.yaml import read_twin


@pytest.mark.slow
def test_one_panel_gives_its_truth_back() -> None:
    found = recover(
        read_twin("workforce_pressure"),
        1,
        draws=300,
        tune=400,
        chains=2,
        units={"region": 4, "provider": 24},
        periods=14,
    )
    rows = pd.DataFrame(found["rows"])
    single = rows[~rows["kind"].str.contains("effects|slopes")]
    # About 100 parameters, whose errors hang together a little: two binomial errors and more.
    assert single["inside"].mean() == pytest.approx(0.9, abs=0.12)
    assert (single["z"].abs() < 5).all()
    assert single["z"].mean() == pytest.approx(0.0, abs=0.5)
    effects = rows[rows["kind"] == "effects of providers"]
    assert effects["inside"].mean() == pytest.approx(0.9, abs=0.07)


def test_truth_drawn_with_the_posterior_has_uniform_ranks(small_fit: Fit) -> None:
    posterior = small_fit.posterior["posterior"].to_dataset()
    parts = []
    for seed, draw in enumerate(np.linspace(0, 1499, 40).astype(int)):
        truth = posterior.isel(chain=seed % 2, draw=int(draw), drop=True)
        rows = ranks_of(small_fit, truth).to_dict("list")
        parts.append({"seed": seed, "rows": rows})
    table = summarise(parts).set_index("kind")
    assert table.loc["all but effects", "coverage"] == pytest.approx(0.9, abs=0.03)
    assert bool(table.loc["all but effects", "within_band"])


def test_a_wrong_truth_is_found_out(small_fit: Fit) -> None:
    posterior = small_fit.posterior["posterior"].to_dataset()
    parts = []
    for seed in range(20):
        truth = posterior.isel(chain=0, draw=seed * 50, drop=True)
        moved = xr.Dataset(
            {name: values + 2 * float(values.std() or 1.0) for name, values in truth.items()}
        )
        parts.append({"seed": seed, "rows": ranks_of(small_fit, moved).to_dict("list")})
    table = summarise(parts).set_index("kind")
    assert not bool(table.loc["all but effects", "within_band"])


def test_parameters_are_sorted_by_kind() -> None:
    assert kind_of("a.causes", "logit(a[-1])") == "persistence"
    assert kind_of("a.causes", "between: b") == "between"
    assert kind_of("a.causes", "initial: a[-1]") == "initial"
    assert kind_of("a.causes", "b * c") == "cause"
    assert kind_of("a.sd_slope_region", "") == "slope sd"
    assert kind_of("a.provider", "") == "effects of providers"
    assert kind_of("a.dispersion", "") == "dispersion"
