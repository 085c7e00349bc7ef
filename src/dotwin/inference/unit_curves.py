"""What the rows of a unit say of its effect, as curves that are tabulated once for all draws.

With an effect v, linear predictors η_i and further parameters φ, such as a dispersion, the rows of
a unit say ℓ(v) = Σ log p(y_i | η_i + v, φ). From draw to draw the η_i of a unit's old rows move by
nearly the same: by the average δ of their moves, weighted by the rows' information, since where
that is highest the rows' moves and v trade one for one. So ℓ is a function of v + δ and φ alone,
whatever the draw, and nearly a polynomial in both. A new row's density is one of η + v and φ
anyway. Summing over old rows is left to a few draws, on which curves are checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.changes import rows_of
from dotwin.inference.unit_integrals import UnitDensity, UnitRows, compiled
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.response import row_extra, row_predictor

__all__ = ["Averages", "CurveDensity", "UnitCurves", "averages_of", "curves_of", "information_of"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Places at which a curve is tabulated.
PLACES = 9
#: Values of a further parameter: so many where its logarithm is known to `NARROW`, else the latter.
VALUES, MANY = 5, 11
NARROW = 2.5
#: A curve reaches so much farther on each side than the draws that it is made from.
WIDER = 0.25
#: Parameters whose part in the averages is found at once.
AT_ONCE = 128
#: Step of differences of a row's log density in its linear predictor.
STEP = 1e-3


@dataclass(frozen=True, eq=False)
class Averages:
    """The average linear predictor of each unit's old rows, without the unit's effect.

    It is linear in the parameters, so that it need not be added up over rows for each draw.

    Parameters
    ----------
    base : array, dims (unit,)
        Where all parameters are 0.
    slopes : dict of str to (int array, array)
        By parameter: which of its elements matter, flattened, and how much, dims (element, unit).
    """

    base: Floats
    slopes: Mapping[str, tuple[Indices, Floats]]

    def of(self, values: Mapping[str, Floats]) -> Floats:
        """Return averages at draws of the parameters, dims (draw, unit)."""
        result: Floats = self.base
        for name, (elements, slope) in self.slopes.items():
            flat = values[name].reshape(values[name].shape[0], -1)[:, elements]
            result = result + flat @ slope
        return np.asarray(result)


def information_of(units: UnitRows, values: Mapping[str, Floats], effect: Floats) -> Floats:
    """Return the information of each old row about its linear predictor at the mean of the draws.

    Parameters
    ----------
    units : UnitRows
    values : dict of str to array
        Draws of the parameters; the effects of the units are 0.
    effect : array, dims (unit,)

    Returns
    -------
    array, dims (row,)
        At least a small number, so that every unit has an average.
    """
    design = units.old
    middle = {name: array.mean(axis=0, keepdims=True) for name, array in values.items()}
    eta = row_predictor(design.equation.main, design, middle) + effect[units.old_unit]
    extra = row_extra(design, middle)
    below, here, above = (
        design.equation.family.logp(design.y, eta + k * STEP, extra, design.trials)[0]
        for k in (-1.0, 0.0, 1.0)
    )
    with np.errstate(invalid="ignore"):
        bend = np.nan_to_num((2.0 * here - above - below) / STEP**2, posinf=0.0, neginf=0.0)
    least = 1e-6 * max(float(bend.max(initial=0.0)), 1e-6)
    return np.asarray(np.maximum(bend, least))


def averages_of(
    units: UnitRows, weights: Floats, values: Mapping[str, Floats], inner: str
) -> Averages:
    """Find how the average of each unit's old rows depends on the parameters.

    Parameters
    ----------
    units : UnitRows
    weights : array, dims (row,)
    values : dict of str to array
        Draws of the parameters, for their shapes.
    inner : str
        The effects of the units, which are left out.
    """
    design, predictor = units.old, units.old.equation.main
    starts = np.flatnonzero(np.diff(units.old_unit, prepend=-1))
    share = np.zeros(units.group.size)
    share[units.old_unit[starts]] = 1.0 / np.add.reduceat(weights, starts)
    none = {name: np.zeros((1, *array.shape[1:])) for name, array in values.items()}

    def averaged(eta: Floats) -> Floats:
        result = np.zeros((eta.shape[0], units.group.size))
        result[:, units.old_unit[starts]] = np.add.reduceat(eta * weights, starts, axis=1)
        return result * share

    zero = row_predictor(predictor, design, none)
    slopes: dict[str, tuple[Indices, Floats]] = {}
    for name, array in none.items():
        if name == inner:
            continue
        found = []
        for first in range(0, array.size, AT_ONCE):
            which = np.arange(first, min(first + AT_ONCE, array.size))
            moved = {k: np.repeat(v, which.size, axis=0) for k, v in none.items()}
            moved[name].reshape(which.size, -1)[np.arange(which.size), which] = 1.0
            found.append(averaged(row_predictor(predictor, design, moved) - zero))
        slope = np.concatenate(found)
        matters = np.flatnonzero((slope != 0.0).any(axis=1))
        if matters.size:
            slopes[name] = matters, slope[matters]
    return Averages(averaged(zero)[0], slopes)


@dataclass(frozen=True, eq=False)
class Further:
    """The parameters of a family beside the linear predictor, on a grid of their logarithms.

    Parameters
    ----------
    grid : dict of str to array, dims (value,)
        By posterior name: their logarithms.
    """

    grid: Mapping[str, Floats]

    @property
    def points(self) -> dict[str, Floats]:
        """All combinations of their values, dims (point,)."""
        mesh = np.meshgrid(*self.grid.values(), indexing="ij")
        return {name: np.exp(one.ravel()) for name, one in zip(self.grid, mesh, strict=True)}

    def shares(self, values: Mapping[str, Floats], draws: int) -> Floats:
        """Return what each point counts in the polynomial's value at draws, (draw, point)."""
        result = np.ones((draws, 1))
        for name, grid in self.grid.items():
            own = np.ones((draws, grid.size))
            for i, j in np.ndindex(grid.size, grid.size):
                if i != j:
                    own[:, i] *= (np.log(values[name]) - grid[j]) / (grid[i] - grid[j])
            result = (result[:, :, None] * own[:, None, :]).reshape(draws, -1)
        return result


