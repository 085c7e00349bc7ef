"""Interventions and scenarios are values whose text says all of them."""

import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotwin.errors import SpecificationError
from dotwin.spec import Intervention, Prior, Scenario, at_least, at_most, do, scale, shift
from dotwin.spec.prior import PRIORS

positive = st.floats(1e-6, 1e6)
priors = st.one_of(
    st.builds(lambda a, b: Prior("normal", (a, b)), st.floats(-1e6, 1e6), positive),
    st.builds(lambda a: Prior("half_normal", (a,)), positive),
    st.builds(lambda a, b: Prior("beta", (a, b)), positive, positive),
    st.builds(lambda a, b: Prior("uniform", (a, a + b)), st.floats(-1e3, 1e3), positive),
)
marks = st.one_of(st.integers(1, 500), st.sampled_from(["2025", "2025-03", "2025Q1", "2025-03-31"]))


@st.composite
def interventions(draw: st.DrawFn) -> Intervention:
    verb = draw(st.sampled_from(["do", "shift", "scale", "at_least", "at_most"]))
    start = draw(st.none() | st.sampled_from([1, 3, "2025-03"]))
    end = draw(st.sampled_from(["until", "periods", "neither"]))
    return Intervention(
        verb=verb,
        indicator=draw(st.sampled_from(["referrals", "vacancy_rate"])),
        value=draw(st.floats(allow_nan=False, allow_infinity=False) | priors),
        start=start,
        until=draw(st.sampled_from([4, "2026-01"])) if end == "until" else None,
        periods=draw(st.integers(1, 60)) if end == "periods" else None,
        over=draw(st.none() | st.integers(1, 24)),
        where=draw(
            st.none() | st.sampled_from(["acuity > 2", "region == 'North'", "start(x) > 1"])
        ),
        carry=verb != "do" and draw(st.booleans()),
    )


@settings(max_examples=200, deadline=None)
@given(interventions())
def test_the_text_of_an_intervention_reads_back_to_the_same_intervention(one: Intervention) -> None:
    assert Intervention.model_validate(str(one)) == one
    assert Scenario.read("s", {"interventions": [str(one)]}).interventions == (one,)


@settings(max_examples=100, deadline=None)
@given(priors)
def test_the_text_of_a_prior_reads_back_to_the_same_prior(prior: Prior) -> None:
    assert Prior.parse(str(prior)) == prior


@pytest.mark.parametrize("name", PRIORS)
def test_every_distribution_can_be_written(name: str) -> None:
    numbers = (1.0, 2.0, 3.0)[: len(PRIORS[name])]
    prior = Prior(name, numbers)
    assert Prior.parse(str(prior)) == prior
    assert prior.distribution == name


def test_the_verbs_build_what_their_text_says() -> None:
    assert str(do("turnover", 0.02, periods=6)) == "do(turnover, 0.02, periods=6)"
    assert str(shift("x", "normal(0.1, 0.02)", carry=True)) == (
        "shift(x, normal(0.1, 0.02), carry=True)"
    )
    assert scale("x", 1.15, over=8) == Intervention.model_validate("scale(x, 1.15, over=8)")
    assert at_least("hours", 3, where="rural == 1").verb == "at_least"
    assert at_most("hours", 3, start="2025Q1", until="2025Q3").until == "2025Q3"


def test_a_window_says_from_when_to_when() -> None:
    assert do("x", 1).window == (1, math.inf)
    assert do("x", 1, start=3, periods=2).window == (3, 4)
    assert do("x", 1, until=5).window == (1, 5)


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        ({"until": 3}, {"start": 4}, False),
        ({"until": 3}, {"start": 3}, True),
        ({"periods": 3}, {"start": 4}, False),
        ({"start": 2, "periods": 3}, {"start": 4}, True),
        ({}, {"start": 9}, True),
        ({"until": "2025-03"}, {"start": "2025-04"}, False),
        ({"until": "2025-04"}, {"start": "2025-04"}, True),
        ({"until": "2025Q2"}, {"start": "2025Q3"}, False),
        # A date and a count cannot be compared before the panel is known; the engine will.
        ({"until": 3}, {"start": "2025-04"}, True),
    ],
)
def test_two_changes_of_one_indicator_may_follow_each_other_but_not_meet(
    first: dict[str, int | str], second: dict[str, int | str], meet: bool
) -> None:
    both = [do("x", 1, **first), shift("x", 2, **second)]  # type: ignore[arg-type] # by option
    for order in (both, both[::-1]):
        if meet:
            with pytest.raises(SpecificationError, match="in the same periods"):
                Scenario("s", order)
        else:
            assert len(Scenario("s", order).interventions) == 2
    assert len(Scenario("s", [both[0], do("y", 1)]).interventions) == 2


def test_one_intervention_needs_no_list() -> None:
    assert Scenario("s", do("x", 1)) == Scenario("s", ["do(x, 1)"]) == Scenario("s", "do(x, 1)")


def test_interventions_are_immutable_hashable_and_can_be_sent_to_another_process() -> None:
    one = shift("x", Prior("normal", (0, 1)), where="y > 1")
    with pytest.raises(ValueError, match="frozen"):
        one.over = 3  # type: ignore[misc] # that it cannot be set is the claim
    assert {one: 1}[pickle.loads(pickle.dumps(one))] == 1
