"""The engine's draws are draws of the posterior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from dotwin.inference.engine import Component, Draws, Settings
from dotwin.inference.nuts import NutsEngine
from dotwin.inference.pymc_engine import PymcEngine
from dotwin.mechanisms.design import Design, build_design
from dotwin.mechanisms.parameters import parameters
from dotwin.panel import read_panel
from dotwin.spec.twin import Twin
from tests.inference.nuts.cases import mechanism, table


def _quiet(share: float, words: str) -> None:
    """Ignore progress."""


def _counts(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return rng.poisson(np.exp(1.0 + eta) * rng.gamma(3.0, 1 / 3, eta.size))


def _amounts(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return np.where(rng.random(eta.size) < 0.3, 0.0, np.exp(eta) * rng.gamma(2.0, size=eta.size))


def _settings(draws: int = 500, seed: int = 1) -> Settings:
    return Settings(draws=draws, tune=500, chains=4, seed=seed)


@pytest.fixture(scope="module")
def design() -> Design:
    pooling = ["region", "provider", "period"]
    return mechanism(table(3, _counts), family="negative_binomial", pooling=pooling)


@pytest.fixture(scope="module")
def drawn(design: Design) -> Draws:
    return NutsEngine().sample(Component((design,)), _settings(), _quiet)


def _one_number(y: list[int], **indicator: Any) -> Design:
    twin = Twin(
        twin="one",
        panel={"unit": "home"},
        indicators={"y": {"domain": "outcome", **indicator}},
    )
    homes = [f"h{i}" for i in range(len(y))]
    return build_design(twin, "y", read_panel(pd.DataFrame({"home": homes, "y": y}), twin))


def test_posterior_of_one_number_is_that_of_quadrature() -> None:
    y = [3, 0, 2, 5, 1, 1, 4, 2]
    design = _one_number(y, family="poisson", priors={"intercept": "normal(0, 0.5)"})
    drawn = NutsEngine().sample(Component((design,)), _settings(2000), _quiet)

    def density(a: float) -> float:
        prior = stats.norm.pdf(a, 0.0, 0.5)
        return float(prior * np.exp(stats.poisson.logpmf(y, np.exp(a)).sum() + 15.0))

    moments = [integrate.quad(lambda a, k=k: a**k * density(a), -3.0, 3.0)[0] for k in range(3)]
    mean = moments[1] / moments[0]
    sd = np.sqrt(moments[2] / moments[0] - mean**2)
    draws = drawn.posterior["y.intercept"]
    # Draws of a single number are worth at least a tenth of as many independent ones.
    error = sd / np.sqrt(draws.size / 10)
    assert draws.mean() == pytest.approx(mean, abs=4 * error)
    assert draws.std() == pytest.approx(sd, rel=4 / np.sqrt(2 * draws.size / 10))


def test_every_parameter_is_drawn_with_its_dims(design: Design, drawn: Draws) -> None:
    listed = parameters(design.equation, design.reference, design.group_names, design.period_names)
    assert list(drawn.posterior) == [one.name for one in listed]
    for one in listed:
        assert drawn.posterior[one.name].shape == (4, 500, *one.shape)
        assert np.isfinite(drawn.posterior[one.name]).all()


def test_statistics_tell_how_the_sampler_did(drawn: Draws) -> None:
    for name in ("diverging", "energy", "tree_depth", "n_steps", "step_size"):
        assert drawn.statistics[name].shape == (4, 500)
    assert drawn.engine == "nuts"
    assert drawn.statistics["diverging"].mean() < 0.05


def test_same_seed_gives_the_same_draws(design: Design, drawn: Draws) -> None:
    again = NutsEngine().sample(Component((design,)), _settings(), _quiet)
    other = NutsEngine().sample(Component((design,)), _settings(seed=2), _quiet)
    for name, values in drawn.posterior.items():
        np.testing.assert_array_equal(again.posterior[name], values)
        assert not np.array_equal(other.posterior[name], values)


def test_chains_side_by_side_draw_what_chains_in_turn_draw(design: Design, drawn: Draws) -> None:
    abreast = NutsEngine(cores=2).sample(Component((design,)), _settings(), _quiet)
    for name, values in drawn.posterior.items():
        np.testing.assert_array_equal(abreast.posterior[name], values)


def test_progress_ends_at_the_whole(design: Design) -> None:
    told: list[float] = []
    NutsEngine().sample(
        Component((design,)), _settings(50), lambda share, words: told.append(share)
    )
    assert told[0] == 0.0
    assert told[-1] == 1.0
    assert all(0.0 <= share <= 1.0 for share in told)


def test_engine_leaves_to_others_what_it_does_not_know(design: Design) -> None:
    engine = NutsEngine()
    assert engine.accepts(Component((design,)))
    assert not engine.accepts(Component((design, design)))
    bounded: Callable[..., Any] = lambda rng, eta: 3.0 + np.exp(eta)  # noqa: E731 # one line of data
    gamma = mechanism(table(3, bounded), family="gamma", at_least="surveys")
    assert not engine.accepts(Component((gamma,)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["negative_binomial", "gamma"])
def test_posterior_is_that_of_the_pymc_model(name: str, design: Design) -> None:
    import arviz as az

    if name == "gamma":
        zeros = {"as": "hurdle", "causes": {"beds": {}}, "pooling": ["region"]}
        frame = table(5, _amounts, providers=40, regions=8)
        design = mechanism(frame, family="gamma", zeros=zeros)
    component = Component((design,))
    settings = Settings(draws=2000, tune=1000, chains=4, seed=3)
    ours = NutsEngine(target_accept=0.95).sample(component, settings, _quiet)
    theirs = PymcEngine().sample(component, settings, _quiet)
    away = []
    for parameter, values in ours.posterior.items():
        for k in np.ndindex(values.shape[2:]):
            pair = [values[:, :, *k], theirs.posterior[parameter][:, :, *k]]
            # Means of ranks exist also where a dispersion's tail has no mean, and see spread too.
            middle, width = np.median(pair[1]), np.quantile(pair[1], 0.9)
            for above in (middle, width):
                shares = [(x > above).astype(float) for x in pair]
                errors = [x.std() / np.sqrt(az.ess(x, method="mean")) for x in shares]
                away.append((shares[0].mean() - shares[1].mean()) / np.hypot(*errors))
    # The differences of effects go together, so that their mean square has few degrees of freedom.
    assert np.abs(away).max() < 5.0
    assert np.sqrt(np.mean(np.square(away))) < 1.8
