"""After a decision: the gap to the forecast falls exactly into its parts, and each is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dotwin as dw
from dotwin.effects.examples import small_pilot
from dotwin.effects.pilots.followed import FollowUp
from dotwin.errors import DataError, LicenceError, SpecificationError
from dotwin.inference import Fit
from tests.effects.rollouts import NEVER, panel_of

NATURAL = {"scale": "natural", "between": "same"}
HOMES, BEFORE, AFTER = 6, 5, 4


def hours_twin(hidden: bool = False, feedback: bool = False, **coaching: Any) -> dw.Twin:
    """Hours are chosen by beds; falls answer to hours and to beds of their own month."""
    why = coaching or {"assigned": {"how": "randomised", "column": "coaching"}}
    return dw.Twin(
        twin="hours",
        panel={"unit": "home", "period": {"column": "month", "frequency": "month"}},
        indicators={
            "coaching": {"domain": "quality", "plausible": [-1, 1], **why},
            "beds": {"domain": "context", "plausible": [-1, 1]},
            "hours": {
                "domain": "quality", "family": "normal", "plausible": [-1, 1],
                "causes": {"beds": NATURAL, **({"falls[-1]": NATURAL} if feedback else {})},
            },
            "falls": {
                "domain": "outcome", "family": "normal", "plausible": [-1, 1],
                "causes": {"hours": NATURAL, "beds": NATURAL, "coaching": NATURAL},
            },
        },
        hidden_causes={"manager": {"affects": ["hours", "falls"], "level": "home"}}
        if hidden
        else {},
    )  # fmt: skip


def known(noise: float = 1e-9, draws: int = 8, **options: Any) -> tuple[Fit, dict[str, np.ndarray]]:
    """A fit of known parameters to a panel, and everything that was put into the panel."""
    twin = hours_twin(**options)
    rng = np.random.default_rng(7)
    shape = (HOMES, BEFORE + AFTER)
    beds = rng.normal(size=shape)
    hours = 0.5 * beds + rng.normal(size=shape)
    surprise = rng.normal(size=shape) * (np.arange(shape[1]) >= BEFORE)
    starts = np.array([BEFORE, BEFORE + 1, BEFORE + 2, NEVER, NEVER, NEVER])
    coaching = (np.arange(shape[1])[None, :] >= starts[:, None]).astype(float)
    falls = -2.0 * hours + 1.0 * beds - 3.0 * coaching + surprise
    panel = panel_of(twin, starts, falls, beds=beds, hours=hours)
    lagged = [0.1] if options.get("feedback") else []
    values = {
        "hours.intercept": 0.0, "hours.causes": [0.5, *lagged], "hours.residual_sd": noise,
        "falls.intercept": 0.0, "falls.causes": [-2.0, 1.0, -3.0],
        "falls.residual_sd": np.full(draws, noise),
    }  # fmt: skip
    put = {"beds": beds, "hours": hours, "coaching": coaching, "surprise": surprise, "falls": falls}
    return Fit.from_parameters(twin, panel, values), {k: v[:, BEFORE:] for k, v in put.items()}


def followed(fit: Fit, scenarios: Any, name: str, periods: int = AFTER, **options: Any) -> FollowUp:
    early = fit.panel.select(periods=slice(0, BEFORE))
    futures = fit.simulate(periods=periods, scenarios=scenarios, panel=early, seed=1)
    return futures.follow_up(fit.panel, name, **options)


def part(found: FollowUp, name: str, by: Any = None) -> np.ndarray:
    table = found.parts(by, on="falls")
    return table.loc[table["part"] == name, "mean"].to_numpy()


# ── the parts are right ────────────────────────────────────────────────────────────────────────


def test_the_gap_falls_into_inputs_deeds_and_surprises() -> None:
    """Without noise each part is what was put in: beds moved, not all were coached, and luck."""
    fit, put = known()
    found = followed(fit, dw.do("coaching", 1), "do(coaching, 1)", on="falls")
    # Hours follow beds: beds act on falls by 1 - 2 × 0.5, so they do not act at all.
    np.testing.assert_allclose(part(found, "other inputs"), 0.0, atol=1e-7)
    np.testing.assert_allclose(
        part(found, "what was done", "home").reshape(HOMES, AFTER),
        3.0 * (1 - put["coaching"]),
        atol=1e-7,
    )
    own = put["surprise"] - 2.0 * (put["hours"] - 0.5 * put["beds"])
    np.testing.assert_allclose(
        part(found, "the twin", "home").reshape(HOMES, AFTER), own, atol=1e-6
    )


def test_deeds_that_have_a_mechanism_are_set_to_what_they_were() -> None:
    """Hours were to be 1 more than usual; they were what they were."""
    fit, put = known()
    found = followed(fit, dw.shift("hours", 1.0), "shift(hours, 1)")
    assert found.outcomes == ("falls",)
    held = fit.panel.values("beds")[:, BEFORE - 1 : BEFORE]
    planned = 0.5 * put["beds"] + 1.0
    np.testing.assert_allclose(
        part(found, "what was done", "home").reshape(HOMES, AFTER),
        -2.0 * (put["hours"] - planned),
        atol=1e-6,
    )
    # Coaching is an input that the plan left alone, and it came.
    inputs = (put["beds"] - held) * (1.0 - 2.0 * 0.5) - 3.0 * put["coaching"]
    np.testing.assert_allclose(
        part(found, "other inputs", "home").reshape(HOMES, AFTER), inputs, atol=1e-6
    )
    np.testing.assert_allclose(
        part(found, "the twin", "home").reshape(HOMES, AFTER), put["surprise"], atol=1e-6
    )


def test_parts_sum_to_the_gap_in_every_draw() -> None:
    fit, _ = known(noise=0.7, draws=50)
    found = followed(fit, dw.shift("hours", 1.0), "shift(hours, 1)")
    total = sum(part(found, name) for name in ("other inputs", "what was done", "the twin"))
    np.testing.assert_allclose(total, part(found, "gap"), rtol=1e-9)
    planned = found.draws["falls"].sel(forecast="as planned")
    expected = found.realised["falls"].mean(axis=0) - planned.mean(("chain", "draw", "unit"))
    np.testing.assert_allclose(part(found, "gap"), expected, rtol=1e-9)


def test_a_plan_that_was_kept_leaves_nothing_to_those_who_acted() -> None:
    fit, put = known(noise=0.5)
    plan = dw.Scenario(
        "phases", [dw.do("coaching", 1, where=f"home == 'h00{i}'", start=i + 1) for i in range(1)]
    )
    found = followed(fit, plan, "phases", on="falls")
    own = part(found, "what was done", "home").reshape(HOMES, AFTER)
    np.testing.assert_array_equal(own[0], 0.0)
    np.testing.assert_allclose(own[1], -3.0 * put["coaching"][1])


def test_the_forecast_as_planned_is_the_one_that_was_made() -> None:
    fit, _ = known(noise=0.5)
    early = fit.panel.select(periods=slice(0, BEFORE))
    futures = fit.simulate(periods=6, scenarios=dw.do("coaching", 1), panel=early, seed=1)
    found = futures.follow_up(fit.panel, "do(coaching, 1)")
    made = futures.draws["falls"].sel(scenario="do(coaching, 1)").values[..., :AFTER]
    planned = found.draws["falls"].sel(forecast="as planned").values
    np.testing.assert_array_equal(planned, made)
    # Two of six periods have not come.
    assert found.periods == ("2020-06", "2020-07", "2020-08", "2020-09")


# ── calibration ────────────────────────────────────────────────────────────────────────────────


def test_forecasts_under_what_was_done_are_calibrated_where_the_plan_was_not_kept() -> None:
    """A panel of the twin's own making: the twin is right, and the plan was not kept."""
    homes, months = 120, 12
    twin = hours_twin()
    rng = np.random.default_rng(3)
    beds = rng.normal(size=(homes, months))
    hours = 0.5 * beds + rng.normal(0.0, 0.6, beds.shape)
    starts = np.where(rng.random(homes) < 0.5, 8, NEVER)
    coaching = (np.arange(months)[None, :] >= starts[:, None]).astype(float)
    falls = -2.0 * hours + beds - 3.0 * coaching + rng.normal(0.0, 0.8, beds.shape)
    panel = panel_of(twin, starts, falls, beds=beds, hours=hours)
    values = {
        "hours.intercept": 0.0, "hours.causes": [0.5], "hours.residual_sd": 0.6,
        "falls.intercept": 0.0, "falls.causes": [-2.0, 1.0, -3.0],
        "falls.residual_sd": np.full(400, 0.8),
    }  # fmt: skip
    fit = Fit.from_parameters(twin, panel, values)
    futures = fit.simulate(
        periods=4,
        scenarios=dw.do("coaching", 1),
        panel=panel.select(periods=slice(0, 8)),
        seed=1,
    )
    found = futures.follow_up(panel, "do(coaching, 1)", on="falls")
    assert found.calibration("falls").status == "calibrated"
    held = found.coverage().set_index("forecast")["80%"]
    # 480 cases.
    assert abs(held["with what was done"] - 0.8) < 4 * np.sqrt(0.16 / 480)
    assert held["as planned"] < 0.7
    # A twin that is wrong by more than its noise is told so.
    wrong = panel.data.copy(deep=True)
    wrong["falls"][:, 8:] += 1.5
    other = futures.follow_up(dw.Panel.from_dataset(wrong, twin), "do(coaching, 1)", on="falls")
    assert other.calibration("falls").status == "not calibrated"
    assert part(other, "the twin") == pytest.approx(part(found, "the twin") + 1.5)
    assert part(other, "what was done") == pytest.approx(part(found, "what was done"))


