"""Fitted mechanisms lined up with the units to simulate: constants, groups and their effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import NewGroupsError
from dotwin.worlds.noise import normal_noise, tail_noise, unit_numbers
from dotwin.worlds.world import Membership

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.mechanisms.design import Design
    from dotwin.mechanisms.equation import Equation, Predictor
    from dotwin.panel import Panel

__all__ = ["Machine", "Mechanism", "align", "new_groups_of", "refuse_new_groups", "shock"]


@dataclass(frozen=True, eq=False)
class Mechanism:
    """One fitted mechanism for the units of a world.

    Parameters
    ----------
    design : Design
        Of the fit: its equation and reference scales.
    constants : dict of str to array (unit,)
        Means and first values of the units, in reference sds.
    codes : dict of str to int array (unit,)
        Each unit's position among the groups whose effects the parameters hold; groups that the
        fit has never seen come after those that it has.
    unseen : dict of str to tuple of str
        The groups of each level that the fit has never seen.
    """

    design: Design
    constants: Mapping[str, NDArray[np.float64]]
    codes: Mapping[str, NDArray[np.intp]]
    unseen: Mapping[str, tuple[str, ...]]

    @property
    def equation(self) -> Equation:
        """The structural equation."""
        return self.design.equation


@dataclass(frozen=True, eq=False)
class Machine:
    """All fitted mechanisms for the units of a world.

    Parameters
    ----------
    mechanisms : dict of str to Mechanism
    parameters : dict of str to array
        By posterior name, the draw first.
    draws : int array (draw,)
        The draws' own numbers, which address their noise.
    """

    mechanisms: Mapping[str, Mechanism]
    parameters: Mapping[str, NDArray[np.float64]]
    draws: NDArray[np.int64]

    def block(self, rows: slice, seed: int) -> Machine:
        """Take some of the draws, and draw the effects of groups never seen."""
        numbers = self.draws[rows]
        parameters = {name: values[rows] for name, values in self.parameters.items()}
        for mechanism in self.mechanisms.values():
            parameters |= _with_unseen(mechanism, parameters, numbers, seed)
        return replace(self, parameters=parameters, draws=numbers)


def align(design: Design, members: Membership, fitted: Panel, panel: Panel) -> Mechanism:
    """Line a mechanism up with the units of a world.

    Parameters
    ----------
    design : Design
    members : Membership
    fitted : Panel
        The panel of the fit; its units keep the constants they have there.
    panel : Panel
        The panel from which the world starts; other units' constants come from it.
    """
    levels = {x for p in design.equation.predictors for x in (*p.levels, *p.slope_levels)}
    levels |= {one.level for one in design.equation.factors} - {"period"}
    codes: dict[str, NDArray[np.intp]] = {}
    unseen: dict[str, tuple[str, ...]] = {}
    for level in sorted(levels):
        grouping = members.levels[level]
        known = list(design.group_names[level])
        place = {name: i for i, name in enumerate(known)}
        used = sorted({grouping.names[code] for code in grouping.codes})
        fresh = tuple(name for name in used if name not in place)
        place |= {name: len(known) + i for i, name in enumerate(fresh)}
        by_group = np.array([place.get(name, 0) for name in grouping.names], dtype=np.intp)
        codes[level] = by_group[grouping.codes]
        if fresh:
            unseen[level] = fresh
    return Mechanism(design, _constants(design, members, fitted, panel), codes, unseen)


def _constants(
    design: Design, members: Membership, fitted: Panel, panel: Panel
) -> dict[str, NDArray[np.float64]]:
    from dotwin.mechanisms.design import panel_environment
    from dotwin.mechanisms.references import unit_constants

    if not design.constants:
        return {}
    place = {str(unit): i for i, unit in enumerate(fitted.units)}
    rows = np.array([place.get(unit, -1) for unit in members.units])
    found = {key: values[rows] for key, values in design.constants.items()}
    if (rows < 0).any():
        here = {str(unit): i for i, unit in enumerate(panel.units)}
        own = np.array([here[unit] for unit in members.units])
        present = panel.data["present"].values
        other = unit_constants(design.equation, design.reference, panel_environment(panel), present)
        found = {key: np.where(rows < 0, other[key][own], values) for key, values in found.items()}
    return found


def new_groups_of(mechanisms: Mapping[str, Mechanism]) -> dict[str, tuple[str, ...]]:
    """Return the groups that some mechanism has never seen, by level."""
    found: dict[str, set[str]] = {}
    for mechanism in mechanisms.values():
        for level, names in mechanism.unseen.items():
            found.setdefault(level, set()).update(names)
    return {level: tuple(sorted(names)) for level, names in found.items()}


def refuse_new_groups(found: Mapping[str, tuple[str, ...]]) -> None:
    """Raise for groups that nobody gave leave to draw.

    Raises
    ------
    NewGroupsError
    """
    if not found:
        return
    parts = []
    for level, names in found.items():
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        parts.append(f"{level} {shown}")
    raise NewGroupsError(
        f"the fit has never seen {'; '.join(parts)}. Say new_groups='population' to draw their "
        f"effects from the spread of the groups that it has seen, or leave them out of the panel."
    )


def _with_unseen(
    mechanism: Mechanism,
    parameters: Mapping[str, NDArray[np.float64]],
    draws: NDArray[np.int64],
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Append the effects of unseen groups to those that the parameters hold."""
    changed: dict[str, NDArray[np.float64]] = {}
    for predictor in mechanism.equation.predictors:
        for level, names in mechanism.unseen.items():
            groups = unit_numbers(names)
            prefix = predictor.prefix
            if level in predictor.levels:
                name = f"{prefix}.{level}"
                noise = normal_noise(tail_noise(seed, name, draws, groups, 0))
                fresh = parameters[f"{prefix}.sd_{level}"][:, None] * noise
                changed[name] = np.concatenate([parameters[name], fresh], axis=-1)
            for position, k in enumerate(predictor.slopes(level)):
                name = f"{prefix}.slope_{level}"
                before = changed.get(name)
                if before is None:
                    width = len(names)
                    held = parameters[name]
                    before = np.concatenate([held, np.zeros((*held.shape[:-1], width))], axis=-1)
                address = f"{name}: {predictor.terms[k].name}"
                noise = normal_noise(tail_noise(seed, address, draws, groups, 0))
                sd = parameters[f"{prefix}.sd_slope_{level}"][:, position, None]
                before[:, position, -len(names) :] = sd * noise
                changed[name] = before
    return changed


