"""The effect of each unit, integrated out of the density of new rows given its old ones.

For a unit with effect v, old rows D and new rows N, and all other parameters held,

    p(N | D) = ∫ p(N | v) p(D | v) p(v) dv / ∫ p(D | v) p(v) dv.

Both integrals are taken at the same Gauss-Hermite nodes, around the mode of the numerator at its
curvature (Liu and Pierce 1994, doi 10.1093/biomet/81.3.624). The log of its integrand over that of
a normal is the polynomial through its values at the nodes, from which the effect is drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.changes import rows_of
from dotwin.inference.deterministic.nodes import lagrange
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.response import row_extra, row_predictor

if TYPE_CHECKING:
    from dotwin.inference.nuts.parts import ResponseParts
    from dotwin.inference.unit_curves import CurveDensity

__all__ = ["UnitDensity", "UnitIntegrals", "UnitRows", "compiled", "integrals", "unit_rows"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_HALF_LOG_TWO_PI = 0.5 * np.log(2.0 * np.pi)
#: Newton steps to the mode of a unit without old rows, which starts from nothing.
STEPS_NEW = 8
#: Of a Newton step's finite differences, in sds of the integrand.
DIFFERENCE = 0.2
#: An integrand is drawn from between so many of its sds, at so many points.
REACH, POINTS = 6.0, 41


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

    @cached_property
    def is_compiled(self) -> bool:
        """Whether a compiled kernel knows the earlier rows' densities."""
        one = self.old.equation.indicator
        counts = self.old.equation.family.support.integer
        zeros = one.zeros.kind if one.zeros else ""
        return self.old.lower is None and (not zeros or (zeros == "hurdle" and not counts))

    @cached_property
    def arrays(self) -> tuple[Indices, Indices, ResponseParts]:
        """Which earlier rows speak of the mean, where each unit's begin, and their outcomes."""
        from dotwin.inference.nuts.rows import main_rows, response_parts

        kept = main_rows(self.old)
        starts = np.searchsorted(self.old_unit[kept], np.arange(self.group.size + 1))
        return kept, starts.astype(np.intp), response_parts(self.old, {}, [])[0]


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
    old, new : array, dims (node, draw, unit)
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

    @cached_property
    def _ratio(self) -> Floats:
        """The log density of the effects over that of the nodes' normal, up to a constant."""
        prior = -0.5 * (self._effects / self.sd[:, None]) ** 2
        return np.asarray(prior + 0.5 * self.nodes[:, None, None] ** 2)

    @property
    def _effects(self) -> Floats:
        return self.centre + self.scale * self.nodes[:, None, None]

    def _integral(self, log_density: Floats) -> Floats:
        """Return the log integral of a density times that of the effects, dims (draw, unit)."""
        terms = log_density + self._ratio + np.log(self.weights)[:, None, None]
        top = terms.max(axis=0)
        terms -= top
        total = top + np.log(np.exp(terms, out=terms).sum(axis=0))
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
        noise : array in (0, 1), dims (copy, draw, unit)

        Returns
        -------
        array, dims (copy, draw, unit)
        """
        points = np.linspace(-REACH, REACH, POINTS)
        result = np.empty(noise.shape)
        ratio = self.old + self.new + self._ratio
        compiled("draw")(ratio, _through(self.nodes, points), points, noise, result)
        result *= self.scale
        result += self.centre
        return result


@cache
def compiled(what: str) -> Callable[..., None]:
    """Return a kernel, compiled once per machine; numba is slow to import."""
    from dotwin.inference import curve_kernels, nuts, unit_kernels

    own = [Path(str(module.__file__)) for module in (curve_kernels, unit_kernels)]
    digest = hashlib.sha256()
    for source in [*own, *sorted(Path(nuts.__file__).parent.glob("*.py"))]:
        digest.update(source.read_bytes())
    build = {
        "curves": curve_kernels.build_curves,
        "draw": unit_kernels.build_draw,
        "sums": unit_kernels.build_sums,
    }[what]
    kernel: Callable[..., None] = build(int.from_bytes(digest.digest()[:4]))
    return kernel


def _through(nodes: Floats, points: Floats) -> Floats:
    """Return the weights of a polynomial's values at nodes in its values at points.

    Beyond the outer nodes, where nothing holds the polynomial, its tangent there goes on.
    """
    inside = np.clip(points, nodes[0], nodes[-1])
    beyond = (points - inside)[:, None]
    step = 1e-4
    inwards = inside - step * np.sign(inside)
    at, near = lagrange(nodes, inside), lagrange(nodes, inwards)
    slope = (at - near) / (step * np.sign(inside) + (inside == 0.0))[:, None]
    return np.asarray(at + beyond * slope)


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
        """Sum log densities by unit at effects of dims (node, draw, unit)."""
        if not design.rows:
            return np.zeros(effects.shape)
        extra = row_extra(design, self.parameters)
        starts = np.flatnonzero(np.diff(index, prepend=-1))
        there = index[starts]
        result = np.zeros(effects.shape)
        for at, into in zip(effects, result, strict=True):
            logs = design.equation.family.logp(design.y, eta + at[:, index], extra, design.trials)
            into[:, there] = np.add.reduceat(logs, starts, axis=1)
        return result

    def old(self, effects: Floats) -> Floats:
        """Return log densities of the earlier rows at effects of dims (node, draw, unit).

        They hold up to a constant for each draw and unit.
        """
        if not self.rows.is_compiled:
            return self.whole(effects)
        kept, starts, part = self.rows.arrays
        eq = self.rows.old.equation
        draws = effects.shape[1]
        own = [self.parameters[f"{eq.child}.{one.name}"] for one in eq.family.dispersion]
        cutpoints = self.parameters.get(f"{eq.child}.cutpoints", np.zeros((draws, 0)))
        result = np.empty(effects.shape)
        compiled("sums")(
            part.family,
            np.ascontiguousarray(self.old_eta[:, kept]),
            starts,
            part.y,
            part.log_y,
            part.log_rest,
            part.trials,
            np.stack(own, axis=1) if own else np.zeros((draws, 1)),
            np.ascontiguousarray(cutpoints),
            np.ascontiguousarray(effects),
            result,
        )
        return result

    def whole(self, effects: Floats) -> Floats:
        """Return what `old` does with every constant in it, more slowly."""
        return self._sums(self.rows.old, self.old_eta, self.rows.old_unit, effects)

    def new(self, effects: Floats) -> Floats:
        """Return log densities of the new rows at effects of dims (node, draw, unit)."""
        return self._sums(self.rows.new, self._new_eta, self.rows.new_unit, effects)

    def fresh(self, effects: Floats) -> Floats:
        """Return what `new` does for units without earlier rows, and 0 for all others."""
        which = np.flatnonzero(~self.rows.known[self.rows.new_unit])
        rows = rows_of(self.rows.new, which)
        eta = row_predictor(rows.equation.main, rows, self.parameters)
        return self._sums(rows, eta, self.rows.new_unit[which], effects)


def integrals(
    density: UnitDensity | CurveDensity,
    start: Floats,
    spread: Floats,
    sd: Floats,
    count: int,
    steps: int,
) -> UnitIntegrals:
    """Evaluate each unit's integrand at nodes around its mode.

    Parameters
    ----------
    density : UnitDensity or CurveDensity
    start, spread : array, dims (draw, unit)
        A guess of the mode and of the spread around it.
    sd : array, dims (draw,)
        Of the effects.
    count : int
        Of nodes.
    steps : int
        Newton steps from the guess to the mode.
    """
    known = density.rows.known
    at, scale = start, np.broadcast_to(spread, start.shape)
    if not known.all():
        # They have new rows only, and start from nothing.
        far, wide = _climb(density.fresh, at, scale, sd, STEPS_NEW)
        at, scale = np.where(known, at, far), np.where(known, scale, wide)

    def both(effects: Floats) -> Floats:
        return density.old(effects) + density.new(effects)

    at, scale = _climb(both, at, scale, sd, steps)
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    effects = at + scale * nodes[:, None, None]
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
        effects = at + step * np.array([-1.0, 0.0, 1.0])[:, None, None]
        below, here, above = density(effects) - 0.5 * effects**2 * prior
        slope = (above - below) / (2.0 * step)
        # Heavy tails bend the wrong way far out; the prior's own bend is the least there is.
        bend = np.maximum((2.0 * here - above - below) / step**2, 0.5 * prior)
        scale = 1.0 / np.sqrt(bend)
        at = at + np.clip(slope / bend, -3.0 * scale, 3.0 * scale)
    return at, scale
