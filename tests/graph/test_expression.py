"""Claims about formulas: how they print, and what they are worth on a table."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from dotwin.errors import DataError
from dotwin.graph import CausalGraph
from dotwin.graph.expression import (
    Probability,
    Product,
    Ratio,
    Sum,
    product,
    ratio,
    summed,
    written,
)

BACK_DOOR = CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
FRONT_DOOR = CausalGraph([("X", "Z"), ("Z", "Y")], hidden=[("X", "Y")])


def test_formulas_print_in_the_fields_notation() -> None:
    assert str(BACK_DOOR.identify("X", "Y").estimand) == "Σ_Z P(Y | X, Z) P(Z)"
    assert str(FRONT_DOOR.identify("X", "Y").estimand) == "Σ_Z P(Z | X) Σ_X′ P(X′) P(Y | X′, Z)"
    assert str(CausalGraph([("X", "Y")]).identify("X", "Y").estimand) == "P(Y | X)"


def test_formulas_have_latex_with_primes_and_names_of_several_letters() -> None:
    assert FRONT_DOOR.identify("X", "Y").estimand.latex() == (
        r"\sum_{Z} P(Z \mid X) \sum_{X^{\prime}} P(X^{\prime}) P(Y \mid X^{\prime}, Z)"
    )
    graph = CausalGraph([("vacancy_rate", ("falls", 2))])
    assert graph.identify("vacancy_rate", [("falls", 2)]).estimand.latex() == (
        r"P(\mathrm{falls}_{2} \mid \mathrm{vacancy\_rate})"
    )


def test_a_sum_before_other_factors_is_bracketed() -> None:
    inner = Sum(("B",), Product((Probability(("B",)), Probability(("C",), ("B",)))))
    text = written(Product((inner, Probability(("D",)))))
    assert text == "(Σ_B P(B) P(C | B)) P(D)"


def test_what_sums_to_one_is_left_out_and_what_cancels_is_cancelled() -> None:
    law = product([Probability(("A",)), Probability(("B",), ("A",)), Probability(("C",), ("B",))])
    assert summed(("C", "B"), law) == Probability(("A",))
    assert written(summed(("B",), law)) == "P(A) Σ_B P(B | A) P(C | B)"
    assert ratio(law, summed(("C",), law)) == Probability(("C",), ("B",))
    assert ratio(Probability(("A",)), Probability(("A",))) == Product(())
    assert isinstance(ratio(Probability(("A", "B")), Probability(("B",))), Ratio)


def test_standardised_risks_of_the_published_table_are_exact() -> None:
    # Hernán & Robins, What If, table 2.2: twenty people, standardised risk 0.5 under either.
    rows = zip(
        [0] * 8 + [1] * 12,
        [0] * 4 + [1] * 4 + [0] * 3 + [1] * 9,
        [0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        strict=True,
    )
    counts = np.zeros((2, 2, 2))
    for row in rows:
        counts[row] += 1
    table = xr.DataArray(counts, dims=["L", "A", "Y"], coords={"A": [0, 1], "Y": [0, 1]})
    graph = CausalGraph([("L", "A"), ("L", "Y"), ("A", "Y")])
    risk = graph.identify("A", "Y").estimand.evaluate(table)
    assert risk.dims == ("Y", "A")
    assert risk.sel(Y=1).values == pytest.approx([0.5, 0.5], abs=1e-15)
    crude = CausalGraph([("A", "Y")]).identify("A", "Y").estimand.evaluate(table)
    assert crude.sel(Y=1).values == pytest.approx([3 / 7, 7 / 13], abs=1e-15)


def test_zero_by_zero_does_not_matter_where_its_weight_is_zero() -> None:
    # Nobody has Z = 2, so P(Y | X, Z = 2) is undefined, and is weighed with P(Z = 2) = 0.
    rng = np.random.default_rng(0)
    full = rng.dirichlet(np.ones(8)).reshape(2, 2, 2)
    padded = np.concatenate([full, np.zeros((1, 2, 2))])
    estimand = BACK_DOOR.identify("X", "Y").estimand
    dims = ["Z", "X", "Y"]
    expected = estimand.evaluate(xr.DataArray(full, dims=dims))
    found = estimand.evaluate(xr.DataArray(padded, dims=dims))
    np.testing.assert_array_equal(found.values, expected.values)


def test_zero_by_zero_that_the_answer_depends_on_is_missing_not_a_number() -> None:
    # In stratum Z = 1 nobody has X = 1: what would happen to them is not in the table.
    table = np.array([[[0.1, 0.2], [0.1, 0.1]], [[0.2, 0.3], [0.0, 0.0]]])
    estimand = BACK_DOOR.identify("X", "Y").estimand
    found = estimand.evaluate(xr.DataArray(table, dims=["Z", "X", "Y"]))
    assert np.isfinite(found.sel(X=0).values).all()
    assert np.isnan(found.sel(X=1).values).all()


def test_an_effect_that_is_none_is_laid_out_over_its_causes_too() -> None:
    table = xr.DataArray(np.full((2, 3), 1.0), dims=["X", "Y"])
    found = CausalGraph([("Y", "X")]).identify("X", "Y").estimand.evaluate(table)
    assert found.dims == ("Y", "X")
    np.testing.assert_allclose(found.values, 1 / 3, rtol=1e-15)


def test_other_dimensions_are_summed_over_and_counts_are_normalised() -> None:
    rng = np.random.default_rng(1)
    table = xr.DataArray(rng.integers(1, 9, (2, 2, 2, 3)), dims=["Z", "X", "Y", "other"])
    estimand = BACK_DOOR.identify("X", "Y").estimand
    np.testing.assert_allclose(
        estimand.evaluate(table).values,
        estimand.evaluate(table.sum("other") / table.sum()).values,
        rtol=1e-13,
    )


def test_a_table_that_is_none_is_refused() -> None:
    estimand = BACK_DOOR.identify("X", "Y").estimand
    with pytest.raises(DataError, match="no dimension 'Z'"):
        estimand.evaluate(xr.DataArray(np.ones((2, 2)), dims=["X", "Y"]))
    with pytest.raises(DataError, match="none negative"):
        estimand.evaluate(xr.DataArray(-np.ones((2, 2, 2)), dims=["X", "Y", "Z"]))
