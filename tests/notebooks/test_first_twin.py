"""The first notebook runs as it stands, shows what it ran, and the tutorial quotes it."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "first_twin.ipynb"
#: What is stored in the repository stays small enough to be read in a browser.
LARGEST = 1_000_000


def _code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _printed(cell: nbformat.NotebookNode) -> str:
    return "".join(one.text for one in cell.outputs if one.output_type == "stream")


@pytest.fixture(scope="module")
def stored() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_small_and_was_run_from_top_to_bottom(stored):
    assert NOTEBOOK.stat().st_size < LARGEST
    assert [cell.execution_count for cell in _code(stored)] == list(
        range(1, len(_code(stored)) + 1)
    )
    assert not [
        one for cell in _code(stored) for one in cell.outputs if one.get("name") == "stderr"
    ]


@pytest.mark.slow
def test_it_runs_and_finds_what_it_says(stored, tmp_path):
    fresh = nbformat.from_dict(stored)
    for cell in _code(fresh):
        cell.outputs, cell.execution_count = [], None
    # A cell that raises, a posterior that has not converged among them, fails here by name.
    first = "import warnings\n\nimport dotwin.errors\n\n"
    first += "warnings.simplefilter('error', dotwin.errors.DotwinWarning)\n"
    fresh.cells.insert(0, nbformat.v4.new_code_cell(first))
    NotebookClient(
        fresh, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    printed = "".join(_printed(cell) for cell in _code(fresh))

    inside, count = map(int, re.findall(r"(\d+) of (\d+) parameters lie inside", printed)[0])
    # 90 % intervals of 17 parameters: fewer than 12 inside has a chance below 1 in 500.
    assert inside >= count - 5
    truth, low, high = (
        float(one)
        for one in re.findall(
            r"truth\s+(-?[\d.]+).*\n.*estimate\s+-?[\d.]+ \((-?[\d.]+) to (-?[\d.]+)\)", printed
        )[0]
    )
    # The width of the interval beyond its ends is more than three sds away from its middle.
    reach = high - low
    assert low - reach / 2 < truth < high + reach / 2
    assert "not identified" in printed
    assert not list(tmp_path.iterdir())


def test_the_tutorial_shows_what_the_notebook_runs(stored):
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    cells = "\n".join(cell.source for cell in _code(stored))
    assert len(blocks) > 5
    for block in blocks:
        assert block.strip() in cells
