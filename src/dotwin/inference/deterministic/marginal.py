"""The likelihood of globals with the innermost effects integrated out, and where it peaks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.arrow import Arrow, ArrowFactor
from dotwin.inference.deterministic.compiled import (
    effects_kernel,
    information_kernel,
    marginal_kernel,
    row_kernels,
)
from dotwin.inference.deterministic.nodes import Curve, cubics, polynomial, rule, wide_rule
from dotwin.inference.deterministic.problem import Problem
from dotwin.inference.deterministic.rows import Centre
from dotwin.inference.deterministic.terms import BOUNDED, INFLATED
from dotwin.inference.nuts.parts import FamilyCode

if TYPE_CHECKING:
    from dotwin.inference.deterministic.integrand import Lanes

__all__ = ["Marginal", "Peak", "Quadrature"]

Floats = NDArray[np.float64]

#: Families of continuous outcomes whose tails are tabulated where a bound truncates them.
_CONTINUOUS = (FamilyCode.NORMAL, FamilyCode.NORMAL_LOG_LINK, FamilyCode.STUDENT_T)
#: Newton steps towards the mode of the globals, and halvings of each.
_STEPS, _HALVINGS = 40, 12
#: The mode is found when a further step would gain less than this in log density.
_GAIN = 1e-5
#: Less than this may be hidden by the error of few nodes.
_HIDDEN = 0.05
#: On how many draws, at which shares, and how close in sds of the effects, both are compared.
_COMPARED, _SHARES, _APART = 32, (0.001, 0.05, 0.5, 0.95, 0.999), 0.02
#: Draws on which second modes are looked for.
_WIDE_DRAWS = 32
#: Draws evaluated, and draws of effects made, at once.
_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class Peak:
    """The mode of the globals given hyperparameters.

    Parameters
    ----------
    h : array, dims (hyper,)
    beta : array, dims (global,)
    log_density : float
        Laplace's approximation of the log posterior density of ``h``.
    matrix, linear : array, dims (number,) and (global,)
        The likelihood, and priors that are not normal, as a normal in the globals: its precision,
        as the problem's `arrow` stores it, and that times its mean.
    modes : array, dims (group,)
        Of the effects.
    found : bool
        Whether the search ended, with a definite curvature.
    known, row_bend : array, dims (group,) and (row,)
        What each group's rows, and each row, say about the group's effect.
    """

    h: Floats
    beta: Floats
    log_density: float
    matrix: Floats
    linear: Floats
    modes: Floats
    found: bool
    known: Floats = field(default_factory=lambda: np.zeros(0))
    row_bend: Floats = field(default_factory=lambda: np.zeros(0))


class Marginal(Protocol):
    """What a search and a proposal ask of a likelihood."""

    @property
    def problem(self) -> Problem:
        """The problem whose likelihood it is."""

    @property
    def nodes(self) -> int:
        """Nodes of its quadrature; 0 for closed forms."""

    def peak(self, h: Floats, near: Peak | None) -> Peak:
        """Find the mode of the globals given hyperparameters."""

    def prepare(self, peak: Peak) -> None:
        """Say where the globals will be when draws are evaluated."""

    def log_likelihood(self, h: Floats, beta: Floats) -> Floats:
        """Return the log marginal likelihood of each draw."""

    def exact_normal(self, h: Floats) -> tuple[Floats, Floats] | None:
        """Return the likelihood as a normal in the globals, where it is one."""

    def quadrature_error(self, h: Floats, beta: Floats) -> float:
        """Return the sd of the log likelihood's change when nodes are doubled."""

    def refined(self) -> Marginal:
        """Return the same with twice the nodes and one."""

    def effects(self, h: Floats, beta: Floats, rng: np.random.Generator) -> Floats:
        """Draw the effects given the rest, dims (draw, group)."""


