"""The engine's draws are those of the posterior, by chains, by closed forms and on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dotwin.inference.deterministic import DeterministicEngine
from dotwin.inference.deterministic.split import problems_of, refusal
from dotwin.inference.engine import Component, Draws, Settings
from dotwin.inference.fit import Fit
from dotwin.inference.fitting import fit
from dotwin.inference.nuts import NutsEngine
from dotwin.inference.storage import load_fit
from dotwin.mechanisms.design import Design, build_design
from dotwin.mechanisms.parameters import parameters
from dotwin.panel import read_panel
from dotwin.spec.twin import Twin
from tests.inference.conftest import twin_with
from tests.inference.deterministic.small import small_design
from tests.inference.nuts.cases import mechanism, table


def _quiet(share: float, words: str) -> None:
    """Ignore progress."""


def _amounts(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return np.where(rng.random(eta.size) < 0.3, 0.0, np.exp(eta) * rng.gamma(2.0, size=eta.size))


def _counts(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return rng.poisson(np.exp(1.0 + eta) * rng.gamma(3.0, 1 / 3, eta.size))


def _categories(rng: np.random.Generator, eta: np.ndarray) -> Any:
    names = np.array(["none", "some", "harm", "jeopardy"])
    return names[np.digitize(eta + rng.logistic(size=eta.size), [-0.5, 0.7, 1.8])]


MECHANISMS: dict[str, Any] = {
    "counts with shocks and slopes by region": lambda: mechanism(
        table(3, _counts), family="negative_binomial", pooling=["region", "provider", "period"]
    ),
    "amounts with zeros of their own": lambda: mechanism(
        table(4, _amounts),
        family="gamma",
        causes={"staffing": {}},
        zeros={"as": "hurdle", "pooling": ["provider"], "causes": {"beds": {}}},
    ),
    "yes or no without groups, with a walk": lambda: mechanism(
        table(5, lambda rng, eta: (rng.random(eta.size) < 0.4).astype(int)),
        family="bernoulli",
        causes={"staffing": {"prior": "student_t(4, 0, 0.5)"}},
        pooling=[],
        trend="walk",
    ),
    "hours of at least 0": lambda: mechanism(
        table(6, lambda rng, eta: np.abs(0.6 + eta + 0.4 * rng.standard_t(5, eta.size))),
        family="student_t",
        at_least=0,
        causes={"staffing": {}},
        pooling=["provider"],
    ),
    "counts with more zeros": lambda: mechanism(
        table(8, lambda rng, eta: np.where(rng.random(eta.size) < 0.3, 0, _counts(rng, eta))),
        family="poisson",
        causes={"staffing": {}},
        zeros={"as": "inflated", "causes": {"beds": {}}},
        pooling=["provider"],
    ),
    "ordered categories": lambda: mechanism(
        table(9, _categories),
        family="ordinal",
        categories=["none", "some", "harm", "jeopardy"],
        causes={"staffing": {}},
        pooling=["region", "provider"],
    ),
}


@pytest.mark.parametrize("case", MECHANISMS)
def test_draws_are_those_of_a_long_chain(case: str) -> None:
    from arviz_stats.base.array import array_stats

    component = Component((MECHANISMS[case](),))
    ours = DeterministicEngine().sample(component, Settings(2000, 0, 4, 1), _quiet)
    assert ours.certificate is not None
    assert ours.certificate.holds
    # The tail of a truncated Student's t makes chains slow.
    kept = 500 if "hours" in case else 2000
    chains = NutsEngine().sample(component, Settings(kept, kept // 2, 4, 1), _quiet)
    away = []
    for name, theirs in chains.posterior.items():
        mine = ours.posterior[name]
        assert mine.shape[2:] == theirs.shape[2:]
        one, two = (x.reshape(*x.shape[:2], -1) for x in (mine, theirs))
        moving = two.std(axis=(0, 1)) > 0
        one, two = one[..., moving], two[..., moving]
        if "sd_" in name or name.endswith("dispersion"):
            # Their means hang on a long tail; the logarithm's does not.
            one, two = np.log(one), np.log(two)
        ess = np.atleast_1d(array_stats.ess(two, chain_axis=0, draw_axis=1, method="mean"))
        error = two.std(axis=(0, 1)) * np.sqrt(1 / ess + 1 / ours.certificate.importance_ess)
        away.append((one.mean(axis=(0, 1)) - two.mean(axis=(0, 1))) / error)
    z = np.concatenate(away)
    # Standard normal each: the largest of n, and their scatter.
    assert np.abs(z).max() < stats.norm.isf(0.0005 / z.size)


def test_a_normal_regression_is_least_squares() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(2, 3, 150)
    y = 4.0 - 1.5 * x + rng.normal(0, 2, 150)
    frame = pd.DataFrame({"home": [f"h{i}" for i in range(150)], "x": x, "y": y})
    twin = Twin(
        twin="case",
        panel={"unit": "home"},
        indicators={
            "x": {"domain": "context"},
            "y": {
                "domain": "outcome",
                "family": "normal",
                "causes": {"x": {"scale": "natural", "prior": "normal(0, 1000)"}},
                # Jeffreys' prior on the residual sd, but for its ends.
                "priors": {"intercept": "normal(0, 1000)", "residual_sd": "lognormal(0, 50)"},
            },
        },
    )
    design = build_design(twin, "y", read_panel(frame, twin))
    drawn = DeterministicEngine().sample(Component((design,)), Settings(5000, 0, 4, 2), _quiet)
    exact = stats.linregress(x, y)
    slopes = drawn.posterior["y.causes"].ravel()
    standard = (slopes - exact.slope) / exact.stderr
    # Kolmogorov's distance of about 19,000 effective draws is beyond 0.0142 once in a thousand.
    assert stats.kstest(standard, stats.t(148).cdf).statistic < 0.0142
    squares = exact.stderr**2 * ((x - x.mean()) ** 2).sum() * 148
    scaled = squares / drawn.posterior["y.residual_sd"].ravel() ** 2
    assert stats.kstest(scaled, stats.chi2(148).cdf).statistic < 0.0142


@pytest.fixture(scope="module")
def counts() -> Design:
    return small_design("poisson")


@pytest.fixture(scope="module")
def drawn(counts: Design) -> Draws:
    return DeterministicEngine().sample(Component((counts,)), Settings(500, 0, 4, 1), _quiet)


def test_every_parameter_has_its_shape(counts: Design, drawn: Draws) -> None:
    listed = parameters(counts.equation, counts.reference, counts.group_names, counts.period_names)
    assert {one.name for one in listed} == set(drawn.posterior)
    for one in listed:
        assert drawn.posterior[one.name].shape == (4, 500, *one.shape)


def test_the_same_seed_gives_the_same_draws(counts: Design, drawn: Draws) -> None:
    again = DeterministicEngine().sample(Component((counts,)), Settings(500, 0, 4, 1), _quiet)
    for name, values in drawn.posterior.items():
        np.testing.assert_array_equal(values, again.posterior[name])


def test_what_it_does_not_know_is_refused_with_the_reason() -> None:
    ends = mechanism(
        table(6, lambda rng, eta: rng.choice([0.0, 0.4, 1.0], eta.size)),
        family="beta",
        ends=[0, 1],
        causes={"staffing": {}},
    )
    assert refusal(ends) == "two ends share one choice"
    bounded = small_design("normal", causes={"staffing": {"prior": "half_normal(1)"}})
    assert "half_normal(1)" in str(refusal(bounded))
    engine = DeterministicEngine()
    pair = Component((bounded, bounded))
    assert engine.refusal(pair) == "its mechanisms are fitted together"
    assert not engine.accepts(pair)


def test_a_share_with_an_end_falls_into_two_problems() -> None:
    design = mechanism(
        table(7, lambda rng, eta: np.where(rng.random(eta.size) < 0.2, 1.0, 0.4)),
        family="beta",
        ends=[1],
        causes={"staffing": {}},
    )
    inner, end = problems_of(design)
    assert (inner.gathered.rows.y < 0).all()
    assert end.size == 1
    assert end.gathered.rows.y.sum() == (design.y == 1).sum()


@pytest.fixture(scope="module")
def small(small_table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[Fit, Path]:
    folder = tmp_path_factory.mktemp("cache")
    twin = twin_with()
    panel = read_panel(small_table, twin)
    return fit(twin, panel, draws=250, chains=4, seed=1, cache=folder, progress=False), folder


def test_a_fit_without_chains_says_so(small: tuple[Fit, Path]) -> None:
    one, _ = small
    assert {engine for engine, _ in one.engines.values()} == {"deterministic"}
    diagnosis = one.diagnose()
    assert diagnosis.converged
    assert "certified without chains" in diagnosis.sentence
    assert (diagnosis.table["verdict"] == "certified").all()
    assert diagnosis.table["rhat"].isna().all()
    smallest = min(c.importance_ess for c in one.certificates.values())
    assert diagnosis.worst["ess_bulk"].min() <= smallest
    assert "k-hat" in str(diagnosis)
    assert "sample_stats" not in one.tree


def test_the_certificate_is_kept_on_disk_and_in_the_cache(
    small: tuple[Fit, Path], tmp_path: Path
) -> None:
    one, folder = small
    again = load_fit(one.save(tmp_path / "fit"))
    assert again.certificates == one.certificates
    assert again.diagnose().sentence == one.diagnose().sentence
    cached = fit(one.twin, one.panel, draws=250, chains=4, seed=1, cache=folder, progress=False)
    assert cached.certificates == one.certificates
    for name in one.tree["posterior"].data_vars:
        np.testing.assert_array_equal(
            one.tree["posterior"][name].values, cached.tree["posterior"][name].values
        )
