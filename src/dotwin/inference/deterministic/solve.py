"""From a problem to draws of its posterior, and to what vouches for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.certificate import QUADRATURE_ERROR_MAX, Certificate
from dotwin.inference.deterministic.closed_form import ClosedForm
from dotwin.inference.deterministic.marginal import Marginal, Quadrature
from dotwin.inference.deterministic.problem import Problem
from dotwin.inference.deterministic.profile import profile_axes
from dotwin.inference.deterministic.proposal import Sample, build_proposal
from dotwin.inference.deterministic.search import Mode, find_mode
from dotwin.inference.deterministic.terms import WHOLE
from dotwin.inference.nuts.parts import FamilyCode

__all__ = ["NEAR", "Solution", "marginal_of", "solve", "weigh"]

Floats = NDArray[np.float64]

#: Nodes that quadrature begins with, and the most that it goes to.
NODES, MOST_NODES = 7, 31
#: Draws of the proposal at least: the tail of the weights is judged by their largest fifth.
_LEAST = 2000
#: Draws on which the quadrature is checked.
_CHECKED = 112
#: Draws that tell the next engine where the posterior lies, where these are not certified.
NEAR = 64


@dataclass(frozen=True, eq=False)
class Solution:
    """Draws of a problem's posterior.

    Parameters
    ----------
    certificate : Certificate
    h, beta, effects : array, dims (draw, ...)
        Hyperparameters, globals and the innermost groups' effects. Without a certificate that
        holds a few that lie about where the posterior does, or none.
    """

    certificate: Certificate
    h: Floats
    beta: Floats
    effects: Floats


def marginal_of(problem: Problem, nodes: int = NODES) -> Marginal:
    """Return the likelihood of the globals: in closed form for a normal, else by quadrature."""
    if problem.family == FamilyCode.NORMAL and problem.kind == WHOLE:
        return ClosedForm(problem)
    return Quadrature(problem, nodes)


def weigh(log_weight: Floats) -> tuple[Floats, float]:
    """Return Pareto-smoothed weights that sum to 1, and k-hat.

    Parameters
    ----------
    log_weight : array, dims (draw,)
    """
    from arviz_stats.base.array import array_stats

    usable = np.where(np.isfinite(log_weight), log_weight, -np.inf)
    top = float(usable.max())
    if not np.isfinite(top):
        return np.full(log_weight.size, 1.0 / log_weight.size), np.inf
    centred = np.maximum(usable - top, -1e3)
    smooth, k_hat = array_stats.psislw(-centred)
    weights = np.exp(np.asarray(smooth) - np.max(smooth))
    return weights / weights.sum(), float(k_hat)


def solve(
    problem: Problem,
    draws: int,
    rng: np.random.Generator,
    *,
    nodes: int = NODES,
    most_nodes: int = MOST_NODES,
) -> Solution:
    """Draw from a problem's posterior by importance weights, and check what they are worth.

    Parameters
    ----------
    problem : Problem
    draws : int
    rng : Generator
    nodes, most_nodes : int
        That quadrature begins with, and at most goes to.

    Returns
    -------
    Solution
    """
    marginal = marginal_of(problem, nodes)
    mode = find_mode(marginal)
    while not (mode.found and mode.agree) and _may_refine(marginal, most_nodes):
        # Few nodes misplace the density where groups differ much, and with it the search.
        marginal = marginal.refined()
        mode = find_mode(marginal)
    if not (mode.found and mode.agree):
        return _around(marginal, mode, rng)
    marginal.prepare(mode.peak)
    proposal = build_proposal(marginal, mode, profile_axes(marginal, mode))
    if proposal is None:
        return _around(marginal, Mode(mode.peak, mode.covariance, True, False), rng)
    size = max(draws, _LEAST)
    sample = proposal.draw(size, rng)
    marginal, sample, weights, certificate, picked = _judged(
        marginal, sample, draws, rng, most_nodes
    )
    if not certificate.holds:
        heavier = proposal.heavier(sample, weights)
        sample = heavier.draw(size, rng)
        marginal, sample, weights, certificate, picked = _judged(
            marginal, sample, draws, rng, most_nodes
        )
    if not certificate.holds:
        picked = np.unique(picked)[:NEAR]
        picked = picked[np.isfinite(sample.log_weight[picked])]
    h, beta = sample.h[picked], sample.beta[picked]
    return Solution(certificate, h, beta, _effects(marginal, h, beta, rng))


def _effects(marginal: Marginal, h: Floats, beta: Floats, rng: np.random.Generator) -> Floats:
    if not marginal.problem.inner or not h.shape[0]:
        return np.zeros((h.shape[0], marginal.problem.gathered.groups))
    return marginal.effects(h, beta, rng)


def _around(marginal: Marginal, mode: Mode, rng: np.random.Generator) -> Solution:
    """Draw a few from the normal at a mode that is not enough to draw from."""
    problem, peak = marginal.problem, mode.peak
    certificate = _failed(mode, marginal)
    if not peak.found:
        return _nothing(problem, certificate)
    marginal.prepare(peak)
    factor = np.linalg.cholesky(mode.covariance)
    h = peak.h + rng.standard_normal((NEAR, peak.h.size)) @ factor.T
    prior, linear = problem.precision(peak.h[None])
    try:
        globals_ = problem.arrow.factor(peak.matrix + prior[0])
    except np.linalg.LinAlgError:
        return _nothing(problem, certificate)
    middle = globals_.solve(peak.linear + linear)
    away = [
        globals_.solve(np.zeros(problem.size), noise)
        for noise in rng.standard_normal((NEAR, problem.size))
    ]
    beta = middle + np.array(away)
    return Solution(certificate, h, beta, _effects(marginal, h, beta, rng))


def _judged(
    marginal: Marginal, sample: Sample, draws: int, rng: np.random.Generator, most_nodes: int
) -> tuple[Marginal, Sample, Floats, Certificate, NDArray[np.intp]]:
    """Weigh a sample, with more nodes where the quadrature needs them, and resample it."""
    while True:
        weights, k_hat = weigh(sample.log_weight)
        picked = _resample(weights, draws, rng)
        some = picked[: min(_CHECKED, draws)]
        error = marginal.quadrature_error(sample.h[some], sample.beta[some])
        if error < QUADRATURE_ERROR_MAX or 2 * marginal.nodes + 1 > most_nodes:
            break
        finer = marginal.refined()
        before = marginal.log_likelihood(sample.h, sample.beta)
        after = finer.log_likelihood(sample.h, sample.beta)
        with np.errstate(invalid="ignore"):
            log_weight = sample.log_weight + (after - before)
        marginal, sample = finer, Sample(sample.tau, sample.h, sample.beta, log_weight)
    ess = 1.0 / float((weights**2).sum())
    certificate = Certificate(
        k_hat=k_hat,
        efficiency=ess / weights.size,
        importance_ess=ess,
        quadrature_error=error,
        starts_agree=True,
        mode_found=True,
        nodes=marginal.nodes,
    )
    return marginal, sample, weights, certificate, picked


def _may_refine(marginal: Marginal, most_nodes: int) -> bool:
    return marginal.problem.concave and marginal.nodes > 0 and 2 * marginal.nodes + 1 <= most_nodes


def _resample(weights: Floats, draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Resample systematically, in random order."""
    at = (np.arange(draws) + rng.random()) / draws
    picked = np.searchsorted(np.cumsum(weights), at)
    return rng.permutation(np.minimum(picked, weights.size - 1))


def _failed(mode: Mode, marginal: Marginal) -> Certificate:
    return Certificate(
        k_hat=np.inf,
        efficiency=0.0,
        importance_ess=0.0,
        quadrature_error=np.inf,
        starts_agree=mode.agree,
        mode_found=mode.found,
        nodes=marginal.nodes,
    )


def _nothing(problem: Problem, certificate: Certificate) -> Solution:
    return Solution(
        certificate,
        np.zeros((0, len(problem.hypers))),
        np.zeros((0, problem.size)),
        np.zeros((0, problem.gathered.groups)),
    )
