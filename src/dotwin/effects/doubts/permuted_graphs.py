"""A graph against those in which its indicators have changed places, time order kept."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations as all_orders
from math import factorial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dotwin.inference import Fit

__all__ = ["PermutedGraphs", "permuted_graphs"]

Floats = NDArray[np.float64]

#: A partial correlation this far from 0 counts as a violation (two-sided 5 %).
_FAR = 1.96


@dataclass(frozen=True, eq=False)
class PermutedGraphs:
    """How often a graph's independences fail, beside those of graphs with exchanged places.

    Parameters
    ----------
    violations : float
        Share of the graph's own independences that fail.
    others : array, dims (graph,)
        The share in each permuted graph.
    """

    violations: float
    others: Floats

    @property
    def p(self) -> float:
        """Share of permuted graphs that fail as seldom as the graph, itself counted."""
        return float((1 + (self.others <= self.violations).sum()) / (1 + self.others.size))

    @property
    def sentence(self) -> str:
        """The comparison in a sentence."""
        as_good = int((self.others <= self.violations).sum())
        return (
            f"By linear partial correlations {self.violations:.0%} of the graph's independences "
            f"fail; of {self.others.size} graphs with the same arrows between other indicators, "
            f"{as_good} fail as seldom."
        )


def permuted_graphs(fit: Fit, rng: np.random.Generator, count: int) -> PermutedGraphs | None:
    """Compare a graph with those in which indicators have exchanged their places.

    Arrows keep their lags, so every permuted graph points forward in time and its arrows
    within a period form no cycle. Indicators with a mechanism change places among themselves;
    givens stay. All graphs are judged alike, by linear partial correlations of rank scores within
    units and periods, given the direct causes. A graph that implies the same independences as
    another cannot be told from it.

    Parameters
    ----------
    fit : Fit
    rng : numpy.random.Generator
    count : int
        How many permuted graphs, at most; all there are where they are fewer.

    Returns
    -------
    PermutedGraphs or None
        None with fewer than three indicators to exchange, or too few complete rows.

    References
    ----------
    .. [1] Eulig, E. et al. (2023). Toward falsifying causal graphs using a permutation-based test.
       doi:10.48550/arXiv.2305.09565
    """
    twin, graph = fit.twin, fit.twin.graph
    moved = [n for n in graph.order() if n in twin.stochastic]
    if len(moved) < 3:
        return None
    names = [n for n in graph.order() if n in fit.panel.indicators and _numeric(fit, n)]
    longest = max(1, graph.max_lag) if twin.panel.period is not None else 0
    covariance, rows = _covariance(fit, names, longest)
    place = {
        (n, lag): lag * len(names) + i for i, n in enumerate(names) for lag in range(longest + 1)
    }
    usable = np.flatnonzero(np.diag(covariance) > 1e-9)
    if rows < 10 * (1 + len(place)):
        return None
    arrows = {(a.cause, a.effect, a.lag) for a in graph.arrows if a.cause in names}
    order = [n for n in names if n in twin.given] + [n for n in graph.order() if n in moved]
    orders = _orders(len(moved), count, rng)
    shares = []
    for chosen in [list(range(len(moved))), *orders]:
        renamed = dict(zip(moved, [moved[k] for k in chosen], strict=True))
        own = {(renamed.get(c, c), renamed.get(e, e), lag) for c, e, lag in arrows}
        ordered = [renamed.get(n, n) for n in order]
        shares.append(
            _violations(own, ordered, moved, place, covariance, rows, set(usable), longest)
        )
    return PermutedGraphs(shares[0], np.array(shares[1:]))


def _numeric(fit: Fit, name: str) -> bool:
    return fit.panel.values(name).dtype.kind not in "OUT"


def _orders(size: int, count: int, rng: np.random.Generator) -> list[list[int]]:
    """Return permutations other than the identity: all, or so many drawn at random."""
    if factorial(size) - 1 <= count:
        return [list(one) for one in all_orders(range(size))][1:]
    found: dict[tuple[int, ...], None] = {}
    while len(found) < count:
        one = tuple(rng.permutation(size).tolist())
        if one != tuple(range(size)):
            found[one] = None
    return [list(one) for one in found]


def _covariance(fit: Fit, names: list[str], longest: int) -> tuple[Floats, int]:
    """Correlate rank scores within units and periods, each indicator at lags 0 to the longest."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    stacked = []
    for name in names:
        values = fit.panel.values(name).astype(float)
        known = np.isfinite(values)
        scores = np.full(values.shape, np.nan)
        scores[known] = ndtri((rankdata(values[known]) - 0.5) / max(int(known.sum()), 1))
        axes = (1, 0) if values.shape[1] > 1 else (0,)
        for axis in axes:
            count = np.maximum(np.isfinite(scores).sum(axis=axis, keepdims=True), 1)
            scores = scores - np.nansum(scores, axis=axis, keepdims=True) / count
        stacked.append(scores)
    periods = stacked[0].shape[1]
    columns = [
        one[:, longest - lag : periods - lag].ravel()
        for lag in range(longest + 1)
        for one in stacked
    ]
    matrix = np.stack(columns, axis=1)
    matrix = matrix[np.isfinite(matrix).all(axis=1)]
    matrix = matrix - matrix.mean(axis=0) if len(matrix) else matrix
    sd = np.sqrt((matrix**2).mean(axis=0)) if len(matrix) else np.zeros(matrix.shape[1])
    scaled = matrix / np.where(sd > 1e-9, sd, 1.0)
    return scaled.T @ scaled / max(len(matrix), 1), len(matrix)


def _violations(
    arrows: set[tuple[str, str, int]],
    order: list[str],
    moved: list[str],
    place: dict[tuple[str, int], int],
    covariance: Floats,
    rows: int,
    usable: set[int],
    longest: int,
) -> float:
    """Return the share of a graph's pairwise independences that fail."""
    rank = {name: i for i, name in enumerate(order)}
    failed = tested = 0
    for effect in moved:
        y = place[effect, 0]
        given = [place[c, lag] for c, e, lag in arrows if e == effect and (c, lag) in place]
        given = [k for k in dict.fromkeys(given) if k in usable]
        others = [
            place[cause, lag]
            for cause in order
            for lag in range(longest + 1)
            if (lag or rank[cause] < rank[effect]) and (cause, effect, lag) not in arrows
        ]
        others = [k for k in others if k in usable and k != y]
        if y not in usable or not others:
            continue
        kept = [y, *others]
        part = covariance[np.ix_(kept, kept)]
        if given:
            inner = covariance[np.ix_(given, given)] + 1e-9 * np.eye(len(given))
            across = covariance[np.ix_(kept, given)]
            part = part - across @ np.linalg.solve(inner, across.T)
        sd = np.sqrt(np.maximum(np.diag(part), 1e-12))
        r = np.clip(part[0, 1:] / (sd[0] * sd[1:]), -0.999999, 0.999999)
        z = np.abs(np.arctanh(r)) * np.sqrt(max(rows - len(given) - 3, 1))
        failed += int((z > _FAR).sum())
        tested += len(others)
    return failed / tested if tested else 0.0
