"""Policies, cut arrows and redeployment, against the same system written out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.errors import ConservationWarning, LicenceError, SpecificationError
from dotwin.inference import Fit
from dotwin.spec import Scenario, Twin, block, do, policy, redeploy, shift

MONTHS = {"column": "month", "frequency": "month"}
UNITS, PERIODS, DRAWS, AHEAD = 7, 4, 30, 5
REGIONS = ["north"] * 3 + ["south"] * 4
MEMBERS = [np.arange(3), np.arange(3, 7)]
NAMES = ("hours", "need", "falls")
SPREAD = "mean(hours, over=region, others=True)"


@pytest.fixture(scope="module")
def homes(build) -> Fit:
    """Hours follow their past; need follows hours and the others' hours; falls follow need."""
    make_panel, known_fit = build
    plausible = [-20, 20]
    twin = Twin(
        twin="homes",
        panel={"unit": "home", "levels": ["region"], "period": MONTHS},
        indicators={
            "beds": {"domain": "context"},
            "hours": {
                "domain": "quality",
                "family": "normal",
                "plausible": plausible,
                "causes": {"hours[-1]": {}},
                "weight": "beds",
            },
            "need": {
                "domain": "quality",
                "family": "normal",
                "plausible": plausible,
                "causes": {
                    "hours": {"scale": "natural"},
                    SPREAD: {"scale": "natural"},
                    "need[-1]": {},
                },
            },
            "falls": {
                "domain": "outcome",
                "family": "normal",
                "plausible": plausible,
                "causes": {"need": {"scale": "natural"}, "hours": {"scale": "natural"}},
            },
            "calls": {
                "domain": "outcome",
                "family": "poisson",
                "plausible": [0.5, 2],
                "causes": {"need": {"scale": "natural"}},
            },
        },
    )
    rng = np.random.default_rng(5)
    shape = (UNITS, PERIODS)
    panel = make_panel(
        twin,
        {
            "beds": np.array([10, 20, 30, 40, 10, 20, 30])[:, None],
            "hours": rng.normal(10, 2, shape),
            "need": rng.normal(0, 1, shape),
            "falls": rng.normal(0, 1, shape),
            "calls": rng.poisson(2, shape),
        },
        UNITS,
        PERIODS,
        {"region": REGIONS},
    )
    # A reference centre of a product of two terms or of a mean comes from the data unless
    # `plausible` gives it; the brute force below reads it from the design.
    values = {
        "hours.intercept": 4.0, "hours.causes": [0.6], "hours.residual_sd": 0.5,
        "need.intercept": 1.0, "need.causes": [-0.3, -0.1, 0.5], "need.residual_sd": 0.4,
        "falls.intercept": 0.0, "falls.causes": [0.7, -0.2], "falls.residual_sd": 0.3,
        "calls.intercept": 0.2, "calls.causes": [0.1],
    }  # fmt: skip
    return known_fit(twin, panel, values, draws=DRAWS)


def others(hours: np.ndarray) -> np.ndarray:
    """The mean of the other homes of the region, dims (draw, unit)."""
    result = np.empty_like(hours)
    for members in MEMBERS:
        for u in members:
            result[:, u] = hours[:, members[members != u]].mean(axis=1)
    return result


class Brute:
    """The system written out, with the noise that a baseline shows."""

    def __init__(self, fit: Fit, base: dict[str, np.ndarray]) -> None:
        self.base = base
        factors = fit.designs["need"].reference.factors
        self.centre = {text: factors[text][0] for text in ("hours", SPREAD)}
        self.last = {n: fit.panel.values(n)[:, -1] for n in ("hours", "need")}
        silent = np.zeros((DRAWS, UNITS, AHEAD))
        self.noise = dict.fromkeys(NAMES, silent)
        # What the equations say of the baseline's own past leaves its noise.
        said = self.run(world=base)
        self.noise = {name: base[name] - said[name] for name in NAMES}

    def run(self, change=None, cut=(), world=None):
        """Return all values; in a `world` the equations read that one's values."""
        found = {n: np.empty((DRAWS, UNITS, AHEAD)) for n in NAMES}
        natural = np.empty((DRAWS, UNITS, AHEAD))
        read, own = (found, natural) if world is None else (world, world["hours"])
        hours = np.broadcast_to(self.last["hours"], (DRAWS, UNITS))
        need = np.broadcast_to(self.last["need"], (DRAWS, UNITS))
        for t in range(AHEAD):
            noise = {name: values[..., t] for name, values in self.noise.items()}
            natural[..., t] = 4.0 + 0.6 * hours + noise["hours"]
            state = {"need": need, "hours": natural[..., t]}
            found["hours"][..., t] = natural[..., t] if change is None else change(state, t)
            seen = {
                effect: (self.base if ("hours", effect) in cut else read)["hours"][..., t]
                for effect in ("need", "falls")
            }
            found["need"][..., t] = (
                1.0
                - 0.3 * (seen["need"] - self.centre["hours"])
                - 0.1 * (others(seen["need"]) - self.centre[SPREAD])
                + 0.5 * need
                + noise["need"]
            )
            found["falls"][..., t] = (
                0.7 * read["need"][..., t] - 0.2 * seen["falls"] + noise["falls"]
            )
            hours, need = own[..., t], read["need"][..., t]
        return found


