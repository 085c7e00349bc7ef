"""What an effect says: draws, tables, sentences and the verdicts that it carries."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.effects.average.estimand import EffectEstimand, estimand_of
from dotwin.effects.average.heterogeneity import heterogeneity_of
from dotwin.effects.average.question import Question
from dotwin.errors import SpecificationError
from dotwin.worlds.aggregate import By
from dotwin.worlds.licence import supported_verdict
from dotwin.worlds.tables import number, over_draws

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from distributed import Client
    from numpy.typing import NDArray

    from dotwin.effects.average.needed_to_treat import NeededToTreat
    from dotwin.effects.doubts.left_out import GroupsLeftOut
    from dotwin.effects.doubts.prior_sensitivity import PriorSensitivity
    from dotwin.effects.doubts.sensitivity import Sensitivity
    from dotwin.worlds.futures import Futures
    from dotwin.worlds.licence import Licence
    from dotwin.worlds.support import Support

__all__ = ["Effect", "Measure", "supports"]

Measure = Literal["difference", "ratio"]

#: By the status of the verdict on support: how a sentence begins, and a word for a table.
_CAUTIONS = {
    "no": "By extrapolation beyond what the panel shows",
    "thin": "With thin support in the panel",
}
_SUPPORT = {
    "yes": "supported",
    "thin": "thin support",
    "no": "extrapolated",
    "unknown": "not judged",
    "assumed": "assumed",
}


@dataclass(frozen=True, eq=False, repr=False)
class Effect:
    """What would change on average if a cause were set to another value.

    Made by `effect`.

    Parameters
    ----------
    question : Question
        What was asked.
    worlds : DataArray, dims (world, chain, draw, ..., period)
        The outcome's average in the world that the contrast starts from, and in the other one.
    noise : float array (group, period)
        The share of the difference's variance over draws that comes from simulating.
    licence : Licence
    futures : Futures
        A few draws of both worlds and the baseline, on which support is judged.
    reading : tuple
        Which period, or what over periods, this is.
    unstable : float
        Of a long run: the share of draws that have none and are left out.
    """

    question: Question
    worlds: xr.DataArray
    noise: NDArray[np.float64]
    licence: Licence
    futures: Futures
    reading: tuple[str, ...] = ()
    unstable: float = 0.0

    @cached_property
    def draws(self) -> xr.Dataset:
        """``difference`` and ``ratio`` of the second world against the first, by draw."""
        import xarray as xr

        first, second = self.worlds.isel(world=0, drop=True), self.worlds.isel(world=1, drop=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = {"difference": second - first, "ratio": second / first}
        found["difference"].attrs = dict(self.worlds.attrs)
        return xr.Dataset(found)

    @property
    def estimand(self) -> EffectEstimand:
        """What is estimated, in words and symbols."""
        return estimand_of(self.question)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know, in words."""
        notes = list(self.futures.notes)
        outside = int((self.question.groups.codes < 0).sum())
        if outside:
            of = len(self.question.groups.codes)
            notes.append(f"{outside:,} of {of:,} units are outside the group")
        if self.question.run.new_groups:
            notes.append(
                "every mechanism is taken to be the same for new groups; fit.transport(panel, "
                "differs=[…]) says which may differ"
            )
        return tuple(notes)

    # ── reading it ─────────────────────────────────────────────────────────────────────────────

    @property
    def _labels(self) -> tuple[str, ...]:
        return self.question.run.future.labels

    def at(self, horizon: int | str) -> Effect:
        """Return the effect in one period.

        Parameters
        ----------
        horizon : int or str
            A count of future periods from 1, or a period such as ``2025-03``.
        """
        self._has_periods("at()")
        position = self.question.run.future.position(horizon)
        if not 0 <= position < len(self._labels):
            raise SpecificationError(
                f"at({horizon!r}): the effect was simulated for {len(self._labels)} periods, "
                f"{self._labels[0]} to {self._labels[-1]}; ask for more with horizon=."
            )
        return replace(
            self,
            worlds=self.worlds.isel(period=position, drop=True),
            noise=self.noise[:, [position]],
            reading=("at", self._labels[position]),
        )

    def cumulative(self) -> Effect:
        """Return the effect added up over the periods so far: a running sum along ``period``.

        The ratio is that of the two worlds' sums.
        """
        self._has_periods("cumulative()")
        return replace(
            self,
            worlds=self.worlds.cumsum("period").assign_coords(period=self.worlds["period"]),
            noise=np.full(self.noise.shape, np.nan),
            reading=("cumulative",),
        )

    def long_run(self) -> Effect:
        """Return what the effect comes to when the change is held for good.

        Draws in which the system never forgets one period's change, or explodes, have no long run;
        they are missing, and ``unstable`` is their share.
        """
        from dotwin.effects.average.long_run import long_run

        self._has_periods("long_run()")
        return long_run(self)

    def number_needed_to_treat(
        self, *, worse: Literal["higher", "lower"], interval: float = 0.9
    ) -> NeededToTreat:
        """Say how many units must be treated for one to benefit, or to come to harm.

        Only for yes/no exposures and outcomes that are probabilities. Where the interval of the
        difference includes 0 there is no one number but two ranges that end in infinity.

        Parameters
        ----------
        worse : {'higher', 'lower'}
            Which direction of the outcome is harm.
        interval : float

        Returns
        -------
        NeededToTreat
        """
        from dotwin.effects.average.needed_to_treat import number_needed_to_treat

        return number_needed_to_treat(self, worse, interval)

    def sensitivity(
        self, *, strengths: Sequence[float] | None = None, correlation: float | None = None
    ) -> Sensitivity:
        """Add a hidden cause of stated strength and say where the interval first includes zero.

        See `dotwin.effects.sensitivity.sensitivity`.

        Parameters
        ----------
        strengths : sequence of float, optional
            Multiples of the strongest observed cause; from 0.25 to 3 unless given.
        correlation : float, optional
            The hidden cause's partial correlation with the cause, in place of a strength there.

        Returns
        -------
        Sensitivity
        """
        from dotwin.effects.doubts.sensitivity import STRENGTHS, sensitivity

        return sensitivity(self, STRENGTHS if strengths is None else strengths, correlation)

    def prior_sensitivity(self) -> PriorSensitivity:
        """Say whether priors or data decide; see `dotwin.effects.prior_sensitivity`."""
        from dotwin.effects.doubts.prior_sensitivity import prior_sensitivity

        return prior_sensitivity(self)

    def leave_out(
        self,
        by: str,
        *,
        seed: int,
        shortcut: bool = True,
        client: Client | None = None,
        progress: bool = True,
    ) -> GroupsLeftOut:
        """Fit without each group of units and ask again; see `dotwin.effects.leave_out`.

        Parameters
        ----------
        by : str
            A level, or a given that does not change within units.
        seed : int
        shortcut : bool
            Whether draws may be re-weighted in place of a refit.
        client : dask.distributed.Client, optional
        progress : bool
        """
        from dotwin.effects.doubts.left_out import leave_out

        return leave_out(self, by, seed=seed, shortcut=shortcut, client=client, progress=progress)

    @property
    def heterogeneity(self) -> str:
        """Where differences between groups come from: coefficients or starting points."""
        return heterogeneity_of(self.question)

    def _has_periods(self, what: str) -> None:
        if self.reading:
            raise SpecificationError(f"{what}: ask the effect by period, not a reading of it.")
        if self.question.horizon is None:
            raise SpecificationError(f"{what}: a cross-section has one period.")

    def _again(self, question: Question) -> Effect:
        """Ask the same for other groups; the same draws and noise give the same worlds."""
        from dotwin.effects.average.effect import answer

        found = answer(question, self.licence, self.futures)
        match self.reading:
            case ("at", label):
                return found.at(label)
            case ("cumulative",):
                return found.cumulative()
            case ("long run",):
                return found.long_run()
        return found

    def summary(
        self, by: By = None, *, of: Measure = "difference", interval: float = 0.9
    ) -> pd.DataFrame:
        """Summarise the effect.

        Parameters
        ----------
        by : str or sequence of str, optional
            Levels, givens or states at the start; those that the effect was asked for unless given.
        of : {'difference', 'ratio'}
        interval : float
            Probability of the equal-tailed interval.

        Returns
        -------
        DataFrame
            Columns ``outcome``, those of ``by``, ``period`` in a panel, ``support`` ('supported',
            'thin support' or 'extrapolated': what the panel shows of the values that the cause is
            set to), ``mean``, ``median``, ``5%``, ``95%``, ``from`` and ``to`` (the outcome's mean
            in the two worlds), ``noise`` (the share of the variance that comes from simulating) and
            ``unit``.
        """
        if by is not None:
            names = (by,) if isinstance(by, str) else tuple(by)
            asked = replace(self.question, by=names)
            return self._again(asked).summary(of=of, interval=interval)
        if of not in ("difference", "ratio"):
            raise SpecificationError(f"of='{of}': say 'difference' or 'ratio'.")
        groups = self.question.groups
        values = _flat(self.draws[of])
        # A draw without a long run is missing throughout.
        kept = ~np.isnan(values.reshape(len(values), -1)).all(axis=1)
        if not kept.any():
            raise SpecificationError("no draw has a long run: the system keeps what it is given.")
        values = values[kept]
        axes: list[tuple[Any, Any]] = []
        if groups.names:
            axes.append((groups.names, groups.labels))
        if "period" in self.worlds.dims:
            axes.append((("period",), [(label,) for label in self._labels]))
        extra = {"from": 0.0, "to": 0.0, "noise": 0.0, "unit": self._unit if of != "ratio" else ""}
        table = over_draws(values, axes, interval, extra)
        table["from"], table["to"] = (
            _flat(self.worlds.isel(world=world))[kept].mean(axis=0).ravel() for world in (0, 1)
        )
        table["noise"] = self.noise.ravel()
        table.insert(0, "outcome", self.question.outcome.text)
        said = _SUPPORT[self.licence.supported.status]
        table.insert(list(table.columns).index("mean"), "support", said)
        if groups.names:
            table.attrs["heterogeneity"] = self.heterogeneity
        return table

    def by_support(self, *, of: Measure = "difference", interval: float = 0.9) -> pd.DataFrame:
        """Put the effect on all units beside that on units for which the panel shows such values.

        A unit is extrapolated when more than a quarter of the values that either world gives it
        lie outside what the panel shows for such units. A difference between the two results comes
        from extrapolation, from the units being others, or both.

        Parameters
        ----------
        of : {'difference', 'ratio'}
        interval : float

        Returns
        -------
        DataFrame
            As `summary`, after the columns ``units`` ('all' or 'without extrapolated') and
            ``count``. Where every unit is extrapolated there is no second part.
        """
        import pandas as pd

        both = [one.extrapolated for one in supports(self.question, self.futures)]
        inside = ~np.logical_or(*both)
        counted = self.question.groups.codes >= 0
        parts = [("all", counted, self)]
        if (inside & counted).any():
            kept = self._again(replace(self.question, kept=inside))
            judged = supported_verdict(supports(kept.question, self.futures))
            kept = replace(kept, licence=replace(self.licence, supported=judged))
            parts.append(("without extrapolated", counted & inside, kept))
        tables = []
        for word, units, effect in parts:
            table = effect.summary(of=of, interval=interval)
            table.insert(0, "count", int(units.sum()))
            table.insert(0, "units", word)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    @property
    def caution(self) -> str:
        """What must be said beside every number where the data support it badly; else nothing."""
        return _CAUTIONS.get(self.licence.supported.status, "")

    @property
    def _unit(self) -> str:
        return self.question.outcome.unit

    # ── saying it ──────────────────────────────────────────────────────────────────────────────

    def __repr__(self) -> str:
        question, twin = self.question, self.question.twin
        first, second = (name.rpartition(" = ")[2] for name in question.names)
        once = " once" if question.hold == "once" else ""
        table = self.summary()
        row = table.iloc[-1]
        when = self.when
        if question.hold == "once" and not self.reading:
            row = table.iloc[int(table["mean"].abs().argmax())]
            when = f" in {row['period']}, when it is largest"
        low, high = (c for c in table.columns if str(c).endswith("%"))
        setting = f"{self.caution}, setting" if self.caution else "Setting"
        head = (
            f"{setting} {twin.label(question.cause)} to {second} rather than {first}{once}, "
            f"{question.outcome.words} is "
        )
        direction = "lower" if row["mean"] < 0 else "higher"
        unit = f" {row['unit']}" if row["unit"] and question.outcome.kind == "mean" else ""
        size = f"{number(abs(row['mean']))}{unit} {direction}"
        within = f"(90 % interval {number(row[low])} to {number(row[high])})"
        finding = f"{head}{size}{when} {within}"
        if question.groups.names:
            last = table[table["period"] == row["period"]] if "period" in table else table
            ends = last["mean"].argmin(), last["mean"].argmax()
            least, most = (
                f"{number(last['mean'].iloc[i])} in {', '.join(question.groups.labels[i])}"
                for i in ends
            )
            finding = f"{head}different by between {least} and {most}{when}"
            finding += f" ({self.heterogeneity})"
        elif row["mean"] == row[low] == row[high] == 0:
            finding = f"{head}the same{when}"
        if question.among is not None:
            finding += f", among units with {question.among}"
        if self.reading == ("long run",):
            finding += f"; {self.unstable:.0%} of draws have no long run and are left out"
        if self.licence.identified.status != "yes":
            finding += f": {self.licence.meaning}"
        return f"{finding}."

    @property
    def when(self) -> str:
        """When it is read, as the end of a sentence; nothing in a cross-section."""
        match self.reading:
            case ("at", label):
                return f" in {label}"
            case ("cumulative",):
                return f" over {self._labels[0]} to {self._labels[-1]} together"
            case ("long run",):
                return " in the long run"
        return "" if self.question.horizon is None else f" in {self._labels[-1]}"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.licence._repr_html_()}"

    @property
    def support(self) -> Support:
        """How far the further of the two worlds leaves what the panel shows."""
        return max(supports(self.question, self.futures), key=lambda support: support.rank)

    def plot(self) -> Any:
        """Draw the effect over time, or by group."""
        return importlib.import_module("dotwin.plots").plot_effect(self)


def supports(question: Question, futures: Futures) -> tuple[Support, Support]:
    """Judge the support of both worlds, for the units that the effect is averaged over.

    Parameters
    ----------
    question : Question
    futures : Futures
        Of both worlds.
    """
    from dotwin.worlds.support import judge_support

    counted = question.groups.codes >= 0
    first, second = (
        judge_support(futures, futures.program(name), counted) for name in question.names
    )
    return first, second


def _flat(values: xr.DataArray) -> NDArray[np.float64]:
    """Put all chains' draws on one axis, the first."""
    array: NDArray[np.float64] = values.values
    return array.reshape((-1, *array.shape[2:]))
