"""Effects that a later panel brings: shocks of new periods, steps of a walk, effects of new groups.

They are new parameters. Given all others, they are drawn together from a Student's t around the
mode of their conditional density, at its curvature. The ratio of that density to the t's goes into
the weight of the draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import lgamma, log, pi

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.design import Design, PredictorDesign
from dotwin.mechanisms.parameters import Parameter, parameters
from dotwin.mechanisms.response import row_extra, row_predictor

__all__ = ["Newcomers", "extended", "newcomers_of", "propose"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Degrees of freedom of proposals: tails heavier than those of what they stand for.
TAILS = 7.0
#: Newton steps to the mode of a few draws, and from their average to that of each draw.
NEWTON, STEPS, FEW = 6, 4, 20
#: Step of finite differences, in sds of the effects.
STEP = 1e-3
_EXTRA = {"zeros": "zeros_eta"}


@dataclass(frozen=True, eq=False)
class Newcomers:
    """New effects that share an sd.

    Parameters
    ----------
    parameter : Parameter
        Which holds them.
    role : str
        Of the linear predictor that they enter.
    where : tuple
        Their places in the parameter, behind the draw.
    running : bool
        Whether an effect holds from its period on, as a step of a walk does.
    index : int array, dims (row,)
        Which of them enters each new row; -1 for none.
    weight : array, dims (row,)
        What it is multiplied by.
    sd : tuple
        The place of their sd in its parameter.
    """

    parameter: Parameter
    role: str
    where: tuple[Indices | int, ...]
    running: bool
    index: Indices
    weight: Floats
    sd: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many there are."""
        return int(np.size(self.where[-1]))

    def add(self, values: dict[str, Floats], effects: Floats) -> None:
        """Put effects, dims (draw, effect), in their places."""
        array = values[self.parameter.name]
        if self.running:
            array[:, int(self.where[0]) :] += effects
        else:
            array[(slice(None), *self.where)] += effects


