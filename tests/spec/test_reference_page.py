"""The reference of the specification says what the classes say."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from dotwin.spec import Indicator
from dotwin.spec.declarations import LINKS
from dotwin.spec.indicator import FAMILIES
from dotwin.spec.support import SUPPORTS

SCRIPT = Path(__file__).parents[2] / "docs" / "specification_reference.py"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("specification_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(reference: ModuleType) -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), (
        "run python docs/specification_reference.py"
    )


def test_every_field_says_what_it_means(reference: ModuleType) -> None:
    for model in reference.SECTIONS.values():
        said = reference.meanings(model)
        fields = {field.alias or name for name, field in model.model_fields.items()}
        assert set(said) == fields, f"{model.__name__}: {set(said) ^ fields}"
        assert all(meaning for _, meaning in said.values())
    assert f"| `{max(Indicator.model_fields, key=len)}` |" in reference.page()


def test_every_family_has_its_links_and_its_support() -> None:
    assert set(LINKS) == set(SUPPORTS) == set(FAMILIES)
