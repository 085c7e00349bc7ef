"""The notebook on causal answers runs as it stands and finds the truth that it states."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "causal_answers.ipynb"
LARGEST = 1_000_000


def _code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def stored() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_small_and_was_run_from_top_to_bottom(stored):
    assert NOTEBOOK.stat().st_size < LARGEST
    count = len(_code(stored))
    assert [cell.execution_count for cell in _code(stored)] == list(range(1, count + 1))
    assert not [o for cell in _code(stored) for o in cell.outputs if o.get("name") == "stderr"]


@pytest.mark.slow
def test_it_runs_and_finds_what_it_says(stored, tmp_path):
    fresh = nbformat.from_dict(stored)
    for cell in _code(fresh):
        cell.outputs, cell.execution_count = [], None
    first = "import warnings\n\nimport dotwin.errors\n\n"
    first += "warnings.simplefilter('error', dotwin.errors.DotwinWarning)\n"
    fresh.cells.insert(0, nbformat.v4.new_code_cell(first))
    NotebookClient(
        fresh, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [one for cell in _code(fresh) for one in cell.outputs]
    printed = "".join(one.text for one in outputs if one.output_type == "stream")
    number = r"(-?[\d.]+)"
    estimates = re.findall(
        rf"truth\s+{number}\nestimate\s+-?[\d.]+ \({number} to {number}\)", printed
    )
    ways = re.findall(rf"truth {number}, -?[\d.]+ \({number} to {number}\)", printed)
    assert (len(estimates), len(ways)) == (2, 3)
    for truth, low, high in (map(float, one) for one in estimates + ways):
        # Within one width of the interval beyond its ends.
        assert low - (high - low) < truth < high + (high - low)
    held, held_low, held_high = map(
        float, re.findall(rf"held fixed\s+{number}% \({number}% to {number}%\)", printed)[0]
    )
    whole = float(re.findall(rf"truth\s+{number}%", printed)[0])
    # Adjusting for need finds about half of it, and is sure of that.
    assert not held_low < whole < held_high
    assert whole < 1.5 * held < 0
    assert "not identified" in printed
    assert "Support of 'hours = 6': extrapolated" in printed
    assert not list(tmp_path.iterdir())
