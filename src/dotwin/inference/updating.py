"""A fit meets a later panel: its draws are re-weighted where that suffices, and refitted elsewhere.

Parameters keep their meaning. Reference scales, the form of each equation, and the unit means and
first values of units are those of the earlier fit; a unit that is new gets means of its own rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import DataError, SpecificationError
from dotwin.inference.certificate import Certificate
from dotwin.inference.changes import Changes, changes_between, kept_constants
from dotwin.inference.components import components_of
from dotwin.inference.engine import Component, Draws, Engine, Settings
from dotwin.inference.newcomers import extended
from dotwin.inference.reweighting import Reweighted, reweight
from dotwin.inference.schedule import component_seed, run
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.equation import structure_of

if TYPE_CHECKING:
    from distributed import Client

    from dotwin.inference.fit import Fit
    from dotwin.panel import Panel

__all__ = ["ComponentUpdate", "Updated", "updated"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ComponentUpdate:
    """How the posterior of one component was brought up to date.

    Parameters
    ----------
    component : str
    way : {'re-weighted', 'refitted'}
    reason : str
        Why it was refitted; empty where it was not.
    rows : int
        New rows of its mechanisms.
    khat : float, optional
        Pareto k of the weights; none where there are no weights.
    ess : float, optional
        The effective size of the weights.
    draws : int
        How many earlier draws were weighted.
    """

    component: str
    way: str
    reason: str = ""
    rows: int = 0
    khat: float | None = None
    ess: float | None = None
    draws: int = 0

    def limits(self, ess: float) -> bool:
        """Whether the weights leave fewer effective draws than the chains have."""
        if self.way != "re-weighted" or self.ess is None:
            return False
        return self.ess < ess

    def __str__(self) -> str:
        if self.way == "refitted":
            return f"{self.component}: refitted, since {self.reason}."
        if self.khat is None or self.ess is None:
            return f"{self.component}: kept as it was, since it has no new row."
        return (
            f"{self.component}: {self.draws:,} draws re-weighted by {self.rows:,} new rows "
            f"(k-hat {self.khat:.2f}, {self.ess:,.0f} effective)."
        )


@dataclass(frozen=True, eq=False)
class Updated:
    """The draws of a later panel, and how each component came by them.

    Parameters
    ----------
    components : list of Component
    draws : list of Draws
    settings : Settings
    verdicts : dict of str to ComponentUpdate
        By component.
    """

    components: list[Component]
    draws: list[Draws]
    settings: Settings
    verdicts: dict[str, ComponentUpdate]


def updated(
    earlier: Fit,
    panel: Panel,
    engines: Sequence[Engine],
    *,
    seed: int,
    client: Client | None,
    progress: bool,
) -> Updated:
    """Bring the draws of a fit up to date with a panel that holds further periods.

    Parameters
    ----------
    earlier : Fit
    panel : Panel
        The earlier panel and at least one period more; units may be new in it.
    engines : sequence of Engine
        For what must be refitted.
    seed : int
    client : dask.distributed.Client, optional
        Whose workers refit.
    progress : bool

    Returns
    -------
    Updated

    Raises
    ------
    DataError
        When the panel is another twin's, lacks periods of the earlier one, or has none more.
    """
    _refuse_unsuitable(earlier, panel)
    constants = {
        name: kept_constants(design, earlier.panel, panel)
        for name, design in earlier.designs.items()
    }
    components = components_of(earlier.twin, panel, earlier.designs, constants)
    values = earlier.draws().values
    found: list[Draws | None] = []
    verdicts: dict[str, ComponentUpdate] = {}
    for component in components:
        draws, verdict = _reweighted(earlier, panel, component, values, seed)
        found.append(draws)
        verdicts[component.name] = verdict
    settings = replace(earlier.settings, seed=seed)
    late = [
        replace(component, start=_start(earlier, component, values))
        for component, draws in zip(components, found, strict=True)
        if draws is None
    ]
    again: list[Draws] = []
    if late:
        again = run(late, engines, settings, cache=None, progress=progress, client=client)
    drawn = iter(again)
    results = [next(drawn) if draws is None else draws for draws in found]
    return Updated(components, results, settings, verdicts)


def _refuse_unsuitable(earlier: Fit, panel: Panel) -> None:
    before = earlier.panel
    if earlier.twin.panel.period is None:
        raise DataError("a cross-section has no periods after it, so its fit cannot be updated.")
    if any(design.rows == 0 for design in earlier.designs.values()):
        raise DataError(
            "this fit was saved without its panel, so it cannot tell which rows are new; fit anew."
        )
    if panel.twin != earlier.twin:
        raise DataError(
            "the panel was read with another twin than the fit's; read it with fit.twin."
        )
    first, last = before.period_labels[0], before.period_labels[-1]
    here = f"{panel.period_labels[0]} to {panel.period_labels[-1]}"
    if panel.period_labels[0] != first:
        raise DataError(
            f"the panel holds {here}, and the fit's begins with {first}: the later panel holds all "
            f"of the earlier periods, and those that are new behind them."
        )
    if len(panel.period_labels) <= len(before.period_labels):
        raise DataError(
            f"the panel holds {here} and the fit already ends with {last}: there is no period to "
            f"update it with."
        )
    seen = structure_of(earlier.twin, panel).categories
    for name, known in structure_of(earlier.twin, before).categories.items():
        strange = [category for category in seen.get(name, ()) if category not in known]
        if strange:
            raise DataError(
                f"{name} has the category '{strange[0]}', which the fit has never seen and has no "
                f"coefficient for; fit anew."
            )
    if earlier.settings.tune == 0:
        raise SpecificationError("this fit holds known values, not a posterior to update.")


def _reweighted(
    earlier: Fit,
    panel: Panel,
    component: Component,
    values: Mapping[str, Floats],
    seed: int,
) -> tuple[Draws | None, ComponentUpdate]:
    """Re-weight a component's draws where that can be done, and say what was done or why not."""
    name = component.name
    members = tuple(design.child for design in component.designs)
    pairs = [(earlier.designs[design.child], design) for design in component.designs]
    all_changes = [changes_between(old, new, earlier.panel, panel) for old, new in pairs]
    added = sum(changes.added.size for changes in all_changes)

    def verdict(way: str, reason: str, tried: Reweighted | None = None) -> ComponentUpdate:
        if tried is None or not tried.is_weighted or not added:
            return ComponentUpdate(name, way, reason, added)
        return ComponentUpdate(name, way, reason, added, tried.khat, tried.ess, tried.draws)

    was_imputed = any(f"{child}.missing" in earlier.tree["posterior"] for child in members)
    if component.imputation is not None or was_imputed or members not in earlier.components:
        return None, verdict("refitted", "missing values are drawn together with its parameters")
    if component.factors:
        return None, verdict("refitted", "a hidden cause is fitted together with its parameters")
    (old, new), (changes,) = pairs[0], all_changes
    if changes.revised or changes.gone:
        return None, verdict("refitted", _revision(changes))
    result = reweight(
        old,
        new,
        changes,
        {k: v for k, v in values.items() if k in _own(old)},
        unit=earlier.twin.unit,
        keep=earlier.n_draws,
        seed=component_seed(seed, component),
    )
    if result.complaint:
        return None, verdict("refitted", result.complaint, result)
    chains, each = earlier.settings.chains, earlier.settings.draws
    posterior = {
        key: array.reshape(chains, each, *array.shape[1:])
        for key, array in result.posterior.items()
    }
    engine, seconds = earlier.engines[name]
    draws = Draws(
        posterior,
        _statistics(earlier, name),
        engine,
        seconds,
        _certificate(earlier, name, result if added else None),
        earlier.declined.get(name, ""),
    )
    return draws, verdict("re-weighted", "", result)


