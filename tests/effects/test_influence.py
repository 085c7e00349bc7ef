"""Where variation comes from: a peer's truths, closed forms, enumeration, and honest errors."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import dotwin.effects.shares.sources as sources
from dotwin.effects import Influence
from dotwin.effects.examples import joe
from dotwin.effects.shares.shapley import shapley
from dotwin.errors import DataError, SpecificationError
from dotwin.inference import Fit
from dotwin.spec import Twin
from tests.effects.small import MONTHS, NATURAL, binary_network, known_fit, make_panel
from tests.inference.hidden.cases import AFFECTED, panel_with, twin_with

NORMAL = {"domain": "outcome", "family": "normal", "plausible": [-1, 1]}


def agrees(found: Influence, expected: dict[str, float], most: float = 4.0) -> None:
    """Every source adds what it should, within so many of its own errors, which are small."""
    table = found.summary().set_index("source")
    assert set(table.index) == set(expected)
    whole = sum(expected.values())
    for name, value in expected.items():
        row = table.loc[name]
        assert row["variance error"] < 0.03 * whole
        off = abs(row["variance"] - value)
        assert off <= most * row["variance error"] + 1e-9 * whole, (name, row["variance"], value)
        share_off = abs(row["mean"] - value / whole)
        assert share_off <= most * row["simulation error"] + 1e-9, (name, row["mean"])


def normals(sds: dict[str, float], means: dict[str, float], outcome: str, units: int = 40) -> Fit:
    """Independent normal indicators, and an outcome that is exactly an expression of them."""
    twin = Twin(
        twin="exact",
        panel={"unit": "unit"},
        indicators={
            **dict.fromkeys(sds, NORMAL),
            "y": {"domain": "outcome", "equals": outcome},
        },
    )
    panel = make_panel(twin, dict.fromkeys(sds, 0.0), units)
    values = {f"{n}.intercept": means.get(n, 0.0) for n in sds}
    return known_fit(twin, panel, values | {f"{n}.residual_sd": sd for n, sd in sds.items()}, 20)


# ── closed forms ───────────────────────────────────────────────────────────────────────────────


def test_a_chain_has_the_shares_of_a_peers_tests() -> None:
    """Noise of sd 1, 0.001, 2, 1 along a chain: 1, 0, 4, 1.

    dowhy 0.14, tests/gcm/test_intrinsic_influence.py, where they hold within 0.25, 0.05, 0.5, 0.25.
    """
    sds = {"x0": 1.0, "x1": 0.001, "x2": 2.0, "x3": 1.0}
    above = [None, *sds]
    twin = Twin(
        twin="chain",
        panel={"unit": "unit"},
        indicators={
            name: NORMAL | {"causes": {cause: NATURAL} if cause else {}}
            for name, cause in zip(sds, above, strict=False)
        },
    )
    values = {f"{name}.intercept": 0.0 for name in sds}
    values |= {f"{name}.residual_sd": sd for name, sd in sds.items()}
    fit = known_fit(
        twin,
        make_panel(twin, dict.fromkeys(sds, 0.0), 100),
        values | {f"{name}.causes": [1.0] for name in list(sds)[1:]},
        20,
    )
    found = fit.influence("x3", replicates=32, seed=1)
    agrees(found, {f"noise of {name}": sd**2 for name, sd in sds.items()})
    assert found.orders == 0


def test_interactions_are_shared_out_by_closed_form() -> None:
    """y = a b: the variance of a counts mean(b)² and half of what is neither's alone."""
    found = normals({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 2.0}, "a * b", 100).influence(
        "y", replicates=32
    )
    agrees(found, {"noise of a": 4.5, "noise of b": 1.5})


def test_many_sources_in_random_orders_have_the_same_shares() -> None:
    """y = a b c d e f: v(S) is prod(1 + s²) - 1, shared out by enumeration of all orders."""
    sds = dict(zip("abcdef", (0.2, 0.3, 0.4, 0.5, 0.6, 0.7), strict=True))
    fit = normals(sds, dict.fromkeys(sds, 1.0), " * ".join(sds), 100)
    squares = np.array([sd**2 for sd in sds.values()])
    worth = [np.prod([1 + s for i, s in enumerate(squares) if c >> i & 1]) - 1 for c in range(64)]
    expected = shapley(np.array(worth))
    found = fit.influence("y", replicates=60, seed=2)
    assert found.orders == 120
    agrees(found, {f"noise of {n}": v for n, v in zip(sds, expected, strict=True)})


