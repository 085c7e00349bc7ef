"""Simulation-based calibration sees a wrong posterior, and passes a right one."""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.ecdf_utils import simulate_confidence_bands
from numpy.typing import NDArray
from scipy import stats

from benchmarks.calibration import batch
from benchmarks.calibration_designs import BROKEN, CASES, FAMILIES, LAYOUTS, Case
from benchmarks.uniformity import PLACES, band, chance_outside, histogram, p_value

Floats = NDArray[np.float64]
REPLICATES, ROWS, DRAWS = 500, 4, 99


def _ranks(
    *, prior_sd: float = 1.0, noise_sd: float = 1.0, heeds_data: bool = True
) -> dict[str, Floats]:
    """Rank a normal mean and the log likelihood under a posterior in closed form.

    The mean's prior is standard normal and the rows' sd is 1, whatever the posterior takes them
    for.
    """
    rng = np.random.default_rng(11)
    truth = rng.normal(size=(REPLICATES, 1))
    y = rng.normal(truth, 1.0, (REPLICATES, ROWS))
    precision = 1.0 / prior_sd**2 + (ROWS / noise_sd**2 if heeds_data else 0.0)
    middle = (y.sum(axis=1, keepdims=True) / noise_sd**2 if heeds_data else 0.0) / precision
    draws = middle + rng.normal(size=(REPLICATES, DRAWS)) / np.sqrt(precision)

    def log_likelihood(mean: Floats) -> Floats:
        return stats.norm.logpdf(y[:, None, :], mean[:, :, None]).sum(axis=2)

    pairs = {"mean": (draws, truth)}
    pairs["log likelihood"] = (log_likelihood(draws), log_likelihood(truth))
    return {
        name: ((own < stated).sum(axis=1) + rng.random(REPLICATES)) / (DRAWS + 1)
        for name, (own, stated) in pairs.items()
    }


def _p(ranks: Floats) -> float:
    return p_value(histogram(ranks))


def test_a_right_posterior_passes() -> None:
    assert all(_p(ranks) > 0.01 for ranks in _ranks().values())


def test_a_prior_with_half_its_sd_is_seen() -> None:
    assert _p(_ranks(prior_sd=0.5)["mean"]) < 1e-4


def test_rows_taken_to_vary_more_than_they_do_are_seen() -> None:
    assert _p(_ranks(noise_sd=2.0)["mean"]) < 1e-4


def test_a_posterior_that_ignores_the_data_is_seen_by_the_likelihood_alone() -> None:
    # Modrák et al. (2023): draws from the prior are ranked uniformly.
    ranks = _ranks(heeds_data=False)
    assert _p(ranks["mean"]) > 0.01
    assert _p(ranks["log likelihood"]) < 1e-6


def test_the_exact_band_is_the_one_that_arviz_simulates() -> None:
    simulated, values, level = 4000, 100, 0.95
    rng = np.random.default_rng(3)
    places = np.arange(1, PLACES) / PLACES
    inside = simulate_confidence_bands(values, 1, places, level, simulated, rng)
    error = np.sqrt(level * (1.0 - level) / simulated)
    assert chance_outside(values, 1.0 - inside, PLACES) == pytest.approx(1.0 - level, abs=4 * error)


def test_two_values_and_one_place_are_outside_as_often_as_counted() -> None:
    # Of two values, none or both lie below 1/2 in one case out of four each.
    assert chance_outside(2, 0.5, 2) == pytest.approx(0.5)
    assert chance_outside(2, 0.49, 2) == 0.0


@pytest.mark.parametrize("outside", [0.1, 0.01, 1e-5])
def test_a_p_value_is_at_most_the_level_just_where_the_band_is_left(outside: float) -> None:
    rng = np.random.default_rng(4)
    low, high = band(200, outside)
    for power in np.linspace(0.6, 1.6, 41):
        bins = histogram(rng.random(200) ** power)
        shares = np.cumsum(bins)[:-1] / 200
        left = bool(((shares < low - 1e-12) | (shares > high + 1e-12)).any())
        assert left == (p_value(bins) <= outside)


def test_a_replicate_is_the_same_in_any_company() -> None:
    case = next(c for c in CASES if c.name == "deterministic-poisson, rare")
    _, together = batch(case, [2, 3])
    _, alone = batch(case, [3])
    assert together[1]["ranks"] == alone[0]["ranks"]
    assert together[0]["ranks"] != alone[0]["ranks"]


def test_every_engine_meets_every_family_in_every_layout() -> None:
    names = [case.name for case in (*CASES, *BROKEN)]
    assert len(set(names)) == len(names)
    assert len(FAMILIES) >= 8
    assert len(LAYOUTS) >= 3
    for engine in ("deterministic", "nuts"):
        assert sum(c.engine == engine for c in CASES) == len(FAMILIES) * len(LAYOUTS)


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_what_is_broken_on_purpose_still_breaks_something_that_is_there(case: Case) -> None:
    _, (made,) = batch(case, [1])
    assert made.get("ranks") or made.get("declined")
