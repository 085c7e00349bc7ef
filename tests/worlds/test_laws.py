"""Laws of shared noise: what two scenarios share they share bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.inference import Fit
from dotwin.spec import Scenario, do, scale, shift
from dotwin.worlds.run import plan

MODELLED = (
    "turnover", "vacancy_rate", "referrals", "waiting", "starts", "backlog", "scheduled_visits",
    "missed_visits", "incidents", "hospitalizations",
)  # fmt: skip
SURGE = Scenario("surge", [scale("referrals", 1.15, over=3)])
STAFF = Scenario("staff", [shift("vacancy_rate", -0.02, where="acuity > 2")])


def simulate(fit: Fit, *scenarios: Scenario, seed: int = 5, **options):
    return fit.simulate(periods=4, scenarios=list(scenarios), seed=seed, draws=12, **options)


def test_identical_scenarios_differ_by_exactly_zero(workforce: Fit) -> None:
    twice = Scenario("twice", SURGE.interventions)
    draws = simulate(workforce, SURGE, twice).draws
    for name in MODELLED:
        one, other = (draws[name].sel(scenario=s).values for s in ("surge", "twice"))
        np.testing.assert_array_equal(one, other)


def test_an_intervention_that_changes_nothing_changes_nothing(workforce: Fit) -> None:
    idle = Scenario("idle", [scale("referrals", 1.0), shift("vacancy_rate", 0.0)])
    draws = simulate(workforce, idle).draws
    for name in MODELLED:
        values = draws[name].values
        np.testing.assert_array_equal(values[0], values[1])


def test_what_an_intervention_does_not_reach_is_bitwise_unchanged(workforce: Fit) -> None:
    graph = workforce.twin.graph
    for changed in ("missed_visits", "scheduled_visits", "turnover"):
        draws = simulate(workforce, Scenario("s", [scale(changed, 0.9)])).draws
        for name in MODELLED:
            values = draws[name].values
            reached = name == changed or graph.reaches(changed, name)
            assert reached != np.array_equal(values[0], values[1]), (changed, name)


@pytest.mark.parametrize("block", [1, 5, 12])
def test_values_do_not_depend_on_blocks(workforce: Fit, block: int) -> None:
    whole = simulate(workforce, SURGE, STAFF).draws
    engine = plan(
        workforce, periods=4, scenarios=[SURGE, STAFF], seed=5, draws=12, panel=None, inputs=None,
        new_groups=None, carry_forward=0,
    ).engine()  # fmt: skip
    for one in engine.blocks(block):
        for s, world in enumerate(one.worlds):
            for name in MODELLED:
                values = np.stack(world.seen[name][world.past :], axis=-1)
                np.testing.assert_array_equal(values, whole[name].values[s, 0, one.rows])


def test_values_do_not_depend_on_what_else_is_simulated(workforce: Fit) -> None:
    both, alone = simulate(workforce, SURGE, STAFF).draws, simulate(workforce, STAFF).draws
    for name in MODELLED:
        for scenario in ("baseline", "staff"):
            np.testing.assert_array_equal(
                both[name].sel(scenario=scenario).values, alone[name].sel(scenario=scenario).values
            )


def test_values_of_some_units_do_not_depend_on_the_others(workforce: Fit) -> None:
    whole = simulate(workforce, STAFF).draws
    few = list(workforce.panel.units[[1, 4, 5, 12]])
    part = simulate(workforce, STAFF, panel=workforce.panel.select(units=few)).draws
    for name in MODELLED:
        np.testing.assert_array_equal(part[name].values, whole[name].sel(unit=few).values)


def test_a_longer_horizon_begins_with_the_shorter_one(workforce: Fit) -> None:
    short = workforce.simulate(periods=2, seed=5, draws=12).draws
    for name in MODELLED:
        longer = simulate(workforce).draws[name].values[..., :2]
        np.testing.assert_array_equal(short[name].values, longer)


def test_fewer_draws_are_a_part_of_more(workforce: Fit) -> None:
    some, every = workforce.simulate(periods=2, seed=1, draws=4).draws, simulate(workforce, seed=1)
    shared = every.draws.sel(draw=some["draw"]).isel(period=slice(2))
    for name in MODELLED:
        np.testing.assert_array_equal(some[name].values, shared[name].values)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(workforce: Fit) -> None:
    one, same, other = (simulate(workforce, seed=s).draws["incidents"].values for s in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_draws_on_disk_are_those_in_memory(workforce: Fit, tmp_path) -> None:
    stored = simulate(workforce, SURGE, out=tmp_path / "draws").draws
    kept = simulate(workforce, SURGE).draws
    for name in kept.data_vars:
        np.testing.assert_array_equal(stored[name].values, kept[name].values)
        assert stored[name].dims == kept[name].dims


def test_monotone_coupling_makes_contrasts_far_less_noisy(workforce: Fit) -> None:
    # Two independent simulations differ by noise; two coupled ones by the intervention.
    less = Scenario("less", [do("turnover", 0.02)])
    coupled = simulate(workforce, less).draws["incidents"].values
    apart = simulate(workforce, less, seed=6).draws["incidents"].values
    noise_coupled = (coupled[1] - coupled[0]).std()
    noise_apart = (coupled[1] - apart[0]).std()
    assert noise_coupled < 0.5 * noise_apart
