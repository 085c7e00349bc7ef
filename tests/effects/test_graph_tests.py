"""A right graph is seldom contradicted; a missing arrow is seen and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import dotwin as dw
from dotwin.effects import GraphTest
from dotwin.effects.doubts.graph_tests import bootstrap_correlations, holm
from dotwin.effects.doubts.innovations import innovations
from dotwin.effects.doubts.permuted_graphs import permuted_graphs
from dotwin.errors import DataError
from dotwin.inference import Fit
from dotwin.panel import Panel
from dotwin.spec import Twin
from tests.worlds.conftest import MONTHS, make_panel

HOMES, PERIODS = 40, 12


def chain(direct: bool = False, hidden: bool = False) -> Twin:
    """turnover → staff → falls, with or without an arrow from turnover to falls."""
    falls: dict[str, Any] = {"staff": {"scale": "natural", "between": "same"}}
    if direct:
        falls["turnover"] = {"scale": "natural", "between": "same"}
    return Twin(
        twin="chain",
        panel={"unit": "home", "period": MONTHS},
        indicators={
            "turnover": {
                "domain": "workforce", "family": "normal", "plausible": [-3, 3],
                "pooling": ["home"],
            },
            "staff": {
                "domain": "workforce", "family": "normal", "plausible": [-3, 3],
                "pooling": ["home"],
                "causes": {"turnover": {"scale": "natural", "between": "same"}},
            },
            "falls": {"domain": "quality", "family": "poisson", "causes": falls},
        },
        hidden_causes={"will": {"affects": ["turnover", "falls"], "level": "home"}}
        if hidden
        else {},
    )  # fmt: skip


def values(direct: float, effects: np.ndarray) -> dict[str, Any]:
    return {
        "turnover.intercept": 0.0, "turnover.residual_sd": 1.0, "turnover.sd_home": 0.5,
        "turnover.home": effects[0], "staff.intercept": 0.0, "staff.causes": [-0.4],
        "staff.residual_sd": 1.0, "staff.sd_home": 0.5, "staff.home": effects[1],
        "falls.intercept": 0.7, "falls.causes": [-0.3, direct],
    }  # fmt: skip


def made(seed: int, direct: float = 0.0) -> tuple[Twin, Panel, dict[str, Any]]:
    """Draw a panel from the chain by hand, and the parameters that made it."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(0, 0.5, (2, HOMES))
    turnover = effects[0][:, None] + rng.normal(size=(HOMES, PERIODS))
    staff = effects[1][:, None] - 0.4 * turnover + rng.normal(size=(HOMES, PERIODS))
    falls = rng.poisson(np.exp(0.7 - 0.3 * staff + direct * turnover))
    twin = chain()
    panel = make_panel(twin, {"turnover": turnover, "staff": staff, "falls": falls}, HOMES, PERIODS)
    return twin, panel, {**values(0.0, effects), "falls.causes": [-0.3]}


def known(seed: int, direct: float = 0.0) -> Fit:
    """A fit with the parameters that made its panel, but for the missing arrow."""
    twin, panel, truth = made(seed, direct)
    probe = Fit.from_parameters(twin, panel, truth)
    for child in ("staff", "falls"):
        # Columns are centred: the intercept is the predictor at the centres.
        design = probe.designs[child]
        shift = sum(
            coefficient * design.reference.factors[str(term.factors[0])][0]
            for term, coefficient in zip(
                design.equation.main.terms, truth[f"{child}.causes"], strict=True
            )
        )
        truth[f"{child}.intercept"] += shift
    return Fit.from_parameters(twin, panel, truth)


# ── what a graph implies ─────────────────────────────────────────────────────────────────────────


def test_every_arrow_that_is_not_drawn_is_an_independence() -> None:
    found = {one.pair for one in chain().graph.implications()}
    assert found == {
        "turnover ⟂ turnover[-1]", "turnover ⟂ staff[-1]", "turnover ⟂ falls[-1]",
        "staff ⟂ turnover[-1]", "staff ⟂ staff[-1]", "staff ⟂ falls[-1]",
        "falls ⟂ turnover", "falls ⟂ turnover[-1]", "falls ⟂ staff[-1]", "falls ⟂ falls[-1]",
    }  # fmt: skip


def test_what_a_hidden_cause_joins_is_not_implied() -> None:
    found = {one.pair for one in chain(hidden=True).graph.implications()}
    assert "falls ⟂ turnover" not in found
    # falls shares the hidden cause with the past of turnover and of itself.
    assert not any(pair.startswith("falls") and "turnover" in pair for pair in found)
    assert "staff ⟂ falls[-1]" in found


