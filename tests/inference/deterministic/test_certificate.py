"""The certificate says no where the draws would be wrong, also where k-hat alone says yes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import PchipInterpolator

from dotwin.errors import CertificateError, ConvergenceWarning
from dotwin.inference.certificate import Certificate, worst_of
from dotwin.inference.deterministic.problem import Problem
from dotwin.inference.deterministic.profile import Axis, Transform
from dotwin.inference.deterministic.proposal import build_proposal
from dotwin.inference.deterministic.search import find_mode, starts_of
from dotwin.inference.deterministic.solve import marginal_of, solve, weigh
from dotwin.inference.deterministic.split import problems_of
from dotwin.inference.fit import Fit
from dotwin.inference.fitting import fit
from dotwin.inference.storage import load_fit
from dotwin.mechanisms.design import build_design
from dotwin.panel import Panel, read_panel
from dotwin.spec.twin import Twin


def panel_of(frame: pd.DataFrame, **indicator: Any) -> Panel:
    """A panel of providers by quarter with an outcome ``y`` and perhaps a given ``x``."""
    given = {"x": {"domain": "context"}} if "x" in frame else {}
    twin = Twin(
        twin="case",
        panel={
            "unit": "provider",
            "period": {"column": "quarter", "frequency": "quarter"},
        },
        indicators={**given, "y": {"domain": "quality", **indicator}},
    )
    return read_panel(frame, twin)


def problem_of(panel: Panel) -> Problem:
    return problems_of(build_design(panel.twin, "y", panel))[0]


def frame_of(providers: int, quarters: int) -> tuple[pd.DataFrame, np.ndarray]:
    provider = np.repeat(np.arange(providers), quarters)
    quarter = np.tile(np.arange(quarters), providers)
    names = [f"{2020 + q // 4}Q{q % 4 + 1}" for q in quarter]
    frame = pd.DataFrame({"provider": [f"p{p:03d}" for p in provider], "quarter": names})
    return frame, provider


@pytest.fixture(scope="module")
def far_apart() -> Panel:
    """Yes or no of providers that differ very much, three quarters each."""
    rng = np.random.default_rng(1)
    frame, provider = frame_of(100, 3)
    eta = -0.5 + 2.7 * rng.normal(size=100)[provider]
    frame["y"] = (rng.random(provider.size) < 1 / (1 + np.exp(-eta))).astype(int)
    return panel_of(
        frame,
        family="bernoulli",
        pooling=["provider"],
        priors={"provider": "half_normal(3)"},
    )


@pytest.fixture(scope="module")
def two_modes() -> Panel:
    """Counts that outliers scatter, under a prior that expects no scatter but for its tail."""
    rng = np.random.default_rng(2)
    frame, provider = frame_of(12, 4)
    counts = rng.poisson(4.0, provider.size)
    counts[[3, 17, 30]] = 14
    frame["y"] = counts
    return panel_of(
        frame, family="negative_binomial", priors={"dispersion": "half_student_t(1, 0.00003)"}
    )


@pytest.fixture(scope="module")
def separated() -> Panel:
    """A cause that divides yes from no completely, under a prior with a tail like Cauchy's."""
    frame, provider = frame_of(20, 2)
    frame["x"] = np.where(provider < 10, 0.0, 1.0)
    frame["y"] = frame["x"].astype(int)
    return panel_of(frame, family="bernoulli", causes={"x": {"prior": "student_t(1, 0, 2.5)"}})


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
def fallen_back(separated: Panel) -> Fit:
    with warnings.catch_warnings():
        # A chain in such a tail may not converge either, and says so.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(separated.twin, separated, draws=500, tune=500, seed=1, progress=False)


def test_what_is_not_certified_is_sampled_and_the_reason_is_kept(fallen_back: Fit) -> None:
    assert fallen_back.engines["y"][0] == "nuts"
    assert not fallen_back.certificates
    assert "the proposal fits badly" in fallen_back.declined["y"]
    row = fallen_back.diagnose().table.iloc[0]
    assert row["rhat"] > 0.9
    assert row["how"].startswith("nuts, because without sampling: the proposal fits badly")
    assert row["how"] in str(fallen_back.diagnose())


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
