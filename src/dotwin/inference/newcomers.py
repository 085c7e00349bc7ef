"""Effects that a later panel brings: shocks of new periods, steps of a walk, effects of new groups.

They are new parameters. Given all others, each is drawn from a proposal around the mode of its own
conditional density, and the ratio of that density to the proposal goes into the weight of the draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.likelihood import mode
from dotwin.mechanisms.design import Design, PredictorDesign
from dotwin.mechanisms.parameters import Parameter, parameters
from dotwin.mechanisms.response import row_extra, row_predictor

__all__ = ["Newcomers", "extended", "newcomers_of", "propose"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Degrees of freedom of proposals: tails heavier than those of what they stand for.
TAILS = 7.0
#: Effects that act on the same rows are sought in turn.
ROUNDS = 2
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
    ratio: Floats = np.zeros(next(iter(values.values())).shape[0])
    # Effects of groups without a new row have nothing but their prior.
    for one in newcomers:
        if not (one.index >= 0).any():
            sd = _sd(one, values)
            one.add(values, sd * rng.standard_normal((sd.shape[0], one.size)))
    acting = [one for one in newcomers if (one.index >= 0).any()]
    found: list[tuple[Floats, Floats]] = []
    for turn in range(ROUNDS if len(acting) > 1 else 1):
        for k, one in enumerate(acting):
            before = found[k][0] if turn else np.zeros((ratio.size, one.size))
            one.add(values, -before)
            centre, scale = _conditional(one, rows, values, spread, before)
            one.add(values, centre)
            if turn:
                found[k] = (centre, scale)
            else:
                found.append((centre, scale))
    for one, (centre, scale) in zip(acting, found, strict=True):
        t = rng.standard_t(TAILS, centre.shape)
        away, sd = scale * t, _sd(one, values)
        one.add(values, away)
        proposed = -0.5 * (TAILS + 1.0) * np.log1p(t**2 / TAILS) - np.log(scale) + _T_CONSTANT
        prior = -0.5 * ((centre + away) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2.0 * np.pi)
        ratio = ratio + (prior - proposed).sum(axis=1)
    return ratio


def _t_constant() -> float:
    from math import lgamma, log, pi

    return lgamma(0.5 * (TAILS + 1.0)) - lgamma(0.5 * TAILS) - 0.5 * log(TAILS * pi)


_T_CONSTANT = _t_constant()


def _sd(one: Newcomers, values: Mapping[str, Floats]) -> Floats:
    array = values[one.parameter.sd]
    return np.asarray(array[:, one.sd[0]] if one.sd else array)[:, None]


def _conditional(
    one: Newcomers,
    rows: Design,
    values: Mapping[str, Floats],
    spread: Floats | None,
    start: Floats,
) -> tuple[Floats, Floats]:
    """Find the mode of each effect's conditional density and the spread there."""
    picked = np.flatnonzero(one.index >= 0)
    order = picked[np.argsort(one.index[picked], kind="stable")]
    index = one.index[order]
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    there = index[starts]
    eq = rows.equation
    eta = row_predictor(eq.main, rows, values, order)
    extra = row_extra(rows, values, order)
    trials = None if rows.trials is None else rows.trials[order]
    weight, sd = one.weight[order], _sd(one, values)
    nodes, shares = np.zeros(1), np.ones(1)
    if spread is not None:
        # Three nodes carry a normal's mean, spread and tails well enough for a proposal.
        nodes, shares = np.array([-np.sqrt(3.0), 0.0, np.sqrt(3.0)]), np.array([1.0, 4.0, 1.0]) / 6

    def joint(effects: Floats) -> Floats:
        shift = effects[:, index] * weight
        terms = []
        for node, share in zip(nodes, shares, strict=True):
            moved = eta if spread is None else eta + spread[:, order] * node
            more = dict(extra)
            if one.role == "mean":
                moved = moved + shift
            else:
                more[_EXTRA[one.role]] = more[_EXTRA[one.role]] + shift
            terms.append(eq.family.logp(rows.y[order], moved, more, trials) + np.log(share))
        logs = np.logaddexp.reduce(np.stack(terms), axis=0)
        result = -0.5 * (effects / sd) ** 2 - np.log(sd)
        result[:, there] += np.add.reduceat(logs, starts, axis=1)
        return np.asarray(result)

    return mode(joint, start, np.broadcast_to(sd, start.shape))
