"""Probabilities of necessity and sufficiency lie between bounds that are right and tight."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize
from scipy.special import expit

from dotwin.effects.other_worlds.bounds import tian_pearl
from dotwin.effects.other_worlds.necessity import Necessity
from dotwin.errors import LicenceError, SpecificationError
from dotwin.inference import Fit
from dotwin.mechanisms import build_design
from dotwin.spec import Twin
from tests.worlds.conftest import known_fit, make_panel

NATURAL = {"scale": "natural"}
INTERCEPT, EFFECT, HELPS = -0.5, 1.2, -0.8


def test_bounds_are_the_published_ones() -> None:
    """Tian and Pearl (2000), section 5: necessity 1, sufficiency 0.002."""
    joint = {(1, 1): 0.001, (1, 0): 0.499, (0, 1): 0.014, (0, 0): 0.486}
    found = tian_pearl(0.016, 0.014, joint)
    assert [float(x) for x in found.necessity] == pytest.approx([1.0, 1.0])
    assert float(found.sufficiency[0]) == pytest.approx(0.002, abs=1e-4)
    assert float(found.sufficiency[1]) == pytest.approx(0.031, abs=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_bounds_are_the_tightest_by_linear_programming(seed: int) -> None:
    """Over all joint laws of (cause, event without, event with) that give the same numbers."""
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.full(8, 0.7)).reshape(2, 2, 2)  # cause, without, with
    x, e0, e1 = np.indices((2, 2, 2))
    event = np.where(x == 1, e1, e0)
    joint = {(a, b): law[(x == a) & (event == b)].sum() for a in (0, 1) for b in (0, 1)}
    found = tian_pearl(law[e1 == 1].sum(), law[e0 == 1].sum(), joint)
    same = np.stack([(e1 == 1).ravel(), (e0 == 1).ravel()] + [
        ((x == a) & (event == b)).ravel() for a in (0, 1) for b in (0, 1)
    ]).astype(float)  # fmt: skip
    for part, asked, out_of in (
        (found.necessity, (x == 1) & (e1 == 1) & (e0 == 0), joint[1, 1]),
        (found.sufficiency, (x == 0) & (e1 == 1) & (e0 == 0), joint[0, 0]),
        (found.both, (e1 == 1) & (e0 == 0), 1.0),
    ):
        for sign, bound in ((1.0, part[0]), (-1.0, part[1])):
            best = optimize.linprog(
                sign * asked.ravel(), A_eq=same, b_eq=same @ law.ravel(), bounds=(0, 1)
            )
            assert sign * best.fun / out_of == pytest.approx(float(bound), abs=1e-9)


def fitted(units: int = 400, draws: int = 20) -> Fit:
    """Understaffed homes, a fall or none; and a help that prevents falls."""
    twin = Twin(
        twin="falls",
        panel={"unit": "home"},
        indicators={
            "short": {"domain": "workforce", "family": "bernoulli"},
            "help": {"domain": "quality", "family": "bernoulli", "causes": {"short": NATURAL}},
            "fall": {
                "domain": "outcome",
                "family": "bernoulli",
                "causes": {"short": NATURAL, "help": NATURAL},
            },
        },
    )
    rng = np.random.default_rng(4)
    short = rng.integers(0, 2, (units, 1))
    helped = (rng.uniform(size=(units, 1)) < 0.5).astype(float)
    fall = (rng.uniform(size=(units, 1)) < expit(INTERCEPT + EFFECT * short)).astype(float)
    panel = make_panel(twin, {"short": short, "help": helped, "fall": fall}, units)
    centre = {name: build_design(twin, name, panel).reference.factors for name in ("help", "fall")}
    c_help = centre["help"]["short"][0]
    c_fall = [centre["fall"][name][0] for name in ("short", "help")]
    values = {
        "short.intercept": 0.0,
        # help does not depend on being short: the effect is direct
        "help.intercept": 0.0 + 0.0 * c_help, "help.causes": [0.0],
        "fall.intercept": INTERCEPT + EFFECT * c_fall[0] + HELPS * c_fall[1],
        "fall.causes": [EFFECT, HELPS],
    }  # fmt: skip
    return known_fit(twin, panel, values, draws)


@pytest.fixture(scope="module")
def falls() -> tuple[Fit, Necessity]:
    fit = fitted()
    return fit, fit.necessity("short", on="fall", draws=20, replicates=8, seed=1)


def test_the_monotone_value_is_the_excess_risk_ratio(falls) -> None:
    """Of one direct yes-or-no effect the monotone coupling gives (p1 - p0) / p1 (Pearl 1999)."""
    fit, found = falls
    short = fit.panel.values("short")[:, 0]
    # help is reached by short on the graph, so its noise is drawn: both values are possible.
    p1 = np.mean([expit(INTERCEPT + EFFECT), expit(INTERCEPT + EFFECT + HELPS)])
    p0 = np.mean([expit(INTERCEPT), expit(INTERCEPT + HELPS)])
    count = 20 * 8 * short.sum() * p1
    error = 4 * np.sqrt(0.25 / count)
    assert found.values["necessity"].mean() == pytest.approx((p1 - p0) / p1, abs=error)
    enough = (p1 - p0) / (1 - p0)
    assert found.values["sufficiency"].mean() == pytest.approx(enough, abs=error)
    assert found.values["necessity and sufficiency"].mean() == pytest.approx(p1 - p0, abs=error)


def test_every_draw_lies_between_its_bounds(falls) -> None:
    _, found = falls
    for name, values in found.values.items():
        low, high = found.bounds[name]
        assert (low <= values + 1e-12).all()
        assert (values <= high + 1e-12).all()
        assert (high - low).mean() > 0.05, name


def test_a_unit_is_asked_for_what_it_shows(falls) -> None:
    fit, found = falls
    units = found.units
    both = (units["cause"] == 1) & (units["event"] == 1)
    assert (units.loc[both, "asked"] == "necessity").all()
    assert units.loc[units["cause"] != units["event"], "probability"].isna().all()
    # Given help and the fall, P(no fall without) is (p1 - p0) / p1 at that help.
    helped = fit.panel.values("help")[:, 0]
    for value in (0.0, 1.0):
        here = both & (helped == value)
        p1, p0 = expit(INTERCEPT + EFFECT + HELPS * value), expit(INTERCEPT + HELPS * value)
        error = 4 * np.sqrt(0.25 / (20 * here.sum()))
        got = units.loc[here, "probability"].mean()
        assert got == pytest.approx((p1 - p0) / p1, abs=error)


def test_bounds_and_coupling_are_said(falls) -> None:
    _, found = falls
    assert "coupling: monotone" in repr(found)
    assert "bounds do without that coupling" in found.licence.identified.sentence
    table = found.summary()
    assert (table["at least"] <= table["mean"]).all()
    assert (table["mean"] <= table["at most"]).all()


def test_what_is_no_cause_or_no_event_is_refused(workforce: Fit, falls) -> None:
    with pytest.raises(SpecificationError, match="not yes-or-no"):
        workforce.necessity("turnover", on="incidents > 0")
    with pytest.raises(SpecificationError, match="Did you mean 'short'"):
        falls[0].necessity("shrt", on="fall")
    with pytest.raises(SpecificationError, match="is a quantity, not an event"):
        falls[0].necessity("short", on="fall + help", draws=2, replicates=2)


def test_a_cause_without_declared_reason_is_refused() -> None:
    twin = Twin(
        twin="given",
        panel={"unit": "home"},
        indicators={
            "short": {"domain": "workforce"},
            "fall": {"domain": "outcome", "family": "bernoulli", "causes": {"short": NATURAL}},
        },
    )
    x = np.arange(20.0)[:, None] % 2
    fit = known_fit(
        twin, make_panel(twin, {"short": x, "fall": x}, 20),
        {"fall.intercept": 0.0, "fall.causes": [1.0]},
    )  # fmt: skip
    with pytest.raises(LicenceError, match="not declared"):
        fit.necessity("short", on="fall")
