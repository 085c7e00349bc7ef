"""Claims about identification on a twin's graph through time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotwin.errors import SpecificationError
from dotwin.graph import licence
from dotwin.spec.twin import Twin
from tests.graph.discrete import gap, random_system
from tests.graph.test_licence import cross_section, random_twin

MONTHLY = {"unit": "home", "period": {"column": "month", "frequency": "month"}}


def twin_of(indicators: dict[str, dict[str, Any]], **fields: Any) -> Twin:
    full = {name: {"domain": "quality", **one} for name, one in indicators.items()}
    return Twin(**{"twin": "small", "panel": MONTHLY, "indicators": full, **fields})


def test_a_panel_with_feedback_is_identified_once_group_effects_count_as_known(
    workforce_pressure: Twin,
) -> None:
    found = workforce_pressure.graph.identify("vacancy_rate", "hospitalizations")
    assert found.identified
    # The past and a unit's lasting effect move both; without a model of them nothing identifies.
    assert found.assuming
    assert "group effects" in str(found).lower()


def test_a_cross_section_without_groups_assumes_nothing() -> None:
    found = cross_section("ZX ZY XY", "").graph.identify("X", "Y")
    assert (found.strategy, found.assuming) == ("back door", ())
    assert found.adjustment == {("Z", 0)}
    assert str(found.estimand) == "Σ_Z[0] P(Y[0] | X[0], Z[0]) P(Z[0])"


def test_a_hidden_cause_is_named_and_recording_it_would_help(nursing_homes: Twin) -> None:
    found = nursing_homes.graph.identify("rn_hprd", "citations")
    assert not found.identified
    assert found.would_identify == (("management quality", "resident case mix"),)
    assert "management quality" in found.reason


def test_the_front_door_is_found_in_a_twin_and_is_not_what_the_model_computes() -> None:
    graph = cross_section("XM MY", "XY").graph
    found = graph.identify("X", "Y")
    assert (found.identified, found.strategy) == (True, "front door")
    verdict = licence(graph, "X", "Y")
    assert verdict.status == "not licensed"
    assert "in principle, by the front door through M" in verdict.reason
    assert "not computed by this model" in verdict.reason
    assert verdict.identification is not None
    assert verdict.identification.strategy == "front door"


def test_a_refusal_says_what_to_record(nursing_homes: Twin) -> None:
    verdict = licence(nursing_homes.graph, "rn_hprd", "citations")
    assert verdict.reason.endswith(
        "Recording management quality and resident case mix would identify it."
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_licensed_is_identified(seed: int) -> None:
    # Two algorithms that share nothing: sequential back doors with steps that stand alone, and
    # districts of the projected graph.
    rng = np.random.default_rng(seed)
    twin = random_twin(rng)
    treatment, outcome = (str(n) for n in rng.choice(list(twin.indicators), 2, replace=False))
    periods = 5
    for kind, natural in (("do", ()), ("shift", (treatment,))):
        if licence(twin.graph, treatment, outcome, natural=natural).licensed:
            found = twin.graph.identify(treatment, outcome, kind=kind, periods=periods)
            assert found.identified, found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_formulas_through_time_are_right_by_enumeration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = ["a", "b"]
    indicators = {
        name: {
            "family": "normal",
            "causes": {
                **{other: {} for other in names[:i] if rng.random() < 0.6},
                **{f"{other}[-1]": {} for other in names if rng.random() < 0.5},
            },
        }
        for i, name in enumerate(names)
    }
    hidden = {"h": {"affects": ("a", "b"), "level": str(rng.choice(["home", "period"]))}}
    twin = twin_of(indicators, hidden_causes=hidden if rng.random() < 0.5 else {})
    periods = twin.graph.max_lag + 2
    found = twin.graph.identify("a", "b", periods=periods)
    if found.identified:
        system = random_system(twin.graph.unroll(periods), rng)
        first, last = twin.graph.max_lag, periods - 1
        causes = [("a", t) for t in range(first, periods)]
        truth = system.under(causes, [("b", last)])
        assert gap(found.estimand.evaluate(system.observed()), truth) < 1e-12


def test_an_exact_mediator_is_no_front_door_and_an_exact_indicator_cannot_be_set() -> None:
    indicators: dict[str, dict[str, Any]] = {
        "staff": {"family": "normal", "causes": {}},
        "hours": {"equals": "staff * 8"},
        "falls": {"family": "poisson", "causes": {"hours": {}}},
    }
    hidden = {"mix": {"affects": ("staff", "falls"), "level": "home"}}
    twin = twin_of(indicators, panel={"unit": "home"}, hidden_causes=hidden)
    assert not twin.graph.identify("staff", "falls").identified
    noisy = {**indicators, "hours": {"family": "normal", "causes": {"staff": {}}}}
    other = twin_of(noisy, panel={"unit": "home"}, hidden_causes=hidden)
    assert other.graph.identify("staff", "falls").strategy == "front door"
    with pytest.raises(SpecificationError, match=r"'hours' is exact.*change staff"):
        twin.graph.identify("hours", "falls")


def test_an_exact_account_is_marked_once_its_lags_lie_inside_the_window(
    workforce_pressure: Twin,
) -> None:
    unrolled = workforce_pressure.graph.unroll(4)
    assert unrolled.deterministic == (("backlog", 1), ("backlog", 2), ("backlog", 3))


def test_a_given_is_not_identified_without_a_declared_reason(nursing_homes: Twin) -> None:
    found = nursing_homes.graph.identify("ownership", "turnover")
    assert not found.identified
    assert "why it varies is not declared" in found.reason


def test_a_rule_asks_for_more_than_a_set_value() -> None:
    # Setting staff where acuity is high leaves it at its natural value elsewhere, so the answer
    # needs natural staff and acuity jointly with falls under set staff.
    twin = twin_of(
        {
            "acuity": {"family": "normal", "causes": {}},
            "staff": {"family": "normal", "causes": {"acuity[-1]": {}, "staff[-1]": {}}},
            "falls": {"family": "poisson", "causes": {"staff": {}, "acuity": {}}},
        }
    )
    found = twin.graph.identify("staff", "falls", kind="rule", reads=["acuity"])
    assert found.identified
    assert any("staff[1]°" in name for name in found.estimand.free)
    with pytest.raises(SpecificationError, match="belongs to a rule"):
        twin.graph.identify("staff", "falls", kind="shift", reads=["acuity"])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_licence_is_given_or_refused_whatever_a_rule_reads(seed: int) -> None:
    rng = np.random.default_rng(seed)
    twin = random_twin(rng)
    names = list(twin.indicators)
    treatment, outcome = (str(n) for n in rng.choice(names, 2, replace=False))
    reads = [str(n) for n in rng.choice(names, rng.integers(1, 3), replace=False)]
    carry = [treatment] if rng.random() < 0.5 else []
    verdict = licence(twin.graph, treatment, outcome, natural=[treatment], reads=reads, carry=carry)
    assert verdict.licensed == (verdict.identification is None)


def test_units_that_act_on_each_other_are_spoken_of_and_hidden_causes_then_refused() -> None:
    term = "mean(staff, over=region, others=True)"
    indicators: dict[str, dict[str, Any]] = {
        "staff": {"family": "normal", "causes": {}},
        "visits": {"family": "normal", "causes": {"staff": {}, term: {}}},
        "falls": {"family": "poisson", "causes": {"visits": {}}},
    }
    panel = {**MONTHLY, "levels": ["region"]}
    found = twin_of(indicators, panel=panel).graph.identify("staff", "falls")
    assert found.identified
    assert term in found.assuming[0]
    # Within one unit this would be a front door.
    hidden = {"mix": {"affects": ("staff", "falls"), "level": "home"}}
    found = twin_of(indicators, panel=panel, hidden_causes=hidden).graph.identify("staff", "falls")
    assert not found.identified
    assert term in found.reason


def test_unknown_names_and_short_windows_are_refused(workforce_pressure: Twin) -> None:
    graph = workforce_pressure.graph
    with pytest.raises(SpecificationError, match="Did you mean 'vacancy_rate'"):
        graph.identify("vacancy_rat", "missed_visits")
    with pytest.raises(SpecificationError, match="at least 2 periods"):
        graph.identify("vacancy_rate", "missed_visits", periods=1)
    with pytest.raises(SpecificationError, match="at least one"):
        graph.identify((), "missed_visits")


def large_twin(seed: int, size: int = 40) -> Twin:
    rng = np.random.default_rng(seed)
    names = [f"v{i}" for i in range(size)]
    indicators: dict[str, Any] = {}
    for i, name in enumerate(names):
        causes = {names[int(k)]: {} for k in rng.choice(i, min(i, 3), replace=False)} if i else {}
        causes |= {f"{name}[-1]": {}, f"{names[int(rng.integers(size))]}[-1]": {}}
        pooling = ["home", "period"]
        indicators[name] = {"family": "normal", "causes": causes, "pooling": pooling}
    hidden = {
        f"h{k}": {
            "affects": tuple(str(n) for n in rng.choice(names, 2, replace=False)),
            "level": "home",
        }
        for k in range(3)
    }
    return twin_of(indicators, hidden_causes=hidden)


@pytest.mark.parametrize("kind", ["do", "shift"])
def test_forty_indicators_over_three_periods_have_both_verdicts(kind: str) -> None:
    graph = large_twin(1).graph
    found = [
        graph.identify(cause, outcome, kind=kind, periods=3)
        for cause, outcome in [("v0", "v39"), ("v5", "v30")]
    ]
    assert {verdict.identified for verdict in found} == {True, False}
