"""An effect without each group of units, against true refits on the panels without them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

import dotwin as dw
from dotwin.effects import Effect, GroupsLeftOut
from dotwin.errors import SpecificationError
from dotwin.inference import Fit
from dotwin.inference.leaving_out import LeftOut, Without
from dotwin.spec import Twin
from tests.effects.small import MONTHS, linear, make_panel

HOMES, PERIODS, REGIONS = 60, 5, 6
ODD = "r3"
PLAUSIBLE = [-3.29 / 2, 3.29 / 2]


def twin_of(**causes: Any) -> Twin:
    normal = {"domain": "outcome", "family": "normal", "plausible": PLAUSIBLE}
    return Twin(
        twin="regions",
        panel={"unit": "home", "levels": ["region"], "period": MONTHS},
        indicators={
            "private": {"domain": "context"},
            "size": {"domain": "context"},
            "x": {"domain": "context", "plausible": PLAUSIBLE},
            "z": {**normal, "causes": {"x": {}}, "pooling": ["home"]},
            "y": {
                **normal,
                "pooling": ["region", "home"],
                "causes": causes or {"z": {"between": "same"}, "x": {"between": "same"}},
            },
        },
    )


@pytest.fixture(scope="module")
def panel() -> Any:
    """x moves z and y, z moves y; in one region z moves y the other way."""
    rng = np.random.default_rng(11)
    region = np.arange(HOMES) % REGIONS
    shape = (HOMES, PERIODS)
    x = rng.normal(size=shape)
    z = 0.5 * x + 0.4 * rng.normal(size=(HOMES, 1)) + rng.normal(size=shape)
    slope = np.where(region == int(ODD[1:]), -0.6, 0.6)[:, None]
    level = 0.3 * rng.normal(size=REGIONS)[region][:, None] + 0.4 * rng.normal(size=(HOMES, 1))
    y = slope * z + 0.2 * x + level + rng.normal(size=shape)
    private = np.broadcast_to((rng.random(HOMES) < 0.4)[:, None], shape).astype(float)
    values = {"x": x, "z": z, "y": y, "private": private, "size": rng.normal(size=shape)}
    groups = {"region": [f"r{g}" for g in region]}
    return make_panel(twin_of(), values, HOMES, PERIODS, groups)


def fitted(panel: Any) -> Fit:
    return dw.fit(twin_of(), panel, draws=1000, chains=2, seed=1, progress=False)


def asked(fit: Fit) -> Effect:
    return fit.effect("x", on="y", contrast=(0, 1), horizon=1, draws=1000, seed=1,
                      assume="no hidden causes")  # fmt: skip


@pytest.fixture(scope="module")
def effect(panel: Any) -> Effect:
    return asked(fitted(panel))


@pytest.fixture(scope="module")
def found(effect: Effect) -> GroupsLeftOut:
    return effect.leave_out("region", seed=2, progress=False)


def same(row: Any, truth: Effect, left: float) -> None:
    """Mean and interval agree within four standard errors of so many draws."""
    exact = truth.summary().iloc[-1]
    sd = float(truth.draws["difference"].std())
    error = 4 * sd * np.sqrt(1 / left + 1 / 1000)
    assert row["mean"] == pytest.approx(exact["mean"], abs=error)
    # The density of a normal at its 5 % point is 0.103.
    for end in ("5%", "95%"):
        assert row[end] == pytest.approx(exact[end], abs=error * np.sqrt(0.0475) / 0.103)


def test_without_each_region_it_is_that_of_a_true_refit(found: GroupsLeftOut, panel: Any) -> None:
    regions = np.array(panel.data["region"].values)
    used = found.ways[found.ways["way"] == "re-weighted"]
    assert len(used) > 0
    for region in ("r0", "r1", ODD):
        truth = asked(fitted(panel.select(units=regions != region)))
        row = found.table.set_index("group").loc[region]
        ess = used.loc[used["group"] == region, "ess"].min()
        same(row, truth, np.nanmin([ess, 1000.0]))


def test_without_each_kind_too_and_by_refits_alone(effect: Effect, panel: Any) -> None:
    private = panel.values("private")[:, 0] == 1
    truth = asked(fitted(panel.select(units=~private)))
    for shortcut in (True, False):
        kinds = effect.leave_out("private", seed=2, shortcut=shortcut, progress=False)
        assert kinds.table["group"].tolist() == ["0", "1"]
        assert kinds.table["units"].tolist() == [(~private).sum(), private.sum()]
        row = kinds.table.iloc[1]
        same(row, truth, np.nanmin([kinds.ways["ess"].min(), 1000.0]))
    assert (kinds.table["how"] == "refitted").all()


def test_chains_that_did_not_converge_are_told(effect: Effect) -> None:
    fit = effect.question.fit
    tree = fit.tree.copy()
    posterior = tree["posterior"].to_dataset()
    shift = xr.DataArray([0.0, 1.0], dims="chain")
    tree["posterior"].dataset = posterior.assign({"y.intercept": posterior["y.intercept"] + shift})
    apart = replace(fit, tree=tree, certificates={})
    refitted, kept = LeftOut("y", "refitted"), LeftOut("y", "kept")
    assert Without(apart, (refitted,)).unsettled == ("y",)
    assert Without(apart, (kept,)).unsettled == ()
    assert Without(fit, (refitted,)).unsettled == ()


def test_the_odd_region_moves_it_most(found: GroupsLeftOut) -> None:
    assert found.moves_most == ODD
    assert f"{ODD} moves it most" in repr(found)
    odd = found.table.set_index("group").loc[ODD]
    assert odd["moved"] > 3 * odd["error"]
    figure = found.plot()
    (axes,) = figure.axes
    assert axes.get_yticklabels()[0].get_text() == f"{ODD} ({odd['how']})"
    np.testing.assert_allclose(axes.lines[2].get_xdata()[0], odd["mean"])


def test_heavy_tails_are_refitted_and_said_so(found: GroupsLeftOut) -> None:
    ways = found.ways
    bad = ~((ways["khat"] < 0.7) & (ways["ess"] >= 400))
    assert bad.any()
    assert (ways.loc[bad, "way"] == "refitted").all()
    assert (ways.loc[~bad, "way"] == "re-weighted").all()
    assert ways.loc[bad, "reason"].str.contains("heavy a tail|too few effective").all()


def test_the_other_units_are_those_of_the_whole_fit(found: GroupsLeftOut, effect: Effect) -> None:
    row = found.table.set_index("group").loc["r0"]
    among = effect.question.fit.effect(
        "x", on="y", contrast=(0, 1), horizon=1, draws=1000, seed=1, among="region != 'r0'",
        assume="no hidden causes",
    )  # fmt: skip
    assert row["with"] == pytest.approx(float(among.summary()["mean"].iloc[-1]))


def test_units_that_read_those_of_the_group_would_not_be_what_they_were(panel: Any) -> None:
    twin = twin_of(**{"x": {"between": "same"}, "mean(x, over=region, others=True)": {}})
    fit = dw.fit(twin, replace(panel, twin=twin), draws=500, chains=2, seed=1, progress=False)
    effect = fit.effect("x", on="y", contrast=(0, 1), horizon=1, draws=50, seed=1,
                        assume="no hidden causes")  # fmt: skip
    with pytest.raises(SpecificationError, match="read those of other groups"):
        effect.leave_out("private", seed=1, progress=False)
    # Whole regions can go: nobody elsewhere reads them.
    assert len(effect.leave_out("region", seed=1, progress=False).table) == REGIONS


def test_what_cannot_be_left_out_is_refused(effect: Effect, panel: Any) -> None:
    with pytest.raises(SpecificationError, match="a level or a given"):
        effect.leave_out("z", seed=1)
    with pytest.raises(SpecificationError, match="changes within units"):
        effect.leave_out("size", seed=1)
    known = linear({"x": {}, "y": {"x": 1.0}})
    by_home = known.effect("x", on="y", contrast=(0, 2), horizon=1, by="home")
    with pytest.raises(SpecificationError, match="without by="):
        by_home.leave_out("home", seed=1)
