"""Before the start, and units that never began: what shows where forecasts are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from dotwin.effects.examples import small_pilot
from dotwin.effects.pilots.pilot import Pilot
from dotwin.errors import DataError, SpecificationError
from dotwin.inference import Fit
from tests.effects.rollouts import NEVER, fitted, panel_of, rollout_twin, staggered


def piloted(drift: float) -> Pilot:
    starts, falls, _ = staggered(0, drift=drift)
    twin = rollout_twin()
    return fitted(twin, panel_of(twin, starts, falls)).pilot("coaching", on="falls", seed=3)


@pytest.fixture(scope="module")
def parallel() -> Pilot:
    return piloted(0.0)


@pytest.fixture(scope="module")
def drifting() -> Pilot:
    return piloted(0.3)


# ── before the start ───────────────────────────────────────────────────────────────────────────


def test_a_trend_of_their_own_is_seen_before_the_start(drifting: Pilot) -> None:
    check = drifting.pre_period(3)
    assert check.contradicted()
    assert "the forecasts are contradicted before the start" in repr(check)
    # The forecast stays where homes were on average, the homes drift on: by 0.3 a month.
    steps = np.diff(check.summary()["mean"])
    assert np.all(np.abs(steps - 0.3) < 3 * check.summary()["sd"].max())
    assert check.power(0.3, "drift") > 0.9


def test_parallel_homes_are_not_contradicted_and_what_would_have_shown_is_said(
    parallel: Pilot,
) -> None:
    check = parallel.pre_period(3)
    assert not check.contradicted()
    assert check.summary()["since"].tolist() == [-3, -2, -1]
    assert check.summary()["units"].tolist() == [40, 40, 40]
    for shape in ("constant", "drift"):
        assert check.power(check.seen(shape), shape) == pytest.approx(0.8, abs=0.002)
    # Nothing is seen where nothing is as often as intervals fail.
    assert check.power(0.0) == pytest.approx(0.1, abs=0.002)
    assert "not contradicted; a constant difference of " in repr(check)
    assert check.draws["difference"].dims == ("chain", "draw", "since")


def test_the_power_of_one_period_is_that_of_a_normal_test(parallel: Pilot) -> None:
    check = parallel.pre_period(1)
    sd = check.summary()["sd"].item()
    expected = (stats.norm.ppf(0.95) + stats.norm.ppf(0.8)) * sd
    assert check.seen() == pytest.approx(expected, rel=0.06)
    wider = check.summary(interval=0.99)
    assert wider["all at once, to"].item() - wider["mean"].item() == pytest.approx(
        stats.norm.ppf(0.995) * sd, rel=0.12
    )


def test_intervals_all_at_once_are_wider_than_each_alone(parallel: Pilot) -> None:
    table = parallel.pre_period(3).summary()
    assert (table["all at once, from"] < table["5%"]).all()
    assert (table["all at once, to"] > table["95%"]).all()
    draws = parallel.pre_period(3).draws["difference"].values.reshape(-1, 3)
    inside = (draws > table["all at once, from"].to_numpy()) & (
        draws < table["all at once, to"].to_numpy()
    )
    assert inside.all(axis=1).mean() == pytest.approx(0.9, abs=0.002)


def test_an_untestable_drift_is_said_to_be_hardly_tested() -> None:
    """A small effect, and one noisy month before it: the check could not have vouched for it."""
    starts, falls, effect = staggered(1, homes=12, noise=1.5)
    twin = rollout_twin()
    fit = fitted(twin, panel_of(twin, starts, falls - 0.9 * effect), draws=400)
    check = fit.pilot("coaching", on="falls", seed=1).pre_period(2)
    assert check.unseen > abs(check.pilot.average().mean())
    assert "not contradicted, and hardly tested" in repr(check)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda pilot: pilot.pre_period(0), "at least one period"),
        (lambda pilot: pilot.pre_period(1).power(1.0, "steep"), "'constant' or 'drift'"),
        (lambda pilot: pilot.pre_period(1).seen(chance=0.05), "above 0.1"),
    ],
)
def test_a_wrong_check_says_what_is_wrong(asked: Any, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        asked(small_pilot().pilot("coaching", on="falls"))


def test_too_many_periods_before_the_start_are_refused() -> None:
    found = small_pilot().pilot("coaching", on="falls")
    with pytest.raises(DataError, match="begins late enough"):
        found.pre_period(3)
    # Those that began in March have one month less than those of April.
    assert found.pre_period(2).placebo.left_out["unit"].tolist() == ["A", "B"]


# ── units that never began ─────────────────────────────────────────────────────────────────────


def test_forecasts_hold_for_units_that_never_began(parallel: Pilot) -> None:
    found = parallel.stand_ins()
    assert found.cases["unit"].nunique() == 20
    share = found.summary().set_index("turn").loc["all", "80%"]
    assert abs(share - 0.8) < 0.12
    # No effect where there was none.
    assert ((found.effects["5%"] < 0) & (found.effects["95%"] > 0)).all()
    # They start when the others did: half of them in either month.
    starts = found.cases.groupby("unit")["origin"].first().value_counts()
    assert starts.to_dict() == {"2020-04": 10, "2020-08": 10}


def test_wrong_forecasts_show_in_units_that_never_began() -> None:
    """Homes whose noise is doubled in what is forecast."""
    rng = np.random.default_rng(2)
    starts, falls, _ = staggered(3, homes=90)
    falls[:, 4:] += rng.normal(0.0, 1.5, falls[:, 4:].shape) * (starts == NEVER)[:, None]
    twin = rollout_twin("phased", pooling=["home"])
    own = falls[:, :4].mean(axis=1)
    values = {
        "falls.intercept": 0.0, "falls.causes": [0.0, 0.0], "falls.sd_home": 1.0,
        "falls.home": own[None, :], "falls.residual_sd": np.full(200, 0.5),
    }  # fmt: skip
    fit = Fit.from_parameters(twin, panel_of(twin, starts, falls), values)
    found = fit.pilot("coaching", on="falls").stand_ins()
    assert found.calibration.status == "not calibrated"
    assert "not calibrated" in repr(found)


def test_errors_that_last_show_in_averages_alone() -> None:
    """Noise as large as the twin says in every month, but much the same from month to month."""
    rng = np.random.default_rng(6)
    starts, _, _ = staggered(3, homes=180)
    noise = np.empty((180, 12))
    noise[:, 0] = rng.normal(size=180)
    for t in range(1, 12):
        noise[:, t] = 0.9 * noise[:, t - 1] + np.sqrt(1 - 0.81) * rng.normal(size=180)
    twin = rollout_twin("phased", pooling=[])
    values = {
        "falls.intercept": 0.0, "falls.causes": [0.0], "falls.residual_sd": np.full(400, 1.0),
    }  # fmt: skip
    fit = Fit.from_parameters(twin, panel_of(twin, starts, noise), values)
    found = fit.pilot("coaching", on="falls").stand_ins()
    assert found.calibration.status != "not calibrated"
    assert found.calibration_of_averages.status == "not calibrated"
    held = found.summary().set_index("turn")["80%"]
    assert held["averages"] < 0.6 < held["all"]
    assert "Averages over a home's periods: not calibrated" in repr(found)


def test_too_few_that_never_began_are_refused() -> None:
    with pytest.raises(DataError, match="2 homes never began; 4 or more"):
        small_pilot().pilot("coaching", on="falls").stand_ins()


def test_checks_can_be_drawn(parallel: Pilot) -> None:
    assert len(parallel.pre_period(2).plot().axes) == 1
    assert len(parallel.stand_ins().plot().axes) == 2
