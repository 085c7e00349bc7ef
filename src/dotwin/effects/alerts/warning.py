"""A warning of units that may cross a line: probabilities, ranks, gains and verdicts."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.worlds.tables import interval_ends

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from dotwin.effects.alerts.crossings import Crossings
    from dotwin.effects.alerts.offers import Offer
    from dotwin.effects.alerts.warning_scores import WarningScores
    from dotwin.panel import Panel
    from dotwin.spec.expressions import Expr
    from dotwin.spec.twin import Twin
    from dotwin.worlds.licence import Licence
    from dotwin.worlds.run import Run

__all__ = ["NOTICE", "EarlyWarning"]

Floats = NDArray[np.float64]

#: Printed wherever alerts are shown.
NOTICE = "An alert may lead to support or to a review, never to enforcement."
#: A unit more of whose futures cannot be computed than this gets no verdict.
_MOST_UNKNOWN = 0.05
#: How sure one must be that spread is noise before it is taken out.
_SURE = 0.975


@dataclass(frozen=True, eq=False, repr=False)
class EarlyWarning:
    """The probability that each unit crosses a line within a horizon, under usual action.

    Made by `Fit.early_warning`.

    Parameters
    ----------
    run : Run
        What was simulated.
    threshold : str
        The threshold's name, or the condition.
    condition : Expr
    alert_at : float
        The probability that calls for an alert.
    interval : float
        Probability of all intervals.
    crossings : Crossings
        What the simulation counted.
    looked_at : str
        The condition under which a unit is looked at; empty where crossings are no findings.
    offers : tuple of Offer
        Each available intervention with its licence, and its gain where it is licensed.
    licence : Licence
        Of the forecast itself.
    replicates : int
        Noises per posterior draw.
    """

    run: Run
    threshold: str
    condition: Expr
    alert_at: float
    interval: float
    crossings: Crossings
    looked_at: str
    offers: tuple[Offer, ...]
    licence: Licence
    replicates: int

    @property
    def twin(self) -> Twin:
        """The twin of the fit."""
        return self.run.twin

    @property
    def units(self) -> tuple[str, ...]:
        """The units that are warned of, in the panel's order."""
        return self.run.start.members.units

    @property
    def horizon(self) -> int:
        """How many periods ahead."""
        return len(self.run.future)

    @property
    def paths(self) -> int:
        """How many futures of each unit were followed."""
        return self.replicates * len(self.crossings.first[0])

    @property
    def notice(self) -> str:
        """What an alert may lead to."""
        return NOTICE

    @cached_property
    def draws(self) -> xr.Dataset:
        """Risk and rank of each unit per posterior draw, dims (chain, draw, unit).

        ``risk`` is the probability of crossing within the horizon given the draw's parameters,
        ``rank`` the place of that risk among all units of the draw, 1 for the highest. What
        spread of the risk is surely left of simulating is taken out.
        """
        import xarray as xr
        from scipy.stats import rankdata

        chains, each, units, _ = self.run.shape
        risk = without_noise(self.crossings.ever[0], self.crossings.noise[0])
        rank = rankdata(-risk, axis=1)
        shape, dims = (chains, each, units), ("chain", "draw", "unit")
        return xr.Dataset(
            {"risk": (dims, risk.reshape(shape)), "rank": (dims, rank.reshape(shape))},
            coords={"chain": self.run.chains, "draw": self.run.draws, "unit": list(self.units)},
            attrs={"threshold": self.threshold, "notice": NOTICE},
        )

    @cached_property
    def probability(self) -> Floats:
        """Probability of crossing within the horizon, dims (unit,)."""
        return np.asarray(self.crossings.ever[0].mean(axis=0))

    @cached_property
    def _ends(self) -> tuple[Floats, Floats]:
        low, high = np.quantile(
            self.draws["risk"].values.reshape(-1, len(self.units)),
            interval_ends(self.interval),
            axis=0,
        )
        return low, high

    @cached_property
    def verdicts(self) -> NDArray[Any]:
        """``alert``, ``no alert`` or ``abstains`` for each unit.

        It abstains where the interval of the risk lies on both sides of ``alert_at``, so that it
        cannot say which it is, and where futures of the unit could not be computed.
        """
        low, high = self._ends
        words = np.full(low.shape, "abstains", dtype=object)
        words[low >= self.alert_at] = "alert"
        words[high < self.alert_at] = "no alert"
        words[self.crossings.unknown > _MOST_UNKNOWN] = "abstains"
        return words

    @cached_property
    def crossed_by(self) -> pd.DataFrame:
        """Probability of having crossed by the end of each period; a row per unit."""
        import pandas as pd

        reached = np.clip(np.cumsum(self.crossings.first[0].mean(axis=0), axis=1), 0.0, 1.0)
        return pd.DataFrame(reached, index=list(self.units), columns=list(self.run.future.labels))

    def summary(self) -> pd.DataFrame:
        """Say what is known of each unit.

        Returns
        -------
        DataFrame
            A row per unit in the panel's order, which is no order of merit: the unit and its
            levels; ``probability`` of crossing within the horizon, with the interval of what it
            would be if the parameters were known (``5%``, ``95%``); ``mc_error``, the Monte
            Carlo standard error of the probability; the interval of its rank among ``of`` units
            (1 is the highest risk); ``verdict``; ``likely_by``, the first period by which
            crossing is more likely than not. For findings also ``looked_at``, the chance of
            being looked at within the horizon, and ``found_if_looked_at``, the chance of a
            finding given that.
        """
        import pandas as pd

        low, high = (f"{100 * end:g}%" for end in interval_ends(self.interval))
        ranks = np.quantile(
            self.draws["rank"].values.reshape(-1, len(self.units)),
            interval_ends(self.interval),
            axis=0,
        )
        members = self.run.start.members
        columns: dict[str, Any] = {self.twin.unit: list(self.units)}
        for level in self.twin.panel.all_levels:
            if level != self.twin.unit:
                columns[level] = members.levels[level].labels[0]
        columns |= {
            "probability": self.probability,
            low: self._ends[0],
            high: self._ends[1],
            "mc_error": self.crossings.ever[0].std(axis=0) / np.sqrt(len(self.crossings.ever[0])),
            f"rank {low}": np.floor(ranks[0]),
            f"rank {high}": np.ceil(ranks[1]),
            "of": len(self.units),
            "verdict": self.verdicts,
            "likely_by": self._likely_by(),
        }
        if self.crossings.looked is not None and self.crossings.found is not None:
            looked = self.crossings.looked.mean(axis=0)
            with np.errstate(invalid="ignore", divide="ignore"):
                found = self.crossings.found.mean(axis=0) / looked
            columns |= {"looked_at": looked, "found_if_looked_at": np.minimum(found, 1.0)}
        table = pd.DataFrame(columns)
        table.attrs["notice"] = NOTICE
        return table

    def _likely_by(self) -> NDArray[Any]:
        reached = self.crossed_by.to_numpy() >= 0.5
        labels = np.array([*self.run.future.labels, f"not within {self.horizon}"], dtype=object)
        where = np.where(reached.any(axis=1), reached.argmax(axis=1), self.horizon)
        return np.asarray(labels[where])

    def alerts(self) -> pd.DataFrame:
        """Return the summary of the units that call for an alert, in the panel's order."""
        table = self.summary()
        return table[table["verdict"] == "alert"].reset_index(drop=True)

    def interventions(self) -> pd.DataFrame:
        """Say which interventions are licensed, and how many crossings each would spare.

        Returns
        -------
        DataFrame
            A row per scenario: ``intervention``, ``identified``, ``supported``, ``shown`` and
            ``because``, which says why a gain is not shown; ``spared``, the expected number of
            units that would not cross within the horizon and else would, with its interval.
            Where the licence fails there is no number.
        """
        import pandas as pd

        low, high = (f"{100 * end:g}%" for end in interval_ends(self.interval))
        rows = []
        for offer in self.offers:
            spared = np.full(3, np.nan)
            if offer.gain is not None:
                total = offer.gain.sum(axis=1)
                spared = np.array([total.mean(), *np.quantile(total, interval_ends(self.interval))])
            rows.append(
                {
                    "intervention": offer.name,
                    "identified": offer.licence.identified.status,
                    "supported": offer.licence.supported.status,
                    "shown": offer.gain is not None,
                    "spared": spared[0],
                    low: spared[1],
                    high: spared[2],
                    "because": offer.because,
                }
            )
        columns = [
            "intervention", "identified", "supported", "shown", "spared", low, high, "because",
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=columns)

    def gains(self) -> pd.DataFrame:
        """Say by how much each licensed intervention lowers each unit's probability.

        Returns
        -------
        DataFrame
            A row per unit and licensed intervention: the unit, ``intervention``, ``gain`` (the
            fall of the probability, on average over noise), its interval over what is not known
            of the parameters, and ``supported``.
        """
        import pandas as pd

        low, high = (f"{100 * end:g}%" for end in interval_ends(self.interval))
        tables = []
        for offer in self.offers:
            if offer.gain is None:
                continue
            ends = np.quantile(offer.gain, interval_ends(self.interval), axis=0)
            tables.append(
                pd.DataFrame(
                    {
                        self.twin.unit: list(self.units),
                        "intervention": offer.name,
                        "gain": offer.gain.mean(axis=0),
                        low: ends[0],
                        high: ends[1],
                        "supported": offer.licence.supported.status,
                    }
                )
            )
        if not tables:
            names = [self.twin.unit, "intervention", "gain", low, high, "supported"]
            return pd.DataFrame(columns=names)
        return pd.concat(tables, ignore_index=True)

    def drivers(self, units: str | Sequence[str]) -> pd.DataFrame:
        """Say what the forecast of some units rests on; see `dotwin.effects.drivers.drivers`."""
        from dotwin.effects.alerts.drivers import drivers

        return drivers(self, [units] if isinstance(units, str) else list(units))

    def score(self, panel: Panel, *, acted: str | Sequence[str] = ()) -> WarningScores:
        """Set the warnings beside what then happened; see `WarningScores`.

        Parameters
        ----------
        panel : Panel
            That reaches over the horizon.
        acted : str or sequence of str
            Units where someone acted on an alert: their ids, or the name of an indicator that is
            1 in a period where someone did.

        Returns
        -------
        WarningScores
        """
        from dotwin.effects.alerts.warning_scores import score

        return score([self], panel, acted=acted)

    def __repr__(self) -> str:
        counts = {word: int((self.verdicts == word).sum()) for word in ("alert", "abstains")}
        declared = self.twin.thresholds.get(self.threshold)
        meaning = f" ({declared.meaning})" if declared is not None and declared.meaning else ""
        frequency = self.run.future.frequency
        when = f"1 {frequency}" if self.horizon == 1 else f"{self.horizon} {frequency}s"
        told = f" Tell: {declared.escalate_to}." if declared and declared.escalate_to else ""
        return (
            f"Early warning of '{self.threshold}'{meaning} within {when}, under usual action: "
            f"{counts['alert']:,} of {len(self.units):,} units call for an alert at a probability "
            f"of {self.alert_at:.0%} or more; it abstains on {counts['abstains']:,}.{told} {NOTICE}"
        )

    def _repr_html_(self) -> str:
        shown = self.alerts().head(20).to_html(index=False, float_format=lambda v: f"{v:.3g}")
        return f"<p>{self!r}</p>{shown}"

    def plot(self, units: Sequence[str] | None = None) -> Any:
        """Draw the probabilities and ranks of some units with their intervals."""
        return importlib.import_module("dotwin.plots").plot_early_warning(self, units)


def without_noise(values: Floats, noise: Floats) -> Floats:
    """Take out of the spread over draws what is surely left of simulating.

    Each draw's value is known up to noise of a known variance. The values are drawn towards their
    mean so far that their variance falls by the noise's; where draws are too few to tell how much
    of the spread is noise, less is taken out, so that noise does not pass for certainty.

    Parameters
    ----------
    values : array, dims (draw, unit)
    noise : array, dims (unit,)
        Variance of the noise of a draw's value.

    Returns
    -------
    array, dims (draw, unit)
    """
    from scipy.special import chdtri

    freedom = values.shape[0] - 1
    if freedom < 1:
        return values
    # The largest variance that the draws' own, of so many draws, does not rule out.
    largest = values.var(axis=0, ddof=1) * freedom / chdtri(freedom, _SURE)
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = np.where(largest > 0, np.clip(1.0 - noise / largest, 0.0, 1.0), 1.0)
    mean = values.mean(axis=0)
    return np.asarray(mean + (values - mean) * np.sqrt(kept))
