"""NumPy's elementwise names, the slow ones compiled: what simulation reads expressions with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.kernels.compiled import kernel, plain

__all__ = ["exp", "log", "log1p", "maximum", "minimum", "sqrt", "true_divide"]

maximum, minimum = np.maximum, np.minimum
sqrt, true_divide = np.sqrt, np.true_divide


def _filled(name: str, x: Any) -> NDArray[np.float64]:
    values = np.asarray(x, dtype=float)
    flat = plain(values).reshape(-1)
    out = np.empty(flat.size)
    kernel(name)(flat, out)
    return out.reshape(values.shape)


def exp(x: Any) -> NDArray[np.float64]:
    """Return the exponential, as NumPy's to the last digit or two."""
    return _filled("exp", x)


def log(x: Any) -> NDArray[np.float64]:
    """Return the logarithm, as NumPy's to the last digit or two."""
    return _filled("log", x)


def log1p(x: Any) -> NDArray[np.float64]:
    """Return the logarithm of 1 + x, as NumPy's to the last digit or two."""
    return _filled("log1p", x)
