"""Where does the variation come from? An indicator's variance shared out among its sources.

References
----------
.. [1] Janzing, D., Bloebaum, P., Mastakouri, A. A., Faller, P. M., Minorics, L. and Budhathoki, K.
   (2024). Quantifying intrinsic causal contributions via structure preserving interventions.
   AISTATS 27. arXiv:2007.00714
.. [2] Owen, A. B. (2014). Sobol' indices and Shapley value. SIAM/ASA J. Uncertainty Quantification
   2. doi:10.1137/130936233
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.effects.compared import unlicensed
from dotwin.effects.shares.sources import shared_out, sources_of
from dotwin.errors import DataError, SpecificationError, nearest
from dotwin.spec.expressions import parse
from dotwin.worlds.licence import (
    NO_HIDDEN_CAUSES,
    Licence,
    Verdict,
    backtested_verdict,
    converged_verdict,
)
from dotwin.worlds.run import plan
from dotwin.worlds.tables import over_draws

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.inference import Fit
    from dotwin.spec.twin import Twin
    from dotwin.worlds.run import Run

__all__ = ["Influence", "influence"]

#: Pairs of units per draw that are simulated unless told: they tell a variance to about 5 %.
_PAIRS = 1000
#: The fewest and most replicates for that; fewer would not tell their own error.
_REPLICATES = 8, 64
#: What every answer says: the most likely misreading of it.
NO_EFFECT = (
    "Shares are of variation under usual action; they do not say what acting on a source would "
    "bring."
)


@dataclass(frozen=True, eq=False, repr=False)
class Influence:
    """An indicator's variance between unit-periods, shared out among its sources.

    Made by `influence`, or `fit.influence`.

    Parameters
    ----------
    on : str
    run : Run
        What was simulated; the outcome is that of its last period.
    sources : tuple of str
    simulated : float array (replicate, source, draw)
        What each source adds to the variance, in independent replicates of the noise.
    orders : int
        Over how many random orders sources join; 0 where all orders are.
    licence : Licence
    """

    on: str
    run: Run
    sources: tuple[str, ...]
    simulated: NDArray[np.float64]
    orders: int
    licence: Licence

    @property
    def draws(self) -> xr.Dataset:
        """What each source adds, dims source, chain, draw.

        ``variance`` in the squared unit of the outcome; ``share`` of the whole variance.
        """
        import xarray as xr

        shape = (len(self.sources), *self.run.shape[:2])
        variance = self.simulated.mean(axis=0)
        dims = ("source", "chain", "draw")
        return xr.Dataset(
            {
                "variance": (dims, variance.reshape(shape)),
                "share": (dims, _shares(variance).reshape(shape)),
            },
            coords={
                "source": list(self.sources), "chain": self.run.chains, "draw": self.run.draws,
            },
            attrs={"on": self.on, "coupling": "monotone"},
        )  # fmt: skip

    def summary(self, *, interval: float = 0.9) -> pd.DataFrame:
        """Summarise what share of the variance each source is behind, the largest first.

        Parameters
        ----------
        interval : float

        Returns
        -------
        DataFrame
            Columns ``source``; ``mean``, ``median``, ``5%``, ``95%`` of its share, over posterior
            draws; ``simulation error``, the standard error of that mean from simulating finitely
            many worlds; ``variance``, the mean of what it adds, in the squared unit of the outcome;
            and ``variance error``. Shares sum to 1. Intervals are over draws: they hold each draw's
            own simulation noise, which widens them, and not what all draws share of it, which the
            stated error holds. More ``replicates`` make both smaller.
        """
        variance = self.simulated.mean(axis=0)
        labels = [(name,) for name in self.sources]
        table = over_draws(_shares(variance).T, [(("source",), labels)], interval, {})
        count = len(self.simulated)
        without = (self.simulated.sum(axis=0) - self.simulated) / (count - 1)
        table["simulation error"] = _jackknife(
            np.stack([_shares(one).mean(axis=1) for one in without])
        )
        table["variance"] = variance.mean(axis=1)
        table["variance error"] = _jackknife(without.mean(axis=2))
        order = table["mean"].abs().sort_values(ascending=False, kind="stable").index
        return table.loc[order].reset_index(drop=True)

    def __repr__(self) -> str:
        twin, run = self.run.twin, self.run
        what = twin.label(self.on) if self.on in twin.indicators else self.on
        table = self.summary()
        ends = [name for name in table.columns if str(name).endswith("%")]
        words = [
            f"{row['source']} {row['mean']:.0%} ({row[ends[0]]:.0%} to {row[ends[1]]:.0%})"
            for row in table.head(3).to_dict("records")
        ]
        through_time = run.future.frequency is not None
        when = f", {_ahead(run)} under usual action" if through_time else ""
        units = f"{twin.unit}-periods" if through_time else "units"
        return (
            f"Where the variation of {what} between {units} comes from{when}: "
            f"{', '.join(words)}; 90 % intervals; simulation error up to "
            f"{table['simulation error'].max():.1%}. {NO_EFFECT} Coupling: monotone."
        )

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.licence._repr_html_()}"

    def plot(self) -> Any:
        """Draw each source's share with its interval."""
        return importlib.import_module("dotwin.plots").plot_influence(self)


