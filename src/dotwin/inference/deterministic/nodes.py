"""Where a group's effect is evaluated: nodes of its integral, and curves between them."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curve", "cubics", "lagrange", "polynomial", "rule", "wide_rule"]

Floats = NDArray[np.float64]

#: Of the grid on which effects are drawn: its ends in sds, its points.
_GRID_END, _GRID_POINTS = 6.0, 73
#: Nodes that draw effects; the tails of a group's effect matter here.
_EFFECT_NODES = 11
#: The same where an effect may be far from normal: its ends in sds, its nodes, its points.
_FAR_END, _FAR_NODES, _FAR_POINTS = 12.0, 49, 193
#: Of the check for second modes: its ends in sds, its nodes.
_WIDE_END, _WIDE_NODES = 40.0, 301


def rule(nodes: int) -> tuple[Floats, Floats]:
    """Return nodes, and the logs of weights that already hold the normal's density."""
    z, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return z, np.log(weights) + 0.5 * z * z


def wide_rule() -> tuple[Floats, Floats]:
    """Return equal steps over many sds, with their logs as weights."""
    z = np.linspace(-_WIDE_END, _WIDE_END, _WIDE_NODES)
    return z, np.full(z.size, math.log(z[1] - z[0]))


class Curve(NamedTuple):
    """Nodes, an odd number of them, a grid, and what interpolates from the first to the second."""

    nodes: Floats
    grid: Floats
    matrix: Floats


@cache
def polynomial(nodes: int) -> Curve:
    """Return the polynomial through few nodes: next to exact where an effect is next to normal."""
    places, _ = rule(max(nodes, _EFFECT_NODES) | 1)
    grid = np.linspace(-_GRID_END, _GRID_END, _GRID_POINTS)
    return Curve(places, grid, lagrange(places, grid))


@cache
def cubics() -> Curve:
    """Return cubics between many nodes, far into both tails."""
    nodes = np.linspace(-_FAR_END, _FAR_END, _FAR_NODES)
    grid = np.linspace(-_FAR_END, _FAR_END, _FAR_POINTS)
    return Curve(nodes, grid, _piecewise(nodes, grid))


def _piecewise(nodes: Floats, points: Floats) -> Floats:
    """Return the matrix that turns values at equal steps into those of cubics between them."""
    result = np.zeros((points.size, nodes.size))
    step = nodes[1] - nodes[0]
    first = np.clip(((points - nodes[0]) / step).astype(int) - 1, 0, nodes.size - 4)
    for m, k in enumerate(first):
        some = slice(k, k + 4)
        result[m, some] = lagrange(nodes[some], points[[m]])[0]
    return result


def lagrange(nodes: Floats, points: Floats) -> Floats:
    """Return the matrix that turns values at nodes into the polynomial's at points."""
    away = points[:, None, None] - nodes[None, None, :]
    apart = nodes[:, None] - nodes[None, :]
    keep = ~np.eye(nodes.size, dtype=bool)
    parts = np.where(keep, away / np.where(keep, apart, 1.0), 1.0)
    return np.asarray(parts.prod(axis=2))
