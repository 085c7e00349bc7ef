"""An error says what is wrong, where, and what is accepted."""

import pickle

import pytest

from dotwin.errors import DotwinError, ExpressionError, Problem, SpecificationError, nearest


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("", "is empty."), "is empty."),
        (Problem("", "is empty.", 3), "line 3: is empty."),
        (Problem("a > b", "is empty."), "a > b: is empty."),
        (Problem.at(("a", 0, "b"), "is empty.", 12), "line 12, a > #1 > b: is empty."),
    ],
)
def test_a_problem_names_its_place_as_far_as_it_is_known(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_a_problem_seen_from_further_out_keeps_its_way() -> None:
    inner = Problem.at(("causes", "x"), "is odd.")
    assert str(inner.under(("indicators", "y"))) == "indicators > y > causes > x: is odd."
    assert inner.under(("a",)).path == ("a", "causes", "x")
    # A place in words, without keys, stays in front of what is said.
    assert str(Problem("row 3", "is odd.").under(("a",))) == "a: row 3: is odd."


def test_one_problem_stands_on_its_line_and_several_in_a_list() -> None:
    one = SpecificationError("it is odd.", "twin.yaml")
    assert str(one) == "twin.yaml: it is odd."
    two = SpecificationError([Problem("a", "is odd."), Problem("b", "is even.")])
    assert str(two) == "2 problems\n  - a: is odd.\n  - b: is even."
    assert str(pickle.loads(pickle.dumps(two))) == str(two)


def test_a_caller_can_catch_everything_at_once() -> None:
    assert issubclass(ExpressionError, DotwinError)
    assert issubclass(ExpressionError, ValueError)


@pytest.mark.parametrize(
    ("name", "valid", "said"),
    [
        ("famly", ["family", "causes"], "Did you mean 'family'?"),
        (
            "referrals_in",
            ["referrals_on", "referrals_it"],
            "Did you mean 'referrals_on' or 'referrals_it'?",
        ),
        ("missed_visit", ["missed_visits", "scheduled_visits"], "Did you mean 'missed_visits'?"),
        ("zzz", ["b", "a"], "Accepted: a, b."),
        ("zzz", [], "Nothing is accepted here."),
    ],
)
def test_the_nearest_names_are_offered_or_else_all(name: str, valid: list[str], said: str) -> None:
    assert nearest(name, valid) == said


def test_a_long_list_of_names_is_cut_short() -> None:
    homes = [f"home-{i:05d}" for i in range(15_000)]
    said = nearest("x", homes)
    assert said == "Accepted: " + ", ".join(homes[:10]) + ", … (15,000 in all)."
