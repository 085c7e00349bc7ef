"""A normal mechanism: effects and globals are integrated out in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.compiled import moments_kernel
from dotwin.inference.deterministic.marginal import Marginal, Peak
from dotwin.inference.deterministic.problem import Problem

__all__ = ["ClosedForm"]

Floats = NDArray[np.float64]

_LOG_TWO_PI = math.log(2.0 * math.pi)
#: Numbers held at once.
_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class _Moments:
    """Sums over rows and groups: of products of columns, with the outcome, and of its square.

    Parameters
    ----------
    sizes, groups : array, dims (size,)
        Distinct numbers of rows, and how many groups have them.
    within : array, dims (number,)
        Of rows about their groups' means.
    between : array, dims (size, number)
        Of the groups' sums.
    """

    sizes: Floats
    groups: Floats
    within: Floats
    between: Floats


class ClosedForm:
    """The likelihood of a normal mechanism, from sums over rows and groups.

    Given hyperparameters it is a normal in the globals. With residual sd s and sd p of the effects,
    a group of n rows adds its squares within, and the square of its sums divided by
    n (1 + n p²/s²): nothing cancels, and groups of one size are summed once.

    Parameters
    ----------
    problem : Problem
    """

    nodes = 0

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @cached_property
    def _sums(self) -> tuple[Floats, Any, Floats]:
        """Rows, summed columns (a sparse matrix) and summed outcome of each group."""
        from scipy import sparse

        gathered = self.problem.gathered
        rows = gathered.rows
        size, columns = rows.dense.shape
        every = np.arange(size)
        where = np.concatenate([np.tile(np.arange(columns), (size, 1)), rows.which], axis=1)
        held = np.concatenate([rows.dense, rows.scale], axis=1)
        n = np.diff(rows.starts)
        of_row = np.repeat(np.arange(n.size), n)
        place = (of_row[every][:, None] + np.zeros_like(where)).ravel(), where.ravel()
        summed = sparse.csr_array((held.ravel(), place), shape=(n.size, self.problem.size))
        outcome = np.add.reduceat(rows.y - rows.offset, rows.starts[:-1])
        return n.astype(float), summed, outcome

    @cached_property
    def _moments(self) -> _Moments:
        rows, stored, size = (
            self.problem.gathered.rows,
            self.problem.arrow.stored,
            self.problem.size,
        )
        grouped = bool(self.problem.inner)
        n = np.diff(rows.starts)
        sizes, which = np.unique(n, return_inverse=True)
        if not grouped:
            sizes, which = sizes[:0], np.zeros_like(which)
        within, within_linear = np.zeros(stored), np.zeros(size)
        between, between_linear = np.zeros((sizes.size, stored)), np.zeros((sizes.size, size))
        squares = np.zeros(sizes.size + 1)
        moments_kernel()(
            rows,
            grouped,
            which.astype(np.int64),
            within,
            within_linear,
            between,
            between_linear,
            squares,
        )
        return _Moments(
            sizes.astype(float),
            np.bincount(which, minlength=sizes.size)[: sizes.size].astype(float),
            np.concatenate([within, within_linear, squares[-1:]]),
            np.concatenate([between, between_linear, squares[:-1, None]], axis=1),
        )

    def _normal(self, h: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return precision, linear term, square of the outcome and log determinant per draw."""
        moments, stored = self._moments, self.problem.arrow.stored
        variance = self.problem.family_values(h)[0] ** 2
        log_det = self.problem.gathered.rows.y.size * np.log(variance)
        whole = np.broadcast_to(moments.within, (h.shape[0], moments.within.size))
        if moments.sizes.size:
            ratio = (self.problem.inner_spread(h) ** 2 / variance)[:, None]
            kept = 1.0 / (moments.sizes * (1.0 + ratio * moments.sizes))
            whole = whole + kept @ moments.between
            log_det = log_det + np.log1p(ratio * moments.sizes) @ moments.groups
        whole = whole / variance[:, None]
        return whole[:, :stored], whole[:, stored:-1], whole[:, -1], log_det

    def peak(self, h: Floats, near: Peak | None) -> Peak:
        """Return the mode of the globals given hyperparameters, which is exact."""
        arrow = self.problem.arrow
        matrix, linear, square, log_det = (x[0] for x in self._normal(h[None]))
        prior_matrix, prior_linear = self.problem.precision(h[None])
        modes = np.zeros(0)
        beta = np.zeros(self.problem.size) if near is None else near.beta
        for _ in range(50):
            # Priors that are not normal are met by Newton's method.
            slope, more = self.problem.other_priors(beta)
            all_linear = linear + slope + arrow.times(more, beta)
            try:
                factor = arrow.factor(matrix + more + prior_matrix[0])
            except np.linalg.LinAlgError:
                return Peak(h, beta, -math.inf, matrix, linear, modes, False)
            moved = factor.solve(all_linear + prior_linear)
            done = float(np.abs(moved - beta).max(initial=0.0)) < 1e-10
            beta = moved
            if done or not more.any():
                break
        away = square - 2.0 * linear @ beta + float(arrow.square(matrix[None], beta[None])[0])
        value = -0.5 * (away + log_det + self.problem.gathered.rows.y.size * _LOG_TWO_PI)
        value += float(self.problem.log_prior(h[None], beta[None])[0])
        density = value - float(factor.log_det) + 0.5 * beta.size * _LOG_TWO_PI
        found = bool(np.isfinite(density))
        if not found:
            density = -math.inf
        return Peak(h, beta, float(density), matrix + more, all_linear, modes, found)

    def prepare(self, peak: Peak) -> None:
        """Nothing depends on where draws are."""

    def log_likelihood(self, h: Floats, beta: Floats) -> Floats:
        """Return the log marginal likelihood of each draw, dims (draw,)."""
        result = np.empty(h.shape[0])
        step = max(1, _BLOCK // max(self.problem.arrow.stored, 1))
        for first in range(0, h.shape[0], step):
            some = slice(first, first + step)
            matrix, linear, square, log_det = self._normal(h[some])
            away = square - 2.0 * (linear * beta[some]).sum(axis=1)
            away = away + self.problem.arrow.square(matrix, beta[some])
            result[some] = -0.5 * (away + log_det)
        return result - 0.5 * self.problem.gathered.rows.y.size * _LOG_TWO_PI

    def exact_normal(self, h: Floats) -> tuple[Floats, Floats] | None:
        """Return the likelihood as a normal in the globals."""
        matrix, linear, _, _ = self._normal(h)
        return matrix, linear

    def quadrature_error(self, h: Floats, beta: Floats) -> float:
        """Nothing is integrated by quadrature."""
        return 0.0

    def refined(self) -> Marginal:
        """There are no nodes to refine."""
        return self

    def effects(self, h: Floats, beta: Floats, rng: np.random.Generator) -> Floats:
        """Draw the effects given the rest, dims (draw, group)."""
        gathered = self.problem.gathered
        n, columns, outcome = self._sums
        spread = self.problem.inner_spread(h)
        variance = self.problem.family_values(h)[0] ** 2
        result = spread[:, None] * rng.standard_normal((h.shape[0], gathered.groups))
        # In this form a spread near 0 divides by nothing.
        shrunk = 1.0 / (1.0 + (spread**2 / variance)[:, None] * n)
        residual = outcome - (columns @ beta.T).T
        mean = (spread**2 / variance)[:, None] * shrunk * residual
        result[:, gathered.present] *= np.sqrt(shrunk)
        result[:, gathered.present] += mean
        return np.asarray(result)
