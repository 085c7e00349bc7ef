"""Fits with hidden causes: what was put in is found again, what cannot be found is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dotwin as dw
from dotwin.errors import LicenceError, SpecificationError
from dotwin.inference.fit import Fit
from dotwin.inference.known import known_fit
from dotwin.panel import Panel, read_panel
from dotwin.spec.twin import Twin
from tests.inference.hidden.cases import AFFECTED, table, twin_with

HOMES, MONTHS = 50, 5
LOADINGS = {"turnover": 0.8, "falls": 0.6, "calls": -0.5}


@pytest.fixture(scope="module")
def values() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(7).normal(size=HOMES)


@pytest.fixture(scope="module")
def fitted(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Fit:
    """Three measures of a constant trait, made by NumPy alone."""
    rng = np.random.default_rng(8)
    shape = (HOMES, MONTHS)
    columns = {
        name: loading * values[:, None]
        + 0.4 * rng.normal(size=(HOMES, 1))
        + 0.7 * rng.normal(size=shape)
        for name, loading in LOADINGS.items()
    }
    families = {name: {"family": "normal", "plausible": [-1.645, 1.645]} for name in AFFECTED}
    twin = twin_with({"level": "home", "over": "constant"}, families, pooling=("home",))
    panel = read_panel(table(HOMES, MONTHS, columns), twin)
    return dw.fit(twin, panel, draws=600, tune=400, chains=2, seed=3, progress=False)


@pytest.mark.filterwarnings("ignore::dotwin.errors.ConvergenceWarning")
class TestThreeMeasures:
    def test_are_one_component_with_the_hidden_cause_in_the_posterior(self, fitted: Fit) -> None:
        assert fitted.components == (AFFECTED,)
        assert fitted.posterior["posterior"]["management"].dims == ("chain", "draw", "home")
        assert fitted.engines[" + ".join(AFFECTED)][0] == "joint"

    def test_intervals_of_the_loadings_cover_what_was_put_in(self, fitted: Fit) -> None:
        table = fitted.loadings(interval=0.99).set_index("indicator")
        for name, loading in LOADINGS.items():
            assert table.loc[name, "0.5%"] < loading < table.loc[name, "99.5%"]

    def test_the_first_indicator_fixes_the_sign(
        self, fitted: Fit, values: np.ndarray[tuple[int], np.dtype[np.float64]]
    ) -> None:
        draws = fitted.draws().values
        assert (draws["turnover.causes"][:, -1] > 0).all()
        assert np.corrcoef(draws["management"].mean(axis=0), values)[0, 1] > 0.7

    def test_values_spread_as_the_posterior_says(
        self, fitted: Fit, values: np.ndarray[tuple[int], np.dtype[np.float64]]
    ) -> None:
        draws = fitted.draws().values["management"]
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        covered = ((low < values) & (values < high)).sum()
        # Of 50 intervals of 90 %, fewer than 38 cover once in two thousand times.
        assert covered >= 38

    def test_the_table_says_how_far_the_data_moved_each(self, fitted: Fit) -> None:
        table = fitted.loadings()
        assert list(table["priors"].unique()) == ["as declared"]
        assert set(table["status"]) == {"identified only by form"}
        assert (table["sd"] < 0.7 * table["prior_sd"]).all()
        assert table["prior_sd"].to_numpy() == pytest.approx([0.3014, 0.5, 0.5], rel=0.01)
        notes = " ".join(fitted.diagnose().notes)
        assert "management is fitted as a latent factor, identified only by form" in notes
        assert "were not fitted" not in notes

    def test_is_what_it_was_when_read_from_disk(self, fitted: Fit, tmp_path: Path) -> None:
        fitted.save(tmp_path / "fit")
        again = dw.load_fit(tmp_path / "fit")
        assert again.factors == fitted.factors
        assert again.loadings().equals(fitted.loadings())
        fitted.save(tmp_path / "thin", panel=False)
        assert dw.load_fit(tmp_path / "thin").loadings().equals(fitted.loadings())

    def test_rows_have_the_likelihood_of_their_whole_predictor(self, fitted: Fit) -> None:
        tree = fitted.log_likelihood("falls")
        row = tree["log_likelihood"]["falls"].values[0, 0, 0]
        draw = {n: v[0] for n, v in fitted.draws(fitted.n_draws).values.items()}
        design = fitted.designs["falls"]
        eta = draw["falls.intercept"] + design.main.columns[0] @ draw["falls.causes"]
        eta += draw["falls.home"][0] + draw["falls.causes"][-1] * draw["management"][0]
        z = (design.y[0] - eta) / draw["falls.residual_sd"]
        expected = -0.5 * z**2 - np.log(draw["falls.residual_sd"] * np.sqrt(2 * np.pi))
        assert row == pytest.approx(expected)
        with pytest.raises(SpecificationError, match="the hidden cause management"):
            fitted.log_likelihood("falls", leave_out="unit")


def seen_once(homes: int = 20, months: int = 3) -> tuple[Twin, Panel]:
    families = {name: {"family": "normal", "plausible": [-2, 2]} for name in AFFECTED[:2]}
    twin = twin_with({"level": "home", "over": "period"}, families)
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(homes, months))
    columns = {n: 0.7 * hidden + 0.7 * rng.normal(size=hidden.shape) for n in families}
    return twin, read_panel(table(homes, months, columns), twin)


def test_what_the_data_cannot_tell_is_refused_with_what_to_add() -> None:
    twin, panel = seen_once()
    with pytest.raises(LicenceError, match="Add to affects an indicator") as refused:
        dw.fit(twin, panel, seed=1, progress=False)
    assert "assume='prior'" in str(refused.value)
    with pytest.raises(SpecificationError, match="a fit knows 'prior'"):
        dw.fit(twin, panel, seed=1, progress=False, assume="normality")


@pytest.mark.filterwarnings("ignore::dotwin.errors.ConvergenceWarning")
def test_what_rests_on_the_prior_is_shown_under_three_priors(tmp_path: Path) -> None:
    twin, panel = seen_once()
    fit = dw.fit(twin, panel, draws=150, tune=200, chains=2, seed=1, progress=False, assume="prior")
    table = fit.loadings()
    assert table.groupby("priors").size().to_dict() == {
        "as declared": 2,
        "doubled": 2,
        "halved": 2,
    }
    falls = table[table["indicator"] == "falls"].set_index("priors")
    assert falls.loc["halved", "prior"] == "normal(0, 0.25)"
    assert falls.loc["doubled", "prior"] == "normal(0, 1)"
    # Half of the prior's spread holds the loading down, twice as much lets it go.
    assert falls.loc["halved", "mean"] < falls.loc["doubled", "mean"]
    assert "prior halved" in " ".join(fit.diagnose().notes)
    fit.save(tmp_path / "fit")
    assert dw.load_fit(tmp_path / "fit").loadings().equals(table)


def test_means_of_units_make_way_for_a_trait_that_moves_cause_and_effect() -> None:
    def terms(over: str | None) -> list[str]:
        twin = Twin(
            twin="hidden",
            panel={"unit": "home", "period": {"column": "month", "frequency": "month"}},
            indicators={
                "turnover": {"domain": "workforce", "family": "normal", "pooling": ["home"]},
                "wage": {"domain": "workforce", "family": "normal", "pooling": ["home"]},
                "falls": {
                    "domain": "quality",
                    "family": "normal",
                    "causes": {"turnover": {}, "wage": {}},
                    "pooling": ["home"],
                },
            },
            hidden_causes={
                "management": {"affects": ["turnover", "falls"], "level": "home", "over": over}
            },
        )
        from dotwin.mechanisms.equation import equation

        return [term.name for term in equation(twin, "falls").main.terms]

    assert terms(None) == ["turnover", "wage", "between: turnover", "between: wage"]
    assert terms("constant") == ["turnover", "wage", "between: wage", "management"]
    assert terms("period") == [
        "turnover",
        "wage",
        "between: turnover",
        "between: wage",
        "management",
    ]


def test_known_parameters_take_hidden_causes_by_name() -> None:
    twin, panel = seen_once()
    stated = {
        "turnover.intercept": 0.0,
        "turnover.causes": [0.1, 0.5],
        "turnover.residual_sd": 1.0,
        "falls.intercept": 0.0,
        "falls.causes": [0.1, 0.5],
        "falls.residual_sd": 1.0,
    }
    known = known_fit(twin, panel, {**stated, "management": 2.0})
    assert (known.draws().values["management"] == 2.0).all()
    assert (known_fit(twin, panel, stated).draws().values["management"] == 0.0).all()
