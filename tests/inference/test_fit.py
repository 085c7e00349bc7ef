"""A fit's posterior is the known one where one is known, and its parts are what they say."""

import warnings
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dotwin.errors import ConvergenceWarning, DataError, SpecificationError
from dotwin.inference import Fit, fit
from dotwin.panel import read_panel
from dotwin.spec.twin import Twin

LAYOUT = {"unit": "home", "period": {"column": "month", "frequency": "month"}}
WIDE = {"intercept": "normal(0, 100)", "residual_sd": "half_normal(100)"}


def fitted(table: pd.DataFrame, layout: Any = LAYOUT, draws: int = 1000, **indicators: Any) -> Fit:
    """Fit a twin of a table with the engine nuts."""
    twin = Twin(twin="case", panel=layout, indicators=indicators)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(
            twin,
            read_panel(table, twin),
            draws=draws,
            tune=600,
            chains=2,
            seed=2,
            engine="nuts",
            progress=False,
        )


def posterior(one: Fit, name: str, term: str = "") -> Any:
    values = one.posterior["posterior"][name]
    return (values.sel({f"{name[:-1]}": term}) if term else values).values.ravel()


def monte_carlo_error(one: Fit, parameter: str) -> float:
    return float(one.summary()["mcse_mean"].astype(float)[parameter])


# ── known answers ────────────────────────────────────────────────────────────────────────────────


def test_a_normal_regression_with_wide_priors_is_least_squares() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(2, 3, 150)
    y = 4.0 - 1.5 * x + rng.normal(0, 2, 150)
    table = pd.DataFrame({"home": [f"h{i}" for i in range(150)], "x": x, "y": y})
    one = fitted(
        table,
        {"unit": "home"},
        2000,
        x={"domain": "context"},
        y={
            "domain": "outcome",
            "family": "normal",
            "causes": {"x": {"scale": "natural", "prior": "normal(0, 100)"}},
            "priors": WIDE,
        },
    )
    ols = stats.linregress(x, y)
    slope = posterior(one, "y.causes", "x")
    error = monte_carlo_error(one, "y.causes[x]")
    assert slope.mean() == pytest.approx(ols.slope, abs=5 * error)
    # Under a flat prior the slope is t with n - 2 degrees of freedom, but for the sd's own prior,
    # which changes its degrees of freedom by one.
    draws = one.posterior["posterior"]["y.causes"].values[..., 0]
    expected = ols.stderr * np.sqrt(148 / 146)
    assert slope.std() == pytest.approx(expected, rel=0.01, abs=4 * az.mcse(draws, method="sd"))
    for share in (0.05, 0.95):
        quantile = ols.slope + stats.t.ppf(share, 148) * ols.stderr
        error = az.mcse(draws, method="quantile", prob=share)
        found = np.quantile(slope, share)
        assert found == pytest.approx(quantile, abs=0.01 * ols.stderr + 4 * error)
    # The intercept is where the cause is at its centre, the mean of the rows.
    assert posterior(one, "y.intercept").mean() == pytest.approx(
        y.mean(), abs=5 * monte_carlo_error(one, "y.intercept")
    )