def _certificate(earlier: Fit, component: str, tried: Reweighted | None) -> Certificate | None:
    """Return what vouches for re-weighted draws that no chain made."""
    found = earlier.certificates.get(component)
    if found is None or tried is None or not tried.is_weighted:
        return found
    return replace(
        found,
        k_hat=max(found.k_hat, tried.khat),
        importance_ess=min(found.importance_ess, tried.ess),
    )


def _own(design: Design) -> set[str]:
    from dotwin.mechanisms.pymc_model import sampled_names

    return set(sampled_names([design]))


def _revision(changes: Changes) -> str:
    parts = []
    if changes.revised:
        parts.append(f"values of {changes.revised:,} earlier rows were revised")
    if changes.gone:
        parts.append(f"{changes.gone:,} earlier rows are gone")
    return " and ".join(parts)


def _statistics(earlier: Fit, component: str) -> dict[str, Any]:
    """Return what the sampler said of the draws that were re-weighted."""
    if "sample_stats" not in earlier.tree:
        return {}
    stats = earlier.tree["sample_stats"].to_dataset()
    if component not in stats["component"].values.tolist():
        return {}
    stats = stats.sel(component=component)
    return {
        str(name): array.transpose("chain", "draw", ...).values
        for name, array in stats.data_vars.items()
    }


def _start(earlier: Fit, component: Component, values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the earlier posterior's medians, new effects at 0."""
    start: dict[str, Floats] = {}
    for design in component.designs:
        old = earlier.designs[design.child]
        start |= extended(old, design, {k: np.median(values[k], axis=0)[None] for k in _own(old)})
    return {name: array[0] for name, array in start.items()}
