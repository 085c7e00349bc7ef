"""What a panel holds and lacks: missing, late, impossible, thin; in tables and in words."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from dotwin.panel.accounting import residual_name
from dotwin.panel.layout import agreeing, counted, groups_of, known, labels_of, listing
from dotwin.spec.twin import Twin

__all__ = ["IMPOSSIBLE_COLUMNS", "Quality", "assess"]

type Bools = NDArray[np.bool_]

IMPOSSIBLE_COLUMNS = ["indicator", "unit", "period", "value", "reason"]

#: Fewer members than this say little about how members differ within their group.
FEW_UNITS = 5
#: Fewer periods than this say little about how a unit changes.
FEW_ROWS = 3
#: A share of missing values that a reader should know about before anything else.
MUCH_MISSING = 0.2


@dataclass(frozen=True, eq=False)
class Quality:
    """The quality of a panel's data.

    Parameters
    ----------
    table : DataFrame
        A row per indicator: rows, values missing and impossible, share of zeros, first and last
        period with a value, units without any.
    coverage : DataFrame
        A row per period: units present, entering for the first time, gone for good since the
        period before, in a gap between two periods of theirs.
    thin_groups : DataFrame
        Groups of a level with few units, and units with few rows: level, group, units, rows, why.
    impossible : DataFrame
        Every impossible value that was made missing: indicator, unit, period, value, reason.
    late : tuple of str
        Units without a row in the last period: gone, or their data come late.
    ignored : tuple of str
        Columns of the table that the twin does not name.
    problems : tuple of str
        What a reader should know before using the panel, a sentence each.
    headline : str
        The panel's extent in a sentence.
    """

    table: pd.DataFrame
    coverage: pd.DataFrame
    thin_groups: pd.DataFrame
    impossible: pd.DataFrame
    late: tuple[str, ...]
    ignored: tuple[str, ...]
    problems: tuple[str, ...]
    headline: str

    @property
    def text(self) -> str:
        """The quality in words, for someone who did not gather the data."""
        lines = [self.headline, ""]
        if self.problems:
            lines += ["What to know before using it:", *(f"- {one}" for one in self.problems)]
        else:
            lines.append("Nothing stands out: no impossible, late or largely missing data.")
        if self.ignored:
            names = ", ".join(self.ignored[:12])
            more = f" and {len(self.ignored) - 12} more" if len(self.ignored) > 12 else ""
            lines += ["", f"Columns of the table that the twin does not use: {names}{more}."]
        return "\n".join(lines)

    def __repr__(self) -> str:
        number = len(self.problems)
        tail = f"{counted(number, 'thing')} to know" if number else "nothing stands out"
        return f"Quality: {self.headline} {tail[0].upper()}{tail[1:]}."

    def _repr_html_(self) -> str:
        problems = "".join(f"<li>{html.escape(one)}</li>" for one in self.problems)
        coverage = self.coverage.to_html() if len(self.coverage) > 1 else ""
        return (
            f"<p>{html.escape(self.headline)}</p><ul>{problems}</ul>"
            f"{self.table.to_html()}{coverage}"
        )


def assess(
    data: xr.Dataset,
    twin: Twin,
    *,
    impossible: pd.DataFrame | None = None,
    ignored: Sequence[str] = (),
) -> Quality:
    """Take stock of a panel's data.

    Parameters
    ----------
    data : Dataset, dims (unit, period)
    twin : Twin
    impossible : DataFrame, optional
        Values that were made missing.
    ignored : sequence of str
        Columns that were not read.

    Returns
    -------
    Quality
    """
    if impossible is None:
        impossible = pd.DataFrame(columns=IMPOSSIBLE_COLUMNS)
    present = np.asarray(data["present"].values)
    labels = labels_of(data, twin)
    units = [str(unit) for unit in data["unit"].values.tolist()]
    table = _by_indicator(data, twin, present, labels, impossible)
    coverage = _by_period(present, labels)
    late = tuple(unit for unit, there in zip(units, present[:, -1], strict=True) if not there)
    thin = _thin_groups(data, twin, present)
    return Quality(
        table=table,
        coverage=coverage,
        thin_groups=thin,
        impossible=impossible,
        late=late,
        ignored=tuple(ignored),
        problems=tuple(_problems(data, twin, table, coverage, thin, late)),
        headline=headline(data, twin),
    )


def headline(data: xr.Dataset, twin: Twin) -> str:
    """Say a panel's extent in one sentence."""
    present = np.asarray(data["present"].values)
    labels = labels_of(data, twin)
    held = [counted(present.shape[0], twin.unit)]
    for level in reversed(twin.panel.levels):
        held.append(counted(len(groups_of(data, twin)[level][1]), level))
    extent = " in ".join(held)
    if twin.panel.period is not None:
        span = counted(len(labels), twin.panel.period.frequency)
        extent += f" over {span}, {labels[0]} to {labels[-1]}"
    shown = sum(name in data for name in twin.indicators)
    return f"{extent}: {counted(int(present.sum()), 'row')}, {counted(shown, 'indicator')}."


def _by_indicator(
    data: xr.Dataset, twin: Twin, present: Bools, labels: list[str], impossible: pd.DataFrame
) -> pd.DataFrame:
    made_missing = impossible["indicator"].value_counts()
    rows = int(present.sum())
    records = {}
    for name in twin.indicators:
        if name not in data:
            continue
        values = np.asarray(data[name].values)
        there = known(values) & present
        number = int(there.sum())
        periods = np.flatnonzero(there.any(axis=0))
        numeric = values.dtype.kind == "f"
        zeros = float((values[there] == 0).mean() * 100) if numeric and number else np.nan
        records[name] = {
            "rows": rows,
            "missing": rows - number,
            "missing %": 100 * (rows - number) / rows if rows else np.nan,
            "impossible": int(made_missing.get(name, 0)),
            "zero %": zeros,
            "first period": labels[periods[0]] if periods.size else "",
            "last period": labels[periods[-1]] if periods.size else "",
            "units with none": int((~there.any(axis=1) & present.any(axis=1)).sum()),
        }
    table = pd.DataFrame.from_dict(records, orient="index")
    return table.rename_axis("indicator")


