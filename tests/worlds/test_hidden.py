"""Hidden causes in simulated worlds: kept where the posterior holds them, drawn where it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import dotwin as dw
from dotwin.errors import LicenceError, NewGroupsError
from dotwin.inference.fit import Fit
from dotwin.panel import Panel, read_panel
from dotwin.spec.twin import Twin

HOMES, MONTHS = 6, 4
PANEL = {"unit": "home", "period": {"column": "month", "frequency": "month"}}


def twin_of(over: str, level: str = "home") -> Twin:
    usual = {"domain": "quality", "family": "normal", "plausible": [-1.645, 1.645]}
    return Twin(
        twin="hidden",
        panel=PANEL,
        indicators={"x": usual, "y": {**usual, "causes": {"x": {}}}, "z": usual},
        hidden_causes={"u": {"affects": ["x", "y", "z"], "level": level, "over": over}},
    )


def panel_of(twin: Twin, homes: int = HOMES) -> Panel:
    rng = np.random.default_rng(0)
    home = np.repeat(np.arange(homes), MONTHS)
    frame = pd.DataFrame(
        {
            "home": [f"h{h}" for h in home],
            "month": [f"2024-{t + 1:02d}" for t in np.tile(np.arange(MONTHS), homes)],
            **{name: rng.normal(size=home.size) for name in ("x", "y", "z")},
        }
    )
    return read_panel(frame, twin)


def known(twin: Twin, u: Any, *, draws: int = 1, noise: float = 1e-9) -> Fit:
    """Loadings of 0.8, 0.6 and -0.5, next to no noise, 0.7 from x to y."""

    def every(value: Any) -> Any:
        return np.broadcast_to(value, (draws, *np.shape(value)))

    values = {f"{name}.intercept": every(0.0) for name in "xyz"}
    values |= {f"{name}.residual_sd": every(noise) for name in "xyz"}
    values |= {"x.causes": every([0.8]), "y.causes": every([0.7, 0.6]), "z.causes": every([-0.5])}
    return Fit.from_parameters(twin, panel_of(twin), {**values, "u": u})


def test_futures_keep_each_units_value() -> None:
    u = np.linspace(-2, 2, HOMES)
    futures = known(twin_of("constant"), u).simulate(periods=2, seed=1)
    x, y, z = (futures.draws[name].values[0, 0, 0] for name in "xyz")
    np.testing.assert_allclose(x, np.repeat(0.8 * u[:, None], 2, axis=1), atol=1e-6)
    np.testing.assert_allclose(y, 0.7 * x + 0.6 * u[:, None], atol=1e-6)
    np.testing.assert_allclose(z, np.repeat(-0.5 * u[:, None], 2, axis=1), atol=1e-6)


def test_an_intervention_leaves_the_hidden_cause_where_it_was() -> None:
    u = np.linspace(-2, 2, HOMES)
    scenario = dw.Scenario("set", [dw.do("x", 1.0)])
    futures = known(twin_of("constant"), u).simulate(periods=1, scenarios=[scenario], seed=1)
    y = futures.draws["y"].sel(scenario="set").values[0, 0, :, 0]
    np.testing.assert_allclose(y, 0.7 + 0.6 * u, atol=1e-6)


@pytest.mark.parametrize("level", ["home", "period"])
def test_later_periods_have_values_of_their_own_that_all_indicators_share(level: str) -> None:
    twin = twin_of("period", level)
    shape = (HOMES, MONTHS) if level == "home" else (MONTHS,)
    futures = known(twin, np.zeros((400, *shape)), draws=400).simulate(periods=2, seed=1, draws=400)
    x = futures.draws["x"].values[0, 0] / 0.8
    np.testing.assert_allclose(futures.draws["z"].values[0, 0], -0.5 * x, atol=1e-5)
    # Standard normal: the variance of n values has sd sqrt(2 / n).
    n = x.size if level == "home" else 800
    assert abs(x.mean()) < 4 / np.sqrt(n)
    assert abs(x.var() - 1) < 4 * np.sqrt(2 / n)
    assert np.ptp(x, axis=1).max() < 1e-6 or level == "home"
    assert abs(np.corrcoef(x[..., 0].ravel(), x[..., 1].ravel())[0, 1]) < 4 * np.sqrt(2 / n)


def test_a_unit_never_seen_draws_its_value_once() -> None:
    twin = twin_of("constant")
    fit = known(twin, np.zeros((300, HOMES)), draws=300)
    more = panel_of(twin, HOMES + 1)
    with pytest.raises(NewGroupsError, match="h6"):
        fit.simulate(periods=2, seed=1, panel=more)
    futures = fit.simulate(periods=2, seed=1, draws=300, panel=more, new_groups="population")
    x = futures.draws["x"].values[0, 0]
    np.testing.assert_allclose(x[:, :HOMES], 0.0, atol=1e-6)
    fresh = x[:, HOMES] / 0.8
    np.testing.assert_allclose(fresh[:, 0], fresh[:, 1], atol=1e-6)
    assert abs(fresh[:, 0].var() - 1) < 4 * np.sqrt(2 / 300)


def test_values_do_not_depend_on_the_blocks() -> None:
    fit = known(twin_of("period"), np.zeros((40, HOMES, MONTHS)), draws=40, noise=1.0)
    whole = fit.simulate(periods=2, seed=5, draws=40)
    engine = whole.run.engine()
    for block in engine.blocks(7):
        x = np.stack(block.worlds[0].seen["x"][-2:], axis=-1)
        np.testing.assert_array_equal(x, whole.draws["x"].values[0, 0, block.rows])


def test_a_made_up_panel_holds_the_hidden_cause_in_its_truth() -> None:
    twin = twin_of("constant")
    fixed = {"x.causes": [0.9], "y.causes": [0.5, 0.7], "z.causes": [-0.8]}
    fixed |= {f"{name}.residual_sd": 0.01 for name in "xyz"}
    fixed |= {f"{name}.intercept": 0.0 for name in "xyz"}
    panel = twin.simulate_panel(units={"home": 8}, periods=3, seed=2, parameters=fixed)
    u = panel.truth["u"]
    assert u.dims == ("home",)
    order = panel.values("x")
    np.testing.assert_allclose(order, np.repeat(0.9 * u.values[:, None], 3, axis=1), atol=0.06)
    again = twin.simulate_panel(
        units={"home": 8}, periods=3, seed=2, parameters={**fixed, "u": u.values**2}
    )
    np.testing.assert_allclose(again.truth["u"], u.values**2)
    over = twin_of("period").simulate_panel(units={"home": 8}, periods=3, seed=2, parameters=fixed)
    assert over.truth["u"].dims == ("home", "period")
    np.testing.assert_allclose(over.values("z"), -0.8 * over.truth["u"].values, atol=0.06)


def test_contrasts_say_on_what_they_rest() -> None:
    scenario = dw.Scenario("set", [dw.do("x", 1.0)])
    by_form = known(twin_of("constant"), 0.0).simulate(periods=1, scenarios=[scenario], seed=1)
    licence = by_form.contrast("set", on="y").licence
    assert licence.identified.status == "yes"
    assert licence.identified.basis == "form"
    by_prior = known(twin_of("period"), 0.0).simulate(periods=1, scenarios=[scenario], seed=1)
    with pytest.raises(LicenceError, match="assume='prior'"):
        by_prior.contrast("set", on="y")
    assumed = by_prior.contrast("set", on="y", assume="prior").licence
    assert assumed.identified.status == "assumed"
    assert "prior of a hidden cause" in assumed.meaning
    assert not assumed.ok