# ── the licence, and what is said ──────────────────────────────────────────────────────────────


def test_deeds_that_move_with_falls_for_a_hidden_reason_are_refused() -> None:
    fit, _ = known(hidden=True)
    with pytest.raises(LicenceError, match="manager"):
        followed(fit, dw.shift("hours", 1.0), "shift(hours, 1)")
    found = followed(fit, dw.shift("hours", 1.0), "shift(hours, 1)", assume="no hidden causes")
    assert found.licence.identified.status == "assumed"
    assert "The part of what was done: association" in repr(found)


def test_deeds_that_may_have_answered_to_what_happened_are_named() -> None:
    fit, _ = known(feedback=True)
    found = followed(fit, dw.shift("hours", 1.0), "shift(hours, 1)")
    assert any("may have answered to what had happened" in note for note in found.notes)
    without, _ = known()
    plain = followed(without, dw.shift("hours", 1.0), "shift(hours, 1)")
    assert plain.notes == ()
    assert repr(plain).startswith("Under 'shift(hours, 1)', mean falls in 2020-09 was ")


def test_what_was_not_recorded_is_left_as_it_was_forecast() -> None:
    fit, _ = known()
    data = fit.panel.data.copy(deep=True)
    data["hours"][0, BEFORE + 1] = np.nan
    data["falls"][1, BEFORE + 1] = np.nan
    early = fit.panel.select(periods=slice(0, BEFORE))
    futures = fit.simulate(periods=AFTER, scenarios=dw.shift("hours", 1.0), panel=early, seed=1)
    found = futures.follow_up(dw.Panel.from_dataset(data, fit.twin), "shift(hours, 1)")
    assert any("1 home-period is without a record of what was done" in n for n in found.notes)
    # Falls of home 1 are missing: the others' are compared, in all forecasts.
    table = found.summary().query("period == '2020-07' and forecast == 'with what was done'")
    rest = [0, 2, 3, 4, 5]
    assert table["realised"].item() == pytest.approx(
        np.mean(fit.panel.values("falls")[rest, BEFORE + 1])
    )
    done = found.draws["falls"].sel(forecast="with what was done").values[0, :, rest, 1]
    assert table["mean"].item() == pytest.approx(done.mean())


