"""Expressions are read from a panel's arrays alike for one period and for all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dotwin.errors import ExpressionError
from dotwin.panel import ArrayEnvironment
from dotwin.spec.expressions import evaluate, parse
from dotwin.spec.twin import Twin

TWIN = Twin(
    twin="t",
    panel={
        "unit": "home",
        "levels": ["region"],
        "period": {"column": "year", "frequency": "year"},
    },
    indicators={
        "x": {"domain": "context"},
        "n": {"domain": "context"},
        "y": {"domain": "quality", "family": "binomial", "trials": "n"},
        "owner": {"domain": "context", "categories": ["a", "b"]},
    },
)
GROUPS = {
    "region": (np.array([0, 0, 1]), ["east", "west"]),
    "home": (np.arange(3), ["A", "B", "C"]),
}
EXPRESSIONS = [
    "x",
    "x[-2]",
    "max(0, x[-1] - n) * 2",
    "share(y)",
    "share(y[-1])",
    "mean(x, over=region)",
    "sum(x[-1], over=region, others=True)",
    "mean(x * n, over=region) / n",
    "region == 'east'",
    "owner[-1] == 'a' and x > 0",
    "mean(owner == 'a', over=region)",
]


@given(
    x=arrays(float, (3, 4), elements=st.one_of(st.just(np.nan), st.integers(-5, 5))),
    owner=arrays("U1", (3, 4), elements=st.sampled_from(["", "a", "b"])),
    text=st.sampled_from(EXPRESSIONS),
)
@settings(max_examples=120, deadline=None)
def test_one_period_is_read_as_its_column_of_all_of_them(
    x: np.ndarray, owner: np.ndarray, text: str
) -> None:
    values = {"x": x, "n": np.abs(x) + 1, "y": np.abs(x), "owner": owner}
    expression = parse(text)
    everything = evaluate(expression, ArrayEnvironment(TWIN, values, GROUPS))
    everything = np.broadcast_to(np.asarray(everything, dtype=float), x.shape)
    for period in range(4):
        one = evaluate(expression, ArrayEnvironment(TWIN, values, GROUPS, period))
        np.testing.assert_allclose(np.broadcast_to(one, 3), everything[:, period])


def test_what_a_panel_cannot_know_is_refused() -> None:
    environment = ArrayEnvironment(TWIN, {"x": np.zeros((3, 1))}, GROUPS)
    with pytest.raises(ExpressionError, match="only inside an intervention"):
        evaluate(parse("start(x) > 2"), environment)
    with pytest.raises(ExpressionError, match="'x' has no trials"):
        environment.trials("x", 0)