def _shares(variance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(variance / variance.sum(axis=0))


def _jackknife(without: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard error of a mean over replicates from those that leave one out."""
    count = len(without)
    spread = without - without.mean(axis=0)
    return np.asarray(np.sqrt((spread**2).sum(axis=0) * (count - 1) / count))


def _ahead(run: Run) -> str:
    count = len(run.future)
    return f"{count} {run.future.frequency}{'s' if count > 1 else ''} ahead"


def influence(
    fit: Fit,
    on: str,
    *,
    horizon: int = 1,
    detail: Literal["kinds", "indicators"] = "indicators",
    seed: int = 0,
    draws: int = 200,
    replicates: int | None = None,
) -> Influence:
    """Share an indicator's variance out among what each mechanism leaves open and what units bring.

    Intrinsic causal influence: of the variance over units and their simulated futures, how much
    each indicator's own noise is behind — not what it hands on from its causes — and how much
    period shocks, hidden causes, givens, starting states and what is the units' own. With
    v(S) = Var(E[Y | sources S]) each gets its Shapley value, so the shares sum to the variance.

    Starting states, givens and what is the units' own belong to the same units and go together, so
    v(S) is the covariance of Y with what it would be had all but S been another unit's. A source
    that offsets another can have a negative share. Units count equally.

    This is about variation as it is. A cause that hardly varies has a small share, however much
    acting on it would bring; ask `effect` for that.

    Parameters
    ----------
    fit : Fit
    on : str
        An indicator with a mechanism, ``share(x)``, a condition, a ratio, or a threshold's name.
    horizon : int
        In which future period, under usual action; a cross-section has one.
    detail : {'indicators', 'kinds'}
        Whether sources are told apart by indicator, or are kinds (noise, period shocks, givens, …).
    seed : int
    draws : int
        Posterior draws.
    replicates : int, optional
        Independent pairs of worlds per unit and draw; unless given, enough for a thousand pairs per
        draw, and 8 to 64. Up to five sources join in all orders; more of them in one random order,
        and its reverse, per replicate. The table states the error.

    Returns
    -------
    Influence

    Raises
    ------
    SpecificationError
        When the outcome is given or unknown, or units act on each other on the way to it.
    DataError
        When the outcome does not vary, or has no value somewhere.

    References
    ----------
    .. [1] Janzing, D., Bloebaum, P., Mastakouri, A. A., Faller, P. M., Minorics, L. and
       Budhathoki, K. (2024). AISTATS 27. arXiv:2007.00714
    .. [2] Owen, A. B. (2014). doi:10.1137/130936233

    Examples
    --------
    Encouragement has variance 1 and acts with 0.7 + 0.4 x 0.5 = 0.9 on the score; homework's own
    noise acts with 0.4; the score's own with 1.

    >>> from dotwin.effects.examples import joe
    >>> found = joe().influence("score", replicates=400)
    >>> found.summary()["source"].tolist()
    ['noise of score', 'noise of encouragement', 'noise of homework']
    """
    if detail not in ("kinds", "indicators"):
        raise SpecificationError(f"detail='{detail}': say 'kinds' or 'indicators'.")
    if replicates is not None and replicates < 2:
        raise SpecificationError(
            f"replicates={replicates}: at least 2, so that the simulation's error is known."
        )
    twin = fit.twin
    text = twin.thresholds[on].of if on in twin.thresholds else on
    expression = parse(text)
    names = sorted(expression.names())
    if unknown := [name for name in names if name not in twin.indicators]:
        raise SpecificationError(
            f"on: there is no indicator '{unknown[0]}'. {nearest(unknown[0], twin.indicators)}"
        )
    if all(twin.indicators[name].is_given for name in names):
        raise SpecificationError(
            f"on: {', '.join(names) or on} is given; why it varies is not declared, so there is no "
            f"answer."
        )
    if fit.panel.is_cross_section and horizon != 1:
        raise SpecificationError(
            f"horizon={horizon}: a cross-section has one period; leave horizon out."
        )
    run = plan(
        fit,
        periods=None if fit.panel.is_cross_section else horizon,
        scenarios=(),
        seed=seed,
        draws=draws,
        panel=None,
        inputs=None,
        new_groups=None,
        carry_forward=0,
    )
    sources = sources_of(run, expression, detail)
    if replicates is None:
        fewest, most = _REPLICATES
        replicates = min(max(-(-_PAIRS // len(run.start.members.units)), fewest), most)
    simulated, orders = shared_out(run, expression, sources, replicates)
    if not (simulated.mean(axis=0).sum(axis=0) > 0).all():
        raise DataError(f"on: {on} does not vary between simulated {twin.unit}-periods.")
    licence = _licence(fit, tuple(sources.behind), names)
    return Influence(on, run, tuple(sources.named), simulated, orders, licence)


def _licence(fit: Fit, behind: tuple[str, ...], outcomes: list[str]) -> Licence:
    """Say what the shares rest on."""
    twin: Twin = fit.twin
    doubtful = dict.fromkeys(
        label for outcome in outcomes for label in unlicensed(twin, behind, outcome)
    )
    coupling = (
        "Noise is what each mechanism leaves open, drawn independently of all other noise; how it "
        "acts together with the causes of a count or a yes-or-no value is the coupling: monotone, "
        "which no data can test. Interactions are shared out by Shapley's rule."
    )
    if doubtful:
        sentence = (
            f"What {', '.join(doubtful)} add{'s' if len(doubtful) == 1 else ''} is association "
            f"under the declared graph: not everything that moves them along with the outcome is "
            f"declared or recorded."
        )
        identified = Verdict("assumed", f"{sentence} {NO_EFFECT} {coupling}", NO_HIDDEN_CAUSES)
    else:
        identified = Verdict(
            "yes",
            f"Every step to the outcome is licensed on the declared graph. {NO_EFFECT} {coupling}",
        )
    nothing = Verdict("yes", "Nothing is intervened on: these are futures under usual action.")
    return Licence(
        identified, nothing, converged_verdict(fit), backtested_verdict(fit, tuple(outcomes))
    )
