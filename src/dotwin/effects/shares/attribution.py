"""Why did it change? The difference between two periods, groups or fits, shared out exactly.

What is behind each unit's value is known in every draw: where it started, its givens, the calendar,
the period's shock, what is its own, its noise. Taking these parts from one side or the other makes
hybrid worlds; Shapley values over them say what each part adds, whatever the order, and sum to the
change itself. That units entered, left, or began or stopped reporting is a part, too.

References
----------
.. [1] Budhathoki, K., Janzing, D., Bloebaum, P. and Ng, H. (2021). Why did the distribution change?
   AISTATS 24. arXiv:2102.13384
.. [2] Budhathoki, K., Michailidis, G. and Janzing, D. (2022). Explaining the root causes of unit-
   level changes. arXiv:2206.12986
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.effects.compared import Worlds, unlicensed, what_is
from dotwin.effects.shares.parts import Contributions, contributions
from dotwin.effects.shares.sides import Comparison, compare
from dotwin.errors import SpecificationError
from dotwin.worlds.facts import window_of
from dotwin.worlds.licence import NO_HIDDEN_CAUSES, Licence, Verdict
from dotwin.worlds.tables import number, over_draws

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.inference import Fit

__all__ = ["Attribution", "attribute"]

Detail = Literal["kinds", "indicators"]
#: A part that is smaller than this share of the largest one is 0 but for rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """A change, shared out among what is behind it.

    Made by `attribute`, or `fit.attribute`.

    Parameters
    ----------
    on : str
    labels : (str, str)
        What the two ends are called.
    before, after : float
        The measure at the ends, as recorded.
    parts : dict of str to float array (draw,)
        What each part adds; in every draw they sum to ``after - before``.
    comparisons : tuple of Comparison
        One per period that is compared with.
    orders : int
        Over how many random orders the parts are averaged; 0 where all orders are.
    licence : Licence
    """

    on: str
    labels: tuple[str, str]
    before: float
    after: float
    parts: dict[str, NDArray[np.float64]]
    comparisons: tuple[Comparison, ...]
    orders: int
    licence: Licence

    @property
    def change(self) -> float:
        """The change that is shared out, as recorded."""
        return self.after - self.before

    @property
    def counts(self) -> dict[str, int]:
        """How many units were compared, entered, left, began or stopped reporting."""
        return dict(self.comparisons[-1].counts)

    @property
    def draws(self) -> xr.Dataset:
        """What each part adds, dims part, chain, draw."""
        import xarray as xr

        run = self.comparisons[0].ends[0].run
        values = np.stack([v.reshape(run.shape[:2]) for v in self.parts.values()])
        return xr.Dataset(
            {"contribution": (("part", "chain", "draw"), values)},
            coords={"part": list(self.parts), "chain": run.chains, "draw": run.draws},
            attrs={"before": self.before, "after": self.after, "coupling": "monotone"},
        )

    def summary(self, *, interval: float = 0.9) -> pd.DataFrame:
        """Summarise what each part adds, the largest first.

        Parameters
        ----------
        interval : float

        Returns
        -------
        DataFrame
            Columns ``part``, ``mean``, ``median``, ``5%``, ``95%`` and ``share`` (of the change).
            The means sum to the change.
        """
        names = list(self.parts)
        values = np.stack([self.parts[name] for name in names], axis=1)
        table = over_draws(values, [(("part",), [(name,) for name in names])], interval, {})
        with np.errstate(invalid="ignore", divide="ignore"):
            table["share"] = table["mean"] / self.change
        order = table["mean"].abs().sort_values(ascending=False, kind="stable").index
        return table.loc[order].reset_index(drop=True)

    def __repr__(self) -> str:
        twin = self.comparisons[0].ends[0].fit.twin
        table = self.summary()
        measure = self.comparisons[0].measure
        what = measure.text
        if measure.text in twin.indicators:
            what = what_is(twin, measure.text) if measure.total else f"mean {twin.label(what)}"
        if self.change == 0 and (table["mean"] == 0).all():
            return f"{what} is the same: {number(self.before)}."
        words = []
        size = table["mean"].abs().max()
        for row in table.head(3).to_dict("records"):
            ends = (value for key, value in row.items() if str(key).endswith("%"))
            mean, low, high = (
                number(0.0 if abs(value) < _ROUNDING * size else value)
                for value in (row["mean"], *ends)
            )
            sign = "+" if row["mean"] > 0 else ""
            words.append(f"{row['part']} {sign}{mean} ({low} to {high})")
        sign = "+" if self.change > 0 else ""
        return (
            f"From {self.labels[0]} to {self.labels[1]}, {what} went from {number(self.before)} to "
            f"{number(self.after)} ({sign}{number(self.change)}): {', '.join(words)}; 90 % "
            f"intervals; coupling: monotone."
        )

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.licence._repr_html_()}"

    def plot(self) -> Any:
        """Draw what each part adds."""
        return importlib.import_module("dotwin.plots").plot_attribution(self)


def attribute(
    fit: Fit,
    on: str,
    *,
    before: str | slice | Sequence[str] | None = None,
    after: str | None = None,
    other: Fit | None = None,
    period: str | None = None,
    units: str | Sequence[str] | None = None,
    detail: Detail = "kinds",
    seed: int = 0,
    draws: int = 200,
) -> Attribution:
    """Say why an indicator changed between two periods, or differs between two groups.

    Between periods each unit is set against itself; that units entered, left, began or stopped
    reporting are parts of their own. Two groups have no unit in common: they are matched at random,
    every unit with the same weight. Mechanisms are the same at both ends unless ``other`` gives the
    second end a fit of its own; only then can mechanism change be a part.

    Parameters
    ----------
    fit : Fit
    on : str
        An indicator (counts and money as totals between periods, averages between groups),
        ``share(x)``, or a ratio such as ``incidents / clients``.
    before, after : str
        Two periods such as ``2025-01``, or two conditions on units such as ``region == 'north'``.
        Several periods before (a slice or a sequence) are averaged over: so one unit's value is
        set against what it usually is.
    other : Fit, optional
        Of the same twin: where ``after`` is looked up.
    period : str, optional
        In which groups are compared; the last unless given.
    units : str or sequence of str, optional
        These units alone.
    detail : {'kinds', 'indicators'}
        Whether parts are kinds (givens, starting states, period shocks, noise, …) or told apart by
        indicator. More than ten parts are averaged over random orders instead of all; they still
        sum to the change.
    seed : int
    draws : int
        Posterior draws.

    Returns
    -------
    Attribution

    Raises
    ------
    SpecificationError
        When the two ends cannot be compared.
    DataError
        When a period is not in the panel or nobody is recorded.

    References
    ----------
    .. [1] Budhathoki, K., Janzing, D., Bloebaum, P. and Ng, H. (2021). arXiv:2102.13384

    Examples
    --------
    >>> from dotwin.effects.examples import joe
    >>> joe().attribute("score", other=joe()).change
    0.0
    """
    if detail not in ("kinds", "indicators"):
        raise SpecificationError(f"detail='{detail}': say 'kinds' or 'indicators'.")
    if before is None and after is None and other is None:
        raise SpecificationError("before and after: name two periods or two groups of units.")
    earlier = _references(fit, before, after)
    comparisons, found = [], []
    for one in earlier:
        compared = compare(
            fit, other, on, one, after,
            period=period, units=units if not isinstance(units, str) else [units],
            seed=seed, draws=draws,
        )  # fmt: skip
        comparisons.append(compared)
        found.append(contributions(compared, detail, seed))
    names = dict.fromkeys(name for one in found for name in one.names)
    parts = {name: np.mean([_of(one, name) for one in found], axis=0) for name in names}
    first = comparisons[0]
    return Attribution(
        on=on,
        labels=(
            first.ends[0].label
            if len(earlier) == 1
            else f"the mean of {len(earlier)} earlier periods",
            first.ends[1].label,
        ),
        before=float(np.mean([one.before for one in found])),
        after=float(np.mean([one.after for one in found])),
        parts=parts,
        comparisons=tuple(comparisons),
        orders=max(one.orders for one in found),
        licence=_licence(first),
    )


def _references(
    fit: Fit, before: str | slice | Sequence[str] | None, after: str | None
) -> list[str | None]:
    """List the periods that are compared with."""
    if before is None or isinstance(before, str):
        return [before]
    labels = fit.panel.period_labels
    window = window_of(fit.panel, before if isinstance(before, slice) else list(before))
    found = [label for label in labels[window] if label != after]
    if not found:
        raise SpecificationError("before: no period is left to compare with.")
    return list(found)


def _of(one: Contributions, name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = one.values
    return values[one.names.index(name)] if name in one.names else np.zeros(values.shape[1])


def _licence(found: Comparison) -> Licence:
    """Say what the parts rest on; parts of an undeclared reason are no effects."""
    end = found.ends[1]
    twin = end.fit.twin
    doubtful = unlicensed(twin, found.names, found.measure.above)
    coupling = (
        "Noise is what each mechanism leaves open, abducted unit by unit (coupling: monotone); the "
        "parts share out interactions by Shapley's rule."
    )
    if doubtful:
        sentence = (
            f"What {', '.join(doubtful)} add{'s' if len(doubtful) == 1 else ''} is association "
            f"under the declared graph, not an effect: not everything that moves them along with "
            f"the outcome is declared or recorded. {coupling}"
        )
        identified = Verdict("assumed", sentence, NO_HIDDEN_CAUSES)
    else:
        identified = Verdict(
            "yes", f"Every step to the outcome is licensed on the declared graph. {coupling}"
        )
    usual = Worlds(end.run, {}).verdicts((found.measure.above,))
    nothing = Verdict("yes", "Both ends are recorded; nothing is intervened on.")
    return Licence(identified, nothing, usual.converged, usual.backtested)