def run(fit: Fit, *interventions) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the baseline and the scenario, dims (draw, unit, period)."""
    scenario = Scenario("s", list(interventions))
    futures = fit.simulate(periods=AHEAD, scenarios=[scenario], seed=3, draws=DRAWS)
    found = {str(n): v.values[:, 0] for n, v in futures.draws.data_vars.items()}
    return {n: v[0] for n, v in found.items()}, {n: v[1] for n, v in found.items()}


@pytest.fixture(scope="module")
def brute(homes: Fit) -> Brute:
    return Brute(homes, run(homes, do("beds", 1))[0])


def check(world: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, values in expected.items():
        np.testing.assert_allclose(world[name], values, rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_policy_sets_what_its_rule_says_of_the_intervened_world(homes: Fit, brute: Brute) -> None:
    _, world = run(homes, policy("hours", "8 + max(0, need[-1]) * 0.5"))
    # A policy leaves no natural value: what it set last period is what the lag would see.
    expected = brute.run(lambda state, t: 8 + 0.5 * np.maximum(state["need"], 0))
    check(world, expected)


def test_a_policy_for_some_rises_and_ends_like_any_change(homes: Fit) -> None:
    options = {"start": 2, "periods": 3, "over": 2, "where": "need[-1] > 0"}
    _, world = run(homes, policy("hours", "start(need) + 12", **options))
    base, _ = run(homes, do("beds", 1))
    hours = world["hours"]
    np.testing.assert_array_equal(hours[..., 0], base["hours"][..., 0])
    begun = base["need"][..., 0]
    needy = world["need"][..., 0] > 0
    natural = base["hours"][..., 1]
    halfway = natural + 0.5 * (begun + 12 - natural)
    np.testing.assert_allclose(hours[..., 1], np.where(needy, halfway, natural), rtol=1e-12)
    needy = world["need"][..., 1] > 0
    np.testing.assert_allclose(hours[..., 2][needy], (begun + 12)[needy], rtol=1e-12)


def test_a_cut_arrow_carries_the_baseline(homes: Fit, brute: Brute) -> None:
    lift = 2.0
    base, cut = run(homes, shift("hours", lift), block("hours", "need"))
    expected = brute.run(lambda state, t: state["hours"] + lift, cut={("hours", "need")})
    check(cut, expected)
    # Nothing passes along the arrow into need, so only the direct arrow into falls is left.
    np.testing.assert_array_equal(cut["need"], base["need"])
    np.testing.assert_allclose(cut["falls"] - base["falls"], -0.2 * lift, rtol=1e-9)
    _, other = run(homes, shift("hours", lift), block("hours", "falls"))
    _, whole = run(homes, shift("hours", lift))
    # In a linear system the parts add up to the whole.
    parts = (cut["falls"] - base["falls"]) + (other["falls"] - base["falls"])
    np.testing.assert_allclose(parts, whole["falls"] - base["falls"], rtol=1e-9, atol=1e-12)


def test_a_cut_alone_changes_nothing(homes: Fit) -> None:
    base, cut = run(homes, block("hours", "need"))
    for name, values in base.items():
        np.testing.assert_array_equal(cut[name], values)


def by_hand(need, hours, beds, share=None, amount=None, floor=0.0, strength=1.0):
    """Pair the neediest with the least needy, region by region, one draw at a time."""
    result = hours.copy()
    for d in range(DRAWS):
        for members in MEMBERS:
            ranked = sorted(members, key=lambda u: need[d, u])
            for k in range(len(ranked) // 2):
                giver, taker = ranked[k], ranked[-1 - k]
                if need[d, giver] == need[d, taker]:
                    continue
                part = share * hours[d, giver] if share else amount / beds[giver]
                gift = strength * max(min(part, hours[d, giver] - floor), 0.0)
                result[d, giver] -= gift
                result[d, taker] += gift * beds[giver] / beds[taker]
    return result


@pytest.mark.parametrize("options", [{"share": 0.3}, {"amount": 40.0, "floor": 8.5}])
def test_redeployment_moves_from_the_least_needy_to_the_neediest(homes, brute, options) -> None:
    base, world = run(homes, redeploy("hours", "need[-1]", within="region", over=2, **options))
    beds = homes.panel.values("beds")[:, -1]
    expected = brute.run(
        lambda state, t: by_hand(
            state["need"], state["hours"], beds, strength=min(1.0, (t + 1) / 2), **options
        )
    )
    check(world, expected)
    # The total of beds times hours per bed stays what the world itself yields, here the baseline.
    for members in MEMBERS:
        total = [(w["hours"][:, members] * beds[members, None]).sum(axis=1) for w in (base, world)]
        np.testing.assert_allclose(total[1], total[0], rtol=1e-14)
    assert (world["hours"] != base["hours"]).any(axis=(0, 2)).sum() >= UNITS - 2


def test_units_outside_the_condition_neither_give_nor_receive(homes: Fit) -> None:
    base, world = run(
        homes, redeploy("hours", "need[-1]", within="region", share=0.5, where="beds < 40")
    )
    moved = (world["hours"] != base["hours"]).any(axis=(0, 2))
    assert not moved[3]
    assert moved[4:].all()


def test_equal_need_moves_nothing(homes: Fit) -> None:
    base, world = run(homes, redeploy("hours", "beds - beds", within="region", share=0.5))
    for name, values in base.items():
        np.testing.assert_array_equal(world[name], values)


def test_changes_reach_the_neighbours_and_only_them(homes: Fit, brute: Brute) -> None:
    base, world = run(homes, shift("hours", 3.0, where="region == 'north'"))
    expected = brute.run(lambda s, t: s["hours"] + 3.0 * (np.arange(UNITS) < 3))
    check(world, expected)
    np.testing.assert_array_equal(world["need"][:, 3:], base["need"][:, 3:])


def test_regimes_with_counts_agree_with_an_independent_simulation(build, homes: Fit) -> None:
    _, known_fit = build
    draws = 4000
    values = {n: v.values[0, 0] for n, v in homes.posterior["posterior"].ds.data_vars.items()}
    many = known_fit(homes.twin, homes.panel, values, draws=draws)
    scenario = Scenario("s", [policy("hours", "10 + need[-1]")])
    futures = many.simulate(periods=AHEAD, scenarios=[scenario], seed=11, draws=draws)
    calls = futures.draws["calls"].values[1, 0]
    factors = many.designs["need"].reference.factors
    centre = many.designs["calls"].reference.factors["need"][0]
    rng = np.random.default_rng(99)
    need = np.broadcast_to(many.panel.values("need")[:, -1], (draws, UNITS))
    for t in range(AHEAD):
        hours = 10 + need
        need = (
            1.0 - 0.3 * (hours - factors["hours"][0]) - 0.1 * (others(hours) - factors[SPREAD][0])
            + 0.5 * need + 0.4 * rng.normal(size=need.shape)
        )  # fmt: skip
        own = rng.poisson(np.exp(0.2 + 0.1 * (need - centre)))
        for moment in (lambda y: y, lambda y: y**2.0):
            difference = moment(calls[..., t]).mean() - moment(own).mean()
            error = np.sqrt(2 * moment(own).mean(axis=1).var() / draws)
            assert abs(difference) < 4 * error


@pytest.mark.parametrize(
    ("intervention", "words"),
    [
        (lambda: policy("hours", "hours + 1"), "is what it sets"),
        (lambda: policy("hours", "need"), r"need\[-1\]"),
        (lambda: policy("hours", "3"), "reads no indicator"),
        (lambda: policy("hours", "ned[-1]"), "Did you mean 'need'"),
        (lambda: block("beds", "need"), "no arrow to cut. It reads hours"),
        (lambda: block("hours", "hours"), "part of its mechanism"),
        (lambda: redeploy("hours", "need[-1]", within="state", share=0.1), "no level 'state'"),
        (lambda: redeploy("hours", "need", within="region", share=0.1), r"need\[-1\]"),
        (lambda: redeploy("hours", "beds", within="region"), "share= .* or amount="),
        (lambda: redeploy("hours", "beds", within="region", share=2), "at most 1"),
    ],
)
def test_what_a_rule_cannot_do_is_refused_with_the_reason(homes: Fit, intervention, words) -> None:
    with pytest.raises(SpecificationError, match=words):
        run(homes, intervention())


def test_an_answer_that_holds_two_worlds_at_once_needs_the_coupling_by_name(build) -> None:
    """x moves m; y reads m twice, so cutting one arrow leaves m in two worlds."""
    make_panel, known_fit = build
    plain = {"domain": "quality", "family": "normal", "plausible": [-20, 20]}
    natural = {"scale": "natural"}
    twin = Twin(
        twin="kite",
        panel={"unit": "home"},
        indicators={
            "x": plain,
            "m": {**plain, "causes": {"x": natural}},
            "z": {**plain, "causes": {"m": natural}},
            "y": {**plain, "causes": {"z": natural, "m": natural}},
        },
    )
    panel = make_panel(twin, dict.fromkeys("xmzy", np.arange(4.0)[:, None]), 4)
    values = {f"{n}.{p}": v for n in "xmzy" for p, v in (("intercept", 0.0), ("residual_sd", 1.0))}
    values |= {"m.causes": [1.0], "z.causes": [1.0], "y.causes": [1.0, 1.0]}
    scenarios = [Scenario("s", [shift("x", 1.0), block("m", "y")])]
    futures = known_fit(twin, panel, values, draws=20).simulate(scenarios=scenarios, seed=1)
    with pytest.raises(LicenceError, match=r"depends on m in two worlds.*'monotone coupling'"):
        futures.contrast("s", on="y")
    contrast = futures.contrast("s", on="y", assume="monotone coupling")
    assert contrast.licence.identified.status == "assumed"
    # Of the two ways of one shift, the one through z is left.
    np.testing.assert_allclose(contrast.draws["y"].values, 1.0, rtol=1e-9)
    assert "monotonely coupled" in repr(contrast)
    assert futures.contrast("s", on="z").licence.identified.status == "yes"


def test_gains_and_losses_are_told_apart_for_those_who_receive_and_give(homes: Fit) -> None:
    # beds rank the homes, so in each region the same homes give in every period.
    scenario = Scenario("move", [redeploy("hours", "beds", within="region", share=0.2)])
    futures = homes.simulate(periods=AHEAD, scenarios=[scenario], seed=3, draws=DRAWS)
    contrast = futures.contrast("move", of="realised", on=("hours", "need"))
    table = contrast.gains_and_losses()
    assert dict(zip(table["role"], table["units"], strict=True)) == {
        "receives": 3, "gives": 3, "neither": 1,
    }  # fmt: skip
    hours = table[table["indicator"] == "hours"].groupby("role")["mean"].agg(["min", "max"])
    assert hours.loc["gives", "max"] < 0 < hours.loc["receives", "min"]
    draws = futures.draws["hours"].values[:, 0]
    beds = homes.panel.values("beds")[:, -1]
    given = ((draws[1] - draws[0]).mean(axis=0) * beds[:, None])[[0, 4]].sum(axis=0)
    own = table[(table["indicator"] == "hours") & (table["role"] == "gives")]["moved"]
    # Homes 0 and 4 give, and so does 5, the second smallest of the south.
    assert (own.to_numpy() < given).all()
    moved = table[table["indicator"] == "hours"].groupby("period")["moved"].sum()
    np.testing.assert_allclose(moved, 0.0, atol=1e-9)
    with pytest.raises(SpecificationError, match="redeploys nothing"):
        homes.simulate(
            periods=2, scenarios=[Scenario("s", [shift("hours", 1)])], seed=1, draws=4
        ).contrast("s").gains_and_losses()


@pytest.fixture(scope="module")
def staffed(homes: Fit) -> Fit:
    """The same homes, whose hours are said to be staff."""
    fields = homes.twin.model_dump()
    fields["indicators"]["hours"]["domain"] = "workforce"
    fields["indicators"]["need"]["domain"] = "workforce"
    fields["indicators"]["need"]["unit"] = "share of beds"
    twin = Twin.model_validate(fields)
    values = {n: v.values[0] for n, v in homes.posterior["posterior"].ds.data_vars.items()}
    panel = type(homes.panel).from_dataset(homes.panel.data, twin)
    return Fit.from_parameters(twin, panel, values)


def test_resources_that_appear_from_nowhere_are_warned_of(staffed: Fit) -> None:
    def simulate(*interventions, **options):
        scenario = Scenario("more", list(interventions), **options)
        return staffed.simulate(periods=2, scenarios=[scenario], seed=1, draws=4)

    for more in (shift("hours", 1.0), do("hours", 30), policy("hours", "20 + need[-1]")):
        with pytest.warns(ConservationWarning, match="appear from nowhere"):
            simulate(more)
    # What has a source, what only moves, what takes away, and what is no amount, does not.
    simulate(shift("hours", 1.0), source="the regional float pool")
    simulate(redeploy("hours", "need[-1]", within="region", share=0.1))
    simulate(shift("hours", -1.0))
    simulate(shift("need", 1.0))
