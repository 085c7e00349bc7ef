"""No-U-turn steps of parameters and unknown values, with adaptation, compiled.

The sampler of Hoffman and Gelman (2014, JMLR 15:1593-1623) with multinomial choice along the
trajectory (Betancourt 2017, arXiv 1701.02434). Trees are grown without recursion: of the left
halves only the momenta that a U-turn is checked against are kept (Phan, Pradhan and Jankowiak
2019, arXiv 1912.11554). Step size by dual averaging, diagonal metric by windows.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.joint.density_kernels import Block, block_density

__all__ = ["Adaptation", "build_transition", "new_adaptation", "phases"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: A trajectory has at most 2**10 - 1 points.
_DEEPEST = 10
#: A trajectory whose energy rises by more than this has diverged.
_DIVERGED = 1000.0
#: Dual averaging as in Hoffman and Gelman (2014): shrinkage, steadiness, and how fast it forgets.
_GAMMA, _STEADY, _KAPPA = 0.05, 10.0, 0.75

#: What adaptation does at a step.
_KEEP, _STEP_SIZE, _WINDOW, _WINDOW_ENDS = 0, 1, 2, 3


class Adaptation(NamedTuple):
    """Step size and metric of a mechanism in one chain.

    Parameters
    ----------
    variance : array, dims (element,)
        The inverse of the diagonal metric.
    mean, squares : array, dims (element,)
        Of the window so far.
    numbers : array, dims (7,)
        Step size, its averaged log, the mean error of acceptance, what the log shrinks to, steps
        of dual averaging, points in the window, whether a first step size has been found.
    """

    variance: Floats
    mean: Floats
    squares: Floats
    numbers: Floats


def new_adaptation(spread: Floats) -> Adaptation:
    """Start adaptation where elements are thought to spread so far, dims (element,)."""
    numbers = np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    return Adaptation(spread**2, np.zeros(spread.size), np.zeros(spread.size), numbers)


def phases(tune: int) -> Integers:
    """Say what adaptation does at each of ``tune`` steps.

    The first 15 % and the last 10 % (at most 75 and 50) tune the step size alone; windows between
    them double from 25 steps, the last one taking in what would not make another.
    """
    found = np.full(tune, _STEP_SIZE, dtype=np.int64)
    first, last = min(75, int(0.15 * tune)), tune - min(50, int(0.1 * tune))
    if last - first < 10:
        return found
    found[first:last] = _WINDOW
    window, end = 25, first
    while end < last:
        end = end + window
        window *= 2
        if end + window > last:
            end = last
        found[end - 1] = _WINDOW_ENDS
    return found


@njit(error_model="numpy")
def _turns(variance: Floats, left: Floats, right: Floats, total: Floats) -> bool:
    """Whether a stretch of a trajectory has begun to return: the ends count half."""
    by_left, by_right = 0.0, 0.0
    for j in range(left.size):
        inner = variance[j] * (total[j] - 0.5 * (left[j] + right[j]))
        by_left += left[j] * inner
        by_right += right[j] * inner
    return by_left <= 0.0 or by_right <= 0.0


@njit(error_model="numpy")
def _log_add(a: float, b: float) -> float:
    high = max(a, b)
    if high == -math.inf:
        return high
    return high + math.log1p(math.exp(-abs(a - b)))


@njit(error_model="numpy")
def _leap(
    point: Floats,
    momentum: Floats,
    gradient: Floats,
    parts: Any,
    block: Block,
    variance: Floats,
    step: float,
) -> float:
    """Move one leapfrog step; return the energy."""
    for j in range(point.size):
        momentum[j] += 0.5 * step * gradient[j]
        point[j] += step * variance[j] * momentum[j]
    value = block_density(point, parts, block, gradient)
    kinetic = 0.0
    for j in range(point.size):
        momentum[j] += 0.5 * step * gradient[j]
        kinetic += momentum[j] * momentum[j] * variance[j]
    return 0.5 * kinetic - value


@njit(error_model="numpy")
def _first_step(
    rng: np.random.Generator,
    point: Floats,
    gradient: Floats,
    parts: Any,
    block: Block,
    variance: Floats,
    value: float,
) -> float:
    """Find a step size at which about half of the energy error is accepted."""
    step, direction = 0.1, 0.0
    for _ in range(50):
        q, g, p = point.copy(), gradient.copy(), np.empty(point.size)
        kinetic = 0.0
        for j in range(p.size):
            p[j] = rng.standard_normal() / math.sqrt(variance[j])
            kinetic += p[j] * p[j] * variance[j]
        energy = _leap(q, p, g, parts, block, variance, step)
        error = energy - (0.5 * kinetic - value)
        way = 1.0 if error < 0.22 else -1.0
        if direction == 0.0:
            direction = way
        elif way != direction:
            break
        step *= 2.0**way
    return step


def build_transition(version: int) -> Any:
    """Compile the step.

    Parameters
    ----------
    version : int
        A number that changes whenever any module of the kernels does.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def transition(
        rng: np.random.Generator,
        point: Floats,
        parts: Any,
        block: Block,
        adaptation: Adaptation,
        phase: int,
        target: float,
        out: Floats,
    ) -> None:
        """Move a point once; ``out`` takes energy, divergence, depth, steps and step size."""
        n = point.size
        variance, numbers = adaptation.variance, adaptation.numbers
        gradient = np.empty(n)
        value = block_density(point, parts, block, gradient) + 0.0 * version
        if numbers[6] == 0.0:
            numbers[0] = _first_step(rng, point, gradient, parts, block, variance, value)
            numbers[3] = math.log(10.0 * numbers[0])
            numbers[6] = 1.0
        step = numbers[0]

        momentum = np.empty(n)
        kinetic = 0.0
        for j in range(n):
            momentum[j] = rng.standard_normal() / math.sqrt(variance[j])
            kinetic += momentum[j] * momentum[j] * variance[j]
        start_energy = 0.5 * kinetic - value

        # Both ends of the trajectory, as (point, momentum, gradient).
        ends = np.empty((2, 3, n))
        for side in range(2):
            ends[side, 0], ends[side, 1], ends[side, 2] = point, momentum, gradient
        total = momentum.copy()
        log_weight, energy = 0.0, start_energy
        kept_momenta, kept_totals = np.empty((_DEEPEST, n)), np.empty((_DEEPEST, n))
        candidate = np.empty(n)
        new_total = np.empty(n)
        depth, steps, diverged = 0, 0, False
        accepted = 0.0
        while depth < _DEEPEST:
            side = 1 if rng.random() < 0.5 else 0
            signed = step if side == 1 else -step
            q, p, g = ends[side, 0], ends[side, 1], ends[side, 2]
            new_weight, new_energy, turned = -math.inf, 0.0, False
            new_total[:] = 0.0
            for leaf in range(2**depth):
                here_energy = _leap(q, p, g, parts, block, variance, signed)
                steps += 1
                error = here_energy - start_energy
                if not error <= _DIVERGED:
                    diverged = True
                    break
                accepted += min(1.0, math.exp(-error))
                new_weight = _log_add(new_weight, -error)
                if math.log(1.0 - rng.random()) < -error - new_weight:
                    candidate[:] = q
                    new_energy = here_energy
                new_total += p
                # Ones among the bits but the last say how many left halves are open.
                most, bits = 0, leaf >> 1
                while bits:
                    most += bits & 1
                    bits >>= 1
                if leaf % 2 == 0:
                    kept_momenta[most] = p
                    kept_totals[most] = new_total
                else:
                    closed, bits = 0, leaf
                    while bits & 1:
                        closed += 1
                        bits >>= 1
                    for k in range(most, most - closed, -1):
                        stretch = new_total - kept_totals[k] + kept_momenta[k]
                        if _turns(variance, kept_momenta[k], p, stretch):
                            turned = True
                            break
                    if turned:
                        break
            if diverged or turned:
                break
            # The farther half is favoured.
            if math.log(1.0 - rng.random()) < new_weight - log_weight:
                point[:] = candidate
                energy = new_energy
            log_weight = _log_add(log_weight, new_weight)
            total += new_total
            depth += 1
            if _turns(variance, ends[0, 1], ends[1, 1], total):
                break

        accept = accepted / max(steps, 1)
        if phase != _KEEP:
            numbers[4] += 1.0
            count = numbers[4]
            rate = 1.0 / (count + _STEADY)
            numbers[2] = (1.0 - rate) * numbers[2] + rate * (target - accept)
            log_step = numbers[3] - math.sqrt(count) / _GAMMA * numbers[2]
            weight = count**-_KAPPA
            numbers[1] = weight * log_step + (1.0 - weight) * numbers[1]
            numbers[0] = math.exp(log_step)
        if phase >= _WINDOW:
            numbers[5] += 1.0
            for j in range(n):
                away = point[j] - adaptation.mean[j]
                adaptation.mean[j] += away / numbers[5]
                adaptation.squares[j] += away * (point[j] - adaptation.mean[j])
        if phase == _WINDOW_ENDS:
            count = numbers[5]
            for j in range(n):
                seen = adaptation.squares[j] / max(count - 1.0, 1.0)
                if seen > 0.0:
                    variance[j] = seen
            adaptation.mean[:] = 0.0
            adaptation.squares[:] = 0.0
            numbers[1], numbers[2], numbers[4], numbers[5] = 0.0, 0.0, 0.0, 0.0
            # The next step begins with a step size for the new metric.
            numbers[6] = 0.0
        out[0], out[1], out[2], out[3], out[4] = (
            energy,
            (1.0 if diverged else 0.0),
            depth,
            steps,
            step,
        )
        # The state is left as the chosen point has it.
        block_density(point, parts, block, gradient)

    return transition
