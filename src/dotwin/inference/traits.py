"""Unit traits: are group effects and shocks of different mechanisms as unrelated as claimed?"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.graph.twin_graph import TwinGraph
from dotwin.mechanisms.columns import natural_scale

if TYPE_CHECKING:
    from dotwin.inference.fit import Fit

__all__ = ["unit_traits", "within_between"]

#: Draws that suffice for the spread of a correlation.
DRAWS = 400
#: A correlation over fewer groups than this says nothing.
LEAST_GROUPS = 4
#: Normal quantiles that stand for the sampling error of each draw's correlation.
ERRORS = 101


def unit_traits(fit: Fit) -> pd.DataFrame:
    """Correlate the group effects and shocks of mechanisms joined by a path.

    Per draw the correlation over groups is taken. Even independent effects of few groups are
    correlated by chance, so the correlation in the population that the groups stand for is what is
    shown: Fisher's transform of each draw's, with its sampling variance 1 / (groups - 3) (Fisher
    1915, doi 10.2307/2331838).

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    DataFrame
        Columns of, first, second, groups, mean, "5%", "95%", verdict: 'contradicted' where the
        99 % interval leaves 0 out, since many pairs are looked at.
    """
    graph = TwinGraph(fit.twin)
    values = fit.draws(DRAWS).values
    rows: list[dict[str, Any]] = []
    for first, second in combinations(fit.designs, 2):
        if not (graph.reaches(first, second) or graph.reaches(second, first)):
            continue
        for of in (*fit.twin.panel.all_levels, "period"):
            a, b = values.get(f"{first}.{of}"), values.get(f"{second}.{of}")
            if a is None or b is None or a.shape[1] < LEAST_GROUPS:
                continue
            a = a - a.mean(axis=1, keepdims=True)
            b = b - b.mean(axis=1, keepdims=True)
            with np.errstate(invalid="ignore"):
                r = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
            r = r[np.isfinite(r)]
            if not r.size:
                continue
            lowest, low, middle, high, highest = _population(r, a.shape[1])
            rows.append(
                {
                    "of": of,
                    "first": first,
                    "second": second,
                    "groups": a.shape[1],
                    "mean": middle,
                    "5%": low,
                    "95%": high,
                    "verdict": "contradicted" if lowest > 0 or highest < 0 else "not contradicted",
                }
            )
    columns = ["of", "first", "second", "groups", "mean", "5%", "95%", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _population(r: NDArray[np.float64], groups: int) -> list[float]:
    """Quantiles and mean of the population's correlation: 0.5 %, 5 %, mean, 95 %, 99.5 %."""
    from scipy.special import ndtri

    errors = ndtri((np.arange(ERRORS) + 0.5) / ERRORS) / np.sqrt(groups - 3)
    limit = 1.0 - 1e-12
    spread = np.tanh(np.arctanh(np.clip(r, -limit, limit))[:, None] + errors)
    lowest, low, high, highest = np.quantile(spread, [0.005, 0.05, 0.95, 0.995])
    return [float(v) for v in (lowest, low, spread.mean(), high, highest)]


def within_between(fit: Fit) -> pd.DataFrame:
    """Set each cause's coefficient within units beside the one between units.

    Where they differ, units that have more of the cause differ in something else too: a stable
    trait that the graph does not show (Mundlak 1978, doi 10.2307/1913646).

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    DataFrame
        Columns indicator, cause, within, between, difference, "5%", "95%", verdict; coefficients
        per reference sd, the interval that of the difference.
    """
    values = fit.draws(2000).values
    rows: list[dict[str, Any]] = []
    for indicator, design in fit.designs.items():
        for predictor in design.equation.predictors:
            names = [term.name for term in predictor.terms]
            for k, term in enumerate(predictor.terms):
                if term.kind != "between":
                    continue
                j = names.index(term.name.removeprefix("between: "))
                draws = values[f"{predictor.prefix}.causes"]
                within = draws[:, j]
                if predictor.terms[j].natural:
                    sds = natural_scale(predictor.terms[j], design.reference)
                    within = within * sds / design.reference.multiplier
                gap = draws[:, k] - within
                low, high = np.quantile(gap, [0.05, 0.95])
                rows.append(
                    {
                        "indicator": indicator,
                        "cause": names[j],
                        "within": float(within.mean()),
                        "between": float(draws[:, k].mean()),
                        "difference": float(gap.mean()),
                        "5%": float(low),
                        "95%": float(high),
                        "verdict": "differ" if low > 0 or high < 0 else "agree",
                    }
                )
    columns = [
        "indicator", "cause", "within", "between", "difference", "5%", "95%", "verdict",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)