def test_every_implication_is_a_separation_of_the_unrolled_graph() -> None:
    graph = dw.read_twin("workforce_pressure").graph
    pairs = graph.implications()
    assert len(pairs) > 50
    drawn = {(a.cause, a.effect, a.lag) for a in graph.arrows}
    assert not drawn & {(one.cause, one.effect, one.lag) for one in pairs}
    # Independently of the search: networkx on the same arrows, with what is given.
    import networkx as nx

    now = 4
    unrolled = graph.unroll(now + 1)
    plain = nx.DiGraph([(a, b) for a, b in unrolled.edges])
    for one in pairs[::9]:
        given = {(name, now - lag) for name, lag in one.given} | {
            node
            for name in one.group_effects
            for node in (name, (name, now))
            if node in plain and plain.has_edge(node, (one.effect, now))
        }
        assert nx.is_d_separator(plain, {(one.effect, now)}, {(one.cause, now - one.lag)}, given)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


def test_innovations_of_a_right_model_are_standard_normal_and_unrelated() -> None:
    one = known(1)
    left = {name: innovations(one, name, seed=1, draws=1).mean for name in one.twin.stochastic}
    for scores in left.values():
        assert stats.kstest(scores.ravel(), "norm").pvalue > 1e-3
    matrix = np.corrcoef([scores.ravel() for scores in left.values()])
    assert np.abs(matrix[np.triu_indices(3, 1)]).max() < 4 / np.sqrt(HOMES * PERIODS)


def test_residuals_of_a_normal_mechanism_are_its_standardised_errors() -> None:
    one = known(2)
    turnover = one.panel.values("turnover")
    effects = one.posterior["posterior"]["turnover.home"].values[0, 0]
    np.testing.assert_allclose(
        innovations(one, "turnover", seed=1, draws=1).mean, turnover - effects[:, None], atol=1e-8
    )


def test_estimating_unit_effects_takes_away_what_is_given_back() -> None:
    # Normal scores less the posterior mean of the unit's effect have covariance -V, V being the
    # posterior variance of the effect: n / (n + 1) residuals of a unit share it.
    rng = np.random.default_rng(4)
    homes, months, draws = 100, 5, 400
    twin = Twin(
        twin="one",
        panel={"unit": "home", "period": MONTHS},
        indicators={"x": {"domain": "quality", "family": "normal", "pooling": ["home"]}},
    )
    effect, noise = rng.normal(size=(homes, 1)), rng.normal(size=(homes, months))
    panel = make_panel(twin, {"x": effect + noise}, homes, months)
    variance = 1.0 / (1.0 + months)
    centre = months * variance * (effect + noise).mean(axis=1)
    posterior = centre + np.sqrt(variance) * rng.normal(size=(draws, homes))
    one = Fit.from_parameters(
        twin,
        panel,
        {
            "x.intercept": np.zeros(draws), "x.residual_sd": np.ones(draws),
            "x.sd_home": np.ones(draws), "x.home": posterior,
        },
    )  # fmt: skip
    found = innovations(one, "x", seed=1, draws=draws, longest=1)
    np.testing.assert_allclose(np.nanmean(found.shared[1]), variance, rtol=0.1)
    products = found.mean[:, 1:] * found.mean[:, :-1]
    error = products.mean(axis=1).std() / np.sqrt(homes)
    assert products.mean() == pytest.approx(-variance, abs=4 * error)
    assert (products + found.shared[1][:, 1:]).mean() == pytest.approx(0.0, abs=4 * error)


def test_holm_is_his_step_down_rule() -> None:
    # Holm (1979): sorted p times (m, m - 1, ...), never falling, at most 1.
    p = np.array([0.2, 0.001, 0.03, 0.6])
    np.testing.assert_allclose(holm(p), [0.4, 0.004, 0.09, 0.6])


def test_resampling_units_gives_the_error_of_independent_rows() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 2000))
    value, error, (low, high) = bootstrap_correlations(x, y, np.arange(2000), rng)
    assert error == pytest.approx(1 / np.sqrt(2000), rel=0.15)
    assert low < value < high
    # Copies of a row add nothing.
    again = bootstrap_correlations(
        np.repeat(x, 5), np.repeat(y, 5), np.repeat(np.arange(2000), 5), rng
    )
    assert again[0] == pytest.approx(value)
    assert again[1] == pytest.approx(error, rel=0.15)


