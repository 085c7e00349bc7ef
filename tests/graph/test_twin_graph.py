"""Claims about the lagged graph of a twin."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest

from dotwin.errors import SpecificationError
from dotwin.graph import PAST, CausalGraph, TwinGraph
from dotwin.spec.twin import Cause, Indicator, Twin

MONTHLY = {"unit": "home", "period": {"column": "month", "frequency": "month"}}


def twin_of(indicators: dict[str, dict[str, Any]], **fields: Any) -> Twin:
    full = {
        name: {"domain": "quality", **({"family": "normal"} if "causes" in one else {}), **one}
        for name, one in indicators.items()
    }
    return Twin(**{"twin": "small", "panel": MONTHLY, "indicators": full, **fields})


def arrows(twin: Twin) -> set[tuple[str, str, int, str]]:
    return {(a.cause, a.effect, a.lag, a.kind) for a in twin.graph.arrows}


def test_everything_that_a_mechanism_reads_is_an_arrow(nursing_homes: Twin) -> None:
    found = arrows(nursing_homes)
    assert {
        ("turnover", "rehospitalizations", 1, "cause"),
        ("beds", "census", 0, "trials"),
        ("census", "rehospitalizations", 0, "exposure"),
        ("surveys", "citations", 0, "when"),
        ("citations", "fines", 0, "zeros"),
        ("citations", "fines", 0, "cause"),
        ("rn_hprd", "rn_hprd", 1, "cause"),
    } <= found
    # The share of a lagged count is read with the trials of that lag.
    assert ("beds", "census", 1, "cause") in found
    assert {a.cause for a in nursing_homes.graph.arrows if a.effect == "citations"} == {
        "rn_hprd",
        "turnover",
        "surveys",
    }


def test_exact_and_truncated_indicators_have_their_arrows(workforce_pressure: Twin) -> None:
    found = arrows(workforce_pressure)
    assert {(c, lag) for c, e, lag, kind in found if e == "backlog" and kind == "equals"} == {
        ("backlog", 1),
        ("referrals", 0),
        ("starts", 0),
    }
    staff = {"family": "lognormal", "at_least": "rn", "causes": {}}
    twin = twin_of({"rn": {"family": "lognormal", "causes": {}}, "staff": staff})
    assert ("rn", "staff", 0, "at_least") in arrows(twin)


def test_a_mean_over_other_units_is_an_arrow_across() -> None:
    panel = {**MONTHLY, "levels": ["region"]}
    twin = twin_of(
        {"wage": {}, "quits": {"causes": {"mean(wage, over=region, others=True)": {}}}}, panel=panel
    )
    (arrow,) = twin.graph.arrows
    assert (arrow.cause, arrow.effect, arrow.across) == ("wage", "quits", True)


def test_order_puts_causes_before_effects_within_a_period(workforce_pressure: Twin) -> None:
    order = workforce_pressure.graph.order()
    assert sorted(order) == sorted(workforce_pressure.indicators)
    for arrow in workforce_pressure.graph.arrows:
        if arrow.lag == 0:
            assert order.index(arrow.cause) < order.index(arrow.effect)


def test_a_cycle_within_a_period_is_named_and_a_lagged_one_is_feedback() -> None:
    ring = {"a": {"causes": {"c": {}}}, "b": {"causes": {"a": {}}}, "c": {"causes": {"b": {}}}}
    with pytest.raises(SpecificationError, match="cycle"):
        twin_of(ring)
    # A changed copy is not checked again by the twin, so the graph names the cycle itself.
    straight = twin_of({**ring, "a": {"causes": {"c[-1]": {}}}})
    turned = Indicator(domain="quality", family="normal", causes={"c": Cause()})
    copy = straight.model_copy(update={"indicators": {**straight.indicators, "a": turned}})
    with pytest.raises(SpecificationError, match=r"within one period.* a → b → c → a"):
        TwinGraph(copy)
    twin = twin_of({"a": {"causes": {"b[-1]": {}}}, "b": {"causes": {"a": {}}}})
    assert twin.graph.feedback("b", "a")
    assert twin.graph.feedback("a", "b")


def test_reach_through_time_agrees_with_the_graph_unrolled(workforce_pressure: Twin) -> None:
    graph = workforce_pressure.graph
    periods = len(graph.indicators) * graph.max_lag + 1
    unrolled: nx.DiGraph = nx.DiGraph(graph.unroll(periods, past=False).edges)
    for cause in graph.indicators:
        later = nx.descendants(unrolled, (cause, 0)) if (cause, 0) in unrolled else set()
        for effect in graph.indicators:
            reached = any((effect, t) in later for t in range(periods))
            assert graph.reaches(cause, effect) == reached, (cause, effect)
        assert graph.descendants(cause) == {e for e in graph.indicators if graph.reaches(cause, e)}
        assert graph.ancestors(cause) == {e for e in graph.indicators if graph.reaches(e, cause)}
        assert all(cause in graph.parents(child) for child in graph.children(cause))


def test_unrolling_repeats_every_arrow_at_its_lag() -> None:
    twin = twin_of({"a": {"causes": {"b[-2]": {}}}, "b": {"causes": {"a": {}}}})
    assert twin.graph.unroll(3, past=False) == CausalGraph(
        [
            (("a", 0), ("b", 0)),
            (("a", 1), ("b", 1)),
            (("a", 2), ("b", 2)),
            (("b", 0), ("a", 2)),
        ],
    )


def test_effects_shocks_hidden_causes_and_the_past_are_hidden_nodes() -> None:
    twin = twin_of(
        {
            "a": {"causes": {"a[-1]": {}}, "pooling": ["home", "period"], "trend": "walk"},
            "b": {"causes": {"a": {}}},
        },
        hidden_causes={
            "mix": {"affects": ["a", "b"], "level": "home"},
            "flu": {"affects": ["a", "b"], "level": "period"},
        },
    )
    graph = twin.graph.unroll(3)
    assert set(graph.latent) == {
        "a | home",
        *(("a | month", t) for t in range(3)),
        "a | trend",
        "mix",
        *(("flu", t) for t in range(3)),
        PAST,
    }
    assert set(graph.children("a | home")) == {("a", 0), ("a", 1), ("a", 2), PAST}
    assert graph.children(("a | month", 1)) == (("a", 1),)
    assert set(graph.children("mix")) == {(n, t) for n in "ab" for t in range(3)} | {PAST}
    assert ("flu", 2) in graph.children(("flu", 1))
    # Only the first periods, as many as the longest lag, meet the past directly.
    assert {n for n in graph.children(PAST) if n in graph.nodes} == {("a", 0), ("b", 0)}
    assert PAST not in twin.graph.unroll(3, past=False)
    effects = {(e.name, e.indicator, e.level) for e in twin.graph.group_effects}
    assert effects == {
        ("a | home", "a", "home"),
        ("a | month", "a", "period"),
        ("a | trend", "a", "trend"),
    }


def test_the_hidden_past_confounds_the_first_periods_and_only_those() -> None:
    twin = twin_of({"a": {"causes": {"a[-1]": {}}}, "b": {"causes": {"b[-1]": {}, "a[-1]": {}}}})
    graph = twin.graph.unroll(4)
    assert not graph.is_d_separated(("a", 0), ("b", 0))
    assert graph.is_d_separated(("a", 2), ("b", 3), given=[("a", 1), ("b", 2)]) is False
    cut = graph.open_back_door_path(("a", 2), ("b", 3), given=[("a", 1), ("b", 2)])
    assert cut is None
    assert graph.open_back_door_path(("a", 2), ("b", 3)) is not None


def test_every_mechanism_is_its_own_component_until_an_unknown_is_shared(
    workforce_pressure: Twin,
) -> None:
    graph = workforce_pressure.graph
    alone = graph.components()
    assert [c.mechanisms for c in alone] == [(name,) for name in workforce_pressure.stochastic]
    joined = graph.components(impute={"starts"})
    # A missing number of starts makes the exact backlog unknown, and what reads it.
    (together,) = [c for c in joined if len(c.mechanisms) > 1 or c.imputed]
    assert together.mechanisms == ("starts",)
    assert together.imputed == ("starts",)
    (together,) = [c for c in graph.components(impute={"overtime"}) if len(c.mechanisms) > 1]
    assert together.mechanisms == ("vacancy_rate", "overtime", "incidents")
    (together,) = [c for c in graph.components(impute={"acuity"}) if len(c.mechanisms) > 1]
    assert together.mechanisms == ("missed_visits", "hospitalizations")
    (together,) = [c for c in graph.components(impute={"referrals"}) if len(c.mechanisms) > 1]
    assert together.mechanisms == ("referrals", "overtime", "starts")


def test_components_name_the_hidden_causes_that_join_them(nursing_homes: Twin) -> None:
    hidden = {c.mechanisms[0]: c.hidden_causes for c in nursing_homes.graph.components()}
    assert hidden["rn_hprd"] == ("management_quality", "resident_case_mix")
    assert hidden["rehospitalizations"] == ()


def test_unknown_indicators_raise_with_the_nearest_names(workforce_pressure: Twin) -> None:
    with pytest.raises(SpecificationError, match="Did you mean 'overtime'"):
        workforce_pressure.graph.parents("overtimes")
    with pytest.raises(SpecificationError, match="no indicator 'x'"):
        workforce_pressure.graph.reaches("overtime", "x")


# ── assumptions ────────────────────────────────────────────────────────────────────────────────


def test_each_drawn_cause_and_each_mechanism_has_its_sentence(nursing_homes: Twin) -> None:
    found = nursing_homes.graph.assumptions()
    text = str(found)
    assert (
        "There is a direct effect of nursing staff turnover on RN hours per resident day: leavers "
        "are not replaced at once." in text
    )
    assert "nursing staff turnover on rehospitalizations one quarter later." in text
    mechanisms = {one.about[0] for one in found.of_kind("absent cause")}
    assert mechanisms == set(nursing_homes.stochastic)


def test_every_pair_of_pooled_mechanisms_on_a_path_is_claimed_independent(
    nursing_homes: Twin,
) -> None:
    graph = nursing_homes.graph
    claimed = {o.about for o in graph.assumptions().of_kind("unit effects") if len(o.about) == 2}
    pooled = {
        name: {e.level for e in graph.group_effects if e.indicator == name and e.level != "period"}
        for name in nursing_homes.stochastic
    }
    names = nursing_homes.stochastic
    expected = {
        (a, b)
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if pooled[a] & pooled[b] and (graph.reaches(a, b) or graph.reaches(b, a))
    }
    assert claimed == expected
    assert len(expected) > 5
    shocks = {o.about for o in graph.assumptions().of_kind("period shocks") if len(o.about) == 2}
    assert shocks == {
        ("turnover", "rn_hprd"),
        ("turnover", "rehospitalizations"),
        ("rn_hprd", "rehospitalizations"),
    }


def test_hidden_causes_interference_missing_and_givens_are_stated(nursing_homes: Twin) -> None:
    found = nursing_homes.graph.assumptions()
    hidden = found.of_kind("hidden causes")
    assert [one.about[:1] for one in hidden[:-1]] == [
        ("management_quality",),
        ("resident_case_mix",),
    ]
    assert hidden[-1].sentence.startswith("No other unrecorded cause")
    assert len(found.of_kind("interference")) == 1
    assert "one home does not act on another" in found.of_kind("interference")[0].sentence
    (given,) = found.of_kind("given")
    assert set(given.about) == {"ownership", "beds", "surveys"}
    (missing,) = found.of_kind("missing")
    assert "rn_hprd" in missing.about
    assert "rehospitalizations" not in missing.about  # it is no cause of anything
    assert found.about("fines")
    assert all(one.sentence.endswith(".") and one.sentence[0].isupper() for one in found)
    assert repr(found) == str(found)


def test_interference_through_a_group_is_named() -> None:
    twin = twin_of(
        {"wage": {}, "quits": {"causes": {"mean(wage, over=region, others=True)": {}}}},
        panel={**MONTHLY, "levels": ["region"]},
    )
    (one,) = twin.graph.assumptions().of_kind("interference")
    assert one.sentence == (
        "One home acts on another only through mean(wage, over=region, others=True) on quits."
    )
