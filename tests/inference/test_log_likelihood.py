"""Pointwise log-likelihoods are the densities that they say, whatever is left out."""

from itertools import pairwise
from typing import Any

import arviz as az
import numpy as np
import pytest
from scipy import integrate, stats

from dotwin.errors import SpecificationError
from dotwin.inference import Fit
from dotwin.panel import read_panel
from tests.inference.conftest import simulated_table, twin_with

DRAWS = (0, 700, 2900)


def pointwise(small_fit: Fit, name: str, leave_out: str) -> Any:
    tree = small_fit.log_likelihood(name, leave_out=leave_out)
    values = tree["log_likelihood"][name].values
    return values.reshape(-1, values.shape[-1])


def predictor(small_fit: Fit, name: str, draw: int, without: str = "") -> Any:
    """The linear predictor, written anew from the design's columns and the posterior."""
    design, values = small_fit.designs[name], small_fit.draws().values
    eta = values[f"{name}.intercept"][draw] + design.main.columns @ values[f"{name}.causes"][draw]
    for level, codes in design.main.groups.items():
        if level != without:
            eta = eta + values[f"{name}.{level}"][draw][codes]
    if design.main.predictor.period and without != "period":
        eta = eta + values[f"{name}.period"][draw][design.period]
    return eta


def test_row_densities_are_scipys(small_fit: Fit) -> None:
    design, ours = small_fit.designs["missed"], pointwise(small_fit, "missed", "row")
    for draw in DRAWS:
        p = 1 / (1 + np.exp(-predictor(small_fit, "missed", draw)))
        expected = stats.binom.logpmf(design.y, design.trials, p)
        np.testing.assert_allclose(ours[draw], expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["missed", "incidents", "vacancy"])
def test_loo_takes_it(small_fit: Fit, name: str) -> None:
    tree = small_fit.log_likelihood(name)
    found = az.loo(tree, var_name=name)
    assert found.n_data_points == small_fit.designs[name].rows
    assert np.isfinite(found.elpd)
    assert (found.pareto_k < 0.7).mean() > 0.9


def test_leaving_out_a_unit_integrates_its_effect_out(small_fit: Fit) -> None:
    design, ours = small_fit.designs["missed"], pointwise(small_fit, "missed", "unit")
    values = small_fit.draws().values
    assert ours.shape[1] == 24
    for draw in DRAWS:
        without = predictor(small_fit, "missed", draw, without="provider")
        sd = values["missed.sd_provider"][draw]
        for unit in (0, 7, 23):
            rows = design.unit == unit
            centre = values["missed.provider"][draw, unit]

            def density(
                effect: float, rows: Any = rows, sd: float = sd, eta: Any = without
            ) -> float:
                p = 1 / (1 + np.exp(-eta[rows] - effect))
                log = stats.binom.logpmf(design.y[rows], design.trials[rows], p).sum()
                return float(np.exp(log + stats.norm.logpdf(effect, 0, sd) + 60.0))

            inside = (centre - 6 * sd, centre, centre + 6 * sd)
            total = sum(
                integrate.quad(density, a, b, epsabs=0, epsrel=1e-9, limit=200)[0]
                for a, b in pairwise(inside)
            )
            assert ours[draw, unit] == pytest.approx(np.log(total) - 60.0, abs=1e-5)


