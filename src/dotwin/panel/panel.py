"""The panel: the data that a twin meets, by unit and period."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from dotwin.errors import DataError, nearest
from dotwin.panel.complete import complete
from dotwin.panel.dataset import shaped_dataset
from dotwin.panel.layout import groups_of, labels_of, listing
from dotwin.panel.periods import parse_periods, period_labels, period_ordinals, period_starts
from dotwin.panel.quality import Quality, assess, headline
from dotwin.spec.twin import PanelLayout, PeriodLayout, Twin

__all__ = ["Panel", "example_panel"]

_DIMS = ("unit", "period")


@dataclass(frozen=True, eq=False, repr=False)
class Panel:
    """The data that a twin meets.

    Build it with `read_panel` or `Panel.from_dataset`.

    Parameters
    ----------
    twin : Twin
    data : Dataset, dims (unit, period)
        Coordinates: ``unit``, ids as text, sorted; ``period``, the first moment of each period
        without gaps (0 for a cross-section); each level, as text, along ``unit``. Variables: every
        indicator, float with NaN for missing, in the table's own unit (a percentage stays one;
        an ordinal is the position among its categories), or text with "" for missing; ``present``,
        where the table has a row; the marks of assignment under their column's name;
        ``residual__<indicator>`` where accounting keeps its residual.
        An indicator of an outer level has its group's value in every unit. A given that never
        varies within a unit has its value in absent periods too.
    quality : Quality
    truth : Dataset, optional
        What made the panel, when it is simulated.

    Examples
    --------
    >>> panel = example_panel()
    >>> panel
    Panel of 2 homes over 3 quarters, 2024Q2 to 2024Q4: 6 rows, 2 indicators.
    >>> panel.values("visits")
    array([[3., 5., 4.],
           [2., 0., 1.]])
    """

    twin: Twin
    data: xr.Dataset
    quality: Quality
    truth: xr.Dataset | None = field(default=None)

    @classmethod
    def from_dataset(cls, data: xr.Dataset, twin: Twin, truth: xr.Dataset | None = None) -> Panel:
        """Check a dataset against its twin and make it a panel.

        Parameters
        ----------
        data : Dataset, dims (unit, period)
            With the twin's indicators as variables and its levels as coordinates along ``unit``.
            Without ``present``, a row is present where any indicator is known.
        twin : Twin
        truth : Dataset, optional

        Returns
        -------
        Panel

        Raises
        ------
        DataError
            With every problem found.
        """
        completed, quality = complete(twin, shaped_dataset(data, twin))
        return cls(twin, completed, quality, truth)

    @property
    def units(self) -> pd.Index:
        """The units' ids, sorted."""
        units: pd.Index = pd.Index(self.data["unit"].values.tolist(), name=self.twin.unit)
        return units

    @property
    def periods(self) -> pd.Index:
        """The first moment of each period; 0 for a cross-section."""
        periods: pd.Index = pd.Index(self.data["period"].values, name="period")
        return periods

    @property
    def is_cross_section(self) -> bool:
        """Whether there is one period without a date."""
        return self.twin.panel.period is None

    @cached_property
    def period_labels(self) -> list[str]:
        """The periods as people write them: '2024Q2', '2025-03'; '0' for a cross-section."""
        return labels_of(self.data, self.twin)

    @cached_property
    def period_ordinals(self) -> NDArray[np.int64]:
        """Number of periods since the one that holds 1970-01-01, dims (period,)."""
        if self.twin.panel.period is None:
            return np.zeros(self.data.sizes["period"], dtype=np.int64)
        return period_ordinals(self.data["period"].values, self.twin.panel.period.frequency)

    @property
    def indicators(self) -> tuple[str, ...]:
        """The indicators that the panel has, as declared."""
        return tuple(name for name in self.twin.indicators if name in self.data)

    @cached_property
    def _groups(self) -> dict[str, tuple[NDArray[np.intp], list[str]]]:
        return groups_of(self.data, self.twin)

    def groups(self, level: str) -> tuple[NDArray[np.intp], list[str]]:
        """Say which group of a level each unit is in.

        Parameters
        ----------
        level : str
            A level, or the unit, which is a level of its own.

        Returns
        -------
        codes : ndarray of int, dims (unit,)
            Positions in ``names``.
        names : list of str
            The groups, sorted.

        Examples
        --------
        >>> example_panel().groups("home")[1]
        ['A', 'B']
        """
        if level not in self._groups:
            raise KeyError(f"there is no level '{level}'. {nearest(level, self._groups)}")
        return self._groups[level]

    def values(self, indicator: str) -> NDArray[Any]:
        """Return an indicator's values.

        Parameters
        ----------
        indicator : str

        Returns
        -------
        ndarray, dims (unit, period)
            Float with NaN for missing, or text with "" for missing; in the table's own unit.
        """
        if indicator not in self.indicators:
            raise KeyError(f"there is no '{indicator}'. {nearest(indicator, self.indicators)}")
        return np.asarray(self.data[indicator].values)

    def future_periods(self, n: int) -> tuple[NDArray[np.datetime64], list[str]]:
        """Give the periods that follow the last one.

        Parameters
        ----------
        n : int
            How many.

        Returns
        -------
        starts : ndarray of datetime64[ns], dims (period,)
        labels : list of str

        Raises
        ------
        DataError
            For a cross-section, which has no time.

        Examples
        --------
        >>> example_panel().future_periods(2)[1]
        ['2025Q1', '2025Q2']
        """
        if self.twin.panel.period is None:
            raise DataError("a cross-section has no periods after it; declare panel: period:.")
        if n < 0:
            raise ValueError(f"a number of periods is 0 or more, not {n}.")
        frequency = self.twin.panel.period.frequency
        ordinals = self.period_ordinals[-1] + 1 + np.arange(n)
        return period_starts(ordinals, frequency), period_labels(ordinals, frequency)

    def select(
        self,
        *,
        units: Sequence[str] | NDArray[Any] | None = None,
        periods: slice | Sequence[str] | None = None,
    ) -> Panel:
        """Take some units and a run of periods.

        Parameters
        ----------
        units : sequence of str, or of bool or int, optional
            Ids, a mask over the panel's units, or positions; the panel's order is kept.
        periods : slice or sequence of str, optional
            ``slice("2024-01", "2024-06")`` with both ends included; ``slice(0, 4)`` by position,
            as Python counts; or labels of neighbouring periods.

        Returns
        -------
        Panel
            Its ``quality`` is taken anew; ``truth`` stays as it was.

        Raises
        ------
        DataError
            When a unit or period is not in the panel, or nothing is left.

        Examples
        --------
        >>> example_panel().select(units=["B"], periods=slice("2024Q3", None))
        Panel of 1 home over 2 quarters, 2024Q3 to 2024Q4: 2 rows, 2 indicators.
        """
        data = self.data
        if units is not None:
            data = data.isel(unit=self._unit_positions(units))
        if periods is not None:
            data = data.isel(period=self._period_slice(periods))
        if not data.sizes["unit"] or not data.sizes["period"]:
            raise DataError("nothing is left of the panel after this selection.")
        log = self.quality.impossible
        units_left, labels_left = data["unit"].values.tolist(), labels_of(data, self.twin)
        log = log[log["unit"].isin(units_left) & log["period"].isin(labels_left)]
        quality = assess(
            data, self.twin, impossible=log.reset_index(drop=True), ignored=self.quality.ignored
        )
        return replace(self, data=data, quality=quality)

    def _unit_positions(self, units: Sequence[str] | NDArray[Any]) -> NDArray[np.intp]:
        wanted = np.asarray(units)
        if wanted.size == 0:
            return np.empty(0, dtype=np.intp)
        if wanted.dtype.kind == "b":
            if wanted.shape != (self.data.sizes["unit"],):
                raise DataError(
                    f"a mask has one entry per unit, {self.data.sizes['unit']:,}; this has shape "
                    f"{wanted.shape}."
                )
            return np.flatnonzero(wanted)
        if wanted.dtype.kind in "iu":
            return np.unique(np.arange(self.data.sizes["unit"])[wanted])
        names = pd.Index([str(unit) for unit in wanted.tolist()])
        positions = self.units.get_indexer(names)
        unknown = names[positions < 0].tolist()
        if unknown:
            hint = nearest(unknown[0], self.units.tolist()) if len(self.units) < 1000 else ""
            raise DataError(f"no {self.twin.unit} {listing(unknown)} in the panel. {hint}".strip())
        return np.unique(positions)

    def _period_slice(self, periods: slice | Sequence[str]) -> slice:
        if not isinstance(periods, slice):
            found = sorted({self.period_position(period) for period in periods})
            if not found:
                return slice(0, 0)
            if found[-1] - found[0] + 1 != len(found):
                shown = ", ".join(self.period_labels[i] for i in found)
                raise DataError(f"periods of a panel follow each other; {shown} leave gaps.")
            return slice(found[0], found[-1] + 1)
        if periods.step not in (None, 1):
            raise DataError("periods of a panel follow each other; leave the slice's step out.")
        start = None if periods.start is None else self._edge(periods.start, 0)
        stop = None if periods.stop is None else self._edge(periods.stop, 1)
        return slice(start, stop)

    def _edge(self, period: Any, after: int) -> int:
        """Position of a slice's edge: of a label, moved past it at the end; an int as it is."""
        if isinstance(period, int | np.integer):
            return int(period)
        if self.twin.panel.period is None:
            return self.period_position(period) + after
        ordinal = self._ordinal(period) + after - self.period_ordinals[0]
        return int(np.clip(ordinal, 0, len(self.period_labels)))

    def _ordinal(self, period: Any) -> int:
        layout = self.twin.panel.period
        assert layout is not None
        parsed = parse_periods(pd.Series([period]), layout.frequency)
        if not parsed.readable[0] or parsed.too_coarse:
            raise DataError(
                f"'{period}' is no {layout.frequency}; write it as {self.period_labels[0]}."
            )
        return int(parsed.ordinals[0])

    def period_position(self, period: Any) -> int:
        """Find a period by its label or date.

        Parameters
        ----------
        period : str or datetime
            Such as ``2024Q2``, ``2024-05`` or any day within it.

        Returns
        -------
        int

        Raises
        ------
        DataError
            When it is not in the panel.

        Examples
        --------
        >>> example_panel().period_position("2024-08-15")
        1
        """
        labels = self.period_labels
        if self.twin.panel.period is None:
            if str(period) in labels:
                return labels.index(str(period))
            raise DataError(f"'{period}' is not in the panel, a cross-section without dates.")
        position = self._ordinal(period) - int(self.period_ordinals[0])
        if not 0 <= position < len(labels):
            raise DataError(f"'{period}' is not in the panel, {labels[0]} to {labels[-1]}.")
        return position

    @property
    def rows(self) -> pd.DataFrame:
        """The panel in long form: a row per row of the table, with the twin's own names."""
        unit, period = np.nonzero(self.data["present"].values)
        columns: dict[str, Any] = {}
        for level in self.twin.panel.levels:
            columns[level] = np.asarray(self.data[level].values)[unit]
        columns[self.twin.unit] = np.asarray(self.data["unit"].values)[unit]
        if self.twin.panel.period is not None:
            labels = np.asarray(self.period_labels, dtype=str)
            columns[self.twin.panel.period.column] = labels[period]
        for name in self.indicators:
            columns[name] = self.values(name)[unit, period]
        return pd.DataFrame(columns)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the twin and every value: the same for the same facts, however read."""
        state = hashlib.sha256()
        twin = self.twin.model_dump(mode="json", by_alias=True)
        state.update(json.dumps(twin, sort_keys=True).encode())
        for name in sorted(map(str, self.data.variables)):
            variable = self.data[name]
            values = np.asarray(variable.values)
            state.update(f"\x1e{name}\x1f{variable.dims}\x1f{values.shape}\x1f".encode())
            if values.dtype.kind in "OUT":
                state.update("\x1f".join(map(str, values.ravel().tolist())).encode())
            elif values.dtype.kind == "f":
                # Every NaN has the same bytes, and so have 0 and -0.
                state.update(np.where(np.isnan(values), np.nan, values + 0.0).tobytes())
            else:
                state.update(values.astype("<i8").tobytes())
        return state.hexdigest()

    def __repr__(self) -> str:
        return f"Panel of {headline(self.data, self.twin)}"

    def _repr_html_(self) -> str:
        return f"<p><strong>{html.escape(repr(self))}</strong></p>{self.quality._repr_html_()}"


def example_panel() -> Panel:
    """Make a very small panel, for examples.

    Returns
    -------
    Panel

    Examples
    --------
    >>> example_panel().period_labels
    ['2024Q2', '2024Q3', '2024Q4']
    """
    twin = Twin(
        twin="visits",
        panel=PanelLayout(unit="home", period=PeriodLayout(column="quarter", frequency="quarter")),
        indicators={
            "staff": {"domain": "workforce"},
            "visits": {"domain": "quality", "family": "poisson", "causes": {"staff": {}}},
        },
    )
    data = xr.Dataset(
        {
            "staff": (_DIMS, [[3.0, 2.5, 2.0], [1.0, 2.0, 1.5]]),
            "visits": (_DIMS, [[3.0, 5.0, 4.0], [2.0, 0.0, 1.0]]),
        },
        coords={
            "unit": ["A", "B"],
            "period": np.array(["2024-04", "2024-07", "2024-10"], dtype="datetime64[ns]"),
        },
    )
    return Panel.from_dataset(data, twin)
