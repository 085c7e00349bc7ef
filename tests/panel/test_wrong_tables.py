"""Every wrong table gets one clear message: what is wrong, where, and what to do."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dotwin.errors import DataError
from dotwin.panel import read_panel
from dotwin.spec.twin import Twin

QUARTERS = ["2024Q1", "2024Q2", "2024Q3", "2024Q4"]


def base_twin(indicators: dict[str, Any], **panel: Any) -> Twin:
    layout = {
        "unit": "home",
        "levels": ["network", "region"],
        "period": {"column": "quarter", "frequency": "quarter"},
        **panel,
    }
    filled = {name: {"domain": "quality", **one} for name, one in indicators.items()}
    return Twin(twin="wrong", panel=layout, indicators=filled)


def base_table() -> pd.DataFrame:
    homes = [("003", "n1", "north"), ("004", "n1", "north"), ("005", "n2", "south")]
    rows = [
        {"network": network, "region": region, "home": home, "quarter": quarter}
        for home, network, region in homes
        for quarter in QUARTERS
    ]
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Wrong:
    """One wrong table: the change that makes it wrong, and what the message must say."""

    name: str
    says: tuple[str, ...]
    indicators: dict[str, Any] = field(default_factory=lambda: {"y": {}})
    columns: dict[str, list[Any]] = field(default_factory=lambda: {"y": [1.0] * 12})
    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table
    panel: dict[str, Any] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        return self.change(base_table().assign(**self.columns))

    def twin(self) -> Twin:
        return base_twin(self.indicators, **self.panel)


def values(*first: Any, rest: Any = 1) -> list[Any]:
    return [*first, *[rest] * (12 - len(first))]


def setting(row: int, column: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype({column: object})
        table.loc[row, column] = value
        return table

    return change


def again(*rows: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: pd.concat([table, table.iloc[list(rows)]], ignore_index=True)


def one_period(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["quarter"].isin(["2024Q1", "2024Q2"])].reset_index(drop=True)


COUNT = {"y": {"family": "poisson"}}
STRUCTURE = [
    Wrong("no rows", ("the table has no rows",), change=lambda t: t.iloc[:0]),
    Wrong(
        "unit column missing",
        ("column 'home'", "is not in the table", "the home", "Did you mean 'homes'?"),
        change=lambda t: t.rename(columns={"home": "homes"}),
    ),
    Wrong(
        "mapped unit column missing",
        ("column 'ccn'", "is not in the table", "the home"),
        panel={"columns": {"home": "ccn"}},
    ),
    Wrong(
        "level column missing",
        ("column 'region'", "Did you mean 'Region'?"),
        change=lambda t: t.rename(columns={"region": "Region"}),
    ),
    Wrong(
        "period column missing",
        ("column 'quarter'", "the period"),
        change=lambda t: t.drop(columns="quarter"),
    ),
    Wrong(
        "indicator column missing",
        ("column 'turnover'", "it is to hold turnover", "Did you mean 'turn_over'?"),
        indicators={"turnover": {}},
        columns={"turn_over": [1.0] * 12},
    ),
    Wrong(
        "mapped indicator column missing",
        ("column 'nurse_turnover'", "it is to hold turnover", "Did you mean 'nurse_turnovers'?"),
        indicators={"turnover": {"column": "nurse_turnover"}},
        columns={"nurse_turnovers": [1.0] * 12},
    ),
    Wrong(
        "two columns of one name",
        ("column 'y'", "more than once"),
        change=lambda t: pd.concat([t, t[["y"]]], axis=1),
    ),
    Wrong(
        "unit ids missing",
        ("column 'home'", "1 row without home", "row 2", "Every row names its home"),
        change=setting(2, "home", None),
    ),
    Wrong(
        "unit ids blank",
        ("column 'home'", "1 row without home", "row 2"),
        change=setting(2, "home", "  "),
    ),
    Wrong(
        "level ids missing",
        ("column 'region'", "1 row without region", "row 5"),
        change=setting(5, "region", ""),
    ),
    Wrong(
        "periods missing",
        ("column 'quarter'", "1 row without a period", "row 7", "2024Q2"),
        change=setting(7, "quarter", None),
    ),
    Wrong(
        "period unreadable",
        ("column 'quarter'", "1 value cannot be read", "row 7: 'spring'", "A quarter is written"),
        change=setting(7, "quarter", "spring"),
    ),
    Wrong(
        "fifth quarter",
        ("1 value cannot be read as a period", "row 0: '2024Q5'"),
        change=setting(0, "quarter", "2024Q5"),
    ),
    Wrong(
        "dates with the day first",
        ("12 values cannot be read as a period", "'03/04/2024'", "and 7 more"),
        change=lambda t: t.assign(quarter="03/04/2024"),
    ),
    Wrong(
        "thirteenth month",
        ("1 value cannot be read as a period", "row 1: '2024-13-01'"),
        change=lambda t: setting(1, "quarter", "2024-13-01")(
            t.assign(quarter=["2024-01-01", "2024-04-01", "2024-07-01", "2024-10-01"] * 3)
        ),
    ),
    Wrong(
        "periods written in two ways",
        (
            "written in several ways",
            "11 rows as a quarter",
            "1 row as a day",
            "row 4: '2024-01-01'",
        ),
        change=setting(4, "quarter", "2024-01-01"),
    ),
    Wrong(
        "quarters for months",
        ("names quarters, but the twin's frequency is month", "A month is written as 2024-03"),
        panel={"period": {"column": "quarter", "frequency": "month"}},
    ),
    Wrong(
        "months for weeks",
        ("names months, but the twin's frequency is week", "2024-W10"),
        change=lambda t: t.assign(quarter=["2024-01", "2024-02", "2024-03", "2024-04"] * 3),
        panel={"period": {"column": "quarter", "frequency": "week"}},
    ),
    Wrong(
        "one unit and period twice",
        ("rows", "1 home-quarter with several rows", "home 003, 2024Q2: row 1, row 12", "Keep one"),
        change=again(1),
    ),
    Wrong(
        "many rows at one place",
        ("home 003, 2024Q1: row 0, row 12, row 13, row 14 and 2 more",),
        change=again(0, 0, 0, 0, 0),
    ),
    Wrong(
        "monthly rows for quarters",
        ("with several rows", "Keep one row per home and quarter, or add them up first"),
        change=lambda t: t.assign(quarter=["2024-01", "2024-02", "2024-03", "2024-04"] * 3),
    ),
    Wrong(
        "several rows of a unit in a cross-section",
        ("3 homes with several rows", "home 003: row 0, row 1", "declare panel: period:"),
        change=one_period,
        columns={"y": [1.0] * 12},
        panel={"period": None},
    ),
    Wrong(
        "a unit in two groups",
        (
            "level region",
            "1 home in more than one region",
            "home 003 in east, north",
            "stays in one",
        ),
        change=setting(0, "region", "east"),
    ),
    Wrong(
        "a group in two outer groups",
        (
            "level network",
            "1 region in more than one network",
            "region north in n1, n2",
            "'n1/north'",
        ),
        change=lambda t: t.assign(region="north"),
    ),
    Wrong(
        "a period mistyped by centuries",
        ("periods reach from 1702-01-01", "look for a mistyped period"),
        panel={"period": {"column": "quarter", "frequency": "day"}},
        change=lambda t: pd.concat(
            [
                pd.DataFrame(
                    {"network": "n", "region": "r", "home": [f"h{i}" for i in range(90)], "y": 1.0}
                ).assign(quarter="2024-01-01"),
                t.iloc[:1].assign(quarter="1702-01-01"),
            ]
        ),
    ),
    Wrong(
        "an outer level's indicator differs between its units",
        ("pool", "is recorded by region", "region north, 2024Q1: 1.0, 2.0", "same value"),
        indicators={"pool": {"level": "region"}},
        columns={"pool": [1.0] * 4 + [2.0] + [1.0] * 7},
    ),
    Wrong(
        "marks of assignment that say nothing",
        ("column 'set'", "2 values do not say whether y was assigned", "row 0: 'maybe'", "Write 1"),
        indicators={"y": {"family": "normal", "assigned": {"how": "randomised", "column": "set"}}},
        columns={"y": [1.0] * 12, "set": values("maybe", None, rest=0)},
    ),
]

VALUES = [
    Wrong(
        "text among numbers",
        (
            "y: 1 value",
            "not numbers",
            "row 0: (home 003, 2024Q1) 'many'",
            "leave missing cells empty",
        ),
        columns={"y": values("many")},
    ),
    Wrong(
        "a text column for a fitted indicator",
        ("12 values are not numbers", "and 7 more"),
        indicators=COUNT,
        columns={"y": ["several"] * 12},
    ),
    Wrong(
        "decimal commas",
        ("not numbers", "'3,5'", "decimals with a point"),
        columns={"y": values("3,5")},
    ),
    Wrong(
        "infinite values",
        ("1 value", "infinite", "row 3 (home 003, 2024Q4): inf"),
        columns={"y": values(1, 1, 1, float("inf"))},
    ),
    Wrong(
        "counts below 0",
        ("y: 2 values lie below 0", "row 0 (home 003, 2024Q1): -1", "whole numbers from 0"),
        indicators=COUNT,
        columns={"y": values(-1, 2, -3)},
    ),
    Wrong(
        "counts with decimals",
        ("2.5", "not whole numbers", "A negative binomial takes whole numbers from 0"),
        indicators={"y": {"family": "negative_binomial"}},
        columns={"y": values(2.5)},
    ),
    Wrong(
        "a Bernoulli of 2",
        ("1 value", "above 1", "A bernoulli takes 0 or 1"),
        indicators={"y": {"family": "bernoulli"}},
        columns={"y": values(2)},
    ),
    Wrong(
        "a beta at 0",
        ("exactly 0", "strictly between 0 and 1", "write ends: [0] to"),
        indicators={"y": {"family": "beta"}},
        columns={"y": values(0.0, rest=0.5)},
    ),
    Wrong(
        "a beta at 0 and 1",
        ("2 values are exactly 0 or 1", "write ends: [0, 1] to"),
        indicators={"y": {"family": "beta"}},
        columns={"y": values(0.0, 1.0, rest=0.5)},
    ),
    Wrong(
        "a beta at 1 where only 0 is declared",
        ("exactly 1", "write ends: [0, 1] to"),
        indicators={"y": {"family": "beta", "ends": [0]}},
        columns={"y": values(0.0, 1.0, rest=0.5)},
    ),
    Wrong(
        "percentages for shares",
        ("above 1", "write out_of: 100"),
        indicators={"y": {"family": "beta"}},
        columns={"y": values(35.0, rest=0.5)},
    ),
    Wrong(
        "more than 100 %",
        ("above 100", "120", "above 0 and below 100"),
        indicators={"y": {"family": "beta", "out_of": 100}},
        columns={"y": values(120.0, rest=35.0)},
    ),
    Wrong(
        "exactly 100 % without ends",
        ("exactly 100", "write ends: [1] to"),
        indicators={"y": {"family": "beta", "out_of": 100}},
        columns={"y": values(100.0, rest=35.0)},
    ),
    Wrong(
        "a given percentage above 100",
        ("above 100", "from 0 to 100"),
        indicators={"y": {"out_of": 100}},
        columns={"y": values(120.0)},
    ),
    Wrong(
        "a gamma at 0",
        ("exactly 0", "write zeros: hurdle"),
        indicators={"y": {"family": "gamma"}},
        columns={"y": values(0.0)},
    ),
    Wrong(
        "a lognormal at 0",
        ("exactly 0", "A lognormal takes numbers above 0; write zeros: hurdle"),
        indicators={"y": {"family": "lognormal"}},
        columns={"y": values(0.0)},
    ),
    Wrong(
        "a hurdle gamma below 0",
        ("below 0", "-2", "numbers of at least 0"),
        indicators={"y": {"family": "gamma", "zeros": "hurdle"}},
        columns={"y": values(-2.0, 0.0)},
    ),
    Wrong(
        "more events than trials",
        ("missed: 1 value", "exceeds the trials (visits)", "row 0 (home 003, 2024Q1): 9"),
        indicators={"visits": {}, "missed": {"family": "binomial", "trials": "visits"}},
        columns={"visits": [5] * 12, "missed": values(9)},
    ),
    Wrong(
        "trials below 0",
        ("visits: 1 value", "below 0", "trials of missed"),
        indicators={"visits": {}, "missed": {"family": "binomial", "trials": "visits"}},
        columns={"visits": values(-5, rest=5), "missed": values(None)},
    ),
    Wrong(
        "trials with decimals",
        ("visits: 1 value", "not whole numbers", "trials of missed"),
        indicators={"visits": {}, "missed": {"family": "beta_binomial", "trials": "visits"}},
        columns={"visits": values(5.5, rest=5), "missed": values(1)},
    ),
    Wrong(
        "events without exposure",
        ("falls: 1 value", "not 0 at an exposure of 0 (days)", "must be above 0"),
        indicators={"days": {}, "falls": {"family": "poisson", "exposure": "days"}},
        columns={"days": values(0, rest=90), "falls": values(2)},
    ),
    Wrong(
        "exposure below 0",
        ("falls: 1 value", "an exposure below 0 (days / 30)"),
        indicators={"days": {}, "falls": {"family": "poisson", "exposure": "days / 30"}},
        columns={"days": values(-90, rest=90), "falls": values(0)},
    ),
    Wrong(
        "below the declared floor",
        ("citations: 1 value", "lies below the declared floor, surveys", "at_least surveys"),
        indicators={
            "surveys": {},
            "citations": {"family": "poisson", "at_least": "surveys"},
        },
        columns={"surveys": [2] * 12, "citations": values(1, rest=3)},
    ),
    Wrong(
        "a value where the mechanism does not hold",
        ("citations: 1 value", "not 0 although 'surveys > 0' does not hold", "otherwise"),
        indicators={
            "surveys": {},
            "citations": {"family": "poisson", "when": "surveys > 0", "otherwise": 0},
        },
        columns={"surveys": values(0), "citations": values(4, rest=3)},
    ),
    Wrong(
        "a weight below 0",
        ("beds: 1 value", "below 0", "It is the weight of y"),
        indicators={"y": {"weight": "beds"}, "beds": {}},
        columns={"y": [1] * 12, "beds": values(-1, rest=30)},
    ),
    Wrong(
        "a category that is not declared",
        (
            "owner: 1 value",
            "not among the declared categories",
            "'profti'",
            "Did you mean 'profit'?",
        ),
        indicators={"owner": {"categories": ["profit", "public"]}},
        columns={"owner": values("profti", rest="public")},
    ),
    Wrong(
        "a star that is not declared",
        ("stars: 1 value", "'6'", "Accepted: 1, 2, 3, 4, 5"),
        indicators={"stars": {"family": "ordinal", "categories": ["1", "2", "3", "4", "5"]}},
        columns={"stars": values(6, rest=3)},
    ),
    Wrong(
        "an ordinal whose labels are misspelt",
        ("rating", "'god'", "Did you mean 'good'?"),
        indicators={"rating": {"family": "ordinal", "categories": ["poor", "fair", "good"]}},
        columns={"rating": values("god", rest="fair")},
    ),
    Wrong(
        "a record that contradicts its accounting",
        (
            "total (column 'total'): 1 value",
            "differs from 'a + b'",
            "by up to 5",
            "8, not 3",
            "residual: keep",
        ),
        indicators={"a": {}, "b": {}, "total": {"equals": "a + b", "column": "total"}},
        columns={"a": [1] * 12, "b": [2] * 12, "total": values(8, rest=3)},
    ),
    Wrong(
        "a stock that does not follow its flows",
        (
            "queue (column 'queue'): 1 value",
            "differs from 'queue[-1] + inflow'",
            "row 1 (home 003, 2024Q2): 5, not 4",
        ),
        indicators={"inflow": {}, "queue": {"equals": "queue[-1] + inflow", "column": "queue"}},
        columns={"inflow": [1] * 12, "queue": [3, 5, 6, 7, *[3, 4, 5, 6] * 2]},
    ),
]


@pytest.mark.parametrize("wrong", STRUCTURE + VALUES, ids=lambda wrong: wrong.name)
def test_a_wrong_table_gets_one_clear_message(wrong: Wrong) -> None:
    with pytest.raises(DataError) as caught:
        read_panel(wrong.table(), wrong.twin())
    assert len(caught.value.problems) == 1, str(caught.value)
    for part in wrong.says:
        assert part in str(caught.value)


@pytest.mark.parametrize("wrong", STRUCTURE, ids=lambda wrong: wrong.name)
def test_problems_of_structure_stay_errors_when_invalid_values_may_go_missing(wrong: Wrong) -> None:
    with pytest.raises(DataError):
        read_panel(wrong.table(), wrong.twin(), on_invalid="missing")


CONTRADICTIONS = {
    "a record that contradicts its accounting",
    "a stock that does not follow its flows",
}


@pytest.mark.parametrize(
    "wrong", [w for w in VALUES if w.name not in CONTRADICTIONS], ids=lambda wrong: wrong.name
)
def test_impossible_values_can_be_made_missing_and_are_then_counted(wrong: Wrong) -> None:
    panel = read_panel(wrong.table(), wrong.twin(), on_invalid="missing")
    quality = panel.quality
    assert quality.table["impossible"].sum() == len(quality.impossible) >= 1
    assert int(panel.data["present"].sum()) == 12
    for one in quality.impossible.itertuples():
        value = panel.data[one.indicator].sel(unit=one.unit)
        value = value.values[panel.period_position(one.period)]
        assert value == "" if isinstance(value, str) else value != value
    for name, number in quality.table["impossible"].items():
        said = f"{name}: {number} impossible value{'' if number == 1 else 's'} made missing."
        assert (said in quality.text) == (number > 0)


def test_all_problems_of_a_table_are_reported_at_once() -> None:
    table = base_table().assign(y=values(-1), z=values("many"), part=values(0.0, rest=0.5))
    table = setting(3, "quarter", "never")(again(5)(table))
    twin = base_twin(
        {
            "y": {"family": "poisson"},
            "z": {},
            "part": {"family": "beta"},
            "turnover": {},
        }
    )
    with pytest.raises(DataError) as caught:
        read_panel(table, twin)
    text = str(caught.value)
    assert text.startswith("the table: 6 problems")
    for part in ("'turnover'", "'never'", "several rows", "below 0", "not numbers", "ends: [0]"):
        assert part in text


def test_a_long_list_of_rows_is_cut_and_the_rest_counted() -> None:
    table = base_table().assign(y=[-1] * 12)
    with pytest.raises(DataError, match=r"12 values lie below 0 — .*row 4 .*; and 7 more\."):
        read_panel(table, base_twin(COUNT))


def test_a_message_names_the_column_when_it_has_another_name() -> None:
    table = base_table().assign(INC_N=values(-1))
    twin = base_twin({"incidents": {"family": "poisson", "column": "INC_N"}})
    with pytest.raises(DataError, match=r"incidents \(column 'INC_N'\): 1 value"):
        read_panel(table, twin)


# Files -------------------------------------------------------------------------------------------


def csv_twin() -> Twin:
    return Twin(twin="file", panel={"unit": "home"}, indicators={"y": {"domain": "quality"}})


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.csv", b"", "'empty.csv' is empty"),
        ("header.csv", b"home,y\n", "the table has no rows"),
        ("ragged.csv", b"home,y\n1,2\n3,4,5\n", "line: 3 has another number of cells"),
        ("short.csv", b"home,y\n1,2\n3\n", "line: 3 has another number of cells"),
        ("latin.csv", b"home,y\n\xe9,1\n", "UTF-8"),
        ("twice.csv", b"home,y,y\n1,2,3\n", "column 'y': the table has it more than once"),
        ("table.xlsx", b"PK", "read from .csv, .csv.gz or .parquet"),
        ("broken.parquet", b"not a parquet file", "'broken.parquet' cannot be read as parquet"),
        ("broken.csv.gz", b"not compressed", "'broken.csv.gz' cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_panel(path, csv_twin())
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv'.*no such file"):
        read_panel(tmp_path / "nowhere.csv", csv_twin())
    with pytest.raises(DataError, match="a folder"):
        read_panel(tmp_path, csv_twin())


def test_a_thing_that_is_no_table_is_refused() -> None:
    with pytest.raises(DataError, match=r"from a dict.*DataFrame"):
        read_panel({"home": ["1"]}, csv_twin())  # type: ignore[arg-type] # that is the point


def test_rows_of_a_text_file_are_numbered_as_a_spreadsheet_does(tmp_path: Path) -> None:
    path = tmp_path / "table.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("home,y\n1,2\n2,many\n")
    with pytest.raises(DataError, match=r"^table\.csv\.gz: y: 1 value .* row 3: \(home 2\) 'many'"):
        read_panel(path, csv_twin())


def test_the_word_for_invalid_values_is_checked() -> None:
    table = pd.DataFrame({"home": ["1"], "y": [1.0]})
    with pytest.raises(ValueError, match="'error' or 'missing', not 'drop'"):
        read_panel(table, csv_twin(), on_invalid="drop")  # type: ignore[arg-type] # that is the point