# ── verdicts ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def right() -> list[GraphTest]:
    return [known(seed).test_graph(seed=seed, permutations=0) for seed in range(100, 124)]


def test_a_right_graph_is_seldom_contradicted(right: list[GraphTest]) -> None:
    alarms = sum(not one.passed for one in right)
    # Nominally 5 % of 24; six or more have a probability of 0.001.
    assert alarms <= 5
    p = np.concatenate([one.table["p"].dropna() for one in right])
    assert (p < 0.05).mean() < 0.09


def test_power_is_what_it_says() -> None:
    seen = [known(seed, direct=0.25).test_graph(seed=seed, permutations=0) for seed in range(8)]
    rows = [
        one.table.set_index(["effect", "cause", "lag"]).loc["falls", "turnover", 0] for one in seen
    ]
    strong = [row for row in rows if abs(row["correlation"]) > 1.3 * row["power_at"]]
    assert len(strong) >= 4
    assert all(row["verdict"] == "contradicted" for row in strong)


def test_a_missing_arrow_is_seen_and_suggested_as_no_more_than_that() -> None:
    test = known(3, direct=0.4).test_graph(seed=1)
    assert not test.passed
    first = test.suggestions.iloc[0]
    assert (first["effect"], first["cause"], first["lag"]) == ("falls", "turnover", 0)
    assert first["correlation"] > 0
    assert "or a cause that no column records" in first["suggestion"]
    assert repr(test).startswith("Contradicted: ")


def test_a_graph_that_holds_says_what_it_would_have_seen(right: list[GraphTest]) -> None:
    one = next(test for test in right if test.passed)
    assert "Not contradicted" in repr(one)
    assert "would have seen a partial correlation of" in repr(one)
    assert one.suggestions.empty
    assert len(one.plot().axes) == 1


def test_the_graph_fails_less_than_graphs_with_exchanged_places() -> None:
    twin = dw.read_twin("workforce_pressure")
    panel = twin.simulate_panel(units={"region": 3, "provider": 40}, periods=24, seed=1)
    one = Fit.from_parameters(twin, panel, panel.truth)
    permuted = permuted_graphs(one, np.random.default_rng(1), 60)
    assert permuted is not None
    assert permuted.others.size == 60
    assert permuted.violations < 0.12
    assert permuted.p <= 2 / 61
    assert "of 60 graphs" in permuted.sentence


def test_a_graph_of_two_mechanisms_has_no_places_to_exchange() -> None:
    twin = Twin(
        twin="two",
        panel={"unit": "home", "period": MONTHS},
        indicators={
            "a": {"domain": "quality", "family": "poisson"},
            "b": {"domain": "quality", "family": "poisson"},
        },
    )
    panel = make_panel(twin, {"a": 1, "b": 2}, 12, 6)
    one = Fit.from_parameters(twin, panel, {"a.intercept": 0.0, "b.intercept": 0.0})
    assert permuted_graphs(one, np.random.default_rng(1), 10) is None


def test_the_same_seed_tests_the_same() -> None:
    one = known(6)
    pd.testing.assert_frame_equal(one.test_graph(seed=3).table, one.test_graph(seed=3).table)


def test_a_graph_changed_after_seeing_the_data_is_exploratory() -> None:
    first = known(3, direct=0.4)
    changed = chain(direct=True)
    rng = np.random.default_rng(0)
    truth = values(0.4, rng.normal(0, 0.5, (2, HOMES)))

    def refitted(prefix: str) -> Fit:
        panel = first.panel.data.assign_coords(unit=[f"{prefix}{i:02d}" for i in range(HOMES)])
        return Fit.from_parameters(changed, Panel.from_dataset(panel, changed), truth)

    same = refitted("u").test_graph(seed=1, original=first, permutations=0)
    assert same.exploratory
    assert same.rival == first.twin
    assert "Exploratory" in repr(same)
    other = refitted("v").test_graph(seed=1, original=first, permutations=0)
    assert not other.exploratory
    assert "re-tested here on 40 that had no part" in repr(other)
    unchanged = first.test_graph(seed=1, original=first, permutations=0)
    assert not unchanged.exploratory


def test_few_units_cannot_be_resampled() -> None:
    twin = chain()
    panel = make_panel(twin, {"turnover": 0.1, "staff": 0.2, "falls": 1}, 4, 6)
    one = Fit.from_parameters(
        twin, panel, {**values(0.0, np.zeros((2, 4))), "falls.causes": [-0.3]}
    )
    with pytest.raises(DataError, match="4 units"):
        one.test_graph(seed=1)