def test_group_means_shrink_as_the_closed_form_says() -> None:
    rng = np.random.default_rng(2)
    sizes = np.array([1, 2, 3, 5, 8, 12, 20, 30])
    code = np.repeat(np.arange(8), sizes)
    y = 3 + rng.normal(0, 0.5, 8)[code] + rng.normal(0, 1, code.size)
    table = pd.DataFrame(
        {"region": [f"r{c}" for c in code], "home": [f"h{i:03d}" for i in range(code.size)], "y": y}
    )
    near = {"region": "uniform(0.4999, 0.5001)", "residual_sd": "uniform(0.9999, 1.0001)"}
    one = fitted(
        table,
        {"unit": "home", "levels": ["region"]},
        2000,
        y={
            "domain": "outcome",
            "family": "normal",
            "pooling": ["region"],
            "priors": {**near, "intercept": "normal(0, 100)"},
        },
    )
    # Joint normal of the intercept (sd 100) and eight effects (sd 0.5) given residual sd 1.
    design = np.column_stack([np.ones(code.size), np.eye(8)[code]])
    precision = design.T @ design + np.diag([1e-4, *[4.0] * 8])
    mean, covariance = np.linalg.solve(precision, design.T @ y), np.linalg.inv(precision)
    values = one.draws().values
    effects = np.column_stack([values["y.intercept"], values["y.region"]])
    np.testing.assert_allclose(effects.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(effects.std(axis=0), np.sqrt(np.diag(covariance)), rtol=0.1)


@pytest.mark.parametrize("unit_sd", [0.5, 1.0])
def test_a_dynamic_panel_needs_its_initial_conditions(unit_sd: float) -> None:
    # Random intercepts, persistence 0.5, residual sd 1, five periods, stationary start.
    rng = np.random.default_rng(3)
    homes, periods = 400, 5
    level = rng.normal(0, unit_sd, homes)
    y, rows = 2 * level + rng.normal(0, np.sqrt(1 / 0.75), homes), []
    for t in range(periods):
        rows.append(pd.DataFrame({"month": f"2024-{t + 1:02d}", "y": y}))
        y = level + 0.5 * y + rng.normal(0, 1, homes)
    table = pd.concat(rows).assign(home=[f"h{i}" for i in range(homes)] * periods)
    one = {
        "domain": "outcome",
        "family": "normal",
        "pooling": ["home"],
        "causes": {"y[-1]": {"prior": "normal(0, 1)"}},
    }
    found = {
        initial: posterior(fitted(table, y={**one, "initial": initial}), "y.causes", "y[-1]")
        for initial in (True, False)
    }
    low, high = np.quantile(found[True], [0.05, 0.95])
    assert low < 0.5 < high
    low, high = np.quantile(found[False], [0.05, 0.95])
    assert not low < 0.5 < high
    # Without them all of a unit's level passes for persistence: the lag's plain correlation.
    between, within = 4 * unit_sd**2, 1 / 0.75
    limit = (between + 0.5 * within) / (between + within)
    assert found[False].mean() == pytest.approx(limit, abs=0.06)


@pytest.mark.realdata
def test_registered_nurse_hours_persist_by_half_once_homes_differ(cms_data: Path) -> None:
    table = pd.read_csv(cms_data / "home_quarters.csv.gz", dtype={"ccn": str})
    table = table[table["rn_hprd"] > 0].assign(hours=lambda t: np.log(t["rn_hprd"]))
    table = table[table["ccn"].isin(sorted(table["ccn"].unique())[::4])]
    layout = {
        "unit": "home",
        "period": {"column": "quarter", "frequency": "quarter"},
        "columns": {"home": "ccn"},
    }
    one = {
        "domain": "workforce",
        "family": "normal",
        "pooling": ["home"],
        "causes": {"hours[-1]": {"prior": "normal(0.5, 1)"}},
    }
    for initial, usual in ((True, (0.45, 0.75)), (False, (0.87, 0.97))):
        hours = {**one, "initial": initial}
        values = posterior(fitted(table, layout, 600, hours=hours), "hours.causes", "hours[-1]")
        estimate, error = maximum_likelihood(table, first_value=initial)
        assert values.mean() == pytest.approx(estimate, abs=0.5 * max(error, values.std()))
        assert usual[0] < values.mean() < usual[1]


def maximum_likelihood(table: pd.DataFrame, *, first_value: bool) -> tuple[float, float]:
    """Persistence of a random-intercept model and its error, by profile likelihood.

    Given the ratio of the variances, quasi-demeaned least squares is exact (Hsiao 2014, Analysis
    of Panel Data, section 3.3).
    """
    wide = table.pivot_table(index="ccn", columns="quarter", values="hours").to_numpy()
    first = np.array([row[np.isfinite(row)][0] for row in wide])
    unit, column = np.nonzero(np.isfinite(wide[:, 1:]) & np.isfinite(wide[:, :-1]))
    y, lag = wide[unit, column + 1], wide[unit, column]
    x = np.column_stack([np.ones(y.size), lag, *([first[unit]] if first_value else [])])
    sizes = np.bincount(unit, minlength=len(wide))

    def demeaned(values: Any, ratio: float) -> Any:
        share = 1 - 1 / np.sqrt(1 + sizes * ratio)
        mean = np.bincount(unit, values, len(wide)) / np.maximum(sizes, 1)
        return values - (share * mean)[unit]

    def solve(log_ratio: float) -> tuple[float, float, float]:
        ratio = np.exp(log_ratio)
        rows = np.column_stack([demeaned(v, ratio) for v in x.T])
        target = demeaned(y, ratio)
        beta = np.linalg.lstsq(rows, target, rcond=None)[0]
        variance = ((target - rows @ beta) ** 2).mean()
        loss = 0.5 * y.size * np.log(variance) + 0.5 * np.log1p(sizes * ratio).sum()
        error = np.sqrt(variance * np.linalg.inv(rows.T @ rows)[1, 1])
        return float(loss), float(beta[1]), float(error)

    grid = np.linspace(-9, 3, 121)
    return min(solve(value) for value in grid)[1:]


# ── the object ───────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_gives_the_same_draws(small_fit: Fit) -> None:
    settings = {"draws": 60, "tune": 60, "chains": 2, "engine": "nuts", "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first, again, other = (
            fit(small_fit.twin, small_fit.panel, seed=seed, **settings)  # type: ignore[arg-type] # plain values
            for seed in (1, 1, 2)
        )
    assert first.posterior.identical(again.posterior)
    assert not first.posterior.identical(other.posterior)


def test_the_posterior_has_every_parameter_under_its_name_and_dims(small_fit: Fit) -> None:
    found = small_fit.posterior["posterior"]
    for child in small_fit.designs:
        for one in small_fit.parameters(child):
            assert found[one.name].dims == ("chain", "draw", *one.dims)
            for dim, names in zip(one.dims, one.coords, strict=True):
                assert found[dim].values.tolist() == list(names)


def test_draws_are_thinned_evenly_over_chains(small_fit: Fit) -> None:
    every = small_fit.draws()
    assert len(every) == small_fit.n_draws == 3000
    some = small_fit.draws(100)
    assert np.bincount(some.chain).tolist() == [50, 50]
    assert set(np.diff(some.draw[:50])) == {30}
    values = small_fit.posterior["posterior"]["missed.sd_region"].values
    np.testing.assert_array_equal(some.values["missed.sd_region"], values[some.chain, some.draw])
    assert len(small_fit.draws(10_000)) == 3000


def test_the_summary_is_of_parameters_and_not_of_single_groups(small_fit: Fit) -> None:
    table = small_fit.summary()
    assert "missed.causes[logit(vacancy)]" in table.index
    assert not any(name.startswith("missed.provider") for name in table.index)
    row = small_fit.summary(["missed.sd_region"], interval=0.5).iloc[0].astype(float)
    draws = small_fit.posterior["posterior"]["missed.sd_region"].values.ravel()
    assert row["eti50_lb"] == pytest.approx(np.quantile(draws, 0.25), abs=1e-3)
    assert row["mean"] == pytest.approx(draws.mean())
    with pytest.raises(SpecificationError, match=r"Did you mean 'missed\.sd_region'"):
        small_fit.summary(["missed.sd_regions"])


def test_unknown_engines_and_empty_twins_are_refused(small_fit: Fit) -> None:
    with pytest.raises(SpecificationError, match=r"no engine 'nutz'\. Did you mean 'nuts'"):
        fit(small_fit.twin, small_fit.panel, seed=1, engine="nutz")
    given = Twin(twin="g", panel=LAYOUT, indicators={"x": {"domain": "context"}})
    table = pd.DataFrame({"home": ["a"], "month": ["2024-01"], "x": [1.0]})
    with pytest.raises(DataError, match="nothing to fit"):
        fit(given, read_panel(table, given), seed=1)


# ── known parameters ─────────────────────────────────────────────────────────────────────────────

KNOWN: dict[str, Any] = {
    "vacancy.intercept": -1.6,
    "vacancy.causes": np.zeros(4),
    "vacancy.sd_provider": 0.3,
    "vacancy.dispersion": 30.0,
    "missed.intercept": -2.0,
    "missed.causes": np.zeros(4),
    "missed.sd_region": 0.2,
    "missed.sd_provider": 0.2,
    "incidents.intercept": 1.0,
    "incidents.causes": np.zeros(2),
    "incidents.sd_provider": 0.3,
    "incidents.sd_period": 0.1,
}


def test_known_parameters_make_a_fit_of_one_draw(small_fit: Fit) -> None:
    known = Fit.from_parameters(small_fit.twin, small_fit.panel, KNOWN)
    assert known.n_draws == 1
    assert (known.posterior["posterior"]["missed.provider"] == 0).all()
    verdicts = set(known.diagnose().table["verdict"])
    assert verdicts == {"not sampled"}


def test_draws_of_known_parameters_run_along_the_first_dim(small_fit: Fit) -> None:
    causes = np.arange(12.0).reshape(3, 4)
    known = Fit.from_parameters(small_fit.twin, small_fit.panel, {**KNOWN, "missed.causes": causes})
    assert known.n_draws == 3
    np.testing.assert_array_equal(known.draws().values["missed.causes"], causes)
    assert known.draws().values["missed.intercept"].tolist() == [-2.0] * 3


def test_named_parameters_are_put_in_their_own_order(small_fit: Fit) -> None:
    values = small_fit.posterior["posterior"].to_dataset().isel(chain=0, draw=0, drop=True)
    mixed = values[[name for name in values if not str(name).endswith("_steps")]]
    mixed = mixed.isel({"missed.cause": [3, 1, 0, 2], "provider": slice(None, None, -1)})
    known = Fit.from_parameters(small_fit.twin, small_fit.panel, mixed)
    for name in mixed:
        np.testing.assert_array_equal(known.draws().values[str(name)][0], values[name].values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"missed.intercepts": 0.0}, "Did you mean 'missed.intercept'"),
        ({"missed.causes": np.zeros(3)}, r"missed.causes has shape \(3,\)"),
        ({"missed.intercept": None}, "parameters without a value: missed.intercept"),
    ],
)
def test_wrong_parameters_are_refused_by_name(
    small_fit: Fit, change: dict[str, Any], words: str
) -> None:
    values = {k: v for k, v in {**KNOWN, **change}.items() if v is not None}
    with pytest.raises(SpecificationError, match=words):
        Fit.from_parameters(small_fit.twin, small_fit.panel, values)


def test_the_pymc_model_of_an_indicator_is_its_components(small_fit: Fit) -> None:
    model = small_fit.pymc_model("missed")
    assert [rv.name for rv in model.observed_RVs] == ["missed"]
    names = {rv.name for rv in model.free_RVs} | {d.name for d in model.deterministics}
    assert {"missed.intercept", "missed.causes", "missed.region", "missed.provider"} <= names
    assert model.coords["region"] == ("r0", "r1", "r2")


def test_a_missing_mechanism_is_named(small_fit: Fit) -> None:
    with pytest.raises(SpecificationError, match="'backlog' has no fitted mechanism"):
        small_fit.pymc_model("backlog")


def test_panels_of_other_structure_keep_the_scales_of_the_first_fit(small_fit: Fit) -> None:
    from dotwin.inference.fitting import refit

    part = small_fit.panel.select(periods=slice(0, 7))
    again = refit(small_fit, part, draws=30, tune=30, chains=1, seed=1)
    for name, design in small_fit.designs.items():
        assert again.designs[name].reference == design.reference
        assert again.designs[name].equation == design.equation
    assert {engine for engine, _ in again.engines.values()} == {"nuts"}
