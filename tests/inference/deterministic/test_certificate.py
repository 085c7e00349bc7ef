"""The certificate says no where the draws would be wrong, also where k-hat alone says yes."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from dotwin.errors import CertificateError, ConvergenceWarning
from dotwin.inference.certificate import Certificate, worst_of
from dotwin.inference.deterministic import DeterministicEngine
from dotwin.inference.deterministic.profile import Axis, Transform
from dotwin.inference.deterministic.proposal import build_proposal
from dotwin.inference.deterministic.search import find_mode, starts_of
from dotwin.inference.deterministic.solve import marginal_of, solve, weigh
from dotwin.inference.engine import Component, Declined, Settings
from dotwin.inference.fit import Fit
from dotwin.inference.fitting import fit
from dotwin.inference.nuts import NutsEngine
from dotwin.inference.nuts.layout import build_layout
from dotwin.inference.nuts.warm import scales_of, unconstrained
from dotwin.inference.storage import load_fit
from dotwin.mechanisms.design import build_design
from dotwin.panel import Panel
from tests.inference.deterministic import hard
from tests.inference.deterministic.hard import problem_of
from tests.inference.deterministic.small import small_design


@pytest.fixture(scope="module")
def far_apart() -> Panel:
    return hard.far_apart()


@pytest.fixture(scope="module")
def two_modes() -> Panel:
    return hard.two_modes()


@pytest.fixture(scope="module")
def separated() -> Panel:
    return hard.separated()


def test_too_few_nodes_are_seen_though_the_weights_look_well(far_apart: Panel) -> None:
    problem = problem_of(far_apart)
    coarse = solve(problem, 2000, np.random.default_rng(1), nodes=1, most_nodes=1).certificate
    assert coarse.k_hat < 0.5
    assert coarse.efficiency > 0.3
    (said,) = coarse.failures
    assert said.startswith("1 nodes do not integrate")
    finer = solve(problem, 2000, np.random.default_rng(1)).certificate
    assert finer.holds
    assert finer.nodes >= 7


def test_a_second_mode_is_seen_though_the_weights_look_well(two_modes: Panel) -> None:
    problem = problem_of(two_modes)
    marginal = marginal_of(problem)
    grid = np.arange(-16.0, 1.5, 0.05)
    heights = np.array([marginal.peak(np.array([h]), None).log_density for h in grid])
    density = np.exp(heights - heights.max())
    between = (grid > -5.0) & (grid < -1.5)
    valley = grid[between][density[between].argmin()]
    beyond = density[grid > valley].sum() / density.sum()
    assert 0.1 < beyond < 0.5

    one_start = find_mode(marginal, starts_of(marginal)[:1])
    assert one_start.found
    marginal.prepare(one_start.peak)
    taus = np.array([-1.0, 0.0, 1.0])
    curve = PchipInterpolator(taus, one_start.peak.h[0] + taus)
    near = Transform((Axis(curve, curve.derivative(), 1.0),))
    proposal = build_proposal(marginal, one_start, near)
    assert proposal is not None
    sample = proposal.draw(2000, np.random.default_rng(1))
    weights, k_hat = weigh(sample.log_weight)
    assert k_hat < 0.7
    assert weights[sample.h[:, 0] > valley].sum() < 0.02

    found = solve(problem, 2000, np.random.default_rng(1)).certificate
    assert not found.starts_agree
    assert "different modes" in found.failures[0]


def test_a_tail_that_the_proposal_lacks_is_seen(separated: Panel) -> None:
    found = solve(problem_of(separated), 2000, np.random.default_rng(1)).certificate
    assert found.starts_agree
    assert found.mode_found
    assert not found.holds
    assert "the proposal fits badly" in found.failures[0]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _fit(panel: Panel, cache: Path) -> Fit:
    with warnings.catch_warnings():
        # A chain in such a tail may not converge either, and says so.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(panel.twin, panel, draws=500, tune=500, seed=1, cache=cache, progress=False)


@pytest.fixture(scope="module")
def fallen_back(separated: Panel, cache: Path) -> Fit:
    return _fit(separated, cache)


def test_what_is_not_certified_is_sampled_and_the_reason_is_kept(fallen_back: Fit) -> None:
    assert fallen_back.engines["y"][0] == "nuts"
    assert not fallen_back.certificates
    assert "the proposal fits badly" in fallen_back.declined["y"]
    row = fallen_back.diagnose().table.iloc[0]
    assert row["rhat"] > 0.9
    assert row["how"].startswith("nuts, because without sampling: the proposal fits badly")
    assert row["how"] in str(fallen_back.diagnose())


def test_a_cached_decline_is_not_tried_again(
    separated: Panel, fallen_back: Fit, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tried(*_: object) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr(DeterministicEngine, "sample", tried)
    monkeypatch.setattr(NutsEngine, "sample", tried)
    again = _fit(separated, cache)
    assert again.engines["y"][0] == "nuts"
    assert again.declined == fallen_back.declined
    np.testing.assert_array_equal(
        again.tree["posterior"]["y.causes"].values, fallen_back.tree["posterior"]["y.causes"].values
    )


def test_chains_begin_where_the_declined_fit_lies() -> None:
    design = small_design("poisson")
    component = Component((design,))
    settings = Settings(300, 300, 4, 1)
    drawn = DeterministicEngine().sample(component, settings, lambda share, words: None)
    near = {name: values[0, :64] for name, values in drawn.posterior.items()}
    layout = build_layout(design)
    scales = scales_of(layout, near)
    assert scales is not None
    points = np.array(
        [unconstrained(layout, {name: v[i] for name, v in near.items()}) for i in range(64)]
    )
    # A unit metric in the scaled coordinates is the diagonal one of these draws.
    assert scales.middle == pytest.approx(points.mean(axis=0))
    assert scales.scale == pytest.approx(points.std(axis=0))
    start = scales.middle + scales.scale * scales.start(3)
    assert (np.abs(start - scales.middle) <= 2.0 * scales.scale + 1e-12).all()
    chains = NutsEngine().sample(replace(component, near=near), settings, lambda share, words: None)
    one, two = (x.posterior["y.intercept"] for x in (drawn, chains))
    # Four Monte Carlo errors of at least 200 effective draws.
    assert abs(one.mean() - two.mean()) < 4.0 * one.std() * np.sqrt(1 / 200 + 1 / 800)
    assert scales_of(layout, None) is None
    assert scales_of(layout, {name: v[:3] for name, v in near.items()}) is None


def test_a_declined_fit_says_where_it_looked(separated: Panel) -> None:
    component = Component((build_design(separated.twin, "y", separated),))
    with pytest.raises(Declined, match="fits badly") as caught:
        DeterministicEngine().sample(component, Settings(500, 0, 4, 1), lambda share, words: None)
    assert caught.value.near is not None
    slopes = caught.value.near["y.causes"]
    assert 16 <= len(slopes) <= 64
    # The cause divides yes from no, so its coefficient is large.
    assert np.median(slopes) > 1.0


def test_the_reason_is_kept_on_disk(fallen_back: Fit, tmp_path: Path) -> None:
    again = load_fit(fallen_back.save(tmp_path / "fit"))
    assert again.declined == fallen_back.declined
    assert str(again.diagnose()) == str(fallen_back.diagnose())


def test_the_engine_by_name_refuses_with_the_mechanism_and_the_reason(separated: Panel) -> None:
    with pytest.raises(CertificateError, match=r"y: .*the proposal fits badly"):
        fit(separated.twin, separated, seed=1, engine="deterministic", progress=False)


def test_parts_are_as_good_as_the_worst_of_them() -> None:
    good = Certificate(0.1, 0.9, 3600.0, 0.001, True, True, 7)
    bad = Certificate(0.8, 0.5, 2000.0, 0.03, True, True, 15)
    both = worst_of([good, bad])
    assert good.holds
    assert not both.holds
    assert both == Certificate(0.8, 0.5, 2000.0, 0.03, True, True, 15)
    assert len(both.failures) == 2
