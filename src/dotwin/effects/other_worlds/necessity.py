"""Was it the cause? Probabilities of necessity and of sufficiency, between their bounds.

The probability of *necessity* asks of those with the cause and the event whether the event would
have stayed away without the cause; that of *sufficiency* asks of those with neither whether the
cause would have brought the event. Both ask what one unit does in two worlds, which no experiment
shows: data and experiment together bound them (Tian and Pearl 2000), and the model's monotone
coupling picks one value in between.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.effects.compared import Worlds, assumptions, collected, outcomes_of
from dotwin.effects.other_worlds.bounds import tian_pearl
from dotwin.effects.other_worlds.counterfactual import COUPLING
from dotwin.errors import SpecificationError, nearest
from dotwin.spec import Scenario, do
from dotwin.spec.expressions import Ref
from dotwin.worlds.abduction import look_back, looking_back
from dotwin.worlds.licence import NO_HIDDEN_CAUSES, Licence, refuse
from dotwin.worlds.run import compared
from dotwin.worlds.tables import interval_ends, number

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.inference import Fit
    from dotwin.spec.twin import Twin
    from dotwin.worlds.facts import Facts
    from dotwin.worlds.run import Run

__all__ = ["Necessity", "necessity"]

_WITH, _WITHOUT = "with the cause", "without the cause"
#: Quantities in the order of every table, with what they are asked of.
_ASKED = {
    "necessity": "those with cause and event: would it have stayed away without the cause?",
    "sufficiency": "those with neither: would the cause have brought it?",
    "necessity and sufficiency": "everyone: does the event follow the cause and only it?",
}


@dataclass(frozen=True, eq=False, repr=False)
class Necessity:
    """Probabilities of necessity and sufficiency, with their bounds.

    Made by `necessity`, or `fit.necessity`.

    Parameters
    ----------
    cause : str
    event : str
        In the language of the twin.
    run : Run
    facts : Facts
    values : dict of str to float array (draw,)
        The model's value of each probability, averaged over noise.
    bounds : dict of str to (lower, upper)
        Float arrays (draw,).
    by_unit : dict of str to float array (unit,)
        'cause' and 'event' as recorded, and 'would differ': the probability, given all facts of
        the unit, that the event would be another one had the cause been the other one.
    assumed : frozenset of str
    """

    cause: str
    event: str
    run: Run
    facts: Facts
    values: Mapping[str, NDArray[np.float64]]
    bounds: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    by_unit: Mapping[str, NDArray[np.float64]]
    assumed: frozenset[str]

    @property
    def twin(self) -> Twin:
        """The twin of the fit."""
        return self.run.twin

    @property
    def coupling(self) -> str:
        """How the noise of the two worlds belongs together."""
        return "monotone"

    @cached_property
    def licence(self) -> Licence:
        """The verdicts on the effect, and what the value between the bounds rests on."""
        worlds = Worlds(self.run, {})
        outcomes = outcomes_of(self.twin, frozenset(), self.event)
        found = worlds.licence(_WITH, outcomes, self.assumed)
        words = f"{COUPLING} The bounds do without that coupling."
        return worlds.unit_level(found, words)

    @property
    def draws(self) -> xr.Dataset:
        """The model's values and bounds, dims chain, draw."""
        import xarray as xr

        shape = self.run.shape[:2]
        found = {}
        for name, values in self.values.items():
            low, high = self.bounds[name]
            for suffix, array in (("", values), (" at least", low), (" at most", high)):
                found[name + suffix] = (("chain", "draw"), array.reshape(shape))
        return xr.Dataset(found, coords={"chain": self.run.chains, "draw": self.run.draws})

    @property
    def units(self) -> pd.DataFrame:
        """Per unit: its cause and event, and how probably the event hung on the cause.

        Columns ``unit``, ``cause``, ``event``, ``asked`` (necessity where both are there,
        sufficiency where neither is, else nothing) and ``probability``, given all facts of the
        unit.
        """
        import pandas as pd

        cause, event = self.by_unit["cause"], self.by_unit["event"]
        asked = np.full(len(cause), "", dtype=object)
        asked[(cause == 1) & (event == 1)] = "necessity"
        asked[(cause == 0) & (event == 0)] = "sufficiency"
        return pd.DataFrame(
            {
                "unit": self.run.start.members.units,
                "cause": cause,
                "event": event,
                "asked": asked,
                "probability": np.where(asked == "", np.nan, self.by_unit["would differ"]),
            }
        )

    def summary(self, *, interval: float = 0.9) -> pd.DataFrame:
        """Summarise the model's values and the bounds.

        Parameters
        ----------
        interval : float

        Returns
        -------
        DataFrame
            Columns ``probability of``, ``asked of``, ``mean``, ``median``, ``5%``, ``95%`` (the
            model's value), ``at least`` and ``at most`` (the bounds' means over draws),
            ``at least 5%`` and ``at most 95%`` (the bounds with the parameters' uncertainty).
        """
        import pandas as pd

        low, high = interval_ends(interval)
        rows = []
        for name, asked in _ASKED.items():
            values, (lower, upper) = self.values[name], self.bounds[name]
            known = np.isfinite(values) & np.isfinite(lower) & np.isfinite(upper)
            nothing = np.full(1, np.nan)
            v, below, above = (x[known] if known.any() else nothing for x in (values, lower, upper))
            middle, first, last = np.quantile(v, [0.5, low, high])
            rows.append(
                {
                    "probability of": name,
                    "asked of": asked,
                    "mean": v.mean(),
                    "median": middle,
                    f"{100 * low:g}%": first,
                    f"{100 * high:g}%": last,
                    "at least": below.mean(),
                    "at most": above.mean(),
                    f"at least {100 * low:g}%": np.quantile(below, low),
                    f"at most {100 * high:g}%": np.quantile(above, high),
                }
            )
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        row = self.summary().iloc[0]
        what = self.twin.label(self.cause)
        if not np.isfinite(row["mean"]):
            return f"Nobody has both {what} and '{self.event}', so necessity is asked of nobody."
        text = (
            f"Of those with {what} and '{self.event}', the event would have stayed away without "
            f"the cause in {number(100 * row['mean'])} % (coupling: monotone; whatever the "
            f"coupling, between {number(100 * row['at least'])} and "
            f"{number(100 * row['at most'])} %)"
        )
        if self.licence.identified.status != "yes":
            text += f": {self.licence.meaning}"
        return f"{text}."

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.licence._repr_html_()}"

    def plot(self) -> Any:
        """Draw each probability between its bounds."""
        return importlib.import_module("dotwin.plots").plot_necessity(self)