def test_shares_that_were_done_are_set_as_shares() -> None:
    twin = dw.Twin(
        twin="shares",
        panel={"unit": "home", "period": {"column": "month", "frequency": "month"}},
        indicators={
            "staff": {"domain": "workforce"},
            "trained": {"domain": "quality", "family": "binomial", "trials": "staff"},
            "falls": {
                "domain": "outcome", "family": "normal", "plausible": [-1, 1],
                "causes": {"share(trained)": NATURAL},
            },
        },
    )  # fmt: skip
    staff = np.full((3, 4), 10.0)
    trained = np.array([[1, 1, 5, 6], [2, 2, 8, 8], [0, 1, 2, 3.0]])
    panel = panel_of(twin, np.full(3, NEVER), np.zeros((3, 4)), staff=staff, trained=trained)
    values = {
        "trained.intercept": 0.0, "falls.intercept": 0.0, "falls.causes": [-5.0],
        "falls.residual_sd": 1e-9,
    }  # fmt: skip
    fit = Fit.from_parameters(twin, panel, values)
    early = panel.select(periods=slice(0, 2))
    futures = fit.simulate(periods=2, scenarios=dw.do("trained", 0.9), panel=early, seed=1)
    found = futures.follow_up(panel, "do(trained, 0.9)", on="falls")
    both = found.draws["falls"].values[:, 0, 0]
    # What was trained less what was planned, draw by draw.
    planned = found.draws["trained"].sel(forecast="as planned").values[0, 0]
    np.testing.assert_allclose(both[2] - both[0], -5.0 * (trained[:, 2:] - planned) / 10, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "baseline"}, "changes no indicator"),
        ({"name": "other"}, "no scenario 'other'"),
        ({"name": "do(coaching, 1)", "done": "coachin"}, "Did you mean 'coaching'"),
        ({"name": "do(coaching, 1)", "on": "coaching"}, "nothing is reached"),
        ({"name": "do(coaching, 1)", "assume": "luck"}, "no hidden causes"),
    ],
)
def test_a_wrong_follow_up_says_what_is_wrong(options: dict[str, Any], message: str) -> None:
    fit, _ = known()
    with pytest.raises(SpecificationError, match=message):
        followed(fit, dw.do("coaching", 1), **options)


def test_a_panel_that_has_not_come_is_refused() -> None:
    fit = small_pilot()
    futures = fit.simulate(periods=2, scenarios=dw.do("coaching", 1), seed=1)
    with pytest.raises(DataError, match="ends with 2024-05, and the forecast begins with 2024-06"):
        futures.follow_up(fit.panel, "do(coaching, 1)")


def test_a_baseline_can_be_followed_by_naming_what_was_done() -> None:
    fit, put = known()
    found = followed(fit, (), "baseline", done="coaching", on="falls")
    np.testing.assert_allclose(
        part(found, "what was done", "home").reshape(HOMES, AFTER),
        -3.0 * put["coaching"],
        atol=1e-7,
    )


def test_a_follow_up_can_be_drawn() -> None:
    fit, _ = known()
    found = followed(fit, dw.shift("hours", 1.0), "shift(hours, 1)")
    assert len(found.plot().axes) == 2
    assert len(found.plot("falls", by="home").axes) == HOMES
