"""A mechanism's equation has the terms that the twin declares and the panel allows."""

from typing import Any

import numpy as np
import pytest

from dotwin.errors import SpecificationError
from dotwin.mechanisms.columns import constant_key
from dotwin.mechanisms.equation import DEFAULT_PRIORS, Equation, equation, structure_of
from dotwin.spec.prior import Prior
from tests.mechanisms.small import design_of, small_panel, small_table, small_twin


def terms(eq: Equation) -> dict[str, Any]:
    return {term.name: term for term in eq.main.terms}


def test_an_own_lag_in_the_childs_link_is_on_its_natural_scale() -> None:
    twin = small_twin(
        turnover={"family": "beta", "causes": {"logit(turnover[-1])": {}, "turnover[-1]": {}}}
    )
    found = terms(equation(twin, "turnover"))
    assert found["logit(turnover[-1])"].natural
    assert found["logit(turnover[-1])"].prior == DEFAULT_PRIORS["persistence"]
    assert not found["turnover[-1]"].natural


@pytest.mark.parametrize(
    ("one", "text"),
    [
        ({"family": "normal"}, "y[-1]"),
        ({"family": "gamma"}, "log(y[-2])"),
        ({"family": "binomial", "trials": "visits"}, "logit(share(y[-1]))"),
        ({"family": "beta", "out_of": 100}, "logit(y[-1] / 100)"),
    ],
)
def test_persistence_is_known_in_every_link(one: dict[str, Any], text: str) -> None:
    twin = small_twin(y={**one, "causes": {text: {}}})
    (term,) = equation(twin, "y").main.terms
    assert term.natural
    assert term.prior == DEFAULT_PRIORS["persistence"]


def test_a_product_of_declared_causes_multiplies_their_centred_scaled_terms() -> None:
    table = small_table().assign(y=np.arange(72.0))
    causes: dict[str, Any] = {"staffing": {}, "log(beds)": {}, "staffing * log(beds)": {}}
    design = design_of(small_panel(table, y={"family": "normal", "causes": causes}), "y")
    names = [term.name for term in design.main.predictor.terms]
    columns = {
        n: design.main.columns[:, k] / design.reference.multiplier for k, n in enumerate(names)
    }
    product = columns["staffing"] * columns["log(beds)"]
    np.testing.assert_allclose(columns["staffing * log(beds)"], product, rtol=1e-12)
    centred = (table["staffing"] - table["staffing"].mean()) / table["staffing"].std(ddof=0)
    ours = np.sort(columns["staffing"])
    np.testing.assert_allclose(ours, np.sort(centred.to_numpy()), rtol=1e-10)


def test_a_product_of_undeclared_causes_is_one_expression() -> None:
    twin = small_twin(y={"family": "normal", "causes": {"staffing * 2": {}}})
    (term,) = equation(twin, "y").main.terms
    assert len(term.factors) == 1


def test_a_time_varying_cause_splits_within_and_between_where_the_unit_is_pooled() -> None:
    table = small_table().assign(y=np.arange(72.0))
    causes: dict[str, Any] = {"staffing": {}, "beds": {}}
    one = {"family": "normal", "pooling": ["provider"], "causes": causes}
    design = design_of(small_panel(table, y=one), "y")
    found = terms(design.equation)
    assert list(found) == ["staffing", "beds", "between: staffing"]
    assert found["staffing"].within
    assert not found["beds"].within
    m = design.reference.multiplier
    within, between = design.main.columns[:, 0] / m, design.main.columns[:, 2] / m
    by_unit = [within[design.unit == u].sum() for u in range(12)]
    np.testing.assert_allclose(by_unit, 0.0, atol=1e-12)
    means = table.groupby("provider")["staffing"].mean()
    centre, sd = design.reference.factors["staffing"]
    expected = ((means - centre) / sd).to_numpy()
    np.testing.assert_allclose(design.constants[constant_key("mean", found["staffing"])], expected)
    np.testing.assert_allclose(between, expected[design.unit], rtol=1e-12)


def test_between_same_merges_the_two_parts_by_name() -> None:
    table = small_table().assign(y=np.arange(72.0))
    one = {
        "family": "normal",
        "pooling": ["provider"],
        "causes": {"staffing": {"between": "same"}},
    }
    found = terms(design_of(small_panel(table, y=one), "y").equation)
    assert list(found) == ["staffing"]
    assert not found["staffing"].within


def test_without_unit_pooling_nothing_is_split() -> None:
    one: dict[str, Any] = {"family": "normal", "pooling": ["region"], "causes": {"staffing": {}}}
    assert list(terms(equation(small_twin(y=one), "y"))) == ["staffing"]


def _feedback(initial: bool) -> dict[str, Any]:
    return {
        "turnover": {"family": "beta", "causes": {"y[-1]": {}}},
        "y": {
            "family": "normal",
            "pooling": ["provider"],
            "initial": initial,
            "causes": {"y[-1]": {}, "turnover": {}, "staffing": {}},
        },
    }


