"""Verdicts say whether a posterior can be trusted, and whether units differ as is claimed."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from dotwin.errors import ConvergenceWarning
from dotwin.inference import Fit, fit
from dotwin.inference.traits import unit_traits, within_between
from dotwin.panel import Panel, read_panel
from dotwin.spec.twin import Twin
from tests.inference.conftest import twin_with

DRAWS = 40


@pytest.fixture(scope="module")
def easy() -> tuple[Twin, Panel]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=80)
    table = pd.DataFrame(
        {"home": [f"h{i}" for i in range(80)], "x": x, "y": x + rng.normal(size=80)}
    )
    twin = Twin(
        twin="easy",
        panel={"unit": "home"},
        indicators={
            "x": {"domain": "context"},
            "y": {"domain": "outcome", "family": "normal", "causes": {"x": {}}},
        },
    )
    return twin, read_panel(table, twin)


def test_a_simple_posterior_has_converged_and_says_so(easy: tuple[Twin, Panel]) -> None:
    one = fit(*easy, draws=1000, tune=500, chains=4, seed=1, engine="nuts", progress=False)
    diagnosis = one.diagnose()
    assert diagnosis.converged
    assert diagnosis.sentence.startswith("All 1 components converged (worst R-hat 1.0")
    row = diagnosis.table.iloc[0]
    assert row["ess_bulk"] > 400
    assert row["engine"] == "nuts"
    assert diagnosis.sentence in repr(one)


def test_too_few_draws_are_not_converged_and_the_advice_names_the_setting(
    easy: tuple[Twin, Panel],
) -> None:
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        one = fit(*easy, draws=25, tune=200, chains=2, seed=1, engine="nuts", progress=False)
    row = one.diagnose().table.iloc[0]
    assert row["verdict"] == "not converged"
    assert "too few effective draws" in row["advice"]
    assert "raise draws= by" in row["advice"]


def test_worst_values_are_those_of_arviz(small_fit: Fit) -> None:
    import arviz as az

    summary = az.summary(
        small_fit.posterior, var_names=["missed.intercept", "missed.causes"], round_to="none"
    ).astype(float)
    worst = small_fit.diagnose().worst.set_index("parameter")
    for name in summary.index:
        assert worst.loc[name, "rhat"] == pytest.approx(summary.loc[name, "r_hat"])
        assert worst.loc[name, "ess_bulk"] == pytest.approx(summary.loc[name, "ess_bulk"])


def test_chains_that_disagree_are_found(small_fit: Fit) -> None:
    from dataclasses import replace

    moved = small_fit.posterior["posterior"].to_dataset().copy(deep=True)
    moved["missed.intercept"][0] += 3.0
    tree = xr.DataTree.from_dict(
        {"posterior": moved, "sample_stats": small_fit.tree["sample_stats"].to_dataset()}
    )
    diagnosis = replace(small_fit, tree=tree).diagnose()
    row = diagnosis.table.set_index("component").loc["missed"]
    assert row["verdict"] == "not converged"
    assert "chains disagree" in row["advice"]
    assert "missed.intercept" in row["advice"]
    assert not diagnosis.converged


def test_few_periods_are_said_to_leave_a_shock_to_its_prior(small_table: pd.DataFrame) -> None:
    twin = twin_with()
    months = small_table["month"] < "2024-06"
    known = stated(twin, read_panel(small_table[months], twin), {})
    assert any("incidents" in n and "driven by its prior" in n for n in known.diagnose().notes)


def test_hidden_causes_are_said_to_be_left_out(small_table: pd.DataFrame) -> None:
    base = twin_with().model_dump(mode="json", by_alias=True)
    hidden = {"management": {"affects": ["vacancy", "missed"], "level": "provider"}}
    twin = Twin(**{**base, "hidden_causes": hidden})
    known = stated(twin, read_panel(small_table, twin), {})
    assert any("management" in note and "not fitted" in note for note in known.diagnose().notes)


# ── unit traits ──────────────────────────────────────────────────────────────────────────────────


def stated(twin: Twin, panel: Panel, changed: Mapping[str, Any]) -> Fit:
    """A fit of stated draws; what is not said is 0, spreads are 1."""
    from dotwin.mechanisms import build_design
    from dotwin.mechanisms.parameters import parameters

    values: dict[str, Any] = {}
    for child in twin.stochastic:
        d = build_design(twin, child, panel)
        for one in parameters(d.equation, d.reference, d.group_names, d.period_names):
            if one.kind == "free":
                values[one.name] = np.full(one.shape, float(".sd_" in one.name))
            elif one.kind == "dispersion":
                values[one.name] = 10.0
    return Fit.from_parameters(twin, panel, {**values, **changed})


def effects(rng: np.random.Generator, correlation: float, groups: int = 24) -> dict[str, Any]:
    """Effects of two mechanisms, known almost exactly."""
    a = rng.normal(size=groups)
    b = correlation * a + np.sqrt(1 - correlation**2) * rng.normal(size=groups)
    blur = 0.05 * rng.normal(size=(2, DRAWS, groups))
    return {"vacancy.provider": a + blur[0], "missed.provider": b + blur[1]}


def test_a_shared_trait_of_units_is_found(small_fit: Fit) -> None:
    rng = np.random.default_rng(2)
    known = stated(small_fit.twin, small_fit.panel, effects(rng, 0.9))
    table = unit_traits(known).set_index(["of", "first", "second"])
    row = table.loc[("provider", "vacancy", "missed")]
    assert row["verdict"] == "contradicted"
    assert row["5%"] < 0.9 < row["95%"]
    assert row["groups"] == 24


def test_unrelated_effects_are_seldom_called_related(small_fit: Fit) -> None:
    rng = np.random.default_rng(3)
    calls = []
    for _ in range(60):
        known = stated(small_fit.twin, small_fit.panel, effects(rng, 0.0))
        table = unit_traits(known).set_index(["of", "first", "second"])
        calls.append(table.loc[("provider", "vacancy", "missed"), "verdict"] == "contradicted")
    # One in a hundred is meant; 6 of 60 has a chance of 3e-5.
    assert sum(calls) <= 5


def test_only_mechanisms_joined_by_a_path_are_compared(small_table: pd.DataFrame) -> None:
    twin = twin_with(missed={"causes": {}}, incidents={"causes": {}})
    known = stated(twin, read_panel(small_table, twin), {})
    assert unit_traits(known).empty


def test_within_and_between_coefficients_are_set_side_by_side(small_fit: Fit) -> None:
    design = small_fit.designs["missed"]
    names = [term.name for term in design.main.predictor.terms]
    draws = np.random.default_rng(4).normal(0, 0.05, (DRAWS, len(names)))
    draws[:, names.index("logit(vacancy)")] += 0.2
    draws[:, names.index("between: logit(vacancy)")] += 0.9
    known = stated(small_fit.twin, small_fit.panel, {"missed.causes": draws})
    table = within_between(known).set_index(["indicator", "cause"])
    row = table.loc[("missed", "logit(vacancy)")]
    assert row["verdict"] == "differ"
    assert row["difference"] == pytest.approx(0.7, abs=0.05)


def test_a_natural_scale_is_compared_per_reference_sd(small_table: pd.DataFrame) -> None:
    causes = {"wage_gap": {"scale": "natural"}, "logit(vacancy[-1])": {}}
    twin = twin_with(vacancy={"causes": causes})
    panel = read_panel(small_table, twin)
    known = stated(twin, panel, {})
    design = known.designs["vacancy"]
    names = [term.name for term in design.main.predictor.terms]
    _, sd = design.reference.factors["wage_gap"]
    coefficients = np.zeros(len(names))
    coefficients[names.index("wage_gap")] = 3.0
    coefficients[names.index("between: wage_gap")] = 3.0 * sd
    row = within_between(stated(twin, panel, {"vacancy.causes": coefficients})).iloc[0]
    assert row["difference"] == pytest.approx(0.0, abs=1e-12)
    assert row["verdict"] == "agree"


def test_no_warning_is_raised_by_known_parameters(small_fit: Fit) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stated(small_fit.twin, small_fit.panel, {}).diagnose()
