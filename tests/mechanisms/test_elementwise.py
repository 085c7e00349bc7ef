"""Compiled elementwise functions against NumPy's, at the edges too."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.mechanisms import elementwise

EDGES = [0.0, -0.0, -1.0, -2.0, np.inf, -np.inf, np.nan, 5e-324, 1e-310, 1e308, -750.0, 750.0]


@pytest.mark.parametrize("name", ["exp", "log", "log1p"])
def test_functions_are_numpys_in_the_middle_and_at_the_edges(name: str) -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([EDGES, rng.uniform(-0.9, 3.0, 500), 10 ** rng.uniform(-300, 300, 500)])
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x)
    np.testing.assert_allclose(getattr(elementwise, name)(x), expected, rtol=5e-16, atol=0)


@pytest.mark.parametrize("name", ["exp", "log", "log1p"])
def test_no_bit_depends_on_shape_or_neighbours(name: str) -> None:
    x = np.random.default_rng(2).uniform(0.1, 3.0, (7, 33))
    function = getattr(elementwise, name)
    whole = function(x)
    assert whole.shape == x.shape
    np.testing.assert_array_equal(function(x.T).T, whole)
    np.testing.assert_array_equal(function(x[:, ::3]), whole[:, ::3])
    assert function(float(x[3, 4])) == whole[3, 4]
