"""One linear predictor with its outcome, as the kernels and the search for its posterior read it.

A mechanism falls into problems that share no parameter: its mean, and the zeros of a hurdle or the
end of a share, each with globals beta, hyperparameters h and effects v of its innermost groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.arrow import Arrow
from dotwin.inference.deterministic.gather import Gathered
from dotwin.inference.deterministic.priors import hyper_log_prior, hyper_value, student_t_terms
from dotwin.inference.deterministic.terms import INFLATED
from dotwin.inference.nuts.parts import FamilyCode
from dotwin.mechanisms.parameters import Parameter
from dotwin.spec.prior import Prior

__all__ = ["NOT_CONCAVE", "Block", "Cuts", "Hyper", "Problem"]

Floats = NDArray[np.float64]

_LOG_TWO_PI = math.log(2.0 * math.pi)
#: Families whose log density is not concave in the linear predictor.
NOT_CONCAVE = (
    FamilyCode.STUDENT_T,
    FamilyCode.BETA,
    FamilyCode.BETA_BINOMIAL,
    FamilyCode.NORMAL_LOG_LINK,
)


@dataclass(frozen=True)
class Hyper:
    """One hyperparameter: an element of a spread or of the family's parameters.

    Parameters
    ----------
    name : str
        Of its parameter.
    element : int
    prior : Prior
        On the quantity whose logarithm (or logit) is h.
    typical : float
        What data of this scale often ask for, whatever the prior says.
    """

    name: str
    element: int
    prior: Prior
    typical: float


@dataclass(frozen=True)
class Block:
    """Globals that are normal around 0 with a spread that is a hyperparameter.

    Parameters
    ----------
    name : str
        Of their parameter.
    start, size : int
        Where they are among the globals.
    hyper : int
        Which hyperparameter is their spread.
    walk : bool
        Whether the spread is that of the steps between them, the first of which starts at 0.
    """

    name: str
    start: int
    size: int
    hyper: int
    walk: bool = False

    @property
    def span(self) -> NDArray[np.intp]:
        """Its elements among the globals."""
        return np.arange(self.start, self.start + self.size)


@dataclass(frozen=True, eq=False)
class Cuts:
    """Ordered cutpoints among the globals, and what only their distances enter.

    A category between two cutpoints has probability expit(high) expit(-low) (1 - exp(-distance)):
    its first two factors are those of a yes and a no, the third is the same for all its rows.

    Parameters
    ----------
    first : int
        The first cutpoint's place among the globals.
    between : array, dims (distance,)
        How many rows lie between each cutpoint and the next.
    """

    first: int
    between: Floats

    def log_density(self, beta: Floats) -> Floats:
        """Return the distances' part of the log likelihood, -inf out of order, dims (draw,)."""
        gaps = np.diff(beta[:, self.first : self.first + self.between.size + 1], axis=1)
        inside = (gaps > 0.0).all(axis=1)
        log_open = np.log(-np.expm1(-np.where(gaps > 0.0, gaps, 1.0)))
        return np.where(inside, log_open @ self.between, -np.inf)

    def bend(self, beta: Floats) -> tuple[Floats, Floats]:
        """Return the derivative by each distance, and minus the second one."""
        gaps = np.diff(beta[self.first : self.first + self.between.size + 1])
        gaps = np.maximum(gaps, 1e-12)
        return self.between / np.expm1(gaps), 0.25 * self.between / np.sinh(0.5 * gaps) ** 2


