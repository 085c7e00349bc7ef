"""Backtests score what was forecast against what came, and know nothing that came later."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from dotwin.errors import DataError, SpecificationError
from dotwin.inference import Fit
from dotwin.panel import Panel, read_panel
from dotwin.spec.twin import Twin
from dotwin.worlds.backtest import backtest
from dotwin.worlds.baselines import METHODS, History, baseline, history_of
from dotwin.worlds.calibration import Backtest
from dotwin.worlds.forecasts import forecasts, planned
from dotwin.worlds.scores import clustered_mean, crps, pit, uniform_distance

LAYOUT = {"unit": "home", "period": {"column": "month", "frequency": "month"}}

# ── scores ───────────────────────────────────────────────────────────────────────────────────────


def test_crps_is_its_definition() -> None:
    rng = np.random.default_rng(1)
    draws, y = rng.gamma(2, 3, (40, 7)), rng.gamma(2, 3, 7)
    pairs = np.abs(draws[:, None] - draws[None]).mean(axis=(0, 1))
    np.testing.assert_allclose(crps(draws, y), np.abs(draws - y).mean(axis=0) - pairs / 2)


def test_crps_of_normal_draws_is_the_closed_form() -> None:
    # Gneiting and Raftery (2007), doi 10.1198/016214506000001437, section 4.2.
    y = np.array([-1.0, 0.3, 2.5])
    exact = y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / np.sqrt(np.pi)
    quantiles = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    np.testing.assert_allclose(crps(np.tile(quantiles[:, None], 3), y), exact, atol=2e-4)


def test_pit_of_counts_from_their_own_distribution_is_uniform() -> None:
    rng = np.random.default_rng(2)
    draws, y = rng.poisson(1.3, (200, 4000)), rng.poisson(1.3, 4000)
    values = pit(draws, y, rng.random(4000))
    assert stats.kstest(values, "uniform").pvalue > 1e-3
    assert uniform_distance(values) == pytest.approx(stats.kstest(values, "uniform").statistic)
    wrong = pit(rng.poisson(2.0, (200, 4000)), y, rng.random(4000))
    assert stats.kstest(wrong, "uniform").pvalue < 1e-12


def test_a_mean_of_single_cases_has_the_usual_standard_error() -> None:
    values = np.random.default_rng(3).normal(size=50)
    mean, error = clustered_mean(values, np.arange(50))
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(stats.sem(values))
    doubled = clustered_mean(np.repeat(values, 2), np.repeat(np.arange(50), 2))
    assert doubled == pytest.approx((mean, error))


# ── baselines ────────────────────────────────────────────────────────────────────────────────────


def history(kind: str, values: Any, **fields: Any) -> History:
    size = fields.pop("size", np.ones(values.shape))
    return History(kind, values, size, fields.pop("ahead", np.ones(len(values))), **fields)


def _panel_of(kind: str, rng: np.random.Generator) -> tuple[History, Any, bool]:
    """A history of 30 homes and 8 periods, the points or range that its values lie in."""
    shape, level = (30, 8), rng.normal(0, 0.4, (30, 1))
    if kind == "negative_binomial":
        mean = np.exp(1 + level)
        return history(kind, rng.poisson(rng.gamma(3, mean / 3, shape)) * 1.0), range(4000), True
    if kind == "beta_binomial":
        p = rng.beta(4, 12, shape)
        trials = rng.integers(5, 30, shape) * 1.0
        y = rng.binomial(trials.astype(int), p) * 1.0
        return history(kind, y, size=trials, ahead=np.full(30, 20.0)), range(21), True
    if kind == "bernoulli":
        return history(kind, (rng.random(shape) < 0.3) * 1.0), range(2), True
    if kind == "gamma":
        y = np.where(rng.random(shape) < 0.2, 0.0, rng.gamma(3, np.exp(level), shape))
        return history(kind, y), (0.0, np.inf), False
    if kind == "lognormal":
        return history(kind, rng.lognormal(level, 0.5, shape)), (0.0, np.inf), False
    if kind == "beta":
        y = np.where(rng.random(shape) < 0.1, 100.0, 100 * rng.beta(3, 5, shape))
        return history(kind, y, out_of=100.0, ends=(0.0, 100.0)), (0.0, 100.0), False
    return history(kind, level + rng.standard_t(4, shape)), (-np.inf, np.inf), False


KINDS = (
    "negative_binomial",
    "beta_binomial",
    "bernoulli",
    "gamma",
    "lognormal",
    "beta",
    "normal",
    "student_t",
)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_baseline_is_a_probability_distribution_that_its_draws_follow(
    kind: str, method: Any
) -> None:
    rng = np.random.default_rng(4)
    past, support, discrete = _panel_of(kind, rng)
    made = baseline(past, method, 1)
    drawn = made.sample(rng, 4000)
    if discrete:
        total = sum(np.exp(made.log_density(np.full(30, float(k)))) for k in support)
        np.testing.assert_allclose(total, 1.0, atol=1e-6)
        share = np.exp(made.log_density(np.zeros(30)))
        np.testing.assert_allclose((drawn == 0).mean(axis=0), share, atol=0.05)
        return

    def density(x: float) -> float:
        return float(np.exp(made.log_density(np.full(30, x))[7]))

    points = {"gamma": (0.0,), "beta": (0.0, 100.0)}.get(kind, ())
    low, high = support
    middle = float(np.median(drawn[:, 7]))
    inside = integrate.quad(density, low, middle, limit=200)[0]
    inside += integrate.quad(density, middle, high, limit=200)[0]
    atoms = sum(np.exp(made.log_density(np.full(30, p))[7]) for p in points)
    assert inside + atoms == pytest.approx(1.0, abs=1e-5)
    below = integrate.quad(density, low, middle, limit=200)[0]
    below += sum(np.exp(made.log_density(np.full(30, p))[7]) for p in points if p <= middle)
    assert (drawn[:, 7] <= middle).mean() == pytest.approx(below, abs=0.04)


def test_own_history_knows_each_units_mean_and_the_pooled_dispersion() -> None:
    rng = np.random.default_rng(5)
    mean = rng.gamma(4, 3, (400, 1))
    y = rng.poisson(mean * rng.gamma(5, 1 / 5, (400, 60))) * 1.0
    made = baseline(history("negative_binomial", y), "own history", 1)
    drawn = made.sample(rng, 3000)
    np.testing.assert_allclose(drawn.mean(axis=0), mean[:, 0], rtol=0.35)
    expected = mean[:, 0] + mean[:, 0] ** 2 / 5
    assert np.median(drawn.var(axis=0) / expected) == pytest.approx(1.0, abs=0.1)


def test_persistence_of_a_random_walk_has_the_spread_of_its_steps() -> None:
    rng = np.random.default_rng(6)
    y = np.cumsum(rng.normal(size=(500, 30)), axis=1)
    for horizon in (1, 4):
        drawn = baseline(history("normal", y), "persistence", horizon).sample(rng, 2000)
        np.testing.assert_allclose(drawn.mean(axis=0), y[:, -1], atol=0.3)
        assert drawn.std(axis=0).mean() == pytest.approx(np.sqrt(horizon), rel=0.05)


def test_an_exposure_known_ahead_moves_a_baseline_of_counts() -> None:
    rng = np.random.default_rng(7)
    exposure = rng.uniform(50, 100, (60, 20))
    past = history("negative_binomial", rng.poisson(0.1 * exposure) * 1.0, size=exposure)
    double = replace(past, ahead=np.full(60, 200.0))
    one = replace(past, ahead=np.full(60, 100.0))
    drawn = [baseline(h, "own history", 1).sample(rng, 2000).mean() for h in (one, double)]
    assert drawn[1] / drawn[0] == pytest.approx(2.0, rel=0.05)
    assert drawn[0] == pytest.approx(10.0, rel=0.05)


def test_categories_are_forecast_by_shares_and_by_transitions() -> None:
    rng = np.random.default_rng(8)
    y = np.cumsum(rng.random((200, 10)) < 0.2, axis=1) % 3 * 1.0
    for method in METHODS:
        made = baseline(history("ordinal", y, categories=3), method, 1)
        chances = np.stack([np.exp(made.log_density(np.full(200, float(k)))) for k in range(3)])
        np.testing.assert_allclose(chances.sum(axis=0), 1.0)
        drawn = made.sample(rng, 3000)
        np.testing.assert_allclose((drawn == 1).mean(axis=0), chances[1], atol=0.06)
    stay = np.exp(made.log_density(y[:, -1]))
    np.testing.assert_allclose(stay, 0.8, atol=0.06)


def test_a_unit_without_a_past_is_forecast_by_the_others() -> None:
    rng = np.random.default_rng(9)
    y = rng.normal(5, 1, (50, 10))
    y[0] = np.nan
    for method in METHODS:
        drawn = baseline(history("normal", y), method, 1).sample(rng, 4000)
        assert drawn[:, 0].mean() == pytest.approx(np.nanmean(y), abs=0.1)


def test_trials_that_are_not_known_ahead_leave_a_plain_count() -> None:
    twin = Twin(
        twin="t",
        panel=LAYOUT,
        indicators={
            "visits": {"domain": "demand", "family": "poisson"},
            "missed": {"domain": "quality", "family": "binomial", "trials": "visits"},
        },
    )
    past = history_of(twin.indicators["missed"], np.ones((3, 4)), None, None)
    assert past.kind == "negative_binomial"


# ── a backtest ───────────────────────────────────────────────────────────────────────────────────


def _table(homes: int = 40, months: int = 9) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    level = rng.normal(0, 0.5, homes)
    y, rows = level * 2 + rng.normal(0, 1.15, homes), []
    for t in range(months):
        staff = rng.normal(3, 1, homes)
        y = level + 0.5 * y + 0.4 * (staff - 3) + rng.normal(0, 1, homes)
        falls = rng.poisson(np.exp(0.6 + 0.3 * level - 0.2 * (staff - 3)))
        for i in range(homes):
            rows.append((f"h{i:02d}", f"2024-{t + 1:02d}", staff[i], y[i], falls[i]))
    return pd.DataFrame(rows, columns=["home", "month", "staff", "score", "falls"])


@pytest.fixture(scope="module")
def twin() -> Twin:
    return Twin(
        twin="homes",
        panel=LAYOUT,
        indicators={
            "staff": {"domain": "demand"},
            "score": {
                "domain": "quality",
                "family": "normal",
                "pooling": ["home"],
                "causes": {"score[-1]": {}, "staff": {}},
            },
            "falls": {
                "domain": "safeguarding",
                "family": "poisson",
                "pooling": ["home"],
                "causes": {"staff": {}, "score": {}},
            },
        },
    )


@pytest.fixture(scope="module")
def panel(twin: Twin) -> Panel:
    return read_panel(_table(), twin)


@pytest.fixture(scope="module")
def fitted(twin: Twin, panel: Panel) -> Fit:
    import warnings

    from dotwin.errors import ConvergenceWarning
    from dotwin.inference import fit

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(
            twin, panel, draws=300, tune=300, chains=2, seed=3, engine="nuts", progress=False
        )


@pytest.fixture(scope="module")
def tested(fitted: Fit) -> Backtest:
    return fitted.backtest(origins=2, horizon=2, draws=200, progress=False)


def test_every_recorded_value_ahead_is_scored_once_by_each_method(tested: Backtest) -> None:
    counts = tested.scores.groupby(["indicator", "method", "origin", "horizon"]).size()
    assert set(counts) == {40}
    # From the last origin but one both months were seen, from the last only one.
    assert len(counts) == 2 * 3 * 3
    assert tested.origins == ("2024-07", "2024-08")
    assert set(tested.scores["method"]) == {"model", *METHODS}


def test_the_log_score_one_step_ahead_is_the_mean_density_over_draws(
    fitted: Fit, panel: Panel
) -> None:
    cut = 8
    run = planned(fitted, panel, cut, 1, 200, 5)
    # The plan starts at the fit's own last period; here only the density matters.
    _, density = forecasts(run, panel, cut, 1)
    values = run.machine.parameters
    design = fitted.designs["score"]
    z = run.machine.mechanisms["score"].constants
    last = panel.values("score")[:, -1]
    staff = panel.values("staff")[:, cut]
    centre, sd = design.reference.factors["staff"]
    lag, _ = design.reference.factors["score[-1]"]
    m = design.reference.multiplier
    mean_of = next(v for k, v in z.items() if k == "mean of staff")
    first_of = next(v for k, v in z.items() if k.startswith("first"))
    columns = {
        "score[-1]": last - lag,
        "staff": m * ((staff - centre) / sd - mean_of),
        "initial: score[-1]": m * first_of,
        "between: staff": m * mean_of,
    }
    names = [term.name for term in design.main.predictor.terms]
    eta = values["score.intercept"][:, None] + values["score.home"]
    for k, name in enumerate(names):
        eta = eta + values["score.causes"][:, k, None] * columns[name]
    y, residual = panel.values("score")[:, cut], values["score.residual_sd"][:, None]
    expected = np.log(stats.norm.pdf(y, eta, residual).mean(axis=0))
    np.testing.assert_allclose(density["score"][:, 0], expected, rtol=1e-9)


def test_forecasts_know_nothing_of_what_came_later(fitted: Fit, tested: Backtest) -> None:
    data = fitted.panel.data.copy(deep=True)
    data["score"][:, -1] = 50.0
    data["falls"][:, -1] = 90.0
    changed = replace(fitted, panel=Panel.from_dataset(data, fitted.twin))
    again = backtest(changed, origins=2, horizon=2, draws=200, progress=False)
    for later in (False, True):
        one, other = (
            b.scores[(b.scores["period"] == "2024-09") == later].reset_index(drop=True)
            for b in (tested, again)
        )
        same = np.isclose(one["log_score"], other["log_score"]).all()
        assert bool(same) is not later


def test_the_table_holds_the_mean_scores(tested: Backtest) -> None:
    table = tested.table.set_index(["indicator", "horizon", "method"])
    rows = tested.scores.set_index(["indicator", "horizon", "method"])
    part = rows.loc[("falls", 1, "model")]
    row = table.loc[("falls", 1, "model")]
    assert row["n"] == 80
    assert row["log_score"] == pytest.approx(part["log_score"].mean())
    assert row["80%"] == pytest.approx(((part["pit"] - 0.5).abs() <= 0.4).mean())
    other = rows.loc[("falls", 1, "persistence")]
    gain = table.loc[("falls", 1, "persistence"), "gain_of_model"]
    assert gain == pytest.approx(part["log_score"].mean() - other["log_score"].mean())


def test_the_true_model_beats_a_units_last_value(tested: Backtest) -> None:
    gain, error = tested.gain("score", "persistence")
    assert gain > 2 * error


def test_a_verdict_has_its_numbers(tested: Backtest) -> None:
    verdict = tested.verdict("score")
    assert "80 % intervals held" in verdict.sentence
    assert verdict.cases == 120
    assert "Backtested from 2 origins, 1 to 2 months ahead, given the inputs" in repr(tested)
    with pytest.raises(SpecificationError, match="Did you mean 'score'"):
        tested.verdict("scores")


def test_a_verdict_needs_cases_and_finds_overconfidence(tested: Backtest) -> None:
    rng = np.random.default_rng(1)
    frame = tested.scores[tested.scores["method"] == "model"].iloc[:1]

    def judged(values: Any) -> str:
        n = len(values)
        units = [f"u{i}" for i in range(n)]
        scores = frame.loc[frame.index.repeat(n)].assign(pit=values, unit=units)
        return replace(tested, scores=scores).verdict(frame["indicator"].iloc[0]).status

    uniform = rng.random(2000)
    assert judged(uniform) == "calibrated"
    assert judged(uniform[:20]) == "too few cases to tell"
    assert judged(rng.beta(0.4, 0.4, 2000)) == "not calibrated"
    assert judged(rng.beta(3, 3, 2000)) == "not calibrated"


def test_a_fit_remembers_its_backtest_for_the_licence(fitted: Fit, tested: Backtest) -> None:
    assert fitted.notes["backtest"] is tested
    from dotwin.spec import Scenario, shift

    futures = fitted.simulate(
        periods=1, seed=1, draws=50, scenarios=[Scenario("more", [shift("staff", 0.5)])]
    )
    licence = futures.contrast("more", assume="no hidden causes").licence
    assert licence.backtested.sentence == tested.sentence
    assert licence.backtested.status in ("yes", "unknown")


def test_a_panel_that_is_too_short_is_refused(fitted: Fit) -> None:
    short = replace(fitted, panel=fitted.panel.select(periods=slice(0, 3)))
    with pytest.raises(DataError, match="a backtest needs 4 or more"):
        backtest(short, progress=False)
    with pytest.raises(SpecificationError, match="counts of 1 or more"):
        backtest(fitted, origins=0, progress=False)


def test_the_figure_has_a_panel_per_indicator(tested: Backtest) -> None:
    figure = tested.plot()
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert [title.partition(":")[0] for title in titles] == ["score", "falls"]
