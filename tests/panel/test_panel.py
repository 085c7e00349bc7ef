"""A panel knows its units, groups and periods, and a part of it is a panel too."""

import datetime
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dotwin.errors import DataError
from dotwin.panel import Panel, read_panel
from dotwin.panel.panel import example_panel
from dotwin.spec.twin import Twin


@pytest.fixture(scope="module")
def panel() -> Panel:
    homes = pd.DataFrame({"home": list("abcd"), "region": ["s", "n", "s", "n"], "network": "x"})
    months = pd.DataFrame({"month": [f"2024-{m:02d}" for m in range(1, 7)]})
    table = homes.merge(months, how="cross")
    table["y"] = np.arange(24.0)
    table["owner"] = table["home"].map({"a": "private", "b": "public", "c": "", "d": "public"})
    table.loc[5, "y"] = -1.0
    twin = Twin(
        twin="t",
        panel={
            "unit": "home",
            "levels": ["network", "region"],
            "period": {"column": "month", "frequency": "month"},
        },
        indicators={
            "y": {"domain": "quality", "family": "poisson", "label": "Falls", "unit": "per month"},
            "owner": {"domain": "context", "categories": ["private", "public"]},
        },
    )
    return read_panel(table, twin, on_invalid="missing")


def test_each_unit_has_its_group_at_every_level(panel: Panel) -> None:
    codes, names = panel.groups("region")
    assert [names[code] for code in codes] == ["s", "n", "s", "n"]
    assert panel.groups("home")[0].tolist() == [0, 1, 2, 3]
    assert panel.groups("network")[1] == ["x"]
    with pytest.raises(KeyError, match=r"no level 'regoin'. Did you mean 'region'\?"):
        panel.groups("regoin")


def test_an_indicator_that_is_not_there_is_refused_with_the_nearest(panel: Panel) -> None:
    with pytest.raises(KeyError, match=r"no 'ownr'. Did you mean 'owner'\?"):
        panel.values("ownr")


def test_variables_carry_what_people_read(panel: Panel) -> None:
    assert panel.data["y"].attrs == {"long_name": "Falls", "units": "per month"}


@pytest.mark.parametrize(
    ("frequency", "last", "labels"),
    [
        ("day", "2024-02-28", ["2024-02-29", "2024-03-01"]),
        ("week", "2024-12-25", ["2025-W01", "2025-W02"]),
        ("month", "2024-11", ["2024-12", "2025-01"]),
        ("quarter", "2024Q3", ["2024Q4", "2025Q1"]),
        ("year", "2024", ["2025", "2026"]),
    ],
)
def test_the_future_follows_the_calendar(frequency: str, last: str, labels: list[str]) -> None:
    twin = Twin(
        twin="t",
        panel={"unit": "home", "period": {"column": "when", "frequency": frequency}},
        indicators={"y": {"domain": "quality"}},
    )
    panel = read_panel(pd.DataFrame({"home": ["a"], "when": [last], "y": [1.0]}), twin)
    starts, named = panel.future_periods(2)
    assert named == labels
    assert starts.dtype == "datetime64[ns]"
    assert (starts > panel.data["period"].values[-1]).all()
    assert panel.future_periods(0)[1] == []
    with pytest.raises(ValueError, match="0 or more, not -1"):
        panel.future_periods(-1)


def test_a_cross_section_has_no_future() -> None:
    twin = Twin(twin="t", panel={"unit": "home"}, indicators={"y": {"domain": "quality"}})
    panel = read_panel(pd.DataFrame({"home": ["a"], "y": [1.0]}), twin)
    with pytest.raises(DataError, match="a cross-section has no periods after it"):
        panel.future_periods(1)
    assert panel.select(periods=["0"]).digest == panel.digest
    with pytest.raises(DataError, match="without dates"):
        panel.period_position("2024-01")


