"""A first use says that it compiles, and only a first use does."""

from __future__ import annotations

import numba

from dotwin.inference.first_use import MESSAGE, telling_of_compilation


def doubled(x: float) -> float:
    return x + x


def test_a_kernel_of_dotwin_that_is_compiled_is_told_of_once() -> None:
    said: list[str] = []
    doubled.__module__ = "dotwin.inference.kernels"
    kernel = numba.njit(doubled)
    with telling_of_compilation(said.append):
        kernel(1.0)
        kernel(1)
        kernel(2.0)
    assert said == [MESSAGE]


def test_what_is_compiled_already_or_by_others_is_not_told_of() -> None:
    said: list[str] = []
    doubled.__module__ = "dotwin.inference.kernels"
    ready = numba.njit(doubled)
    ready(1.0)
    others = numba.njit(lambda x: 3.0 * x)
    with telling_of_compilation(said.append):
        ready(2.0)
        others(2.0)
    assert said == []