class _Evaluation:
    """The log likelihood at one point of the hyperparameters, for any globals.

    ``gradient`` and ``matrix``, as the problem's `arrow` stores it, are those of the last globals;
    ``known`` is what groups and rows say of the groups' effects there.
    """

    def __init__(
        self,
        problem: Problem,
        h: Floats,
        nodes: Floats,
        log_weights: Floats,
        tables: Callable[[Floats], Floats],
        modes: Floats | None,
    ) -> None:
        from dotwin.inference.deterministic.information_kernel import node_workspace

        rows = problem.gathered.rows
        groups = rows.starts.size - 1
        d, c = (float(x) for x in problem.family_values(h))
        self._constant = float(problem.constant(np.array(d), np.array(c)))
        self._kernel = information_kernel(problem.kind == INFLATED)
        by_family = row_kernels(problem.family, problem.kind)
        self._by_family = by_family.modes, by_family.slopes
        shape = np.array([float(problem.inner_spread(h)), d, c])
        self._given = shape, tables(np.array([c])), nodes, log_weights
        self._rows, self._work = rows, node_workspace(rows, problem.gathered.most, nodes.size)
        self.modes = np.zeros(groups) if modes is None else modes.copy()
        self.known = np.zeros(groups), np.zeros(rows.y.size)
        self.gradient, self.matrix = np.zeros(problem.size), np.zeros(problem.arrow.stored)

    def at(self, beta: Floats) -> float:
        """Return the log likelihood, and leave its derivatives."""
        value: float = self._kernel(
            *self._by_family,
            self._rows,
            beta,
            *self._given,
            self._work,
            self.modes,
            *self.known,
            self.gradient,
            self.matrix,
        )
        return value + self._constant


