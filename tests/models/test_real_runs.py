"""The reference twins of nursing homes, fitted to some states, asked what they must not answer."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dotwin as dw
from dotwin.errors import ConvergenceWarning, LicenceError
from dotwin.inference import Fit

pytestmark = pytest.mark.realdata


def fitted(twin: dw.Twin, path: Path, states: list[str]) -> Fit:
    """A short fit to some states: enough for its rows, its licence and its pages."""
    table = pd.read_csv(path, dtype={"ccn": str})
    panel = dw.read_panel(table[table["state"].isin(states)], twin)
    with warnings.catch_warnings():
        # So few draws are not meant to converge.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return dw.fit(twin, panel, draws=100, tune=200, chains=2, seed=1, progress=False)


@pytest.fixture(scope="module")
def quarters(cms_data: Path) -> Fit:
    twin = dw.read_twin("nursing_home_quarters")
    return fitted(twin, cms_data / "home_quarters.csv.gz", ["AK", "NH", "VT", "WY"])


@pytest.fixture(scope="module")
def outcomes(cms_data: Path) -> Fit:
    twin = dw.read_twin("nursing_home_outcomes")
    return fitted(twin, cms_data / "homes.csv.gz", ["NH", "VT", "ME"])


@pytest.mark.parametrize("name", ["quarters", "outcomes"])
def test_every_row_is_used_or_counted_by_its_reason(
    name: str, request: pytest.FixtureRequest
) -> None:
    fit: Fit = request.getfixturevalue(name)
    present = int(fit.panel.data["present"].sum())
    for design in fit.designs.values():
        assert design.rows > 0
        assert design.rows + int(design.accounting["rows"].sum()) == present


def test_nurse_hours_on_citations_is_refused_and_named_an_association(quarters: Fit) -> None:
    futures = quarters.simulate(periods=2, scenarios=None, seed=1, draws=40)
    with pytest.raises(LicenceError, match="resident case mix"):
        futures.contrast("registered-nurse floor", on="citations")
    contrast = futures.contrast(
        "registered-nurse floor", on="citations", assume="no hidden causes", replicates=2
    )
    assert contrast.licence.identified.status == "assumed"
    assert "association under the declared graph, not an effect" in repr(contrast)


def test_citations_lie_where_inspections_let_them(quarters: Fit) -> None:
    draws = quarters.simulate(periods=2, seed=1, draws=40).draws
    surveys, citations = draws["citing_surveys"].values, draws["citations"].values
    assert (citations[surveys == 0] == 0).all()
    assert (citations >= surveys).all()
    for part in ("harm_citations", "jeopardy_citations", "abuse_neglect_citations"):
        assert (draws[part].values <= citations).all()


def test_the_first_page_says_that_nurse_hours_are_not_identified(
    quarters: Fit, tmp_path: Path
) -> None:
    futures = quarters.simulate(periods=2, scenarios=None, seed=1, draws=40)
    page = dw.report(quarters, futures, path=tmp_path / "report.html").read_text()
    first = page[: page.index("What the beliefs rest on")]
    assert "Not identified" in first
    assert "rn_hprd ←" in first
    (answer,) = json.loads((tmp_path / "summary.json").read_text())["answers"]
    assert answer["compared"][0]["licence"]["identified"]["status"] != "yes"
    assert "association" in answer["compared"][0]["sentence"]


def test_time_order_does_not_support_an_effect_of_turnover(outcomes: Fit) -> None:
    limits = " ".join(outcomes.twin.governance.limitations)
    assert "time order" in limits
    futures = outcomes.simulate(scenarios=None, seed=1, draws=40)
    (name,) = outcomes.twin.scenarios
    with pytest.raises(LicenceError):
        futures.contrast(name)


def test_a_home_never_seen_is_drawn_from_the_others(quarters: Fit, cms_data: Path) -> None:
    table = pd.read_csv(cms_data / "home_quarters.csv.gz", dtype={"ccn": str})
    homes = table.loc[table["state"] == "WY", "ccn"].unique()[:3]
    new = table[table["ccn"].isin(homes)].assign(ccn=lambda t: "new-" + t["ccn"])
    panel = dw.read_panel(new, quarters.twin)
    with pytest.raises(dw.errors.NewGroupsError, match="new-"):
        quarters.simulate(periods=1, seed=1, draws=40, panel=panel)
    draws = quarters.simulate(
        periods=1, seed=1, draws=40, panel=panel, new_groups="population"
    ).draws
    assert draws.sizes["unit"] == 3
    assert np.isfinite(draws["rn_hprd"].values).all()