def necessity(
    fit: Fit,
    cause: str,
    *,
    on: str,
    period: str | None = None,
    seed: int = 0,
    draws: int = 500,
    replicates: int = 8,
    assume: str | Sequence[str] = (),
) -> Necessity:
    """Say how probably an event hung on a yes-or-no cause.

    Asked of the panel's units in one period, with everything that the cause does not reach as it
    was recorded.

    Parameters
    ----------
    fit : Fit
    cause : str
        A yes-or-no indicator.
    on : str
        The event: a yes-or-no indicator, a condition such as ``falls > 0``, or a threshold.
    period : str, optional
        The panel's last unless given.
    seed : int
    draws : int
        Posterior draws.
    replicates : int
        How many noises are averaged per draw; an even number.
    assume : str or sequence of str
        ``no hidden causes``: answer although the declared graph does not license the effect.

    Returns
    -------
    Necessity

    Raises
    ------
    SpecificationError
        When cause or event are not yes-or-no.
    LicenceError
        When the declared graph does not license the effect.

    References
    ----------
    .. [1] Pearl, J. (1999). Probabilities of causation: three counterfactual interpretations and
       their identification. Synthese 121, 93-149. doi:10.1023/A:1005233831499
    .. [2] Tian, J. and Pearl, J. (2000). doi:10.1023/A:1018912507879
    """
    assumed = assumptions(assume, (NO_HIDDEN_CAUSES,))
    if replicates < 2 or replicates % 2:
        raise SpecificationError(f"replicates={replicates}: an even number, 2 or more.")
    _check_cause(fit, cause)
    condition = _condition(fit.twin, on)
    when = None if fit.twin.panel.period is None else period or fit.panel.period_labels[-1]
    if when is None and period is not None:
        raise SpecificationError(f"period={period}: a cross-section has one period; leave it out.")
    scenarios = [Scenario(_WITHOUT, [do(cause, 0)]), Scenario(_WITH, [do(cause, 1)])]
    run, facts = look_back(fit, scenarios, periods=when, seed=seed, draws=draws)
    outcomes = outcomes_of(fit.twin, frozenset(), condition)
    refuse(Worlds(run, {}).licence(_WITH, outcomes, assumed), outcomes)
    names = tuple(dict.fromkeys([*collected(fit.twin, outcomes), cause]))
    reached = run.programs[1].touched - {cause}
    sums: dict[str, Any] = {}
    total = run.shape[0] * run.shape[1]
    for replicate in range(replicates):
        was, events = _events(run, facts, names, condition, cause, replicate, frozenset(reached))
        _count(sums, was, *events[1:])
    was, events = _events(run, facts, names, condition, cause, 0, frozenset())
    had = np.where(was == 1, events[1], events[2])
    count = {key: value / (replicates * was.shape[1]) for key, value in sums.items()}
    joint = {(x, y): count[f"{x}{y}"] for x in (0, 1) for y in (0, 1)}
    bounds = tian_pearl(count["with"], count["without"], joint)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {
            "necessity": count["needed"] / joint[1, 1],
            "sufficiency": count["enough"] / joint[0, 0],
            "necessity and sufficiency": count["both"],
        }
    assert all(len(value) == total for value in values.values())
    return Necessity(
        cause=cause,
        event=condition,
        run=run,
        facts=facts,
        values=values,
        bounds={
            "necessity": bounds.necessity,
            "sufficiency": bounds.sufficiency,
            "necessity and sufficiency": bounds.both,
        },
        by_unit={
            "cause": np.round(was.mean(axis=0), 6),
            "event": np.round(events[0].mean(axis=0), 6),
            "would differ": (had != events[0]).mean(axis=0),
        },
        assumed=assumed,
    )


