"""The questions that a fit answers with the help of the rooms above this one."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from dotwin.effects import EarlyWarning, GraphTest, WarningScores
    from dotwin.inference.fit import Fit
    from dotwin.panel import Panel
    from dotwin.worlds.calibration import Backtest

__all__ = ["Questions"]


class Questions:
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
