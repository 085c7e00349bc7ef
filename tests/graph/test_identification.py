"""Claims about identification on bare graphs: verdicts, formulas, and what would help."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotwin.errors import SpecificationError
from dotwin.graph import CausalGraph
from dotwin.graph.estimand import Estimand
from dotwin.graph.general import Hedge, joint_effect
from dotwin.graph.mixed_graph import MixedGraph
from dotwin.graph.projection import with_latent
from dotwin.graph.separation import Node
from tests.graph.discrete import (
    System,
    gap,
    random_chain,
    random_graph,
    random_latent,
    random_system,
)
from tests.graph.rivals import AGREE, DIFFER, rival_systems
from tests.graph.test_causal_graph import GRAPHS, graph_of

Draw = Callable[[np.random.Generator], tuple[CausalGraph, Node, Node]]

#: Float arithmetic on a few hundred terms.
EXACT = 1e-12

# Graphs of the literature on P(Y | do(X)), in letters as in GRAPHS.
LITERATURE: dict[str, tuple[str, str, str, str, bool]] = {
    # Pearl (2009), Causality, figure 3.8 (e) and its discussion; napkin: Pearl & Mackenzie (2018).
    "napkin": ("WZ ZX XY", "WX WY", "X", "Y", True),
    # Verma & Pearl (1990), UAI 6: the effect depends on a constraint that is no independence.
    "Verma": ("XA AB BY", "AY", "X", "Y", True),
    # Tian & Pearl (2002), AAAI, figure 3.
    "Tian and Pearl": ("XZ ZY WX", "XW WY", "X", "Y", True),
    # Pearl & Robins (1995), UAI 11: two treatments, the second reads what the first affects.
    "sequential plan": ("AL LB BY AY LY", "LY", "AB", "Y", True),
    # Shpitser & Pearl (2008), JMLR 9, figure 5: W1 -> X -> Y1, W2 -> Y2.
    "two districts": ("WX XY VU", "WY WV WU VX", "X", "YU", True),
    "two treatments, bow at the second": ("AB BY", "BY", "AB", "Y", False),
}


def check_numerically(
    graph: CausalGraph, causes: str, outcomes: str, given: str = "", seeds: int = 20
) -> None:
    found = graph.identify(list(causes), list(outcomes), list(given))
    assert found.identified
    for seed in range(seeds):
        system = random_system(graph, np.random.default_rng(seed))
        value = found.estimand.evaluate(system.observed())
        assert gap(value, system.under(list(causes), list(outcomes), list(given))) < EXACT


def test_published_verdicts_and_their_formulas_on_twenty_random_systems(oracles: Path) -> None:
    published = json.loads((oracles / "identification.json").read_text(encoding="utf-8"))
    assert len(published["graphs"]) >= 14
    for name, one in published["graphs"].items():
        graph = CausalGraph(map(tuple, one["edges"]), map(tuple, one["hidden"]))
        assert graph.identify("X", "Y").identified == one["identified"], name
        if one["identified"]:
            check_numerically(graph, "X", "Y")


@pytest.mark.parametrize("name", GRAPHS)
def test_textbook_graphs_have_their_verdict_strategy_and_formula(name: str) -> None:
    edges, hidden, identified, adjustment = GRAPHS[name]
    found = graph_of(edges, hidden).identify("X", "Y")
    assert found.identified == identified
    assert found.adjustment == adjustment
    if identified:
        assert found.strategy == ("front door" if name == "front door" else "back door")
        check_numerically(graph_of(edges, hidden), "X", "Y")
    else:
        assert found.strategy in (None, "instrument")
        assert found.estimand is None


@pytest.mark.parametrize("name", LITERATURE)
def test_graphs_of_the_literature_beyond_adjustment(name: str) -> None:
    edges, hidden, causes, outcomes, identified = LITERATURE[name]
    graph = graph_of(edges, hidden)
    assert graph.identify(list(causes), list(outcomes)).identified == identified
    if identified:
        check_numerically(graph, causes, outcomes)


def test_an_instrument_is_named_and_never_called_identification() -> None:
    found = graph_of("ZX XY", "XY").identify("X", "Y")
    assert (found.identified, found.strategy) == (False, "instrument")
    assert [one.variable for one in found.instruments] == ["Z"]
    assert "bounds the effect" in found.reason
    # Z shares a cause with the outcome that W records: an instrument given W.
    (one,) = graph_of("WZ WY ZX XY", "XY").identify("X", "Y").instruments
    assert (one.variable, one.given) == ("Z", ("W",))


def test_asia_gives_its_published_numbers() -> None:
    # Lauritzen & Spiegelhalter (1988), doi:10.1111/j.2517-6161.1988.tb01721.x: probabilities of
    # 'yes' by the parents' values; 'either' is exact.
    risks: dict[str, tuple[str, list]] = {
        "asia": ("", 0.01),
        "smoke": ("", 0.5),
        "tub": ("asia", [0.01, 0.05]),
        "lung": ("smoke", [0.01, 0.10]),
        "bronc": ("smoke", [0.30, 0.60]),
        "either": ("lung tub", [[0, 1], [1, 1]]),
        "xray": ("either", [0.05, 0.98]),
        "dysp": ("bronc either", [[0.1, 0.7], [0.8, 0.9]]),
    }
    edges = [(p, n) for n, (parents, _) in risks.items() for p in parents.split()]
    graph = CausalGraph(edges, deterministic=["either"])
    parents = {name: tuple(one.split()) for name, (one, _) in risks.items()}
    tables = {n: np.stack([1 - np.array(r), np.array(r)], axis=-1) for n, (_, r) in risks.items()}
    system = System(graph, parents, tables)
    found = graph.identify("smoke", "dysp").estimand.evaluate(system.observed())
    assert found.sel(dysp=1).values == pytest.approx([0.319133, 0.552808], abs=5e-7)
    assert gap(found, system.under(["smoke"], ["dysp"])) < EXACT


@pytest.mark.parametrize("draw", [random_graph, random_chain, random_latent])
@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_is_identified_is_right_by_enumeration(draw: Draw, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph, cause, outcome = draw(rng)
    found = graph.identify(cause, outcome)
    # The general algorithm is checked also where a simpler strategy comes first.
    mixed = MixedGraph.of(graph.project())
    general = joint_effect(mixed, mixed.bits([cause]), mixed.bits([outcome]))
    assert found.identified == (not isinstance(general, Hedge))
    if not isinstance(general, Hedge):
        system = random_system(graph, rng, levels=int(rng.integers(2, 4)))
        truth = system.under([cause], [outcome])
        table = system.observed()
        assert gap(found.estimand.evaluate(table), truth) < EXACT
        assert gap(Estimand("", general, (outcome, cause)).evaluate(table), truth) < EXACT


@pytest.mark.parametrize("draw", [random_graph, random_chain])
@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_joint_and_conditional_effects_are_right_by_enumeration(draw: Draw, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph, _, _ = draw(rng)
    names = [str(n) for n in rng.permutation(graph.nodes)]
    counts = rng.integers([1, 1, 0], [3, 3, 2])
    causes, outcomes, given_ = np.split(names, np.cumsum(counts))[:3]
    if not len(outcomes):
        return
    found = graph.identify(list(causes), list(outcomes), list(given_))
    if found.identified:
        system = random_system(graph, rng)
        truth = system.under(list(causes), list(outcomes), list(given_))
        assert gap(found.estimand.evaluate(system.observed()), truth) < EXACT


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_exact_nodes_never_make_a_formula_wrong(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain, cause, outcome = random_graph(rng, 4, 6)
    joined = {node for pair in plain.hidden for node in pair}
    exact = [n for n in plain.nodes if n not in joined | {cause} and plain.parents(n)]
    graph = CausalGraph(plain.edges, plain.hidden, nodes=plain.nodes, deterministic=exact)
    found = graph.identify(cause, outcome)
    if found.identified:
        system = random_system(graph, rng)
        value = found.estimand.evaluate(system.observed())
        truth = system.under([cause], [outcome]).broadcast_like(value).transpose(*value.dims)
        # A value that never occurs leaves the answer open, but never wrong.
        known = np.isfinite(value.values)
        np.testing.assert_allclose(value.values[known], truth.values[known], atol=EXACT)


def test_a_front_door_through_an_exact_mediator_is_no_front_door() -> None:
    # M is a function of X alone, so no unit shows another M at the same X.
    graph = CausalGraph([("X", "M"), ("M", "Y")], hidden=[("X", "Y")], deterministic=["M"])
    assert not graph.identify("X", "Y").identified
    with pytest.raises(SpecificationError, match="exact"):
        graph.identify("M", "Y")


# ── what would identify it ─────────────────────────────────────────────────────────────────────


def test_the_smallest_sets_to_record_are_named() -> None:
    found = graph_of("MX MY XY", "XM MY").identify("X", "Y")
    assert found.would_identify == (("hidden cause of M and X",), ("hidden cause of M and Y",))
    assert found.what_to_record == (
        "Recording either the hidden cause of M and X, or the hidden cause of M and Y would "
        "identify it."
    )
    assert graph_of("XY", "").identify("X", "Y").would_identify == ()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_to_record_agrees_with_trying_every_set(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph, cause, outcome = random_graph(rng, 4, 6)
    if rng.random() < 0.5:  # hidden causes that act on each other and stand between variables
        others = [n for n in graph.nodes if n not in (cause, outcome)]
        unseen = [str(n) for n in rng.choice(others, min(2, len(others)), replace=False)]
        graph = CausalGraph(graph.edges, graph.hidden, nodes=graph.nodes, latent=unseen)
    found = graph.identify(cause, outcome)
    if found.identified:
        return
    names = {str(n): n for n in graph.latent}
    for size in range(1, len(names) + 1):
        helping = [
            set(chosen)
            for chosen in combinations(names, size)
            if with_latent(graph, set(graph.latent) - {names[c] for c in chosen})
            .identify(cause, outcome)
            .identified
        ]
        if helping:
            break
    assert sorted(map(sorted, found.would_identify)) == sorted(map(sorted, helping))


# ── messages ───────────────────────────────────────────────────────────────────────────────────


def test_a_verdict_reads_as_sentences() -> None:
    text = str(graph_of("XY", "XY").identify("X", "Y"))
    assert text == (
        "P(Y | do(X)): not identified. Hidden causes tie X and Y together, and the answer needs Y "
        "apart from the rest of this group, which nothing recorded gives: two systems can agree on "
        "all that is recorded and differ in the answer. Open path: X ← hidden cause of X and Y → "
        "Y.\nRecording the hidden cause of X and Y would identify it."
    )
    found = graph_of("ZX ZY XY", "").identify("X", "Y")
    assert str(found) == (
        "P(Y | do(X)): identified (back door). Adjusting for Z closes every path by which "
        "something else moves both X and Y.\nP(Y | do(X)) = Σ_Z P(Y | X, Z) P(Z)"
    )


def test_questions_without_sense_are_refused() -> None:
    graph = CausalGraph([("U", "X"), ("U", "Y"), ("X", "Y")], latent=["U"])
    with pytest.raises(SpecificationError, match="outcome"):
        graph.identify("X", [])
    with pytest.raises(SpecificationError, match="not two of these"):
        graph.identify("X", "X")
    with pytest.raises(SpecificationError, match="no column records"):
        graph.identify("U", "Y")
    with pytest.raises(SpecificationError, match="no variable 'Q'"):
        graph.identify("Q", "Y")


# ── not identified: two systems that agree on the data and differ in the answer ────────────────


def assert_rivals(graph: CausalGraph, rng: np.random.Generator, cause: str, outcome: str) -> None:
    pair = rival_systems(graph, [cause], [outcome], rng)
    assert pair is not None, (graph, cause, outcome)
    one, other = pair
    recorded = np.abs(one.observed().values - other.observed().values)
    effect = np.abs(one.under([cause], [outcome]).values - other.under([cause], [outcome]).values)
    assert recorded.max() <= AGREE
    assert effect.max() > DIFFER


@pytest.mark.parametrize("name", [name for name, one in GRAPHS.items() if not one[2]])
def test_textbook_refusals_are_shown_by_two_systems(name: str) -> None:
    assert_rivals(graph_of(*GRAPHS[name][:2]), np.random.default_rng(0), "X", "Y")


def test_random_refusals_are_shown_by_two_systems() -> None:
    shown = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        graph, cause, outcome = random_graph(rng, 4, 6)
        if graph.identify(cause, outcome).identified:
            continue
        assert_rivals(graph, rng, str(cause), str(outcome))
        shown += 1
        if shown == 12:
            return