@pytest.mark.parametrize(
    ("periods", "labels"),
    [
        (slice("2024-02", "2024-03"), ["2024-02", "2024-03"]),
        (slice(None, "2024-02"), ["2024-01", "2024-02"]),
        (slice("2024-05", None), ["2024-05", "2024-06"]),
        (slice("2020-01", "2024-01-31"), ["2024-01"]),
        (slice("2024-06", "2030-01"), ["2024-06"]),
        (slice(0, 2), ["2024-01", "2024-02"]),
        (slice(-1, None), ["2024-06"]),
        (["2024-04", "2024-03"], ["2024-03", "2024-04"]),
        ([datetime.date(2024, 4, 30)], ["2024-04"]),
    ],
)
def test_a_run_of_periods_is_selected(panel: Panel, periods: Any, labels: list[str]) -> None:
    part = panel.select(periods=periods)
    assert part.period_labels == labels
    first = panel.period_labels.index(labels[0])
    np.testing.assert_array_equal(
        part.values("y"), panel.values("y")[:, first : first + len(labels)]
    )


@pytest.mark.parametrize(
    "units",
    [["c", "b"], np.array([False, True, True, False]), [1, 2], pd.Index(["b", "c"]), [-2, 1]],
)
def test_some_units_are_selected_in_the_panel_s_order(panel: Panel, units: Any) -> None:
    part = panel.select(units=units)
    assert part.units.tolist() == ["b", "c"]
    assert part.groups("region")[1] == ["n", "s"]
    np.testing.assert_array_equal(part.values("y"), panel.values("y")[1:3])


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        ({"units": ["z"]}, "no home z in the panel"),
        ({"units": []}, "nothing is left"),
        ({"units": [True]}, "one entry per unit, 4"),
        ({"periods": slice("2030-01", None)}, "nothing is left"),
        ({"periods": []}, "nothing is left"),
        ({"periods": ["2024-01", "2024-03"]}, "2024-01, 2024-03 leave gaps"),
        ({"periods": ["2025-01"]}, "'2025-01' is not in the panel, 2024-01 to 2024-06"),
        ({"periods": ["2024"]}, "'2024' is no month; write it as 2024-01"),
        ({"periods": slice("spring", None)}, "'spring' is no month"),
        ({"periods": slice(None, None, 2)}, "leave the slice's step out"),
    ],
)
def test_what_cannot_be_selected_is_refused(
    panel: Panel, selection: dict[str, Any], says: str
) -> None:
    with pytest.raises(DataError) as caught:
        panel.select(**selection)
    assert says in str(caught.value)


def test_a_part_takes_its_own_quality_and_keeps_the_log_of_what_concerns_it(panel: Panel) -> None:
    assert len(panel.quality.impossible) == 1
    assert len(panel.select(units=["a"]).quality.impossible) == 1
    assert panel.select(units=["b", "c"]).quality.impossible.empty
    assert panel.select(periods=slice(0, 3)).quality.table.loc["y", "rows"] == 12


def test_the_digest_tells_facts_and_twins_apart(panel: Panel) -> None:
    again = Panel.from_dataset(panel.data, panel.twin)
    assert again.digest == panel.digest
    assert len(panel.digest) == 64
    changed = panel.data.copy(deep=True)
    changed["y"][0, 0] += 1
    assert Panel.from_dataset(changed, panel.twin).digest != panel.digest
    other = panel.twin.model_copy(update={"version": 2})
    assert Panel.from_dataset(panel.data, other).digest != panel.digest
    parts = {panel.select(units=[u], periods=slice(t, t + 1)).digest for u in "bd" for t in (0, 1)}
    assert len(parts) == 4


def test_the_digest_is_the_same_in_another_process() -> None:
    code = "from dotwin.panel.panel import example_panel; print(example_panel().digest)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.strip() == example_panel().digest


def test_a_panel_says_what_it_is_in_a_sentence(panel: Panel) -> None:
    assert repr(panel) == (
        "Panel of 4 homes in 2 regions in 1 network over 6 months, 2024-01 to 2024-06: 24 rows, "
        "2 indicators."
    )
    assert repr(panel) in panel._repr_html_()
    assert "<table" in panel._repr_html_()


def test_reading_a_panel_loads_neither_samplers_nor_figures() -> None:
    code = (
        "import sys, dotwin.panel; heavy = {'pymc', 'pytensor', 'nutpie', 'arviz', 'matplotlib', "
        "'duckdb', 'numba', 'scipy.stats'}; print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.strip() == "[]"
