"""Pointwise log-likelihoods on demand, by what is left out: a row, a unit, or the last period."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import SpecificationError, nearest
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.response import log_likelihood, row_extra, row_predictor

if TYPE_CHECKING:
    import xarray as xr

    from dotwin.inference.fit import Fit

__all__ = ["log_likelihood_tree"]

Floats = NDArray[np.float64]

LEAVE_OUT = ("row", "unit", "future")
#: Nodes of the quadrature over an effect that is integrated out.
NODES = 21
#: Newton steps towards the middle of an integrand; they begin at a posterior draw.
STEPS = 8
#: Numbers held at once: draws are taken in blocks below this many.
BLOCK = 8_000_000


def log_likelihood_tree(fit: Fit, indicator: str, leave_out: str) -> xr.DataTree:
    """Compute the log-likelihood of an indicator's rows or units.

    Parameters
    ----------
    fit : Fit
    indicator : str
    leave_out : {'row', 'unit', 'future'}

    Returns
    -------
    DataTree
        ``posterior`` and ``log_likelihood``, whose variable has the indicator's name and the dim
        ``<indicator>.row`` or the unit's.
    """
    import xarray as xr

    if leave_out not in LEAVE_OUT:
        raise SpecificationError(
            f"leave_out='{leave_out}' is not known. {nearest(leave_out, LEAVE_OUT)}"
        )
    design = fit.designs.get(indicator)
    if design is None:
        raise SpecificationError(
            f"'{indicator}' has no fitted mechanism. {nearest(indicator, fit.designs)}"
        )
    if design.rows == 0:
        raise SpecificationError(
            "this fit was saved without its panel, so it has no rows to evaluate."
        )
    unknown = [
        name
        for name in {
            indicator,
            *(n for e in design.equation.expressions.values() for n in e.names()),
        }
        if f"{name}.missing" in fit.tree["posterior"]
    ]
    if unknown:
        raise SpecificationError(
            f"missing values of {', '.join(sorted(unknown))} are imputed, so rows of '{indicator}' "
            f"have no density given the data alone; write missing: set_aside to compare models."
        )
    if leave_out != "row":
        _refuse_more_effects(design, fit.twin.unit if leave_out == "unit" else "period")
    draws = fit.draws()
    chains = int(fit.tree["posterior"].sizes["chain"])
    units, labels = list(fit.panel.units), fit.panel.period_labels
    rows = np.arange(design.rows)
    if leave_out == "future":
        rows = rows[design.period == design.period.max()]
    per_block = max(1, BLOCK // (max(rows.size, 1) * (NODES if leave_out != "row" else 1)))
    parts = []
    for start in range(0, len(draws), per_block):
        some = {n: v[start : start + per_block] for n, v in draws.values.items()}
        if leave_out == "row":
            parts.append(log_likelihood(design, some))
        elif leave_out == "unit":
            parts.append(_leave_out_unit(design, some, fit.twin.unit))
        else:
            parts.append(_leave_out_period(design, some, rows))
    values = np.concatenate(parts)
    values = values.reshape(chains, -1, values.shape[1])
    if leave_out == "unit":
        dim, names = fit.twin.unit, [units[u] for u in np.unique(design.unit)]
    else:
        dim = f"{indicator}.row"
        names = [f"{units[design.unit[r]]}, {labels[design.period[r]]}" for r in rows]
    posterior = fit.tree["posterior"].to_dataset()
    found = xr.Dataset(
        {indicator: (("chain", "draw", dim), values)},
        coords={"chain": posterior["chain"], "draw": posterior["draw"], dim: names},
    )
    return xr.DataTree.from_dict({"posterior": posterior, "log_likelihood": found})


def _refuse_more_effects(design: Design, of: str) -> None:
    """Refuse a mechanism with more than one effect of a unit or period to integrate out."""
    eq = design.equation
    more = [f"the slope of {t.name}" for t in eq.main.terms if of in t.varying]
    more += [f"the hidden cause {one.name}" for one in eq.factors if of in one.dims]
    for predictor in eq.predictors[1:]:
        if of in predictor.levels or (of == "period" and predictor.period):
            more.append(f"an effect of its own in the equation of its {predictor.role}")
        more += [f"the slope of {t.name} there" for t in predictor.terms if of in t.varying]
    if more:
        raise SpecificationError(
            f"'{design.child}' gives each {of} more than one effect ({', '.join(more)}), and one "
            f"can be integrated out; leave out a row instead."
        )


def _leave_out_unit(design: Design, parameters: dict[str, Floats], unit: str) -> Floats:
    """Integrate each unit's effect out of the density of all its rows, dims (draw, unit).

    Gauss-Hermite quadrature around the mode of each draw's integrand, at its curvature (Liu and
    Pierce 1994, doi 10.1093/biomet/81.3.624).
    """
    _, index = np.unique(design.unit, return_inverse=True)
    name = f"{design.child}.{unit}"
    if name not in parameters:
        return _sum_by(log_likelihood(design, parameters), index)
    codes = design.main.groups[unit]
    position = codes[np.unique(index, return_index=True)[1]]
    sd = parameters[f"{design.child}.sd_{unit}"][:, None]
    without = row_predictor(design.equation.main, design, parameters)
    without = without - parameters[name][:, codes]
    extra: dict[str, Any] = row_extra(design, parameters)

    def joint(effect: Floats) -> Floats:
        rows = design.equation.family.logp(
            design.y, without + effect[:, index], extra, design.trials
        )
        return _sum_by(rows, index) - 0.5 * (effect / sd) ** 2 - np.log(sd)

    centre, spread = _mode(joint, parameters[name][:, position], sd)
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    terms = [
        joint(centre + spread * node) + np.log(weight) + 0.5 * node**2
        for node, weight in zip(nodes, weights, strict=True)
    ]
    total = np.logaddexp.reduce(np.stack(terms), axis=0)
    return np.asarray(total + np.log(spread) - 0.5 * np.log(2.0 * np.pi))


def _mode(joint: Callable[[Floats], Floats], start: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """Climb to the mode of each integrand by Newton steps; return it and the scale around it."""
    at = np.array(start)
    for _ in range(STEPS):
        step = 1e-3 * np.broadcast_to(sd, at.shape)
        below, here, above = joint(at - step), joint(at), joint(at + step)
        slope = (above - below) / (2.0 * step)
        # Heavy tails bend the wrong way far out; the prior's own bend is the least there is.
        bend = np.maximum((2.0 * here - above - below) / step**2, 0.5 / sd**2)
        at = at + np.clip(slope / bend, -3.0 * sd, 3.0 * sd)
    return at, 1.0 / np.sqrt(bend)


def _leave_out_period(
    design: Design, parameters: dict[str, Floats], rows: NDArray[np.intp]
) -> Floats:
    """Integrate the last period's shock, and step of a walk, out of each row, dims (draw, row).

    A row of a new period is predicted alone, so the nodes lie where the shock's distribution does.
    """
    eq = design.equation
    last = int(design.period.max())
    variance: Any = 0.0
    without = row_predictor(eq.main, design, parameters, rows)
    if eq.main.period:
        variance = variance + parameters[f"{eq.child}.sd_period"] ** 2
        without = without - parameters[f"{eq.child}.period"][:, last, None]
    if eq.main.walk and last > 0:
        variance = variance + parameters[f"{eq.child}.sd_walk"] ** 2
        walk = parameters[f"{eq.child}.walk"]
        without = without + (walk[:, last - 1] - walk[:, last])[:, None]
    if np.ndim(variance) == 0:
        return log_likelihood(design, parameters, rows)
    extra: dict[str, Any] = row_extra(design, parameters, rows)
    trials = None if design.trials is None else design.trials[rows]
    sd = np.sqrt(variance)[:, None]
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    terms = [
        eq.family.logp(design.y[rows], without + sd * node, extra, trials) + np.log(weight)
        for node, weight in zip(nodes, weights, strict=True)
    ]
    total = np.logaddexp.reduce(np.stack(terms), axis=0)
    return np.asarray(total - 0.5 * np.log(2.0 * np.pi))


def _sum_by(values: Floats, groups: NDArray[np.intp]) -> Floats:
    """Sum columns by group, dims (draw, group)."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    return np.add.reduceat(values[:, order], starts, axis=1)
