from pathlib import Path

import pytest

import dotwin as dw
from tests.reports.examples import small_fit, small_futures


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the small twin, whose labels are full of markup."""
    folder = tmp_path_factory.mktemp("report")
    return dw.report(small_fit(False), small_futures(False), path=folder / "report.html")


@pytest.fixture(scope="session")
def page_hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a declared hidden cause, so that no effect is identified."""
    folder = tmp_path_factory.mktemp("hidden")
    return dw.report(small_fit(True), small_futures(True), path=folder / "report.html")
