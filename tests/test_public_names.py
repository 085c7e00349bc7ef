"""`import dotwin` gives every public name, and pays only for those that are used."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dotwin as dw

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("arviz", "duckdb", "matplotlib", "numba", "nutpie", "pymc", "pytensor", "scipy", "xarray")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_else() -> None:
    loaded = loaded_after("import dotwin")
    assert not loaded & {*HEAVY, "numpy", "pandas", "pydantic", "networkx"}
    assert {name for name in loaded if name.startswith("dotwin.")} == set()


def test_reading_a_twin_does_not_wait_for_inference() -> None:
    loaded = loaded_after("import dotwin; dotwin.read_twin('workforce_pressure')")
    assert not loaded & {*HEAVY, "pandas"}


@pytest.mark.parametrize("name", dw.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(dw, name) is not None
    assert name in dir(dw)


def test_what_editors_are_told_is_what_is_imported() -> None:
    tree = ast.parse((ROOT / "src/dotwin/__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told.pop("errors") == "dotwin"
    assert told == dw._HOME
    assert {*told, "errors", "__version__"} == set(dw.__all__)


def test_report_stays_a_function_after_its_room_is_imported() -> None:
    code = "import dotwin.reports, dotwin as dw; print(callable(dw.report))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'simulate'"):
        _ = dw.simulate  # type: ignore[attr-defined] # that it is not there is the claim


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert dw.__version__ == project["version"]