def _by_period(present: Bools, labels: list[str]) -> pd.DataFrame:
    seen = np.cumsum(present, axis=1)
    ahead = present.sum(axis=1, keepdims=True) - seen
    entering = present & (seen == 1)
    gap = ~present & (seen > 0) & (ahead > 0)
    gone = np.zeros_like(present)
    gone[:, 1:] = present[:, :-1] & (ahead[:, :-1] == 0)
    return pd.DataFrame(
        {
            "units present": present.sum(axis=0),
            "entries": entering.sum(axis=0),
            "exits": gone.sum(axis=0),
            "in a gap": gap.sum(axis=0),
        },
        index=pd.Index(labels, name="period"),
    )


def _thin_groups(data: xr.Dataset, twin: Twin, present: Bools) -> pd.DataFrame:
    parts = []
    per_unit = present.sum(axis=1)
    for level, (codes, names) in groups_of(data, twin).items():
        size = np.bincount(codes, minlength=len(names))
        rows = np.bincount(codes, weights=per_unit, minlength=len(names)).astype(np.int64)
        if level == twin.unit:
            if present.shape[1] < FEW_ROWS:
                continue
            few, why = rows < FEW_ROWS, f"fewer than {FEW_ROWS} rows"
        else:
            few, why = size < FEW_UNITS, f"fewer than {FEW_UNITS} units"
        parts.append(
            pd.DataFrame(
                {
                    "level": level,
                    "group": np.array(names, dtype=str)[few],
                    "units": size[few],
                    "rows": rows[few],
                    "why": why,
                }
            )
        )
    columns = ["level", "group", "units", "rows", "why"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _problems(
    data: xr.Dataset,
    twin: Twin,
    table: pd.DataFrame,
    coverage: pd.DataFrame,
    thin: pd.DataFrame,
    late: tuple[str, ...],
) -> list[str]:
    problems = list(data.attrs.get("moved", ()))
    for name, count in table["impossible"].items():
        if count:
            problems.append(f"{name}: {counted(int(count), 'impossible value')} made missing.")
    for name, row in table.iterrows():
        if row["missing"] == row["rows"]:
            problems.append(f"{name}: no value at all.")
        elif row["missing %"] >= 100 * MUCH_MISSING:
            rows = counted(int(row["missing"]), "row")
            never = counted(int(row["units with none"]), twin.unit)
            span = _span(row, coverage)
            problems.append(
                f"{name}: {row['missing %']:.0f} % missing ({rows}){span}; {never} without any."
            )
    units = len(data["unit"])
    if twin.panel.period is not None and len(coverage) > 1:
        what = twin.panel.period.frequency
        empty = coverage.index[coverage["units present"] == 0].tolist()
        if empty:
            problems.append(f"No {twin.unit} has a row in {listing([str(one) for one in empty])}.")
        if late:
            problems.append(
                f"{counted(len(late), twin.unit)} of {units:,} without a row in the last {what} "
                f"({coverage.index[-1]}): gone, or their data come late."
            )
        entries = int(coverage["entries"].iloc[1:].sum())
        if entries:
            enter = agreeing(entries, "enter after")
            problems.append(f"{counted(entries, twin.unit)} of {units:,} {enter} the first {what}.")
        gaps = int(coverage["in a gap"].sum())
        if gaps:
            lie = agreeing(gaps, "lie in a gap")
            problems.append(
                f"{counted(gaps, f'{twin.unit}-{what}')} {lie}: the {twin.unit} has rows before "
                f"and after, but none there."
            )
    for level in twin.panel.all_levels:
        few = thin[thin["level"] == level]
        if len(few):
            names = listing(few["group"].tolist())
            problems.append(f"{counted(len(few), level)} with {few['why'].iloc[0]}: {names}.")
    problems += _look_alikes(data, twin)
    problems += _adjustments(data, twin)
    return problems


def _span(row: pd.Series, coverage: pd.DataFrame) -> str:
    """Say from when to when an indicator is recorded, when that is not throughout."""
    first, last = row["first period"], row["last period"]
    if (first, last) == (coverage.index[0], coverage.index[-1]):
        return ""
    return f", recorded in {first} only" if first == last else f", recorded {first} to {last}"


def _look_alikes(data: xr.Dataset, twin: Twin) -> list[str]:
    """Groups whose names differ only in capitals are often one group written twice."""
    problems = []
    for level, (_, names) in groups_of(data, twin).items():
        folded = pd.Series(names, dtype="str").str.casefold()
        twice = folded.duplicated(keep=False)
        if twice.any():
            shown = listing([name for name, double in zip(names, twice, strict=True) if double])
            problems.append(f"Names of {level} that differ only in capitals: {shown}.")
    return problems


def _adjustments(data: xr.Dataset, twin: Twin) -> list[str]:
    """Records that their accounting does not explain, or cannot."""
    problems = []
    for name, one in twin.indicators.items():
        residual = residual_name(name)
        if residual in data:
            values = np.asarray(data[residual].values)
            off = np.abs(np.nan_to_num(values)) > 0
            if off.any():
                problems.append(
                    f"{name}: {counted(int(off.sum()), 'record')} of '{one.equals}' with an "
                    f"adjustment, {np.abs(values[off]).mean():.4g} on average in size."
                )
    return problems
