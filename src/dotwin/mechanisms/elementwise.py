"""NumPy's elementwise names, the slow ones compiled: what simulation reads expressions with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.kernels.compiled import kernel, plain
from dotwin.mechanisms.memory import room

__all__ = [
    "exp",
    "log",
    "log1p",
    "logit",
    "logit_share",
    "maximum",
    "minimum",
    "sqrt",
    "true_divide",
]

maximum, minimum = np.maximum, np.minimum
sqrt, true_divide = np.sqrt, np.true_divide


def _filled(name: str, x: Any) -> NDArray[np.float64]:
    values = np.asarray(x, dtype=float)
    flat = plain(values).reshape(-1)
    out = room(flat.shape)
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


def logit(x: Any) -> NDArray[np.float64]:
    """Return log(x) - log1p(-x), in one pass."""
    return _filled("logit", x)


def logit_share(count: Any, trials: Any) -> NDArray[np.float64]:
    """Return log((count + 1/2) / (trials - count + 1/2)), missing where there are no trials."""
    both = np.broadcast_arrays(np.asarray(count, dtype=float), np.asarray(trials, dtype=float))
    flat = [plain(one).reshape(-1) for one in both]
    out = room(flat[0].shape)
    kernel("logit_share")(*flat, out)
    return out.reshape(both[0].shape)
