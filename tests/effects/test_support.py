"""Results with and without the units for which nothing like the intervention was ever seen."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.inference import Fit
from dotwin.spec import Scenario, Twin, do
from tests.effects.small import NATURAL, known_fit, make_panel

UNITS = 300


@pytest.fixture(scope="module")
def fit() -> Fit:
    """Small homes have a staffing near 1, large ones near 3; the effect is larger in large ones."""
    twin = Twin(
        twin="homes",
        panel={"unit": "home"},
        indicators={
            "large": {"domain": "context"},
            "staff": {"domain": "workforce", "unconfounded": "set by law"},
            "falls": {
                "domain": "outcome",
                "family": "normal",
                "plausible": [-1.645, 1.645],
                "causes": {"staff": NATURAL, "large": NATURAL, "staff * large": NATURAL},
            },
        },
    )
    large = (np.arange(UNITS) % 3 == 0).astype(float)[:, None]
    rng = np.random.default_rng(0)
    staff = 1 + 2 * large + rng.uniform(-0.5, 0.5, (UNITS, 1))
    panel = make_panel(twin, {"large": large, "staff": staff, "falls": staff}, UNITS)
    values = {"falls.intercept": 0.0, "falls.causes": [1.0, 0.0, 1.0], "falls.residual_sd": 1.0}
    return known_fit(twin, panel, values, draws=4)


def test_extrapolated_units_are_those_whose_neighbours_never_had_the_value(fit: Fit) -> None:
    """Staffing of 2.7 and 3.3 is ordinary in large homes and unheard of in small ones."""
    effect = fit.effect("staff", on="falls", contrast=(2.7, 3.3))
    support = effect.support
    assert support.verdict == "extrapolated"
    large = fit.panel.values("large")[:, 0] == 1
    np.testing.assert_array_equal(support.extrapolated, ~large)
    np.testing.assert_array_equal(support.by_unit["staff"], (~large).astype(float))
    assert effect.licence.supported.status == "no"
    table = effect.by_support().set_index("units")
    assert table["count"].tolist() == [UNITS, UNITS // 3]
    # 0.6 (1 + z) with z large, less its mean of 1/3: all units average to 0.6, large ones to 1.0.
    assert table.loc["all", "mean"] == pytest.approx(0.6)
    assert table.loc["without extrapolated", "mean"] == pytest.approx(0.6 * (1 + 2 / 3))


def test_support_is_judged_for_those_whom_the_effect_is_about(fit: Fit) -> None:
    large = fit.effect("staff", on="falls", contrast=(2.7, 3.3), among="large == 1")
    assert large.support.table["outside"].item() == 0.0
    assert large.licence.supported.status == "yes"
    small = fit.effect("staff", on="falls", contrast=(2.7, 3.3), among="large == 0")
    assert small.support.table["outside"].item() == 1.0
    assert small.licence.supported.status == "no"


def test_no_number_goes_without_the_word_that_it_is_extrapolated(fit: Fit) -> None:
    effect = fit.effect("staff", on="falls", contrast=(2.7, 3.3))
    beyond = "By extrapolation beyond what the panel shows"
    assert repr(effect).startswith(f"{beyond}, setting staff to 3.3 rather than 2.7, mean falls")
    assert effect.summary()["support"].tolist() == ["extrapolated"]
    assert effect.plot().get_suptitle().startswith(beyond)
    assert effect.by_support()["support"].tolist() == ["extrapolated", "supported"]


def test_what_the_panel_shows_needs_no_word(fit: Fit) -> None:
    effect = fit.effect("staff", on="falls", contrast=(2.7, 3.3), among="large == 1")
    assert repr(effect).startswith("Setting staff to 3.3 rather than 2.7, mean falls")
    assert effect.summary()["support"].tolist() == ["supported"]
    assert effect.plot().get_suptitle().startswith("staff = 3.3")


def test_an_indicators_name_stays_as_it_is_written(fit: Fit) -> None:
    sentence = fit.effect("staff", on="falls", contrast=(2.7, 3.3)).licence.supported.sentence
    assert sentence.startswith("On average staff moves by ")


def test_where_everyone_is_extrapolated_there_is_no_second_result(fit: Fit) -> None:
    effect = fit.effect("staff", on="falls", contrast=(20, 30))
    assert effect.by_support()["units"].tolist() == ["all"]


def test_contrasts_of_futures_stand_side_by_side_too(fit: Fit) -> None:
    scenarios = [
        Scenario(name, [do("staff", staff)], source="budget")
        for name, staff in (("more", 3.3), ("same", 2.7))
    ]
    futures = fit.simulate(scenarios=scenarios, seed=1)
    table = futures.contrast("more", against="same", on="falls").by_support()
    assert table["units"].tolist() == ["all", "without extrapolated"]
    assert table["count"].tolist() == [UNITS, UNITS // 3]
    np.testing.assert_allclose(table["mean"], [0.6, 1.0], rtol=1e-9)
