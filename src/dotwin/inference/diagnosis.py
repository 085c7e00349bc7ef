"""Can the posterior be trusted? A verdict per component, in words and with advice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dotwin.graph.twin_graph import TwinGraph
from dotwin.inference.effective import effective_sizes
from dotwin.inference.loadings import sentences
from dotwin.inference.traits import unit_traits, within_between
from dotwin.mechanisms.factors import factors_of
from dotwin.mechanisms.parameters import Parameter

if TYPE_CHECKING:
    import xarray as xr

    from dotwin.inference.fit import Fit

__all__ = ["TRUSTED", "Diagnosis", "diagnose"]

#: Vehtari et al. (2021), doi 10.1214/20-BA1221: R-hat at most 1.01, bulk ESS at least 400.
RHAT_MAX = 1.01
ESS_MIN = 400
#: Betancourt (2016), arXiv 1604.00695: E-BFMI below 0.3 says the energy is explored poorly.
EBFMI_MIN = 0.3
#: A share of divergent transitions below which a few are a matter of step size.
DIVERGENT_SHARE = 0.001
#: Verdicts on components whose numbers can be relied on.
TRUSTED = ("converged", "certified")
#: Effects of single groups are checked on this many, evenly spread, where there are more: of those
#: that chains drew, and of weighted draws, whose weights they share.
GROUPS_CHECKED, GROUPS_WEIGHTED = 300, 30
#: A dimension of fewer periods says little of a shock's spread.
FEW_PERIODS = 8


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Verdicts on convergence and on what the model takes unit traits to be.

    Parameters
    ----------
    table : DataFrame
        A row per component: verdict ('converged', or 'certified' where no chain made the draws),
        worst R-hat and bulk ESS with their parameters, divergent draws, E-BFMI, engine, seconds,
        advice, how: the engine and what vouches for it, in words.
    worst : DataFrame
        A row per parameter checked: R-hat, bulk and tail ESS. Weighted draws have no R-hat, and
        their bulk ESS is at most that of the weights.
    traits : DataFrame
        Posterior correlation of the unit effects, and of the period shocks, of mechanisms joined
        by a path.
    between : DataFrame
        Each cause's coefficient within units beside the one between them.
    notes : tuple of str
        What a reader should know besides, such as prior-driven spreads, and how an updated fit
        came by each component's draws.
    """

    table: pd.DataFrame
    worst: pd.DataFrame
    traits: pd.DataFrame
    between: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def converged(self) -> bool:
        """Whether every component has, or is certified."""
        return bool(self.table["verdict"].isin(TRUSTED).all())

    @cached_property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        bad = self.table[~self.table["verdict"].isin(TRUSTED)]
        worst = self.table
        if bad.empty:
            certified = worst[worst["verdict"] == "certified"]
            sampled = worst[worst["verdict"] == "converged"]
            chains = (
                f"converged (worst R-hat {sampled['rhat'].max():.3f}, smallest bulk ESS "
                f"{sampled['ess_bulk'].min():,.0f}, {int(sampled['divergent'].sum())} divergent "
                f"draws)"
            )
            weights = f"certified without chains (smallest ESS {certified['ess_bulk'].min():,.0f})"
            if certified.empty:
                return f"All {len(worst)} components {chains}."
            if sampled.empty:
                return f"All {len(worst)} components are {weights}."
            return (
                f"All {len(worst)} components can be relied on: {len(certified)} {weights}, "
                f"{len(sampled)} {chains}."
            )
        named = "; ".join(f"{r.component}: {str(r.advice).rstrip('.')}" for r in bad.itertuples())
        return f"{len(bad)} of {len(worst)} components did not converge. {named}."

    def __str__(self) -> str:
        lines = [self.sentence]
        lines += [
            f"{r.component}: {r.verdict} ({r.how}). {r.advice}".rstrip()
            for r in self.table.itertuples()
        ]
        lines += list(self.notes)
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        html: str = self.table.to_html(index=False, float_format=lambda v: f"{v:.3g}")
        return f"<p>{self.sentence}</p>{html}"