def panel_fit(slope: float) -> tuple[Fit, dict[str, float]]:
    """y = slope x + 0.6 y[-1] + own + shock + noise, three months ahead, and its closed form."""
    twin = Twin(
        twin="linear",
        panel={"unit": "unit", "period": MONTHS},
        indicators={
            "x": {"domain": "context", "plausible": [-1, 1], "unconfounded": "drawn at random"},
            "y": NORMAL
            | {
                "causes": {"x": NATURAL | {"between": "same"}, "y[-1]": NATURAL},
                "pooling": ["unit", "period"],
                "initial": False,
            },
        },
    )
    rng = np.random.default_rng(0)
    units = 30
    own = rng.normal(size=units)
    x = np.repeat((own + 0.5 * rng.normal(size=units))[:, None], 4, axis=1)
    y = rng.normal(size=(units, 4))
    values = {
        "y.intercept": 0.3, "y.causes": [slope, 0.6], "y.residual_sd": 0.9,
        "y.sd_unit": 1.0, "y.unit": own, "y.sd_period": 0.4, "y.period": np.zeros(4),
    }  # fmt: skip
    fit = known_fit(twin, make_panel(twin, {"x": x, "y": y}, units, 4), values, 20)
    kept, fading = 1 + 0.6 + 0.36, 1 + 0.36 + 0.36**2
    pieces = {
        "x": slope * kept * x[:, -1],
        "y before": 0.6**3 * y[:, -1],
        "what is the units' own in y": kept * own,
    }
    whole = sum(pieces.values())
    expected = {
        name: float(((one - one.mean()) * whole).mean()) for name, one in pieces.items()
    } | {"period shock of y": 0.16 * fading, "noise of y": 0.81 * fading}
    return fit, expected


@pytest.mark.parametrize("slope", [0.5, -0.8])
def test_what_units_bring_is_its_covariance_with_the_outcome(slope: float) -> None:
    """Over the panel's units; a given that offsets what is the units' own has less than none."""
    fit, expected = panel_fit(slope)
    assert (min(expected.values()) < 0) == (slope < 0)
    agrees(fit.influence("y", horizon=3, replicates=64, seed=3), expected)
    kinds = {
        "givens": "x", "starting states": "y before", "period shocks": "period shock of y",
        "what is the units' own": "what is the units' own in y", "noise of units": "noise of y",
    }  # fmt: skip
    found = fit.influence("y", horizon=3, detail="kinds", replicates=64, seed=4)
    agrees(found, {kind: expected[name] for kind, name in kinds.items()})


@pytest.mark.parametrize("over", ["constant", "period"])
def test_a_hidden_cause_is_a_source(over: str) -> None:
    """What lasts is the units' own value of it; what is new in each period has variance 1."""
    twin = twin_with({"level": "home", "over": over})
    panel = panel_with(twin)
    values = np.random.default_rng(0).normal(size=(9,) if over == "constant" else (9, 5))
    known = {"management": np.repeat(values[None], 40, axis=0)}
    for name in AFFECTED:
        known[f"{name}.intercept"] = np.zeros(40)
        known[f"{name}.residual_sd"] = np.full(40, 0.8)
        known[f"{name}.causes"] = np.repeat([[0.0, 0.7]], 40, axis=0)
    fit = Fit.from_parameters(twin, panel, known)
    loading = 0.7 * fit.designs["falls"].reference.multiplier
    table = fit.influence("falls", replicates=200).summary().set_index("source")
    expected = loading**2 * (values.var() if over == "constant" else 1.0)
    row = table.loc[twin.graph.label("management")]
    assert row["variance"] == pytest.approx(expected, abs=4 * row["variance error"])
    assert row["variance error"] < 0.05 * expected


def test_the_noise_of_a_region_counts_for_each_unit() -> None:
    twin = Twin(
        twin="regions",
        panel={"unit": "unit", "levels": ["region"]},
        indicators={
            "pool": NORMAL | {"level": "region"},
            "y": NORMAL | {"causes": {"pool": NATURAL}},
        },
    )
    groups = {"region": [f"r{i % 4}" for i in range(40)]}
    panel = make_panel(twin, {"pool": 0.0, "y": 0.0}, 40, groups=groups)
    values = {
        "pool.intercept": 0.0, "pool.residual_sd": 1.5,
        "y.intercept": 0.0, "y.causes": [1.0], "y.residual_sd": 1.0,
    }  # fmt: skip
    found = known_fit(twin, panel, values, 40).influence("y", replicates=32)
    agrees(found, {"noise of pool": 2.25, "noise of y": 1.0})


