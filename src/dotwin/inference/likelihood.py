"""Pointwise log-likelihoods on demand, by what is left out: a row, a unit, or the last period."""

from __future__ import annotations

from collections.abc import Mapping
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
        else:
            of = fit.twin.unit if leave_out == "unit" else "period"
            parts.append(_integrated(design, some, of, rows, draws.values))
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


def _integrated(
    design: Design,
    parameters: dict[str, Floats],
    of: str,
    rows: NDArray[np.intp],
    posterior: Mapping[str, Floats],
) -> Floats:
    """Integrate the effects of a unit, or of a period, out of the likelihood.

    Gauss-Hermite quadrature. A unit's rows are integrated together, so its nodes lie where its
    effect's posterior does (Liu and Pierce 1994, doi 10.1093/biomet/81.3.624); a row of a new
    period is integrated alone, so its nodes lie where the shock's distribution does.
    """
    prefix = design.equation.main.prefix
    name, sd = f"{prefix}.{of}", parameters.get(f"{prefix}.sd_{of}")
    by_unit = of != "period"
    index = design.unit[rows] if by_unit else design.period[rows]
    if sd is None:
        each = log_likelihood(design, parameters, rows)
        return _sum_by(each, index) if by_unit else each
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    if by_unit:
        centre, spread = posterior[name].mean(axis=0)[None], posterior[name].std(axis=0)[None]
    else:
        centre, spread = np.zeros(1), sd[:, None]
    without = row_predictor(design.equation.main, design, parameters, rows)
    without = without - parameters[name][:, index]
    extra: dict[str, Any] = row_extra(design, parameters, rows)
    trials = None if design.trials is None else design.trials[rows]
    terms = []
    for node, weight in zip(nodes, weights, strict=True):
        effect = np.broadcast_to(centre + spread * node, parameters[name].shape)
        density = design.equation.family.logp(
            design.y[rows], without + effect[:, index], extra, trials
        )
        prior = -0.5 * (effect / sd[:, None]) ** 2 - np.log(sd[:, None])
        change = np.log(weight) + 0.5 * node**2 + np.log(spread) - 0.5 * np.log(2.0 * np.pi)
        outer = np.broadcast_to(prior + change, parameters[name].shape)
        if by_unit:
            terms.append(_sum_by(density, index) + outer[:, np.unique(index)])
        else:
            terms.append(density + outer[:, index])
    return np.asarray(np.logaddexp.reduce(np.stack(terms), axis=0))


def _sum_by(values: Floats, groups: NDArray[np.intp]) -> Floats:
    """Sum columns by group, dims (draw, group)."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    return np.add.reduceat(values[:, order], starts, axis=1)
