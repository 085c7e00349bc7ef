"""The effect of each unit, integrated out of the density of new rows given its old ones.

For a unit with effect v, old rows D and new rows N, and all other parameters held,

    p(N | D) = ∫ p(N | v) p(D | v) p(v) dv / ∫ p(D | v) p(v) dv.

Both integrals are taken at the same Gauss-Hermite nodes, around the mode of the numerator at its
curvature (Liu and Pierce 1994, doi 10.1093/biomet/81.3.624). The log of its integrand over that of
a normal is the polynomial through its values at the nodes, from which the effect is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.changes import rows_of
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.response import row_extra, row_predictor

__all__ = ["UnitDensity", "UnitIntegrals", "UnitRows", "integrals", "unit_rows"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_HALF_LOG_TWO_PI = 0.5 * np.log(2.0 * np.pi)
#: A unit with old rows starts near its mode; one without starts from nothing.
STEPS_KNOWN, STEPS_NEW = 1, 8
#: Of a Newton step's finite differences, in sds of the integrand.
DIFFERENCE = 0.2
#: An integrand is drawn from between so many of its sds, at so many points.
REACH, POINTS = 6.0, 97


@dataclass(frozen=True, eq=False)
class UnitRows:
    """The units that have new rows, with all their rows.

    Parameters
    ----------
    old, new : Design
        Their earlier rows and their new ones, each sorted by unit.
    old_unit, new_unit : int array, dims (row,)
        Positions among these units.
    group : int array, dims (unit,)
        Positions among the groups of the unit's level.
    level : str
        The unit's level.
    """

    old: Design
    new: Design
    old_unit: Indices
    new_unit: Indices
    group: Indices
    level: str

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which units have old rows."""
        found = np.zeros(self.group.size, dtype=bool)
        found[self.old_unit] = True
        return found


def unit_rows(design: Design, earlier: Indices, added: Indices, level: str) -> UnitRows:
    """Gather the rows of the units that have new ones.

    Parameters
    ----------
    design : Design
    earlier, added : int array
        Positions of its rows.
    level : str
        The unit's level, by which the mechanism is pooled.
    """
    codes = design.main.groups[level]
    touched = np.unique(codes[added])
    place = np.full(len(design.group_names[level]), -1, dtype=np.intp)
    place[touched] = np.arange(touched.size)
    earlier = earlier[place[codes[earlier]] >= 0]
    earlier = earlier[np.argsort(place[codes[earlier]], kind="stable")]
    added = added[np.argsort(place[codes[added]], kind="stable")]
    return UnitRows(
        old=rows_of(design, earlier),
        new=rows_of(design, added),
        old_unit=place[codes[earlier]],
        new_unit=place[codes[added]],
        group=touched,
        level=level,
    )


