"""Claims about the verdict of identification on a twin's graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotwin.errors import SpecificationError
from dotwin.graph import CausalGraph, licence
from dotwin.graph.separation import Node
from dotwin.spec.twin import Twin
from tests.graph.test_causal_graph import GRAPHS


def cross_section(edges: str, hidden: str) -> Twin:
    """Build a twin of one period from arrows and hidden pairs written as letters."""
    names = sorted(set((edges + hidden).replace(" ", "")))
    return Twin(
        twin="published-graph",
        panel={"unit": "unit"},
        indicators={
            name: {
                "domain": "quality",
                "family": "normal",
                "causes": {edge[0]: {} for edge in edges.split() if edge[1] == name},
            }
            for name in names
        },
        hidden_causes={
            f"hidden_{pair.lower()}": {"affects": tuple(pair), "level": "unit"}
            for pair in hidden.split()
        },
    )


@pytest.mark.parametrize("name", GRAPHS)
def test_published_graphs_are_licensed_exactly_where_back_door_identifies(name: str) -> None:
    # Shpitser & Pearl (2008), JMLR 9, 1941-1979; the front door alone is identified by a strategy
    # that this licence does not know.
    edges, hidden, identified, back_door = GRAPHS[name]
    verdict = licence(cross_section(edges, hidden).graph, "X", "Y")
    assert verdict.licensed == (back_door is not None)
    assert identified or not verdict.licensed
    assert (verdict.open_path is None) == verdict.licensed


def test_staffing_is_not_licensed_where_hidden_case_mix_confounds_it(nursing_homes: Twin) -> None:
    verdict = licence(nursing_homes.graph, "rn_hprd", "citations")
    assert verdict.status == "not licensed"
    assert [str(path) for path in verdict.open_paths] == [
        "rn_hprd ← management quality → citations",
        "rn_hprd ← resident case mix → citations",
    ]
    assert verdict.open_path == verdict.open_paths[0]
    assert "RN hours per resident day and health citations" in verdict.reason
    assert "rn_hprd ← resident case mix → citations" in verdict.reason


def test_a_hidden_cause_reaches_through_a_mediator(nursing_homes: Twin) -> None:
    verdict = licence(nursing_homes.graph, "turnover", "rehospitalizations")
    assert str(verdict.open_path) == (
        "turnover ← management quality → rn_hprd → rehospitalizations"
    )


def test_a_recorded_indicator_blocks_the_hidden_cause_behind_it(nursing_homes: Twin) -> None:
    # Management quality reaches rehospitalisations only through turnover, which is recorded.
    verdict = licence(nursing_homes.graph, "rn_hprd", "rehospitalizations")
    assert verdict.licensed
    assert "turnover" in verdict.conditioned_on
    assert verdict.open_path is None


def test_a_shift_that_reads_a_confounded_natural_value_is_not_licensed(nursing_homes: Twin) -> None:
    verdict = licence(nursing_homes.graph, "rn_hprd", "rehospitalizations", natural={"rn_hprd"})
    assert not verdict.licensed


def test_feedback_lags_effects_of_groups_and_the_past_are_licensed(
    workforce_pressure: Twin,
) -> None:
    for outcome in ("missed_visits", "hospitalizations", "backlog", "overtime"):
        for natural in ((), ("vacancy_rate",)):
            assert licence(workforce_pressure.graph, "vacancy_rate", outcome, natural=natural)
            verdict = licence(workforce_pressure.graph, "vacancy_rate", outcome, natural=natural)
            assert verdict.licensed, verdict


def test_without_a_directed_path_the_effect_is_licensed_as_exactly_zero(
    nursing_homes: Twin,
) -> None:
    verdict = licence(nursing_homes.graph, "citations", "turnover")
    assert verdict.licensed
    assert "exactly zero" in verdict.reason


def given_twin(**why: Any) -> Twin:
    return Twin(
        twin="given",
        panel={"unit": "home"},
        indicators={
            "bonus": {"domain": "workforce", **why},
            "falls": {"domain": "quality", "family": "poisson", "causes": {"bonus": {}}},
        },
    )


def test_a_given_is_identified_only_with_a_declared_reason_for_varying() -> None:
    verdict = licence(given_twin().graph, "bonus", "falls")
    assert not verdict.licensed
    assert verdict.reason == (
        "The effect of bonus is not identified: why it varies is not declared."
    )
    by_lot = given_twin(assigned={"how": "randomised", "column": "arm"})
    by_rule = given_twin(assigned={"how": "rule", "column": "arm"})
    assert licence(by_lot.graph, "bonus", "falls").licensed
    assert not licence(by_rule.graph, "bonus", "falls").licensed
    assert licence(given_twin(unconfounded="a lottery").graph, "bonus", "falls").licensed


def test_what_the_intervention_sets_is_licensed(workforce_pressure: Twin) -> None:
    assert licence(workforce_pressure.graph, "referrals", "referrals").licensed


def test_unknown_names_and_empty_interventions_are_refused(workforce_pressure: Twin) -> None:
    graph = workforce_pressure.graph
    with pytest.raises(SpecificationError, match="Did you mean 'vacancy_rate'"):
        licence(graph, "vacancy_rat", "missed_visits")
    with pytest.raises(SpecificationError, match="at least one"):
        licence(graph, (), "missed_visits")
    with pytest.raises(SpecificationError, match="not intervened on"):
        licence(graph, "vacancy_rate", "missed_visits", natural={"overtime"})


# ── the verdict against algebra ────────────────────────────────────────────────────────────────


def random_twin(rng: np.random.Generator, accounts: bool = False) -> Twin:
    """Draw a small panel twin with lags, feedback, group effects and hidden causes.

    With ``accounts``, one indicator is an exact sum of others and, often, of its own past.
    """
    names = ["a", "b", "c", "d"][: rng.integers(3, 5)]
    indicators: dict[str, Any] = {}
    for i, name in enumerate(names):
        causes = {other: {} for other in names[:i] if rng.random() < 0.45}
        causes |= {f"{other}[-1]": {} for other in names if rng.random() < 0.25}
        pooling = [level for level in ("unit", "period") if rng.random() < 0.5]
        indicators[name] = {
            "domain": "quality",
            "family": "normal",
            "causes": causes,
            "pooling": pooling,
        }
    noisy = list(names)
    if accounts:
        noisy.remove(exact := str(rng.choice(names[1:])))
        parts = [n for n in names[: names.index(exact)] if rng.random() < 0.7] or names[:1]
        parts += [f"{n}[-1]" for n in names if rng.random() < 0.4]
        indicators[exact] = {"domain": "quality", "equals": " + ".join(parts), "start": 0}
        if not any("[" in part and part.startswith(exact) for part in parts):
            del indicators[exact]["start"]
    hidden = {
        f"h{k}": {
            "affects": tuple(str(n) for n in rng.choice(noisy, 2, replace=False)),
            "level": str(rng.choice(["unit", "period"])),
        }
        for k in range(rng.integers(0, 3))
    }
    return Twin(
        twin="random",
        panel={"unit": "unit", "period": {"column": "month", "frequency": "month"}},
        indicators=indicators,
        hidden_causes=hidden,
    )


def linear_system(
    graph: CausalGraph, rng: np.random.Generator
) -> tuple[list[Node], np.ndarray, np.ndarray]:
    """Draw a linear system on a graph: its nodes, coefficients [effect, cause], covariance."""
    nodes = list(graph.topological_order())
    place = {node: i for i, node in enumerate(nodes)}
    weights = np.zeros((len(nodes), len(nodes)))
    for cause, effect in graph.edges:
        weights[place[effect], place[cause]] = rng.uniform(0.3, 0.9) * rng.choice([-1, 1])
    spread = np.linalg.inv(np.eye(len(nodes)) - weights)
    variances = rng.uniform(0.5, 1.5, size=len(nodes))
    variances[[place[node] for node in graph.deterministic]] = 0.0
    return nodes, weights, (spread * variances) @ spread.T


def gap_of_simulation(twin: Twin, treatment: str, outcome: str, pulse: bool, seed: int) -> float:
    """Return how far simulated effects, mechanism by mechanism, are from the true ones.

    Each mechanism's coefficients are its population regression on its own observed causes and
    group effects; hidden causes and the past are left out, as a fit would.
    """
    rng = np.random.default_rng(seed)
    graph, first = twin.graph, twin.graph.max_lag
    last = first + 3 * (len(twin.indicators) if first else 1)
    unrolled = graph.unroll(last + 1)
    nodes, weights, covariance = linear_system(unrolled, rng)
    place = {node: i for i, node in enumerate(nodes)}
    groups = {effect.name for effect in graph.group_effects}
    true, simulated = np.zeros(len(nodes)), np.zeros(len(nodes))
    for node in nodes:
        i = place[node]
        if node == (treatment, first) or (
            not pulse and isinstance(node, tuple) and node[0] == treatment and node[1] > first
        ):
            true[i] = simulated[i] = 1.0
            continue
        if node not in unrolled.nodes or node[1] < first:
            continue
        true[i] = weights[i] @ true
        read = [
            place[n]
            for n in unrolled.parents(node)
            if n in unrolled.nodes or (n if isinstance(n, str) else n[0]) in groups
        ]
        if node in unrolled.deterministic:
            simulated[i] = weights[i] @ simulated
            continue
        known = covariance[np.ix_(read, read)]
        slopes = np.linalg.lstsq(known, covariance[read, i], rcond=1e-10)[0]
        simulated[i] = slopes @ simulated[read]
    chosen = [place[outcome, t] for t in range(first, last + 1)]
    return float(np.max(np.abs(true - simulated)[chosen]))


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_licensed_effect_is_simulated_without_bias_in_every_linear_system(seed: int) -> None:
    rng = np.random.default_rng(seed)
    twin = random_twin(rng)
    treatment, outcome = (str(n) for n in rng.choice(list(twin.indicators), 2, replace=False))
    if licence(twin.graph, treatment, outcome).licensed:
        assert gap_of_simulation(twin, treatment, outcome, False, seed) < 1e-8
    if licence(twin.graph, treatment, outcome, natural={treatment}).licensed:
        assert gap_of_simulation(twin, treatment, outcome, True, seed) < 1e-8


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_exact_indicators_never_license_a_biased_effect(seed: int) -> None:
    rng = np.random.default_rng(seed)
    twin = random_twin(rng, accounts=True)
    noisy = [name for name, one in twin.indicators.items() if one.equals is None]
    treatment = str(rng.choice(noisy))
    outcome = str(rng.choice([name for name in twin.indicators if name != treatment]))
    if licence(twin.graph, treatment, outcome).licensed:
        assert gap_of_simulation(twin, treatment, outcome, False, seed) < 1e-7


def test_most_refusals_would_have_been_biased_and_neither_verdict_is_rare() -> None:
    rng = np.random.default_rng(1)
    biased = refused = licensed = 0
    for seed in range(120):
        twin = random_twin(rng)
        treatment, outcome = (str(n) for n in rng.choice(list(twin.indicators), 2, replace=False))
        if not twin.graph.reaches(treatment, outcome):
            continue
        if licence(twin.graph, treatment, outcome).licensed:
            licensed += 1
        else:
            refused += 1
            biased += gap_of_simulation(twin, treatment, outcome, False, seed) > 1e-6
    assert licensed > 15
    assert refused > 15
    assert biased / refused > 0.8