# ── enumeration ────────────────────────────────────────────────────────────────────────────────


def test_exclusive_or_is_halved() -> None:
    """Neither of two fair coins says anything of whether they differ; both say all."""
    fit = binary_network(
        {"a": [], "b": []}, {"a": {(): 0.5}, "b": {(): 0.5}}, exact={"y": "a + b - 2 * a * b"},
        units=200, values={"a": 1.0, "b": 0.0},
    )  # fmt: skip
    agrees(fit.influence("y", replicates=32), {"noise of a": 0.125, "noise of b": 0.125})


def test_yes_or_no_values_have_the_shares_of_enumeration() -> None:
    """Noise is a threshold (the monotone coupling), so its values between risks are few."""
    risk = {
        "a": {(): 0.3},
        "b": {(0,): 0.2, (1,): 0.7},
        "y": {(0, 0): 0.1, (0, 1): 0.6, (1, 0): 0.5, (1, 1): 0.3},
    }
    fit = binary_network({"a": [], "b": ["a"], "y": ["a", "b"]}, risk, units=300)
    cuts = [sorted({0.0, 1.0, *table.values()}) for table in risk.values()]
    steps = [list(zip(one, np.diff(one), strict=False)) for one in cuts]
    cells = list(product(*steps))

    def made(u: tuple[float, ...]) -> float:
        a = float(u[0] < risk["a"][()])
        b = float(u[1] < risk["b"][a,])
        return float(u[2] < risk["y"][a, b])

    values = np.array([made(tuple(low for low, _ in cell)) for cell in cells])
    weights = np.array([np.prod([width for _, width in cell]) for cell in cells])
    mean = (values * weights).sum()
    worth = np.zeros(8)
    for coalition in range(8):
        sums: dict[tuple[float, ...], list[float]] = {}
        for cell, value, weight in zip(cells, values, weights, strict=True):
            key = tuple(low for i, (low, _) in enumerate(cell) if coalition >> i & 1)
            one = sums.setdefault(key, [0.0, 0.0])
            one[0] += weight
            one[1] += weight * value
        worth[coalition] = sum(w * (s / w - mean) ** 2 for w, s in sums.values())
    assert worth[-1] == pytest.approx(mean * (1 - mean))
    expected = shapley(worth)
    found = fit.influence("y", replicates=32, seed=5)
    agrees(found, {f"noise of {n}": v for n, v in zip(risk, expected, strict=True)})


# ── what always holds ──────────────────────────────────────────────────────────────────────────


def test_shares_sum_to_the_variance_of_the_futures(workforce: Fit) -> None:
    """The variance is that of ordinary futures, which are simulated by other code."""
    found = workforce.influence("hospitalizations", horizon=2, draws=12, replicates=40)
    draws = found.draws
    np.testing.assert_allclose(draws["share"].sum("source"), 1.0, atol=1e-12)
    whole = draws["variance"].sum("source").mean().item()
    seen = []
    for seed in range(12):
        futures = workforce.simulate(periods=2, seed=seed, draws=12)
        last = futures.draws["hospitalizations"].sel(scenario="baseline").isel(period=-1)
        values = last.values.reshape(12, -1)
        # Within a draw's world, around the mean of that draw over all worlds.
        seen.append(values)
    stacked = np.stack(seen)
    inside = stacked - stacked.mean(axis=(0, 2), keepdims=True)
    by_seed = (inside**2).mean(axis=(1, 2))
    error = np.hypot(by_seed.std(ddof=1) / np.sqrt(12), found.summary()["variance error"].max() * 2)
    assert whole == pytest.approx(by_seed.mean(), abs=4 * error)
    assert error < 0.1 * whole


def test_the_stated_error_is_that_of_other_seeds() -> None:
    fit = normals({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 2.0}, "a * b", 20)
    off = []
    for seed in range(60):
        table = fit.influence("y", seed=seed, draws=2, replicates=24).summary()
        row = table.set_index("source").loc["noise of a"]
        off.append((row["variance"] - 4.5) / row["variance error"])
    # The mean square of 60 values of a t distribution with 23 degrees of freedom: 1.1 ± 0.2.
    assert 0.5 < np.mean(np.square(off)) < 1.8
    assert abs(np.mean(off)) < 4 / np.sqrt(60)


