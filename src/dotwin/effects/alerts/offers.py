"""What could be done about a warning: each intervention with its licence, and what it would gain.

An intervention whose effect is not identified on the declared graph, or that brings about what the
panel never showed, is named with the reason and without a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dotwin.effects.alerts.crossings import Crossings
from dotwin.errors import LicenceError
from dotwin.worlds.identified import identification_of
from dotwin.worlds.licence import (
    Licence,
    Status,
    Verdict,
    backtested_verdict,
    converged_verdict,
    licence_of,
)
from dotwin.worlds.program import BASELINE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dotwin.spec.expressions import Expr
    from dotwin.spec.scenario import Scenario
    from dotwin.worlds.futures import Futures
    from dotwin.worlds.program import Program
    from dotwin.worlds.run import Run

__all__ = ["Offer", "offers_of", "with_gains"]


@dataclass(frozen=True, eq=False)
class Offer:
    """An intervention that is available.

    Parameters
    ----------
    name : str
    licence : Licence
    because : str
        Why its gain is not shown; empty where it is.
    gain : array, dims (draw, unit), or None
        How much lower a unit's probability of crossing is.
    """

    name: str
    licence: Licence
    because: str
    gain: NDArray[np.float64] | None = None


def offers_of(
    run: Run, condition: Expr, simulated: Callable[[Scenario], Futures]
) -> tuple[Offer, ...]:
    """Judge every program of a run against its baseline, before any gain is computed.

    Parameters
    ----------
    run : Run
    condition : Expr
        Of the threshold.
    simulated : callable
        Gives futures with a scenario beside the baseline, by which its support is judged.
    """
    outcomes = tuple(sorted(condition.names() & set(run.twin.indicators)))
    return tuple(_judged(run, program, outcomes, simulated) for program in run.programs[1:])


def _judged(
    run: Run, program: Program, outcomes: tuple[str, ...], simulated: Callable[[Scenario], Futures]
) -> Offer:
    graph = run.twin.graph
    found = [identification_of(program, run.programs[0], name, graph) for name in outcomes]
    reasons = "; ".join(dict.fromkeys(verdict.reason for verdict in found))
    failed = "; ".join(dict.fromkeys(one.reason for one in found if not one.licensed))
    if failed:
        return Offer(
            program.name, _unjudged(run, outcomes, "no", failed), f"Not identified: {failed}"
        )
    assert program.scenario is not None  # only the baseline has none
    try:
        futures = simulated(program.scenario)
    except LicenceError as error:
        return Offer(program.name, _unjudged(run, outcomes, "yes", reasons), str(error))
    licence = licence_of(futures, program.name, BASELINE, outcomes)
    because = ""
    if licence.supported.status == "no":
        because = f"Extrapolated: {licence.supported.sentence}"
    elif licence.converged.status == "no":
        because = f"Not converged: {licence.converged.sentence}"
    return Offer(program.name, licence, because)


def _unjudged(run: Run, outcomes: tuple[str, ...], identified: Status, reason: str) -> Licence:
    """Return the licence of an intervention whose support nobody looks at any more."""
    return Licence(
        identified=Verdict(identified, f"{reason[:1].upper()}{reason[1:].rstrip('.')}."),
        supported=Verdict("unknown", "Not judged."),
        converged=converged_verdict(run.fit),
        backtested=backtested_verdict(run.fit, outcomes),
    )


def with_gains(offers: tuple[Offer, ...], crossings: Crossings) -> tuple[Offer, ...]:
    """Add what each licensed intervention gains.

    Parameters
    ----------
    offers : tuple of Offer
    crossings : Crossings
        Of the baseline and then of each offer without a reason against it, in their order.
    """
    ever = crossings.ever
    place = {one.name: i for i, one in enumerate((o for o in offers if not o.because), start=1)}
    return tuple(
        replace(offer, gain=ever[0] - ever[place[offer.name]]) if offer.name in place else offer
        for offer in offers
    )
