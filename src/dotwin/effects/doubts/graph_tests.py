"""Is the graph wrong? Every independence that it implies, tested on what mechanisms leave over."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.effects.doubts.innovations import Innovations, innovations
from dotwin.effects.doubts.permuted_graphs import PermutedGraphs, permuted_graphs
from dotwin.errors import DataError

if TYPE_CHECKING:
    from dotwin.graph.implications import Implication
    from dotwin.inference import Fit
    from dotwin.spec.twin import Twin

__all__ = ["GraphTest", "bootstrap_correlations", "holm", "named", "test_graph"]

Floats = NDArray[np.float64]

#: The probability of contradicting any implication of a right graph.
LEVEL = 0.05
#: Power is the partial correlation that would have been seen with this probability.
SEEN = 0.8
#: Fewer units than this say nothing by resampling.
FEWEST_UNITS = 10
#: Posterior draws over which residuals are averaged.
DRAWS = 60
BOOTSTRAPS = 1000


@dataclass(frozen=True, eq=False, repr=False)
class GraphTest:
    """What the data say against a graph.

    Made by `Fit.test_graph`.

    Parameters
    ----------
    table : DataFrame
        A row per implied independence: ``effect``, ``cause``, ``lag``, ``n`` (unit-periods),
        ``units``, ``correlation`` (partial), its interval ``2.5%`` to ``97.5%`` over resampled
        units, ``p``, ``p_holm`` (allowing for all tests), ``power_at`` (the partial correlation
        that would have been seen with probability 80 % at Holm's level) and ``verdict``:
        'contradicted', 'not contradicted' or 'not testable'.
    permuted : PermutedGraphs or None
        The graph against those with its indicators' places exchanged.
    traits, between : DataFrame
        As in `Fit.diagnose`: correlations of unit effects and shocks across mechanisms, and the
        coefficients within against those between units.
    exploratory : bool
        Whether the graph was changed after these units had spoken.
    rival : Twin or None
        The graph before it was changed.
    note : str
        What is said of the change; empty without one.
    """

    table: pd.DataFrame
    permuted: PermutedGraphs | None
    traits: pd.DataFrame
    between: pd.DataFrame
    exploratory: bool
    rival: Twin | None
    note: str

    @property
    def passed(self) -> bool:
        """Whether no implied independence is contradicted."""
        return not bool((self.table["verdict"] == "contradicted").any())

    @property
    def suggestions(self) -> pd.DataFrame:
        """The arrows that the data ask for, most strongly first: suggestions, not findings."""
        asked = self.table[self.table["verdict"] == "contradicted"].copy()
        asked["suggestion"] = [
            f"something joins {effect} and {named(cause, lag)}: an arrow, or a cause that no "
            f"column records"
            for effect, cause, lag in _pairs(asked)
        ]
        kept = ["effect", "cause", "lag", "correlation", "p_holm", "suggestion"]
        return asked.sort_values("p")[kept].reset_index(drop=True)

    @cached_property
    def text(self) -> str:
        """The finding in a few sentences."""
        tested = self.table[self.table["verdict"] != "not testable"]
        bad = tested[tested["verdict"] == "contradicted"]
        if tested.empty:
            finding = "The graph implies no independence that these data can test."
        elif bad.empty:
            finding = (
                f"Not contradicted: none of {len(tested)} implied independences fails; would have "
                f"seen a partial correlation of {tested['power_at'].median():.2g} in half of them "
                f"and of {tested['power_at'].max():.2g} in all, with probability {SEEN:.0%}."
            )
        else:
            worst = bad.sort_values("p").head(3)
            pairs = [
                f"{effect} ⟂ {named(cause, lag)} (partial correlation {value:.2g})"
                for (effect, cause, lag), value in zip(
                    _pairs(worst), worst["correlation"], strict=True
                )
            ]
            finding = (
                f"Contradicted: {len(bad)} of {len(tested)} implied independences fail, "
                f"{'; '.join(pairs)}."
            )
        parts = [finding]
        if self.permuted is not None:
            parts.append(self.permuted.sentence)
        if len(self.traits):
            odd = int((self.traits["verdict"] == "contradicted").sum())
            parts.append(
                f"Unit effects and shocks: {odd} of {len(self.traits)} pairs of mechanisms are "
                f"correlated where none should be."
            )
        if self.note:
            parts.append(self.note)
        return " ".join(parts)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        html: str = self.table.to_html(index=False, float_format=lambda v: f"{v:.3g}")
        return f"<p>{self.text}</p>{html}"

    def summary(self) -> pd.DataFrame:
        """Return the table of implied independences."""
        return self.table

    def plot(self) -> Any:
        """Draw each partial correlation with its interval and what would have been seen."""
        return importlib.import_module("dotwin.plots").plot_graph_test(self)


def named(cause: str, lag: int) -> str:
    """Write an indicator with its lag, as in ``pay[-1]``."""
    return f"{cause}[-{lag}]" if lag else cause


def _pairs(table: pd.DataFrame) -> list[tuple[str, str, int]]:
    columns = (table[name].tolist() for name in ("effect", "cause", "lag"))
    return list(zip(*columns, strict=True))


def test_graph(
    fit: Fit, *, seed: int, original: Fit | None = None, permutations: int = 200
) -> GraphTest:
    """Test every conditional independence that a fitted twin's graph implies.

    Under the graph, what a mechanism leaves unexplained of its indicator, given its direct causes,
    group effects and shocks, is independent of the noise of every indicator that it does not
    cause (and of the givens). Residuals are correlated with those of each other indicator, at each
    lag without an arrow, once what the effect's own causes explain linearly is taken out of them.
    Of an indicator's own past, the correlation that estimating unit effects makes is taken off.
    Standard errors come from resampling whole units, multiplicity is handled by Holm's method.

    A graph cannot be proven by this. ``power_at`` says how strong a missing arrow would have to be
    to be seen; a hidden cause that mimics the arrows drawn is never seen.

    Parameters
    ----------
    fit : Fit
    seed : int
    original : Fit, optional
        The fit whose data suggested a changed graph. Where its units are tested again, the result
        is marked exploratory; units that had no part in the change re-test it.
    permutations : int
        Graphs with exchanged places to compare with; 0 for none.

    Returns
    -------
    GraphTest

    Raises
    ------
    DataError
        When there are fewer than ten units to resample.

    References
    ----------
    .. [1] Ankan, A., Wortel, I. M. N. and Textor, J. (2021). Testing graphical causal models using
       the R package dagitty. doi:10.1002/cpz1.45
    .. [2] Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian
       Journal of Statistics 6(2), 65-70.
    .. [3] Eulig, E. et al. (2023). Toward falsifying causal graphs using a permutation-based test.
       doi:10.48550/arXiv.2305.09565
    """
    if len(fit.panel.units) < FEWEST_UNITS:
        raise DataError(
            f"the panel has {len(fit.panel.units)} units; resampling whole units takes "
            f"{FEWEST_UNITS} or more."
        )
    claims = fit.twin.graph.implications()
    longest = max((one.lag for one in claims if one.cause == one.effect), default=0)
    left = {
        name: innovations(fit, name, seed=seed + k, draws=DRAWS, longest=longest)
        for k, name in enumerate(fit.twin.stochastic)
    }
    rng = np.random.default_rng(seed)
    found = [_tested(fit, one, left, rng) for one in claims]
    columns = [
        "effect", "cause", "lag", "n", "units", "correlation", "error", "2.5%", "97.5%", "p",
    ]  # fmt: skip
    table = _judged(pd.DataFrame(found, columns=columns))
    diagnosis = fit.diagnose()
    exploratory, note = _changed(fit, original)
    return GraphTest(
        table=table,
        permuted=permuted_graphs(fit, rng, permutations) if permutations else None,
        traits=diagnosis.traits,
        between=diagnosis.between,
        exploratory=exploratory,
        rival=original.twin if original is not None else None,
        note=note,
    )


# pytest would take an imported function of this name for a test.
test_graph.__test__ = False  # type: ignore[attr-defined]


def _tested(
    fit: Fit, one: Implication, left: dict[str, Innovations], rng: np.random.Generator
) -> dict[str, Any]:
    """Correlate an effect's residuals with another indicator, whole units resampled."""
    design = fit.designs[one.effect]
    rows, period = design.unit, design.period - one.lag
    known = period >= 0
    other = left[one.cause].mean if one.cause in left else _given(fit, one)
    x = np.full(rows.size, np.nan)
    if other is not None:
        x[known] = other[rows[known], period[known]]
    r = left[one.effect].mean[rows, design.period]
    together = np.zeros(rows.size)
    if one.cause == one.effect:
        together = left[one.effect].shared[one.lag][rows, design.period]
    used = np.isfinite(r) & np.isfinite(x)
    row: dict[str, Any] = {
        "effect": one.effect, "cause": one.cause, "lag": one.lag, "n": int(used.sum()),
        "units": int(np.unique(rows[used]).size),
        "correlation": np.nan, "error": np.nan, "2.5%": np.nan, "97.5%": np.nan, "p": np.nan,
    }  # fmt: skip
    if row["units"] < FEWEST_UNITS:
        return row
    read = [part.columns[used] for part in design.predictors]
    columns = np.column_stack([np.ones(int(used.sum())), *read])
    x, r = (_without(columns, v[used]) for v in (x, r))
    if min(x.std(), r.std()) < 1e-9:
        return row
    value, error, ends = bootstrap_correlations(x, r, rows[used], rng, together[used])
    from scipy.stats import t as student

    p = 2.0 * float(student.sf(abs(value) / error, row["units"] - 1)) if error > 0 else np.nan
    return row | {
        "correlation": value, "error": error, "2.5%": ends[0], "97.5%": ends[1], "p": p,
    }  # fmt: skip


def _given(fit: Fit, one: Implication) -> Floats | None:
    """Return a given's values, the unit's mean taken off where the effect is pooled by unit."""
    if one.cause not in fit.panel.indicators:
        return None
    values = fit.panel.values(one.cause)
    if values.dtype.kind in "OUT":
        return None
    values = values.astype(float)
    counts = np.isfinite(values).sum(axis=1, keepdims=True)
    mean = np.nansum(values, axis=1, keepdims=True) / np.maximum(counts, 1)
    varies = bool(np.nanmax(np.abs(values - mean), initial=0.0) > 1e-12)
    if not varies and one.lag:
        return None  # the same numbers as at lag 0
    if fit.twin.unit in fit.designs[one.effect].equation.main.levels:
        # The unit's own effect has taken up what never changes within it.
        return values - mean if varies else None
    return values


def _without(columns: Floats, values: Floats) -> Floats:
    """Take out of values what columns explain linearly."""
    coefficients, *_ = np.linalg.lstsq(columns, values, rcond=None)
    return np.asarray(values - columns @ coefficients)


def bootstrap_correlations(
    x: Floats,
    y: Floats,
    units: NDArray[np.intp],
    rng: np.random.Generator,
    together: Floats | float = 0.0,
) -> tuple[float, float, tuple[float, float]]:
    """Return a correlation with its standard error and 95 % interval, whole units resampled.

    Parameters
    ----------
    x, y : array, dims (row,)
        Of mean 0.
    units : int array, dims (row,)
    rng : numpy.random.Generator
    together : array, dims (row,)
        What is added to each product: the covariance that averaging x and y has taken away.

    Returns
    -------
    correlation, error : float
    interval : tuple of float
    """
    _, codes = np.unique(units, return_inverse=True)
    sums = np.stack(
        [np.bincount(codes, weights=w) for w in (x * y + together, x * x, y * y)], axis=1
    )
    count = sums.shape[0]
    weights = rng.multinomial(count, np.full(count, 1.0 / count), size=BOOTSTRAPS)
    xy, xx, yy = (weights @ sums).T
    again = xy / np.sqrt(np.maximum(xx * yy, 1e-300))
    whole = sums.sum(axis=0)
    value = float(whole[0] / np.sqrt(whole[1] * whole[2]))
    low, high = np.quantile(again, [0.025, 0.975])
    return value, float(again.std(ddof=1)), (float(low), float(high))


def holm(p: Floats) -> Floats:
    """Return p values that allow for each other by Holm's step-down method.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    result = np.empty(p.size)
    result[order] = np.minimum(stepped, 1.0)
    return result


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    from scipy.stats import norm

    known = table["p"].notna().to_numpy()
    table["p_holm"] = np.nan
    table.loc[known, "p_holm"] = holm(table.loc[known, "p"].to_numpy(dtype=float))
    size = max(int(known.sum()), 1)
    far = norm.isf(LEVEL / (2.0 * size)) + norm.ppf(SEEN)
    table["power_at"] = far * table.pop("error")
    words = np.where(table["p_holm"] < LEVEL, "contradicted", "not contradicted").astype(object)
    words[~known] = "not testable"
    table["verdict"] = words
    return table


def _changed(fit: Fit, original: Fit | None) -> tuple[bool, str]:
    """Say whether the graph was changed, and whether the same units had asked for it."""
    if original is None:
        return False, ""

    def drawn(one: Fit) -> set[tuple[str, str, int]]:
        return {(a.cause, a.effect, a.lag) for a in one.twin.graph.arrows}

    if drawn(fit) == drawn(original) and fit.twin.hidden_causes == original.twin.hidden_causes:
        return False, "The graph is the original one."
    shared = len(set(map(str, fit.panel.units)) & set(map(str, original.panel.units)))
    if shared:
        return True, (
            f"Exploratory: the graph was changed after seeing the data, and {shared:,} of "
            f"{len(fit.panel.units):,} units had a part in that. Test it on units held back; the "
            f"original graph stays as a rival."
        )
    return False, (
        f"The graph was changed after seeing other units, and is re-tested here on "
        f"{len(fit.panel.units):,} that had no part in that; the original graph stays as a rival."
    )