def test_the_same_seed_gives_the_same_shares_whatever_the_blocks(
    workforce: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = workforce.influence("incidents", draws=12, replicates=2)
    monkeypatch.setattr(sources, "_BLOCK_VALUES", 50)
    again = workforce.influence("incidents", draws=12, replicates=2)
    np.testing.assert_allclose(first.simulated, again.simulated, rtol=1e-10, atol=1e-14)
    other = workforce.influence("incidents", draws=12, replicates=2, seed=1)
    assert not np.allclose(first.simulated, other.simulated)


def test_what_cannot_reach_in_time_is_no_source() -> None:
    twin = Twin(
        twin="late",
        panel={"unit": "unit", "period": MONTHS},
        indicators={"x": NORMAL, "y": NORMAL | {"causes": {"x[-2]": NATURAL}}},
    )
    panel = make_panel(twin, {"x": np.arange(20.0).reshape(5, 4), "y": 0.0}, 5, 4)
    values = {
        "x.intercept": 0.0, "x.residual_sd": 1.0,
        "y.intercept": 0.0, "y.causes": [1.0], "y.residual_sd": 1.0,
    }  # fmt: skip
    fit = known_fit(twin, panel, values, 2)
    assert set(fit.influence("y", horizon=2).sources) == {"x before", "noise of y"}
    assert set(fit.influence("y", horizon=3).sources) == {"noise of x", "noise of y"}


# ── words and refusals ─────────────────────────────────────────────────────────────────────────


def test_the_answer_says_that_it_is_about_variation(workforce: Fit) -> None:
    found = workforce.influence("hospitalizations", draws=12, replicates=4)
    table = found.summary(interval=0.8)
    assert list(table.columns) == [
        "source", "mean", "median", "10%", "90%", "simulation error", "variance", "variance error",
    ]  # fmt: skip
    assert table["mean"].sum() == pytest.approx(1.0)
    assert table["mean"].abs().is_monotonic_decreasing
    assert found.draws["share"].dims == ("source", "chain", "draw")
    assert "do not say what acting on a source would bring" in repr(found)
    assert "1 month ahead under usual action" in repr(found)
    said = found.licence.identified
    assert said.status == "assumed"
    assert "wage gap" in said.sentence
    assert "do not say what acting" in said.sentence
    assert found.plot().axes


def test_many_units_need_few_replicates() -> None:
    few, many = (normals({"a": 1.0}, {}, "a", units) for units in (5, 2000))
    assert len(few.influence("y", draws=1).simulated) == 64
    assert len(many.influence("y", draws=1).simulated) == 8


def test_where_every_step_is_licensed_it_is_said() -> None:
    found = joe().influence("score", replicates=4)
    assert found.licence.identified.status == "yes"
    assert "coupling: monotone" in found.licence.identified.sentence
    assert "pupil-periods" not in repr(found)


@pytest.mark.parametrize(
    ("on", "options", "words"),
    [
        ("hospital", {}, "Did you mean 'hospitalizations'"),
        ("clients", {}, "is given; why it varies is not declared"),
        ("incidents", {"detail": "all"}, "'kinds' or 'indicators'"),
        ("incidents", {"replicates": 1}, "at least 2"),
        ("incidents", {"horizon": 0}, "at least one period"),
        ("mean(incidents, over=region)", {}, "reads other units"),
    ],
)
def test_what_has_no_answer_is_said(workforce: Fit, on: str, options: dict, words: str) -> None:
    with pytest.raises(SpecificationError, match=words):
        workforce.influence(on, draws=4, **options)


def test_a_cross_section_has_no_horizon() -> None:
    with pytest.raises(SpecificationError, match="has one period"):
        joe().influence("score", horizon=2)


def test_what_has_no_value_or_does_not_vary_has_no_answer() -> None:
    fit = normals({"a": 1.0}, {}, "log(a)")
    with pytest.raises(DataError, match="has no value in"):
        fit.influence("y", replicates=2)
    with pytest.raises(DataError, match="does not vary"):
        normals({"a": 1.0}, {}, "0 * a").influence("y", replicates=2)
