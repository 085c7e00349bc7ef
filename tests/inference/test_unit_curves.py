"""Curves say of a unit's effect what all its rows say, at a cost that does not grow with them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dotwin.inference.changes import Changes
from dotwin.inference.reweighting import Way, _Task
from dotwin.inference.unit_curves import averages_of, curves_of
from dotwin.inference.unit_integrals import UnitDensity, integrals, unit_rows
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.parameters import draw_prior, parameters
from dotwin.mechanisms.response import row_extra, row_predictor
from tests.inference.nuts.cases import mechanism, table
from tests.inference.nuts.test_density import CASES

DRAWS = 60
#: What makes panels of parameters beside the linear predictor, and of the spread of effects.
FURTHER = {
    "y.residual_sd": 0.6,
    "y.dispersion": 12.0,
    "y.shape": 3.0,
    "y.nu": 9.0,
    "y.sd_provider": 0.4,
}
CURVED = [
    "normal",
    "poisson",
    "negative_binomial",
    "bernoulli",
    "beta_binomial",
    "gamma",
    "beta",
    "student_t",
    "lognormal",
    "normal, at least",
    "negative_binomial, at least",
]


def split(design: Design) -> tuple[Any, Any]:
    """Rows before the last period, and those of it; the last two units have none before."""
    is_new = (design.period == design.period.max()) | (design.unit >= design.unit.max() - 1)
    return np.flatnonzero(~is_new), np.flatnonzero(is_new)


def drawn_together(design: Design) -> tuple[Design, dict[str, Any]]:
    """A panel that the mechanism itself makes, and draws as its posterior has them.

    They lie around what made the panel, the units' effects where their old rows put them.
    """
    listed = parameters(design.equation, design.reference, design.group_names, design.period_names)
    rng = np.random.default_rng(3)
    truth, values = draw_prior(listed, 1, seed=11), {}
    for one in listed:
        centre = FURTHER.get(one.name, 0.3 * truth[one.name])
        truth[one.name] = np.broadcast_to(centre, (1, *one.shape)).copy()
        noise = 0.03 * rng.standard_normal((DRAWS, *one.shape))
        is_spread = one.kind == "dispersion" or ".sd_" in one.name
        moved = truth[one.name] * np.exp(noise) if is_spread else truth[one.name] + noise
        values[one.name] = np.asarray(moved)
    u = rng.uniform(size=design.rows)
    eta, extra = row_predictor(design.equation.main, design, truth), row_extra(design, truth)
    tail = np.where(u < 0.5, u, u - 1.0)[None]
    y = design.equation.family.quantile(tail, eta, extra, design.trials)[0]
    design = replace(design, y=np.asarray(y))
    sd = 0.4 * np.exp(0.1 * rng.standard_normal(DRAWS))
    values["y.sd_provider"] = sd
    units = unit_rows(design, *split(design), "provider")
    none = {**values, "y.provider": np.zeros_like(values["y.provider"])}
    start = np.zeros((DRAWS, units.group.size))
    spread = np.broadcast_to(0.2 * sd[:, None], start.shape)
    inside = integrals(OldRows(units, none), start, spread, sd, 15, 10)
    values["y.provider"][:, units.group] = inside.draw(rng.uniform(size=(1, *start.shape)))[0]
    return design, values


class OldRows(UnitDensity):
    """What old rows say alone."""

    def new(self, effects: Any) -> Any:
        """Say nothing."""
        return np.zeros(effects.shape)

    def fresh(self, effects: Any) -> Any:
        """Say nothing."""
        return np.zeros(effects.shape)


@pytest.mark.parametrize("name", CURVED)
def test_curves_weigh_and_draw_as_sums_over_all_rows_do(name: str) -> None:
    outcome, indicator = CASES[name]
    design, values = drawn_together(mechanism(table(3, outcome), **indicator))
    task = _Task(design, design, Changes(*split(design), 0, 0), "y.provider", "provider")
    task.learn(values, seed=1)
    assert task.curves is not None
    found = []
    for curves in (True, False):
        held = {key: array.copy() for key, array in values.items()}
        _, inside = task.weigh(held, np.random.default_rng(1), Way(curves, 9, 2))
        assert inside is not None
        found.append(inside)
    gains = found[0].gain() - found[1].gain()
    assert np.std(found[1].gain()) > 0.05  # there is something to weigh
    assert np.std(gains) < 0.01
    noise = np.random.default_rng(2).uniform(size=(1, DRAWS, task.touched))
    drawn = [one.draw(noise)[0] for one in found]
    apart = (drawn[0] - drawn[1]) / found[1].scale
    assert np.sqrt((apart**2).mean(axis=0)).max() < 0.03


def test_averages_are_those_of_the_rows_whatever_the_parameters() -> None:
    outcome, indicator = CASES["poisson"]
    fields = {**indicator, "pooling": ["region", "provider", "period"], "trend": "walk"}
    design = mechanism(table(7, outcome, periods=6), **fields)
    listed = parameters(design.equation, design.reference, design.group_names, design.period_names)
    values = draw_prior(listed, 5, seed=1)
    values["y.provider"] = np.zeros_like(values["y.provider"])
    units = unit_rows(design, *split(design), "provider")
    weights = np.random.default_rng(1).uniform(0.1, 2.0, units.old.rows)
    ours = averages_of(units, weights, values, "y.provider").of(values)
    eta = row_predictor(units.old.equation.main, units.old, values)
    for unit in range(units.group.size):
        own = units.old_unit == unit
        expected = np.average(eta[:, own], axis=1, weights=weights[own]) if own.any() else 0.0
        np.testing.assert_allclose(ours[:, unit], expected, atol=1e-10)


@pytest.mark.parametrize("name", ["poisson, hurdle", "ordinal"])
def test_what_more_than_an_effect_moves_has_no_curve(name: str) -> None:
    outcome, indicator = CASES[name]
    design = mechanism(table(3, outcome), **indicator)
    listed = parameters(design.equation, design.reference, design.group_names, design.period_names)
    values = draw_prior(listed, 3, seed=1)
    units = unit_rows(design, *split(design), "provider")
    effects = values["y.provider"][:, units.group]
    averages = averages_of(units, np.ones(units.old.rows), values, "y.provider")
    assert curves_of(units, averages, values, effects, values) is None
