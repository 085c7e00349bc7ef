"""Were the warnings right? Probabilities of crossing set beside what then happened."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.errors import DataError, SpecificationError, nearest
from dotwin.worlds.scores import clustered_mean

if TYPE_CHECKING:
    from dotwin.effects.alerts.warning import EarlyWarning
    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.spec.expressions import Expr
    from dotwin.spec.scenario import Scenario

__all__ = ["WarningScores", "backtest_warning", "log_and_brier", "reliability_bands", "score"]

Floats = NDArray[np.float64]

#: A unit's own history counts half a crossing more, and half a period without (Jeffreys).
JEFFREYS = 0.5
#: Bands hold all groups of probabilities at once with this probability.
TOGETHER = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class WarningScores:
    """Warnings beside what then happened.

    Made by `EarlyWarning.score` and `Fit.backtest_warning`.

    Parameters
    ----------
    cases : DataFrame
        A row per unit and origin with a known outcome: ``unit``, ``origin`` (the last period that
        the warning knew), ``probability``, ``verdict``, ``crossed`` (1 or 0), ``history`` (the
        probability by the unit's own past, Jeffreys' prior on it) and ``acted``.
    threshold : str
    horizon : int
    unknown : int
        Cases whose outcome is not in the panel.
    """

    cases: pd.DataFrame
    threshold: str
    horizon: int
    unknown: int

    @cached_property
    def table(self) -> pd.DataFrame:
        """Scores of all cases, and of those with and without action apart.

        Columns: ``units`` (which cases), ``n``, ``crossed`` (share), ``expected`` (mean
        probability), ``log_score`` (larger is better) and ``brier`` (smaller is better) with
        standard errors clustered by unit, and the gains of both over each unit's own history,
        positive where the warning is better.
        """
        acted = self.cases["acted"].to_numpy(dtype=bool)
        parts = {"all": np.ones(acted.size, dtype=bool)}
        if acted.any():
            parts |= {"not acted on": ~acted, "acted on": acted}
        return pd.DataFrame([self._scored(name, mask) for name, mask in parts.items()])

    def _scored(self, name: str, mask: NDArray[np.bool_]) -> dict[str, Any]:
        part = self.cases[mask]
        row: dict[str, Any] = {
            "units": name,
            "n": len(part),
            "crossed": part["crossed"].mean(),
            "expected": part["probability"].mean(),
        }
        if part.empty:
            return row
        clusters = pd.factorize(part["unit"])[0].astype(np.intp)
        crossed = part["crossed"].to_numpy(dtype=float)
        own = log_and_brier(part["probability"].to_numpy(), crossed)
        past = log_and_brier(part["history"].to_numpy(), crossed)
        for k, (kind, sign) in enumerate((("log_score", 1.0), ("brier", -1.0))):
            row[kind], row[f"{kind}_se"] = clustered_mean(own[k], clusters)
            gain, error = clustered_mean(sign * (own[k] - past[k]), clusters)
            row |= {f"{kind}_gain": gain, f"{kind}_gain_se": error}
        return row

    @property
    def judged(self) -> pd.DataFrame:
        """The cases by which the warnings are judged: those where nobody acted."""
        return self.cases[~self.cases["acted"]]

    def reliability(self, groups: int = 10) -> pd.DataFrame:
        """Set expected beside observed crossings, in groups of like probability.

        Parameters
        ----------
        groups : int
            About so many, of equal size.

        Returns
        -------
        DataFrame
            See `reliability_bands`.
        """
        part = self.judged
        return reliability_bands(
            part["probability"].to_numpy(), part["crossed"].to_numpy(dtype=float), groups
        )

    @cached_property
    def calibrated(self) -> bool:
        """Whether every group of the reliability table lies inside its band."""
        return bool(self.reliability()["inside"].all())

    @cached_property
    def warns(self) -> str:
        """What action does to the verdict; empty where nobody acted."""
        acted = self.cases["acted"]
        if not acted.any():
            return ""
        return (
            f"Someone acted in {int(acted.sum()):,} of {len(acted):,} cases: there the model has "
            f"changed what it predicts, and a crossing that did not come is no proof that it was "
            f"wrong. It is judged by the other cases, which are no random part of all."
        )

    def __repr__(self) -> str:
        rows = self.table.set_index("units")
        row = rows.loc["not acted on" if "not acted on" in rows.index else "all"]
        word = "calibrated" if self.calibrated else "not calibrated"
        text = (
            f"Warnings of '{self.threshold}', {self.horizon} ahead: {row['n']:,.0f} cases, "
            f"{row['crossed']:.1%} crossed where {row['expected']:.1%} were expected; {word} by "
            f"groups of like probability; log score {row['log_score_gain']:+.4f} (± "
            f"{row['log_score_gain_se']:.4f}) and Brier score {row['brier_gain']:+.5f} (± "
            f"{row['brier_gain_se']:.5f}) better than each unit's own history."
        )
        return f"{text} {self.warns}".strip()

    def _repr_html_(self) -> str:
        html: str = self.table.to_html(index=False, float_format=lambda v: f"{v:.4g}")
        return f"<p>{self!r}</p>{html}"

    def plot(self) -> Any:
        """Draw observed against expected crossings, with bands."""
        return importlib.import_module("dotwin.plots").plot_reliability(self)


def log_and_brier(probability: Floats, crossed: Floats) -> tuple[Floats, Floats]:
    """Return the log score and the Brier score of each case.

    Parameters
    ----------
    probability : array, dims (case,)
    crossed : array, dims (case,)
        1 or 0.

    Returns
    -------
    log_score, brier : array, dims (case,)
        A crossing held impossible has a log score of minus infinity.

    Examples
    --------
    >>> log, brier = log_and_brier(np.array([0.5, 0.9]), np.array([1.0, 1.0]))
    >>> log.round(3).tolist(), brier.round(3).tolist()
    ([-0.693, -0.105], [0.25, 0.01])
    """
    with np.errstate(divide="ignore"):
        logs = np.log(np.where(crossed == 1.0, probability, 1.0 - probability))
    return np.asarray(logs), np.asarray((probability - crossed) ** 2)


def reliability_bands(probability: Floats, crossed: Floats, groups: int = 10) -> pd.DataFrame:
    """Set expected beside observed crossings, in groups of like probability.

    Were every probability right, a group's count would be a sum of independent yes-or-no values
    with these probabilities. The band holds the observed shares of all groups together with
    probability 95 % (Šidák's level for each). It knows nothing of shocks that all units of a
    period share: these move all groups one way, and a model that allows for them is judged too
    strictly where the cases come from few periods.

    Parameters
    ----------
    probability, crossed : array, dims (case,)
    groups : int
        About so many, of equal size; equal probabilities stay together.

    Returns
    -------
    DataFrame
        Columns ``from``, ``to`` (probabilities), ``n``, ``expected``, ``observed``, ``low``,
        ``high``, ``inside``.

    References
    ----------
    .. [1] Bröcker, J. and Smith, L. A. (2007). Increasing the reliability of reliability diagrams.
       doi:10.1175/WAF993.1

    Examples
    --------
    >>> reliability_bands(np.full(50, 0.5), np.tile([0.0, 1.0], 25), 5)["inside"].tolist()
    [True]
    """
    edges = np.unique(np.quantile(probability, np.linspace(0.0, 1.0, groups + 1)))
    codes = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, edges.size - 2)
    codes = np.maximum(codes, 0)
    present = np.unique(codes)
    outside = 1.0 - TOGETHER ** (1.0 / present.size)
    rows = []
    for code in present:
        own, seen = probability[codes == code], crossed[codes == code]
        below = np.cumsum(_chances_of_counts(own))
        low = np.searchsorted(below, outside / 2.0, side="right") / own.size
        high = np.searchsorted(below, 1.0 - outside / 2.0) / own.size
        observed = float(seen.mean())
        rows.append(
            {
                "from": own.min(),
                "to": own.max(),
                "n": own.size,
                "expected": own.mean(),
                "observed": observed,
                "low": low,
                "high": high,
                "inside": bool(low <= observed <= high),
            }
        )
    return pd.DataFrame(rows)


def _chances_of_counts(probability: Floats) -> Floats:
    """Return how probable each count of crossings is, from 0 to all, of unrelated cases."""
    parts = [np.array([1.0 - p, p]) for p in probability]
    while len(parts) > 1:
        joined = [np.convolve(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = joined + parts[2 * len(joined) :]
    return parts[0]


def score(
    warnings: Sequence[EarlyWarning], panel: Panel, *, acted: str | Sequence[str] = ()
) -> WarningScores:
    """Set warnings from one or several origins beside what then happened.

    A unit crossed when its condition held in a period of the horizon, and did not when the panel
    knows that it held in none; else its outcome is unknown, and the case is left out and counted.

    Parameters
    ----------
    warnings : sequence of EarlyWarning
        Of one threshold and horizon.
    panel : Panel
        That reaches over their horizons.
    acted : str or sequence of str
        Ids of units, or the name of an indicator that is 1 in a period where someone acted.

    Returns
    -------
    WarningScores

    Raises
    ------
    DataError
        When no outcome is known.
    """
    parts, unknown = [], 0
    for warning in warnings:
        ahead = observed_crossings(warning.condition, panel)
        start, last = warning.run.start, warning.run.panel.period_ordinals[-1]
        rows = panel.units.get_indexer(pd.Index(list(start.members.units)))
        place = {int(number): t for t, number in enumerate(panel.period_ordinals)}
        columns = [
            place[n] for n in warning.run.start.ordinals[start.past :].tolist() if n in place
        ]
        window = np.full((rows.size, warning.horizon), np.nan)
        window[:, : len(columns)] = ahead[rows[:, None], columns]
        window[rows < 0] = np.nan
        crossed = np.where((window == 1.0).any(axis=1), 1.0, 0.0)
        known = (crossed == 1.0) | ~np.isnan(window).any(axis=1)
        unknown += int((~known).sum())
        # Half a path is as fine as simulation knows a probability.
        least = 0.5 / warning.paths
        parts.append(
            pd.DataFrame(
                {
                    "unit": list(start.members.units),
                    "origin": warning.run.panel.period_labels[-1],
                    "probability": np.clip(warning.probability, least, 1.0 - least),
                    "verdict": warning.verdicts,
                    "crossed": crossed,
                    "history": _history(ahead, rows, panel.period_ordinals <= last, len(columns)),
                    "acted": _acted(panel, acted, rows, columns, start.members.units),
                }
            )[known]
        )
    cases = pd.concat(parts, ignore_index=True)
    if cases.empty:
        raise DataError("the panel knows no outcome of the warnings: it ends before their horizon.")
    return WarningScores(cases, warnings[0].threshold, warnings[0].horizon, unknown)


def observed_crossings(condition: Expr, panel: Panel) -> Floats:
    """Return whether the condition held in the panel, 1, 0 or missing; dims (unit, period)."""
    from dotwin.mechanisms.design import panel_environment
    from dotwin.spec.expressions import evaluate

    shape = (len(panel.units), len(panel.period_labels))
    environment = panel_environment(panel)
    with np.errstate(all="ignore"):
        values = np.asarray(evaluate(condition, environment), dtype=float)
    known = np.asarray(panel.data["present"].values, dtype=bool)
    for name in condition.names() & set(panel.indicators):
        array = panel.values(name)
        known &= array != "" if array.dtype.kind in "OUT" else np.isfinite(array.astype(float))
    return np.where(known, np.broadcast_to(values, shape), np.nan)


def _history(
    ahead: Floats, rows: NDArray[np.intp], past: NDArray[np.bool_], periods: int
) -> Floats:
    """Return the probability of a crossing by each unit's own past, with Jeffreys' prior."""
    own = ahead[rows][:, past]
    count, crossed = np.isfinite(own).sum(axis=1), np.nansum(own, axis=1)
    each = (crossed + JEFFREYS) / (count + 2.0 * JEFFREYS)
    return np.asarray(1.0 - (1.0 - each) ** max(periods, 1))


def _acted(
    panel: Panel,
    acted: str | Sequence[str],
    rows: NDArray[np.intp],
    columns: Sequence[int],
    units: Sequence[str],
) -> NDArray[np.bool_]:
    """Return on which units someone acted."""
    if isinstance(acted, str):
        if acted not in panel.indicators:
            raise SpecificationError(
                f"acted='{acted}': the panel has no such indicator. "
                f"{nearest(acted, panel.indicators)}"
            )
        values = panel.values(acted).astype(float)[rows[:, None], list(columns)]
        return np.asarray((values == 1.0).any(axis=1))
    chosen = {str(unit) for unit in acted}
    strangers = sorted(chosen - set(map(str, panel.units)))
    if strangers:
        raise SpecificationError(
            f"acted: there is no {panel.twin.unit} '{strangers[0]}' in the panel."
        )
    return np.array([unit in chosen for unit in units], dtype=bool)


def backtest_warning(
    fit: Fit,
    threshold: str,
    *,
    horizon: int,
    origins: int = 4,
    alert_at: float = 0.5,
    acted: str | Sequence[str] = (),
    draws: int = 200,
    replicates: int = 20,
    progress: bool = True,
) -> WarningScores:
    """Refit on shortened panels, warn, and set the warnings beside what then happened.

    Inputs without a mechanism are held at their last values, as they would have been: nothing of
    what came later is known to a warning. Where someone acted on alerts (``acted``), the model has
    changed what it predicts: units with and without action are reported apart.

    Parameters
    ----------
    fit : Fit
    threshold : str
    horizon : int
    origins : int
        How many last periods to warn from, of those whose horizon the panel holds.
    alert_at : float
    acted : str or sequence of str
        Ids of units, or the name of an indicator that is 1 in a period where someone acted.
    draws, replicates : int
    progress : bool

    Returns
    -------
    WarningScores

    Raises
    ------
    DataError
        When the panel is too short, or the fit was saved without it.
    """
    from dotwin.effects.alerts.early_warning import early_warning
    from dotwin.worlds.backtest import FEWEST_PERIODS, progress_of, refits

    if min(origins, horizon) < 1:
        raise SpecificationError("origins and horizon are counts of 1 or more.")
    if any(design.rows == 0 for design in fit.designs.values()):
        raise DataError("this fit was saved without its panel, so it cannot be backtested.")
    last = len(fit.panel.period_labels) - horizon
    first = max(d.equation.max_lag for d in fit.designs.values()) + FEWEST_PERIODS
    cuts = [cut for cut in range(last - origins + 1, last + 1) if cut >= first]
    if not cuts:
        raise DataError(
            f"the panel has {len(fit.panel.period_labels)} periods; to fit on {first} and warn "
            f"{horizon} ahead takes {first + horizon} or more."
        )
    nothing: tuple[Scenario, ...] = ()
    found = []
    with progress_of(progress, len(cuts)) as advance:
        for _, earlier in refits(fit, fit.panel, cuts, None):
            found.append(
                early_warning(
                    earlier,
                    threshold,
                    horizon=horizon,
                    seed=fit.settings.seed,
                    alert_at=alert_at,
                    interventions=nothing,
                    draws=draws,
                    replicates=replicates,
                )
            )
            advance()
    return score(found, fit.panel, acted=acted)