@dataclass(frozen=True, eq=False)
class UnitIntegrals:
    """The integrands of all units that have new rows, at their nodes.

    Parameters
    ----------
    centre, scale : array, dims (draw, unit)
        Mode of the integrand of old and new rows, and its spread there.
    nodes, weights : array, dims (node,)
    old, new : array, dims (draw, unit, node)
        Log densities of a unit's old rows, and of its new ones, at the nodes.
    sd : array, dims (draw,)
        Spread of the effects.
    known : bool array, dims (unit,)
    """

    centre: Floats
    scale: Floats
    nodes: Floats
    weights: Floats
    old: Floats
    new: Floats
    sd: Floats
    known: NDArray[np.bool_]

    @property
    def _effects(self) -> Floats:
        return self.centre[..., None] + self.scale[..., None] * self.nodes

    def _integral(self, log_density: Floats) -> Floats:
        """Return the log integral of a density times that of the effects, dims (draw, unit)."""
        inside = log_density - 0.5 * (self._effects / self.sd[:, None, None]) ** 2
        terms = inside + 0.5 * self.nodes**2 + np.log(self.weights)
        top = terms.max(axis=2)
        total = top + np.log(np.exp(terms - top[..., None]).sum(axis=2))
        return np.asarray(total + np.log(self.scale) - np.log(self.sd)[:, None] - _HALF_LOG_TWO_PI)

    def gain(self) -> Floats:
        """Return the log density of the new rows given the old ones, dims (draw,)."""
        both = self._integral(self.old + self.new)
        before = np.where(self.known, self._integral(self.old), 0.0)
        return np.asarray((both - before).sum(axis=1))

    def draw(self, noise: Floats) -> Floats:
        """Draw each unit's effect given old and new rows.

        Parameters
        ----------
        noise : array in (0, 1), dims (draw, unit, copy)

        Returns
        -------
        array, dims (draw, unit, copy)
        """
        inside = self.old + self.new - 0.5 * (self._effects / self.sd[:, None, None]) ** 2
        ratio = inside + 0.5 * self.nodes**2
        ratio = ratio - ratio[..., self.nodes.size // 2, None]
        points = np.linspace(-REACH, REACH, POINTS)
        logs = ratio @ _through(self.nodes, points).T - 0.5 * points**2
        density = np.exp(logs - logs.max(axis=2, keepdims=True))
        total = np.zeros(density.shape)
        np.cumsum(0.5 * (density[..., 1:] + density[..., :-1]), axis=2, out=total[..., 1:])
        total /= total[..., -1:]
        result = np.empty(noise.shape)
        for copy in range(noise.shape[2]):
            wanted = noise[..., copy, None]
            above = np.clip((total < wanted).sum(axis=2), 1, POINTS - 1)[..., None]
            high = np.take_along_axis(total, above, 2)
            low = np.take_along_axis(total, above - 1, 2)
            share = (wanted - low) / np.maximum(high - low, 1e-300)
            z = points[above - 1] + share * (points[1] - points[0])
            result[..., copy] = self.centre + self.scale * z[..., 0]
        return result


def _through(nodes: Floats, points: Floats) -> Floats:
    """Return the weights of a polynomial's values at nodes in its values at points.

    Beyond the outer nodes the polynomial is not known; its value there is that of the outer node.
    """
    inside = np.clip(points, nodes[0], nodes[-1])
    away = inside[:, None, None] - nodes[None, None, :]
    apart = nodes[:, None] - nodes[None, :]
    keep = ~np.eye(nodes.size, dtype=bool)
    parts = np.where(keep, away / np.where(keep, apart, 1.0), 1.0)
    return np.asarray(parts.prod(axis=2))


def nodes_and_weights(count: int) -> tuple[Floats, Floats]:
    """Return Gauss-Hermite nodes and weights for a standard normal's exponent."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return np.asarray(nodes, dtype=float), np.asarray(weights, dtype=float)


@dataclass(frozen=True, eq=False)
class UnitDensity:
    """Log densities of the rows of each unit as a function of its effect, for some draws.

    Parameters
    ----------
    rows : UnitRows
    parameters : dict of str to array
        By posterior name, the draw first; the effects of the units are 0.
    """

    rows: UnitRows
    parameters: Mapping[str, Floats]

    @cached_property
    def old_eta(self) -> Floats:
        """The linear predictor of the earlier rows without their unit's effect, (draw, row)."""
        return row_predictor(self.rows.old.equation.main, self.rows.old, self.parameters)

    @cached_property
    def _new_eta(self) -> Floats:
        return row_predictor(self.rows.new.equation.main, self.rows.new, self.parameters)

    def _sums(self, design: Design, eta: Floats, index: Indices, effects: Floats) -> Floats:
        """Sum log densities by unit at effects of dims (draw, unit, node)."""
        units = self.rows.group.size
        if not design.rows:
            return np.zeros(effects.shape)
        extra = row_extra(design, self.parameters)
        starts = np.flatnonzero(np.diff(index, prepend=-1))
        there = index[starts]
        result = np.zeros((eta.shape[0], units, effects.shape[2]))
        for k in range(effects.shape[2]):
            logs = design.equation.family.logp(
                design.y, eta + effects[:, index, k], extra, design.trials
            )
            result[:, there, k] = np.add.reduceat(logs, starts, axis=1)
        return result

    def old(self, effects: Floats) -> Floats:
        """Return log densities of the earlier rows at effects of dims (draw, unit, node)."""
        return self._sums(self.rows.old, self.old_eta, self.rows.old_unit, effects)

    def new(self, effects: Floats) -> Floats:
        """Return log densities of the new rows at effects of dims (draw, unit, node)."""
        return self._sums(self.rows.new, self._new_eta, self.rows.new_unit, effects)


def integrals(
    density: UnitDensity, start: Floats, spread: Floats, sd: Floats, count: int
) -> UnitIntegrals:
    """Climb to each integrand's mode and evaluate it at the nodes around it.

    Parameters
    ----------
    density : UnitDensity
    start, spread : array, dims (draw, unit)
        A guess of the mode and of the spread around it.
    sd : array, dims (draw,)
        Of the effects.
    count : int
        Of nodes.
    """
    known = density.rows.known
    at, scale = start, np.broadcast_to(spread, start.shape)
    if not known.all():
        # They have new rows only, and start from nothing.
        far, wide = _climb(density.new, at, scale, sd, STEPS_NEW)
        at, scale = np.where(known, at, far), np.where(known, scale, wide)

    def both(effects: Floats) -> Floats:
        return density.old(effects) + density.new(effects)

    at, scale = _climb(both, at, scale, sd, STEPS_KNOWN)
    nodes, weights = nodes_and_weights(count)
    effects = at[..., None] + scale[..., None] * nodes
    return UnitIntegrals(
        at, scale, nodes, weights, density.old(effects), density.new(effects), sd, known
    )


def _climb(
    density: Callable[[Floats], Floats], at: Floats, scale: Floats, sd: Floats, steps: int
) -> tuple[Floats, Floats]:
    """Take Newton steps towards the mode of each integrand; return it and the spread around it."""
    prior = 1.0 / sd[:, None] ** 2
    for _ in range(steps):
        step = DIFFERENCE * scale
        effects = at[..., None] + step[..., None] * np.array([-1.0, 0.0, 1.0])
        values = density(effects) - 0.5 * effects**2 * prior[..., None]
        below, here, above = (values[..., k] for k in range(3))
        slope = (above - below) / (2.0 * step)
        # Heavy tails bend the wrong way far out; the prior's own bend is the least there is.
        bend = np.maximum((2.0 * here - above - below) / step**2, 0.5 * prior)
        scale = 1.0 / np.sqrt(bend)
        at = at + np.clip(slope / bend, -3.0 * scale, 3.0 * scale)
    return at, scale
