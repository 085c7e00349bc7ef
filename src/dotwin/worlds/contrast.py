"""The difference between two scenarios, with its licence."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.errors import SpecificationError, nearest
from dotwin.worlds.aggregate import By, Groups, adds_up, aggregate, unit_of
from dotwin.worlds.identified import identification_of
from dotwin.worlds.licence import (
    MONOTONE_COUPLING,
    NO_HIDDEN_CAUSES,
    PRIOR,
    Licence,
    licence_of,
    refuse,
)
from dotwin.worlds.paired import expected, needed_for, reached, realised
from dotwin.worlds.program import BASELINE
from dotwin.worlds.tables import interval_ends, number, over_draws

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.graph import IdentificationVerdict
    from dotwin.worlds.futures import Futures

__all__ = ["Contrast", "contrast"]

Of = Literal["expected", "realised"]
Worse = Literal["higher", "lower"]
#: What all else is for, in this order.
_ENDS = ("outcome", "utilization", "safeguarding", "quality", "cost")


@dataclass(frozen=True, eq=False, repr=False)
class Contrast:
    """Two scenarios compared, draw by draw.

    Parameters
    ----------
    futures : Futures
    name, against : str
        The scenario, and the one that it is compared with.
    of : {'expected', 'realised'}
    outcomes : tuple of str
        The indicators that are compared.
    licence : Licence
    worlds : dict of str to float array (2, pair, draw over all chains, unit, period)
        Both worlds' values, of each pair of mirrored noise; one pair when realised.
    """

    futures: Futures
    name: str
    against: str
    of: Of
    outcomes: tuple[str, ...]
    licence: Licence
    worlds: dict[str, NDArray[np.float64]]

    @property
    def coupling(self) -> str:
        """How the two worlds' noise belongs together, where that matters."""
        return "monotone" if self.of == "realised" else "averaged over noise"

    @cached_property
    def identification(self) -> dict[str, IdentificationVerdict]:
        """The graph's verdict for each outcome: licensed or not, open paths, what to record."""
        one, other = self.futures.program(self.name), self.futures.program(self.against)
        graph = self.futures.twin.graph
        return {name: identification_of(one, other, name, graph) for name in self.outcomes}

    @cached_property
    def draws(self) -> xr.Dataset:
        """The differences, dims chain, draw, unit, period; in each indicator's own unit."""
        import xarray as xr

        like = self.futures.draws
        dims = ("chain", "draw", "unit", "period")
        found = {}
        for name in self.outcomes:
            values = self.worlds[name].mean(axis=1)
            difference = (values[0] - values[1]).reshape(self.futures.run.shape)
            found[name] = (dims, difference, like[name].attrs)
        coords = {key: value for key, value in like.coords.items() if "scenario" not in value.dims}
        return xr.Dataset(found, coords=coords, attrs={"coupling": self.coupling})

    def _difference(
        self, text: str, groups: Groups
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the difference by (draw, group, period), and by pair before that."""
        twin = self.futures.twin
        expression = self.futures.expression(text)
        whole = aggregate(twin, expression, lambda n: self._read(n).mean(axis=1), groups)
        pairs = aggregate(twin, expression, self._read, groups)
        return whole[0] - whole[1], pairs[0] - pairs[1]

    def _read(self, name: str) -> NDArray[np.float64]:
        if name not in self.worlds:
            raise SpecificationError(
                f"the contrast does not hold '{name}'. {nearest(name, self.worlds)} Name what else "
                f"is to be compared with on=."
            )
        return self.worlds[name]

    def summary(
        self, by: By = None, *, on: str | Sequence[str] | None = None, interval: float = 0.9
    ) -> pd.DataFrame:
        """Summarise the differences.

        Parameters
        ----------
        by : str or sequence of str, optional
            As in `Futures.summary`. Groups are fixed before the scenarios part.
        on : str or sequence of str, optional
            Indicators or expressions of them; what the contrast is on unless given.
        interval : float

        Returns
        -------
        DataFrame
            Columns ``indicator``, those of ``by``, ``period``, ``mean``, ``median``, ``5%``,
            ``95%``, ``noise`` and ``unit``. ``noise`` is the share of the spread (of the variance)
            that comes from simulating rather than from not knowing the parameters; more
            replicates make it smaller. Realised contrasts do not have it.
        """
        return self.over_units(self.futures.groups(by), on, interval)

    def gains_and_losses(
        self, *, on: str | Sequence[str] | None = None, interval: float = 0.9
    ) -> pd.DataFrame:
        """Say what a redeployment brings to those who receive, and what to those who give.

        A unit receives or gives by what it is expected to get over the horizon, on average over
        draws. So the groups are fixed, and no result of the comparison chooses them.

        Parameters
        ----------
        on : str or sequence of str, optional
            Indicators or expressions of them; what the contrast is on unless given.
        interval : float

        Returns
        -------
        DataFrame
            As `summary`, with the columns ``role`` (receives, gives or neither), ``units`` (how
            many) and ``moved`` (what they receive in the period, in units of what stays the same;
            less than 0 where they give).

        Raises
        ------
        SpecificationError
            When the scenario redeploys nothing, or several things.
        """
        from dotwin.worlds.exchange import roles_of

        roles = roles_of(self.futures, self.name)
        table = self.over_units(roles.groups, on, interval)
        units = dict(zip(roles.names, roles.sizes, strict=True))
        table.insert(2, "units", table["role"].map(units))
        moved = {
            (role, label): roles.moved[i, t]
            for i, role in enumerate(roles.names)
            for t, label in enumerate(self.futures.run.future.labels)
        }
        keys = zip(table["role"], table["period"], strict=True)
        table["moved"] = [moved[key] for key in keys]
        return table

    def over_units(
        self, groups: Groups, on: str | Sequence[str] | None, interval: float
    ) -> pd.DataFrame:
        """Summarise the differences over given groups of units; see `summary`."""
        import pandas as pd

        chosen = self.outcomes if on is None else (on,) if isinstance(on, str) else tuple(on)
        tables = []
        for text in chosen:
            whole, pairs = self._difference(text, groups)
            unit = unit_of(self.futures.twin, self.futures.expression(text))
            table = over_draws(
                whole,
                [
                    (groups.names, groups.labels),
                    (("period",), [(label,) for label in self.futures.run.future.labels]),
                ],
                interval,
                {},
            )
            table.insert(0, "indicator", text)
            if self.of == "expected":
                table["noise"] = _noise_share(whole, pairs).ravel()
            table["unit"] = unit
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def by_support(
        self, *, on: str | Sequence[str] | None = None, interval: float = 0.9
    ) -> pd.DataFrame:
        """Put the differences over all units beside those without extrapolated units.

        Parameters
        ----------
        on : str or sequence of str, optional
        interval : float

        Returns
        -------
        DataFrame
            As `summary`, after the columns ``units`` and ``count``; see `Support.extrapolated`.
        """
        from dotwin.worlds.support import contrast_by_support

        return contrast_by_support(self, on, interval)

    def share_made_worse(
        self, indicator: str, *, worse: Worse, by: By = None, interval: float = 0.9
    ) -> pd.DataFrame:
        """Say for how many units the scenario makes an indicator worse.

        Parameters
        ----------
        indicator : str
        worse : {'higher', 'lower'}
            Which direction is harm.
        by : str or sequence of str, optional
        interval : float

        Returns
        -------
        DataFrame
            Columns those of ``by``, ``period``, ``mean``, ``median``, ``5%``, ``95%``: the share of
            units whose difference points towards harm. For a realised contrast it rests on the
            coupling of the two worlds' noise, which no data can test.
        """
        groups = self.futures.groups(by)
        values = self._read(indicator).mean(axis=1)
        harmed = _towards_harm(values[0] - values[1], worse) > 0
        share = groups.total(harmed.astype(float)) / groups.total(np.ones(harmed.shape))
        return over_draws(
            share,
            [
                (groups.names, groups.labels),
                (("period",), [(label,) for label in self.futures.run.future.labels]),
            ],
            interval,
            {"coupling": self.coupling},
        )

    def largest_harm(
        self, indicator: str, *, worse: Worse, by: By = None, interval: float = 0.9
    ) -> pd.DataFrame:
        """Say how much harm is not ruled out: the end of the interval on the side of harm.

        Parameters
        ----------
        indicator : str
            Or an expression of indicators.
        worse : {'higher', 'lower'}
        by : str or sequence of str, optional
        interval : float

        Returns
        -------
        DataFrame
            Columns those of ``by``, ``period``, ``harm`` (0 where the interval rules harm out) and
            ``unit``.
        """
        groups = self.futures.groups(by)
        difference, _ = self._difference(indicator, groups)
        harm = np.quantile(_towards_harm(difference, worse), interval_ends(interval)[1], axis=0)
        table = over_draws(
            np.maximum(harm, 0.0)[None],
            [
                (groups.names, groups.labels),
                (("period",), [(label,) for label in self.futures.run.future.labels]),
            ],
            interval,
            {"unit": unit_of(self.futures.twin, self.futures.expression(indicator))},
        )
        kept = [*groups.names, "period", "mean", "unit"]
        return table[kept].rename(columns={"mean": "harm"})

    def _headline(self) -> str:
        """Return the outcome that a sentence is about: an end, else the last effect."""
        changed = set(self.futures.program(self.name).changes)
        order = [n for n in self.futures.twin.graph.order() if n in self.outcomes]
        others = [name for name in order if name not in changed] or order
        indicators = self.futures.twin.indicators

        def weight(name: str) -> tuple[bool, int]:
            domain = indicators[name].domain
            return domain in _ENDS, -_ENDS.index(domain) if domain in _ENDS else 0

        best: str = max(reversed(others), key=weight)
        return best

    def __repr__(self) -> str:
        if not self.outcomes:
            return f"{self.name} against {self.against}: nothing differs."
        twin, outcome = self.futures.twin, self._headline()
        trials = twin.indicators[outcome].trials
        text = f"share({outcome})" if trials in self.worlds else outcome
        row = self.summary(on=text).iloc[-1]
        low, high = (c for c in row.index if str(c).endswith("%"))
        label = self.futures.run.future.labels[-1]
        when = f" in {label}" if self.futures.run.future.frequency is not None else ""
        kind = "share of" if text != outcome else "total" if adds_up(twin, outcome) else "mean"
        unit = f" {row['unit']}" if row["unit"] else ""
        direction = "lower" if row["mean"] < 0 else "higher"
        size = number(abs(row["mean"]))
        finding = (
            f"Under '{self.name}', {kind} {twin.label(outcome)} is {size}{unit} {direction}{when} "
            f"than under '{self.against}' (90 % interval {number(row[low])} to {number(row[high])})"
        )
        if row["mean"] == 0 and row[low] == row[high] == 0:
            finding = (
                f"'{self.name}' and '{self.against}' do not differ in {twin.label(outcome)}{when}"
            )
        if self.licence.identified.status != "yes":
            finding += f": {self.licence.meaning}"
        realised = "; coupling: monotone" if self.of == "realised" else ""
        return f"{finding}{realised}."

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.licence._repr_html_()}"

    def plot(self, indicator: str | None = None) -> Any:
        """Draw the differences over time."""
        return importlib.import_module("dotwin.plots").plot_contrast(self, indicator)


def _towards_harm(difference: NDArray[np.float64], worse: Worse) -> NDArray[np.float64]:
    if worse not in ("higher", "lower"):
        raise SpecificationError(f"worse='{worse}': say 'higher' or 'lower'.")
    return difference if worse == "higher" else -difference


def _noise_share(whole: NDArray[np.float64], pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate which share of the variance over draws is left-over noise, by (group, period)."""
    count = pairs.shape[0]
    if count < 2:
        return np.full(whole.shape[1:], np.nan)
    noise = pairs.var(axis=0, ddof=1).mean(axis=0) / count
    total = whole.var(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, np.minimum(noise / total, 1.0), 0.0)


def contrast(
    futures: Futures,
    name: str,
    against: str = BASELINE,
    *,
    of: Of = "expected",
    on: str | Sequence[str] | None = None,
    assume: str | Sequence[str] = (),
    replicates: int = 4,
) -> Contrast:
    """Compare two scenarios.

    ``of="expected"`` asks what a scenario changes on average over the noise of single units and
    periods, given the parameters: both worlds are simulated again with further noise, in mirrored
    pairs (v and -v), and averaged per draw before anything else. What spread is left in a summary
    is almost only that of the parameters; its ``noise`` column says how much is not.

    ``of="realised"`` compares the futures as they stand, unit by unit at the same noise. It
    answers what happens to *one* unit in both worlds, which rests on a monotone coupling of their
    noise that no data can test.

    Parameters
    ----------
    futures : Futures
    name, against : str
    of : {'expected', 'realised'}
    on : str or sequence of str, optional
        The outcomes; everything that the scenarios can change unless given.
    assume : str or sequence of str
        ``no hidden causes``: compare although the declared graph does not license it.
        ``monotone coupling``: compare although an arrow is cut around which the same indicator acts
        on the outcome, so that the answer holds two worlds' values of one unit at once.
        ``prior``: compare although the prior of a hidden cause's loadings decides.
    replicates : int
        How many noises are averaged, an even number.

    Returns
    -------
    Contrast

    Raises
    ------
    LicenceError
        When the declared graph does not license the comparison on one of the outcomes.
    """
    if of not in ("expected", "realised"):
        raise SpecificationError(f"of='{of}': say 'expected' or 'realised'.")
    if replicates < 2 or replicates % 2:
        raise SpecificationError(f"replicates={replicates}: an even number, 2 or more.")
    assumed = frozenset([assume] if isinstance(assume, str) else assume)
    known = (NO_HIDDEN_CAUSES, MONOTONE_COUPLING, PRIOR)
    if unknown := sorted(assumed - set(known)):
        shown = " and ".join(f"'{one}'" for one in known)
        raise SpecificationError(f"assume='{unknown[0]}': a contrast knows {shown}.")
    outcomes = _outcomes(futures, name, against, on)
    licence = licence_of(futures, name, against, outcomes, assumed)
    refuse(licence, outcomes)
    needed = needed_for(futures, outcomes)
    if of == "realised":
        worlds = realised(futures, name, against, needed)
    else:
        worlds = expected(futures, name, against, needed, replicates)
    return Contrast(futures, name, against, of, outcomes, licence, worlds)


def _outcomes(
    futures: Futures, name: str, against: str, on: str | Sequence[str] | None
) -> tuple[str, ...]:
    if on is None:
        differ = reached(futures, name, against)
        return tuple(str(n) for n in futures.draws.data_vars if n in differ)
    chosen = [on] if isinstance(on, str) else list(on)
    found: dict[str, None] = {}
    for text in chosen:
        expression = futures.expression(text)
        found |= dict.fromkeys(sorted(expression.names()))
    for one in found:
        futures.read(one)
    return tuple(found)
