"""Does the panel show what an intervention brings about?

Two questions are asked of every intervened indicator x.

*Is its new value, together with the other causes of what it acts on, anything that the panel
shows?* For every mechanism that reads x, its rows in the panel are placed by the other indicators
that it reads, each in sds. An intervened unit-period is *outside* when its x lies beyond the
range of x among the rows nearest to it. This looks at values jointly: a staffing level that
is ordinary for large homes may be unheard of for small ones.

*Is the change large against what units went through?* The mean absolute change is compared with
the sd of x within units, over time. In a cross-section, where units have no past, it is compared
with the sd between units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.worlds.start import all_reads, expressions_of
from dotwin.worlds.tables import number

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dotwin.worlds.contrast import Contrast
    from dotwin.worlds.futures import Futures
    from dotwin.worlds.program import Program

__all__ = ["Support", "contrast_by_support", "judge_support"]

#: Up to this share outside is what noise alone puts beyond the range of fifty neighbours.
_SUPPORTED_OUTSIDE = 0.05
_THIN_OUTSIDE = 0.25
#: A change of up to two sds is within what most units have gone through.
_SUPPORTED_CHANGE = 2.0
_THIN_CHANGE = 4.0
#: How many of the panel's rows are a neighbourhood, and how many points are looked up.
_NEIGHBOURS = 50
_POINTS = 4000
_POINTS_PER_UNIT = 20
_MOST_POINTS = 50_000
_MOST_ROWS = 50_000

Word = Literal["supported", "thin", "extrapolated"]
_RANK: dict[str, int] = {"supported": 0, "thin": 1, "extrapolated": 2}


@dataclass(frozen=True, eq=False)
class Support:
    """How far a scenario leaves what the panel shows.

    Parameters
    ----------
    scenario : str
    table : DataFrame
        A row per intervened indicator: ``outside`` (share of its changed unit-periods), ``change``
        (mean absolute change), ``usual`` (sd within units), ``in_sds``, ``verdict``.
    points : dict of str to (observed, intervened)
        By indicator: its values in the panel, and under the scenario where it acts.
    by_unit : dict of str to float array (unit,)
        By indicator: the share outside of each unit's changed values; 0 where nothing is changed.
    """

    scenario: str
    table: pd.DataFrame
    points: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    by_unit: dict[str, NDArray[np.float64]]

    @property
    def verdict(self) -> Word:
        """The worst verdict of its indicators."""
        words: list[Word] = self.table["verdict"].tolist()
        return max(words, key=_RANK.__getitem__, default="supported")

    @property
    def rank(self) -> int:
        """0 for supported, 1 for thin, 2 for extrapolated."""
        return _RANK[self.verdict]

    @property
    def extrapolated(self) -> NDArray[np.bool_]:
        """The units that have more than a quarter of their changed values outside, dims (unit,)."""
        return np.any([share > _THIN_OUTSIDE for share in self.by_unit.values()], axis=0)

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.table.empty:
            return f"'{self.scenario}' changes nothing."
        parts = []
        for row in self.table.to_dict("records"):
            size = (
                f"{number(row['in_sds'])} times what is usual within a unit"
                if np.isfinite(row["in_sds"])
                else "though no unit was ever seen to change"
            )
            parts.append(
                f"{row['indicator']} moves by {number(row['change'])}, {size}; "
                f"{row['outside']:.0%} of these values lie outside what the panel shows"
            )
        # An indicator's name stays as it is written, so it does not begin the sentence.
        return f"On average {'; '.join(parts)}."

    def __repr__(self) -> str:
        return f"Support of '{self.scenario}': {self.verdict}. {self.sentence}"

    def plot(self) -> Any:
        """Draw the intervened values over what the panel shows."""
        import importlib

        return importlib.import_module("dotwin.plots").plot_support(self)


def judge_support(
    futures: Futures, program: Program, units: NDArray[np.bool_] | None = None
) -> Support:
    """Judge a scenario's interventions against the panel.

    Parameters
    ----------
    futures : Futures
    program : Program
    units : bool array (unit,), optional
        Whose changes are judged; everybody's unless given.

    Returns
    -------
    Support
    """
    import pandas as pd

    rows, points, by_unit = [], {}, {}
    s = [p.name for p in futures.run.programs].index(program.name)
    for name in program.changes:
        if name not in futures.draws:
            continue
        new, base = futures.read(name)[s], futures.read(name)[0]
        observed = _observed(futures, name)
        new, base = _as_share(futures, name, new, s), _as_share(futures, name, base, 0)
        acts = np.zeros(new.shape, dtype=bool)
        for change in program.changes[name]:
            acts[:, :, change.strength > 0] = True
        some = any(
            change.where is not None or change.intervention.verb == "redeploy"
            for change in program.changes[name]
        )
        acts &= (new != base) if some else True
        acts &= np.isfinite(new) & np.isfinite(base)
        if units is not None:
            acts &= units[None, :, None]
        beyond, where = _outside(futures, s, name, acts)
        outside = float(beyond.mean()) if beyond.size else 0.0
        moved = float(np.abs(new - base)[acts].mean()) if acts.any() else 0.0
        usual = _usual_change(futures, observed)
        in_sds = moved / usual if usual > 0 else (0.0 if moved == 0 else np.inf)
        rows.append((name, outside, moved, usual, in_sds, _word(outside, in_sds)))
        points[name] = (observed[np.isfinite(observed)], new[where])
        by_unit[name] = _share_by_unit(beyond, where[1], new.shape[1])
    columns = ["indicator", "outside", "change", "usual", "in_sds", "verdict"]
    return Support(program.name, pd.DataFrame(rows, columns=columns), points, by_unit)


def _share_by_unit(
    beyond: NDArray[np.bool_], unit: NDArray[np.intp], units: int
) -> NDArray[np.float64]:
    total = np.bincount(unit, beyond, units)
    count = np.bincount(unit, minlength=units)
    return np.asarray(total / np.maximum(count, 1))


def _word(outside: float, in_sds: float) -> Word:
    if outside <= _SUPPORTED_OUTSIDE and in_sds <= _SUPPORTED_CHANGE:
        return "supported"
    if outside <= _THIN_OUTSIDE and in_sds <= _THIN_CHANGE:
        return "thin"
    return "extrapolated"


def _as_share(futures: Futures, name: str, values: Any, scenario: int) -> NDArray[np.float64]:
    """Turn counts with trials into shares."""
    trials = futures.twin.indicators[name].trials
    if trials is None or trials not in futures.draws:
        return np.asarray(values, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(values / futures.read(trials)[scenario], dtype=float)


def _observed(futures: Futures, name: str) -> NDArray[np.float64]:
    """Return the fitted panel's values, dims (unit, period); shares where there are trials."""
    panel = futures.fit.panel
    values = np.asarray(panel.values(name), dtype=float)
    trials = futures.twin.indicators[name].trials
    if trials is not None and trials in panel.indicators:
        with np.errstate(invalid="ignore", divide="ignore"):
            values = values / panel.values(trials)
    return np.where(panel.data["present"].values, values, np.nan)


