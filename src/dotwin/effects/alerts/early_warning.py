"""Early warning: how probable it is that a unit crosses a declared line under usual action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dotwin.effects.alerts.crossings import follow
from dotwin.effects.alerts.warning import EarlyWarning
from dotwin.errors import SpecificationError, nearest
from dotwin.panel.names import refuse_unknown_names
from dotwin.spec.expressions import Bool, Compare, Expr, Not, parse
from dotwin.worlds.licence import Licence, Verdict, backtested_verdict, converged_verdict
from dotwin.worlds.program import BASELINE, Asked
from dotwin.worlds.run import plan
from dotwin.worlds.tables import interval_ends

if TYPE_CHECKING:
    import pandas as pd

    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin

__all__ = ["condition_of", "early_warning"]

#: Draws by which support is judged: it is a share of unit-periods, and these are many.
_SUPPORT_DRAWS = 40


def early_warning(
    fit: Fit,
    threshold: str,
    *,
    horizon: int,
    seed: int,
    alert_at: float = 0.5,
    interventions: Sequence[Asked] | Asked | None = None,
    looked_at: str | None = None,
    interval: float = 0.9,
    draws: int = 200,
    replicates: int = 20,
    panel: Panel | None = None,
    inputs: pd.DataFrame | None = None,
    new_groups: str | None = None,
    carry_forward: int = 0,
) -> EarlyWarning:
    """Say how probable it is that each unit crosses a line within a horizon, under usual action.

    Usual action means that units go on being run as they were in the panel: nothing is intervened
    on. Each posterior draw is followed through several noises, so that what is not known of the
    parameters (the interval of the risk, the rank) stands apart from what nobody can know ahead.

    Where crossings are *findings*, a unit must be looked at first. When the mechanism of the
    threshold's indicator, or of its trials, holds only ``when`` some condition is met, that
    condition counts as the look; ``looked_at`` says another.

    Parameters
    ----------
    fit : Fit
    threshold : str
        A threshold's name, or a condition such as ``missed / scheduled > 0.05``, read unit by
        unit.
    horizon : int
        Periods ahead.
    seed : int
    alert_at : float
        A unit calls for an alert when its risk surely reaches this probability. Rare crossings
        need a low one.
    interventions : sequence of Scenario, Intervention or str, optional
        What could be done; all scenarios of the twin unless given, an empty one for none. The
        gain of one that is not identified, or that goes beyond what the panel shows, is not
        computed.
    looked_at : str, optional
        The condition under which a unit is looked at.
    interval : float
        Probability of the equal-tailed intervals.
    draws : int
        Posterior draws.
    replicates : int
        Noises per draw, an even number.
    panel : Panel, optional
        Another panel to start from, such as one that holds a later period.
    inputs : DataFrame, optional
        Future values of givens, as in `simulate`.
    new_groups : {'population'}, optional
        Draw the effects of groups never seen from the spread of those that were.
    carry_forward : int
        As in `simulate`.

    Returns
    -------
    EarlyWarning

    Raises
    ------
    SpecificationError
        When the threshold is none, or the twin has no time.
    NewGroupsError
        When the panel has groups that the fit has never seen.

    References
    ----------
    .. [1] Goldstein, H. and Spiegelhalter, D. J. (1996). League tables and their limitations.
       doi:10.2307/2983325
    """
    from dotwin.effects.alerts.offers import offers_of, with_gains
    from dotwin.worlds.simulate import simulate

    twin = fit.twin
    if twin.panel.period is None:
        raise SpecificationError("an early warning needs time, and the twin is a cross-section.")
    if not 0.0 < alert_at < 1.0:
        raise SpecificationError(f"alert_at={alert_at}: a probability between 0 and 1.")
    interval_ends(interval)
    condition = condition_of(twin, threshold)
    refuse_unknown_names(fit.panel if panel is None else panel, [(threshold, condition)])
    look = _look(twin, condition) if looked_at is None else looked_at
    start: dict[str, Any] = {
        "periods": horizon,
        "seed": seed,
        "panel": panel,
        "inputs": inputs,
        "new_groups": new_groups,
        "carry_forward": carry_forward,
    }
    run = plan(fit, scenarios=interventions, draws=draws, **start)
    offers = offers_of(
        run, condition, lambda one: simulate(fit, scenarios=one, draws=_SUPPORT_DRAWS, **start)
    )
    shown = [offer.name for offer in offers if not offer.because]
    run = replace(run, programs=tuple(p for p in run.programs if p.name in (BASELINE, *shown)))
    crossings = follow(run, condition, replicates, look=parse(look) if look else None)
    outcomes = tuple(sorted(condition.names() & set(twin.indicators)))
    licence = Licence(
        identified=Verdict("yes", "A forecast under usual action: nothing is intervened on."),
        supported=Verdict("yes", "Nothing is intervened on."),
        converged=converged_verdict(fit),
        backtested=backtested_verdict(fit, outcomes),
    )
    return EarlyWarning(
        run=run,
        threshold=threshold,
        condition=condition,
        alert_at=alert_at,
        interval=interval,
        crossings=crossings,
        looked_at=look,
        offers=with_gains(offers, crossings),
        licence=licence,
        replicates=replicates,
    )


def condition_of(twin: Twin, threshold: str) -> Expr:
    """Read a threshold's name, or a condition.

    Raises
    ------
    SpecificationError
        When it is a quantity, or reads what the twin does not have.
    """
    if threshold in twin.thresholds:
        return parse(twin.thresholds[threshold].condition)
    condition = parse(threshold)
    if not isinstance(condition, Compare | Bool | Not):
        raise SpecificationError(
            f"'{threshold}' is no condition and no threshold. {nearest(threshold, twin.thresholds)}"
            f" Or compare a quantity, as in '{threshold} > 0.05'."
        )
    unknown = sorted(condition.names() - set(twin.indicators) - set(twin.panel.all_levels))
    if unknown:
        raise SpecificationError(
            f"'{threshold}': there is no '{unknown[0]}'. {nearest(unknown[0], twin.indicators)}"
        )
    return condition


def _look(twin: Twin, condition: Expr) -> str:
    """Return the condition under which the indicators of a threshold can differ from rest."""
    found: dict[str, None] = {}
    for name in sorted(condition.names() & set(twin.indicators)):
        one = twin.indicators[name]
        trials = twin.indicators.get(str(one.trials))
        for source in (one, trials):
            if source is not None and source.when is not None:
                found[source.when] = None
                break
    return next(iter(found)) if len(found) == 1 else ""