def diagnose(fit: Fit) -> Diagnosis:
    """Check convergence per component and the claims about unit traits.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    Diagnosis
    """
    checked = []
    for members in fit.components:
        checked.append(_checked(fit, members))
    worst = pd.concat(checked, ignore_index=True)
    rows = [
        _verdict(fit, members, table)
        for members, table in zip(fit.components, checked, strict=True)
    ]
    return Diagnosis(
        table=pd.DataFrame(rows),
        worst=worst,
        traits=unit_traits(fit),
        between=within_between(fit),
        notes=_notes(fit),
    )


def _checked(fit: Fit, members: tuple[str, ...]) -> pd.DataFrame:
    """Compute R-hat and ESS of a component's parameters and imputed values."""
    from arviz_stats.base.array import array_stats

    posterior = fit.tree["posterior"].to_dataset()
    certificate = fit.certificates.get(" + ".join(members))
    most = GROUPS_CHECKED if certificate is None else GROUPS_WEIGHTED
    rows: list[dict[str, Any]] = []
    shared = factors_of(fit.designs[indicator] for indicator in members)
    for indicator in members:
        listed = [*fit.parameters(indicator), *_imputed(posterior, indicator)]
        # A hidden cause is looked at once, with the first mechanism that it acts on.
        own = [one.name for one in fit.designs[indicator].equation.factors]
        listed += [shared.pop(name) for name in own if name in shared]
        for one in listed:
            values = posterior[one.name].transpose("chain", "draw", ...).values
            flat = values.reshape(*values.shape[:2], -1)
            names = [", ".join(map(str, index)) for index in product(*one.coords)]
            picked = np.arange(flat.shape[2])
            if one.kind in ("effects", "walk", "factor") and picked.size > most:
                picked = np.linspace(0, picked.size - 1, most).astype(int)
            some = flat[:, :, picked]
            # A walk starts at exactly 0, and a count may have one likely value: no spread to check.
            moving = some.std(axis=(0, 1)) > 0
            some, picked = some[:, :, moving], picked[moving]
            if some.shape[2] == 0:
                continue
            bulk, tail = effective_sizes(some)
            if certificate is None:
                rhat = np.atleast_1d(array_stats.rhat(some, chain_axis=0, draw_axis=1))
            else:
                rhat = np.full(picked.size, np.nan)
                bulk = np.minimum(bulk, certificate.importance_ess)
            for i, position in enumerate(picked):
                name = names[position]
                rows.append(
                    {
                        "component": " + ".join(members),
                        "parameter": f"{one.name}[{name}]" if name else one.name,
                        "rhat": float(rhat[i]),
                        "ess_bulk": float(bulk[i]),
                        "ess_tail": float(tail[i]),
                    }
                )
    columns = ["component", "parameter", "rhat", "ess_bulk", "ess_tail"]
    return pd.DataFrame(rows, columns=columns)


def _imputed(posterior: xr.Dataset, indicator: str) -> list[Parameter]:
    """List an indicator's imputed values as effects of so many cells, where there are any."""
    name, dim = f"{indicator}.missing", f"{indicator}.missing_cell"
    if name not in posterior:
        return []
    return [Parameter(name, "effects", (dim,), (posterior[dim].values.tolist(),))]