def _usual_change(futures: Futures, observed: NDArray[np.float64]) -> float:
    """Return the sd within units, over time; between units in a cross-section."""
    known = np.isfinite(observed)
    if futures.run.future.frequency is None:
        return float(observed[known].std()) if known.any() else 0.0
    count = known.sum(axis=1, keepdims=True)
    filled = np.where(known, observed, 0.0)
    mean = filled.sum(axis=1, keepdims=True) / np.maximum(count, 1)
    squares = np.where(known, (observed - mean) ** 2, 0.0).sum()
    freedom = float(np.maximum(count - 1, 0).sum())
    return float(np.sqrt(squares / freedom)) if freedom else 0.0


def _neighbours_of(futures: Futures, name: str) -> tuple[str, ...]:
    """Return the other numeric indicators that the readers of one indicator read, or its own."""
    twin = futures.twin
    readers = {child for child, e in expressions_of(twin) if name in e.names() and child != name}
    chosen = readers or {name}
    found: dict[str, None] = {}
    for child, expression in expressions_of(twin):
        if child in chosen:
            found |= dict.fromkeys(other for other, _ in sorted(all_reads(twin, expression)))
    return tuple(
        other
        for other in found
        if other not in {name, *readers, twin.indicators[name].trials}
        and other in futures.draws
        and other in futures.fit.panel.indicators
    )


def _outside(
    futures: Futures, s: int, name: str, acts: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], tuple[NDArray[np.intp], ...]]:
    """Return which changed values lie beyond their neighbours' range, and where they are."""
    from scipy.spatial import cKDTree

    cells = np.flatnonzero(acts)
    if cells.size == 0:
        return np.zeros(0, dtype=bool), np.unravel_index(cells, acts.shape)
    units, periods = acts.shape[1:]
    step = max(1, cells.size // max(_POINTS, min(_POINTS_PER_UNIT * units, _MOST_POINTS)))
    # A step that shares no divisor with a draw's cells comes by every unit and period.
    while gcd(step, units * periods) > 1:
        step += 1
    where = np.unravel_index(cells[step // 2 :: step], acts.shape)
    others = _neighbours_of(futures, name)
    x = _observed(futures, name)
    places = [_observed(futures, other) for other in others]
    known = np.isfinite(x) & np.all([np.isfinite(p) for p in places], axis=0)
    rows = np.flatnonzero(known)[:: max(1, int(known.sum()) // _MOST_ROWS)]
    if rows.size == 0:
        return np.ones(len(where[0]), dtype=bool), where
    shown = x.ravel()[rows]
    asked = _as_share(futures, name, futures.read(name)[s], s)[where]
    low, high = np.full(asked.shape, shown.min()), np.full(asked.shape, shown.max())
    if others:
        own = np.column_stack([p.ravel()[rows] for p in places])
        new = np.column_stack([_as_share(futures, o, futures.read(o)[s], s)[where] for o in others])
        centre, sd = own.mean(axis=0), own.std(axis=0)
        sd = np.where(sd > 0, sd, 1.0)
        near = min(_NEIGHBOURS, rows.size)
        _, index = cKDTree((own - centre) / sd).query(np.nan_to_num((new - centre) / sd), k=near)
        index = index.reshape(len(asked), near)
        low, high = shown[index].min(axis=1), shown[index].max(axis=1)
    return (asked < low) | (asked > high), where


def contrast_by_support(
    contrast: Contrast, on: str | Sequence[str] | None, interval: float
) -> pd.DataFrame:
    """Summarise a contrast over all units, and over those whose changes the panel shows.

    Parameters
    ----------
    contrast : Contrast
    on : str or sequence of str, optional
    interval : float
    """
    import pandas as pd

    futures = contrast.futures
    everyone = futures.groups(None)
    inside = np.ones(len(everyone.codes), dtype=bool)
    for name in (contrast.name, contrast.against):
        if futures.program(name).scenario is not None:
            inside &= ~futures.support(name).extrapolated
    parts = [("all", everyone)]
    if inside.any():
        parts.append(("without extrapolated", everyone.only(inside)))
    tables = []
    for word, groups in parts:
        table = contrast.over_units(groups, on, interval)
        table.insert(0, "count", int((groups.codes >= 0).sum()))
        table.insert(0, "units", word)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
