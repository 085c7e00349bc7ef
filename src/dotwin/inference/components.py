"""Which mechanisms are fitted together: the graph and the missing values decide, not the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import Problem, SpecificationError
from dotwin.graph.twin_graph import TwinGraph
from dotwin.inference.engine import Component
from dotwin.mechanisms.design import (
    COUNTS,
    build_design,
    panel_environment,
)
from dotwin.mechanisms.equation import structure_of
from dotwin.mechanisms.imputation import Imputation
from dotwin.spec.expressions import Across, Bool, Call, Compare, Not, Ref, evaluate, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotwin.mechanisms.columns import UnitConstants
    from dotwin.mechanisms.design import Design
    from dotwin.panel import Panel
    from dotwin.spec.expressions import Expr
    from dotwin.spec.twin import Twin

__all__ = ["components_of", "missing_cells"]

#: Families whose missing values can be parameters.
IMPUTED = ("normal", "student_t", "lognormal", "gamma", "beta", *COUNTS)


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
        For an indicator that cannot be imputed: one without a mechanism, or with values of its own.
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
        if one.family not in IMPUTED or special:
            what = "a given" if one.family is None else one.family.replace("_", " ")
            what += " with values of their own or a bound" if special else ""
            problems.append(
                Problem(
                    f"indicators > {name} > missing",
                    f"'impute' works for mechanisms of numbers without zeros, ends or a bound, and "
                    f"this is {what}; write set_aside, or declare a mechanism for it.",
                )
            )
            continue
        problems += _unreadable(twin, panel, name, cells)
        found[name] = cells
    if problems:
        raise SpecificationError(problems)
    return found


def _unreadable(
    twin: Twin, panel: Panel, name: str, cells: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
) -> list[Problem]:
    """Name the causes that cannot be read from an unknown value."""
    problems = []
    for child in twin.stochastic:
        one = twin.indicators[child]
        for text in (*one.causes, *(one.zeros.causes if one.zeros else ())):
            why = _why_unreadable(twin, panel, name, cells, parse(text))
            if why:
                place = f"indicators > {child} > causes > {text}"
                problems.append(Problem(place, f"{why}; write missing: set_aside."))
    return problems


def _why_unreadable(
    twin: Twin,
    panel: Panel,
    name: str,
    cells: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
    expr: Expr,
) -> str:
    shares = {
        ref.name
        for e in expr.walk()
        if isinstance(e, Call) and e.function == "share"
        for ref in e.arguments
        if isinstance(ref, Ref)
    }
    for other in sorted(shares):
        trials = twin.indicators[other].trials
        if trials is not None and name in parse(trials).names():
            return (
                f"reads the share of '{other}', whose trials '{name}' have missing values to impute"
            )
    if name not in expr.names():
        return ""
    if any(isinstance(e, Across | Compare | Bool | Not) for e in expr.walk()):
        return (
            f"compares values of '{name}' or reads other units', which cannot be done while "
            f"missing values of '{name}' are imputed"
        )
    if twin.indicators[name].family in COUNTS:
        at = _undefined_at(twin, panel, name, cells, expr)
        if at:
            return (
                f"is undefined where '{name}' is {at}, which a missing count may be; write a form "
                f"that is defined there, such as log1p({name}), or leave these rows out"
            )
    return ""


def _undefined_at(
    twin: Twin,
    panel: Panel,
    name: str,
    cells: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
    expr: Expr,
) -> str:
    """Name the end of a count's support where an expression has no value, if it has elsewhere."""
    one = twin.indicators[name]
    recorded = np.asarray(panel.data[name].values, dtype=float)
    ends: dict[str, Any] = {"0": 0.0}
    if one.family == "bernoulli":
        ends["1"] = 1.0
    elif one.trials is not None:
        ends["all of its trials"] = evaluate(parse(one.trials), panel_environment(panel))

    def defined(value: Any) -> Any:
        values = np.where(cells, value, recorded)
        return np.isfinite(evaluate(expr, panel_environment(panel, {name: values})))

    # Half a count is inside every support, and no function of the language minds.
    inside = defined(0.5)
    return next((text for text, end in ends.items() if (inside & ~defined(end)).any()), "")


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