def _further(design: Design, values: Mapping[str, Floats]) -> Further:
    grid: dict[str, Floats] = {}
    for one in design.equation.family.dispersion:
        name = f"{design.equation.child}.{one.name}"
        logs = np.log(values[name])
        low, high = float(logs.min()), float(logs.max())
        if high - low < 1e-9:
            grid[name] = np.array([low])
            continue
        count = VALUES if high - low < NARROW else MANY
        grid[name] = 0.5 * (low + high) + 0.5 * (high - low) * _chebyshev(count)
    return Further(grid)


def _chebyshev(count: int) -> Floats:
    return np.asarray(np.cos((np.arange(count) + 0.5) * np.pi / count))


@dataclass(frozen=True, eq=False)
class _Table:
    """Curves, each of one unit.

    Parameters
    ----------
    coefficients : array, dims (power, point, curve)
    middle, half : array, dims (curve,)
    unit : int array, dims (curve,)
    """

    coefficients: Floats
    middle: Floats
    half: Floats
    unit: Indices

    def at(self, shares: Floats) -> Floats:
        """Return coefficients at draws, dims (power, draw, curve)."""
        return np.asarray(shares @ self.coefficients)


def _tabulated(
    design: Design, eta: Floats, curve: Indices, seen: Floats, unit: Indices, further: Further
) -> _Table:
    """Tabulate curves between the ends of what is seen, dims (draw, curve).

    ``eta`` is what each row's linear predictor is where its curve's place is 0, and ``curve`` the
    one that it belongs to; rows of a curve follow each other.
    """
    low, high = seen.min(axis=0), seen.max(axis=0)
    middle = 0.5 * (low + high)
    half = np.maximum((0.5 + WIDER) * (high - low), 1e-6)
    points = further.points
    extra = {
        one.name: points[f"{design.equation.child}.{one.name}"][:, None]
        for one in design.equation.family.dispersion
    }
    if design.lower is not None:
        extra["lower"] = design.lower
    starts = np.flatnonzero(np.diff(curve, prepend=-1))
    size = next(iter(points.values())).size if points else 1
    values = np.empty((PLACES, size, middle.size))
    places = _chebyshev(PLACES)
    for k, x in enumerate(places):
        at = eta + (middle + half * x)[curve]
        logs = design.equation.family.logp(design.y, at[None], extra, design.trials)
        values[k] = np.add.reduceat(np.broadcast_to(logs, (size, at.size)), starts, axis=1)
    powers = np.linalg.inv(np.vander(places, increasing=True))
    return _Table(np.tensordot(powers, values, axes=(1, 0)), middle, half, unit)


