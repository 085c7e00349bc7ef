"""The examples in docstrings give what they show, and public names say what they take and give."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import pytest

import dotwin


def _modules() -> list[str]:
    found = pkgutil.walk_packages(dotwin.__path__, "dotwin.")
    return ["dotwin", *sorted(one.name for one in found)]


def _examples(module: ModuleType) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder(recurse=True).find(module) if test.examples]


@pytest.mark.parametrize("name", _modules())
def test_examples_give_what_they_show(name):
    for test in _examples(importlib.import_module(name)):
        outcome = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
        assert outcome.failed == 0, test.name


def _public() -> list[str]:
    return [name for name in dotwin.__all__ if not name.startswith("_") and name != "errors"]


def _parameters(value: Any) -> list[str]:
    listed = inspect.signature(value).parameters
    return [name for name in listed if name not in ("self", "data")]


@pytest.mark.parametrize("name", _public())
def test_a_public_name_says_what_it_is_and_describes_each_parameter(name):
    value = getattr(dotwin, name)
    text = inspect.getdoc(value)
    assert text is not None
    first = text.splitlines()[0]
    assert first.endswith((".", "?"))
    if isinstance(value, type):
        fields = list(getattr(value, "model_fields", {})) or _parameters(value)
    else:
        fields = _parameters(value)
    described = text.partition("Parameters\n----------\n")[2]
    heads = [line.partition(" : ")[0] for line in described.splitlines() if line[:1].strip()]
    named = {part.strip() for head in heads for part in head.split(",")}
    missing = [field for field in fields if field not in named]
    # A verb's options are those of `Intervention`, where its docstring sends the reader.
    if missing and "See `Intervention` for the options." not in text:
        pytest.fail(f"{name} does not describe {', '.join(missing)}")
