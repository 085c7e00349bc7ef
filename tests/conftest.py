"""What tests of several rooms share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A change is judged by the same examples each time; new ones are looked for at the desk.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def cms_data() -> Path:
    """Folder of published nursing-home facts; tests that need it are skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2].joinpath("shared", "data")
    folder = Path(os.environ.get("DOTWIN_DATA", beside)) / "cms_nursing_homes"
    if not (folder / "home_quarters.csv.gz").is_file():
        pytest.skip("the nursing-home data are not here; DOTWIN_DATA names the folder above them")
    return folder


@pytest.fixture(scope="session")
def oracles() -> Path:
    """Folder of published answers; tests that need it are skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2].joinpath("shared", "oracles")
    folder = Path(os.environ.get("DOTWIN_ORACLES", beside))
    if not (folder / "identification.json").is_file():
        pytest.skip("the published answers are not here; DOTWIN_ORACLES names their folder")
    return folder
