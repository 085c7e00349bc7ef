"""The compiled log density, looked up when first needed because numba is slow to import."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.nuts.parts import Parts

__all__ = ["LogDensity", "RowDensity", "compiled_log_density", "compiled_row_density"]

#: Called with an unconstrained point, the parts and an array that takes the gradient.
LogDensity = Callable[[NDArray[np.float64], Parts, NDArray[np.float64]], float]
#: Called with single elements, effects, the parts and arrays that take the gradient in both.
RowDensity = Callable[
    [NDArray[np.float64], NDArray[np.float64], Parts, NDArray[np.float64], NDArray[np.float64]],
    float,
]


@cache
def compiled_log_density() -> LogDensity:
    """Return the log density that serves every mechanism.

    It is compiled once per machine; later processes read it from disk.
    """
    from dotwin.inference.nuts.kernels import build_log_density

    density: LogDensity = build_log_density(_version())
    return density


@cache
def compiled_row_density() -> RowDensity:
    """Return the log density of a mechanism's rows, in the parameters themselves."""
    from dotwin.inference.nuts.kernels import build_row_density

    density: RowDensity = build_row_density(_version())
    return density


def _version() -> int:
    """Number the sources, so that a change of any of them compiles anew."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return int.from_bytes(digest.digest()[:4])