def shock(
    predictor: Predictor,
    parameters: Mapping[str, NDArray[np.float64]],
    known: Mapping[int, int],
    ordinal: int,
    noise: Any,
) -> Any:
    """Return a period's shock and the walk's level there, dims (draw, 1), or 0.

    Parameters
    ----------
    predictor : Predictor
    parameters : dict of str to array
    known : dict of int to int
        The calendar's numbers of the fit's periods, and their positions.
    ordinal : int
        The period's own number.
    noise : callable
        ``noise(node, ordinal)`` gives normal noise, dims (draw, 1).
    """
    prefix = predictor.prefix
    total: Any = 0.0
    if predictor.period:
        if ordinal in known:
            total = parameters[f"{prefix}.period"][:, known[ordinal], None]
        else:
            sd = parameters[f"{prefix}.sd_period"][:, None]
            total = sd * noise(f"{prefix}.period", ordinal)
    if predictor.walk:
        walk = parameters[f"{prefix}.walk"]
        if ordinal in known:
            total = total + walk[:, known[ordinal], None]
        else:
            last = max(known)
            level = walk[:, known[last], None]
            sd = parameters[f"{prefix}.sd_walk"][:, None]
            for step in range(last + 1, ordinal + 1):
                level = level + sd * noise(f"{prefix}.walk", step)
            total = total + level
    return total
