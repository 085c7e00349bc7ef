"""What a warning rests on: how a unit's probability changes when one thing it knows is typical.

The forecast reads a unit's last values, its inputs, and the effects of the groups it belongs to.
One of these at a time is replaced by what is typical of all units, and the unit is followed again
at the same noise. The difference says what the forecast rests on. It is no effect of acting: an
indicator that merely goes along with trouble can carry much of a forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.effects.alerts.crossings import follow
from dotwin.errors import SpecificationError
from dotwin.worlds.start import all_reads, expressions_of
from dotwin.worlds.tables import interval_ends

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dotwin.effects.alerts.warning import EarlyWarning
    from dotwin.worlds.run import Run

__all__ = ["drivers"]

#: A unit with many noises costs little, and the differences of rare events need them.
_REPLICATES = 40


@dataclass(frozen=True)
class _Source:
    """Something that a forecast reads of a unit."""

    name: str
    kind: str
    value: str
    typical: str
    run: Run


def drivers(warning: EarlyWarning, units: Sequence[str]) -> pd.DataFrame:
    """Say what the forecast of some units rests on.

    Parameters
    ----------
    warning : EarlyWarning
    units : sequence of str

    Returns
    -------
    DataFrame
        A row per unit and source, the largest contribution of a unit first: the unit,
        ``source``, ``kind`` ('last values', 'given' or 'group effects'), ``value`` and
        ``typical`` of an indicator, ``contribution`` (how much lower the unit's probability of
        crossing would be forecast were the source typical) and its interval over draws. Sources
        are replaced one at a time, so contributions need not add up. They are no effects.

    Raises
    ------
    SpecificationError
        When a unit is not among those that are warned of.
    """
    import pandas as pd

    members = warning.run.start.members
    strangers = [unit for unit in units if unit not in members.units]
    if strangers:
        raise SpecificationError(
            f"there is no warning for {warning.twin.unit} '{strangers[0]}'; "
            f"{len(members.units):,} are warned of, such as {', '.join(members.units[:3])}."
        )
    ends = interval_ends(warning.interval)
    low, high = (f"{100 * end:g}%" for end in ends)
    tables = []
    for unit in dict.fromkeys(units):
        u = members.units.index(unit)
        base = _only(warning.run, u)
        before = follow(base, warning.condition, _REPLICATES).ever[0][:, 0]
        rows: list[dict[str, Any]] = []
        for source in _sources(warning.run, base, u):
            after = follow(source.run, warning.condition, _REPLICATES).ever[0][:, 0]
            change = before - after
            rows.append(
                {
                    warning.twin.unit: unit,
                    "source": source.name,
                    "kind": source.kind,
                    "value": source.value,
                    "typical": source.typical,
                    "contribution": float(change.mean()),
                    low: float(np.quantile(change, ends[0])),
                    high: float(np.quantile(change, ends[1])),
                }
            )
        rows.sort(key=lambda row: -abs(row["contribution"]))
        tables.append(pd.DataFrame(rows))
    return pd.concat(tables, ignore_index=True)


def _only(run: Run, u: int) -> Run:
    """Return a run of the baseline for one unit, at the noise that it had among all."""
    kept = np.arange(len(run.start.members.units)) == u
    mechanisms = {
        name: replace(
            one,
            constants={key: values[kept] for key, values in one.constants.items()},
            codes={level: codes[kept] for level, codes in one.codes.items()},
        )
        for name, one in run.machine.mechanisms.items()
    }
    return replace(
        run,
        programs=run.programs[:1],
        start=run.start.keep(kept, ()),
        machine=replace(run.machine, mechanisms=mechanisms),
        imputed={
            (name, 0, column): values
            for (name, unit, column), values in run.imputed.items()
            if unit == u
        },
    )


def _sources(run: Run, base: Run, u: int) -> list[_Source]:
    """List what the forecast of a unit reads, each with a run in which it is typical."""
    read: dict[str, bool] = {}
    for _, expression in expressions_of(run.twin):
        for name, lag in all_reads(run.twin, expression):
            read[name] = read.get(name, False) or lag > 0
    found = []
    for name, lagged in read.items():
        given = run.twin.indicators[name].is_given
        if not lagged and not given:
            continue
        facts = dict(base.start.facts)
        givens = dict(base.start.givens)
        if name not in facts:
            continue
        typical = _typical(run.start.facts[name])
        own = facts[name][0, -1]
        facts[name] = np.where(_missing(facts[name]), facts[name], typical[None, :])
        if given and name in givens:
            givens[name] = np.broadcast_to(
                _typical(run.start.givens[name])[None, :], givens[name].shape
            )
        start = replace(base.start, facts=facts, givens=givens)
        found.append(
            _Source(
                run.twin.label(name),
                "given" if given else "last values",
                _shown(own),
                _shown(typical[-1]),
                replace(base, start=start),
            )
        )
    for level in run.twin.panel.all_levels:
        typical_run = _without_effects(run, base, level)
        if typical_run is not None:
            group = str(base.start.members.levels[level].labels[0, 0])
            found.append(_Source(level, "group effects", group, "average", typical_run))
    return found


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(values == "" if values.dtype.kind in "OUT" else np.isnan(values))


def _typical(values: NDArray[Any]) -> NDArray[Any]:
    """Return the median, or most frequent text, of each period, dims (period,)."""
    if values.dtype.kind in "OUT":
        found = []
        for column in values.T:
            names, counts = np.unique(column[column != ""].astype(str), return_counts=True)
            found.append(names[counts.argmax()] if names.size else "")
        return np.array(found, dtype=object)
    known = ~np.isnan(values).all(axis=0)
    middle = np.full(values.shape[1], np.nan)
    middle[known] = np.nanmedian(values[:, known], axis=0)
    return middle


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _without_effects(run: Run, base: Run, level: str) -> Run | None:
    """Return a run in which the effects of a level's groups are 0 and unit means are typical."""
    parameters: dict[str, NDArray[np.float64]] = dict(base.machine.parameters)
    mechanisms = dict(base.machine.mechanisms)
    touched = False
    for name, one in mechanisms.items():
        for predictor in one.equation.predictors:
            for key in (f"{predictor.prefix}.{level}", f"{predictor.prefix}.slope_{level}"):
                if key in parameters:
                    parameters[key] = np.zeros_like(parameters[key])
                    touched = True
            if level in one.unseen and f"{predictor.prefix}.sd_{level}" in parameters:
                key = f"{predictor.prefix}.sd_{level}"
                parameters[key] = np.zeros_like(parameters[key])
        if level == run.twin.unit and one.constants:
            usual: Mapping[str, NDArray[np.float64]] = run.machine.mechanisms[name].constants
            mechanisms[name] = replace(
                one, constants={key: np.nanmedian(v, keepdims=True) for key, v in usual.items()}
            )
            touched = True
    if not touched:
        return None
    return replace(
        base, machine=replace(base.machine, parameters=parameters, mechanisms=mechanisms)
    )
