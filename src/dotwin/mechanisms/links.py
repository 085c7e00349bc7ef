"""Link functions: the map between the mean of an indicator and its linear predictor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.errors import SpecificationError

type FloatArray = NDArray[np.float64]
type Tensor = Any
"""A PyTensor variable; its published types are too partial to check against."""


def tensors() -> Any:
    """PyTensor's tensor functions, loaded when first asked for."""
    import pytensor.tensor

    return pytensor.tensor


def _identity(x: ArrayLike) -> FloatArray:
    return np.asarray(x, dtype=float)


def _log(mu: ArrayLike) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(np.asarray(mu, dtype=float)))


def _exp(eta: ArrayLike) -> FloatArray:
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.exp(np.asarray(eta, dtype=float)))


def _logit(mu: ArrayLike) -> FloatArray:
    from scipy import special

    return np.asarray(special.logit(np.asarray(mu, dtype=float)))


def _expit(eta: ArrayLike) -> FloatArray:
    from scipy import special

    return np.asarray(special.expit(np.asarray(eta, dtype=float)))


def _identity_pt(eta: Any) -> Tensor:
    pt = tensors()

    return pt.as_tensor_variable(eta)


def _exp_pt(eta: Any) -> Tensor:
    pt = tensors()

    return pt.exp(eta)


def _expit_pt(eta: Any) -> Tensor:
    pt = tensors()

    return pt.sigmoid(eta)


@dataclass(frozen=True)
class Link:
    """A link function, its inverse, and its inverse on tensors.

    Attributes
    ----------
    name : str
        ``identity``, ``log`` or ``logit``.
    forward : callable
        Mean -> linear predictor, on NumPy arrays.
    inverse : callable
        Linear predictor -> mean, on NumPy arrays.
    inverse_pt : callable
        Linear predictor -> mean, on PyTensor tensors.

    Examples
    --------
    >>> float(LINKS["log"].inverse(0.0))
    1.0
    """

    name: str
    forward: Callable[[ArrayLike], FloatArray]
    inverse: Callable[[ArrayLike], FloatArray]
    inverse_pt: Callable[[Any], Tensor]


LINKS: dict[str, Link] = {
    "identity": Link("identity", _identity, _identity, _identity_pt),
    "log": Link("log", _log, _exp, _exp_pt),
    "logit": Link("logit", _logit, _expit, _expit_pt),
}


def get_link(name: str) -> Link:
    """Return the link with this name.

    Parameters
    ----------
    name : str
        ``identity``, ``log`` or ``logit``.

    Returns
    -------
    Link
        The link.

    Raises
    ------
    SpecificationError
        If there is no such link.

    Examples
    --------
    >>> float(get_link("logit").forward(0.5))
    0.0
    """
    if name not in LINKS:
        raise SpecificationError(f"There is no link {name!r}. The links are: {', '.join(LINKS)}.")
    return LINKS[name]
