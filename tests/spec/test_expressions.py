"""The expression language: its text and its tree are one thing, and it means what it says."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dotwin.errors import ExpressionError
from dotwin.spec import Twin, evaluate, parse
from dotwin.spec.expressions import (
    Across,
    Arithmetic,
    Bool,
    Call,
    Compare,
    Expr,
    Not,
    Number,
    Ref,
    Start,
    Text,
)

NAMES = ("acuity", "beds", "vacancy_rate", "x1")
finite = st.floats(allow_nan=False, allow_infinity=False)
refs = st.builds(Ref, st.sampled_from(NAMES), st.integers(0, 12))
numbers = st.builds(Number, finite)
categories = st.builds(Text, st.text(st.characters(exclude_categories=["Cs", "Cc"])))


def combined(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    one_argument = st.sampled_from(["log", "log1p", "logit", "sqrt", "square", "exp"])
    return st.one_of(
        st.builds(Arithmetic, st.sampled_from("+-*/"), inner, inner),
        st.builds(Compare, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), inner, inner),
        st.builds(Compare, st.sampled_from(["==", "!="]), refs, categories),
        st.builds(
            Bool, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3).map(tuple)
        ),
        st.builds(Not, inner),
        st.builds(Call, one_argument, st.tuples(inner)),
        st.builds(
            Call,
            st.sampled_from(["min", "max"]),
            st.lists(inner, min_size=2, max_size=3).map(tuple),
        ),
        st.builds(Call, st.just("hinge"), st.tuples(inner, numbers)),
        st.builds(Call, st.just("share"), st.tuples(refs)),
    )


#: Expressions of one unit's numbers.
plain = st.recursive(st.one_of(refs, numbers), combined, max_leaves=12)
#: Everything that the language has.
any_expression = st.recursive(
    st.one_of(refs, numbers),
    lambda inner: st.one_of(
        combined(inner),
        st.builds(Start, inner),
        st.builds(
            Across,
            st.sampled_from(["mean", "sum"]),
            inner,
            st.sampled_from(["region", "team"]),
            st.booleans(),
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(any_expression)
def test_the_text_of_an_expression_reads_back_to_the_same_expression(expression: Expr) -> None:
    assert parse(str(expression)) == expression


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_an_expression_error(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        assert isinstance(parse(text), Expr)


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("a+b*c", "a + b * c"),
        ("(a+b)*c", "(a + b) * c"),
        ("a-(b-c)", "a - (b - c)"),
        ("a − b × c ÷ d", "a - b * c / d"),
        ("max( 0,\n    x[-1] )", "max(0, x[-1])"),
        ("-x", "0 - x"),
        ("0 < x <= 1", "0 < x and x <= 1"),
        ("not rural and beds > 50", "not (rural) and beds > 50"),
        ("ownership == 'a × b'", "ownership == 'a × b'"),
        ('name == "it\'s"', 'name == "it\'s"'),
        ("mean(x, over=region, others=False)", "mean(x, over=region)"),
        ("0.1000000000000000055", "0.1"),
        ("1_000", "1000"),
    ],
)
def test_an_expression_has_one_canonical_text(typed: str, canonical: str) -> None:
    assert str(parse(typed)) == canonical
    assert str(parse(canonical)) == canonical


def test_an_expression_knows_what_it_reads() -> None:
    expression = parse("max(a[-2], start(b)) * mean(c[-1], over=region) > share(d)")
    assert expression.refs() == {("a", 2), ("b", 0), ("c", 1), ("d", 0)}
    assert expression.names() == {"a", "b", "c", "d"}
    assert expression.max_lag == 2
    assert parse("1 + 2").max_lag == 0


# ── meaning ──────────────────────────────────────────────────────────────────────────────────────


class Values:
    """Arrays by name and lag; every indicator has ten trials."""

    def __init__(self, values: dict[tuple[str, int], Any]) -> None:
        self.values = values

    def value(self, name: str, lag: int) -> Any:
        return self.values[name, lag]

    def trials(self, name: str, lag: int) -> Any:
        return np.full(np.shape(self.values[name, lag]), 10.0)

    def start(self, expression: Expr) -> Any:
        return self.values[str(expression), -1]

    def across(self, function: str, values: Any, over: str, others: bool) -> Any:
        assert (function, over, others) == ("mean", "region", True)
        return (values.sum() - values) / (len(values) - 1)


class Past(float):
    """A number that also has a past: ``x[-1]`` is another number."""

    earlier: dict[int, float]

    def __getitem__(self, lag: int) -> float:
        return self.earlier[-lag]


PYTHON: dict[str, Callable[..., float]] = {
    "log": math.log,
    "log1p": math.log1p,
    "logit": lambda p: math.log(p) - math.log1p(-p),
    "sqrt": math.sqrt,
    "square": lambda x: x * x,
    "exp": math.exp,
    "min": min,
    "max": max,
    "hinge": lambda x, at: max(x - at, 0.0),
    "saturating": lambda x, half: x / (x + half),
    "share": lambda x: x / 10.0,
}


def in_python(expression: Expr, values: dict[tuple[str, int], float]) -> float:
    """Let Python itself read the expression's text."""
    names: dict[str, Any] = dict(PYTHON)
    for name in NAMES:
        names[name] = Past(values[name, 0])
        names[name].earlier = {lag: values[name, lag] for lag in range(1, 13)}
    result = eval(str(expression), {"__builtins__": {}}, names)
    return float(bool(result)) if isinstance(expression, Compare | Bool | Not) else float(result)


