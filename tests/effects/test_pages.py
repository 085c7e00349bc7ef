"""What the pages on looking back show is what the code gives."""

from __future__ import annotations

import doctest
import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_example_gives_what_it_shows() -> None:
    page = (DOCS / "counterfactuals.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```pycon\n(.*?)```", page, flags=re.DOTALL)
    assert blocks
    parsed = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "page", None, 0)
    outcome = doctest.DocTestRunner().run(parsed)
    assert outcome.attempted >= 4
    assert outcome.failed == 0


def test_the_page_on_sharing_staff_shows_what_the_code_gives() -> None:
    figure = runpy.run_path(str(DOCS / "sharing_figure.py"))
    futures = figure["simulated"]()
    page = (DOCS / "sharing.md").read_text(encoding="utf-8")
    filled = futures.contrast(figure["FILLED"].name, on="hours")
    moved = futures.contrast(figure["MOVED"].name, on="falls", replicates=16)
    claims = futures.twin.graph.assumptions().of_kind("interference")
    for said in (filled, filled.licence.identified, moved, claims):
        assert str(said).strip() in page
    table = moved.gains_and_losses().groupby("role").tail(1).set_index("role")
    for role, sign in (("receives", -1), ("gives", 1)):
        row = table.loc[role]
        low, high = sorted(sign * row[["5%", "95%"]])
        assert f"{sign * row['mean']:.1f}" in page
        assert f"({low:.1f} to {high:.1f})" in page
    # Who shares nurses with a home whose posts are filled gains half of what that home gains.
    _, middle, _ = figure["by_home"](futures)
    assert middle[6:9] == pytest.approx(0.5 * middle[0], rel=0.05)
    assert not middle[9:].any()
