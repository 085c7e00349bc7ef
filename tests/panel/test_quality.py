"""The quality of a panel is counted rightly and said in words."""

import numpy as np
import pandas as pd
import pytest

from dotwin.panel import Panel, Quality, read_panel
from dotwin.spec.twin import Twin


@pytest.fixture(scope="module")
def panel() -> Panel:
    presence = {"a": "1111", "b": "0111", "c": "1101", "d": "1100", "e": "0010", "F": "1111"}
    rows = [
        {"home": home, "region": "North" if home in "ab" else "north", "year": 2020 + t}
        for home, marks in presence.items()
        for t, mark in enumerate(marks)
        if mark == "1"
    ]
    table = pd.DataFrame(rows)
    table["falls"] = np.where(table["home"] == "a", 0.0, 2.0)
    table.loc[table["home"].isin(["c", "e"]), "falls"] = np.nan
    table["beds"] = np.where(table["year"] < 2023, 10.0, np.nan)
    table["nothing"] = np.nan
    table["unused"] = 1
    twin = Twin(
        twin="t",
        panel={
            "unit": "home",
            "levels": ["region"],
            "period": {"column": "year", "frequency": "year"},
        },
        indicators={
            "falls": {"domain": "quality", "family": "poisson"},
            "beds": {"domain": "capacity"},
            "nothing": {"domain": "context"},
        },
    )
    return read_panel(table, twin)


def test_every_indicator_is_counted(panel: Panel) -> None:
    falls = panel.quality.table.loc["falls"]
    assert falls["rows"] == 17
    assert falls["missing"] == 4
    assert falls["missing %"] == pytest.approx(100 * 4 / 17)
    assert falls["zero %"] == pytest.approx(100 * 4 / 13)
    assert falls["units with none"] == 2
    assert (falls["first period"], falls["last period"]) == ("2020", "2023")
    assert panel.quality.table.loc["beds", "last period"] == "2022"
    assert panel.quality.table.loc["nothing", "first period"] == ""


def test_entries_exits_and_gaps_are_told_apart(panel: Panel) -> None:
    coverage = panel.quality.coverage
    assert coverage["units present"].tolist() == [4, 5, 4, 4]
    assert coverage["entries"].tolist() == [4, 1, 1, 0]
    assert coverage["exits"].tolist() == [0, 0, 1, 1]
    assert coverage["in a gap"].tolist() == [0, 0, 1, 0]
    assert coverage.index.tolist() == ["2020", "2021", "2022", "2023"]


def test_presence_changes_only_by_entries_exits_and_gaps(panel: Panel) -> None:
    coverage = panel.quality.coverage
    inside = coverage["units present"] + coverage["in a gap"]
    change = (coverage["entries"] - coverage["exits"]).cumsum()
    assert inside.tolist() == change.tolist()


def test_late_units_and_thin_groups_are_named(panel: Panel) -> None:
    quality = panel.quality
    assert quality.late == ("d", "e")
    thin = quality.thin_groups
    assert thin[thin["level"] == "region"]["group"].tolist() == ["North", "north"]
    assert thin[thin["level"] == "home"]["group"].tolist() == ["d", "e"]


def test_the_text_says_what_a_reader_must_know(panel: Panel) -> None:
    assert panel.quality.problems == (
        "falls: 24 % missing (4 rows); 2 homes without any.",
        "beds: 24 % missing (4 rows), recorded 2020 to 2022; 0 homes without any.",
        "nothing: no value at all.",
        "2 homes of 6 without a row in the last year (2023): gone, or their data come late.",
        "2 homes of 6 enter after the first year.",
        "1 home-year lies in a gap: the home has rows before and after, but none there.",
        "2 regions with fewer than 5 units: North; north.",
        "2 homes with fewer than 3 rows: d; e.",
        "Names of region that differ only in capitals: North; north.",
    )
    assert panel.quality.text.startswith("6 homes in 2 regions over 4 years, 2020 to 2023: 17 rows")
    assert "Columns of the table that the twin does not use: unused." in panel.quality.text
    assert repr(panel.quality).endswith("3 indicators. 9 things to know.")


def test_a_sound_panel_has_no_problems() -> None:
    table = pd.DataFrame(
        [{"home": f"h{i}", "year": y, "y": float(i + y)} for i in range(6) for y in (2001, 2002)]
    )
    twin = Twin(
        twin="t",
        panel={"unit": "home", "period": {"column": "year", "frequency": "year"}},
        indicators={"y": {"domain": "quality"}},
    )
    quality: Quality = read_panel(table, twin).quality
    assert quality.problems == ()
    assert "Nothing stands out" in quality.text
    assert repr(quality).endswith("Nothing stands out.")
    assert quality.thin_groups.empty


def test_names_are_safe_in_html() -> None:
    twin = Twin(twin="t", panel={"unit": "home"}, indicators={"y": {"domain": "quality"}})
    table = pd.DataFrame({"home": ["<b>", "<B>"], "y": [1.0, 2.0]})
    assert "&lt;b&gt;" in read_panel(table, twin)._repr_html_()
    assert "<b>" not in read_panel(table, twin)._repr_html_()