def test_a_cause_that_the_child_feeds_back_to_has_an_initial_term_not_a_mean() -> None:
    table = small_table().assign(y=np.random.default_rng(1).normal(size=72))
    design = design_of(small_panel(table, **_feedback(True)), "y")
    found = terms(design.equation)
    assert list(found)[3:] == ["initial: y[-1]", "initial: turnover", "between: staffing"]
    assert not found["turnover"].within
    first = table.groupby("provider")[["y", "turnover"]].first()
    for name, key in (("y[-1]", "y"), ("turnover", "turnover")):
        centre, sd = design.reference.factors[name]
        ours = design.constants[constant_key("first", found[f"initial: {name}"])]
        np.testing.assert_allclose(ours, (first[key] - centre) / sd)


def test_initial_terms_can_be_left_out_by_name() -> None:
    assert list(terms(equation(small_twin(**_feedback(False)), "y")))[3:] == ["between: staffing"]


def test_categories_are_compared_with_the_named_reference() -> None:
    table = small_table().assign(y=np.arange(72.0))
    one: dict[str, Any] = {"family": "normal", "causes": {"owner": {}}}
    design = design_of(small_panel(table, y=one), "y")
    names = [term.name for term in design.main.predictor.terms]
    assert names == ["owner = single", "owner = chain"]
    shares = [(table["owner"] == c).mean() for c in ("single", "chain")]
    ours = design.main.columns.mean(axis=0) / design.reference.multiplier
    np.testing.assert_allclose(ours, shares)


def test_an_ordinal_cause_has_a_column_per_category_above_its_reference() -> None:
    table = small_table().assign(y=np.arange(72.0))
    stars = {"family": "ordinal", "categories": ["one", "two", "three"]}
    one: dict[str, Any] = {"family": "normal", "causes": {"stars": {}}}
    design = design_of(small_panel(table, stars=stars, y=one), "y")
    shares = [(table["stars"] == c).mean() for c in ("two", "three")]
    ours = design.main.columns.mean(axis=0) / design.reference.multiplier
    np.testing.assert_allclose(ours, shares)


def test_the_highest_harmonic_of_an_even_cycle_has_no_sine() -> None:
    table = small_table().assign(y=np.arange(72.0))
    one = {"family": "normal", "season": {"cycle": 4, "harmonics": 2}}
    design = design_of(small_panel(table, y=one), "y")
    names = [term.name for term in design.main.predictor.terms]
    assert names == ["season sin 1", "season cos 1", "season cos 2"]
    # Anchored to the calendar: the same quarter of another year has the same columns.
    first, fifth = (design.main.columns[design.period == t] for t in (0, 4))
    np.testing.assert_allclose(first, fifth, atol=1e-9)
    assert np.linalg.matrix_rank(design.main.columns - design.main.columns.mean(axis=0)) == 3


def test_a_linear_trend_is_the_period_in_sds() -> None:
    table = small_table().assign(y=np.arange(72.0))
    design = design_of(small_panel(table, y={"family": "normal", "trend": "linear"}), "y")
    column = design.main.columns[:, 0] / design.reference.multiplier
    assert column.mean() == pytest.approx(0.0, abs=1e-12)
    assert column.std() == pytest.approx(1.0)
    assert (np.diff(column[design.unit == 0]) > 0).all()


def test_a_zeros_equation_has_its_own_terms_and_pooling() -> None:
    one = {
        "family": "poisson",
        "pooling": ["region"],
        "causes": {"staffing": {}},
        "zeros": {"as": "hurdle", "causes": {"beds": {}}, "pooling": ["provider", "period"]},
    }
    eq = equation(small_twin(y=one), "y")
    assert [p.prefix for p in eq.predictors] == ["y", "y.zeros"]
    assert [t.name for t in eq.predictors[1].terms] == ["beds", "between: beds"]
    assert eq.predictors[1].levels == ("provider",)
    assert eq.predictors[1].period
    assert not eq.main.period


def test_structure_reads_from_the_panel_what_varies() -> None:
    panel = small_panel(small_table().assign(y=1.0), y={"family": "normal"})
    structure = structure_of(panel.twin, panel)
    assert {"staffing", "days", "visits", "surveys"} == structure.varying
    assert structure.categories["owner"] == ("public", "single", "chain")


def test_a_stated_prior_is_the_terms_prior() -> None:
    one = {
        "family": "normal",
        "pooling": ["provider"],
        "causes": {"staffing": {"prior": "normal(1, 2)"}},
        "priors": {"between": "normal(0, 3)"},
    }
    found = terms(equation(small_twin(y=one), "y"))
    assert found["staffing"].prior == Prior("normal", (1.0, 2.0))
    assert found["between: staffing"].prior == Prior("normal", (0.0, 3.0))


def test_an_indicator_without_a_family_has_no_equation() -> None:
    with pytest.raises(SpecificationError, match="'beds' has no family"):
        equation(small_twin(y={"family": "normal"}), "beds")
    with pytest.raises(SpecificationError, match="Did you mean 'beds'"):
        equation(small_twin(y={"family": "normal"}), "bed")
