"""Inverses of the gamma and beta distribution functions, each in its own tail.

The library inverses lose digits in corners; a Newton step on the logarithm of the tail
restores them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

type FloatArray = NDArray[np.float64]


def gamma_lower(m: FloatArray, shape: FloatArray) -> FloatArray:
    """Solve P(shape, x) = m."""
    from scipy import special

    return np.asarray(special.gammaincinv(shape, m))


def gamma_upper(m: FloatArray, shape: FloatArray) -> FloatArray:
    """Solve Q(shape, x) = m."""
    from scipy import special

    return np.asarray(special.gammainccinv(shape, m))


def beta_lower(m: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Solve I_x(a, b) = m."""
    from scipy import special

    return np.asarray(special.betaincinv(a, b, m))


def beta_upper(m: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Solve 1 - I_x(a, b) = m."""
    from scipy import special

    return np.asarray(special.betainccinv(a, b, m))
