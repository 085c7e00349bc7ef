"""Parameters become the unconstrained point that they came from."""

import numpy as np
import pytest

from dotwin.inference.nuts.layout import build_layout
from dotwin.inference.nuts.warm import unconstrained
from tests.inference.nuts.cases import mechanism, table
from tests.inference.nuts.test_density import CASES


@pytest.mark.parametrize("name", CASES)
def test_a_point_comes_back(name: str) -> None:
    outcome, indicator = CASES[name]
    layout = build_layout(mechanism(table(3, outcome), **indicator))
    point = layout.middle + np.random.default_rng(5).normal(size=layout.size)
    found = unconstrained(layout, layout.constrain(point))
    np.testing.assert_allclose(found, point, rtol=1e-7, atol=1e-9)