@settings(max_examples=200, deadline=None)
@given(plain, st.randoms(use_true_random=False))
def test_an_expression_means_what_its_text_means_in_python(expression: Expr, random: Any) -> None:
    # Python's `a and b` is one of its sides; in the language it is 1 or 0, so inner conditions
    # could differ where they are counted with. Comparisons are the same in both.
    inner = [e for e in expression.walk() if isinstance(e, Bool)]
    assume(all(e is expression for e in inner))
    assume(not any(isinstance(e, Text) for e in expression.walk()))
    # logit(share(x)) has a meaning of its own, half an event away from the ends.
    assume("logit(share(" not in str(expression))
    columns = [
        {
            (name, lag): random.choice([0.0, 1.0, random.uniform(-3, 9)])
            for name in NAMES
            for lag in range(13)
        }
        for _ in range(4)
    ]
    # One column more keeps the values arrays even where the expression is a constant.
    arrays = {key: np.array([column[key] for column in columns]) for key in columns[0]}
    found = np.broadcast_to(evaluate(expression, Values(arrays)), (4,))
    for one, column in zip(found, columns, strict=True):
        try:
            # Python stops at the side that decides; in the language an undefined side counts.
            for side in expression.items if isinstance(expression, Bool) else ():
                in_python(side, column)
            expected = in_python(expression, column)
        except (ZeroDivisionError, ValueError, OverflowError):
            continue  # undefined: evaluate gives NaN or an infinity, which others count and name
        assert one == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


@settings(max_examples=150, deadline=None)
@given(plain)
def test_what_reads_a_missing_value_is_missing(expression: Expr) -> None:
    assume(expression.refs())
    assume(not any(isinstance(e, Text) for e in expression.walk()))
    missing = Values({(name, lag): np.array([np.nan]) for name in NAMES for lag in range(13)})
    assert np.isnan(evaluate(expression, missing)).all()


def test_text_is_compared_and_its_gaps_are_missing() -> None:
    owners = Values({("ownership", 0): np.array(["public", "for profit", ""], dtype=object)})
    np.testing.assert_array_equal(
        evaluate(parse("ownership == 'public'"), owners), [1.0, 0.0, np.nan]
    )
    np.testing.assert_array_equal(
        evaluate(parse("'public' != ownership"), owners), [0.0, 1.0, np.nan]
    )


def test_a_number_counts_as_a_condition_unless_it_is_zero() -> None:
    beds = Values({("beds", 0): np.array([0.0, 120.0, np.nan])})
    np.testing.assert_array_equal(evaluate(parse("not beds"), beds), [1.0, 0.0, np.nan])
    np.testing.assert_array_equal(evaluate(parse("beds and 1 > 0"), beds), [0.0, 1.0, np.nan])


class Trials(Values):
    def trials(self, name: str, lag: int) -> Any:
        return self.values["n", lag]


def test_a_share_without_trials_is_missing_and_its_logit_is_finite_at_the_ends() -> None:
    counts = Trials(
        {("y", 0): np.array([0.0, 3.0, 10.0, 0.0]), ("n", 0): np.array([10.0, 10.0, 10.0, 0.0])}
    )
    np.testing.assert_array_equal(evaluate(parse("share(y)"), counts), [0.0, 0.3, 1.0, np.nan])
    # log((y + 1/2) / (n - y + 1/2)), Haldane 1956.
    expected = [math.log(0.5 / 10.5), math.log(3.5 / 7.5), math.log(10.5 / 0.5), math.nan]
    np.testing.assert_allclose(evaluate(parse("logit(share(y))"), counts), expected, rtol=1e-14)


def test_the_start_and_the_other_units_come_from_the_environment() -> None:
    values = Values({("x", 0): np.array([1.0, 2.0, 6.0]), ("x", -1): np.array([5.0, 5.0, 5.0])})
    np.testing.assert_array_equal(evaluate(parse("start(x) - x"), values), [4.0, 3.0, -1.0])
    others = evaluate(parse("mean(x, over=region, others=True)"), values)
    np.testing.assert_array_equal(others, [4.0, 3.5, 1.5])


def test_a_value_outside_a_functions_domain_is_not_finite_and_warns_nobody() -> None:
    values = Values({("x", 0): np.array([0.0, 1.0, -1.0])})
    assert not np.isfinite(evaluate(parse("logit(x)"), values)).any()
    assert not np.isfinite(evaluate(parse("1 / (x * 0)"), values)).any()


class Stars(Values):
    twin = Twin(
        twin="t",
        panel={"unit": "home"},
        indicators={
            "stars": {
                "domain": "quality",
                "family": "ordinal",
                "categories": ("one", "two", "three"),
            }
        },
    )


def test_an_ordinal_is_compared_with_its_categories_by_their_position() -> None:
    values = Stars({("stars", 0): np.array([0.0, 1.0, 2.0, np.nan])})
    np.testing.assert_array_equal(
        evaluate(parse("stars == 'two'"), values), [0.0, 1.0, 0.0, np.nan]
    )
    np.testing.assert_array_equal(
        evaluate(parse("'two' != stars"), values), [1.0, 0.0, 1.0, np.nan]
    )


def test_numbers_are_never_silently_unequal_to_text() -> None:
    with pytest.raises(ExpressionError, match="numbers are compared with the category 'public'"):
        evaluate(parse("x == 'public'"), Values({("x", 0): np.array([1.0, 2.0])}))
    with pytest.raises(
        ExpressionError, match=r"has no category 'four'\. Accepted: one, three, two"
    ):
        evaluate(parse("stars == 'four'"), Stars({("stars", 0): np.array([1.0])}))
    unknown = Values({("x", 0): np.array([np.nan])})
    assert np.isnan(evaluate(parse("x == 'public'"), unknown)).all()
