"""The questions about what has happened, answered by the rooms above this one."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from dotwin.effects import (
        Attribution,
        Counterfactual,
        Influence,
        Mediation,
        Necessity,
        Pilot,
    )

__all__ = ["LookingBack"]


class LookingBack:
    """What a fit can be asked about what was, and why, each answered in the room that knows how."""

    def counterfactual(
        self,
        scenario: Any,
        *,
        periods: slice | str | Sequence[str] | None = None,
        on: str | Sequence[str] | None = None,
        ahead: int = 0,
        seed: int = 0,
        draws: int = 500,
        assume: str | Sequence[str] = (),
    ) -> Counterfactual:
        """Say what would have happened; see `dotwin.effects.counterfactual`."""
        module = importlib.import_module("dotwin.effects.other_worlds.counterfactual")
        result: Counterfactual = module.counterfactual(
            self,
            scenario,
            periods=periods,
            on=on,
            ahead=ahead,
            seed=seed,
            draws=draws,
            assume=assume,
        )
        return result

    def pilot(
        self,
        programme: str,
        *,
        on: str,
        weight: str | None = None,
        anticipation: int = 0,
        seed: int = 0,
        draws: int = 1000,
        assume: str | Sequence[str] = (),
    ) -> Pilot:
        """Say what a pilot did to the units that began it; see `dotwin.effects.pilot`."""
        module = importlib.import_module("dotwin.effects.pilots.pilot")
        result: Pilot = module.pilot(
            self,
            programme,
            on=on,
            weight=weight,
            anticipation=anticipation,
            seed=seed,
            draws=draws,
            assume=assume,
        )
        return result

    def necessity(
        self,
        cause: str,
        *,
        on: str,
        period: str | None = None,
        seed: int = 0,
        draws: int = 500,
        replicates: int = 8,
        assume: str | Sequence[str] = (),
    ) -> Necessity:
        """Say how probably an event hung on a yes-or-no cause; see `dotwin.effects.necessity`."""
        module = importlib.import_module("dotwin.effects.other_worlds.necessity")
        result: Necessity = module.necessity(
            self,
            cause,
            on=on,
            period=period,
            seed=seed,
            draws=draws,
            replicates=replicates,
            assume=assume,
        )
        return result

    def mediation(
        self,
        cause: str,
        *,
        on: str,
        through: str | Sequence[str],
        kind: Literal["interventional", "natural", "path"] = "interventional",
        contrast: tuple[float, float] | None = None,
        periods: int | None = None,
        by: str | Sequence[str] | None = None,
        seed: int = 0,
        draws: int = 500,
        replicates: int | None = None,
        assume: str | Sequence[str] = (),
    ) -> Mediation:
        """Take an effect apart by what it goes through; see `dotwin.effects.mediation`."""
        module = importlib.import_module("dotwin.effects.other_worlds.mediation")
        result: Mediation = module.mediation(
            self,
            cause,
            on=on,
            through=through,
            kind=kind,
            contrast=contrast,
            periods=periods,
            by=by,
            seed=seed,
            draws=draws,
            replicates=replicates,
            assume=assume,
        )
        return result

    def attribute(
        self,
        on: str,
        *,
        before: str | slice | Sequence[str] | None = None,
        after: str | None = None,
        other: Any = None,
        period: str | None = None,
        units: str | Sequence[str] | None = None,
        detail: Literal["kinds", "indicators"] = "kinds",
        seed: int = 0,
        draws: int = 200,
    ) -> Attribution:
        """Say why an indicator changed; see `dotwin.effects.attribute`."""
        module = importlib.import_module("dotwin.effects.shares.attribution")
        result: Attribution = module.attribute(
            self,
            on,
            before=before,
            after=after,
            other=other,
            period=period,
            units=units,
            detail=detail,
            seed=seed,
            draws=draws,
        )
        return result

    def influence(
        self,
        on: str,
        *,
        horizon: int = 1,
        detail: Literal["kinds", "indicators"] = "indicators",
        seed: int = 0,
        draws: int = 200,
        replicates: int | None = None,
    ) -> Influence:
        """Say where an indicator's variation comes from; see `dotwin.effects.influence`."""
        module = importlib.import_module("dotwin.effects.shares.influence")
        result: Influence = module.influence(
            self,
            on,
            horizon=horizon,
            detail=detail,
            seed=seed,
            draws=draws,
            replicates=replicates,
        )
        return result
