"""Cut arrows, rules and neighbours: what the declared graph licenses of them."""

from __future__ import annotations

from typing import Any

import pytest

from dotwin.graph import licence
from dotwin.graph.path_specific import recanting_witness
from dotwin.spec import Twin

MONTHS = {"column": "month", "frequency": "month"}


def small(arrows: dict[str, list[str]], *, hidden: Any = None, months: bool = True) -> Twin:
    """A twin of normal indicators, each with the causes named."""
    return Twin(
        twin="small",
        panel={"unit": "home", "levels": ["region"], **({"period": MONTHS} if months else {})},
        indicators={
            name: {
                "domain": "quality",
                "family": "normal",
                "causes": {cause: {} for cause in causes},
            }
            for name, causes in arrows.items()
        },
        hidden_causes=hidden or {},
    )


@pytest.mark.parametrize(
    ("arrows", "cut", "witness"),
    [
        # The direct and the indirect effect: nothing that x moves acts on y both ways.
        ({"x": [], "m": ["x"], "y": ["x", "m"]}, ("m", "y"), None),
        ({"x": [], "m": ["x"], "y": ["x", "m"]}, ("x", "y"), None),
        # The kite (Avin, Shpitser and Pearl 2005, figure 3): m acts on y through z and directly.
        ({"x": [], "m": ["x"], "z": ["m"], "y": ["z", "m"]}, ("m", "y"), "m"),
        ({"x": [], "m": ["x"], "z": ["m"], "y": ["z", "m"]}, ("m", "z"), "m"),
        ({"x": [], "m": ["x"], "z": ["m"], "y": ["z", "m"]}, ("z", "y"), "m"),
        # Over time: y remembers itself and acts on m, whose arrow into y is cut.
        ({"x": [], "m": ["x", "y[-1]"], "y": ["x", "m", "y[-1]"]}, ("m", "y"), "y"),
        ({"x": [], "m": ["x"], "y": ["x", "m", "y[-1]"]}, ("m", "y"), None),
    ],
)
def test_a_witness_acts_on_the_outcome_through_the_cut_and_around_it(
    arrows: dict[str, list[str]], cut: tuple[str, str], witness: str | None
) -> None:
    assert recanting_witness(small(arrows).graph, ["x"], [cut], "y") == witness


def test_a_cut_that_comes_and_goes_leaves_its_cause_in_two_worlds() -> None:
    graph = small({"x": [], "m": ["x", "m[-1]"], "y": ["m", "y[-1]"]}).graph
    assert recanting_witness(graph, ["x"], [("m", "y")], "y") is None
    assert recanting_witness(graph, ["x"], [("m", "y")], "y", part_time=True) == "m"


def test_what_a_rule_reads_must_be_simulated_with_the_outcome() -> None:
    """z decides who gets x, and a hidden cause moves z and y: y is drawn without it."""
    arrows = {"x": [], "z": [], "y": ["x"]}
    hidden = {"h": {"affects": ["z", "y"], "level": "home"}}
    graph = small(arrows, hidden=hidden, months=False).graph
    assert licence(graph, "x", "y").licensed
    ruled = licence(graph, "x", "y", natural=["x"], reads=["z"], rules={"x": {("z", 0)}})
    assert not ruled.licensed
    assert "h" in {str(node) for path in ruled.open_paths for node in path.nodes}
    alone = small(arrows, months=False).graph
    assert licence(alone, "x", "y", natural=["x"], reads=["z"], rules={"x": {("z", 0)}}).licensed


def test_neighbours_that_share_a_hidden_cause_cannot_be_drawn_apart() -> None:
    """y reads the region's z; what moves every z of a region makes their mean vary more."""
    arrows = {"x": [], "z": ["x"], "w": [], "y": ["mean(z, over=region, others=True)"]}
    assert licence(small(arrows).graph, "x", "y").licensed
    regional = {"h": {"affects": ["z", "w"], "level": "region"}}
    verdict = licence(small(arrows, hidden=regional, months=False).graph, "x", "y")
    assert not verdict.licensed
    assert "(elsewhere)" in verdict.reason
    own = {"h": {"affects": ["z", "w"], "level": "home"}}
    verdict = licence(small(arrows, hidden=own, months=False).graph, "x", "y")
    assert verdict.licensed
    assert "act on each other" in verdict.reason


def test_what_moves_between_units_is_confounded_through_the_others() -> None:
    arrows = {"x": [], "z": [], "y": ["x"]}
    regional = {"h": {"affects": ["x", "y"], "level": "region"}}
    kwargs: dict[str, Any] = {
        "natural": ["x"], "reads": ["z"], "rules": {"x": {("z", 1)}}, "exchanging": ["x"],
    }  # fmt: skip
    assert licence(small(arrows).graph, "x", "y", **kwargs).licensed
    assert not licence(small(arrows, hidden=regional).graph, "x", "y", **kwargs).licensed


def test_a_rule_that_reads_what_it_changes_is_judged_like_any_other() -> None:
    arrows = {"x": [], "z": [], "y": ["x"]}
    hidden = {"h": {"affects": ["x", "y"], "level": "home"}}
    graph = small(arrows, hidden=hidden, months=False).graph
    rules = {"x": {("x", 0), ("z", 0)}}
    verdict = licence(graph, "x", "y", natural=["x"], reads=["x", "z"], rules=rules)
    assert not verdict.licensed
    assert "h" in verdict.reason
