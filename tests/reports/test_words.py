import numpy as np
import pandas as pd
import pytest

import dotwin as dw
from dotwin.reports.beliefs import _holm
from dotwin.reports.table import Table, cell
from dotwin.reports.words import capital, intervention_words, listed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shift(vacancy_rate, -0.02)", "vacancy rate: 2 percentage points lower than it would be"),
        ("do(turnover, 0.02)", "turnover: set to 2 % of staff who leave in a month"),
        ("at_most(missed_visits, 0.05)", "missed visits: held at 5 % of scheduled visits or less"),
        (
            "scale(referrals, 1.15, over=8, where='acuity > 2')",
            "referrals become 1.15 times what they would be, rising to that over 8 months, only "
            "where acuity > 2",
        ),
    ],
)
def test_interventions_are_said_in_the_indicators_own_unit(text: str, said: str) -> None:
    twin = dw.read_twin("workforce_pressure")
    (one,) = dw.Scenario("x", [text]).interventions
    assert intervention_words(twin, one) == said


def test_a_sentence_begins_with_a_capital_and_keeps_those_inside() -> None:
    assert capital("case mix beyond what CMS expects") == "Case mix beyond what CMS expects"


def test_lists_read_as_people_write_them() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"], "or") == "a, b or c"


def test_cells_keep_three_digits_and_say_what_is_missing() -> None:
    assert [cell(x) for x in (0.123456, float("nan"), 12345, True)] == [
        "0.123",
        "–",
        "12,345",
        "yes",
    ]


def test_table_in_json_has_no_number_that_json_lacks() -> None:
    table = Table("t", ("a", "b"), ((np.float64("nan"), np.int64(3)),))
    assert table.as_dict()["rows"] == [[None, 3]]


def test_one_pair_in_ten_by_chance_contradicts_nothing() -> None:
    """A tenth of 90 % intervals misses 0; a single strong correlation still speaks up."""
    rng = np.random.default_rng(0)
    middle = 0.1 * rng.standard_normal(60)
    table = pd.DataFrame({"mean": middle, "5%": middle - 0.1645, "95%": middle + 0.1645})
    assert ((table["5%"] > 0) | (table["95%"] < 0)).sum() >= 3
    assert not _holm(table, "correlation").any()
    table.loc[0, ["mean", "5%", "95%"]] = [0.7, 0.6, 0.78]
    assert _holm(table, "correlation").tolist() == [True] + [False] * 59
