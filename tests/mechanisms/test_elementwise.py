"""Compiled elementwise functions against NumPy's, at the edges too."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.mechanisms import elementwise
from dotwin.mechanisms.kernels.compiled import kernel

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


def test_numbers_that_are_not_whole_are_counted() -> None:
    found = np.empty(1, dtype=np.int64)
    kernel("broken")(np.array([0.0, 3.0, -2.0, 1e300, np.nan, np.inf, 0.5, -0.25, 7.1]), found)
    assert found[0] == 3


def test_a_period_is_kept_in_its_place_and_its_missing_values_counted() -> None:
    out, missing = np.zeros((2, 3, 4)), np.zeros(1, dtype=np.int64)
    full = np.arange(8.0).reshape(2, 4)
    full[1, 2] = np.nan
    kernel("keep_period")(full, 0, out, missing)
    kernel("keep_period")(full[:1].copy(), 1, out, missing)
    kernel("keep_period")(np.array([[np.nan]]), 2, out, missing)
    np.testing.assert_array_equal(out[:, 0], full)
    np.testing.assert_array_equal(out[:, 1], [full[0], full[0]])
    assert np.isnan(out[:, 2]).all()
    assert missing[0] == 1 + 0 + 8
