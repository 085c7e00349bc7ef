"""What a panel knows of a window that is looked back on: facts, gaps in them, who is left out.

Worlds that look back start from the facts of all periods, not only from the last. A mechanism is
read in them where an intervention can reach it, so these are the cells that must be known: the
values of all that the intervention reaches, and of all that these mechanisms read. What is missing
of them is drawn given everything else that is known (`dotwin.worlds.evidence`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import DataError, SpecificationError
from dotwin.spec.expressions import Across, Expr, evaluate, parse
from dotwin.worlds.calendar import FuturePeriods
from dotwin.worlds.start import Start, all_reads, expressions_of
from dotwin.worlds.world import Grouping, Membership

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin

__all__ = ["Cell", "Facts", "Gaps", "Reads", "gather_facts", "mechanism_reads", "window_of"]

#: An indicator in a position of the window's time line.
Cell = tuple[str, int]

#: By indicator: what its mechanism reads, as (indicator, lag).
Reads = Mapping[str, frozenset[tuple[str, int]]]


@dataclass(frozen=True, eq=False)
class Gaps:
    """Missing facts, and the units that have them, apart from all others.

    Parameters
    ----------
    rows : int array (gap unit,)
        Positions of these units among those of the window.
    cells : tuple of (indicator, position)
        With a mechanism: these are drawn. Causes come first.
    computed : tuple of (indicator, position)
        Exact indicators that follow from what is drawn.
    start : Start
        Of these units alone, over all positions.
    values : dict of str to array (gap unit, position)
    assigned : dict of str to bool array (gap unit, position)
    """

    rows: NDArray[np.intp]
    cells: tuple[Cell, ...]
    computed: tuple[Cell, ...]
    start: Start
    values: Mapping[str, NDArray[Any]]
    assigned: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Facts:
    """The facts of a window and of all before it.

    Parameters
    ----------
    values : dict of str to array (unit, position)
        Position 0 lies before the panel's first period.
    known : int
        Positions before this one are looked back on; later ones lie in the future.
    assigned : dict of str to bool array (unit, position)
        Where somebody set an indicator: its value says nothing about its noise.
    gaps : Gaps or None
    unexplained : dict of str to int
        How often a draw of the parameters cannot give a fact, by indicator; counted as worlds are
        made.
    """

    values: Mapping[str, NDArray[Any]]
    known: int
    assigned: Mapping[str, NDArray[np.bool_]]
    gaps: Gaps | None = None
    unexplained: dict[str, int] = field(default_factory=dict)
    lock: Any = field(default_factory=Lock)

    def count_unexplained(self, name: str, count: int) -> None:
        """Count facts that a draw cannot give; threads share the count."""
        with self.lock:
            self.unexplained[name] = self.unexplained.get(name, 0) + count


def window_of(panel: Panel, periods: slice | str | Sequence[str] | None) -> slice:
    """Find a run of the panel's periods.

    Parameters
    ----------
    panel : Panel
    periods : slice, str or sequence of str, optional
        As in `Panel.select`, where every edge must lie in the panel; a label for one period; all
        periods unless given.

    Returns
    -------
    slice
        Of positions in the panel.

    Raises
    ------
    DataError
        When a period is not in the panel, or the run is empty.
    SpecificationError
        When a cross-section is asked for a period.
    """
    count = len(panel.period_labels)
    if panel.is_cross_section:
        if periods is not None:
            raise SpecificationError(
                f"periods={periods}: '{panel.twin.name}' is a cross-section, which has one period; "
                f"leave periods out."
            )
        return slice(0, 1)
    if periods is None:
        return slice(0, count)
    if isinstance(periods, slice):
        if periods.step not in (None, 1):
            raise DataError("periods of a panel follow each other; leave the slice's step out.")
        first = _edge(panel, periods.start, 0, 0)
        last = _edge(panel, periods.stop, count, 1)
    else:
        chosen = [periods] if isinstance(periods, str) else list(periods)
        found = sorted({panel.period_position(one) for one in chosen})
        if found and found[-1] - found[0] + 1 != len(found):
            raise DataError("periods of a panel follow each other; these leave gaps.")
        first, last = (found[0], found[-1] + 1) if found else (0, 0)
    if last <= first:
        raise DataError("periods: no period of the panel lies in this run.")
    return slice(first, last)


def _edge(panel: Panel, period: Any, otherwise: int, after: int) -> int:
    if period is None:
        return otherwise
    if isinstance(period, int | np.integer):
        count = len(panel.period_labels)
        if not -count <= int(period) <= count:
            raise DataError(
                f"periods: the panel has {count} periods, and {period} is none of them."
            )
        return int(period) % count if period < 0 else int(period)
    return panel.period_position(period) + after


def mechanism_reads(twin: Twin) -> Reads:
    """Return what each mechanism must know to be read; means over other units need no one."""
    found: dict[str, set[tuple[str, int]]] = {name: set() for name in twin.indicators}
    for child, expression in expressions_of(twin):
        found[child] |= _alone(twin, expression)
    return {child: frozenset(reads) for child, reads in found.items()}


def _alone(twin: Twin, expression: Expr) -> frozenset[tuple[str, int]]:
    across = [part for part in expression.walk() if isinstance(part, Across)]
    others = frozenset().union(*(all_reads(twin, part) for part in across))
    return all_reads(twin, expression) - others


def gather_facts(
    twin: Twin,
    panel: Panel,
    window: slice,
    reached: frozenset[str],
    ahead: Mapping[str, NDArray[Any]],
    future: FuturePeriods,
    among: NDArray[np.bool_] | None = None,
) -> tuple[Start, Facts]:
    """Take the facts of a window, leave out units that cannot be explained, and find the gaps.

    Parameters
    ----------
    twin : Twin
    panel : Panel
    window : slice
        Of positions in the panel.
    reached : frozenset of str
        The indicators whose mechanisms are read against the facts.
    ahead : dict of str to array (unit of the panel, period)
        Givens after the window.
    future : FuturePeriods
        The window's periods and those after it.
    among : bool array (unit of the panel,), optional
        Who is asked about; all unless given.

    Raises
    ------
    DataError
        When the window begins too early for the lags of its mechanisms, or no unit is left.
    """
    reads = mechanism_reads(twin)
    mechanisms = [name for name in twin.indicators if name in reached]
    lag = max((back for name in mechanisms for _, back in reads[name]), default=0)
    if window.start < lag and not panel.is_cross_section:
        labels = panel.period_labels
        first = labels[lag] if lag < len(labels) else "none that the panel has"
        raise DataError(
            f"periods: the mechanisms read {lag} {future.frequency}{'s' if lag > 1 else ''} back, "
            f"and the panel begins with {labels[0]}; the first period to look back on is {first}."
        )
    plan = _Plan(twin, panel, window, reads, lag, among)
    plan.require(mechanisms)
    kept = plan.kept
    if not kept.any():
        shown = "; ".join(f"{reason}: {len(units)} units" for reason, units in plan.reasons)
        raise DataError(f"no unit can be looked back on ({shown}).")
    start = _start(twin, panel, window, kept, ahead, future, tuple(plan.reasons))
    values = {name: array[kept] for name, array in plan.values.items()}
    assigned = {name: array[kept] for name, array in plan.assigned.items()}
    known = window.stop + 1
    gaps = plan.gaps(start, kept)
    shown_values = {name: array[:, :known] for name, array in values.items()}
    return start, Facts(shown_values, known, assigned, gaps)


class _Plan:
    """Which cells must be known, of whom, and what is missing of them."""

    def __init__(
        self,
        twin: Twin,
        panel: Panel,
        window: slice,
        reads: Reads,
        lag: int,
        among: NDArray[np.bool_] | None,
    ) -> None:
        self.twin, self.panel, self.window, self.reads = twin, panel, window, reads
        count = panel.data.sizes["period"]
        longest = max((back for found in reads.values() for _, back in found), default=0)
        #: One further position lies before the panel; what follows the window is evidence too.
        self.end = min(window.stop + longest, count)
        self.values = {
            name: _padded(twin, panel, name, self.end)
            for name in twin.indicators
            if name in panel.data
        }
        present = np.asarray(panel.data["present"].values, dtype=bool)
        inside = present[:, max(window.start - lag, 0) : window.stop].all(axis=1)
        asked = np.ones_like(inside) if among is None else among
        self.kept = inside & asked
        self.reasons: list[tuple[str, tuple[str, ...]]] = []
        self.ids = np.asarray([str(unit) for unit in panel.units], dtype=object)
        if (asked & ~inside).any():
            absent = tuple(self.ids[asked & ~inside].tolist())
            self.reasons.append(("absent in some period of the window", absent))
        self.assigned = self._assigned()
        self.missing: dict[Cell, NDArray[np.bool_]] = {}
        self.children: dict[tuple[str, int], list[str]] = {}
        for child, found in reads.items():
            for one in found:
                self.children.setdefault(one, []).append(child)

    def _assigned(self) -> dict[str, NDArray[np.bool_]]:
        found = {}
        for name, one in self.twin.indicators.items():
            if one.assigned is not None and one.assigned.column in self.panel.data:
                marks = np.asarray(self.panel.data[one.assigned.column].values) == 1
                found[name] = np.pad(marks[:, : self.end], ((0, 0), (1, 0)))
        return found

    def require(self, mechanisms: Sequence[str]) -> None:
        """Mark what the mechanisms of the window need, and what drawing it needs in turn."""
        waiting: list[tuple[str, int, NDArray[np.bool_], str | None]] = []
        for position in range(self.window.start + 1, self.window.stop + 1):
            for child in mechanisms:
                asked = self.kept & self._holds(child, position)
                if not self.twin.indicators[child].is_given:
                    waiting.append((child, position, asked, child))
                waiting += [(n, position - back, asked, child) for n, back in self.reads[child]]
        while waiting:
            name, position, asked, reader = waiting.pop()
            one = self.twin.indicators[name]
            missing = asked & self.kept & self._unknown(name, position)
            cell = (name, position)
            fresh = missing & ~self.missing.get(cell, np.zeros_like(missing))
            if not fresh.any():
                continue
            if one.is_given or position < 1:
                if reader is not None:
                    self._leave_out(fresh, f"{name} is not known, and {reader} depends on it")
                continue
            lags = [lag for _, lag in self.reads[name]]
            if position - max(lags, default=0) < 1 and not self.panel.is_cross_section:
                if reader is not None:
                    self._leave_out(fresh, f"{name} is missing in the panel's first periods")
                continue
            self.missing[cell] = self.missing.get(cell, np.zeros_like(missing)) | fresh
            own = None if reader is None else name
            waiting += [(n, position - lag, fresh, own) for n, lag in self.reads[name]]
            waiting += self._beside(name, position, fresh)

    def _beside(
        self, name: str, position: int, fresh: NDArray[np.bool_]
    ) -> list[tuple[str, int, NDArray[np.bool_], str | None]]:
        """List what must be known for the effects of a missing cell to tell of it."""
        found: list[tuple[str, int, NDArray[np.bool_], str | None]] = []
        for (cause, lag), children in self.children.items():
            if cause != name or position + lag > self.end:
                continue
            for child in children:
                if self.twin.indicators[child].equals is not None:
                    found.append((child, position + lag, fresh, None))
                found += [(n, position + lag - back, fresh, None) for n, back in self.reads[child]]
        return found

    def _unknown(self, name: str, position: int) -> NDArray[np.bool_]:
        if name not in self.values or position < 0:
            return np.ones(self.kept.shape, dtype=bool)
        values = self.values[name][:, position]
        unknown = values == "" if values.dtype.kind in "OUT" else np.isnan(values.astype(float))
        return np.asarray(unknown)

    def _holds(self, child: str, position: int) -> NDArray[np.bool_]:
        """Whether a mechanism may hold; where it does not, nothing that it reads matters."""
        when = self.twin.indicators[child].when
        if when is None:
            return np.ones(self.kept.shape, dtype=bool)
        environment = _Cells(self, position)
        fails: NDArray[np.bool_] = np.asarray(evaluate(parse(when), environment), dtype=float) == 0
        return ~fails

    def _leave_out(self, units: NDArray[np.bool_], reason: str) -> None:
        here = units & self.kept
        if here.any():
            self.reasons.append((reason, tuple(self.ids[here].tolist())))
            self.kept = self.kept & ~here

    def gaps(self, start: Start, kept: NDArray[np.bool_]) -> Gaps | None:
        """Gather the gaps of the units that are kept."""
        found = {cell: mask[kept] for cell, mask in self.missing.items() if mask[kept].any()}
        if not found:
            return None
        some = np.any(list(found.values()), axis=0)
        if self._joined():
            some = np.ones_like(some)
        rows = np.flatnonzero(some)
        order = {name: place for place, name in enumerate(self.twin.graph.order())}
        cells = sorted(found, key=lambda cell: (cell[1], order[cell[0]]))
        exact = [c for c in cells if self.twin.indicators[c[0]].equals is not None]
        first = int(start.ordinals[0])
        own = start.keep(some, ())
        whole = Start(
            members=own.members,
            rows=own.rows,
            past=self.end + 1,
            facts={},
            givens={},
            ordinals=np.arange(first, first + self.end + 1, dtype=np.int64),
        )
        return Gaps(
            rows=rows,
            cells=tuple(cell for cell in cells if cell not in exact),
            computed=tuple(exact),
            start=whole,
            values={name: array[kept][some] for name, array in self.values.items()},
            assigned={name: array[kept][some] for name, array in self.assigned.items()},
        )

    def _joined(self) -> bool:
        """Whether units tell of each other: through means over groups, or one value of a group."""
        outer = any(
            one.level not in (None, self.twin.unit) for one in self.twin.indicators.values()
        )
        return outer or any(
            isinstance(part, Across) for _, e in expressions_of(self.twin) for part in e.walk()
        )


class _Cells:
    """Reads conditions against the facts of one position."""

    def __init__(self, plan: _Plan, position: int) -> None:
        self.plan, self.position = plan, position

    def value(self, name: str, lag: int) -> Any:
        """Return the facts, dims (unit,)."""
        where = self.position - lag
        if where < 0 or name not in self.plan.values:
            return np.full(self.plan.kept.shape, np.nan)
        return self.plan.values[name][:, where]

    def trials(self, name: str, lag: int) -> Any:
        """Return the trials of an indicator that has them."""
        return self.value(str(self.plan.twin.indicators[name].trials), lag)

    def start(self, expression: Expr) -> Any:
        """Return the facts: a mechanism has no start."""
        return evaluate(expression, self)

    def across(self, function: str, values: Any, over: str, others: bool) -> Any:
        """Return nothing known: a condition on other units may hold."""
        return np.full(self.plan.kept.shape, np.nan)


def _padded(twin: Twin, panel: Panel, name: str, end: int) -> NDArray[Any]:
    """Put a position before the panel; a cross-section is its own past."""
    values = np.asarray(panel.data[name].values)[:, :end]
    if values.dtype.kind in "OUT":
        before: Any = values[:, :1] if panel.is_cross_section else np.full((len(values), 1), "")
        return np.concatenate([before.astype(object), values.astype(object)], axis=1)
    values = values.astype(float)
    before = values[:, :1] if panel.is_cross_section else np.full((len(values), 1), np.nan)
    return np.concatenate([before, values], axis=1)


def _start(
    twin: Twin,
    panel: Panel,
    window: slice,
    kept: NDArray[np.bool_],
    ahead: Mapping[str, NDArray[Any]],
    future: FuturePeriods,
    left_out: tuple[tuple[str, tuple[str, ...]], ...],
) -> Start:
    rows = np.flatnonzero(kept)
    units = tuple(str(unit) for unit in panel.units[rows])
    levels = {}
    for level in twin.panel.all_levels:
        codes, names = panel.groups(level)
        levels[level] = Grouping(np.asarray(codes)[rows], tuple(map(str, names)))
    levels[twin.unit] = Grouping(np.arange(len(units)), units)
    givens = {}
    for name in twin.given:
        if name in panel.data:
            here = np.asarray(panel.data[name].values)[rows, window]
            later = ahead.get(name)
            givens[name] = here if later is None else np.concatenate([here, later[rows]], axis=1)
    past = window.start + 1
    first = int(future.ordinals[0])
    return Start(
        members=Membership(units, levels),
        rows=rows,
        past=past,
        facts={
            name: _padded(twin, panel, name, window.stop)[rows, :past]
            for name in twin.indicators
            if name in panel.data
        },
        givens=givens,
        ordinals=np.arange(first - past, first + len(future), dtype=np.int64),
        left_out=left_out,
    )
