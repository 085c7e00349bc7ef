"""Missing causes as parameters: what the posterior fills in is what the whole data say."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dotwin.errors import ConvergenceWarning, SpecificationError
from dotwin.inference import Fit, fit, load_fit
from dotwin.panel import read_panel
from dotwin.spec.twin import Twin

LAYOUT = {"unit": "home", "period": {"column": "month", "frequency": "month"}}
HOMES, MONTHS = 40, 6


def _twin(missing: str) -> Twin:
    return Twin(
        twin="gaps",
        panel=LAYOUT,
        indicators={
            "need": {"domain": "demand", "plausible": [-1.6, 1.6]},
            "staff": {
                "domain": "workforce",
                "plausible": [-1.6, 1.6],
                "family": "normal",
                "causes": {"need": {}},
                "missing": missing,
            },
            "falls": {
                "domain": "safeguarding",
                "plausible": [-1.6, 1.6],
                "family": "normal",
                "causes": {"staff": {}, "staff[-1]": {}},
            },
        },
    )


@pytest.fixture(scope="module")
def whole() -> pd.DataFrame:
    """Falls follow this month's and last month's staff, who follow need closely."""
    rng = np.random.default_rng(5)
    need = rng.normal(size=(HOMES, MONTHS))
    staff = 0.9 * need + 0.3 * rng.normal(size=(HOMES, MONTHS))
    before = np.concatenate([staff[:, :1], staff[:, :-1]], axis=1)
    falls = 0.5 * staff - 0.4 * before + 0.7 * rng.normal(size=(HOMES, MONTHS))
    return pd.DataFrame(
        {
            "home": np.repeat([f"h{i:02d}" for i in range(HOMES)], MONTHS),
            "month": np.tile([f"2024-{t + 1:02d}" for t in range(MONTHS)], HOMES),
            "need": need.ravel(),
            "staff": staff.ravel(),
            "falls": falls.ravel(),
        }
    )


@pytest.fixture(scope="module")
def gappy(whole: pd.DataFrame) -> pd.DataFrame:
    """Staff is missing where need is high, more often than not: at random given need."""
    rng = np.random.default_rng(6)
    chance = 1 / (1 + np.exp(-1.5 * whole["need"]))
    return whole.assign(staff=whole["staff"].where(rng.random(len(whole)) > chance))


def _fitted(table: pd.DataFrame, missing: str) -> Fit:
    twin = _twin(missing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(
            twin, read_panel(table, twin), draws=400, tune=400, chains=2, seed=4, progress=False
        )


@pytest.fixture(scope="module")
def imputed(gappy: pd.DataFrame) -> Fit:
    return _fitted(gappy, "impute")


def _slopes(one: Fit) -> tuple[Any, Any]:
    values = one.draws().values["falls.causes"]
    return values.mean(axis=0), values.std(axis=0)


def test_imputing_is_nearly_as_good_as_having_the_values(
    imputed: Fit, whole: pd.DataFrame, gappy: pd.DataFrame
) -> None:
    full, full_sd = _slopes(_fitted(whole, "impute"))
    aside, aside_sd = _slopes(_fitted(gappy, "set_aside"))
    ours, ours_sd = _slopes(imputed)
    # Rows with both months recorded are few; need tells most of what is missing.
    assert (ours_sd < 0.9 * aside_sd).all()
    # The sd of some 400 effective draws has a relative error of 3.5 %, the ratio of two 5 %.
    assert (ours_sd > (1.0 - 3.0 * 0.05) * full_sd).all()
    # The estimates differ by less than what the gaps added to the error, at most.
    added = np.sqrt(np.maximum((1.15 * ours_sd) ** 2 - full_sd**2, 0.0))
    assert (np.abs(ours - full) < 3 * added + 0.02).all()
    assert (np.abs(aside - full) < 3 * np.sqrt(aside_sd**2 - full_sd**2)).all()


def test_imputed_values_cover_what_was_hidden(
    imputed: Fit, whole: pd.DataFrame, gappy: pd.DataFrame
) -> None:
    hidden = whole.assign(cell=whole["home"] + ", " + whole["month"]).set_index("cell")["staff"]
    values = imputed.posterior["posterior"]["staff.missing"].stack(sample=("chain", "draw"))
    low, high = values.quantile([0.05, 0.95], "sample").values
    truth = hidden.loc[values["staff.missing_cell"].values.tolist()].to_numpy()
    assert truth.size == int(gappy["staff"].isna().sum())
    held = ((truth >= low) & (truth <= high)).mean()
    # Binomial error of 90 % at the 1 % level.
    assert held == pytest.approx(0.9, abs=2.58 * np.sqrt(0.09 / truth.size))


def test_an_imputed_fit_comes_back_from_disk(imputed: Fit, tmp_path: Any) -> None:
    again = load_fit(imputed.save(tmp_path / "fit"))
    assert again.posterior.identical(imputed.posterior)
    for name, design in imputed.designs.items():
        assert again.designs[name].rows == design.rows
        np.testing.assert_array_equal(again.designs[name].main.columns, design.main.columns)


def test_futures_start_from_imputed_states(imputed: Fit, gappy: pd.DataFrame) -> None:
    futures = imputed.simulate(periods=2, seed=1, draws=100)
    assert futures.draws.sizes["unit"] == HOMES
    assert np.isfinite(futures.draws["falls"].values).all()
    assert gappy[gappy["month"] == "2024-06"]["staff"].isna().any()


def test_rows_with_imputed_causes_have_no_density_of_their_own(imputed: Fit) -> None:
    with pytest.raises(SpecificationError, match="missing values of staff are imputed"):
        imputed.log_likelihood("falls")


def test_a_units_mean_is_that_of_what_is_recorded() -> None:
    from dotwin.inference.components import components_of
    from dotwin.mechanisms.columns import constant_key

    base = _twin("impute").model_dump(mode="json", by_alias=True)
    base["indicators"]["falls"]["pooling"] = ["home"]
    base["indicators"]["falls"]["causes"] = {"staff": {}}
    twin = Twin(**base)
    rng = np.random.default_rng(7)
    table = pd.DataFrame(
        {
            "home": np.repeat(["a", "b", "c"], 4),
            "month": np.tile(["2024-01", "2024-02", "2024-03", "2024-04"], 3),
            "need": rng.normal(size=12),
            "staff": [9.0, np.nan, 11.0, np.nan, *rng.normal(size=8)],
            "falls": rng.normal(size=12),
        }
    )
    (component,) = components_of(twin, read_panel(table, twin))
    falls = component.designs[1]
    (within,) = [t for t in falls.main.predictor.terms if t.within]
    centre, sd = falls.reference.factors["staff"]
    assert falls.constants[constant_key("mean", within)][0] == pytest.approx((10.0 - centre) / sd)
    assert falls.rows == 12
