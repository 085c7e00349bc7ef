"""Effects in a new place: what is reused, estimated anew, or stands in the way."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.effects import Transport
from dotwin.errors import LicenceError, SpecificationError
from dotwin.inference import Fit
from dotwin.panel import Panel
from dotwin.spec import Twin
from tests.effects.small import MONTHS, NATURAL, binary_network, known_fit, make_panel

RISK = {
    "z": {(): 0.2},
    "x": {(0,): 0.3, (1,): 0.6},
    "y": {(0, 0): 0.1, (0, 1): 0.4, (1, 0): 0.2, (1, 1): 0.8},
}
#: How often z holds in the new place.
ELSEWHERE = 0.7


@pytest.fixture(scope="module")
def fit() -> Fit:
    """z -> x, z -> y, x -> y with known risks."""
    return binary_network({"z": [], "x": ["z"], "y": ["x", "z"]}, RISK, units=400, draws=400)


def place(fit: Fit, units: int = 1000, **recorded: object) -> Panel:
    """A panel of the new place, where only what is named is recorded."""
    z = (np.arange(units) < ELSEWHERE * units).astype(float)
    values = {"z": z[:, None], "x": np.full((units, 1), np.nan), "y": np.full((units, 1), np.nan)}
    return make_panel(fit.twin, values | recorded, units)


def by_enumeration(z: float) -> float:
    """The transport formula: the sum over z of P(y | do(x), z) P*(z), for x = 1 less x = 0."""
    risk = RISK["y"]
    return (1 - z) * (risk[1, 0] - risk[0, 0]) + z * (risk[1, 1] - risk[0, 1])


def test_a_mechanism_that_differs_is_estimated_in_the_new_place(fit: Fit) -> None:
    """Pearl and Bareinboim (2011), doi:10.1609/aaai.v25i1.7861: only the law of z is another."""
    there = fit.transport(place(fit), differs=["z"], seed=1)
    assert [there.verdict(n) for n in "zxy"] == ["re-estimated", "reused", "reused"]
    effect = there.effect("x", on="y")
    draws = effect.draws["difference"].values.ravel()
    # The law of z there is estimated from 1,000 rows; the prior pulls by less than that.
    z_error = np.sqrt(ELSEWHERE * (1 - ELSEWHERE) / 1000)
    per_z = by_enumeration(1) - by_enumeration(0)
    assert draws.mean() == pytest.approx(by_enumeration(ELSEWHERE), abs=per_z * z_error)
    assert draws.std() == pytest.approx(per_z * z_error, rel=0.35)
    assert "z estimated there" in effect.licence.identified.sentence
    assert "y taken to be the same" in effect.licence.identified.sentence
    assert effect.licence.identified.status == "yes"


def test_where_nothing_differs_the_source_answers(fit: Fit) -> None:
    there = fit.transport(place(fit))
    effect = there.effect("x", on="y")
    error = 4 * effect.draws["difference"].std().item() / np.sqrt(fit.n_draws)
    assert effect.draws["difference"].mean().item() == pytest.approx(
        by_enumeration(RISK["z"][()]), abs=error
    )


def test_a_mechanism_that_differs_unrecorded_blocks_what_needs_it(fit: Fit) -> None:
    there = fit.transport(place(fit), differs=["y", "x"])
    assert there.blocking == ("x", "y")
    assert "x, y blocking" in repr(there)
    with pytest.raises(LicenceError, match="y may differ in the new place") as refused:
        there.effect("x", on="y")
    # Setting x takes the place of its mechanism, so that one does not matter.
    assert "x may differ" not in str(refused.value)
    assert there.needed("x", "y") == ("z", "y")
    assumed = there.effect("x", on="y", assume="same mechanisms")
    assert assumed.licence.identified.status == "assumed"
    assert "without being recorded there" in assumed.licence.identified.sentence
    assert "effect if no mechanism differs in the new place" in repr(assumed)
    with pytest.raises(LicenceError, match="no future can be simulated"):
        there.simulate(seed=1)


def test_few_rows_block_too(fit: Fit) -> None:
    few = np.full((1000, 1), np.nan)
    few[:3] = 1.0
    there = fit.transport(place(fit, x=few, y=few), differs="y")
    assert there.verdict("y") == "blocking"
    assert "3 rows for 4 coefficients" in str(there)


def pooled(units: int) -> tuple[Twin, Panel]:
    twin = Twin(
        twin="homes",
        panel={"unit": "home", "levels": ["region"], "period": MONTHS},
        indicators={
            "staff": {"domain": "workforce", "family": "normal", "plausible": [-1.645, 1.645]},
            "falls": {
                "domain": "outcome",
                "family": "normal",
                "plausible": [-1.645, 1.645],
                "pooling": ["region", "period"],
                "causes": {"staff": {"scale": "natural", "varying": ["region"]}},
            },
        },
    )
    rng = np.random.default_rng(3)
    values = {"staff": rng.normal(size=(units, 4)), "falls": rng.normal(size=(units, 4))}
    half = units // 2
    return twin, make_panel(
        twin, values, units, 4, {"region": ["known"] * half + ["new"] * (units - half)}
    )


def test_known_groups_keep_their_effects_and_new_ones_come_from_the_population() -> None:
    twin, panel = pooled(6)
    rows = panel.data.sel(unit=panel.data["region"].values == "known")
    source = Panel.from_dataset(rows.drop_vars("present", errors="ignore"), twin)
    draws = 3000
    values = {
        "staff.intercept": 0.0, "staff.residual_sd": 1.0,
        "falls.intercept": 0.0, "falls.causes": [1.0], "falls.residual_sd": 1.0,
        "falls.sd_region": 0.3, "falls.sd_period": 0.2, "falls.sd_slope_region": [0.5],
        "falls.region": [0.4], "falls.slope_region": [[0.25]],
    }  # fmt: skip
    fit = known_fit(twin, source, values, draws=draws)
    there: Transport = fit.transport(panel)
    posterior = there.fit.posterior["posterior"]
    region = posterior["falls.region"].values[0]
    names = posterior["region"].values.tolist()
    np.testing.assert_array_equal(region[:, names.index("known")], 0.4)
    error = 4 * 0.3 / np.sqrt(2 * draws)
    assert region[:, names.index("new")].std() == pytest.approx(0.3, abs=error)
    effect = there.effect("staff", on="falls", contrast=(0, 1), horizon=2, by="region", draws=draws)
    slope = effect.draws["difference"].isel(period=0)
    np.testing.assert_allclose(slope.sel(region="known"), 1.25)
    assert slope.sel(region="new").mean().item() == pytest.approx(1.0, abs=4 * 0.5 / np.sqrt(draws))
    assert slope.sel(region="new").std().item() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(draws))
    # The same panel without transport needs leave for the new region, and says what it assumes.
    asked = {"on": "falls", "contrast": (0, 1), "horizon": 2}
    direct = fit.effect("staff", **asked, panel=panel, new_groups="population")
    assert any("fit.transport" in note for note in direct.notes)
    assert not any("fit.transport" in note for note in fit.effect("staff", **asked).notes)


def test_what_may_differ_must_be_a_mechanism() -> None:
    twin = Twin(
        twin="given",
        panel={"unit": "home"},
        indicators={
            "beds": {"domain": "context"},
            "falls": {"domain": "outcome", "family": "poisson", "causes": {"beds": NATURAL}},
        },
    )
    panel = make_panel(twin, {"beds": np.arange(4)[:, None], "falls": 1}, 4)
    fit = known_fit(twin, panel, {"falls.intercept": 0.0, "falls.causes": [0.1]})
    with pytest.raises(SpecificationError, match="come from the new panel anyway"):
        fit.transport(panel, differs="beds")
    with pytest.raises(SpecificationError, match="Did you mean 'falls'"):
        fit.transport(panel, differs="fall")
