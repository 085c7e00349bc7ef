"""Claims about bare causal graphs."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotwin.errors import SpecificationError
from dotwin.graph import CausalGraph
from tests.graph.discrete import random_system

# Verdicts on P(Y | do(X)) from Shpitser & Pearl (2008), JMLR 9, 1941-1979, figures 1 and 2, and
# from textbook graphs: edges, hidden pairs, whether identified, and the back-door set where one
# exists (identified graphs without one need another strategy).
GRAPHS: dict[str, tuple[str, str, bool, set[str] | None]] = {
    "no confounding": ("XY", "", True, set()),
    "backdoor": ("ZX ZY XY", "", True, {"Z"}),
    "bow arc": ("XY", "XY", False, None),
    "front door": ("XZ ZY", "XY", True, None),
    "instrument": ("ZX XY", "XY", False, None),
    "M-bias": ("XY", "XM MY", True, set()),
    "butterfly, hidden": ("MX MY XY", "XM MY", False, None),
    "figure 1b": ("XZ ZY", "XZ", False, None),
    "figure 1c": ("XZ ZY XY", "XZ", False, None),
    "figure 1d": ("XY ZY", "XZ ZY", False, None),
    "figure 1e": ("ZX XY", "XZ ZY", False, None),
    "figure 2b": ("XY XZ ZY", "YZ", True, set()),
    "figure 2c": ("XY ZX ZY", "YZ", True, {"Z"}),
    "figure 2d": ("XY ZX ZY", "XZ", True, {"Z"}),
}


def graph_of(edges: str, hidden: str) -> CausalGraph:
    return CausalGraph([tuple(e) for e in edges.split()], [tuple(h) for h in hidden.split()])


@pytest.mark.parametrize("name", GRAPHS)
def test_published_graphs_have_a_back_door_set_exactly_where_back_door_decides(name: str) -> None:
    edges, hidden, identified, expected = GRAPHS[name]
    graph = graph_of(edges, hidden)
    found = graph.back_door_set("X", "Y")
    assert found == expected
    if not identified:
        assert found is None
    if expected is None:
        assert graph.open_back_door_path("X", "Y") is not None
    else:
        assert graph.is_back_door_set("X", "Y", expected)


def test_conditioning_on_the_middle_of_an_m_opens_a_path() -> None:
    graph = graph_of("XY", "XM MY")
    assert graph.open_back_door_path("X", "Y") is None
    path = graph.open_back_door_path("X", "Y", given="M")
    assert str(path) == "X ← hidden cause of M and X → M ← hidden cause of M and Y → Y"


def test_an_open_path_is_printed_in_words() -> None:
    graph = CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
    path = graph.open_back_door_path("X", "Y")
    assert path is not None
    assert (path.nodes, path.arrows) == (("X", "Z", "Y"), ("←", "→"))
    assert path.words({"Z": "case mix"}) == "X ← case mix → Y"


def test_periods_are_printed_in_brackets() -> None:
    graph = CausalGraph([(("x", 0), ("x", 1)), ("h", ("x", 0)), ("h", ("y", 1))], latent=["h"])
    assert str(graph.open_path(("x", 1), ("y", 1))) == "x[1] ← x[0] ← h → y[1]"
    assert graph.nodes == (("x", 0), ("x", 1), ("y", 1))
    assert graph.latent == ("h",)


def random_graph(seed: int) -> tuple[CausalGraph, np.random.Generator]:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(3, 9))
    names = [f"v{i}" for i in rng.permutation(size)]
    density = rng.uniform(0.15, 0.6)
    edges = [
        (names[i], names[j])
        for i in range(size)
        for j in range(i + 1, size)
        if rng.random() < density
    ]
    hidden = [tuple(rng.choice(names, 2, replace=False)) for _ in range(rng.integers(0, 3))]
    hidden = [(str(a), str(b)) for a, b in hidden]
    return CausalGraph(edges, hidden, nodes=names), rng


def assert_opens(graph: nx.DiGraph, path: tuple[object, ...], given: set[object]) -> None:
    """Check from the definition that a path is simple and open given some nodes."""
    assert len(set(path)) == len(path)
    for before, node, after in zip(path, path[1:], path[2:], strict=False):
        if graph.has_edge(before, node) and graph.has_edge(after, node):
            assert ({node} | nx.descendants(graph, node)) & given
        else:
            assert node not in given


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_separation_in_random_graphs_agrees_with_networkx(seed: int) -> None:
    graph, rng = random_graph(seed)
    explicit = graph.to_networkx()
    nodes = list(graph.nodes)
    for _ in range(20):
        role = rng.integers(0, 4, size=len(nodes))
        a = {n for n, r in zip(nodes, role, strict=True) if r == 0}
        b = {n for n, r in zip(nodes, role, strict=True) if r == 1}
        c = {n for n, r in zip(nodes, role, strict=True) if r == 2}
        if not a or not b:
            continue
        path = graph.open_path(a, b, c)
        assert (path is None) == nx.is_d_separator(explicit, a, b, c)
        assert graph.is_d_separated(a, b, c) == (path is None)
        if path is not None:
            assert path.nodes[0] in a
            assert path.nodes[-1] in b
            for one, arrow, other in zip(path.nodes, path.arrows, path.nodes[1:], strict=False):
                edge = (one, other) if arrow == "→" else (other, one)
                assert explicit.has_edge(*edge)
            assert_opens(explicit, path.nodes, c)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_back_door_set_is_found_exactly_when_some_subset_meets_the_criterion(seed: int) -> None:
    graph, rng = random_graph(seed)
    x, y = (str(n) for n in rng.choice(graph.nodes, 2, replace=False))
    explicit = graph.to_networkx()
    affected = nx.descendants(explicit, x)
    allowed = [n for n in graph.nodes if n not in affected | {x, y}]
    cut = explicit.copy()
    cut.remove_edges_from(list(explicit.out_edges(x)))
    subsets = [
        {n for i, n in enumerate(allowed) if mask >> i & 1} for mask in range(2 ** len(allowed))
    ]
    valid = [chosen for chosen in subsets if nx.is_d_separator(cut, {x}, {y}, chosen)]
    found = graph.back_door_set(x, y)
    assert (found is not None) == bool(valid)
    if found is not None:
        assert set(found) in valid
        assert graph.is_back_door_set(x, y, found)
        assert not any(chosen < found for chosen in valid if len(chosen) == len(found) - 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_projection_keeps_every_separation_among_observed_nodes(seed: int) -> None:
    graph, rng = random_graph(seed)
    unseen = {str(n) for n in rng.choice(graph.nodes, 2, replace=False)}
    full = CausalGraph(graph.edges, graph.hidden, nodes=graph.nodes, latent=unseen)
    projected = full.project()
    assert set(projected.nodes) == set(graph.nodes) - unseen
    explicit = graph.to_networkx()
    nodes = list(projected.nodes)
    for _ in range(20):
        role = rng.integers(0, 3, size=len(nodes))
        a, b, c = ({n for n, r in zip(nodes, role, strict=True) if r == k} for k in range(3))
        if a and b:
            assert projected.is_d_separated(a, b, c) == nx.is_d_separator(explicit, a, b, c)


def test_a_known_function_of_what_is_known_blocks_and_depends_on_nothing() -> None:
    # Geiger, Verma & Pearl (1990): D is a function of A, so given A it is known.
    graph = CausalGraph([("A", "D"), ("D", "B"), ("B", "C")], deterministic=["D"])
    assert graph.is_d_separated("D", "C", given="A")
    assert graph.is_d_separated("D", "B", given="A")
    noisy = CausalGraph(graph.edges)
    assert not noisy.is_d_separated("D", "C", given="A")
    # A function of what is not all known is not known.
    partly = CausalGraph([*graph.edges, ("E", "D")], deterministic=["D"])
    assert not partly.is_d_separated("D", "C", given="A")


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_separation_with_exact_nodes_holds_in_every_system(seed: int) -> None:
    plain, rng = random_graph(seed)
    joined = {node for pair in plain.hidden for node in pair}
    exact = [n for n in plain.nodes if n not in joined and plain.parents(n) and rng.random() < 0.6]
    graph = CausalGraph(plain.edges, plain.hidden, nodes=plain.nodes, deterministic=exact)
    law = random_system(graph, rng).observed()
    nodes = list(graph.nodes)
    for _ in range(10):
        role = rng.integers(0, 4, size=len(nodes))
        a, b, c = ([n for n, r in zip(nodes, role, strict=True) if r == k] for k in range(3))
        if not a or not b:
            continue
        # Exact nodes only add independences.
        if plain.is_d_separated(a, b, c):
            assert graph.is_d_separated(a, b, c)
        if graph.is_d_separated(a, b, c):
            joint = law.sum([n for n in nodes if n not in {*a, *b, *c}])
            product = joint.sum(a) * joint.sum(b)
            gap = joint * joint.sum([*a, *b]) - product
            assert float(np.abs(gap).max()) < 1e-12


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_kin_in_random_graphs_agree_with_networkx(seed: int) -> None:
    graph, _ = random_graph(seed)
    plain: nx.DiGraph = nx.DiGraph(graph.edges)
    plain.add_nodes_from(graph.nodes)
    order = graph.topological_order()
    assert sorted(order) == sorted(graph.nodes)
    for cause, effect in graph.edges:
        assert order.index(cause) < order.index(effect)
    for node in graph.nodes:
        assert graph.ancestors(node) == nx.ancestors(plain, node)
        assert graph.descendants(node) == nx.descendants(plain, node)
        assert set(graph.parents(node)) == set(plain.predecessors(node))
        assert set(graph.children(node)) == set(plain.successors(node))


def test_a_cycle_is_named() -> None:
    with pytest.raises(SpecificationError, match=r"a → b → c → a"):
        CausalGraph([("s", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "t")])
    with pytest.raises(SpecificationError, match=r"a → a"):
        CausalGraph([("a", "a")])


def test_an_unknown_variable_raises_with_the_nearest_names() -> None:
    graph = CausalGraph([("turnover", "incidents")])
    with pytest.raises(SpecificationError, match=r"'turnovr'.*Did you mean 'turnover'"):
        graph.is_d_separated("turnovr", "incidents")
    with pytest.raises(SpecificationError, match=r"'staff\[2\]'"):
        graph.parents(("staff", 2))


def test_a_variable_cannot_be_asked_about_and_given() -> None:
    with pytest.raises(ValueError, match="X"):
        CausalGraph([("X", "Y")]).open_path("X", "Y", given="X")


def test_a_hidden_cause_needs_two_effects() -> None:
    with pytest.raises(SpecificationError, match="two effects"):
        CausalGraph([("X", "Y")], hidden=[("X",)])


def test_a_graph_is_immutable_and_compares_by_content() -> None:
    graph = CausalGraph([("X", "Y"), ("Z", "Y")], hidden=[("X", "Z")])
    assert graph == CausalGraph([("Z", "Y"), ("X", "Y")], hidden=[("Z", "X")])
    assert hash(graph) == hash(CausalGraph([("Z", "Y"), ("X", "Y")], hidden=[("Z", "X")]))
    assert graph != CausalGraph([("X", "Y"), ("Z", "Y")])
    with pytest.raises(AttributeError):
        graph.edges = ()  # type: ignore[misc] # the point of the test
