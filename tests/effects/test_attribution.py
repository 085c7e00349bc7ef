"""Why it changed: exact sums, closed forms, enumeration, and the truths of a peer's tests."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.special import expit

from dotwin.effects.shares.shapley import shapley
from dotwin.errors import DataError, SpecificationError
from dotwin.inference import Fit
from dotwin.mechanisms import build_design
from dotwin.spec import Twin
from tests.inference.hidden.cases import AFFECTED, panel_with, twin_with
from tests.worlds.conftest import known_fit, make_panel

NATURAL = {"scale": "natural"}
NORMAL = {"family": "normal", "plausible": [-1, 1]}
MONTHS = {"column": "month", "frequency": "month"}
GIVEN = {"domain": "context", "plausible": [-1, 1], "unconfounded": "drawn at random"}


def mean(found, part: str) -> float:
    return float(found.parts[part].mean())


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_shapley_values_are_the_mean_over_all_orders(count: int) -> None:
    worth = np.random.default_rng(count).normal(size=(2**count, 3))
    expected = np.zeros((count, 3))
    orders = list(permutations(range(count)))
    for order in orders:
        there = 0
        for player in order:
            expected[player] += (worth[there | 1 << player] - worth[there]) / len(orders)
            there |= 1 << player
    np.testing.assert_allclose(shapley(worth), expected, atol=1e-12)
    np.testing.assert_allclose(shapley(worth).sum(axis=0), worth[-1] - worth[0], atol=1e-12)


# ── between periods ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("detail", ["kinds", "indicators"])
def test_parts_sum_to_the_change_in_every_draw(workforce: Fit, detail: str) -> None:
    found = workforce.attribute(
        "hospitalizations", before="2020-03", after="2020-08", detail=detail, draws=12
    )
    facts = workforce.panel.values("hospitalizations")
    change = facts[:, 7].sum() - facts[:, 2].sum()
    assert found.change == change
    total = np.sum(list(found.parts.values()), axis=0)
    np.testing.assert_allclose(total, change, atol=1e-9)
    assert (found.orders == 0) == (detail == "kinds")


def test_ratios_and_shares_sum_too(workforce: Fit) -> None:
    facts = {n: workforce.panel.values(n) for n in ("missed_visits", "scheduled_visits")}
    share = facts["missed_visits"].sum(axis=0) / facts["scheduled_visits"].sum(axis=0)
    for on in ("share(missed_visits)", "missed_visits / scheduled_visits"):
        found = workforce.attribute(on, before="2020-03", after="2020-08", draws=12)
        assert found.change == pytest.approx(share[7] - share[2])
        total = np.sum(list(found.parts.values()), axis=0)
        np.testing.assert_allclose(total, found.change, atol=1e-12)


def test_a_period_is_not_explained_against_itself_by_anything(workforce: Fit) -> None:
    found = workforce.attribute("incidents", before="2020-05", after="2020-05", draws=12)
    assert found.change == 0
    assert all((values == 0).all() for values in found.parts.values())


def linear_fit(rng: np.random.Generator, twin_extra: dict | None = None) -> Fit:
    """y = 0.5 x + 0.8 y[-1] + noise: additive, so that each part is a number."""
    twin = Twin(
        twin="linear",
        panel={"unit": "unit", "period": MONTHS},
        indicators={
            "x": GIVEN,
            "y": {"domain": "outcome", **NORMAL, "causes": {"x": NATURAL, "y[-1]": NATURAL},
                  **(twin_extra or {})},
        },
    )  # fmt: skip
    x, y = rng.normal(size=(2, 7, 6))
    values = {"y.intercept": 0.2, "y.causes": [0.5, 0.8], "y.residual_sd": 1.3}
    return known_fit(twin, make_panel(twin, {"x": x, "y": y}, 7, 6), values, 3)


def test_where_parts_add_up_each_is_its_own_difference() -> None:
    fit = linear_fit(np.random.default_rng(0))
    found = fit.attribute("y", before="2024-02", after="2024-06", draws=3)
    x, y = fit.panel.values("x"), fit.panel.values("y")
    noise = y[:, 1:] - 0.2 - 0.5 * x[:, 1:] - 0.8 * y[:, :-1]
    assert mean(found, "givens") == pytest.approx(0.5 * (x[:, 5] - x[:, 1]).mean())
    assert mean(found, "starting states") == pytest.approx(0.8 * (y[:, 4] - y[:, 0]).mean())
    assert mean(found, "noise of units") == pytest.approx((noise[:, 4] - noise[:, 0]).mean())


def test_where_parts_interact_they_are_those_of_enumeration() -> None:
    """y Bernoulli with x, z and their product: by hand over all orders, noise as a threshold."""
    twin = Twin(
        twin="product",
        panel={"unit": "unit", "period": MONTHS},
        indicators={
            "x": GIVEN, "z": GIVEN,
            "y": {"domain": "outcome", "family": "gamma", "plausible": [0.2, 3],
                  "causes": {"x": NATURAL, "z": NATURAL, "x * z": NATURAL}},
        },
    )  # fmt: skip
    rng = np.random.default_rng(3)
    x, z = rng.normal(size=(2, 5, 3))
    y = rng.gamma(2.0, 0.5, (5, 3))
    values = {"y.intercept": 0.1, "y.causes": [0.4, -0.3, 0.6], "y.dispersion": 2.0}
    fit = known_fit(twin, make_panel(twin, {"x": x, "z": z, "y": y}, 5, 3), values)
    found = fit.attribute("y", before="2024-01", after="2024-03", detail="indicators")

    def made(moved: frozenset[str]) -> float:
        one, two, three = (
            part[:, 2] if name in moved else part[:, 0]
            for name, part in (("x", x), ("z", z), ("noise of y", y))
        )
        # A gamma's value is its mean times its noise, and so the noise is a ratio.
        at = 2 if "noise of y" in moved else 0
        own = three / np.exp(0.4 * x[:, at] - 0.3 * z[:, at] + 0.6 * x[:, at] * z[:, at])
        return float((np.exp(0.4 * one - 0.3 * two + 0.6 * one * two) * own).mean())

    names = ("x", "z", "noise of y")
    expected = dict.fromkeys(names, 0.0)
    for order in permutations(names):
        there: frozenset[str] = frozenset()
        for name in order:
            expected[name] += (made(there | {name}) - made(there)) / 6
            there |= {name}
    assert set(found.parts) == set(names)
    for name, value in expected.items():
        assert mean(found, name) == pytest.approx(value, rel=1e-6), name


def test_shocks_and_seasons_are_parts_of_their_own() -> None:
    extra = {"pooling": ["period"], "season": {"cycle": 12, "harmonics": 1}}
    twin = Twin(
        twin="calendar",
        panel={"unit": "unit", "period": MONTHS},
        indicators={"y": {"domain": "outcome", **NORMAL, **extra}},
    )
    y = np.random.default_rng(1).normal(size=(4, 5))
    panel = make_panel(twin, {"y": y}, 4, 5)
    shocks = np.array([0.0, 0.5, 0.0, 0.0, -0.7])
    values = {
        "y.intercept": 0.0, "y.residual_sd": 1.0, "y.sd_period": 0.5, "y.period": shocks,
        "y.causes": [0.0, 0.0],
    }  # fmt: skip
    found = known_fit(twin, panel, values).attribute("y", before="2024-02", after="2024-05")
    assert mean(found, "period shocks") == pytest.approx(-1.2)
    assert mean(found, "season and trend") == pytest.approx(0.0)
    assert mean(found, "noise of units") == pytest.approx((y[:, 4] - y[:, 1]).mean() + 1.2)


def test_who_comes_and_goes_is_a_part() -> None:
    twin = Twin(
        twin="homes",
        panel={"unit": "home", "period": MONTHS},
        indicators={
            "x": GIVEN,
            "n": {"domain": "outcome", "family": "poisson", "causes": {"x": NATURAL}},
        },
    )
    x = np.zeros((7, 2))
    n = np.array([[4.0, 6], [2, 3], [5, np.nan], [np.nan, 7], [1, 1], [8, np.nan], [np.nan, 9]])
    x[4, 1] = np.nan  # there, but its cause is not recorded
    x[5, 1] = np.nan  # leaves
    x[6, 0] = np.nan  # enters
    fit = known_fit(
        twin, make_panel(twin, {"x": x, "n": n}, 7, 2), {"n.intercept": 1.0, "n.causes": [0.5]}
    )
    found = fit.attribute("n", before="2024-01", after="2024-02")
    assert (found.before, found.after) == (20, 26)
    assert mean(found, "units that entered") == pytest.approx(9)
    assert mean(found, "units that left") == pytest.approx(-8)
    assert mean(found, "reports that began") == pytest.approx(7)
    assert mean(found, "reports that stopped") == pytest.approx(-5)
    assert mean(found, "units whose causes are not recorded") == pytest.approx(0)
    assert mean(found, "noise of units") == pytest.approx(3)
    assert found.counts["units compared"] == 2
    assert found.counts["units that entered"] == 1


def test_one_unit_is_set_against_what_it_usually_is(workforce: Fit) -> None:
    unit = str(workforce.panel.units[3])
    found = workforce.attribute(
        "incidents", before=slice("2020-02", "2020-08"), after="2020-09", units=unit, draws=12
    )
    own = workforce.panel.values("incidents")[3]
    assert found.change == pytest.approx(own[8] - own[1:8].mean())
    total = np.sum(list(found.parts.values()), axis=0)
    np.testing.assert_allclose(total, found.change, atol=1e-12)
    assert "the mean of 7 earlier periods" in repr(found)


# ── between groups and fits ────────────────────────────────────────────────────────────────────


def test_two_groups_differ_by_parts_that_sum(workforce: Fit) -> None:
    codes, names = workforce.panel.groups("region")
    found = workforce.attribute(
        "incidents", before=f"region == '{names[0]}'", after=f"region == '{names[1]}'", draws=12
    )
    facts = workforce.panel.values("incidents")[:, -1]
    assert found.before == pytest.approx(facts[codes == 0].mean())
    assert found.after == pytest.approx(facts[codes == 1].mean())
    total = np.sum(list(found.parts.values()), axis=0)
    np.testing.assert_allclose(total, found.change, atol=1e-12)
    assert "what is the units' own" in found.parts


def test_the_change_of_a_linear_mechanism_is_the_published_split() -> None:
    """C = 2 A + 3 B against 3 A + 2 B (Budhathoki et al. 2022; dowhy, test_unit_change.py)."""
    twin = Twin(
        twin="units",
        panel={"unit": "unit"},
        indicators={
            "a": GIVEN, "b": GIVEN,
            "c": {"domain": "outcome", **NORMAL, "causes": {"a": NATURAL, "b": NATURAL}},
        },
    )  # fmt: skip
    rng = np.random.default_rng(2)
    fits, data = [], []
    for slopes in ([2.0, 3.0], [3.0, 2.0]):
        a, b = rng.normal(size=(2, 50, 1))
        panel = make_panel(twin, {"a": a, "b": b, "c": slopes[0] * a + slopes[1] * b}, 50)
        values = {"c.intercept": 0.0, "c.causes": slopes, "c.residual_sd": 0.5}
        fits.append(known_fit(twin, panel, values))
        data.append((a.mean(), b.mean()))
    (a1, b1), (a2, b2) = data
    found = fits[0].attribute("c", other=fits[1], detail="indicators")
    assert mean(found, "a") == pytest.approx(5 * (a2 - a1) / 2)
    assert mean(found, "b") == pytest.approx(5 * (b2 - b1) / 2)
    assert mean(found, "mechanism of c") == pytest.approx((a1 + a2) / 2 - (b1 + b2) / 2)
    assert mean(found, "noise of c") == pytest.approx(0.0, abs=1e-9)


def test_a_shift_of_one_mechanism_is_found_where_it_is() -> None:
    """X2 = exp(X0 / 2) moves up by 4, X3 = X2 / 2: 2 of it is X2's, 0 is X0's and X3's.

    dowhy 0.14, tests/gcm/test_distribution_change.py: mean difference, other units in both.
    """
    twin = Twin(
        twin="shift",
        panel={"unit": "unit"},
        indicators={
            "x0": {"domain": "context", **NORMAL},
            "x2": {"domain": "quality", **NORMAL, "causes": {"exp(x0 / 2)": NATURAL}},
            "x3": {"domain": "outcome", **NORMAL, "causes": {"x2": NATURAL}},
        },
    )
    rng = np.random.default_rng(5)
    fits = []
    for start, moved in (("u", 0.0), ("v", 4.0)):
        x0 = rng.uniform(-1, 1, (1000, 1))
        x2 = moved + np.exp(0.5 * x0) + rng.normal(0, 0.1, (1000, 1))
        x3 = 0.5 * x2 + rng.normal(0, 0.1, (1000, 1))
        panel = make_panel(twin, {"x0": x0, "x2": x2, "x3": x3}, 1000)
        data = panel.data.assign_coords(unit=[f"{start}{i:04d}" for i in range(1000)])
        panel = type(panel).from_dataset(data.drop_vars("present"), twin)
        centre = build_design(twin, "x2", panel).reference.factors["exp(x0 / 2)"][0]
        values = {
            "x0.intercept": 0.0, "x0.residual_sd": 0.577,
            "x2.intercept": moved + centre, "x2.causes": [1.0], "x2.residual_sd": 0.1,
            "x3.intercept": 0.0, "x3.causes": [0.5], "x3.residual_sd": 0.1,
        }  # fmt: skip
        fits.append(known_fit(twin, panel, values))
    found = fits[0].attribute("x3", other=fits[1], detail="indicators")
    assert mean(found, "mechanism of x2") == pytest.approx(2.0, abs=0.01)
    for name in ("mechanism of x0", "mechanism of x3"):
        assert mean(found, name) == pytest.approx(0.0, abs=0.01)
    for name in ("noise of x0", "noise of x2", "noise of x3"):
        assert mean(found, name) == pytest.approx(0.0, abs=0.05)


# ── words and refusals ─────────────────────────────────────────────────────────────────────────


def test_the_summary_and_licence_say_what_parts_rest_on(workforce: Fit) -> None:
    found = workforce.attribute("hospitalizations", before="2020-03", after="2020-08", draws=12)
    table = found.summary()
    assert list(table.columns) == ["part", "mean", "median", "5%", "95%", "share"]
    assert table["mean"].sum() == pytest.approx(found.change)
    assert table["mean"].abs().is_monotonic_decreasing
    assert "wage gap" in found.licence.identified.sentence
    assert "association under the declared graph" in found.licence.identified.sentence
    assert "coupling: monotone" in repr(found)
    assert found.draws["contribution"].dims == ("part", "chain", "draw")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"before": "2020-03", "after": "2031-01"}, DataError, "not in the panel"),
        ({"before": "2020-03", "after": "acuity > 2"}, SpecificationError, "two groups of units"),
        ({}, SpecificationError, "name two periods"),
        ({"before": "2020-03", "after": "2020-05", "detail": "all"}, SpecificationError, "'kinds'"),
        ({"before": "2020-03", "after": "2020-05", "units": "nobody"}, DataError, "no provider"),
        ({"before": "2020-01", "after": "2020-05"}, DataError, "first period to look back on"),
    ],
)
def test_what_cannot_be_compared_is_said(workforce: Fit, options, error, words) -> None:
    with pytest.raises(error, match=words):
        workforce.attribute("hospitalizations", draws=4, **options)


@pytest.mark.parametrize(
    ("on", "words"),
    [
        ("hospital", "Did you mean 'hospitalizations'"),
        ("clients", "is given; why it varies is not declared"),
        ("share(incidents)", "has no trials"),
        ("incidents + missed_visits", r"an indicator, share\(x\), or a ratio"),
    ],
)
def test_what_is_no_measure_is_said(workforce: Fit, on: str, words: str) -> None:
    with pytest.raises(SpecificationError, match=words):
        workforce.attribute(on, before="2020-03", after="2020-05", draws=4)


def test_a_probability_is_shared_out_by_thresholds() -> None:
    """One yes-or-no value turns where the noise lies between the two risks."""
    twin = Twin(
        twin="yes",
        panel={"unit": "unit", "period": MONTHS},
        indicators={
            "x": GIVEN,
            "y": {"domain": "outcome", "family": "bernoulli", "causes": {"x": NATURAL}},
        },
    )
    units, draws = 300, 200
    x = np.zeros((units, 2))
    x[:, 1] = 2.0
    y = np.ones((units, 2))
    panel = make_panel(twin, {"x": x, "y": y}, units, 2)
    fit = known_fit(twin, panel, {"y.intercept": -1.0, "y.causes": [1.0]}, draws)
    found = fit.attribute("y", before="2024-01", after="2024-02", draws=draws)
    assert found.change == 0
    # Before: noise below p0 in every unit. After: below p1. Moving x alone keeps y; moving the
    # noise alone keeps it with probability p0 / p1.
    p0, p1 = expit(-1.0), expit(1.0)
    lost = 1 - p0 / p1
    assert mean(found, "noise of units") == pytest.approx(
        -lost / 2, abs=4 * 0.5 / np.sqrt(units * draws)
    )
    assert mean(found, "givens") == pytest.approx(lost / 2, abs=4 * 0.5 / np.sqrt(units * draws))


# ── hidden causes that are fitted ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("over", ["constant", "period"])
def test_a_hidden_cause_adds_what_its_values_and_its_loading_say(over: str) -> None:
    """A linear system: the parts are differences of means, whatever the order."""
    twin = twin_with({"level": "home", "over": over})
    panel = panel_with(twin)
    values = np.random.default_rng(0).normal(size=(9,) if over == "constant" else (9, 5))
    known = {"management": values[None]}
    for name in AFFECTED:
        known[f"{name}.intercept"] = np.zeros(1)
        known[f"{name}.residual_sd"] = np.full(1, 0.8)
        known[f"{name}.causes"] = np.array([[0.4, 0.7]])
    fit = Fit.from_parameters(twin, panel, known)
    loading = 0.7 * fit.designs["falls"].reference.multiplier
    by_month = np.broadcast_to(values.reshape(9, -1), (9, 5))
    regions = np.arange(9) % 3

    def hidden(**asked) -> float:
        found = fit.attribute("falls", seed=1, **asked)
        total = np.sum(list(found.parts.values()), axis=0)
        np.testing.assert_allclose(total, found.change, atol=1e-9)
        return mean(found, "hidden causes") if "hidden causes" in found.parts else 0.0

    change = by_month[:, 4] - by_month[:, 1]
    between = {"before": "2020-02", "after": "2020-05"}
    assert hidden(**between) == pytest.approx(loading * change.mean(), abs=1e-9)
    two = hidden(**between, units=["h001", "h004"])
    assert two == pytest.approx(loading * change[[1, 4]].mean(), abs=1e-9)
    groups = [by_month[regions == r, 4].mean() for r in (0, 2)]
    other = hidden(before="region == 'r0'", after="region == 'r2'")
    assert other == pytest.approx(loading * (groups[1] - groups[0]), abs=1e-9)
