"""What a backtest found: scores by indicator and horizon, and whether forecasts are calibrated."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from dotwin.errors import SpecificationError, nearest
from dotwin.worlds.baselines import METHODS
from dotwin.worlds.forecasts import MODEL
from dotwin.worlds.scores import clustered_mean, uniform_distance

__all__ = ["Backtest", "Calibration"]

COVERAGES = (0.5, 0.8, 0.9)
#: An 80 % interval should hold between these shares.
WELL_COVERED = (0.75, 0.85)
#: How far PIT values may lie from uniform, beyond what chance does at the 1 % level.
FAR = 0.05
#: A coverage known less well than this proves nothing.
NEAR = 0.05
KOLMOGOROV = 1.63

Status = Literal["calibrated", "not calibrated", "too few cases to tell"]


@dataclass(frozen=True)
class Calibration:
    """Whether an indicator's forecasts mean what they say.

    Parameters
    ----------
    indicator : str
    status : {'calibrated', 'not calibrated', 'too few cases to tell'}
    coverage, error : float
        Share of cases that central 80 % intervals held, and its standard error by unit.
    distance : float
        Largest distance of the PIT values' distribution from uniform.
    cases : int
    sentence : str
    """

    indicator: str
    status: Status
    coverage: float
    error: float
    distance: float
    cases: int
    sentence: str

    @property
    def calibrated(self) -> bool:
        """Whether the forecasts are shown to be calibrated."""
        return self.status == "calibrated"

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, eq=False, repr=False)
class Backtest:
    """Scores of forecasts made from shortened panels.

    Parameters
    ----------
    scores : DataFrame
        A row per indicator, unit, origin, horizon and method: the period, what was observed, the
        log score (log density of what was observed; larger is better), CRPS (in the indicator's
        unit; smaller is better) and PIT.
    labels : dict of str to str
        What people read for each indicator.
    frequency : str
    origins : tuple of str
        The last period of each shortened panel.
    horizon : int
    notes : tuple of str
    """

    scores: pd.DataFrame
    labels: dict[str, str]
    frequency: str
    origins: tuple[str, ...]
    horizon: int
    notes: tuple[str, ...] = ()

    @cached_property
    def table(self) -> pd.DataFrame:
        """Mean scores by indicator, horizon and method, with errors clustered by unit.

        Columns n, log_score and crps with their standard errors, the share that central 50, 80
        and 90 % intervals held, and how much the model gains in log score over the method in this
        row, from the same cases. An outcome that a forecast held impossible has a log score of
        minus infinity, and so has its mean.
        """
        rows: list[dict[str, Any]] = []
        keys = ["indicator", "unit", "origin", "horizon"]
        model = self.scores[self.scores["method"] == MODEL].set_index(keys)["log_score"]
        for (name, step, method), part in self.scores.groupby(
            ["indicator", "horizon", "method"], sort=False
        ):
            clusters = part["unit"].astype("category").cat.codes.to_numpy().astype(np.intp)
            row: dict[str, Any] = {
                "indicator": name,
                "horizon": step,
                "method": method,
                "n": len(part),
            }
            for score in ("log_score", "crps"):
                mean, error = clustered_mean(part[score].to_numpy(), clusters)
                row |= {score: mean, f"{score}_se": error}
            distance = np.abs(part["pit"].to_numpy() - 0.5)
            for share in COVERAGES:
                held = (distance <= share / 2.0).astype(float)
                mean, error = clustered_mean(held, clusters)
                row |= {f"{share:.0%}": mean, f"{share:.0%}_se": error}
            own = model.reindex(pd.MultiIndex.from_frame(part[keys])).to_numpy()
            with np.errstate(invalid="ignore"):
                gain = own - part["log_score"].to_numpy()
            mean, error = clustered_mean(gain, clusters) if method != MODEL else (0.0, 0.0)
            rows.append({**row, "gain_of_model": mean, "gain_se": error})
        return pd.DataFrame(rows)

    @property
    def pit(self) -> pd.DataFrame:
        """PIT values of the model: columns indicator, unit, origin, period, horizon, pit."""
        own = self.scores[self.scores["method"] == MODEL]
        kept = ["indicator", "unit", "origin", "period", "horizon", "pit"]
        return own[kept].reset_index(drop=True)

    @property
    def indicators(self) -> tuple[str, ...]:
        """The indicators with scores."""
        return tuple(dict.fromkeys(self.scores["indicator"]))

    def verdict(self, indicator: str) -> Calibration:
        """Judge whether an indicator's forecasts mean what they say, over all horizons.

        Calibrated: central 80 % intervals hold between 75 and 85 % of cases, known to within 5
        points (one standard error), and the PIT values lie no further from uniform than 0.05
        beyond chance (at the 1 % level, units counted once). Not calibrated: the share lies two
        standard errors outside, or the PIT values too far from uniform.

        Parameters
        ----------
        indicator : str

        Returns
        -------
        Calibration
        """
        if indicator not in self.indicators:
            raise SpecificationError(
                f"the backtest has no '{indicator}'. {nearest(indicator, self.indicators)}"
            )
        own = self.pit[self.pit["indicator"] == indicator]
        values = own["pit"].to_numpy()
        units = pd.factorize(own["unit"])[0].astype(np.intp)
        held = (np.abs(values - 0.5) <= 0.4).astype(float)
        coverage, error = clustered_mean(held, units)
        distance = uniform_distance(values)
        allowed = FAR + KOLMOGOROV / np.sqrt(own["unit"].nunique())
        low, high = WELL_COVERED
        outside = max(low - coverage, coverage - high, 0.0)
        status: Status = "too few cases to tell"
        if distance > allowed or outside > 2.0 * error:
            status = "not calibrated"
        elif outside == 0.0 and error <= NEAR:
            status = "calibrated"
        sentence = (
            f"{self.labels[indicator]}: {status}; 80 % intervals held {coverage:.0%} (± "
            f"{error:.0%}) of {len(own):,} cases, PIT within {distance:.2f} of uniform (up to "
            f"{allowed:.2f} passes)."
        )
        return Calibration(indicator, status, coverage, error, distance, len(own), sentence)

    def gain(self, indicator: str, method: str) -> tuple[float, float]:
        """Return the model's mean gain in log score over a method, and its standard error."""
        keys = ["unit", "origin", "horizon"]
        own = self.scores[self.scores["indicator"] == indicator]
        wide = own.pivot(index=keys, columns="method", values="log_score")
        with np.errstate(invalid="ignore"):
            gain = (wide[MODEL] - wide[method]).to_numpy()
        units = pd.factorize(wide.index.get_level_values("unit"))[0]
        return clustered_mean(gain, units.astype(np.intp))

    @cached_property
    def sentence(self) -> str:
        """The finding in a sentence or two."""
        verdicts = [self.verdict(name) for name in self.indicators]
        good = sum(one.calibrated for one in verdicts)
        unclear = sum(one.status == "too few cases to tell" for one in verdicts)
        ahead = "1" if self.horizon == 1 else f"1 to {self.horizon}"
        text = (
            f"Backtested from {len(self.origins)} origins, {ahead} {self.frequency}s ahead, given "
            f"the inputs that came: {good} of {len(verdicts)} indicators are calibrated"
        )
        if unclear:
            text += f", {unclear} have too few cases to tell"
        for method in METHODS:
            better = sum(self.gain(name, method)[0] > 0 for name in self.indicators)
            text += f", {better} are forecast better than by {method}"
        bad = [one for one in verdicts if one.status == "not calibrated"]
        named = " ".join(one.sentence for one in bad)
        return f"{text}. {named}".strip()

    def __repr__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        html: str = self.table.to_html(index=False, float_format=lambda v: f"{v:.3g}")
        return f"<p>{self.sentence}</p>{html}"

    def plot(self) -> Any:
        """Draw the PIT values and the scores beside those of the other methods."""
        return importlib.import_module("dotwin.plots").plot_backtest(self)
