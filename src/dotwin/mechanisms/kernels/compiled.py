"""Kernels by name, looked up when first needed because numba is slow to import.

Each is compiled once per machine; later processes read it from disk. What is on disk is keyed on a
hash of all kernel sources, since numba itself does not notice a change in an imported module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kernel", "kernel", "plain"]

#: Fills its last argument.
Kernel = Callable[..., None]

_MODULES = {
    "add_column": "predictor_kernels",
    "add_effects": "predictor_kernels",
    "behind_beta": "behind_kernels",
    "behind_beta_binomial": "behind_kernels",
    "behind_binomial": "behind_kernels",
    "behind_gamma": "behind_kernels",
    "behind_negative_binomial": "behind_kernels",
    "behind_poisson": "behind_kernels",
    "bernoulli": "value_kernels",
    "beta": "beta_kernel",
    "beta_binomial": "count_kernels",
    "binomial": "count_kernels",
    "broken": "elementwise_kernels",
    "exp": "elementwise_kernels",
    "gamma": "value_kernels",
    "gamma_tables": "value_kernels",
    "hold": "predictor_kernels",
    "keep_period": "elementwise_kernels",
    "log": "elementwise_kernels",
    "log1p": "elementwise_kernels",
    "logit": "elementwise_kernels",
    "logit_share": "elementwise_kernels",
    "lognormal": "value_kernels",
    "negative_binomial": "count_kernels",
    "normal": "value_kernels",
    "ordinal": "value_kernels",
    "poisson": "count_kernels",
    "student_t": "value_kernels",
    "student_t_tables": "value_kernels",
    "tables_between": "value_kernels",
    "within": "predictor_kernels",
}


_LOCK = Lock()
_found: dict[str, Kernel] = {}


def plain(x: NDArray[Any]) -> NDArray[Any]:
    """Return an array as the kernels are compiled for: contiguous, and not read-only."""
    x = np.ascontiguousarray(x)
    return x if x.flags.writeable else x.copy()


def kernel(name: str) -> Kernel:
    """Return a compiled kernel; threads share it."""
    try:
        return _found[name]
    except KeyError:
        with _LOCK:
            return _found.setdefault(name, _built(name))


@cache
def _built(name: str) -> Kernel:
    module = import_module(f"dotwin.mechanisms.kernels.{_MODULES[name]}")
    built: Kernel = getattr(module, f"build_{name}")(_version())
    return built


@cache
def _version() -> int:
    """Number the sources, so that a change of any of them compiles anew."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return int.from_bytes(digest.digest()[:4])
