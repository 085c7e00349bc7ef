"""The same facts give the same panel, whatever holds them and in whatever order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from dotwin.errors import DataError, SpecificationError
from dotwin.panel import Panel, read_panel
from dotwin.spec.twin import Twin

STARS = ["1", "2", "3", "4", "5"]


@pytest.fixture(scope="module")
def twin() -> Twin:
    return Twin(
        twin="homes",
        panel={
            "unit": "home",
            "levels": ["region"],
            "period": {"column": "month", "frequency": "month"},
            "columns": {"home": "ccn"},
        },
        indicators={
            "falls": {"domain": "quality", "family": "poisson"},
            "agency": {"domain": "workforce", "family": "beta", "out_of": 100, "ends": [0]},
            "stars": {"domain": "quality", "family": "ordinal", "categories": STARS},
            "owner": {"domain": "context", "categories": ["public", "for profit"]},
            "chain": {"domain": "context", "column": "in_chain"},
            "town": {"domain": "context"},
        },
    )


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    homes = pd.DataFrame(
        {
            "ccn": ["025010", "03A120", "1E5", "NA", "0"],
            "region": ["01", "01", "1", "1", "1"],
            "owner": ["public", "for profit", "for profit", "public", "public"],
            "in_chain": [True, False, True, True, False],
            "town": ["Aix", "Åre, S", 'the "Hill"', "O'Brien", "Rye"],
        }
    )
    months = pd.DataFrame({"month": pd.date_range("2023-11-01", periods=6, freq="MS")})
    table = homes.merge(months, how="cross")
    table["falls"] = rng.poisson(3, len(table)).astype(float)
    table["agency"] = np.round(rng.uniform(0, 99, len(table)), 1)
    table["stars"] = rng.integers(1, 6, len(table))
    table["note"] = "unused"
    table.loc[[3, 8, 20], "falls"] = np.nan
    table.loc[[4, 5], "agency"] = 0.0
    table.loc[[6], "agency"] = np.nan
    return table.drop(index=[0, 10, 29]).reset_index(drop=True)


@pytest.fixture(scope="module")
def panel(table: pd.DataFrame, twin: Twin) -> Panel:
    return read_panel(table, twin)


def test_every_row_is_in_the_panel_with_its_values(panel: Panel, table: pd.DataFrame) -> None:
    rows = panel.rows.rename(columns={"home": "ccn", "chain": "in_chain"})
    assert len(rows) == len(table)
    ours = rows.sort_values(["ccn", "month"]).reset_index(drop=True)
    theirs = table.assign(
        month=table["month"].dt.strftime("%Y-%m"),
        stars=table["stars"] - 1.0,
        in_chain=table["in_chain"].astype(float),
    )
    theirs = theirs.sort_values(["ccn", "month"]).reset_index(drop=True)
    columns = [column for column in theirs.columns if column != "note"]
    pd.testing.assert_frame_equal(ours[columns], theirs[columns], check_dtype=False)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    table = pd.DataFrame(
        {
            "home": list("abcd") * 3,
            "region": ["n", "n", "s", "s"] * 3,
            "quarter": np.repeat(["2024Q4", "2024Q2", "2025Q1"], 4),
            "y": np.arange(12.0),
        }
    ).drop(index=[seed % 12])
    layout = {"unit": "home", "levels": ["region"]}
    time = {"column": "quarter", "frequency": "quarter"}
    twin = Twin(twin="t", panel={**layout, "period": time}, indicators={"y": {"domain": "quality"}})
    shuffled = table.sample(frac=1, random_state=seed)
    assert read_panel(shuffled, twin).digest == read_panel(table, twin).digest


def sources(table: pd.DataFrame, folder: Path) -> Iterator[tuple[str, Any]]:
    table.to_csv(folder / "table.csv", index=False)
    yield "csv", folder / "table.csv"
    table.to_csv(folder / "table.csv.gz", index=False)
    yield "compressed csv", str(folder / "table.csv.gz")
    table.to_csv(folder / "semicolons.csv", index=False, sep=";")
    yield "semicolons", folder / "semicolons.csv"
    table.to_csv(folder / "table.tsv", index=False, sep="\t", encoding="utf-8-sig")
    yield "tabs and a byte order mark", folder / "table.tsv"
    table.to_parquet(folder / "table.parquet")
    yield "parquet", folder / "table.parquet"
    yield "index", table.set_index(["ccn", "month"])
    yield "text", table.astype("str").where(table.notna(), "")
    yield "objects", table.astype(object)
    yield "categories", table.astype(dict.fromkeys(["ccn", "region", "owner", "stars"], "category"))
    yield "nullable", table.convert_dtypes()


def test_the_same_facts_give_the_same_panel_whatever_holds_them(
    panel: Panel, table: pd.DataFrame, twin: Twin, tmp_path: Path
) -> None:
    for name, source in sources(table, tmp_path):
        other = read_panel(source, twin)
        assert other.digest == panel.digest, name
        assert other.quality.text == panel.quality.text, name


def test_a_duckdb_relation_is_read_like_the_table(
    panel: Panel, table: pd.DataFrame, twin: Twin
) -> None:
    with duckdb.connect() as connection:
        relation = connection.from_df(table)
        assert read_panel(relation, twin).digest == panel.digest
        filtered = relation.filter("region = '01'")
        assert read_panel(filtered, twin).units.tolist() == ["025010", "03A120"]


def test_a_duckdb_relation_keeps_times_with_a_zone_on_their_day(twin: Twin) -> None:
    one = Twin(
        twin="t",
        panel={"unit": "home", "period": {"column": "day", "frequency": "day"}},
        indicators={"y": {"domain": "quality"}},
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        relation = connection.sql(
            "SELECT '01' AS home, TIMESTAMPTZ '2024-03-05 23:30:00+00' AS day, 2::HUGEINT AS y"
        )
        panel = read_panel(relation, one)
    assert panel.period_labels == ["2024-03-05"]
    assert panel.values("y").tolist() == [[2.0]]


@given(
    ids=st.lists(
        st.text("0123456789ANeE.+-", min_size=1, max_size=8), min_size=1, max_size=12, unique=True
    )
)
@settings(max_examples=15, deadline=None)
def test_ids_survive_as_text(ids: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    twin = Twin(twin="t", panel={"unit": "home"}, indicators={"y": {"domain": "quality"}})
    table = pd.DataFrame({"home": ids, "y": np.arange(float(len(ids)))})
    path = tmp_path_factory.mktemp("ids") / "table.csv"
    table.to_csv(path, index=False)
    for source in (table, path):
        panel = read_panel(source, twin)
        assert panel.units.tolist() == sorted(ids)
        values = dict(zip(panel.units.tolist(), panel.values("y")[:, 0].tolist(), strict=True))
        assert values == dict(zip(ids, table["y"].tolist(), strict=True))


def test_numbers_as_ids_are_written_without_a_decimal_point() -> None:
    twin = Twin(twin="t", panel={"unit": "home"}, indicators={"y": {"domain": "quality"}})
    for ids in ([7, 12], [7.0, 12.0], ["7", " 12 "]):
        panel = read_panel(pd.DataFrame({"home": ids, "y": [1, 2]}), twin)
        assert panel.units.tolist() == ["12", "7"]


def test_periods_between_the_first_and_the_last_are_all_there(panel: Panel) -> None:
    assert panel.period_labels == [f"2023-{m}" for m in (11, 12)] + [
        f"2024-{m:02d}" for m in range(1, 5)
    ]
    twin = panel.twin
    few = panel.rows.query("month in ('2023-11', '2024-04')").rename(
        columns={"home": "ccn", "chain": "in_chain"}
    )
    few["stars"] = few["stars"] + 1
    sparse = read_panel(few, twin)
    assert sparse.period_labels == panel.period_labels
    assert not sparse.data["present"].values[:, 1:-1].any()
    assert "No home has a row in 2023-12; 2024-01; 2024-02; 2024-03." in sparse.quality.problems


def test_absent_periods_are_not_present_and_hold_no_value(panel: Panel) -> None:
    present = panel.data["present"].values
    assert present.sum() == 27
    assert np.isnan(panel.values("falls")[~present]).all()


def test_a_given_that_never_varies_is_known_in_absent_periods_too(panel: Panel) -> None:
    present = panel.data["present"].values
    assert not np.isnan(panel.values("chain")).any()
    assert (panel.values("owner") != "").all()
    assert (~present).any()


def test_a_given_that_varies_within_a_unit_is_unknown_where_the_unit_is_absent() -> None:
    twin = Twin(
        twin="t",
        panel={"unit": "home", "period": {"column": "year", "frequency": "year"}},
        indicators={"beds": {"domain": "capacity"}},
    )
    table = pd.DataFrame({"home": list("aaab"), "year": [1, 2, 4, 4], "beds": [30.0, 30, 40, 10]})
    values = read_panel(table.assign(year=table["year"] + 2000), twin).values("beds")
    np.testing.assert_array_equal(values, [[30, 30, np.nan, 40], [np.nan, np.nan, np.nan, 10]])


def test_ordinals_are_positions_among_their_categories(panel: Panel, table: pd.DataFrame) -> None:
    present = panel.data["present"].values
    counts = pd.Series(panel.values("stars")[present]).value_counts().sort_index()
    expected = table["stars"].value_counts().sort_index()
    assert counts.index.tolist() == [star - 1 for star in expected.index.tolist()]
    assert counts.tolist() == expected.tolist()


@pytest.mark.parametrize("written", [["fair", "poor", "good"], [1, 0, 2], ["1", "0", "2.0"]])
def test_labels_or_positions_may_stand_for_an_ordinal(written: list[Any]) -> None:
    twin = Twin(
        twin="t",
        panel={"unit": "home"},
        indicators={
            "rating": {
                "domain": "quality",
                "family": "ordinal",
                "categories": ["poor", "fair", "good"],
            }
        },
    )
    panel = read_panel(pd.DataFrame({"home": list("abc"), "rating": written}), twin)
    assert panel.values("rating")[:, 0].tolist() == [1.0, 0.0, 2.0]


def test_truth_written_as_text_is_one_and_zero() -> None:
    twin = Twin(twin="t", panel={"unit": "home"}, indicators={"rural": {"domain": "context"}})
    table = pd.DataFrame({"home": list("abcd"), "rural": ["True", "false", "NA", ""]})
    values = read_panel(table, twin).values("rural")[:, 0]
    np.testing.assert_array_equal(values, [1, 0, np.nan, np.nan])


def test_an_outer_level_s_indicator_has_its_group_s_value_in_every_unit() -> None:
    twin = Twin(
        twin="t",
        panel={
            "unit": "home",
            "levels": ["region"],
            "period": {"column": "year", "frequency": "year"},
        },
        indicators={
            "wage": {"domain": "workforce", "level": "region"},
            "regime": {"domain": "context", "level": "region", "categories": ["old", "new"]},
        },
    )
    table = pd.DataFrame(
        {
            "home": list("aabbc"),
            "region": list("nnnns"),
            "year": [2020, 2021, 2020, 2022, 2021],
            "wage": [10.0, 11.0, np.nan, 12.0, 20.0],
            "regime": ["old", "new", "", "new", "old"],
        }
    )
    panel = read_panel(table, twin)
    np.testing.assert_array_equal(
        panel.values("wage"), [[10, 11, 12], [10, 11, 12], [np.nan, 20, np.nan]]
    )
    assert panel.values("regime").tolist() == [
        ["old", "new", "new"],
        ["old", "new", "new"],
        ["", "old", ""],
    ]


def test_marks_of_assignment_are_kept_under_their_column_s_name() -> None:
    twin = Twin(
        twin="t",
        panel={"unit": "home"},
        indicators={
            "visits": {
                "domain": "quality",
                "family": "poisson",
                "assigned": {"how": "randomised", "column": "trial"},
            }
        },
    )
    table = pd.DataFrame({"home": list("abc"), "visits": [1, 2, 3], "trial": [True, False, True]})
    panel = read_panel(table, twin)
    assert panel.data["trial"].values.tolist() == [[True], [False], [True]]
    assert panel.quality.ignored == ()


def test_columns_that_the_twin_does_not_name_are_listed_not_read(panel: Panel) -> None:
    assert panel.quality.ignored == ("note",)
    assert "note" not in panel.data
    assert "does not use: note." in panel.quality.text


def test_a_cross_section_has_one_period_without_a_date() -> None:
    twin = Twin(twin="t", panel={"unit": "home"}, indicators={"y": {"domain": "quality"}})
    panel = read_panel(pd.DataFrame({"home": ["b", "a"], "y": [1.0, 2.0]}), twin)
    assert panel.is_cross_section
    assert panel.data["period"].values.tolist() == [0]
    assert panel.period_labels == ["0"]
    assert repr(panel) == "Panel of 2 homes: 2 rows, 1 indicator."


def test_several_ends_zeros_and_floors_admit_what_they_declare() -> None:
    twin = Twin(
        twin="t",
        panel={"unit": "home"},
        indicators={
            "part": {"domain": "quality", "family": "beta", "ends": [0, 1]},
            "percent": {"domain": "quality", "family": "beta", "out_of": 100, "ends": [0, 1]},
            "fine": {"domain": "safeguarding", "family": "lognormal", "zeros": "hurdle"},
            "surveys": {"domain": "context"},
            "cited": {
                "domain": "safeguarding",
                "family": "negative_binomial",
                "at_least": "surveys",
                "when": "surveys > 0",
                "otherwise": 0,
            },
            "falls": {"domain": "quality", "family": "poisson", "exposure": "days"},
            "days": {"domain": "context"},
        },
    )
    table = pd.DataFrame(
        {
            "home": list("abc"),
            "part": [0.0, 1.0, 0.4],
            "percent": [0.0, 100.0, 40.0],
            "fine": [0.0, 650.5, 0.0],
            "surveys": [0, 1, 2],
            "cited": [0, 1, 7],
            "falls": [0, 2, None],
            "days": [0, 90, 0],
        }
    )
    panel = read_panel(table, twin)
    assert panel.values("percent")[:, 0].tolist() == [0.0, 100.0, 40.0]
    assert panel.quality.problems == ("falls: 33 % missing (1 row); 1 home without any.",)


@pytest.mark.parametrize(("elsewhere", "possible"), [(0, True), (5, False)])
def test_where_it_is_unknown_whether_a_mechanism_holds_either_value_is_possible(
    elsewhere: int, possible: bool
) -> None:
    only_there = {"when": "surveys > 0", "otherwise": elsewhere}
    twin = Twin(
        twin="t",
        panel={"unit": "home"},
        indicators={
            "surveys": {"domain": "context"},
            "least": {"domain": "context"},
            "cited": {
                "domain": "safeguarding",
                "family": "poisson",
                "at_least": "least",
                **only_there,
            },
            "fine": {"domain": "safeguarding", "family": "lognormal", **only_there},
        },
    )
    cells = {"surveys": [None, None], "least": [1, 1], "cited": [0, 2], "fine": [0.0, 9.5]}
    table = pd.DataFrame({"home": list("ab"), **cells})
    if possible:
        read_panel(table, twin)
        return
    with pytest.raises(DataError) as caught:
        read_panel(table, twin)
    assert "cited: 1 value lies below the declared floor, least" in str(caught.value)
    assert "fine: 1 value is exactly 0" in str(caught.value)


def test_a_dataset_makes_the_panel_that_its_table_makes(panel: Panel) -> None:
    again = Panel.from_dataset(panel.data, panel.twin)
    assert again.digest == panel.digest
    reordered = panel.data.isel(unit=[3, 0, 4, 1, 2], period=[5, 1, 0, 2, 4, 3])
    assert Panel.from_dataset(reordered, panel.twin).digest == panel.digest


def test_a_dataset_that_does_not_fit_its_twin_is_refused(panel: Panel) -> None:
    with pytest.raises(DataError, match=r"2 problems(.|\n)*region: is not(.|\n)*falls: the data"):
        Panel.from_dataset(panel.data.drop_vars(["region", "falls"]), panel.twin)
    data = panel.data.copy(deep=True)
    data["falls"][0, 1] = -1.0
    with pytest.raises(DataError, match="falls: 1 value lies below 0 — home 0, 2023-12: -1"):
        Panel.from_dataset(data, panel.twin)
    with pytest.raises(DataError, match="dimension period: its coordinate holds dates"):
        Panel.from_dataset(panel.data.assign_coords(period=np.arange(6)), panel.twin)
    with pytest.raises(DataError, match="dimension unit: 0 more than once"):
        Panel.from_dataset(panel.data.assign_coords(unit=["0", "0", "a", "b", "c"]), panel.twin)
    with pytest.raises(DataError, match="stars: holds text; an ordinal is the position"):
        Panel.from_dataset(panel.data.assign(stars=panel.data["owner"]), panel.twin)


@pytest.mark.parametrize("name", ["present", "unit", "residual__queue"])
def test_names_that_panels_keep_for_themselves_are_refused(name: str) -> None:
    indicator = {"domain": "quality"}
    twin = Twin(twin="t", panel={"unit": "home"}, indicators={name: indicator})
    table = pd.DataFrame({"home": ["a"], name: [1.0]})
    with pytest.raises(SpecificationError, match=f"'{name}' is a name of the panel's own"):
        read_panel(table, twin)
    dims = {"unit": ["a"], "period": [0]}
    with pytest.raises(SpecificationError, match=f"'{name}' is a name of the panel's own"):
        Panel.from_dataset(xr.Dataset(coords=dims), twin)


def test_a_unit_that_moves_is_placed_in_its_last_group_when_the_twin_says_so(
    twin: Twin, table: pd.DataFrame
) -> None:
    moving = table.copy()
    moving.loc[(moving.ccn == "1E5") & (moving.month >= "2024-02-01"), "region"] = "01"
    with pytest.raises(DataError, match="declare panel: moves: last"):
        read_panel(moving, twin)
    tolerant = twin.model_copy(update={"panel": twin.panel.model_copy(update={"moves": "last"})})
    for order in (moving, moving.iloc[::-1]):
        panel = read_panel(order, tolerant)
        assert str(panel.data["region"].sel(unit="1E5").values) == "01"
        assert "home 1E5 in 01, 1" in panel.quality.text
        assert "1E5" in panel.select(periods=slice("2024-01", None)).quality.text
