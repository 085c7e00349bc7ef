"""An effect without each group of units: which of them it rests on."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import DataError, SpecificationError, nearest
from dotwin.inference.leaving_out import Without, fits_without
from dotwin.worlds.tables import number

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client
    from numpy.typing import NDArray

    from dotwin.effects.average.result import Effect
    from dotwin.inference import Fit

__all__ = ["GroupsLeftOut", "leave_out"]

#: A given with more values than this is no grouping but a measurement.
_MOST = 60
#: A move counts from so many of its standard errors.
_ERRORS = 3.0


@dataclass(frozen=True, eq=False, repr=False)
class GroupsLeftOut:
    """An effect without each group of units.

    Made by `Effect.leave_out`.

    Parameters
    ----------
    effect : Effect
        With all groups.
    by : str
    table : DataFrame
        A row per group: ``group``, ``units``; ``mean``, ``5%`` and ``95%`` of the effect on all
        other units, fitted without the group; ``with`` (its mean on the same units, fitted with
        it); ``moved``, the difference in sds of the effect, and its Monte Carlo ``error``; ``how``
        ('re-weighted', 'refitted', 'both', 'kept' where the group has no row) and ``khat``, the
        largest Pareto k of weights that were used; ``problem``, why there is none, or why it is not
        to be relied on.
    ways : DataFrame
        A row per group and component: ``way``, ``khat``, ``ess``, and ``reason`` of a refit.
    effects : dict of str to Effect
        By group.
    """

    effect: Effect
    by: str
    table: pd.DataFrame
    ways: pd.DataFrame
    effects: Mapping[str, Effect]

    def summary(self) -> pd.DataFrame:
        """Return the table."""
        return self.table.copy()

    @property
    def moves_most(self) -> str:
        """The group without which the effect differs most from what it is with it."""
        return str(self.table["group"].iloc[int(self.table["moved"].abs().argmax())])

    def __repr__(self) -> str:
        twin, question = self.effect.question.twin, self.effect.question
        what = f"the effect of {twin.label(question.cause)} on {question.outcome.words}"
        table = self.table.dropna(subset=["mean"])
        if table.empty:
            return f"Without any one {self.by}, {what} cannot be fitted."
        low, high = number(table["mean"].min()), number(table["mean"].max())
        row = table.iloc[int(table["moved"].abs().argmax())]
        text = f"Without one {self.by} at a time, {what} is between {low} and {high}"
        crossing = table[(table["5%"] <= 0) & (table["95%"] >= 0)]["group"].tolist()
        whole = self.effect.summary().iloc[-1]
        if whole["5%"] <= 0 <= whole["95%"]:
            crossing = []
        if abs(row["moved"]) < _ERRORS * row["error"]:
            text += "; no group moves it by more than simulation would"
        else:
            text += f"; {row['group']} moves it most, by {number(abs(row['moved']))} of its sds"
        if crossing:
            text += f"; its interval includes 0 without {', '.join(crossing)}"
        if len(lost := self.table[self.table["mean"].isna()]):
            text += f"; it cannot be fitted without {', '.join(lost['group'])}"
        if len(doubtful := table[table["problem"] != ""]):
            text += f"; chains did not converge without {', '.join(doubtful['group'])}"
        hows = self.table["how"].value_counts()
        return f"{text}. {', '.join(f'{n} {how}' for how, n in hows.items() if how)}."

    def plot(self) -> Any:
        """Draw the effect without each group beside the whole one."""
        return importlib.import_module("dotwin.plots").plot_left_out(self)


def leave_out(
    effect: Effect,
    by: str,
    *,
    seed: int,
    shortcut: bool = True,
    client: Client | None = None,
    progress: bool = True,
) -> GroupsLeftOut:
    """Fit without each group of units and ask the effect again on all others.

    Mechanisms whose draws can be re-weighted by the inverse of the group's density [1]_, with the
    effects that only the group has integrated out, are; the others are fitted again, side by side
    over groups and mechanisms.

    Parameters
    ----------
    effect : Effect
    by : str
        A level, or a given that does not change within units.
    seed : int
    shortcut : bool
        Whether re-weighting is allowed.
    client : dask.distributed.Client, optional
        Whose workers refit; the cores of this machine unless given.
    progress : bool

    Returns
    -------
    GroupsLeftOut
        In a panel, of the last period unless the effect was read at another.

    Raises
    ------
    SpecificationError
        When there are no such groups, or leaving one out would change who stays.

    References
    ----------
    .. [1] Vehtari, A., Simpson, D., Gelman, A., Yao, Y. and Gabry, J. (2024). Pareto smoothed
       importance sampling. Journal of Machine Learning Research 25(72).
    """
    import pandas as pd

    question = effect.question
    if question.groups.names:
        raise SpecificationError("leave_out: ask an effect without by=.")
    if question.settings.panel is not None:
        raise SpecificationError("leave_out: ask the effect on the panel that was fitted.")
    codes, names = _groups(question.fit, by)
    found = fits_without(
        question.fit,
        codes,
        len(names),
        question.simulated,
        seed=seed,
        shortcut=shortcut,
        client=client,
        progress=progress,
    )
    sd = float(_last(effect).std())
    rows, ways, effects = [], [], {}
    for g, (name, without) in enumerate(zip(names, found, strict=True)):
        row: dict[str, Any] = {"group": name, "units": int((codes == g).sum())}
        if without.fit is None:
            rows.append(row | {"how": "", "problem": without.problem})
            continue
        try:
            again = effect._again(replace(question, fit=without.fit))
            others = effect._again(replace(question, kept=_others(effect, codes != g)))
        except (DataError, SpecificationError) as error:
            rows.append(row | {"how": "", "problem": str(error)})
            continue
        effects[name] = again
        last = again.summary().iloc[-1]
        row |= {name: float(last[name]) for name in ("mean", "5%", "95%")}
        row["with"] = float(others.summary()["mean"].iloc[-1])
        row["moved"] = (row["mean"] - row["with"]) / sd if sd > 0 else 0.0
        row["error"] = _error(again, others, without)
        used = [way for way in without.ways if way.component in _relevant(effect)]
        bad = ", ".join(without.unsettled)
        problem = f"the chains of {bad} did not converge without it" if bad else ""
        row |= {"how": _how([way.way for way in used]), "problem": problem}
        row["khat"] = max((w.khat for w in used if w.way == "re-weighted"), default=np.nan)
        rows.append(row)
        ways += [
            {"group": name, "component": w.component, "way": w.way, "khat": w.khat, "ess": w.ess}
            | {"reason": w.reason}
            for w in used
        ]
    columns = ["group", "units", "mean", "5%", "95%", "with", "moved", "error", "how", "khat"]
    table = pd.DataFrame(rows).reindex(columns=[*columns, "problem"])
    columns = ["group", "component", "way", "khat", "ess", "reason"]
    return GroupsLeftOut(effect, by, table, pd.DataFrame(ways, columns=columns), effects)


def _groups(fit: Fit, by: str) -> tuple[NDArray[np.intp], list[str]]:
    """Return each unit's group, -1 where it is unknown, and the groups' names."""
    twin, panel = fit.twin, fit.panel
    if by in twin.panel.levels:
        codes, names = panel.groups(by)
        found, labels = codes, list(names)
    else:
        known = [*twin.panel.levels, *twin.given]
        if by not in twin.given or by not in panel.indicators:
            raise SpecificationError(f"by='{by}': a level or a given. {nearest(by, known)}")
        found, labels = _by_given(by, panel.values(by), panel.data["present"].values)
    if not 2 <= len(labels) <= _MOST:
        raise SpecificationError(
            f"by='{by}': it has {len(labels)} groups; 2 to {_MOST} can be left out in turn."
        )
    return found, labels


def _by_given(
    by: str, values: NDArray[Any], present: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], list[str]]:
    is_text = values.dtype.kind in "OUT"
    missing = values == "" if is_text else ~np.isfinite(values.astype(float))
    known = present & ~missing
    codes = np.full(len(values), -1, dtype=np.intp)
    distinct = np.unique(values[known])
    for code, value in enumerate(distinct):
        here = ((values == value) & known).any(axis=1)
        if (here & (codes >= 0)).any():
            raise SpecificationError(
                f"by='{by}': it changes within units, and a unit is left out whole."
            )
        codes[here] = code
    return codes, [str(v) if is_text else f"{float(v):g}" for v in distinct]


def _others(effect: Effect, stay: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which simulated units stay, those that the question left out already apart."""
    question = effect.question
    place = {unit: i for i, unit in enumerate(question.fit.panel.units)}
    kept = stay[[place[unit] for unit in question.run.start.members.units]]
    return kept if question.kept is None else kept & question.kept


def _relevant(effect: Effect) -> set[str]:
    asked = effect.question.simulated
    return {" + ".join(c) for c in effect.question.fit.components if set(c) & asked}


def _how(ways: list[str]) -> str:
    used = set(ways) - {"kept"}
    if len(used) == 2:
        return "both"
    return used.pop() if used else "kept"


def _last(effect: Effect) -> NDArray[np.float64]:
    """Return the difference by draw, in the last period."""
    draws = effect.draws["difference"]
    if "period" in draws.dims:
        draws = draws.isel(period=-1)
    values: NDArray[np.float64] = draws.values.ravel()
    return values[np.isfinite(values)]


def _error(again: Effect, others: Effect, without: Without) -> float:
    """Return the standard error of the move, in sds, were both sets of draws independent."""
    weighted = [way.ess for way in without.ways if way.way == "re-weighted"]
    sizes = [_last(one).size for one in (again, others)]
    left = min([float(sizes[0]), *weighted])
    return float(np.sqrt(1.0 / left + 1.0 / sizes[1]))
