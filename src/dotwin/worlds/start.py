"""Where futures start: the units, their last states, and the givens that the future holds.

Futures start at the panel's last period, from the units that are there. What keeps a unit out is
counted by reason and never passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import DataError, Problem, SpecificationError, nearest
from dotwin.spec.expressions import Call, Ref, parse
from dotwin.worlds.calendar import FuturePeriods
from dotwin.worlds.program import Program
from dotwin.worlds.world import Grouping, Membership

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dotwin.panel import Panel
    from dotwin.spec.expressions import Expr
    from dotwin.spec.twin import Twin

__all__ = [
    "Start",
    "all_reads",
    "expressions_of",
    "future_periods",
    "gather_start",
    "longest_lag",
    "needs_given",
]

_SEASONS = {"day": 7, "week": 52, "month": 12, "quarter": 4, "year": 1}


@dataclass(frozen=True, eq=False)
class Start:
    """The state from which worlds unfold.

    Parameters
    ----------
    members : Membership
        The units that are simulated.
    rows : int array (unit,)
        Their positions in the panel.
    past : int
        How many periods before the future are kept.
    facts : dict of str to array (unit, past)
        Each indicator's last values, the latest last; NaN or "" where missing.
    givens : dict of str to array (unit, period)
        Each given's values in the future.
    ordinals : int64 array (past + period,)
        The calendar's numbers of all periods.
    left_out : tuple of (reason, units)
        What kept units out.
    carried : tuple of str
        Units whose state is older than the panel's last period.
    """

    members: Membership
    rows: NDArray[np.intp]
    past: int
    facts: Mapping[str, NDArray[Any]]
    givens: Mapping[str, NDArray[Any]]
    ordinals: NDArray[np.int64]
    left_out: tuple[tuple[str, tuple[str, ...]], ...] = ()
    carried: tuple[str, ...] = ()

    def keep(
        self, kept: NDArray[np.bool_], reasons: Sequence[tuple[str, tuple[str, ...]]]
    ) -> Start:
        """Leave further units out, for the reasons given."""
        levels = {
            level: Grouping(one.codes[kept], one.names)
            for level, one in self.members.levels.items()
        }
        units = tuple(u for u, k in zip(self.members.units, kept, strict=True) if k)
        own = self.members.levels
        levels |= {
            level: Grouping(np.arange(len(units)), units)
            for level in own
            if own[level].names == self.members.units
        }
        return replace(
            self,
            members=Membership(units, levels),
            rows=self.rows[kept],
            facts={name: values[kept] for name, values in self.facts.items()},
            givens={name: values[kept] for name, values in self.givens.items()},
            left_out=(*self.left_out, *reasons),
            carried=tuple(u for u in self.carried if u in set(units)),
        )


def future_periods(panel: Panel, periods: int) -> FuturePeriods:
    """Return the periods that follow a panel's last one; a cross-section's own period."""
    layout = panel.twin.panel.period
    if layout is None:
        if periods != 1:
            raise SpecificationError(
                f"periods={periods}: '{panel.twin.name}' is a cross-section, whose one period is "
                f"replayed with new noise; leave periods out."
            )
        return FuturePeriods(None, np.zeros(1, dtype=np.int64))
    if periods < 1:
        raise SpecificationError(f"periods={periods}: at least one period is simulated.")
    last = int(panel.period_ordinals[-1])
    return FuturePeriods(layout.frequency, last + 1 + np.arange(periods, dtype=np.int64))


def expressions_of(twin: Twin) -> list[tuple[str, Expr]]:
    """List every expression that makes an indicator, with the indicator."""
    found: list[tuple[str, Expr]] = []
    for name, one in twin.indicators.items():
        texts = [*one.causes, one.trials, one.exposure, one.at_least, one.when, one.equals]
        texts += list(one.zeros.causes) if one.zeros is not None else []
        found += [(name, parse(text)) for text in texts if text is not None]
    return found


def longest_lag(twin: Twin, programs: Sequence[Program]) -> int:
    """Return how many periods back anything reads."""
    lags = [expression.max_lag for _, expression in expressions_of(twin)]
    for program in programs:
        for changes in program.changes.values():
            lags += [e.max_lag for change in changes for e in change.expressions]
    return max(lags, default=0)


def all_reads(twin: Twin, expression: Expr) -> frozenset[tuple[str, int]]:
    """Return the indicators and lags that an expression reads, the trials of shares among them."""
    found = set(expression.refs())
    for part in expression.walk():
        if isinstance(part, Call) and part.function == "share":
            (ref,) = part.arguments
            if isinstance(ref, Ref) and ref.name in twin.indicators:
                found.add((str(twin.indicators[ref.name].trials), ref.lag))
    return frozenset((name, lag) for name, lag in found if name in twin.indicators)


def needs_given(twin: Twin, programs: Sequence[Program]) -> frozenset[str]:
    """Return the givens without which some mechanism or intervention has no value."""
    needed = {name for program in programs for name in program.changes}
    for _, expression in expressions_of(twin):
        needed |= {name for name, _ in all_reads(twin, expression)}
    return frozenset(needed & set(twin.given))


def gather_start(
    twin: Twin,
    panel: Panel,
    programs: Sequence[Program],
    future: FuturePeriods,
    inputs: pd.DataFrame | None,
    carry_forward: int,
) -> Start:
    """Find the units that futures start from, their last states and their future givens.

    Parameters
    ----------
    twin : Twin
    panel : Panel
    programs : sequence of Program
    future : FuturePeriods
    inputs : DataFrame, optional
        Future values of givens: columns for unit and period, named as in the panel's table, and a
        column per given. Without the unit's column they are the same for all units, without the
        period's the same in all periods.
    carry_forward : int
        How many periods a unit may be absent at the end of the panel and still start, from its
        last state.

    Raises
    ------
    DataError
        When no unit is left, or the inputs do not fit.
    """
    cross_section = future.frequency is None
    past = 1 if cross_section else max(1, 2 * longest_lag(twin, programs))
    present = np.asarray(panel.data["present"].values, dtype=bool)
    ids = [str(unit) for unit in panel.units]
    # How many periods ago each unit was last there.
    behind = np.where(present.any(axis=1), present[:, ::-1].argmax(axis=1), present.shape[1])
    kept = behind <= (0 if cross_section else carry_forward)
    left_out = []
    if not kept.all():
        absent = tuple(u for u, k in zip(ids, kept, strict=True) if not k)
        left_out.append((f"absent in the panel's last period, {panel.period_labels[-1]}", absent))
    if not kept.any():
        raise DataError("no unit is present in the panel's last period, so no future starts there.")
    rows = np.flatnonzero(kept)
    units = tuple(ids[row] for row in rows)
    facts: dict[str, NDArray[Any]] = {}
    columns = present.shape[1] - behind[rows, None] - past + np.arange(past)
    for name in twin.indicators:
        if name not in panel.data:
            continue
        values = panel.data[name].values
        empty: Any = "" if values.dtype.kind in "OUT" else np.nan
        own = values[rows[:, None], np.maximum(columns, 0)]
        facts[name] = np.where(columns >= 0, own, empty)
    levels = {}
    for level in twin.panel.all_levels:
        codes, names = panel.groups(level)
        levels[level] = Grouping(np.asarray(codes)[rows], tuple(map(str, names)))
    levels[twin.unit] = Grouping(np.arange(len(units)), units)
    first = int(future.ordinals[0])
    ordinals = np.arange(first - past, first + len(future), dtype=np.int64)
    start = Start(
        members=Membership(units, levels),
        rows=rows,
        past=past,
        facts=facts,
        givens=_held(twin, panel, rows, behind[rows], future),
        ordinals=ordinals,
        left_out=tuple(left_out),
        carried=tuple(units[i] for i in np.flatnonzero(behind[rows] > 0)),
    )
    if inputs is not None:
        start = replace(start, givens=_with_inputs(twin, start, future, inputs))
    return _without_missing_givens(start, needs_given(twin, programs))


def _held(
    twin: Twin,
    panel: Panel,
    rows: NDArray[np.intp],
    behind: NDArray[np.intp],
    future: FuturePeriods,
) -> dict[str, NDArray[Any]]:
    """Let each given go on as its ``hold`` says."""
    count = len(future)
    found: dict[str, NDArray[Any]] = {}
    for name in twin.given:
        if name not in panel.data:
            continue
        values = panel.data[name].values[rows]
        last = values.shape[1] - 1 - behind
        index = np.arange(len(rows))
        hold = twin.indicators[name].hold
        recent = re.fullmatch(r"mean\((\d+)\)", hold)
        if future.frequency is None or hold == "last" or values.dtype.kind in "OUT":
            found[name] = np.repeat(values[index, last][:, None], count, axis=1)
        elif recent:
            columns = last[:, None] - np.arange(int(recent.group(1)))
            window = np.where(columns >= 0, values[index[:, None], np.maximum(columns, 0)], np.nan)
            known = np.isfinite(window)
            with np.errstate(invalid="ignore"):
                mean = np.where(known, window, 0.0).sum(axis=1) / known.sum(axis=1)
            found[name] = np.repeat(mean[:, None], count, axis=1)
        elif hold == "seasonal":
            cycle = _SEASONS[str(future.frequency)]
            ahead = np.arange(count) % cycle
            columns = last[:, None] - cycle + 1 + ahead
            found[name] = np.where(
                columns >= 0, values[index[:, None], np.maximum(columns, 0)], np.nan
            )
        else:
            raise SpecificationError(
                f"indicators > {name} > hold: '{hold}' is none of last, mean(4), seasonal."
            )
    return found


def _with_inputs(
    twin: Twin, start: Start, future: FuturePeriods, inputs: pd.DataFrame
) -> dict[str, NDArray[Any]]:
    """Put the given inputs in the place of what is held."""
    import pandas as pd

    layout = twin.panel
    unit_column = layout.columns.get(twin.unit, twin.unit)
    period_column = layout.period.column if layout.period else None
    keys = [c for c in (unit_column, period_column) if c is not None and c in inputs]
    problems = []
    names: dict[str, str] = {}
    by_column = {one.column or name: name for name, one in twin.indicators.items()}
    for column in map(str, inputs.columns):
        if column in keys:
            continue
        name = by_column.get(str(column), str(column))
        if name not in twin.indicators:
            hint = nearest(str(column), twin.given)
            problems.append(Problem("inputs", f"'{column}' is no given of the twin. {hint}"))
        elif not twin.indicators[name].is_given:
            problems.append(
                Problem("inputs", f"'{column}' has a mechanism; change it with an intervention.")
            )
        else:
            names[str(column)] = name
    if problems:
        raise DataError(problems)
    table = inputs.copy()
    if unit_column in keys:
        table[unit_column] = table[unit_column].astype(str)
    if period_column in keys:
        table[period_column] = [future.position(_as_date(v)) for v in table[period_column].tolist()]
    if len(table) > 1 and (not keys or bool(table.duplicated(keys).any())):
        raise DataError("inputs: more than one row for a unit and period.")
    axes: dict[str | None, list[Any]] = {
        unit_column: list(start.members.units),
        period_column: list(range(len(future))),
    }
    full = pd.MultiIndex.from_product([axes[k] for k in keys], names=keys) if keys else None
    found = dict(start.givens)
    for column, name in names.items():
        if full is None:
            block = np.full((1, 1), table[column].iloc[0])
        else:
            series = table.set_index(keys)[column].reindex(full)
            shape = tuple(len(axes[k]) if k in keys else 1 for k in (unit_column, period_column))
            block = series.to_numpy(copy=True).reshape(shape)
        if pd.isna(block).any():
            lacking = int(pd.isna(block).sum())
            raise DataError(
                f"inputs > {column}: {lacking} of {block.size} values that the future needs are "
                f"missing; give one for every unit and each of {future.labels[0]} … "
                f"{future.labels[-1]}."
            )
        text = name in found and found[name].dtype.kind in "OUT"
        block = block.astype(object) if text else block.astype(float)
        found[name] = np.broadcast_to(block, (len(start.members.units), len(future)))
    return found


def _as_date(value: Any) -> int | str:
    """Read a period of the inputs: a count from 1, or anything that names a date."""
    if isinstance(value, int | np.integer):
        return int(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())[:10]
    return str(value)


def _without_missing_givens(start: Start, needed: frozenset[str]) -> Start:
    reasons: list[tuple[str, tuple[str, ...]]] = []
    kept = np.ones(len(start.members.units), dtype=bool)
    for name in sorted(needed):
        if name not in start.givens:
            raise DataError(
                f"{name}: the panel has no column for this given, and a mechanism reads it."
            )
        values = start.givens[name]
        missing = values == "" if values.dtype.kind in "OUT" else np.isnan(values.astype(float))
        lacking = np.asarray(missing).any(axis=1) & kept
        if lacking.any():
            units = np.asarray(start.members.units, dtype=object)[lacking]
            reasons.append((f"{name} has no value to hold", tuple(units.tolist())))
            kept &= ~lacking
    if not kept.any():
        shown = "; ".join(f"{reason}: {len(units)} units" for reason, units in reasons)
        raise DataError(f"no unit can be simulated ({shown}).")
    return start.keep(kept, reasons) if reasons else start