class Quadrature:
    """The marginal likelihood of one problem by adaptive Gauss-Hermite quadrature.

    Parameters
    ----------
    problem : Problem
    nodes : int
        Of each group's integral.
    """

    def __init__(self, problem: Problem, nodes: int) -> None:
        self.problem = problem
        self._grouped = bool(problem.inner)
        self.nodes = nodes if self._grouped else 0
        self._centre: Centre | None = None

    @cached_property
    def _rule(self) -> tuple[Floats, Floats]:
        return rule(self.nodes) if self._grouped else (np.zeros(0), np.zeros(0))

    @cached_property
    def _padded(self) -> tuple[Floats, Floats]:
        from dotwin.inference.deterministic.information_kernel import NODE_LANES

        nodes, log_weights = self._rule
        missing = -nodes.size % NODE_LANES
        return np.r_[nodes, np.zeros(missing)], np.r_[log_weights, np.full(missing, -np.inf)]

    def peak(self, h: Floats, near: Peak | None) -> Peak:
        """Find the mode of the globals given hyperparameters, by Newton's method.

        Parameters
        ----------
        h : array, dims (hyper,)
        near : Peak, optional
            Where to start.

        Returns
        -------
        Peak
        """
        problem, arrow = self.problem, self.problem.arrow
        prior_matrix, prior_linear = problem.precision(h[None])
        prior_matrix = prior_matrix[0]
        evaluation = self._evaluation(h, None if near is None else near.modes)
        modes, gradient, matrix = evaluation.modes, evaluation.gradient, evaluation.matrix
        # Where nothing is near, a search that started from another spread's modes would mislead.
        beta = np.array(problem.start if near is None else near.beta)

        at_start = float(problem.log_prior(h[None], beta[None])[0])
        begun = beta.copy()

        def log_prior(beta: Floats) -> float:
            if problem.only_normal:
                middle = 0.5 * (beta + begun)
                pull = prior_linear - arrow.times(prior_matrix, middle)
                return at_start + float(pull @ (beta - begun))
            return float(problem.log_prior(h[None], beta[None])[0])

        def evaluate(beta: Floats) -> float:
            return evaluation.at(beta) + log_prior(beta)

        found = False
        value = evaluate(beta)
        for _ in range(_STEPS):
            if not math.isfinite(value):
                break
            slope, other = problem.other_priors(beta)
            likelihood = matrix + other
            score = gradient + slope
            factor, definite = _factor(arrow, likelihood + prior_matrix)
            pull = score + prior_linear - arrow.times(prior_matrix, beta)
            step = factor.solve(pull)
            gain = 0.5 * float(pull @ step)
            linear = arrow.times(likelihood, beta) + score
            if gain < _GAIN:
                found = definite
                beta, value = beta + step, value + gain
                break
            size = 1.0
            for _ in range(_HALVINGS):
                kept = modes.copy()
                there = evaluate(beta + size * step)
                if math.isfinite(there) and there > value - 1e-9:
                    break
                modes[:] = kept
                size *= 0.5
            else:
                # What little is left to gain is hidden by the quadrature's own error.
                found = definite and gain < _HIDDEN
                break
            beta, value = beta + size * step, there
        if not found:
            return Peak(h, beta, -math.inf, matrix, gradient, modes, False)
        density = value - float(factor.log_det) + 0.5 * problem.size * math.log(2.0 * math.pi)
        return Peak(h, beta, density, likelihood, linear, modes, True, *evaluation.known)

    def derivatives(self, h: Floats, beta: Floats) -> tuple[float, Floats, Floats]:
        """Return the log likelihood at one point, its gradient, and its information as stored."""
        evaluation = self._evaluation(h, None)
        return evaluation.at(beta), evaluation.gradient, evaluation.matrix

    def _evaluation(self, h: Floats, modes: Floats | None) -> _Evaluation:
        return _Evaluation(self.problem, h, *self._padded, self._tables, modes)

    def prepare(self, peak: Peak) -> None:
        """Keep the effects' modes and information at the peak, from which draws are started."""
        problem, gathered = self.problem, self.problem.gathered
        rows = gathered.rows
        groups = rows.starts.size - 1
        if not self._grouped:
            nothing = np.zeros(rows.y.size)
            self._centre = Centre(
                np.zeros(groups), np.zeros(groups), 1.0, nothing, np.zeros(groups)
            )
            return
        known, bend = peak.known, peak.row_bend
        precision = float(problem.inner_spread(peak.h)) ** -2.0
        pull = bend / np.maximum(known + precision, 0.1 * precision)[gathered.of_row]
        eta = rows.offset + rows.dense[:, : rows.own_dense] @ peak.beta[: rows.own_dense]
        own = slice(0, rows.own_which)
        eta = eta + (rows.scale[:, own] * peak.beta[rows.which[:, own]]).sum(axis=1)
        pulled = np.bincount(gathered.of_row, pull * eta, groups)
        self._centre = Centre(peak.modes, known, precision, pull, pulled)

    def log_likelihood(self, h: Floats, beta: Floats) -> Floats:
        """Return the log marginal likelihood of each draw, dims (draw,)."""
        return self._log_likelihood(h, beta, *self._rule)

    def _log_likelihood(
        self, h: Floats, beta: Floats, nodes: Floats, log_weights: Floats
    ) -> Floats:
        from dotwin.inference.deterministic.integrand import LANES, workspace

        problem, gathered = self.problem, self.problem.gathered
        rows, by_family = gathered.rows, row_kernels(problem.family, problem.kind)
        kernel, work = marginal_kernel(), workspace(rows, gathered.most, nodes)
        result = np.empty(h.shape[0])
        for first in range(0, h.shape[0], _AT_ONCE):
            some = slice(first, min(first + _AT_ONCE, h.shape[0]))
            lanes = self._lanes(h[some], beta[some])
            out = np.empty((lanes.shape.shape[0], LANES))
            kernel(
                by_family.bases, by_family.values, rows, self._centre, lanes, log_weights, work, out
            )
            result[some] = out.ravel()[: some.stop - first]
        d, c = problem.family_values(h)
        return np.asarray(result + problem.constant(d, c))

    def _lanes(self, h: Floats, beta: Floats) -> Lanes:
        """Lay draws out in whole blocks of lanes, the last draw repeated."""
        from dotwin.inference.deterministic.integrand import LANES, Lanes

        draws = h.shape[0]
        taken = np.minimum(np.arange(-(-draws // LANES) * LANES), draws - 1)
        d, c = self.problem.family_values(h)
        sd = np.maximum(self.problem.inner_spread(h), 1e-150)

        def wide(values: Floats) -> Floats:
            blocks = values[taken].reshape(-1, LANES, *values.shape[1:])
            return np.ascontiguousarray(blocks.swapaxes(1, -1))

        tables = self._tables(c)
        shaped = np.ascontiguousarray(tables[taken].reshape(-1, LANES, tables.shape[1]))
        return Lanes(wide(beta), wide(np.column_stack([sd, d, c])), shaped)

    def _tables(self, c: Floats) -> Floats:
        """Return tables of the tail that a bound keeps, dims (draw, number)."""
        problem = self.problem
        if problem.kind != BOUNDED or problem.family not in _CONTINUOUS:
            return np.zeros((c.size, 1))
        from dotwin.inference.deterministic.tails import TABLE, fill_tail

        result = np.empty((c.size, TABLE))
        for one, table in zip(c, result, strict=True):
            fill_tail(problem.family, one, table)
        return result

    def exact_normal(self, h: Floats) -> tuple[Floats, Floats] | None:
        """The likelihood is no normal in the globals."""
        return None

    def quadrature_error(self, h: Floats, beta: Floats) -> float:
        """Return the sd of the log likelihood's change when nodes are doubled."""
        if not self._grouped:
            return 0.0
        here = self.log_likelihood(h, beta)
        error = float(np.std(self._log_likelihood(h, beta, *rule(2 * self.nodes + 1)) - here))
        if not self.problem.concave:
            # A group's integrand may have a second mode, which nodes around the first do not meet.
            some = slice(0, _WIDE_DRAWS)
            wide = self._log_likelihood(h[some], beta[some], *wide_rule())
            error = max(error, float(np.std(wide - here[some])))
        return error

    def refined(self) -> Quadrature:
        """Return the same with twice the nodes and one."""
        finer = Quadrature(self.problem, 2 * self.nodes + 1)
        finer._centre = self._centre
        return finer

    def effects(self, h: Floats, beta: Floats, rng: np.random.Generator) -> Floats:
        """Draw the effects given the rest, dims (draw, group).

        A group without rows has its prior's.
        """
        gathered = self.problem.gathered
        result = np.empty((h.shape[0], gathered.groups))
        curve = polynomial(self.nodes)
        if not self.problem.concave and not self._agree(h, beta, curve):
            curve = cubics()
        result[:, gathered.present] = self._inverted(h, beta, curve, rng.random)
        absent = np.setdiff1d(np.arange(gathered.groups), gathered.present)
        if absent.size:
            spread = self.problem.inner_spread(h)[:, None]
            result[:, absent] = spread * rng.standard_normal((h.shape[0], absent.size))
        return result

    def _agree(self, h: Floats, beta: Floats, curve: Curve) -> bool:
        """Whether a polynomial gives the quantiles that cubics do, far into both tails.

        A polynomial through few nodes is next to exact where an effect is next to normal, and goes
        wild in the tails where it is not.
        """
        some = np.unique(np.linspace(0, h.shape[0] - 1, _COMPARED).astype(int))
        close = _APART * self.problem.inner_spread(h[some])[:, None]
        for share in _SHARES:
            near, far = (
                self._inverted(h[some], beta[some], one, partial(np.full, fill_value=share))
                for one in (curve, cubics())
            )
            if bool(np.any(np.abs(near - far) > close)):
                return False
        return True

    def _inverted(
        self, h: Floats, beta: Floats, curve: Curve, uniform: Callable[[tuple[int, ...]], Floats]
    ) -> Floats:
        """Invert the distributions of groups with rows at uniform numbers, dims (draw, group)."""
        from dotwin.inference.deterministic.integrand import LANES, workspace

        problem, gathered = self.problem, self.problem.gathered
        by_family, groups = row_kernels(problem.family, problem.kind), gathered.present.size
        kernel, work = effects_kernel(), workspace(gathered.rows, gathered.most, curve.nodes)
        result = np.empty((h.shape[0], groups))
        for first in range(0, h.shape[0], _AT_ONCE):
            some = slice(first, min(first + _AT_ONCE, h.shape[0]))
            lanes = self._lanes(h[some], beta[some])
            blocks = lanes.shape.shape[0]
            out = np.empty((blocks, LANES, groups))
            kernel(
                by_family.bases, by_family.values, gathered.rows, self._centre, lanes,
                curve.matrix, curve.grid, uniform((blocks, groups, LANES)), work, out,
            )  # fmt: skip
            result[some] = out.reshape(-1, groups)[: some.stop - first]
        return result


def _factor(arrow: Arrow, matrix: Floats) -> tuple[ArrowFactor, bool]:
    """Return a factor, of the matrix itself or of one near it that has one."""
    try:
        return arrow.factor(matrix), True
    except np.linalg.LinAlgError:
        return arrow.factor(arrow.mended(matrix[None])[0]), False