def _verdict(fit: Fit, members: tuple[str, ...], table: pd.DataFrame) -> dict[str, Any]:
    name = " + ".join(members)
    engine, seconds = fit.engines.get(name, ("", 0.0))
    result: dict[str, Any] = {
        "component": name,
        "verdict": "converged",
        "rhat": np.nan,
        "ess_bulk": np.nan,
        "divergent": 0,
        "ebfmi": np.nan,
        "slowest": "",
        "engine": engine,
        "seconds": seconds,
        "advice": "",
        "how": _how(fit, name, engine),
    }
    certificate = fit.certificates.get(name)
    if fit.settings.tune == 0 and certificate is None:
        result["verdict"] = "not sampled"
        result["advice"] = "The parameters are known values, not a posterior."
        return result
    result["rhat"] = float(table["rhat"].max())
    result["ess_bulk"] = float(table["ess_bulk"].min())
    result["slowest"] = str(table["parameter"].iloc[int(table["ess_bulk"].argmin())])
    weighted = fit.notes.get("updates", {}).get(name)
    if weighted is not None and weighted.limits(result["ess_bulk"]):
        result["ess_bulk"], result["slowest"] = weighted.ess, "the re-weighted draws"
    if certificate is not None:
        result["verdict"] = "certified" if certificate.holds else "not certified"
    elif name in _sampled(fit):
        stats = fit.tree["sample_stats"].to_dataset().sel(component=name)
        result["divergent"] = int(stats["diverging"].sum())
        energy = stats["energy"].transpose("chain", "draw").values
        step = np.diff(energy, axis=1)
        result["ebfmi"] = float((np.square(step).mean(axis=1) / energy.var(axis=1)).min())
    advice = []
    if certificate is not None and not certificate.holds:
        advice.append("; ".join(certificate.failures))
    if certificate is None and not result["rhat"] <= RHAT_MAX:
        farthest = table["parameter"].iloc[int(table["rhat"].argmax())]
        advice.append(
            f"chains disagree (R-hat {result['rhat']:.3f} for {farthest}): draw more with "
            f"tune=, or give that parameter a tighter prior"
        )
    if not result["ess_bulk"] >= ESS_MIN:
        advice.append(
            f"too few effective draws ({result['ess_bulk']:,.0f} for {result['slowest']}): raise "
            f"draws= by {max(2, int(np.ceil(ESS_MIN / max(result['ess_bulk'], 1))))} times"
        )
    total = fit.settings.draws * fit.settings.chains
    if result["divergent"] > DIVERGENT_SHARE * total:
        advice.append(
            f"{result['divergent']} divergent draws: some group spread is close to 0 or a prior is "
            f"far wider than the data; pool less or tighten it"
        )
    if result["ebfmi"] < EBFMI_MIN:
        advice.append(
            f"heavy tails are explored slowly (E-BFMI {result['ebfmi']:.2f}): check the priors of "
            f"the spreads"
        )
    if advice:
        result["verdict"] = "not converged" if certificate is None else "not certified"
        result["advice"] = "; ".join(advice) + "."
    return result


def _sampled(fit: Fit) -> list[str]:
    """The components whose chains left statistics."""
    if "sample_stats" not in fit.tree:
        return []
    return [str(name) for name in np.asarray(fit.tree["sample_stats"]["component"])]


def _how(fit: Fit, name: str, engine: str) -> str:
    """Say which engine made a component's draws, and what vouches for them."""
    certificate, declined = fit.certificates.get(name), fit.declined.get(name, "")
    if certificate is not None:
        return f"{engine}: {str(certificate).removeprefix('certified: ')}"
    return f"{engine}, because without sampling: {declined}" if declined else engine


def _notes(fit: Fit) -> tuple[str, ...]:
    notes = [str(one) for one in fit.notes.get("updates", {}).values()]
    for indicator, design in fit.designs.items():
        periods = np.unique(design.period).size
        for predictor in design.equation.predictors:
            if predictor.period and periods < FEW_PERIODS:
                notes.append(
                    f"{indicator}: the spread of its period shocks rests on {periods} periods, so "
                    f"it is driven by its prior."
                )
    notes += sentences(fit)
    left_out = [name for name, one in fit.twin.hidden_causes.items() if not one.is_fitted]
    if left_out:
        graph = TwinGraph(fit.twin)
        named = ", ".join(graph.label(name) for name in left_out)
        notes.append(
            f"Hidden causes ({named}) are declared and were not fitted: forecasts without "
            f"intervention stand, contrasts between interventions are associations where they act."
        )
    return tuple(notes)
