"""The mode of the hyperparameters, from dispersed starts, and the curvature there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.marginal import Marginal, Peak
from dotwin.inference.nuts.constants import is_positive, prior_code, prior_middle

__all__ = ["Mode", "find_mode", "starts_of"]

Floats = NDArray[np.float64]

#: Where searches start, in logarithms from the priors' middles and what is typical.
_LOW, _HIGH = -2.5, 1.0
#: Step of differences that give a gradient.
_STEP = 0.01
#: Hyperparameters are looked for within this distance of the priors' middles.
_REACH = 14.0
#: Steps of a climb, and how far each may go.
_CLIMB, _LONGEST = 60, 1.5
#: How often a start that is too far out is moved.
_NEARER = 3
#: Squared step per slope at most, before anything is known of the curvature.
_FRESH = 0.25
#: A climb ends where a full step is expected to gain less than half of this.
_FLAT = 2e-3
#: A step that gains less than this share of what was expected zigzags.
_SLOW = 0.05
#: Newton steps at the top; it is a mode where the gradient times the spread is below this.
_POLISH, _FOUND = 4, 0.1
#: An end that is higher by more than this is a better mode.
_HIGHER = 0.1
#: Modes that are this much lower hold no mass that matters.
_NEGLIGIBLE = 12.0
#: Modes that differ by less than this many sds are one.
_SAME = 0.3
#: Step of the differences that a first curvature is taken from.
_FIRST_STEP = 0.15
#: Spreads that differences find are held between these.
_NARROWEST, _WIDEST = 1e-4, 4.0


@dataclass(frozen=True, eq=False)
class Mode:
    """The posterior's mode in the hyperparameters.

    Parameters
    ----------
    peak : Peak
    covariance : array, dims (hyper, hyper)
    agree : bool
        Whether all starts led here.
    found : bool
        Whether the gradient vanishes and the curvature is definite.
    """

    peak: Peak
    covariance: Floats
    agree: bool
    found: bool


def starts_of(marginal: Marginal) -> list[Floats]:
    """Choose where searches start: between, low and high, and against each other.

    Low and high are so for the prior and for data as they often are: a prior that the data
    contradict may leave a mode of its own.
    """
    hypers = marginal.problem.hypers
    middle = np.array([prior_middle(one.prior) for one in hypers])
    if not middle.size:
        return [middle]
    typical = np.array([math.log(one.typical) for one in hypers])
    bounded = [not is_positive(prior_code(one.prior)) for one in hypers]
    typical = np.where(bounded, middle, typical)
    low = np.minimum(middle, typical) + _LOW
    high = np.maximum(middle, typical) + _HIGH
    first = np.arange(middle.size) % 2 == 0
    starts = [middle, low, high]
    if middle.size > 1:
        starts += [np.where(first, low, high), np.where(first, high, low)]
    return starts


def find_mode(marginal: Marginal, starts: list[Floats] | None = None) -> Mode:
    """Find the mode, and say whether dispersed starts agree on it.

    Parameters
    ----------
    marginal : Marginal
    starts : list of array, dims (hyper,), optional

    Returns
    -------
    Mode
    """
    chosen = starts_of(marginal) if starts is None else starts
    first = _top(marginal, _climb(marginal, chosen[0], None))
    if not first.found:
        return first
    ends: list[Peak] = []
    for start in chosen[1:]:
        ends.append(_climb(marginal, start, first))
        if not ends[-1].found:
            return Mode(first.peak, first.covariance, False, True)
    best = max([first.peak, *ends], key=lambda peak: peak.log_density)
    top = first
    if best.log_density > first.peak.log_density + _HIGHER:
        top = _top(marginal, best)
    sds = np.sqrt(np.diag(top.covariance))
    agree = all(_agrees(end, top.peak, sds) for end in [first.peak, *ends])
    if top.found and not marginal.problem.concave:
        agree = agree and _one_mode(marginal, top.peak)
    return Mode(top.peak, top.covariance, agree, top.found)


def _top(marginal: Marginal, best: Peak) -> Mode:
    """Take a last Newton step, and say what the curvature is."""
    size = best.h.size
    if not math.isfinite(best.log_density):
        return Mode(best, np.eye(size), True, False)
    covariance, definite = _curvature(marginal, best)
    if not size:
        return Mode(best, covariance, True, True)
    found = False
    for _ in range(_POLISH):
        sds = np.sqrt(np.diag(covariance))
        gradient, _ = _slope(marginal, best, np.minimum(_STEP, 0.3 * sds))
        found = definite and bool((np.abs(gradient) * sds < _FOUND).all())
        if found or not definite:
            break
        nearer = marginal.peak(best.h + np.clip(covariance @ gradient, -1.0, 1.0), best)
        if not nearer.log_density > best.log_density:
            break
        best = nearer
        covariance, definite = _curvature(marginal, best)
    return Mode(best, covariance, True, found)


def _agrees(end: Peak, best: Peak, sds: Floats) -> bool:
    if end.log_density < best.log_density - _NEGLIGIBLE:
        return True
    return bool((np.abs(end.h - best.h) < _SAME * sds).all())


def _one_mode(marginal: Marginal, best: Peak) -> bool:
    """Whether searches for the globals from either side of their mode come back to it."""
    problem = marginal.problem
    matrix, _ = problem.precision(best.h[None])
    sds = 1.0 / np.sqrt((best.matrix + matrix[0])[problem.arrow.diagonal])
    for sign in (-3.0, 3.0):
        moved = Peak(
            best.h,
            best.beta + sign * sds * np.where(np.arange(sds.size) % 2 == 0, 1.0, -1.0),
            -math.inf,
            best.matrix,
            best.linear,
            np.zeros_like(best.modes),
            False,
        )
        back = marginal.peak(best.h, moved)
        if not back.found or back.log_density < best.log_density - _NEGLIGIBLE:
            continue
        if (np.abs(back.beta - best.beta) > _SAME * sds).any():
            return False
    return True


def _climb(marginal: Marginal, start: Floats, goal: Mode | None) -> Peak:
    """Climb from a start by quasi-Newton steps, until the top or the goal is reached.

    The goal is reached where a climber stands within a spread of it and nearly as high: from there
    no way leads elsewhere.
    """
    here = marginal.peak(start, None)
    for _ in range(_NEARER):
        if here.found or goal is None:
            break
        # Too far out for a mode of the globals: begin half as far away, and from their known one.
        start = 0.5 * (start + goal.peak.h)
        here = marginal.peak(start, goal.peak)
    if not start.size or not here.found:
        return here
    steps = _steps(goal)
    middle = np.array([prior_middle(one.prior) for one in marginal.problem.hypers])
    slope, bends = _slope(marginal, here, steps)
    # What to begin with where nothing is known of the curvature: that along each axis, and that of
    # a known mode where it leads nowhere.
    known = [] if goal is None else [goal.covariance]
    inverse, is_fresh, tried = _fresh(bends), True, 0
    for _ in range(_CLIMB):
        if goal is not None and _reaches(here, goal):
            return goal.peak
        direction = np.clip(inverse @ slope, -_LONGEST, _LONGEST)
        rise = float(slope @ direction)
        there = _further(marginal, here, direction, rise, middle) if rise > _FLAT else None
        if there is None:
            # Curvature from far away misleads: look once more without it before giving up.
            if not is_fresh:
                inverse, is_fresh, tried = _fresh(bends), True, 0
            elif tried < len(known):
                inverse, tried = known[tried], tried + 1
            else:
                break
            continue
        after, bends = _slope(marginal, there, steps)
        moved, turned = there.h - here.h, slope - after
        gain = there.log_density - here.log_density
        here, slope = there, after
        if known and gain < _SLOW * rise:
            inverse, is_fresh, tried = known[0], True, len(known)
            continue
        if moved @ turned > 1e-10:
            rho = 1.0 / float(moved @ turned)
            left = np.eye(start.size) - rho * np.outer(moved, turned)
            inverse = left @ inverse @ left.T + rho * np.outer(moved, moved)
            is_fresh = False
    return here


def _further(
    marginal: Marginal, here: Peak, direction: Floats, rise: float, middle: Floats
) -> Peak | None:
    """Go as far in a direction as pays, or return None."""
    size = 1.0
    while size > 1e-4:
        h = here.h + size * direction
        if (np.abs(h - middle) <= _REACH).all():
            there = marginal.peak(h, here)
            if there.log_density > here.log_density + 0.05 * size * rise:
                return there
        size *= 0.4
    return None


def _steps(goal: Mode | None) -> Floats | float:
    if goal is None:
        return _STEP
    return np.minimum(_STEP, 0.3 * np.sqrt(np.diag(goal.covariance)))


def _reaches(here: Peak, goal: Mode) -> bool:
    away = here.h - goal.peak.h
    distance = float(away @ np.linalg.solve(goal.covariance, away))
    return distance < 1.0 and here.log_density > goal.peak.log_density - 1.0


def _slope(marginal: Marginal, peak: Peak, steps: Floats | float) -> tuple[Floats, Floats]:
    """Return the gradient, and minus the second derivative along each axis."""
    size = np.broadcast_to(steps, peak.h.shape)
    up, down = (
        np.array([marginal.peak(peak.h + s, peak).log_density for s in sign * np.diag(size)])
        for sign in (1.0, -1.0)
    )
    here = peak.log_density
    with np.errstate(invalid="ignore"):
        slope, bends = (up - down) / (2.0 * size), (2.0 * here - up - down) / size**2
    return tuple(np.nan_to_num(x, posinf=0.0, neginf=0.0) for x in (slope, bends))


def _fresh(bends: Floats) -> Floats:
    """Return a first guess of the inverse curvature: spreads may differ a hundredfold."""
    return np.diag(1.0 / np.maximum(bends, 1.0 / _FRESH))


def _curvature(marginal: Marginal, peak: Peak) -> tuple[Floats, bool]:
    """Return the covariance of a normal with the curvature here, and whether that is definite."""
    size = peak.h.size
    if not size:
        return np.zeros((0, 0)), True

    def at(step: Floats) -> float:
        return marginal.peak(peak.h + step, peak).log_density

    here = peak.log_density
    steps = np.full(size, _FIRST_STEP)
    for _ in range(2):
        scale = steps
        bends = np.array([(2.0 * here - at(s) - at(-s)) for s in np.diag(scale)]) / scale**2
        sds = np.where(bends > 0, 1.0 / np.sqrt(np.maximum(bends, 1e-300)), _WIDEST)
        steps = 0.7 * np.clip(sds, _NARROWEST, _WIDEST)
    matrix = np.diag(bends)
    for i in range(size):
        for j in range(i):
            a, b = np.zeros(size), np.zeros(size)
            a[i], b[j] = scale[i], scale[j]
            mixed = at(a + b) - at(a - b) - at(b - a) + at(-a - b)
            matrix[i, j] = matrix[j, i] = -mixed / (4.0 * scale[i] * scale[j])
    if not np.isfinite(matrix).all():
        return np.eye(size), False
    values, vectors = np.linalg.eigh(matrix)
    held = np.clip(values, _WIDEST**-2.0, _NARROWEST**-2.0)
    return (vectors / held) @ vectors.T, bool((values > 0).all())
