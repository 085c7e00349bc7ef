"""The density of all rows of each group of units, the effects that only it has integrated out.

For a group with rows D, of units u with rows D_u, and all other parameters g held,

    p(D | g) = ∫ p(r) Π_u ∫ p(D_u | v) p(v | r) dv dr,

with r the effect of the group and v that of the unit, r included. The density of a unit's rows is
taken once, at Gauss-Hermite nodes v around the mode of its integrand (Liu and Pierce 1994, doi
10.1093/biomet/81.3.624); other r change the weights of the nodes only. Groups that no effect
belongs to have the product of their units' densities, or of their rows'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.changes import rows_of
from dotwin.inference.unit_integrals import UnitDensity, UnitRows
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.response import log_likelihood

__all__ = ["group_log_densities", "refusal"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_HALF_LOG_TWO_PI = 0.5 * np.log(2.0 * np.pi)
#: Nodes over a unit's effect, and over a group's.
UNIT_NODES, GROUP_NODES = 15, 11
#: Newton steps to a mode, from a posterior draw, and the step of their differences in sds.
STEPS, DIFFERENCE = 12, 0.1
#: A climb ends when no step is longer than this, in sds: nodes need not lie around the very mode.
SHORT = 0.5
#: How often the units' nodes are placed anew where the group's effect moved away.
ROUNDS = 3
#: Numbers held at once: draws are taken in blocks below this many.
BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class _Own:
    """The levels whose effects belong to one group each, outermost first, and what they lack."""

    levels: tuple[str, ...]
    refusal: str = ""


def refusal(design: Design, groups: Indices) -> str:
    """Say why a mechanism's groups have no density in closed reach; '' where they have.

    Parameters
    ----------
    design : Design
    groups : int array, dims (unit,)
        Of the panel's units.
    """
    return _own(design, groups).refusal


def _own(design: Design, groups: Indices) -> _Own:
    of_row = groups[design.unit]
    held: list[str] = []
    for arrays in design.predictors:
        predictor = arrays.predictor
        for level in dict.fromkeys((*predictor.levels, *predictor.slope_levels)):
            if not _refines(arrays.groups[level], of_row):
                continue
            if predictor is not design.equation.main or level in predictor.slope_levels:
                return _Own((), f"several effects of each {level} would have to be integrated out")
            held.append(level)
    if len(held) > 2:
        return _Own((), f"effects of {', '.join(held)} would have to be integrated out together")
    if len(held) == 2:
        codes = design.main.groups
        if not _refines(codes[held[1]], codes[held[0]]):
            return _Own((), f"{held[1]} is not inside {held[0]}")
    return _Own(tuple(held))


def _refines(fine: Indices, coarse: Indices) -> bool:
    """Whether all rows of a fine group are in one coarse group."""
    first = np.full(int(fine.max(initial=-1)) + 1, -1, dtype=np.intp)
    first[fine] = coarse
    return bool((first[fine] == coarse).all())


def group_log_densities(
    design: Design, values: Mapping[str, Floats], groups: Indices, count: int
) -> Floats:
    """Return the log density of each group's rows, dims (draw, group).

    Parameters
    ----------
    design : Design
        Whose `refusal` is ''.
    values : dict of str to array
        By posterior name, the draw first.
    groups : int array, dims (unit,)
        Of the panel's units; rows of units with -1 are in no group.
    count : int
        How many groups there are.
    """
    draws = next(iter(values.values())).shape[0]
    levels = _own(design, groups).levels
    inside = np.flatnonzero(groups[design.unit] >= 0)
    held = rows_of(design, inside)
    of_row = groups[held.unit]
    result = np.zeros((draws, count))
    width = held.rows + (UNIT_NODES * 4 * np.unique(held.unit).size if levels else 0)
    size = max(1, BLOCK // max(width, 1))
    for start in range(0, draws, size):
        some = {name: array[start : start + size] for name, array in values.items()}
        if levels:
            parts, of_part = _integrated(held, some, levels, of_row)
        else:
            parts, of_part = log_likelihood(held, some), of_row
        result[start : start + size] = _sum_by(parts, of_part, count)
    return result


def _sum_by(parts: Floats, codes: Indices, count: int) -> Floats:
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    result = np.zeros((parts.shape[0], count))
    if codes.size:
        result[:, codes[order][starts]] = np.add.reduceat(parts[:, order], starts, axis=1)
    return result


def _integrated(
    design: Design, values: Mapping[str, Floats], levels: tuple[str, ...], of_row: Indices
) -> tuple[Floats, Indices]:
    """Integrate the effects of one or two levels out; (draw, part), and the group of each part."""
    child, inner = design.child, levels[-1]
    codes = design.main.groups[inner]
    order = np.argsort(codes, kind="stable")
    present, index = np.unique(codes[order], return_inverse=True)
    rows = rows_of(design, order)
    empty = rows_of(design, order[:0])
    nothing = np.zeros(0, dtype=np.intp)
    units = UnitRows(rows, empty, index.astype(np.intp), nothing, present, inner)
    first = order[np.searchsorted(index, np.arange(present.size))]
    start = values[f"{child}.{inner}"][:, present]
    zeroed = dict(values)
    zeroed[f"{child}.{inner}"] = np.zeros_like(values[f"{child}.{inner}"])
    sd = values[f"{child}.sd_{inner}"][:, None]
    if len(levels) == 1:
        node = _Nodes.around(UnitDensity(units, zeroed), start, np.zeros_like(start), sd)
        return node.integral(np.zeros_like(start)), of_row[first]
    outer = levels[0]
    above = design.main.groups[outer][first]
    zeroed[f"{child}.{outer}"] = np.zeros_like(values[f"{child}.{outer}"])
    places, position = np.unique(above, return_inverse=True)
    at = values[f"{child}.{outer}"][:, places]
    spread = values[f"{child}.sd_{outer}"][:, None]
    density = UnitDensity(units, zeroed)
    effects = start + at[:, position]
    for _ in range(ROUNDS):
        # The unit's effect holds the group's from here on.
        node = _Nodes.around(density, effects, at[:, position], sd)
        joint = _Joint(node, position.astype(np.intp), spread)
        before, effects = at, node.centre
        at, scale = _climb(joint, at, np.broadcast_to(0.3 * spread, at.shape), spread)
        # Nodes that were placed for one effect of the group serve for others near it.
        if (np.abs(at - before)[:, position] < sd).all():
            break
    nodes, weights = np.polynomial.hermite_e.hermegauss(GROUP_NODES)
    terms = [
        joint(at + scale * x) + 0.5 * x**2 + np.log(w) for x, w in zip(nodes, weights, strict=True)
    ]
    total = np.logaddexp.reduce(np.stack(terms), axis=0) + np.log(scale)
    of_place = np.zeros(places.size, dtype=np.intp)
    of_place[position] = of_row[first]
    return total, of_place


@dataclass(frozen=True, eq=False)
class _Joint:
    """The density of a group's rows and effect, its units' effects integrated out."""

    node: _Nodes
    position: Indices
    spread: Floats

    def __call__(self, effect: Floats) -> Floats:
        units = self.node.integral(effect[:, self.position])
        inside = _sum_by(units, self.position, effect.shape[1])
        prior = -0.5 * (effect / self.spread) ** 2 - np.log(self.spread) - _HALF_LOG_TWO_PI
        return np.asarray(inside + prior)


@dataclass(frozen=True, eq=False)
class _Nodes:
    """The density of each unit's rows at nodes of its effect, dims (node, draw, unit)."""

    centre: Floats
    effects: Floats
    density: Floats
    nodes: Floats
    weights: Floats
    scale: Floats
    sd: Floats

    @classmethod
    def around(cls, density: UnitDensity, start: Floats, mean: Floats, sd: Floats) -> _Nodes:
        """Place the nodes around the mode of each integrand, at its curvature."""
        codes = density.rows.old_unit
        # Kernels sum over rows that are sorted by the panel's units.
        compiled = density.rows.is_compiled and bool(
            (np.diff(density.rows.old.unit) >= 0).all() and (np.diff(codes) >= 0).all()
        )

        def any_constant(effects: Floats) -> Floats:
            return density.old(effects) if compiled else density.whole(effects)

        def joint(effects: Floats) -> Floats:
            logs = any_constant(effects[None])[0]
            return np.asarray(logs - 0.5 * ((effects - mean) / sd) ** 2)

        at, scale = _climb(joint, start, np.broadcast_to(0.3 * sd, start.shape), sd)
        nodes, weights = np.polynomial.hermite_e.hermegauss(UNIT_NODES)
        effects = at + scale * nodes[:, None, None]
        logs = any_constant(effects)
        if compiled:
            # Kernels leave out what no effect enters; one evaluation brings it back.
            middle = UNIT_NODES // 2
            one = slice(middle, middle + 1)
            logs = logs + (density.whole(effects[one]) - logs[one])
        return cls(at, effects, logs, nodes, weights, scale, sd)

    def integral(self, mean: Floats) -> Floats:
        """Return the log integral where effects are normal around a mean, dims (draw, unit)."""
        away = (self.effects - mean) / self.sd
        own = 0.5 * self.nodes**2 + np.log(self.weights)
        terms = self.density - 0.5 * away**2 + own[:, None, None]
        top = terms.max(axis=0)
        total = top + np.log(np.exp(terms - top).sum(axis=0))
        return np.asarray(total + np.log(self.scale) - np.log(self.sd) - _HALF_LOG_TWO_PI)


def _climb(
    joint: Callable[[Floats], Floats], at: Floats, scale: Floats, sd: Floats
) -> tuple[Floats, Floats]:
    """Take Newton steps to the mode of each integrand; return it and the spread around it."""
    for _ in range(STEPS):
        step = DIFFERENCE * scale
        below, here, above = joint(at - step), joint(at), joint(at + step)
        slope = (above - below) / (2.0 * step)
        # Heavy tails bend the wrong way far out; the prior's own bend is the least there is.
        bend = np.maximum((2.0 * here - above - below) / step**2, 0.5 / sd**2)
        scale = 1.0 / np.sqrt(bend)
        move = np.clip(slope / bend, -3.0 * scale, 3.0 * scale)
        at = at + move
        if (np.abs(move) < SHORT * scale).all():
            break
    return at, scale
