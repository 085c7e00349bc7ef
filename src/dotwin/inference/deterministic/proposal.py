"""The proposal: Student's t in the transformed hyperparameters, a normal in globals given them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.marginal import Marginal
from dotwin.inference.deterministic.profile import Transform
from dotwin.inference.deterministic.search import Mode

__all__ = ["Proposal", "Sample", "build_proposal"]

Floats = NDArray[np.float64]

_LOG_TWO_PI = math.log(2.0 * math.pi)
#: Points of the design, in sds of the transformed hyperparameters: on axes, and at corners.
_ON_AXES, _CORNERS = 1.6, 1.1
#: Corners are halved from this many hyperparameters on.
_MANY = 5
#: Degrees of freedom of the hyperparameters' t.
_HYPER_NU = 7.0
#: What the likelihood is in the globals is interpolated within this distance.
_WITHIN = 1.9
#: Variances of transformed hyperparameters are held between these.
_LEAST_VARIANCE, _MOST_VARIANCE = 0.1, 9.0
#: Numbers held at once.
_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class Sample:
    """Draws of a proposal with what weighs them.

    Parameters
    ----------
    tau, h, beta : array, dims (draw, ...)
    log_weight : array, dims (draw,)
    """

    tau: Floats
    h: Floats
    beta: Floats
    log_weight: Floats


@dataclass(frozen=True, eq=False)
class Proposal:
    """Where to draw from.

    Parameters
    ----------
    marginal : Marginal
    transform : Transform
    mean, covariance : array
        Of the transformed hyperparameters.
    axes : array, dims (hyper, hyper)
        From standard coordinates of the design to transformed hyperparameters.
    matrix, linear : array, dims (coefficient, ...)
        The likelihood as a normal in the globals, as a quadratic function of the design's
        coordinates, its precision as the problem's `arrow` stores it; where the likelihood is a
        normal, what other priors add to it.
    beta_nu : float
        Degrees of freedom of the globals; infinite for a normal.
    """

    marginal: Marginal
    transform: Transform
    mean: Floats
    covariance: Floats
    axes: Floats
    matrix: Floats
    linear: Floats
    beta_nu: float = math.inf

    def heavier(self, sample: Sample, weights: Floats) -> Proposal:
        """Return one with heavier tails in the globals, moved to where a sample's weight is."""
        mean, covariance = self.mean, self.covariance
        if mean.size:
            mean = weights @ sample.tau
            away = sample.tau - mean
            covariance = _held((away * weights[:, None]).T @ away)
        return replace(self, mean=mean, covariance=covariance, beta_nu=40.0)

    def draw(self, draws: int, rng: np.random.Generator) -> Sample:
        """Draw and weigh.

        Parameters
        ----------
        draws : int
        rng : Generator

        Returns
        -------
        Sample
        """
        problem = self.marginal.problem
        size = self.mean.size
        factor = np.linalg.cholesky(self.covariance) if size else np.zeros((0, 0))
        z = rng.standard_normal((draws, size))
        z /= np.sqrt(rng.chisquare(_HYPER_NU, draws) / _HYPER_NU)[:, None]
        tau = self.mean + z @ factor.T
        h = self.transform.value(tau)
        log_q = _log_t(z, _HYPER_NU) - np.log(np.diag(factor)).sum()
        log_q = log_q - self.transform.log_slope(tau)
        noise = rng.standard_normal((draws, problem.size))
        if math.isfinite(self.beta_nu):
            noise /= np.sqrt(rng.chisquare(self.beta_nu, draws) / self.beta_nu)[:, None]
            log_q = log_q + _log_t(noise, self.beta_nu)
        else:
            log_q = log_q - 0.5 * ((noise**2).sum(axis=1) + problem.size * _LOG_TWO_PI)
        beta = np.empty((draws, problem.size))
        step = max(1, _BLOCK // max(problem.arrow.stored, 1))
        for first in range(0, draws, step):
            some = slice(first, first + step)
            beta[some], log_det = self._globals(tau[some], h[some], noise[some])
            log_q[some] += log_det
        log_p = problem.log_prior(h, beta) + self.marginal.log_likelihood(h, beta)
        return Sample(tau, h, beta, np.where(np.isfinite(log_p), log_p - log_q, -np.inf))

    def _globals(self, tau: Floats, h: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Return globals from standard noise, and half the log determinant of their precision."""
        exact = self.marginal.exact_normal(h)
        if exact is not None:
            matrix = exact[0] + self.matrix[0]
            linear = exact[1] + self.linear[0]
        else:
            z = np.linalg.solve(self.axes, tau.T).T if tau.shape[1] else tau
            length = np.sqrt((z**2).sum(axis=1, keepdims=True))
            terms = _terms(z * np.minimum(1.0, _WITHIN / np.maximum(length, 1e-12)))
            matrix = terms @ self.matrix
            linear = terms @ self.linear
        problem = self.marginal.problem
        prior_matrix, prior_linear = problem.precision(h)
        whole = matrix + prior_matrix
        try:
            factor = problem.arrow.factor(whole)
        except np.linalg.LinAlgError:
            # Interpolation left the definite ones.
            factor = problem.arrow.factor(problem.arrow.mended(whole))
        return factor.solve(linear + prior_linear, noise), factor.log_det


def _log_t(z: Floats, nu: float) -> Floats:
    """Return the log density of a standard multivariate t."""
    size = z.shape[1]
    constant = math.lgamma(0.5 * (nu + size)) - math.lgamma(0.5 * nu)
    constant -= 0.5 * size * math.log(nu * math.pi)
    return np.asarray(constant - 0.5 * (nu + size) * np.log1p((z**2).sum(axis=1) / nu))


def _terms(z: Floats) -> Floats:
    """Return 1, z and the products of z, dims (point, coefficient)."""
    size = z.shape[1]
    products = [z[:, i] * z[:, j] for i in range(size) for j in range(i + 1)]
    return np.column_stack([np.ones(z.shape[0]), z, *products])


def _held(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    return np.asarray((vectors * np.clip(values, _LEAST_VARIANCE, _MOST_VARIANCE)) @ vectors.T)


def _design(size: int) -> Floats:
    """Return the points of the design, the centre first, dims (point, hyper)."""
    if not size:
        return np.zeros((1, 0))
    points = [np.zeros(size)]
    for j in range(size):
        for sign in (-1.0, 1.0):
            points.append(sign * _ON_AXES * np.eye(size)[j])
    if size == 1:
        points += [np.array([-0.8]), np.array([0.8])]
    else:
        corners = [np.array(c) for c in product((-1.0, 1.0), repeat=size)]
        kept = [c for c in corners if size < _MANY or np.prod(c) > 0]
        points += [_CORNERS * c for c in kept]
    return np.array(points)


def build_proposal(marginal: Marginal, mode: Mode, transform: Transform) -> Proposal | None:
    """Fit a quadratic to the posterior over a design of transformed hyperparameters.

    Parameters
    ----------
    marginal : Marginal
    mode : Mode
    transform : Transform

    Returns
    -------
    Proposal or None
        None where too few points of the design have a mode of the globals.
    """
    size = mode.peak.h.size
    sds = np.sqrt(np.diag(mode.covariance)) if size else np.zeros(0)
    correlation = mode.covariance / np.outer(sds, sds) if size else np.zeros((0, 0))
    values, vectors = np.linalg.eigh(correlation) if size else (np.zeros(0), np.zeros((0, 0)))
    axes = vectors * np.sqrt(np.clip(values, _LEAST_VARIANCE, _MOST_VARIANCE))
    points = _design(size)
    peaks, kept, heights = [], [], []
    for z in points:
        tau = axes @ z if size else z
        peak = marginal.peak(transform.value(tau), mode.peak)
        if peak.found:
            peaks.append(peak)
            kept.append(z)
            heights.append(peak.log_density + float(transform.log_slope(tau)))
    terms = _terms(np.array(kept)) if kept else np.zeros((0, 1))
    if terms.shape[0] < terms.shape[1]:
        return None
    solver = np.linalg.pinv(terms)
    fitted = solver @ np.array(heights)
    bend = np.zeros((size, size))
    at = 1 + size
    for i in range(size):
        for j in range(i + 1):
            bend[i, j] -= fitted[at]
            bend[j, i] -= fitted[at]
            at += 1
    slope = fitted[1 : 1 + size]
    if size:
        curvature, turned = np.linalg.eigh(bend)
        held = np.clip(curvature, 1.0 / _MOST_VARIANCE, 1.0 / _LEAST_VARIANCE)
        covariance = (turned / held) @ turned.T
        mean = axes @ np.clip(covariance @ slope, -1.5, 1.5)
        covariance = axes @ covariance @ axes.T
    else:
        covariance, mean = np.zeros((0, 0)), np.zeros(0)
    matrices = np.array([peak.matrix for peak in peaks])
    linears = np.array([peak.linear for peak in peaks])
    if marginal.exact_normal(mode.peak.h[None]) is not None:
        # What priors that are not normal add at the mode.
        exact = marginal.exact_normal(mode.peak.h[None])
        assert exact is not None
        matrix = (mode.peak.matrix - exact[0][0])[None]
        linear = (mode.peak.linear - exact[1][0])[None]
    else:
        matrix = solver @ matrices
        linear = solver @ linears
    return Proposal(marginal, transform, mean, covariance, axes, matrix, linear)
