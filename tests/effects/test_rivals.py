"""Rival graphs of a panel whose truth is known: one omits a confounder, one adjusts too much."""

from __future__ import annotations

from typing import Any

import arviz as az
import numpy as np
import pytest

import dotwin as dw
from dotwin.effects.doubts.rivals import RivalEffects, Rivals, _stack
from dotwin.errors import SpecificationError
from dotwin.inference import Fit
from dotwin.spec import Twin
from tests.effects.small import MONTHS, NATURAL, make_panel

UNITS, TRUTH = 400, 0.5


def _fit(name: str, values: dict[str, Any], causes: tuple[str, ...], **hidden: Any) -> Fit:
    own = {"family": "normal"}
    twin = Twin(
        twin=name,
        panel={"unit": "home"},
        indicators={
            "need": {"domain": "context"},
            "audits": {"domain": "context"},
            "support": {"domain": "quality", **own, "causes": {"need": NATURAL}},
            "falls": {"domain": "outcome", **own, "causes": dict.fromkeys(causes, NATURAL)},
        },
        **hidden,
    )
    panel = make_panel(twin, values, len(values["need"]))
    return dw.fit(twin, panel, draws=250, chains=2, seed=1, progress=False)


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    """Need moves support and falls; falls, with support, bring audits."""
    rng = np.random.default_rng(3)
    need = rng.normal(size=UNITS)
    support = 0.8 * need + rng.normal(size=UNITS)
    noise = rng.normal(size=UNITS)
    # Orthogonal to its causes, so that this sample's own regression is the truth and covering it is
    # no matter of luck.
    x = np.column_stack([np.ones(UNITS), support, need])
    noise = noise - x @ np.linalg.lstsq(x, noise)[0]
    falls = TRUTH * support - 2.0 * need + noise
    audits = falls + 0.8 * support + 0.5 * rng.normal(size=UNITS)
    columns = {"need": need, "support": support, "falls": falls, "audits": audits}
    return {name: column[:, None] for name, column in columns.items()}


@pytest.fixture(scope="module")
def fits(values: dict[str, Any]) -> dict[str, Fit]:
    return {
        "right": _fit("right", values, ("support", "need")),
        "omits": _fit("omits", values, ("support",)),
    }


def ask(group: Rivals) -> RivalEffects:
    return group.effect("support", on="falls", contrast=(0, 1), draws=200, seed=1)


@pytest.fixture(scope="module")
def found(fits: dict[str, Fit]) -> RivalEffects:
    return ask(dw.rivals(fits))


def test_the_rival_with_the_confounder_predicts_and_covers(found: RivalEffects) -> None:
    table = found.table.set_index("rival")
    assert (table["identified"] == "yes").all()
    assert table.loc["right", "weight"] > 0.9
    assert table["weight"].sum() == pytest.approx(1, abs=1e-6)
    assert table.loc["right", "5%"] < TRUTH < table.loc["right", "95%"]
    assert not table.loc["omits", "5%"] < TRUTH < table.loc["omits", "95%"]


def test_each_rival_gives_its_regression(found: RivalEffects, values: dict[str, Any]) -> None:
    need, support, falls = (values[n][:, 0] for n in ("need", "support", "falls"))
    for name, columns in {"right": [support, need], "omits": [support]}.items():
        x = np.column_stack([*columns, np.ones(UNITS)])
        slope = np.linalg.lstsq(x, falls)[0][0]
        mean = found.table.set_index("rival").loc[name, "mean"]
        # The slope's posterior sd is about 0.05 and 200 draws are averaged; the prior shrinks some.
        assert mean == pytest.approx(slope, abs=0.03)


def test_weights_and_densities_are_those_of_arviz(
    found: RivalEffects, fits: dict[str, Fit]
) -> None:
    trees = {name: fit.log_likelihood("falls", leave_out="row") for name, fit in fits.items()}
    theirs = az.compare(trees, method="stacking", var_name="falls", round_to="none")
    for _, row in found.table.iterrows():
        assert row["weight"] == pytest.approx(theirs.loc[row["rival"], "weight"], abs=1e-3)
        assert row["elpd"] == pytest.approx(theirs.loc[row["rival"], "elpd"])


def test_the_sentence_says_that_signs_differ(found: RivalEffects) -> None:
    # Without need the slope is about 0.5 - 2.0 * 0.8 / (1 + 0.8**2) = -0.48.
    table = found.table.set_index("rival")
    assert table.loc["omits", "95%"] < 0 < table.loc["right", "5%"]
    assert found.agree is False
    assert "has opposite signs under the 2 graphs that answer" in repr(found)
    assert "does not say that its arrows are right" in repr(found)
    assert "chance" not in repr(found)


def test_rivals_that_differ_in_name_only_agree(fits: dict[str, Fit]) -> None:
    found = ask(dw.rivals([fits["right"], fits["right"]], names=["one", "other"]))
    assert found.agree is True
    assert "has the same sign (higher) under all 2 graphs" in repr(found)
    assert "no better than chance would make it" in repr(found)


def test_a_rival_that_adjusts_for_an_effect_of_the_outcome_predicts_best_and_is_wrong(
    fits: dict[str, Fit], values: dict[str, Any]
) -> None:
    wrong = _fit("wrong", values, ("support", "need", "audits"))
    table = ask(dw.rivals([fits["right"], wrong])).table.set_index("rival")
    assert table["weight"].idxmax() == "wrong"
    assert not table.loc["wrong", "5%"] < TRUTH < table.loc["wrong", "95%"]