def _check_cause(fit: Fit, cause: str) -> None:
    twin = fit.twin
    if cause not in twin.indicators:
        raise SpecificationError(
            f"there is no indicator '{cause}'. {nearest(cause, twin.indicators)}"
        )
    values = fit.panel.values(cause) if cause in fit.panel.indicators else np.array([""])
    if values.dtype.kind in "OUT" or not np.isin(values[np.isfinite(values)], (0.0, 1.0)).all():
        raise SpecificationError(
            f"'{cause}' is not yes-or-no, and only such a cause is necessary or sufficient. Ask "
            f"fit.counterfactual what another value would have brought."
        )


def _condition(twin: Twin, on: str) -> str:
    """Read an event."""
    if on in twin.thresholds:
        return twin.thresholds[on].condition
    if on in twin.indicators:
        if twin.indicators[on].family != "bernoulli":
            raise SpecificationError(
                f"on='{on}': an indicator that is not yes-or-no is no event; compare it, as in "
                f"'{on} > 0'."
            )
        return f"{on} == 1"
    return on


def _events(
    run: Run,
    facts: Facts,
    names: tuple[str, ...],
    condition: str,
    cause: str,
    replicate: int,
    fresh: frozenset[str],
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Return the cause as it was and the event in each world, dims (draw, unit).

    The worlds are the facts, without the cause, with the cause. Only the last two are right where
    the noise of what the cause reaches is fresh.
    """
    was, without, given = run.programs
    wanted = frozenset(names)
    _, without = compared(run, was, without, without.touched, wanted)
    was, given = compared(run, was, given, given.touched, wanted)
    engine = looking_back(
        run, facts, (was, without, given), replicate=replicate, abduction=replicate, fresh=fresh
    )
    chains, draws, units, _ = run.shape
    kept = {name: np.empty((3, chains * draws, units, 1)) for name in names}

    def keep(rows: slice, number: int, world: Any) -> None:
        for name, values in kept.items():
            values[number, rows, :, 0] = world.seen[name][run.start.past]

    engine.collect(keep)
    worlds = Worlds(run, {name: tuple(values) for name, values in kept.items()})
    groups = worlds.groups(run.twin.unit)
    place = {label[0]: i for i, label in enumerate(groups.labels)}
    order = np.array([place[unit] for unit in run.start.members.units])
    expression = worlds.expression(condition)
    found = []
    for world in range(3):
        holds = worlds.aggregate(condition, world, groups)[:, :, 0]
        if isinstance(expression, Ref) or not np.isin(holds, (0.0, 1.0)).all():
            raise SpecificationError(
                f"on='{condition}' is a quantity, not an event; compare it, as in "
                f"'{condition} > 0'."
            )
        found.append(holds[:, order])
    return kept[cause][0, :, :, 0], found


def _count(sums: dict[str, Any], cause: Any, without: Any, given: Any) -> None:
    """Add up how often what happens, per draw."""
    x, e0, e1 = cause == 1, without == 1, given == 1
    event = np.where(x, e1, e0)
    parts = {
        "with": e1, "without": e0, "needed": x & e1 & ~e0, "enough": ~x & ~e0 & e1,
        "both": e1 & ~e0, "11": x & event, "10": x & ~event, "01": ~x & event, "00": ~x & ~event,
    }  # fmt: skip
    for key, holds in parts.items():
        sums[key] = sums.get(key, 0.0) + holds.sum(axis=1)
