"""A normal mechanism: effects and globals are integrated out in closed form."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.marginal import Marginal, Peak
from dotwin.inference.deterministic.problem import Problem

__all__ = ["ClosedForm"]

Floats = NDArray[np.float64]

_LOG_TWO_PI = math.log(2.0 * math.pi)


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
    def _matrix(self) -> Floats:
        rows = self.problem.gathered.rows
        result = np.zeros((rows.y.size, self.problem.size))
        result[:, : rows.dense.shape[1]] = rows.dense
        every = np.arange(rows.y.size)
        for j in range(rows.which.shape[1]):
            np.add.at(result, (every, rows.which[:, j]), rows.scale[:, j])
        return result

    @cached_property
    def _sums(self) -> tuple[Floats, Floats, Floats]:
        """Rows, summed columns and summed outcome of each group."""
        gathered = self.problem.gathered
        starts = gathered.rows.starts
        y = gathered.rows.y - gathered.rows.offset
        columns = np.add.reduceat(self._matrix, starts[:-1], axis=0)
        return np.diff(starts).astype(float), columns, np.add.reduceat(y, starts[:-1])

    @cached_property
    def _moments(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Return sums of squares within groups; then sizes, how many, and squares of their sums.

        The last is the outcome.
        """
        y = self.problem.gathered.rows.y - self.problem.gathered.rows.offset
        whole = np.column_stack([self._matrix, y])
        if not self.problem.inner:
            total = whole.T @ whole
            return total, np.zeros(0), np.zeros(0), np.zeros((0, *total.shape)), y
        n, columns, outcome = self._sums
        sums = np.column_stack([columns, outcome])
        away = whole - (sums / n[:, None])[self.problem.gathered.of_row]
        total = away.T @ away
        sizes, which = np.unique(n, return_inverse=True)
        parts = np.array([sums[which == k].T @ sums[which == k] for k in range(sizes.size)])
        return total, sizes, np.bincount(which).astype(float), parts, y

    def _normal(self, h: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return precision, linear term, square of the outcome and log determinant per draw."""
        total, sizes, groups, parts, y = self._moments
        variance = self.problem.family_values(h)[0] ** 2
        log_det = y.size * np.log(variance)
        whole = np.broadcast_to(total, (h.shape[0], *total.shape))
        if sizes.size:
            ratio = self.problem.inner_spread(h) ** 2 / variance
            kept = 1.0 / (sizes * (1.0 + ratio[:, None] * sizes))
            size = total.shape[0]
            whole = whole + (kept @ parts.reshape(sizes.size, -1)).reshape(-1, size, size)
            log_det = log_det + np.log1p(ratio[:, None] * sizes) @ groups
        whole = whole / variance[:, None, None]
        return whole[:, :-1, :-1], whole[:, :-1, -1], whole[:, -1, -1], log_det

    def peak(self, h: Floats, near: Peak | None) -> Peak:
        """Return the mode of the globals given hyperparameters, which is exact."""
        matrix, linear, square, log_det = (x[0] for x in self._normal(h[None]))
        prior_matrix, prior_linear = self.problem.precision(h[None])
        modes = np.zeros(0)
        beta = np.zeros(self.problem.size) if near is None else near.beta
        for _ in range(50):
            # Priors that are not normal are met by Newton's method.
            slope, bend = self.problem.other_priors(beta)
            more = np.maximum(bend, 0.0)
            whole = matrix + np.diag(more) + prior_matrix[0]
            all_linear = linear + slope + more * beta
            moved = np.linalg.solve(whole, all_linear + prior_linear)
            done = float(np.abs(moved - beta).max(initial=0.0)) < 1e-10
            beta = moved
            if done or not more.any():
                break
        value = (
            -0.5 * (square - 2.0 * linear @ beta + beta @ matrix @ beta + log_det)
            - 0.5 * self.problem.gathered.rows.y.size * _LOG_TWO_PI
        )
        value += float(self.problem.log_prior(h[None], beta[None])[0])
        sign, log_whole = np.linalg.slogdet(whole)
        found = bool(sign > 0 and np.isfinite(value))
        density = value - 0.5 * log_whole + 0.5 * beta.size * _LOG_TWO_PI
        if not found:
            density = -math.inf
        return Peak(h, beta, float(density), matrix + np.diag(more), all_linear, modes, found)

    def prepare(self, peak: Peak) -> None:
        """Nothing depends on where draws are."""

    def log_likelihood(self, h: Floats, beta: Floats) -> Floats:
        """Return the log marginal likelihood of each draw, dims (draw,)."""
        matrix, linear, square, log_det = self._normal(h)
        away = square - 2.0 * (linear * beta).sum(axis=1)
        away = away + np.einsum("si,sij,sj->s", beta, matrix, beta)
        return np.asarray(-0.5 * (away + log_det + self._moments[4].size * _LOG_TWO_PI))

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
        residual = outcome - beta @ columns.T
        mean = (spread**2 / variance)[:, None] * shrunk * residual
        result[:, gathered.present] *= np.sqrt(shrunk)
        result[:, gathered.present] += mean
        return np.asarray(result)
