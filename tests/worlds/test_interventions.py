"""What interventions do: to whom, when, how strongly, and what their own lag sees."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.errors import LicenceError, SpecificationError
from dotwin.inference import Fit
from dotwin.spec import Scenario, Twin, at_least, at_most, do, policy, scale, shift

MONTHS = {"column": "month", "frequency": "month"}
UNITS, PERIODS = 6, 6


@pytest.fixture(scope="module")
def persistent(build) -> Fit:
    """x follows 0.6 times its own past; y follows x, its share follows x, z stands alone."""
    make_panel, known_fit = build
    twin = Twin(
        twin="small",
        panel={"unit": "home", "levels": ["region"], "period": MONTHS},
        indicators={
            "beds": {"domain": "context", "plausible": [-1, 1]},
            "visits": {"domain": "demand"},
            "x": {
                "domain": "demand",
                "family": "normal",
                "plausible": [-20, 20],
                "causes": {"x[-1]": {}},
            },
            "y": {
                "domain": "quality",
                "family": "normal",
                "plausible": [-20, 20],
                "causes": {"x": {"scale": "natural"}},
            },
            "missed": {
                "domain": "quality",
                "family": "binomial",
                "trials": "visits",
                "causes": {"x": {"scale": "natural"}},
            },
            "size": {"domain": "outcome", "family": "lognormal", "plausible": [1, 9]},
            "z": {"domain": "outcome", "family": "poisson"},
            "stock": {"domain": "capacity", "equals": "stock[-1] + z", "start": 0},
        },
    )
    rng = np.random.default_rng(1)
    shape = (UNITS, PERIODS)
    panel = make_panel(
        twin,
        {
            "beds": np.arange(UNITS)[:, None],
            "visits": 40.0,
            "x": rng.normal(10, 1, shape),
            "y": rng.normal(0, 1, shape),
            "missed": rng.binomial(40, 0.2, shape),
            "size": np.exp(rng.normal(1, 0.2, shape)),
            "z": rng.poisson(3, shape),
        },
        UNITS,
        PERIODS,
        {"region": ["north", "north", "south", "south", "south", "west"]},
    )
    values = {
        "x.intercept": 4.0, "x.causes": [0.6], "x.residual_sd": 0.5,
        "y.intercept": 0.0, "y.causes": [1.0], "y.residual_sd": 0.1,
        "missed.intercept": -1.5, "missed.causes": [0.05],
        "size.intercept": 1.0, "size.residual_sd": 0.3,
        "z.intercept": 1.0,
    }  # fmt: skip
    return known_fit(twin, panel, values, draws=40)


def run(fit: Fit, *interventions, periods: int = 5, **options) -> dict[str, np.ndarray]:
    futures = fit.simulate(
        periods=periods, scenarios=[Scenario("s", list(interventions))], seed=3, draws=40, **options
    )
    found = {str(n): v.values[:, 0] for n, v in futures.draws.data_vars.items()}
    return {name: values for name, values in found.items() if values.dtype.kind == "f"}


def test_a_scaling_of_15_percent_stays_15_percent(persistent: Fit) -> None:
    x = run(persistent, scale("x", 1.15))["x"]
    np.testing.assert_allclose(x[1], 1.15 * x[0], rtol=1e-15)


def test_other_indicators_see_the_changed_value(persistent: Fit) -> None:
    world = run(persistent, shift("x", 2.0))
    np.testing.assert_allclose(world["y"][1] - world["y"][0], 2.0, rtol=1e-12)


def test_carry_feeds_the_changed_value_into_its_own_lag(persistent: Fit) -> None:
    x = run(persistent, shift("x", 1.0, carry=True))["x"]
    # 1, 1 + 0.6, 1 + 0.6 + 0.36, …: the geometric series of the persistence.
    expected = np.cumsum(0.6 ** np.arange(5))
    np.testing.assert_allclose((x[1] - x[0]), np.broadcast_to(expected, x[0].shape), rtol=1e-12)


def test_a_pulse_that_is_carried_fades_and_one_that_is_not_is_gone(persistent: Fit) -> None:
    carried = run(persistent, shift("x", 1.0, periods=1, carry=True))["x"]
    plain = run(persistent, shift("x", 1.0, periods=1))["x"]
    np.testing.assert_allclose((carried[1] - carried[0])[0, 0], 0.6 ** np.arange(5), rtol=1e-9)
    np.testing.assert_allclose((plain[1] - plain[0])[0, 0], [1, 0, 0, 0, 0], atol=1e-14)


def test_what_is_set_has_no_natural_value_left_for_its_lag(persistent: Fit) -> None:
    x = run(persistent, do("x", 0.0, periods=2))["x"]
    base = x[0]
    np.testing.assert_array_equal(x[1][..., :2], 0.0)
    # Released, x starts from 0: it lacks 0.6 of what the baseline had, and less each period.
    lacking = base[..., 1]
    np.testing.assert_allclose((base - x[1])[..., 2], 0.6 * lacking, rtol=1e-9)
    np.testing.assert_allclose((base - x[1])[..., 3], 0.36 * lacking, rtol=1e-9)


def test_bounds_bind_only_where_they_must(persistent: Fit) -> None:
    up, down = run(persistent, at_least("y", 10.0))["y"], run(persistent, at_most("y", 10.0))["y"]
    np.testing.assert_array_equal(up[1], np.maximum(up[0], 10.0))
    np.testing.assert_array_equal(down[1], np.minimum(down[0], 10.0))


def test_a_ramp_rises_linearly_and_stays(persistent: Fit) -> None:
    y = run(persistent, shift("y", 6.0, start=2, over=3))["y"]
    np.testing.assert_allclose((y[1] - y[0])[0, 0], [0, 2, 4, 6, 6], atol=1e-12)


def test_a_ramped_do_moves_from_the_natural_value_to_the_target(persistent: Fit) -> None:
    y = run(persistent, do("y", 0.0, over=4))["y"]
    weight = np.array([0.25, 0.5, 0.75, 1.0, 1.0])
    np.testing.assert_allclose(y[1], (1 - weight) * y[0], atol=1e-12)


@pytest.mark.parametrize(
    ("options", "acting"),
    [
        ({}, [1, 1, 1, 1, 1]),
        ({"start": 3}, [0, 0, 1, 1, 1]),
        ({"until": 2}, [1, 1, 0, 0, 0]),
        ({"start": 2, "periods": 2}, [0, 1, 1, 0, 0]),
        ({"start": "2024-08", "until": "2024-09"}, [0, 1, 1, 0, 0]),
        ({"start": "2024-09-15"}, [0, 0, 1, 1, 1]),
        ({"until": "2030-01"}, [1, 1, 1, 1, 1]),
    ],
)
def test_dates(persistent: Fit, options: dict, acting: list[int]) -> None:
    # The panel ends in June 2024, so the first future period is July.
    y = run(persistent, shift("y", 1.0, **options))["y"]
    np.testing.assert_allclose((y[1] - y[0])[0, 0], acting, atol=1e-12)


def test_a_level_and_a_given_choose_a_fixed_group(persistent: Fit) -> None:
    for where, treated in [
        ("region == 'south'", [2, 3, 4]),
        ("beds >= 4", [4, 5]),
        ("region == 'north' or beds > 4", [0, 1, 5]),
        ("not region == 'south'", [0, 1, 5]),
    ]:
        y = run(persistent, shift("y", 1.0, where=where))["y"]
        changed = (y[1] != y[0]).any(axis=(0, 2))
        assert np.flatnonzero(changed).tolist() == treated, where


def test_a_rule_reads_the_intervened_world_anew_in_each_period(persistent: Fit) -> None:
    world = run(persistent, shift("y", -5.0, where="x > 10"))
    treated = world["y"][1] != world["y"][0]
    np.testing.assert_array_equal(treated, world["x"][1] > 10)
    lagged = run(persistent, do("x", 0.0, where="y[-1] > 10"))
    treated = lagged["x"][1] == 0.0
    np.testing.assert_array_equal(treated[..., 1:], lagged["y"][1][..., :-1] > 10)
    facts = persistent.panel.values("y")[:, -1] > 10
    np.testing.assert_array_equal(treated[..., 0], np.broadcast_to(facts, treated.shape[:2]))


def test_start_fixes_the_group_when_the_intervention_begins(persistent: Fit) -> None:
    y = run(persistent, shift("y", 1.0, where="start(x) > 10"))["y"]
    facts = persistent.panel.values("x")[:, -1] > 10
    changed = y[1] != y[0]
    np.testing.assert_array_equal(changed, np.broadcast_to(facts[None, :, None], changed.shape))
    later = run(persistent, shift("y", 1.0, where="start(x) > 10", start=3))
    group = later["x"][1][..., 1] > 10
    changed = later["y"][1] != later["y"][0]
    np.testing.assert_array_equal(changed[..., 2:], np.broadcast_to(group[..., None], (40, 6, 3)))
    assert not changed[..., :2].any()


def test_a_rule_on_the_changed_indicator_itself_reads_its_natural_value(persistent: Fit) -> None:
    y = run(persistent, shift("y", -3.0, where="y > 10"))["y"]
    np.testing.assert_array_equal(y[1], np.where(y[0] > 10, y[0] - 3.0, y[0]))


def test_verbs_act_on_the_share_of_counts_with_trials(persistent: Fit) -> None:
    missed = run(persistent, do("missed", 0.5))["missed"][1]
    # 1,200 counts of 40 trials each at 0.5, within four standard errors.
    assert abs(missed.mean() / 40 - 0.5) < 4 * np.sqrt(0.25 / 40 / missed.size)
    assert missed.max() <= 40
    half = run(persistent, scale("missed", 0.5))["missed"]
    assert (half[1] <= half[0]).all()  # the same noise, so never more
    np.testing.assert_allclose(half[1].mean() / half[0].mean(), 0.5, atol=0.03)
    for value, count in ((0.0, 0), (1.0, 40)):
        np.testing.assert_array_equal(run(persistent, do("missed", value))["missed"][1], count)


def test_the_share_that_a_shift_moves_is_the_natural_one(persistent: Fit) -> None:
    world = run(persistent, shift("missed", 0.1))
    share = 1 / (1 + np.exp(1.5 - 0.05 * world["x"][0])) + 0.1
    error = np.sqrt((share * (1 - share) / 40).mean() / share.size)
    assert abs((world["missed"][1] / 40 - share).mean()) < 4 * error


def test_trials_that_are_scaled_stay_whole_where_they_are_counted_out_of(persistent: Fit) -> None:
    world = run(persistent, scale("visits", 1.05))  # 42 visits
    np.testing.assert_array_equal(world["visits"][1], 42.0)
    world = run(persistent, scale("visits", 1.04))  # 41.6: 41 or 42, 41.6 on average
    assert (world["missed"][1] == np.floor(world["missed"][1])).all()
    assert (world["missed"][1] >= world["missed"][0]).all()


def test_other_counts_take_the_changed_value_as_it_is(persistent: Fit) -> None:
    world = run(persistent, scale("z", 1.1))
    np.testing.assert_allclose(world["z"][1], 1.1 * world["z"][0], rtol=1e-15)
    # The exact stock adds up what was changed.
    stock = persistent.panel.values("stock")[:, -1]
    np.testing.assert_allclose(
        world["stock"][1], stock[None, :, None] + np.cumsum(world["z"][1], axis=-1), rtol=1e-12
    )


def test_a_value_outside_the_support_goes_to_its_edge_and_is_counted(persistent: Fit) -> None:
    with pytest.raises(LicenceError, match="assume='edge'"):
        run(persistent, shift("z", -2.0))
    futures = persistent.simulate(
        periods=5, scenarios=[Scenario("s", [shift("z", -2.0)])], seed=3, draws=40, assume="edge"
    )
    z = futures.draws["z"].values[:, 0]
    np.testing.assert_array_equal(z[1], np.maximum(z[0] - 2.0, 0.0))
    share = futures.edge_share[("s", "z")]
    assert share == pytest.approx((z[0] < 2).mean())
    assert (futures.realised["at_edge"] == share).all()


def test_an_open_end_of_the_support_is_never_reached(persistent: Fit) -> None:
    size = run(persistent, do("size", 0.0), assume="edge")["size"][1]
    assert (size > 0).all()
    assert size.max() < 1e-4


def test_a_value_that_is_a_distribution_is_drawn_once_per_draw(persistent: Fit) -> None:
    twice = [
        Scenario("a", [shift("y", "normal(5, 1)")]),
        Scenario("b", [shift("y", "normal(5, 1)", start=2)]),
    ]
    draws = persistent.simulate(periods=3, scenarios=twice, seed=3, draws=40).draws["y"]
    moved = (draws.sel(scenario="a") - draws.sel(scenario="baseline")).values[0]
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1, :1], moved.shape), rtol=1e-9)
    later = (draws.sel(scenario="b") - draws.sel(scenario="baseline")).values[0]
    np.testing.assert_allclose(later[..., 1:], moved[..., 1:], rtol=1e-9)
    assert abs(moved[:, 0, 0].mean() - 5) < 4 / np.sqrt(40)
    assert moved[:, 0, 0].std() > 0.5


@pytest.mark.parametrize(
    ("intervention", "words"),
    [
        (do("stock", 3), "stock equals stock"),
        (do("stok", 3), "Did you mean 'stock'"),
        (shift("x", 1, where="y > 3"), r"y\[-1\]"),
        (shift("x", 1, where="heads > 3"), "no indicator 'heads'"),
        (shift("x", 1, start=9), "after the future"),
        (shift("x", 1, start="2024-03"), "before the future"),
        (shift("x", 1, start="2024-W40"), "no month"),
        (shift("x", 1, where="mean(y, over=planet) > 1"), "no level"),
        (shift("x", 1, where="share(z) > 0.1"), "has no trials"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(persistent, intervention, words) -> None:
    with pytest.raises(SpecificationError, match=words):
        run(persistent, intervention)


def test_two_rules_that_wait_for_each_other_are_refused(persistent: Fit) -> None:
    with pytest.raises(SpecificationError, match="wait for each other"):
        run(persistent, shift("size", 1, where="z > 3"), shift("z", 1, where="size > 3"))


def test_all_problems_of_all_scenarios_are_reported_at_once(persistent: Fit) -> None:
    bad = [Scenario("a", [do("stock", 1)]), Scenario("b", [shift("x", 1, start=9)])]
    with pytest.raises(SpecificationError, match="2 problems"):
        persistent.simulate(periods=3, scenarios=bad, seed=1)


def test_a_scenario_of_the_twin_is_called_by_name(workforce: Fit) -> None:
    futures = workforce.simulate(periods=2, scenarios=["keep staff"], seed=1, draws=4)
    assert list(futures.scenarios) == ["baseline", "keep staff"]
    with pytest.raises(SpecificationError, match="Did you mean 'keep staff'"):
        workforce.simulate(periods=2, scenarios=["keep staf"], seed=1)


def test_an_intervention_by_itself_is_a_scenario_and_other_things_are_refused(
    persistent: Fit,
) -> None:
    asked = do("x", 1)
    alone = persistent.simulate(periods=2, scenarios=asked, seed=1)
    named = persistent.simulate(periods=2, scenarios=Scenario("set", [asked]), seed=1)
    assert list(alone.scenarios) == ["baseline", "do(x, 1)"]
    before, after = alone.draws.sel(scenario="do(x, 1)"), named.draws.sel(scenario="set")
    assert before["x"].equals(after["x"].assign_coords(scenario="do(x, 1)"))
    with pytest.raises(SpecificationError, match="7 is neither a scenario, nor an intervention"):
        persistent.simulate(periods=2, scenarios=[7], seed=1)  # type: ignore[list-item]


def test_a_group_that_is_not_there_is_told(workforce: Fit) -> None:
    for asked in (
        shift("turnover", 0.01, where="region == 'region-1'"),
        policy("turnover", "0.1 * (start(turnover) > 0.1) * (region == 'region-1')"),
    ):
        with pytest.raises(SpecificationError, match=r"no region is called 'region-1'.* Did you"):
            workforce.simulate(periods=2, scenarios=asked, seed=1, draws=4)


def test_a_condition_that_nobody_meets_is_noted(workforce: Fit) -> None:
    asked = Scenario("none", [shift("turnover", 0.01, where="clients > 1e9")])
    futures = workforce.simulate(periods=2, scenarios=asked, seed=1, draws=4)
    assert "'none' changes turnover nowhere: nobody meets its terms" in futures.notes
