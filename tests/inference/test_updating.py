"""An updated fit is the full refit within Monte Carlo error, and says how it came about."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dotwin.errors import ConvergenceWarning, DataError, SpecificationError
from dotwin.inference import Fit, fit, load_fit
from dotwin.inference.changes import kept_constants, rows_of
from dotwin.inference.components import components_of
from dotwin.inference.engine import Settings
from dotwin.inference.newcomers import _Rows, newcomers_of
from dotwin.inference.nuts import NutsEngine
from dotwin.inference.schedule import run
from dotwin.mechanisms.parameters import draw_prior, parameters
from dotwin.mechanisms.response import row_predictor
from dotwin.panel import Panel, read_panel
from dotwin.spec.twin import Cause, Twin
from tests.inference.nuts.cases import mechanism
from tests.inference.nuts.cases import table as table_of
from tests.inference.nuts.test_density import CASES

LAYOUT = {
    "unit": "home",
    "levels": ["region"],
    "period": {"column": "quarter", "frequency": "quarter"},
}
TWIN = Twin(
    twin="homes",
    panel=LAYOUT,
    indicators={
        "pay": {"domain": "workforce"},
        "residents": {"domain": "demand"},
        "hours": {
            "domain": "workforce",
            "family": "normal",
            "pooling": ["region", "home", "period"],
            "causes": {"hours[-1]": {}, "pay": {}},
        },
        "falls": {
            "domain": "safeguarding",
            "family": "negative_binomial",
            "exposure": "residents",
            "pooling": ["home"],
            "causes": {"hours": {}},
        },
        "missed": {
            "domain": "quality",
            "family": "beta_binomial",
            "trials": "residents",
            "pooling": ["region", "home", "period"],
            "causes": {"hours": {}, "logit(share(missed[-1]))": {}},
        },
    },
)
PERIODS, NEW = 16, 2


def homes(periods: int = PERIODS, number: int = 24, seed: int = 3) -> pd.DataFrame:
    """Homes in three regions by quarter; the last home opens two quarters before the end."""
    rng = np.random.default_rng(seed)
    ability, risk, care = (rng.normal(0, s, number) for s in (0.3, 0.3, 0.3))
    hours, missed = rng.normal(3.0, 0.4, number), np.full(number, 4)
    residents = rng.integers(30, 60, number)
    rows = []
    for t in range(periods):
        pay = rng.normal(0.0, 1.0, number)
        shock, other = rng.normal(0.0, 0.15, 2)
        hours = 1.5 + 0.5 * hours + 0.1 * pay + ability + shock + rng.normal(0, 0.2, number)
        falls = rng.poisson(
            residents * np.exp(-2.5 - 0.2 * (hours - 3) + risk) * rng.gamma(5, 0.2, number)
        )
        share = np.log((missed + 0.5) / (residents - missed + 0.5))
        mean = 1 / (1 + np.exp(-(-1.5 + 0.3 * share - 0.2 * (hours - 3) + care + other)))
        missed = rng.binomial(residents, rng.beta(20 * mean, 20 * (1 - mean)))
        rows.append(
            pd.DataFrame(
                {
                    "region": [f"r{i % 3}" for i in range(number)],
                    "home": [f"h{i:02d}" for i in range(number)],
                    "quarter": f"{2020 + t // 4}Q{t % 4 + 1}",
                    "pay": pay,
                    "residents": residents,
                    "hours": hours,
                    "falls": falls,
                    "missed": missed,
                }
            )
        )
    table = pd.concat(rows, ignore_index=True)
    late = [f"{2020 + t // 4}Q{t % 4 + 1}" for t in range(periods - NEW, periods)]
    return table[(table["home"] != f"h{number - 1:02d}") | table["quarter"].isin(late)]


def fitted(panel: Panel, **options: Any) -> Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(panel.twin, panel, seed=1, engine="nuts", progress=False, **options)


def brought_up_to(earlier: Fit, panel: Panel) -> Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return earlier.update(panel, seed=5, progress=False)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return homes()


@pytest.fixture(scope="module")
def panel(table: pd.DataFrame) -> Panel:
    return read_panel(table, TWIN)


@pytest.fixture(scope="module")
def before(table: pd.DataFrame) -> Panel:
    old = sorted(table["quarter"].unique())[:-NEW]
    return read_panel(table[table["quarter"].isin(old)], TWIN)


@pytest.fixture(scope="module")
def earlier(before: Panel) -> Fit:
    return fitted(before, draws=1500, tune=700, chains=2)


@pytest.fixture(scope="module")
def later(earlier: Fit, panel: Panel) -> Fit:
    return brought_up_to(earlier, panel)


@pytest.fixture(scope="module")
def refitted(earlier: Fit, panel: Panel) -> dict[str, Any]:
    """All draws of a full refit at the same scales, from its own start."""
    constants = {n: kept_constants(d, earlier.panel, panel) for n, d in earlier.designs.items()}
    components = components_of(TWIN, panel, earlier.designs, constants)
    drawn = run(components, [NutsEngine()], Settings(1500, 700, 2, 9), cache=None, progress=False)
    return {name: values for one in drawn for name, values in one.posterior.items()}


def effective(values: Any) -> Any:
    from arviz_stats.base.array import array_stats

    flat = values.reshape(*values.shape[:2], -1)
    return np.atleast_1d(array_stats.ess(flat, chain_axis=0, draw_axis=1, method="bulk"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hours", "falls", "missed"])
def test_an_update_is_the_full_refit_within_monte_carlo_error(
    name: str, earlier: Fit, later: Fit, refitted: dict[str, Any]
) -> None:
    verdict = later.notes["updates"][name]
    assert verdict.way == "re-weighted", str(verdict)
    share = verdict.ess / verdict.draws
    worst_mean, worst_sd = 0.0, 0.0
    for one in later.parameters(name):
        ours = later.tree["posterior"][one.name].values.reshape(2, 1500, -1)
        full = refitted[one.name].reshape(2, 1500, -1)
        moving = full.std(axis=(0, 1)) > 0
        ours, full = ours[..., moving], full[..., moving]
        # Error of the weights and of the draws that were weighted, and of the refit.
        size = np.minimum(verdict.ess, share * effective(ours)), effective(full)
        means = ours.mean(axis=(0, 1)) - full.mean(axis=(0, 1))
        spread = full.std(axis=(0, 1))
        error = np.sqrt(1 / size[0] + 1 / size[1])
        worst_mean = max(worst_mean, float(np.abs(means / spread / error).max()))
        ratio = np.log(ours.std(axis=(0, 1)) / spread)
        worst_sd = max(worst_sd, float(np.abs(ratio / error * np.sqrt(2.0)).max()))
    # The largest of some 50 normal numbers; kurtosis of sds and skewed tails leave more room.
    assert worst_mean < 4.0
    assert worst_sd < 5.0


SMALL = Twin(
    twin="falls",
    panel=LAYOUT,
    indicators={
        **{name: {"domain": "workforce"} for name in ("hours", "residents")},
        "falls": TWIN.indicators["falls"],
    },
)


def small(table: pd.DataFrame, periods: int) -> Panel:
    quarters = sorted(table["quarter"].unique())[:periods]
    columns = ["region", "home", "quarter", "hours", "residents", "falls"]
    return read_panel(table.loc[table["quarter"].isin(quarters), columns], SMALL)


@pytest.fixture(scope="module")
def small_before(table: pd.DataFrame) -> Fit:
    return fitted(small(table, PERIODS - NEW), draws=400, tune=400, chains=2)


@pytest.fixture(scope="module")
def small_later(small_before: Fit, table: pd.DataFrame) -> Fit:
    return brought_up_to(small_before, small(table, PERIODS))


def test_an_updated_fit_is_a_fit_of_the_later_panel(
    small_before: Fit, small_later: Fit, table: pd.DataFrame
) -> None:
    assert small_later.panel.period_labels[-1] == "2023Q4"
    assert small_later.designs["falls"].rows == small_before.designs["falls"].rows + 48
    assert small_later.tree["posterior"]["falls.home"].sizes["home"] == 24
    assert small_later.n_draws == small_before.n_draws
    assert "23" not in "".join(small_before.panel.units)
    futures = small_later.simulate(periods=1, seed=2, draws=50)
    assert futures.draws["falls"].sizes["unit"] == 24


def test_a_unit_mean_stays_that_of_the_fit_and_a_new_unit_has_its_own(
    small_before: Fit, small_later: Fit
) -> None:
    ((key, old),) = small_before.designs["falls"].constants.items()
    new = small_later.designs["falls"].constants[key]
    np.testing.assert_array_equal(new[:23], old)
    centre, sd = small_later.designs["falls"].reference.factors["hours"]
    own = small_later.panel.values("hours")[23]
    assert new[23] == pytest.approx((np.nanmean(own) - centre) / sd)


def test_the_same_seed_gives_the_same_update(small_before: Fit, small_later: Fit) -> None:
    again = brought_up_to(small_before, small_later.panel)
    assert again.tree["posterior"].to_dataset().equals(small_later.tree["posterior"].to_dataset())


def test_the_verdict_is_told_and_kept(small_later: Fit, tmp_path: Path) -> None:
    verdict = small_later.notes["updates"]["falls"]
    assert verdict.way == "re-weighted"
    assert verdict.khat < 0.7
    assert 400 <= verdict.ess <= verdict.draws == 800
    assert "800 draws re-weighted by 48 new rows" in str(small_later.diagnose())
    assert small_later.diagnose().table["ess_bulk"][0] <= verdict.ess
    loaded = load_fit(small_later.save(tmp_path / "fit"))
    assert loaded.notes["updates"]["falls"] == verdict
    for key, values in small_later.designs["falls"].constants.items():
        np.testing.assert_array_equal(loaded.designs["falls"].constants[key], values)
    ours, theirs = small_later.designs["falls"].main, loaded.designs["falls"].main
    np.testing.assert_array_equal(ours.columns, theirs.columns)


def test_copies_of_one_draw_count_once(small_later: Fit, table: pd.DataFrame) -> None:
    longer = homes(periods=PERIODS + 1)
    assert longer["quarter"].iloc[-1] == "2024Q1"
    extra = longer[longer["quarter"] == "2024Q1"]
    panel = small(pd.concat([table, extra]), PERIODS + 1)
    again = brought_up_to(small_later, panel)
    verdict, before = again.notes["updates"]["falls"], small_later.notes["updates"]["falls"]
    assert verdict.ess < before.ess


@pytest.mark.parametrize(
    ("change", "reason"),
    [("revised", "values of 1 earlier rows were revised"), ("gone", "1 earlier rows are gone")],
)
def test_a_revised_past_is_refitted_and_said(
    change: str, reason: str, small_before: Fit, table: pd.DataFrame
) -> None:
    changed = table.copy()
    column = list(table.columns).index("falls")
    changed.iloc[30, column] = np.nan if change == "gone" else table.iloc[30, column] + 5
    later = brought_up_to(small_before, small(changed, PERIODS))
    verdict = later.notes["updates"]["falls"]
    assert (verdict.way, verdict.reason) == ("refitted", reason)
    assert f"falls: refitted, since {reason}." in str(later.diagnose())


@pytest.mark.parametrize(
    ("factor", "reason"), [(1.5, "effective draws"), (4, "heavy a tail"), (90, "not exact enough")]
)
def test_rows_far_from_what_was_expected_are_refitted(
    factor: float, reason: str, small_before: Fit, table: pd.DataFrame
) -> None:
    changed = table.copy()
    last = changed["quarter"].isin(sorted(table["quarter"].unique())[-NEW:])
    changed.loc[last, "falls"] = (changed.loc[last, "falls"] * factor + 1).round()
    verdict = brought_up_to(small_before, small(changed, PERIODS)).notes["updates"]["falls"]
    assert verdict.way == "refitted"
    assert reason in verdict.reason


def test_late_values_of_earlier_periods_are_new_rows(
    small_before: Fit, table: pd.DataFrame
) -> None:
    unknown = table.copy()
    unknown.iloc[30, list(table.columns).index("falls")] = np.nan
    incomplete = fitted(small(unknown, PERIODS - NEW), draws=400, tune=400, chains=2)
    verdict = brought_up_to(incomplete, small(table, PERIODS)).notes["updates"]["falls"]
    assert verdict.rows == 49
    assert verdict.way == "re-weighted"


def test_a_mechanism_without_new_rows_keeps_its_draws(
    small_before: Fit, table: pd.DataFrame
) -> None:
    unknown = table.copy()
    last = unknown["quarter"].isin(sorted(table["quarter"].unique())[-NEW:])
    unknown.loc[last, "falls"] = np.nan
    later = brought_up_to(small_before, small(unknown, PERIODS))
    assert str(later.notes["updates"]["falls"]).endswith("kept as it was, since it has no new row.")
    for name in ("falls.intercept", "falls.causes"):
        np.testing.assert_array_equal(
            later.tree["posterior"][name].values, small_before.tree["posterior"][name].values
        )


def test_unsuitable_panels_are_refused(small_before: Fit, table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="there is no period to update it with"):
        small_before.update(small_before.panel, seed=1)
    with pytest.raises(DataError, match="the fit's begins with 2020Q1"):
        small_before.update(small(table, PERIODS).select(periods=slice(1, None)), seed=1)
    with pytest.raises(DataError, match="read with another twin"):
        small_before.update(read_panel(table, TWIN), seed=1)


def test_a_fit_without_its_panel_cannot_be_updated(
    small_before: Fit, table: pd.DataFrame, tmp_path: Path
) -> None:
    loaded = load_fit(small_before.save(tmp_path / "fit", panel=False))
    with pytest.raises(DataError, match="saved without its panel"):
        loaded.update(small(table, PERIODS), seed=1)


def test_new_effects_enter_the_rows_as_the_equation_says() -> None:
    outcome, indicator = CASES["poisson, hurdle"]
    frame = table_of(7, outcome, periods=6)
    fields = {**indicator, "pooling": ["region", "provider", "period"], "trend": "walk"}
    late = mechanism(frame, **fields)
    first = (frame["region"] != "r3") & (frame["quarter"] < "2021Q1")
    early = mechanism(frame[first], **fields)
    added = np.flatnonzero((late.period >= 4) | (late.main.groups["region"] == 3))
    rows = rows_of(late, added)
    found = newcomers_of(early, late, rows, "y.provider")
    names = sorted(one.parameter.name.removeprefix("y.") for one in found)
    own = ["period", "region", "slope_region", "walk", "walk"]
    assert names == [*own, "zeros.period", "zeros.region"]
    listed = parameters(late.equation, late.reference, late.group_names, late.period_names)
    values = draw_prior(listed, 3, seed=1)
    moved = {name: array.copy() for name, array in values.items()}
    rowwise = _Rows(found, rows, values, None)
    effects = np.random.default_rng(2).normal(size=rowwise.sd.shape)
    start = 0
    for one in found:
        one.add(moved, effects[:, start : start + one.size])
        start += one.size
    for arrays in rows.predictors:
        predictor = arrays.predictor
        change = row_predictor(predictor, rows, moved) - row_predictor(predictor, rows, values)
        np.testing.assert_allclose(change, effects @ rowwise.matrices[predictor.role].T, atol=1e-12)


def known_values(twin: Twin, panel: Panel, terms: int) -> Fit:
    values = {
        "falls.intercept": 1.0,
        "falls.causes": np.zeros(terms),
        "falls.sd_home": 0.2,
        "falls.dispersion": 9.0,
    }
    return Fit.from_parameters(twin, panel, values)


def test_known_values_are_no_posterior_to_update(table: pd.DataFrame) -> None:
    known = known_values(SMALL, small(table, PERIODS - NEW), 2)
    with pytest.raises(SpecificationError, match="known values, not a posterior"):
        known.update(small(table, PERIODS), seed=1)


def test_a_category_without_a_coefficient_is_refused(table: pd.DataFrame) -> None:
    given = {name: {"domain": "workforce"} for name in ("hours", "residents", "owner")}
    falls = TWIN.indicators["falls"].model_copy(update={"causes": {"owner": Cause()}})
    twin = Twin(twin="owners", panel=LAYOUT, indicators={**given, "falls": falls})
    last = table["quarter"].isin(sorted(table["quarter"].unique())[-NEW:])
    number = table["home"].str[1:].astype(int)
    owner = np.where(number % 2 == 0, "charity", "company")
    owner = np.where(last & (number == 23), "council", owner)
    columns = ["region", "home", "quarter", "hours", "residents", "falls", "owner"]
    whole = table.assign(owner=owner)[columns]
    known = known_values(twin, read_panel(whole[~last], twin), 1)
    with pytest.raises(DataError, match="owner has the category 'council'"):
        known.update(read_panel(whole, twin), seed=1)


def test_draws_that_no_chain_made_keep_a_certificate_that_their_weights_limit(
    small_twin: Twin, small_panel: Panel
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        earlier = fit(
            small_twin,
            small_panel.select(periods=slice(0, 9)),
            draws=1000,
            chains=2,
            seed=1,
            progress=False,
        )
        later = earlier.update(small_panel, seed=2, progress=False)
    ways = later.notes["updates"]
    weighted = [name for name in earlier.certificates if ways[name].way == "re-weighted"]
    assert weighted
    for name in weighted:
        before, after = earlier.certificates[name], later.certificates[name]
        assert after.importance_ess == min(before.importance_ess, ways[name].ess)
        assert after.k_hat == max(before.k_hat, ways[name].khat)