@dataclass(frozen=True, eq=False)
class Problem:
    """One linear predictor with its outcome.

    Parameters
    ----------
    listed : list of Parameter
        Its parameters, in the posterior's order.
    family : int
        `FamilyCode`.
    kind : int
        Of truncation.
    gathered : Gathered
        Rows, sorted by the innermost group.
    inner : str
        The parameter that holds the effects that are integrated out, or "".
    hypers : tuple of Hyper
    inner_sd : int
        Which hyperparameter is their spread, or -1.
    dispersions : tuple of int
        Which hyperparameters belong to the family.
    blocks : tuple of Block
    free : dict of str to slice
        Globals that have priors of their own, by parameter.
    priors : tuple of Prior
        Of these, by position.
    start : array, dims (global,)
        Where the search begins.
    arrow : Arrow
        How matrices of the globals are stored.
    cuts : Cuts, optional
        Ordered cutpoints.
    """

    listed: list[Parameter]
    family: int
    kind: int
    gathered: Gathered
    inner: str
    hypers: tuple[Hyper, ...]
    inner_sd: int
    dispersions: tuple[int, ...]
    blocks: tuple[Block, ...]
    free: dict[str, slice]
    priors: tuple[Prior, ...]
    start: Floats
    arrow: Arrow
    cuts: Cuts | None = None

    @property
    def size(self) -> int:
        """How many globals it has."""
        return int(self.start.size)

    @cached_property
    def _normal(self) -> tuple[NDArray[np.intp], Floats, Floats]:
        where = [j for j, p in enumerate(self.priors) if p.distribution == "normal"]
        arguments = np.array([self.priors[j].arguments for j in where]).reshape(-1, 2)
        return np.array(where, dtype=np.intp), arguments[:, 0], arguments[:, 1]

    @cached_property
    def _student(self) -> tuple[NDArray[np.intp], Floats]:
        where = [j for j, p in enumerate(self.priors) if p.distribution == "student_t"]
        arguments = np.array([self.priors[j].arguments for j in where]).reshape(-1, 3)
        return np.array(where, dtype=np.intp), arguments

    @property
    def only_normal(self) -> bool:
        """Whether the globals' priors are all normal."""
        return not self._student[0].size and self.cuts is None

    @property
    def concave(self) -> bool:
        """Whether the log density is concave in the globals and effects."""
        return self.family not in NOT_CONCAVE and self.kind != INFLATED

    def values(self, h: Floats) -> Floats:
        """Turn hyperparameters into the quantities that have the priors, dims (..., hyper)."""
        if not self.hypers:
            return h
        return np.stack(
            [hyper_value(one.prior, h[..., j]) for j, one in enumerate(self.hypers)], axis=-1
        )

    def inner_spread(self, h: Floats) -> Floats:
        """Return the spread of the effects that are integrated out; 1 where there are none."""
        if self.inner_sd < 0:
            return np.ones(h.shape[:-1])
        return np.asarray(self.values(h)[..., self.inner_sd])

    def family_values(self, h: Floats) -> tuple[Floats, Floats]:
        """Return the family's parameter and what the kernels want beside it."""
        values = self.values(h)
        ones = np.ones(h.shape[:-1])
        by_name = {one.name: one for one in self.listed}
        natural = []
        for j in self.dispersions:
            transform = by_name[self.hypers[j].name].transform
            assert transform is not None
            # Beyond this a count's family is its limit without extra spread, to every digit.
            natural.append(np.clip(transform.natural(values[..., j]), 1e-12, 1e15))
        if not natural:
            return ones, 0.0 * ones
        if len(natural) > 1:
            return natural[0], natural[1]
        return natural[0], np.log(natural[0])

    def precision(self, h: Floats) -> tuple[Floats, Floats]:
        """Return the normal priors' precision matrix of the globals, and its linear term.

        Parameters
        ----------
        h : array, dims (draw, hyper)

        Returns
        -------
        array, dims (draw, number)
            As `arrow` stores it.
        array, dims (global,)
        """
        matrix = np.zeros((h.shape[0], self.arrow.stored))
        linear = np.zeros(self.size)
        diagonal = self.arrow.diagonal
        where, mean, sd = self._normal
        matrix[:, diagonal[where]] = 1.0 / sd**2
        linear[where] = mean / sd**2
        values = self.values(h)
        for block in self.blocks:
            scale = np.maximum(values[:, block.hyper], 1e-150)[:, None] ** -2.0
            matrix[:, diagonal[block.span]] += scale
            if block.walk:
                # Each step but the first starts at the one before it.
                before, after = block.span[:-1], block.span[1:]
                matrix[:, diagonal[before]] += scale
                matrix[:, self.arrow.pairs(before, after)] -= scale
                matrix[:, self.arrow.pairs(after, before)] -= scale
        return matrix, linear

    def log_prior(self, h: Floats, beta: Floats) -> Floats:
        """Return the log prior density of hyperparameters and globals, dims (draw,)."""
        result = self.hyper_prior(h)
        where, mean, sd = self._normal
        z = (beta[:, where] - mean) / sd
        result = result - 0.5 * (z**2).sum(axis=1) - np.log(sd).sum()
        result = result - 0.5 * _LOG_TWO_PI * where.size
        student, arguments = self._student
        if student.size:
            result = result + student_t_terms(beta[:, student], *arguments.T)[0].sum(axis=1)
        values = self.values(h)
        for block in self.blocks:
            part = beta[:, block.start : block.start + block.size]
            if block.walk:
                part = np.diff(part, axis=1, prepend=0.0)
            sd_here = np.maximum(values[:, block.hyper], 1e-150)
            squares = ((part / sd_here[:, None]) ** 2).sum(axis=1)
            result = result - 0.5 * squares - block.size * (np.log(sd_here) + 0.5 * _LOG_TWO_PI)
        if self.cuts is not None:
            result = result + self.cuts.log_density(beta)
        return np.asarray(result)

    def hyper_prior(self, h: Floats) -> Floats:
        """Return the log prior density of hyperparameters on their unconstrained scale."""
        result = np.zeros(h.shape[:-1])
        for j, one in enumerate(self.hypers):
            result = result + hyper_log_prior(one.prior, h[..., j])
        return np.asarray(result)

    def other_priors(self, beta: Floats) -> tuple[Floats, Floats]:
        """Return the derivative and the bend of what of the globals alone is not normal.

        Parameters
        ----------
        beta : array, dims (global,)

        Returns
        -------
        array, dims (global,)
        array, dims (number,)
            Minus the second derivatives, as `arrow` stores them, none of them concave upwards.
        """
        slope, bend = np.zeros(self.size), np.zeros(self.arrow.stored)
        where, arguments = self._student
        if where.size:
            _, slope[where], its = student_t_terms(beta[where], *arguments.T)
            bend[self.arrow.diagonal[where]] = np.maximum(its, 0.0)
        if self.cuts is not None and self.cuts.between.size:
            push, its = self.cuts.bend(beta)
            low = np.arange(self.cuts.first, self.cuts.first + push.size)
            high = low + 1
            slope[high] += push
            slope[low] -= push
            bend[self.arrow.diagonal[high]] += its
            bend[self.arrow.diagonal[low]] += its
            bend[self.arrow.pairs(low, high)] -= its
            bend[self.arrow.pairs(high, low)] -= its
        return slope, bend

    def constant(self, d: Floats, c: Floats) -> Floats:
        """Return the terms of the log likelihood that only the family's parameters enter."""
        from scipy.special import gammaln

        n = self.gathered.rows.y.size
        distinct, times = self.gathered.distinct, self.gathered.times
        if self.family == FamilyCode.NEGATIVE_BINOMIAL:
            return np.asarray(
                (times * (_rising(d[..., None], distinct, over_power=True))).sum(axis=-1)
            )
        if self.family == FamilyCode.BETA_BINOMIAL:
            return np.asarray(-(times * _rising(d[..., None], distinct)).sum(axis=-1))
        if self.family == FamilyCode.GAMMA:
            return np.asarray(n * (d * np.log(d) - d - gammaln(d)))
        if self.family == FamilyCode.BETA:
            return np.asarray(n * gammaln(d))
        if self.family in (FamilyCode.NORMAL, FamilyCode.NORMAL_LOG_LINK):
            return np.asarray(-n * (np.log(d) + 0.5 * _LOG_TWO_PI))
        if self.family == FamilyCode.STUDENT_T:
            gammas = gammaln(0.5 * (c + 1.0)) - gammaln(0.5 * c)
            return np.asarray(n * (gammas - 0.5 * np.log(c * math.pi) - np.log(d)))
        return np.zeros(d.shape)


def _rising(a: Floats, n: Floats, *, over_power: bool = False) -> Floats:
    """Return log(Gamma(a + n) / Gamma(a)), or that less n log a, precise also for a huge a."""
    from scipy.special import gammaln

    power = n * np.log(a)
    plain = gammaln(a + n) - gammaln(a)
    # Stirling's series to the order that is exact where a >= 1e5.
    far = (a + n - 0.5) * np.log1p(n / a) - n + (1.0 / (a + n) - 1.0 / a) / 12.0
    over = np.where(a < 1e5, plain - power, far)
    return np.asarray(over if over_power else over + power)