@dataclass(frozen=True, eq=False)
class UnitCurves:
    """The curves of all units that have old rows.

    Parameters
    ----------
    units : UnitRows
    averages : Averages
    further : Further
    old, new : _Table
        Of the old rows of each unit, and of each new row of a unit that has old ones.
    read : int array
        The new rows that have a curve.
    """

    units: UnitRows
    averages: Averages
    further: Further
    old: _Table
    new: _Table
    read: Indices

    @property
    def are_finite(self) -> bool:
        """Whether every row is possible at every effect that is looked at."""
        return bool(
            np.isfinite(self.old.coefficients).all() and np.isfinite(self.new.coefficients).all()
        )


def curves_of(
    units: UnitRows,
    averages: Averages,
    some: Mapping[str, Floats],
    effects: Floats,
    everywhere: Mapping[str, Floats],
) -> UnitCurves | None:
    """Tabulate curves; nothing where rows read more than a linear predictor and two parameters.

    Parameters
    ----------
    units : UnitRows
    averages : Averages
        Of the old rows, weighted by their information.
    some : dict of str to array
        Some draws of the parameters, new effects included; the effects of the units are 0.
    effects : array, dims (draw, unit)
        Those of these draws.
    everywhere : dict of str to array
        All draws, for the range of further parameters.
    """
    eq = units.old.equation
    if len(eq.predictors) > 1 or eq.indicator.family == "ordinal" or len(eq.family.dispersion) > 2:
        return None
    known = np.flatnonzero(units.known)
    if not known.size:
        return None
    further = _further(units.old, everywhere)
    middle = {name: array.mean(axis=0, keepdims=True) for name, array in some.items()}
    # A unit's old rows stand where they are at the mean of the parameters.
    eta = row_predictor(eq.main, units.old, middle)[0] - averages.of(middle)[0][units.old_unit]
    number = np.full(units.group.size, -1, dtype=np.intp)
    number[known] = np.arange(known.size)
    seen = (effects + averages.of(some))[:, known]
    old = _tabulated(units.old, eta, number[units.old_unit], seen, known, further)
    read = np.flatnonzero(units.known[units.new_unit])
    whose = units.new_unit[read]
    rows = rows_of(units.new, read)
    seen = row_predictor(eq.main, rows, some) + effects[:, whose]
    new = _tabulated(rows, np.zeros(read.size), np.arange(read.size), seen, whose, further)
    found = UnitCurves(units, averages, further, old, new, read)
    return found if found.are_finite else None


@dataclass(frozen=True, eq=False)
class CurveDensity:
    """Log densities of the rows of each unit as a function of its effect, from curves.

    Parameters
    ----------
    curves : UnitCurves
    parameters : dict of str to array
        By posterior name, the draw first; the effects of the units are 0.
    """

    curves: UnitCurves
    parameters: Mapping[str, Floats]

    @property
    def rows(self) -> UnitRows:
        """The units and all their rows."""
        return self.curves.units

    @cached_property
    def _shares(self) -> Floats:
        draws = next(iter(self.parameters.values())).shape[0]
        return self.curves.further.shares(self.parameters, draws)

    @cached_property
    def average(self) -> Floats:
        """The average linear predictor of each unit's old rows, dims (draw, unit)."""
        return self.curves.averages.of(self.parameters)

    @cached_property
    def _old(self) -> tuple[Floats, Floats]:
        table = self.curves.old
        return table.at(self._shares), self.average[:, table.unit] - table.middle

    @cached_property
    def _new(self) -> tuple[Floats, Floats]:
        table = self.curves.new
        eta = row_predictor(self.rows.new.equation.main, self.rows.new, self.parameters)
        return table.at(self._shares), eta[:, self.curves.read] - table.middle

    def _add(self, table: _Table, at: tuple[Floats, Floats], effects: Floats, into: Floats) -> None:
        coefficients, place = at
        compiled("curves")(
            coefficients,
            np.ascontiguousarray(place),
            table.half,
            table.unit,
            np.ascontiguousarray(effects),
            into,
        )

    def old(self, effects: Floats) -> Floats:
        """Return log densities of the earlier rows at effects of dims (node, draw, unit)."""
        result = np.zeros(effects.shape)
        self._add(self.curves.old, self._old, effects, result)
        return result

    def new(self, effects: Floats) -> Floats:
        """Return log densities of the new rows at effects of dims (node, draw, unit)."""
        result = np.zeros(effects.shape)
        if not self.rows.known.all():
            # Units without old rows may have effects far from any that were seen.
            result = self.fresh(effects)
        self._add(self.curves.new, self._new, effects, result)
        return result

    def fresh(self, effects: Floats) -> Floats:
        """Return log densities of the rows of units without earlier rows, and 0 for all others."""
        return UnitDensity(self.rows, self.parameters).fresh(effects)
