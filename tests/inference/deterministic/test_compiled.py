"""What is kept on disk is compiled anew when any source of it changes."""

from __future__ import annotations

from pathlib import Path

from dotwin.inference.deterministic import compiled


def test_every_module_that_compiles_anything_is_hashed() -> None:
    folder = Path(compiled.__file__).parent
    marks = ("from numba import", "lanes import", "terms import Terms")
    compiling = {
        path for path in folder.glob("*.py") if any(mark in path.read_text() for mark in marks)
    }
    assert compiling
    assert compiling <= set(compiled.sources())


def test_no_module_that_is_hashed_is_missing() -> None:
    assert all(path.is_file() for path in compiled.sources())
