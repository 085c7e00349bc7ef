"""The questions that a fit answers with the help of the rooms above this one."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dotwin.inference.looking_back import LookingBack

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from dotwin.effects import (
        EarlyWarning,
        Effect,
        GraphTest,
        Transport,
        WarningScores,
    )
    from dotwin.inference.fit import Fit
    from dotwin.panel import Panel
    from dotwin.worlds.calibration import Backtest

__all__ = ["Questions"]


class Questions(LookingBack):
    """What a fit can be asked, each question answered in the room that knows how.

    Rooms import downwards only, so each is found by name when it is asked.
    """

    notes: dict[str, Any]

    def backtest(
        self,
        *,
        origins: int = 4,
        horizon: int = 3,
        draws: int = 500,
        client: Client | None = None,
        progress: bool = True,
    ) -> Backtest:
        """Refit on shortened panels and score forecasts against what then happened.

        Parameters
        ----------
        origins : int
            How many last periods to forecast from.
        horizon : int
            How many periods ahead, at most.
        draws : int
            Simulated draws per forecast.
        client : dask.distributed.Client, optional
            Whose workers fit all shortened panels side by side.
        progress : bool

        Returns
        -------
        Backtest
            Log score, CRPS, PIT and coverage by indicator and horizon, beside each unit's own
            history and persistence.
        """
        module = importlib.import_module("dotwin.worlds.backtest")
        result: Backtest = module.backtest(
            self, origins=origins, horizon=horizon, draws=draws, client=client, progress=progress
        )
        self.notes["backtest"] = result
        return result

    def prior_sensitivity(self, *, draws: int = 1000) -> pd.DataFrame:
        """Say for each parameter whether its prior or the data decide it, by power scaling.

        Parameters
        ----------
        draws : int
            How many are used, evenly from each chain.

        Returns
        -------
        DataFrame
            A row per coefficient, spread, dispersion and cutpoint: ``component``, ``parameter``,
            ``prior`` and ``likelihood`` (the sensitivity to both factors of its component's
            posterior, which counts from 0.05), ``verdict``.

        References
        ----------
        .. [1] Kallioinen, N., Paananen, T., Bürkner, P.-C. and Vehtari, A. (2024). Detecting and
           diagnosing prior and likelihood sensitivity with power-scaling.
           doi:10.1007/s11222-023-10366-5
        """
        module = importlib.import_module("dotwin.inference.power_scaling")
        table: pd.DataFrame = module.parameter_sensitivity(self, draws)
        return table

    def simulate(
        self,
        *,
        periods: int | None = None,
        scenarios: Any = (),
        seed: int,
        draws: int = 500,
        panel: Panel | None = None,
        inputs: pd.DataFrame | None = None,
        new_groups: str | None = None,
        carry_forward: int = 0,
        assume: str | Sequence[str] = (),
        out: str | Path | None = None,
    ) -> Any:
        """Simulate the future with and without scenarios; see `dotwin.worlds.simulate`."""
        module = importlib.import_module("dotwin.worlds")
        return module.simulate(
            self,
            periods=periods,
            scenarios=scenarios,
            seed=seed,
            draws=draws,
            panel=panel,
            inputs=inputs,
            new_groups=new_groups,
            carry_forward=carry_forward,
            assume=assume,
            out=out,
        )

    def effect(
        self,
        cause: str,
        *,
        on: str,
        contrast: Sequence[float] | None = None,
        start: int | str | None = None,
        periods: int | None = None,
        horizon: int | None = None,
        hold: Literal["throughout", "once"] = "throughout",
        weight: str | None = None,
        among: str | None = None,
        by: str | Sequence[str] | None = None,
        seed: int | None = None,
        draws: int = 500,
        replicates: int | None = None,
        panel: Panel | None = None,
        inputs: pd.DataFrame | None = None,
        new_groups: str | None = None,
        carry_forward: int = 0,
        assume: str | Sequence[str] = (),
    ) -> Effect:
        """Say what would change if a cause were set to another value; see `dotwin.effects.effect`.

        Parameters
        ----------
        cause : str
        on : str
            The outcome: an indicator, a condition, a ratio, or a threshold's name.
        contrast : (float, float), optional
            The two values, from and to.
        start : int or str, optional
        periods, horizon : int, optional
            For how many periods the cause is set, and how many are simulated.
        hold : {'throughout', 'once'}
        weight : str, optional
        among : str, optional
            The group that the effect is averaged over.
        by : str or sequence of str, optional
        seed : int, optional
        draws : int
        replicates : int, optional
        panel : Panel, optional
        inputs : DataFrame, optional
        new_groups : {'population'}, optional
        carry_forward : int
        assume : str or sequence of str

        Returns
        -------
        Effect
        """
        module = importlib.import_module("dotwin.effects")
        result: Effect = module.effect(
            self,
            cause,
            on=on,
            contrast=contrast,
            start=start,
            periods=periods,
            horizon=horizon,
            hold=hold,
            weight=weight,
            among=among,
            by=by,
            seed=seed,
            draws=draws,
            replicates=replicates,
            panel=panel,
            inputs=inputs,
            new_groups=new_groups,
            carry_forward=carry_forward,
            assume=assume,
        )
        return result

    def transport(
        self, panel: Panel, *, differs: Sequence[str] | str = (), seed: int | None = None
    ) -> Transport:
        """Take the fit to a new place; see `dotwin.effects.transport`.

        Parameters
        ----------
        panel : Panel
            The new place, read with this fit's twin.
        differs : str or sequence of str
            The mechanisms that may differ there.
        seed : int, optional

        Returns
        -------
        Transport
        """
        module = importlib.import_module("dotwin.effects")
        result: Transport = module.transport(self, panel, differs=differs, seed=seed)
        return result

    def early_warning(
        self,
        threshold: str,
        *,
        horizon: int,
        seed: int,
        alert_at: float = 0.5,
        interventions: Any = None,
        looked_at: str | None = None,
        interval: float = 0.9,
        draws: int = 200,
        replicates: int = 20,
        panel: Panel | None = None,
        inputs: pd.DataFrame | None = None,
        new_groups: str | None = None,
        carry_forward: int = 0,
    ) -> EarlyWarning:
        """Say how probable it is that each unit crosses a line soon, under usual action.

        See `dotwin.effects.early_warning`.
        """
        module = importlib.import_module("dotwin.effects")
        warning: EarlyWarning = module.early_warning(
            self,
            threshold,
            horizon=horizon,
            seed=seed,
            alert_at=alert_at,
            interventions=interventions,
            looked_at=looked_at,
            interval=interval,
            draws=draws,
            replicates=replicates,
            panel=panel,
            inputs=inputs,
            new_groups=new_groups,
            carry_forward=carry_forward,
        )
        return warning

    def backtest_warning(
        self,
        threshold: str,
        *,
        horizon: int,
        origins: int = 4,
        alert_at: float = 0.5,
        acted: str | Sequence[str] = (),
        draws: int = 200,
        replicates: int = 20,
        progress: bool = True,
    ) -> WarningScores:
        """Warn from earlier periods and score what came; see `dotwin.effects.backtest_warning`."""
        module = importlib.import_module("dotwin.effects")
        scores: WarningScores = module.backtest_warning(
            self,
            threshold,
            horizon=horizon,
            origins=origins,
            alert_at=alert_at,
            acted=acted,
            draws=draws,
            replicates=replicates,
            progress=progress,
        )
        return scores

    def test_graph(
        self, *, seed: int, original: Fit | None = None, permutations: int = 200
    ) -> GraphTest:
        """Test every independence that the graph implies; see `dotwin.effects.test_graph`."""
        module = importlib.import_module("dotwin.effects")
        result: GraphTest = module.test_graph(
            self, seed=seed, original=original, permutations=permutations
        )
        return result
