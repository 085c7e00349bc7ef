"""Claims about sets to adjust for, against search over all subsets and closed-form variances."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotwin.graph import CausalGraph
from dotwin.graph.adjustment import Adjustment
from dotwin.graph.mixed_graph import MixedGraph
from tests.graph.discrete import gap, random_graph, random_system
from tests.graph.test_causal_graph import random_graph as any_graph


def subsets(nodes: list[str]) -> list[frozenset[str]]:
    return [frozenset(c) for k in range(len(nodes) + 1) for c in combinations(nodes, k)]


def valid_sets(graph: CausalGraph, causes: set[str], outcome: str) -> list[frozenset[str]]:
    """Find every set that meets the adjustment criterion, by its definition, with networkx."""
    explicit = graph.to_networkx()
    cut = explicit.copy()
    cut.remove_edges_from([(p, x) for x in causes for p in explicit.predecessors(x)])
    on_path = set()
    for x in causes:
        for path in nx.all_simple_paths(explicit, x, outcome):
            if not set(path[1:]) & causes:
                on_path |= set(path[1:])
    forbidden = on_path.union(*(nx.descendants(explicit, n) for n in on_path)) | causes
    behind = explicit.copy()
    behind.remove_edges_from([(x, n) for x in causes for n in on_path if explicit.has_edge(x, n)])
    allowed = [n for n in graph.nodes if n not in forbidden | {outcome}]
    return [s for s in subsets(allowed) if nx.is_d_separator(behind, causes, {outcome}, set(s))]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_sets_agree_with_search_over_all_subsets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph, cause, outcome = random_graph(rng, 4, 7)
    causes = {cause}
    others = [n for n in graph.nodes if n != outcome and n != cause]
    if rng.random() < 0.4:
        causes.add(str(rng.choice(others)))
    mixed = MixedGraph.of(graph.project())
    question = Adjustment(mixed, mixed.bits(causes), mixed.bits([outcome]))
    if not question.causal:
        return
    valid = valid_sets(graph, causes, outcome)
    assert question.exists == bool(valid)
    found = [frozenset(mixed.named(bits)) for bits in question.minimal()]
    minimal = {one for one in valid if not any(other < one for other in valid)}
    assert set(found) == minimal
    assert len(found) == len(set(found))
    smallest = None if question.smallest is None else mixed.named(question.smallest)
    assert (smallest is None) == (not valid)
    if smallest is not None:
        assert frozenset(smallest) in valid
        assert len(smallest) == min(map(len, valid))
    if question.optimal is not None:
        assert frozenset(mixed.named(question.optimal)) in valid


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_returned_set_blocks_all_back_door_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph, cause, outcome = random_graph(rng, 4, 7)
    found = graph.identify(cause, outcome)
    if found.strategy != "back door":
        assert found.adjustment is None
        assert list(found.adjustment_sets()) == []
        return
    sets = [found.adjustment, found.smallest_adjustment, *found.adjustment_sets()]
    explicit = graph.to_networkx()
    explicit.remove_edges_from(list(explicit.out_edges(cause)))
    for one in sets:
        assert nx.is_d_separator(explicit, {cause}, {outcome}, set(one))
        assert not one & graph.descendants(cause)
    system = random_system(graph, rng)
    table, truth = system.observed(), system.under([cause], [outcome])
    assert gap(found.estimand.evaluate(table), truth) < 1e-12


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_separation_by_reachability_agrees_with_networkx(seed: int) -> None:
    graph, rng = any_graph(seed)
    explicit, nodes = graph.to_networkx(), list(graph.nodes)
    mixed = MixedGraph.of(graph.project())
    for _ in range(15):
        role = rng.integers(0, 4, size=len(nodes))
        a, b, c = ({n for n, r in zip(nodes, role, strict=True) if r == k} for k in range(3))
        if a and b:
            expected = nx.is_d_separator(explicit, a, b, c)
            assert mixed.separated(mixed.bits(a), mixed.bits(b), mixed.bits(c)) == expected


def asymptotic_variance(
    graph: CausalGraph, cause: str, outcome: str, chosen: frozenset[str], rng: np.random.Generator
) -> float:
    """Return the variance of sqrt(n) times the least-squares coefficient, in closed form.

    For jointly normal variables it is var(Y | X, W) / var(X | W).
    """
    explicit = graph.to_networkx()
    order = list(nx.topological_sort(explicit))
    place = {n: i for i, n in enumerate(order)}
    weights = np.zeros((len(order), len(order)))
    for a, b in sorted(explicit.edges, key=str):
        weights[place[b], place[a]] = rng.uniform(0.3, 1.0) * rng.choice([-1, 1])
    spread = np.linalg.inv(np.eye(len(order)) - weights)
    covariance = (spread * rng.uniform(0.5, 2.0, len(order))) @ spread.T

    def left_over(node: str, given: list[str]) -> float:
        i, rest = place[node], [place[n] for n in given]
        known = covariance[np.ix_(rest, rest)]
        return float(
            covariance[i, i] - covariance[i, rest] @ np.linalg.solve(known, covariance[rest, i])
        )

    return left_over(outcome, [cause, *chosen]) / left_over(cause, list(chosen))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_optimal_set_has_the_lowest_asymptotic_variance_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph, cause, outcome = random_graph(rng, 4, 7)
    best = graph.identify(cause, outcome).optimal_adjustment
    if best is None:
        return
    for trial in range(3):
        parameters = [seed, trial]
        variances = {
            one: asymptotic_variance(graph, cause, outcome, one, np.random.default_rng(parameters))
            for one in valid_sets(graph, {cause}, outcome)
        }
        assert variances[best] <= min(variances.values()) * (1 + 1e-9)


def test_where_a_hidden_cause_reaches_the_outcome_no_set_need_be_best() -> None:
    # W shares a hidden cause with Y and is moved by what moves X: leaving it out or adding it with
    # Z may either be better.
    graph = CausalGraph([("Z", "X"), ("Z", "W"), ("X", "Y")], hidden=[("W", "Y")])
    found = graph.identify("X", "Y")
    assert found.optimal_adjustment is None
    assert found.adjustment == found.smallest_adjustment == frozenset()
    better = {
        asymptotic_variance(graph, "X", "Y", frozenset("WZ"), np.random.default_rng(seed))
        < asymptotic_variance(graph, "X", "Y", frozenset(), np.random.default_rng(seed))
        for seed in range(20)
    }
    assert better == {True, False}


def test_minimal_sets_come_one_at_a_time() -> None:
    # Twenty confounders with two places each to block: a million minimal sets.
    edges = [(f"a{i}", "X") for i in range(20)] + [(f"a{i}", f"b{i}") for i in range(20)]
    graph = CausalGraph([*edges, *((f"b{i}", "Y") for i in range(20)), ("X", "Y")])
    sets = graph.identify("X", "Y").adjustment_sets()
    first = [next(sets) for _ in range(50)]
    assert len(set(first)) == 50
    assert all(len(one) == 20 for one in first)


def test_the_optimal_set_prefers_what_is_near_the_outcome() -> None:
    graph = CausalGraph([("a", "X"), ("a", "b"), ("b", "Y"), ("X", "Y"), ("w", "Y")])
    found = graph.identify("X", "Y")
    assert found.adjustment == found.optimal_adjustment == {"b", "w"}
    assert len(found.smallest_adjustment or ()) == 1
    assert set(found.adjustment_sets()) == {frozenset("a"), frozenset("b")}


@pytest.mark.parametrize("given_", ["Z", ""])
def test_conditional_effects_adjust_for_the_rest(given_: str) -> None:
    graph = CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y"), ("V", "X"), ("V", "Y")])
    found = graph.identify("X", "Y", list(given_))
    assert found.adjustment == frozenset("V" if given_ else "VZ")