def test_a_spread_near_0_does_not_spoil_the_integral(small_table: Any) -> None:
    twin = twin_with()
    panel = read_panel(small_table, twin)
    base: dict[str, Any] = {
        "vacancy.intercept": -1.6,
        "vacancy.causes": np.zeros(4),
        "vacancy.sd_provider": 0.3,
        "vacancy.dispersion": 30.0,
        "missed.intercept": -2.0,
        "missed.causes": np.zeros(4),
        "missed.sd_region": 0.2,
        "incidents.intercept": 1.0,
        "incidents.causes": np.zeros(2),
        "incidents.sd_provider": 0.3,
        "incidents.sd_period": 0.1,
    }
    known = Fit.from_parameters(
        twin, panel, {**base, "missed.sd_provider": np.array([1e-6, 0.5, 20.0])}
    )
    design, ours = known.designs["missed"], pointwise(known, "missed", "unit")
    p = 1 / (1 + np.exp(2.0))
    rows = stats.binom.logpmf(design.y, design.trials, p)
    # Without spread the effect is 0 and the rows are independent.
    alone = np.array([rows[design.unit == u].sum() for u in range(24)])
    np.testing.assert_allclose(ours[0], alone, rtol=1e-6)
    for unit in (0, 11):
        for draw, sd in ((1, 0.5), (2, 20.0)):
            at = design.unit == unit
            grid = np.linspace(-4, 4, 20001)
            p = 1 / (1 + np.exp(2.0 - grid[:, None]))
            log = stats.binom.logpmf(design.y[at], design.trials[at], p).sum(axis=1)
            log += stats.norm.logpdf(grid, 0, sd)
            expected = np.log(integrate.simpson(np.exp(log - log.max()), x=grid)) + log.max()
            assert ours[draw, unit] == pytest.approx(expected, abs=1e-5)


def test_leaving_out_the_future_integrates_its_shock_out(small_fit: Fit) -> None:
    design, ours = small_fit.designs["incidents"], pointwise(small_fit, "incidents", "future")
    values = small_fit.draws().values
    rows = np.flatnonzero(design.period == design.period.max())
    assert ours.shape[1] == rows.size == 24
    for draw in DRAWS:
        without = predictor(small_fit, "incidents", draw, without="period")
        sd = values["incidents.sd_period"][draw]
        for k in (0, 13):

            def density(
                shock: float, row: int = rows[k], sd: float = sd, eta: Any = without
            ) -> float:
                rate = np.exp(eta[row] + shock)
                return float(stats.poisson.pmf(design.y[row], rate) * stats.norm.pdf(shock, 0, sd))

            total, _ = integrate.quad(density, -9 * sd, 9 * sd, epsabs=0, epsrel=1e-10)
            assert ours[draw, k] == pytest.approx(np.log(total), abs=1e-6)


def test_without_a_shock_the_future_is_the_rows_of_the_last_period(small_fit: Fit) -> None:
    design = small_fit.designs["missed"]
    last = design.period == design.period.max()
    np.testing.assert_array_equal(
        pointwise(small_fit, "missed", "future"), pointwise(small_fit, "missed", "row")[:, last]
    )


def test_rows_and_units_are_named(small_fit: Fit) -> None:
    rows = small_fit.log_likelihood("missed")["log_likelihood"]["missed.row"].values
    assert rows[0] == "p00, 2024-02"
    units = small_fit.log_likelihood("missed", leave_out="unit")["log_likelihood"]["provider"]
    assert units.values[:2].tolist() == ["p00", "p01"]


def test_what_cannot_be_left_out_is_refused(small_fit: Fit) -> None:
    with pytest.raises(SpecificationError, match="leave_out='rows' is not known"):
        small_fit.log_likelihood("missed", leave_out="rows")
    with pytest.raises(SpecificationError, match="'visits' has no fitted mechanism"):
        small_fit.log_likelihood("visits")


def test_a_second_effect_of_the_unit_is_refused_and_not_passed_over() -> None:
    twin = twin_with(missed={"causes": {"logit(vacancy)": {"varying": ["provider"]}}})
    panel = read_panel(simulated_table(), twin)
    values = {
        "vacancy.intercept": -1.6,
        "vacancy.causes": np.zeros(4),
        "vacancy.sd_provider": 0.3,
        "vacancy.dispersion": 30.0,
        "missed.intercept": -2.0,
        "missed.causes": np.zeros(2),
        "missed.sd_region": 0.2,
        "missed.sd_provider": 0.2,
        "missed.sd_slope_provider": np.array([0.1]),
        "incidents.intercept": 1.0,
        "incidents.causes": np.zeros(2),
        "incidents.sd_provider": 0.3,
        "incidents.sd_period": 0.1,
    }
    known = Fit.from_parameters(twin, panel, values)
    with pytest.raises(SpecificationError, match="the slope of logit"):
        known.log_likelihood("missed", leave_out="unit")
