"""The joint engine's draws are draws of the posterior."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy import special

from dotwin.inference.components import components_of
from dotwin.inference.engine import Component, Draws, Settings
from dotwin.inference.joint import JointEngine
from dotwin.inference.pymc_engine import PymcEngine
from dotwin.panel import read_panel
from dotwin.spec.twin import Twin
from tests.inference.joint.cases import component

HOMES = 6
TRIALS = {"binomial": 5, "binomial of many": 60}
#: No count of these panels has a noticeable chance of being higher.
MOST = 60


def _quiet(share: float, words: str) -> None:
    """Ignore progress."""


def _joint(table: pd.DataFrame, indicators: dict[str, Any]) -> Component:
    twin = Twin(twin="tiny", panel={"unit": "home"}, indicators=indicators)
    (found,) = [c for c in components_of(twin, read_panel(table, twin)) if c.imputation is not None]
    return found


def _error(draws: np.ndarray) -> float:
    """Monte Carlo error of a mean, dims (chain, draw)."""
    from arviz_stats.base.array import array_stats

    ess = float(array_stats.ess(draws[..., None], chain_axis=0, draw_axis=1, method="mean")[0])
    return float(draws.std() / np.sqrt(ess))


def _log_marginal(log_density: Any, sd: tuple[float, ...], nodes: int = 61) -> Any:
    """Log integral over independent normal parameters around 0."""
    z, weights = hermegauss(nodes)
    grids = np.meshgrid(*[z * s for s in sd], indexing="ij")
    logs = sum(np.meshgrid(*[np.log(weights)] * len(sd), indexing="ij"))
    values = log_density(*grids) + logs - 0.5 * len(sd) * np.log(2 * np.pi)
    return special.logsumexp(values, axis=tuple(range(-len(sd), 0)))


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "binomial of many", "poisson"])
def test_missing_counts_have_the_probabilities_of_enumeration(family: str) -> None:
    """Two unknown counts, read by a Poisson: every pair of values is weighed by quadrature."""
    rng = np.random.default_rng(8)
    trials = TRIALS.get(family, 1)
    known = rng.binomial(trials, 0.4, HOMES) if family != "poisson" else rng.poisson(2.0, HOMES)
    known = known.astype(float)
    # Outcomes that disagree with each other on what is missing, so that both sources matter.
    y = np.array([1, 3, 0, 2, 9, 0])
    known[-2:] = np.nan
    table = pd.DataFrame(
        {"home": [f"h{i}" for i in range(HOMES)], "x": known, "y": y, "n": float(trials)}
    )
    centred = {"binomial": "share(x) - 0.4", "binomial of many": "share(x) - 0.4"}
    cause = centred.get(family, "x - 0.4" if family == "bernoulli" else "log1p(x) - 1")
    of_x: dict[str, Any] = {
        "domain": "workforce",
        "missing": "impute",
        "family": family.removesuffix(" of many"),
        "priors": {"intercept": "normal(0, 0.7)"},
    }
    if family in TRIALS:
        of_x["trials"] = "n"
    found = _joint(
        table,
        {
            "n": {"domain": "context"},
            "x": of_x,
            "y": {
                "domain": "quality",
                "family": "poisson",
                "priors": {"intercept": "normal(0, 0.7)"},
                "causes": {cause: {"prior": "normal(0, 0.8)", "scale": "natural"}},
            },
        },
    )
    settings = Settings(draws=1500, tune=300, chains=4, seed=2)
    drawn = JointEngine().sample(found, settings, _quiet).posterior["x.missing"]

    top = trials if family != "poisson" else MOST
    pairs = np.stack(np.meshgrid(np.arange(top + 1), np.arange(top + 1), indexing="ij"), -1)
    pairs = pairs.reshape(-1, 2)
    x = np.concatenate([np.tile(known[:-2], (len(pairs), 1)), pairs], axis=1)
    column = {
        "bernoulli": x - 0.4,
        "poisson": np.log1p(x) - 1.0,
    }.get(family, x / trials - 0.4)
    design = found.designs[1]
    centre, _ = design.reference.factors[next(iter(design.reference.factors))]
    column = column - centre
    total = x.sum(axis=1)
    if family == "poisson":
        own = _log_marginal(
            lambda a: total[:, None] * a - HOMES * np.exp(a), (0.7,)
        ) - special.gammaln(x + 1).sum(axis=1)
    else:
        own = _log_marginal(
            lambda a: total[:, None] * a - HOMES * trials * np.logaddexp(0.0, a), (0.7,)
        ) + (
            special.gammaln(trials + 1) - special.gammaln(x + 1) - special.gammaln(trials - x + 1)
        ).sum(axis=1)

    def reader(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        value = np.zeros((len(pairs), *a.shape))
        for i in range(HOMES):
            eta = a + b * column[:, i, None, None]
            value += y[i] * eta - np.exp(eta)
        return value

    log_weight = own + _log_marginal(reader, (0.7, 0.8), nodes=41)
    weight = np.exp(log_weight - special.logsumexp(log_weight))
    assert weight.reshape(top + 1, top + 1)[-1].sum() < 1e-6 or family != "poisson"
    for cell in range(2):
        for k in range(top + 1):
            exact = weight[pairs[:, cell] == k].sum()
            if exact > 0.02:
                at = (drawn[..., cell] == k).astype(float)
                assert at.mean() == pytest.approx(exact, abs=4.5 * _error(at))
    both = (drawn[..., 0] > drawn[..., 1]).astype(float)
    exact = weight[pairs[:, 0] > pairs[:, 1]].sum()
    assert both.mean() == pytest.approx(exact, abs=4.5 * _error(both))


def _agree(ours: Draws, theirs: Draws, names: list[str]) -> None:
    """Means and sds agree within Monte Carlo error, over many numbers at once."""
    for name in names:
        a, b = (np.asarray(one.posterior[name], dtype=float) for one in (ours, theirs))
        a, b = a.reshape(*a.shape[:2], -1), b.reshape(*b.shape[:2], -1)
        for k in range(a.shape[2]):
            one, other = a[..., k], b[..., k]
            error = np.hypot(_error(one), _error(other))
            assert abs(one.mean() - other.mean()) < 4.5 * error, (name, k)
            centre = other.mean()
            one, other = (one - centre) ** 2, (other - centre) ** 2
            error = np.hypot(_error(one), _error(other))
            assert abs(one.mean() - other.mean()) < 4.5 * error, (name, k)


@pytest.mark.parametrize("family", ["normal", "beta, percentage"])
def test_posterior_is_that_of_the_pymc_engine(family: str) -> None:
    found = component(family, readers=False)
    settings = Settings(draws=1000, tune=800, chains=4, seed=5)
    ours = JointEngine().sample(found, settings, _quiet)
    theirs = PymcEngine().sample(found, settings, _quiet)
    assert set(ours.posterior) == set(theirs.posterior)
    _agree(ours, theirs, list(theirs.posterior))
    for name in ("diverging", "energy", "tree_depth", "n_steps", "step_size"):
        assert ours.statistics[name].shape == (4, 1000)


def test_the_same_seed_gives_the_same_draws() -> None:
    found = component("negative_binomial")
    settings = Settings(draws=20, tune=30, chains=2, seed=9)
    one, two = (JointEngine().sample(found, settings, _quiet) for _ in range(2))
    assert set(one.posterior) == set(two.posterior)
    for name, values in one.posterior.items():
        np.testing.assert_array_equal(values, two.posterior[name])
        assert not (values[0] == values[1]).all()


def test_missing_percentages_are_drawn_as_percentages() -> None:
    found = component("beta, percentage", readers=False)
    drawn = JointEngine().sample(found, Settings(30, 30, 1, 1), _quiet).posterior["x.missing"]
    assert drawn.min() > 0.0
    assert 1.0 < drawn.max() < 100.0
