"""Units that act on each other: exposure matrices, outer levels and means over groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dotwin.errors import SpecificationError
from dotwin.inference import Fit
from dotwin.mechanisms.design import build_design
from dotwin.spec import Exposure, Scenario, Twin, do, policy, read_yaml, shift, write_yaml

MONTHS = {"column": "month", "frequency": "month"}
UNITS, PERIODS, DRAWS, AHEAD = 5, 6, 12, 4
REGIONS = ["north", "north", "south", "south", "south"]
#: u04 sees nobody, u03 sees u99, who is not in the panel.
WEIGHTS = [
    ["u00", "u01", 2.0], ["u00", "u02", 1.0], ["u01", "u00", 1.0], ["u02", "u02", 3.0],
    ["u02", "u04", 1.0], ["u03", "u99", 1.0], ["u03", "u00", 0.5],
]  # fmt: skip
MATRIX = np.zeros((UNITS, UNITS))
for _unit, _other, _weight in WEIGHTS:
    if _other != "u99":
        MATRIX[int(_unit[1:]), int(_other[1:])] = _weight


def twin() -> Twin:
    plain = {"domain": "quality", "family": "normal", "plausible": [-20, 20]}
    natural = {"scale": "natural"}
    return Twin(
        twin="network",
        panel={"unit": "home", "levels": ["region"], "period": MONTHS},
        exposures={"referrals": {"weights": WEIGHTS, "because": "they send clients on"}},
        indicators={
            "pool": {
                **plain,
                "level": "region",
                "causes": {"pool[-1]": {}, "mean(load[-1], over=region)": natural},
            },
            "load": {
                **plain,
                "causes": {"pool": natural, "sum(load[-1], over=referrals)": natural},
            },
            "falls": {**plain, "causes": {"sum(load, over=referrals, others=True)": natural}},
        },
    )


@pytest.fixture(scope="module")
def network(build) -> Fit:
    make_panel, known_fit = build
    one = twin()
    rng = np.random.default_rng(2)
    shape = (UNITS, PERIODS)
    region = rng.normal(0, 1, (2, PERIODS))[[0, 0, 1, 1, 1]]
    panel = make_panel(
        one,
        {"pool": region, "load": rng.normal(5, 1, shape), "falls": rng.normal(0, 1, shape)},
        UNITS,
        PERIODS,
        {"region": REGIONS},
    )
    values = {
        "pool.intercept": 1.0, "pool.causes": [0.5, 0.1], "pool.residual_sd": 0.3,
        "load.intercept": 2.0, "load.causes": [0.4, 0.05], "load.residual_sd": 0.5,
        "falls.intercept": 0.0, "falls.causes": [0.2], "falls.residual_sd": 0.1,
    }  # fmt: skip
    return known_fit(one, panel, values, draws=DRAWS)


def run(fit: Fit, *interventions, **options) -> dict[str, np.ndarray]:
    scenario = Scenario("s", list(interventions))
    draws = fit.simulate(periods=AHEAD, scenarios=[scenario], seed=4, draws=DRAWS, **options).draws
    return {str(n): v.values[:, 0] for n, v in draws.data_vars.items()}


def exposed(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return values @ matrix.T


def region_mean(values: np.ndarray) -> np.ndarray:
    result = np.empty_like(values)
    for members in (slice(0, 2), slice(2, 5)):
        result[..., members] = values[..., members].mean(axis=-1, keepdims=True)
    return result


def by_hand(fit: Fit, base: dict[str, np.ndarray], change) -> dict[str, np.ndarray]:
    """The system written out, at the noise that the baseline shows."""
    centre = {
        name: {text: pair[0] for text, pair in fit.designs[name].reference.factors.items()}
        for name in ("pool", "load", "falls")
    }

    def step(before, pool, load, noise):
        own = {
            "pool": 1.0
            + 0.5 * before["pool"]
            + 0.1 * (region_mean(before["load"]) - centre["pool"]["mean(load[-1], over=region)"])
            + noise["pool"]
        }
        pool = change("pool", own["pool"], before) if pool is None else pool
        own["load"] = (
            2.0
            + 0.4 * pool
            + 0.05
            * (exposed(before["load"], MATRIX) - centre["load"]["sum(load[-1], over=referrals)"])
            + noise["load"]
        )
        load = change("load", own["load"], before) if load is None else load
        others = MATRIX - np.diag(np.diag(MATRIX))
        text = "sum(load, over=referrals, others=True)"
        own["falls"] = 0.2 * (exposed(load, others) - centre["falls"][text]) + noise["falls"]
        return own, pool, load

    silent = dict.fromkeys(("pool", "load", "falls"), 0.0)
    last = {
        n: np.broadcast_to(fit.panel.values(n)[:, -1], (DRAWS, UNITS)) for n in ("pool", "load")
    }
    found = {n: np.empty((DRAWS, UNITS, AHEAD)) for n in silent}
    was, now = dict(last), dict(last)
    for t in range(AHEAD):
        said, _, _ = step(was, base["pool"][..., t], base["load"][..., t], silent)
        noise = {n: base[n][..., t] - said[n] for n in silent}
        own, pool, load = step(now, None, None, noise)
        for name, value in (("pool", pool), ("load", load), ("falls", own["falls"])):
            found[name][..., t] = value
        was = {n: base[n][..., t] for n in last}
        # The own lag of what is shifted sees the natural value; nothing here is its own lag but
        # pool, which is set.
        now = {"pool": pool, "load": load}
    return found


def test_units_read_the_units_that_a_matrix_shows_them(network: Fit) -> None:
    world = run(network, shift("load", 2.0, where="region == 'north'"))
    north = np.arange(UNITS) < 2
    base = {n: v[0] for n, v in world.items()}
    expected = by_hand(
        network, base, lambda n, value, before: value + 2.0 * north if n == "load" else value
    )
    # load's own lag is a sum over others and itself, so it sees what is set.
    for name, values in expected.items():
        np.testing.assert_allclose(world[name][1], values, rtol=1e-9, err_msg=name)
    # u04 sees nobody, and no one in the south sends to it.
    np.testing.assert_array_equal(world["falls"][1][:, 4], world["falls"][0][:, 4])


def test_an_indicator_of_a_region_has_one_value_that_its_units_read(network: Fit) -> None:
    world = run(network, policy("pool", "2 + 0.1 * mean(load[-1], over=region)"))
    base = {n: v[0] for n, v in world.items()}
    for values in (world["pool"][0], world["pool"][1]):
        np.testing.assert_array_equal(values[:, :2], values[:, [0, 0]])
        np.testing.assert_array_equal(values[:, 2:], values[:, [2, 2, 2]])
    expected = by_hand(
        network,
        base,
        lambda n, v, before: 2 + 0.1 * region_mean(before["load"]) if n == "pool" else v,
    )
    for name, values in expected.items():
        np.testing.assert_allclose(world[name][1], values, rtol=1e-9, err_msg=name)


def test_what_differs_within_a_region_cannot_change_its_one_value(network: Fit) -> None:
    with pytest.raises(SpecificationError, match=r"mean\(load\[-1\], over=region\)"):
        run(network, policy("pool", "load[-1]"))
    with pytest.raises(SpecificationError, match=r"recorded by region"):
        run(network, do("pool", 1, where="load[-1] > 2"))
    some = run(network, do("pool", 9, where="region == 'south'"))["pool"][1]
    np.testing.assert_array_equal(some[:, 2:], 9.0)


def test_the_fit_reads_the_same_columns_as_the_worlds(network: Fit) -> None:
    design = build_design(network.twin, "falls", network.panel)
    load = network.panel.values("load")
    others = MATRIX - np.diag(np.diag(MATRIX))
    text = "sum(load, over=referrals, others=True)"
    centre = design.reference.factors[text][0]
    column = design.main.columns[:, 0]
    expected = (others @ load)[design.unit, design.period] - centre
    np.testing.assert_allclose(column, expected, rtol=1e-12, atol=1e-12)


def test_the_noise_of_a_unit_does_not_depend_on_who_else_is_there(network: Fit) -> None:
    """Values do, where units act on each other; u04 sees nobody, and its region is whole."""
    south = network.simulate(
        periods=1, seed=4, draws=DRAWS, panel=network.panel.select(units=["u02", "u03", "u04"])
    )
    whole = network.simulate(periods=1, seed=4, draws=DRAWS)
    np.testing.assert_array_equal(
        south.draws["falls"].sel(unit="u04").values, whole.draws["falls"].sel(unit="u04").values
    )
    np.testing.assert_array_equal(
        south.draws["pool"].sel(unit="u02").values, whole.draws["pool"].sel(unit="u02").values
    )


def test_a_matrix_is_the_same_in_yaml_python_and_a_table() -> None:
    one = twin()
    assert read_yaml(write_yaml(one)) == one
    table = pd.DataFrame(WEIGHTS, columns=["unit", "other", "weight"])
    assert Exposure(weights=table) == Exposure(weights=WEIGHTS)
    assert hash(Exposure(weights=table)) == hash(Exposure(weights=WEIGHTS))


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([["a", "b"]], r"row 1 must be \[unit, other, weight\]"),
        ([["a", "b", -1]], "a number from 0"),
        ([["a", "b", 1], ["a", "b", 2]], "in two rows"),
        ([], "at least one row"),
        (pd.DataFrame({"unit": ["a"], "weight": [1]}), "no column other"),
    ],
)
def test_a_matrix_that_cannot_be_is_refused(weights, words) -> None:
    with pytest.raises(SpecificationError, match=words):
        Exposure(weights=weights)


def test_an_unknown_matrix_is_refused_with_what_there_is() -> None:
    fields = twin().model_dump()
    fields["indicators"]["falls"]["causes"] = {"mean(load, over=referals)": {}}
    with pytest.raises(SpecificationError, match="Did you mean 'referrals'"):
        Twin(**fields)


def test_what_a_unit_sees_of_others_is_changed_and_its_own_past_is_natural(build) -> None:
    """x follows the mean of its region's past, itself included; one home is shifted."""
    make_panel, known_fit = build
    one = Twin(
        twin="contagion",
        panel={"unit": "home", "levels": ["region"], "period": MONTHS},
        indicators={
            "x": {
                "domain": "quality",
                "family": "normal",
                "plausible": [-20, 20],
                "causes": {"mean(x[-1], over=region)": {"scale": "natural"}},
            }
        },
    )
    panel = make_panel(one, {"x": 0.0}, UNITS, 3, {"region": REGIONS})
    fit = known_fit(
        one, panel, {"x.intercept": 0.0, "x.causes": [0.5], "x.residual_sd": 1.0}, draws=DRAWS
    )
    x = run(fit, shift("x", 4.0, where="home == 'u00'"))["x"]
    moved = x[1] - x[0]
    # u00's own past is natural: of its shift nothing comes back to it but through u01.
    natural = moved[:, 0] - 4.0
    other = moved[:, 1]
    np.testing.assert_allclose(natural[:, 0], 0.0, atol=1e-12)
    for t in range(1, AHEAD):
        seen = (moved[:, 0, t - 1] + other[:, t - 1]) / 2
        np.testing.assert_allclose(other[:, t], 0.5 * seen, atol=1e-12)
        own = (natural[:, t - 1] + other[:, t - 1]) / 2
        np.testing.assert_allclose(natural[:, t], 0.5 * own, atol=1e-12)
    np.testing.assert_array_equal(x[1][:, 2:], x[0][:, 2:])