def test_a_rival_that_refuses_says_why_and_is_weighed_all_the_same(
    fits: dict[str, Fit], values: dict[str, Any]
) -> None:
    hidden = {"hidden_causes": {"frailty": {"level": "home", "affects": ["support", "falls"]}}}
    doubting = _fit("doubting", values, ("support", "need"), **hidden)
    group = dw.rivals([fits["right"], doubting])
    found = ask(group)
    row = found.table.set_index("rival").loc["doubting"]
    assert row["identified"] == "no"
    # Both have the same mechanism of falls: a weight of 1 would say nothing.
    assert "no better than chance would make it" in repr(found)
    assert np.isnan(row["mean"])
    assert "frailty" in row["reason"]
    assert np.isfinite(row["weight"])
    assert found.agree is None
    assert "1 of 2 refuse it" in repr(found)
    axes, weights = found.plot().axes
    (one,) = axes.lines[:1]
    assert one.get_xdata()[0] == pytest.approx(found.effects["right"].draws["difference"].median())
    assert [text.get_text() for text in axes.texts] == ["no answer"]
    assert [text.get_text().partition("\n")[2] for text in weights.texts] == [
        "identified",
        "not licensed",
    ]
    assert [bar.get_width() for bar in weights.patches] == found.table["weight"].tolist()
    assumed = group.effect(
        "support", on="falls", contrast=(0, 1), draws=100, seed=1, assume="no hidden causes"
    )
    row = assumed.table.set_index("rival").loc["doubting"]
    assert row["identified"] == "assumed"
    assert np.isfinite(row["mean"])
    assert "not an effect" in row["reason"]
    assert "assumed, not identified" in assumed.plot().axes[1].texts[1].get_text()


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_units_are_stacked_where_their_densities_are_too_small_to_be_numbers() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(2, 20, 110))
    # Each moves half of the homes, so that no rival should have all the weight.
    half = np.arange(20)[:, None] < 11
    costs = 2000 * np.where(half, first, second) + 1000 * rng.normal(size=first.shape)
    named = {}
    for name in ("first", "second"):
        twin = Twin(
            twin=name,
            panel={"unit": "home", "period": MONTHS},
            indicators={
                "first": {"domain": "context"},
                "second": {"domain": "context"},
                "costs": {"domain": "cost", "family": "normal", "causes": {name: {}}},
            },
        )
        panel = make_panel(twin, {"first": first, "second": second, "costs": costs}, 20, 110)
        named[name] = dw.fit(twin, panel, draws=250, chains=2, seed=1, progress=False)
    scores = _stack(named, "costs", "unit")
    weight = scores["weight"]
    elpd = [
        az.loo(fit.log_likelihood("costs", leave_out="unit"), var_name="costs", pointwise=True)
        for fit in named.values()
    ]
    a, b = (one.elpd_i.values[:, None] for one in elpd)
    assert max(a.max(), b.max()) < np.log(np.finfo(float).tiny)
    share = np.linspace(0.001, 0.999, 999)
    best = share[np.logaddexp(a + np.log(share), b + np.log1p(-share)).sum(axis=0).argmax()]
    assert 0.1 < best < 0.9
    assert weight["first"] == pytest.approx(best, abs=0.005)
    gap = (a - b)[:, 0]
    for name, one in zip(named, elpd, strict=True):
        high = (one.pareto_k.values > one.good_k).mean()
        assert scores.loc[name, "unreliable"] == pytest.approx(high)
    assert scores["unreliable"].max() > 0
    found = dw.rivals(named).effect(
        "first",
        on="costs",
        contrast=(0, 1),
        horizon=1,
        carry_forward=1,
        draws=50,
        seed=1,
        assume="no hidden causes",
    )
    table = found.table.set_index("rival")
    assert found.leave_out == "unit"
    assert table["weight"].to_dict() == pytest.approx(weight.to_dict())
    assert table["period"].nunique() == 1
    assert table.loc["first", "mean"] > 500
    assert table.loc["second", "mean"] == 0  # no arrow leads from it to costs
    assert "does not have one clear sign" in repr(found)
    assert "weights, are unreliable" in repr(found)
    assert scores["behind"].max() == pytest.approx(abs(gap.sum()))
    assert scores["behind_se"].max() == pytest.approx(np.sqrt(gap.size * gap.var()))


def test_what_cannot_be_compared_is_refused(fits: dict[str, Fit], values: dict[str, Any]) -> None:
    with pytest.raises(SpecificationError, match="at least one other"):
        dw.rivals([fits["right"]])
    with pytest.raises(SpecificationError, match="all different"):
        dw.rivals(list(fits.values()), names=["a", "a"])
    with pytest.raises(SpecificationError, match="no fitted mechanism"):
        dw.rivals(fits).effect("support", on="need")
    few = _fit("few", {n: v[:50] for n, v in values.items()}, ("support",))
    with pytest.raises(SpecificationError, match="other units or periods"):
        dw.rivals([fits["right"], few])
    gaps = {**values, "falls": values["falls"].copy()}
    gaps["falls"][:5] = np.nan
    with pytest.raises(SpecificationError, match="not all the same"):
        ask(dw.rivals([fits["right"], _fit("gaps", gaps, ("support",))]))
    moved = {**values, "falls": values["falls"] + 1.0}
    with pytest.raises(SpecificationError, match="cannot be compared"):
        ask(dw.rivals([fits["right"], _fit("moved", moved, ("support",))]))
