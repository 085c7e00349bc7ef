"""Which mechanisms are fitted together: the graph and the missing values decide, not the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dotwin.errors import Problem, SpecificationError
from dotwin.graph.twin_graph import TwinGraph
from dotwin.inference.engine import Component
from dotwin.mechanisms.design import build_design
from dotwin.mechanisms.equation import structure_of
from dotwin.mechanisms.imputation import Imputation
from dotwin.spec.expressions import Across, Bool, Compare, Not, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotwin.mechanisms.columns import UnitConstants
    from dotwin.mechanisms.design import Design
    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin

__all__ = ["components_of", "missing_cells"]


def missing_cells(
    twin: Twin, panel: Panel
) -> dict[str, np.ndarray[tuple[int, int], np.dtype[np.bool_]]]:
    """Find the missing cells that a twin wants imputed.

    Parameters
    ----------
    twin : Twin
    panel : Panel

    Returns
    -------
    dict of str to bool array, dims (unit, period)
        By indicator; those without a missing cell are left out.

    Raises
    ------
    SpecificationError
        For an indicator that cannot be imputed: one without a mechanism, or a count.
    """
    found = {}
    problems = []
    for name, one in twin.indicators.items():
        if one.missing != "impute" or name not in panel.data:
            continue
        cells = panel.data["present"].values & ~np.isfinite(panel.data[name].values)
        if not cells.any():
            continue
        special = bool(one.zeros or one.ends or one.at_least)
        if one.family not in ("normal", "student_t", "lognormal", "gamma", "beta") or special:
            what = "a given" if one.family is None else one.family.replace("_", " ")
            what += " with values of their own or a bound" if special else ""
            problems.append(
                Problem(
                    f"indicators > {name} > missing",
                    f"'impute' works for continuous mechanisms without zeros, ends or a bound, and "
                    f"this is {what}; write set_aside, or declare a mechanism for it.",
                )
            )
            continue
        problems += _unreadable(twin, name)
        found[name] = cells
    if problems:
        raise SpecificationError(problems)
    return found


def _unreadable(twin: Twin, name: str) -> list[Problem]:
    """Name the causes that cannot be read from an unknown value."""
    problems = []
    for child in twin.stochastic:
        one = twin.indicators[child]
        for text in (*one.causes, *(one.zeros.causes if one.zeros else ())):
            expr = parse(text)
            steps = any(isinstance(e, Across | Compare | Bool | Not) for e in expr.walk())
            if name in expr.names() and steps:
                problems.append(
                    Problem(
                        f"indicators > {child} > causes > {text}",
                        f"compares values of '{name}' or reads other units', which cannot be done "
                        f"while missing values of '{name}' are imputed; write missing: set_aside.",
                    )
                )
    return problems


def components_of(
    twin: Twin,
    panel: Panel,
    like: Mapping[str, Design] | None = None,
    constants: Mapping[str, UnitConstants] | None = None,
) -> list[Component]:
    """Group a twin's mechanisms into the components that must be fitted together.

    Parameters
    ----------
    twin : Twin
    panel : Panel
    like : dict of str to Design, optional
        Designs of an earlier fit, whose structure and reference scales are kept.
    constants : dict of str to UnitConstants, optional
        By mechanism: unit means and first values that are kept, for `build_design`.

    Returns
    -------
    list of Component
    """
    cells = missing_cells(twin, panel)
    structure = structure_of(twin, panel)
    result = []
    for group in TwinGraph(twin).components(impute=set(cells)):
        own = {name: cells[name] for name in group.imputed}
        while True:
            designs = tuple(
                build_design(
                    twin,
                    child,
                    panel,
                    structure=like[child].structure if like else structure,
                    reference=like[child].reference if like else None,
                    constants=constants[child] if constants else None,
                    imputed=own,
                )
                for child in group.mechanisms
            )
            # A cell is a parameter only where its own mechanism speaks of it: elsewhere nothing
            # would hold its value.
            spoken = {d.child: own[d.child] & d.used for d in designs if d.child in own}
            if all((spoken[name] == own[name]).all() for name in own):
                break
            own = spoken
        own = {name: at for name, at in own.items() if at.any()}
        result.append(Component(designs, Imputation(panel, own) if own else None))
    return result