def extended(old: Design, new: Design, values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Give parameters the groups and periods of a later design; those that are new are 0.

    Parameters
    ----------
    old, new : Design
    values : dict of str to array
        By posterior name, the draw first.
    """
    before = {one.name: one for one in _listed(old)}
    result: dict[str, Floats] = {}
    for one in _listed(new):
        given = values[one.name]
        if one.kind not in ("effects", "walk"):
            result[one.name] = given
            continue
        found = np.zeros((given.shape[0], *one.shape))
        positions = {name: i for i, name in enumerate(one.coords[-1])}
        names = before[one.name].coords[-1]
        kept = [i for i, name in enumerate(names) if name in positions]
        found[..., [positions[names[i]] for i in kept]] = given[..., kept]
        if one.kind == "walk":
            found[..., len(names) :] = given[..., -1:]
        result[one.name] = found
    return result


def _listed(design: Design) -> list[Parameter]:
    return parameters(design.equation, design.reference, design.group_names, design.period_names)


def newcomers_of(old: Design, new: Design, rows: Design, integrated: str) -> list[Newcomers]:
    """List the effects that a later design has and an earlier one has not.

    Parameters
    ----------
    old, new : Design
    rows : Design
        The later one's new rows.
    integrated : str
        The parameter whose new effects are integrated out, and not listed; '' for none.
    """
    before = {one.name: set(one.coords[-1]) for one in _listed(old) if one.coords}
    found: list[Newcomers] = []
    for one in _listed(new):
        if one.kind not in ("effects", "walk") or one.name == integrated:
            continue
        fresh = np.array(
            [i for i, name in enumerate(one.coords[-1]) if name not in before[one.name]],
            dtype=np.intp,
        )
        if not fresh.size:
            continue
        prefix, _, key = one.name.rpartition(".")
        arrays = next(a for a in rows.predictors if a.predictor.prefix == prefix)
        role = arrays.predictor.role
        ones = np.ones(rows.rows)
        if one.kind == "walk":
            for position in fresh.tolist():
                index = np.where(rows.period >= position, 0, -1)
                found.append(Newcomers(one, role, (position,), True, index, ones, ()))
            continue
        codes = _codes(arrays, rows, key)
        place = np.full(one.shape[-1], -1, dtype=np.intp)
        place[fresh] = np.arange(fresh.size)
        if len(one.shape) == 1:
            found.append(Newcomers(one, role, (fresh,), False, place[codes], ones, ()))
            continue
        for j, k in enumerate(arrays.predictor.slopes(key.removeprefix("slope_"))):
            column = arrays.columns[:, k]
            found.append(Newcomers(one, role, (j, fresh), False, place[codes], column, (j,)))
    return found


def _codes(arrays: PredictorDesign, rows: Design, key: str) -> Indices:
    return rows.period if key == "period" else arrays.groups[key.removeprefix("slope_")]


def propose(
    newcomers: list[Newcomers],
    rows: Design,
    values: dict[str, Floats],
    spread: Floats | None,
    rng: np.random.Generator,
) -> Floats:
    """Draw new effects and put them in their places.

    Parameters
    ----------
    newcomers : list of Newcomers
    rows : Design
        The new rows.
    values : dict of str to array
        All parameters, the draw first; changed in place.
    spread : array or None, dims (draw, row)
        How uncertain each row's unit effect is: taken into account, not drawn.
    rng : Generator

    Returns
    -------
    array, dims (draw,)
        The log of the density of the effects over that of the proposal.
    """
    draws = next(iter(values.values())).shape[0]
    # Effects of groups without a new row have nothing but their prior.
    for one in newcomers:
        if not (one.index >= 0).any():
            one.add(values, _sd(one, values) * rng.standard_normal((draws, one.size)))
    acting = [one for one in newcomers if (one.index >= 0).any()]
    if not acting:
        return np.zeros(draws)
    rowwise = _Rows(acting, rows, values, spread)
    some = np.unique(np.linspace(0, draws - 1, FEW).astype(int))
    few = _Rows(
        acting,
        rows,
        {name: array[some] for name, array in values.items()},
        None if spread is None else spread[some],
    )
    near = _climb(few, np.zeros(few.sd.shape), NEWTON)[0]
    # The modes of all draws are near each other, and a proposal need not lie at them exactly.
    middle = np.broadcast_to(near.mean(axis=0), rowwise.sd.shape)
    centre, precision = _climb(rowwise, middle, STEPS)
    size = centre.shape[1]
    root = np.linalg.cholesky(precision)
    z = rng.standard_normal((draws, size))
    stretch = np.sqrt(TAILS / rng.chisquare(TAILS, draws))
    # With root root' the precision, the inverse of root' makes its covariance.
    away = np.linalg.solve(np.swapaxes(root, 1, 2), z[..., None])[..., 0] * stretch[:, None]
    effects = centre + away
    start = 0
    for one in acting:
        one.add(values, effects[:, start : start + one.size])
        start += one.size
    square = (z**2).sum(axis=1) * stretch**2
    proposed = (
        lgamma(0.5 * (TAILS + size))
        - lgamma(0.5 * TAILS)
        - 0.5 * size * log(TAILS * pi)
        + np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
        - 0.5 * (TAILS + size) * np.log1p(square / TAILS)
    )
    prior = -0.5 * (effects / rowwise.sd) ** 2 - np.log(rowwise.sd) - 0.5 * log(2.0 * pi)
    return np.asarray(prior.sum(axis=1) - proposed)


def _sd(one: Newcomers, values: Mapping[str, Floats]) -> Floats:
    array = values[one.parameter.sd]
    return np.asarray(array[:, one.sd[0]] if one.sd else array)[:, None]


class _Rows:
    """Log densities of the new rows as functions of new effects."""

    def __init__(
        self,
        acting: list[Newcomers],
        rows: Design,
        values: Mapping[str, Floats],
        spread: Floats | None,
    ) -> None:
        draws = next(iter(values.values())).shape[0]
        self._rows, self._spread = rows, spread
        self._eta = row_predictor(rows.equation.main, rows, values)
        self._extra = row_extra(rows, values)
        self.sd: Floats = np.concatenate(
            [np.broadcast_to(_sd(one, values), (draws, one.size)) for one in acting], axis=1
        )
        #: By role: what each effect adds to each row, dims (row, effect).
        self.matrices = {one.role: np.zeros((rows.rows, self.sd.shape[1])) for one in acting}
        start = 0
        for one in acting:
            at = np.flatnonzero(one.index >= 0)
            self.matrices[one.role][at, start + one.index[at]] = one.weight[at]
            start += one.size

    def derivatives(self, effects: Floats, role: str) -> tuple[Floats, Floats]:
        """Return slope and bend of each row in one linear predictor, dims (draw, row)."""
        shifts = {name: effects @ matrix.T for name, matrix in self.matrices.items()}
        step = STEP * self.sd.min(axis=1, keepdims=True)
        below, here, above = (
            self._log_density({**shifts, role: shifts[role] + k * step}) for k in (-1.0, 0.0, 1.0)
        )
        # A row that is impossible where it is looked at says nothing of where to go.
        with np.errstate(invalid="ignore"):
            slope = np.nan_to_num((above - below) / (2.0 * step), posinf=0.0, neginf=0.0)
            bend = np.nan_to_num((2.0 * here - above - below) / step**2, posinf=0.0, neginf=0.0)
        bend = np.maximum(bend, 0.0)
        if self._spread is not None and role == "mean":
            # A row whose unit's effect is uncertain says less of what it has in common with others.
            less = 1.0 / (1.0 + bend * self._spread**2)
            slope, bend = slope * less, bend * less
        return slope, bend

    def _log_density(self, shifts: Mapping[str, Floats]) -> Floats:
        rows = self._rows
        extra = dict(self._extra)
        for role, shift in shifts.items():
            if role != "mean":
                extra[_EXTRA[role]] = extra[_EXTRA[role]] + shift
        eta = self._eta + shifts.get("mean", 0.0)
        return np.asarray(rows.equation.family.logp(rows.y, eta, extra, rows.trials))


def _climb(rowwise: _Rows, at: Floats, steps: int) -> tuple[Floats, Floats]:
    """Take Newton steps to the mode of all effects; return it and the precision before the last."""
    sd = rowwise.sd
    draws, size = sd.shape
    precision = np.zeros((draws, size, size))
    for _ in range(steps):
        slope = -at / sd**2
        precision = np.zeros((draws, size, size))
        precision[:, np.arange(size), np.arange(size)] = 1.0 / sd**2
        for role, matrix in rowwise.matrices.items():
            first, second = rowwise.derivatives(at, role)
            slope = slope + first @ matrix
            pairs = (matrix[:, :, None] * matrix[:, None, :]).reshape(-1, size * size)
            precision += (second @ pairs).reshape(draws, size, size)
        step = np.linalg.solve(precision, slope[..., None])[..., 0]
        at = at + np.clip(step, -3.0 * sd, 3.0 * sd)
    return at, precision
