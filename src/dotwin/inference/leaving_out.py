"""A fit without each group of units: its draws re-weighted where that suffices, refitted elsewhere.

The posterior without a group has the density of the whole one over that of the group's rows given
the parameters that stay, with the effects that only the group has integrated out
(`dotwin.inference.group_densities`). Draws get the inverse of that as their weight, Pareto-smoothed
and resampled. As mechanisms are independent, each is re-weighted or refitted by itself.

Parameters keep their meaning: reference scales and unit means are those of the fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import DataError, SpecificationError
from dotwin.inference.changes import changes_between, kept_constants
from dotwin.inference.components import components_of
from dotwin.inference.diagnosis import TRUSTED
from dotwin.inference.engine import Component, Draws
from dotwin.inference.fit import Fit, assemble
from dotwin.inference.fitting import engines_like
from dotwin.inference.group_densities import group_log_densities, refusal
from dotwin.inference.newcomers import extended
from dotwin.inference.reweighting import ESS_MIN, KHAT_MAX, resampled, smoothed
from dotwin.inference.schedule import component_seed, run

if TYPE_CHECKING:
    from distributed import Client

    from dotwin.mechanisms.design import Design
    from dotwin.panel import Panel

__all__ = ["LeftOut", "Without", "fits_without"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Draws that are weighted, evenly spread; as many are kept of every component.
WEIGHTED = 2000
#: Draws that are tried first.
TRIED = 200


@dataclass(frozen=True)
class LeftOut:
    """How the posterior of one component without a group was found.

    Parameters
    ----------
    component : str
    way : {'kept', 're-weighted', 'refitted'}
        Kept where the group has no row of it, or nothing that is asked depends on it.
    reason : str
        Why it was refitted; empty where it was not.
    khat, ess : float
        Pareto k and effective size of the weights; missing where there are none.
    """

    component: str
    way: str
    reason: str = ""
    khat: float = np.nan
    ess: float = np.nan


@dataclass(frozen=True, eq=False)
class Without:
    """A fit without one group of units.

    Parameters
    ----------
    fit : Fit or None
        None where the panel without the group cannot be fitted.
    ways : tuple of LeftOut
        By component.
    problem : str
        Why there is no fit.
    """

    fit: Fit | None
    ways: tuple[LeftOut, ...] = ()
    problem: str = ""

    @property
    def unsettled(self) -> tuple[str, ...]:
        """The components whose chains did not converge when they were refitted."""
        sampled = {
            way.component
            for way in self.ways
            if way.way == "refitted"
            and self.fit is not None
            and way.component not in self.fit.certificates
        }
        if not sampled or self.fit is None:
            return ()
        table = self.fit.diagnose().table
        bad = table.loc[~table["verdict"].isin(TRUSTED), "component"]
        return tuple(name for name in bad if name in sampled)


def fits_without(
    fit: Fit,
    groups: Indices,
    count: int,
    needed: frozenset[str],
    *,
    seed: int,
    shortcut: bool = True,
    client: Client | None = None,
    progress: bool = True,
) -> list[Without]:
    """Bring a fit to the posterior without each group of units.

    Parameters
    ----------
    fit : Fit
    groups : int array, dims (unit,)
        Of the panel's units; -1 for those in no group, which always stay.
    count : int
        How many groups there are.
    needed : frozenset of str
        The mechanisms that matter; components with none of them keep their draws.
    seed : int
    shortcut : bool
        Whether draws may be re-weighted; otherwise whatever has rows of the group is refitted.
    client : dask.distributed.Client, optional
        Whose workers refit; the cores of this machine unless given.
    progress : bool

    Returns
    -------
    list of Without
        By group.

    Raises
    ------
    SpecificationError
        When units read those of other groups, so that leaving a group out changes who stays.
    """
    if fit.settings.tune == 0:
        raise SpecificationError("this fit holds known values, which no group had a part in.")
    if any(design.rows == 0 for design in fit.designs.values()):
        raise SpecificationError("this fit was saved without its panel, so it cannot be refitted.")
    chains = fit.settings.chains
    each = min(fit.settings.draws, -(-WEIGHTED // chains))
    settings = replace(fit.settings, draws=each, seed=seed)
    values = fit.draws(each * chains).values
    weights = _weights(fit, values, groups, count, needed) if shortcut else {}
    plans = [_plan(fit, values, weights, groups, g, needed, seed) for g in range(count)]
    late = [
        component
        for plan in plans
        for component, draws in zip(plan.components, plan.draws, strict=True)
        if draws is None
    ]
    again: list[Draws] = []
    if late:
        engines = engines_like(fit)
        again = run(late, engines, settings, cache=None, progress=progress, client=client)
    refitted = iter(again)
    found = []
    for plan in plans:
        if plan.panel is None:
            found.append(Without(None, (), plan.problem))
            continue
        drawn = [next(refitted) if draws is None else draws for draws in plan.draws]
        whole = assemble(fit.twin, plan.panel, plan.components, drawn, settings, fit.engine)
        found.append(Without(whole, plan.ways))
    return found


@dataclass(frozen=True, eq=False)
class _Plan:
    """The components without one group: their draws, or None where they are to be refitted."""

    panel: Panel | None
    components: tuple[Component, ...] = ()
    draws: tuple[Draws | None, ...] = ()
    ways: tuple[LeftOut, ...] = ()
    problem: str = ""


@dataclass(frozen=True, eq=False)
class _Weights:
    """Log densities of each group's rows by draw, or why there are none."""

    logs: Floats | None
    refusals: Mapping[int, str]

    def refusal(self, group: int) -> str:
        """Why there are none for a group; '' where there are."""
        return self.refusals.get(group, "")


def _weights(
    fit: Fit, values: Mapping[str, Floats], groups: Indices, count: int, needed: frozenset[str]
) -> dict[str, _Weights]:
    found = {}
    for members in fit.components:
        if len(members) > 1 or not needed & set(members):
            continue
        (name,) = members
        design = fit.designs[name]
        why = refusal(design, groups)
        if not why and design.equation.factors:
            why = "a hidden cause is fitted together with its parameters"
        if not why and any(f"{n}.missing" in values for n in _read(fit, name)):
            why = "missing values are drawn together with its parameters"
        if why:
            found[name] = _Weights(None, dict.fromkeys(range(count), why))
        else:
            found[name] = _weighed(design, values, groups, count)
    return found


def _weighed(design: Design, values: Mapping[str, Floats], groups: Indices, count: int) -> _Weights:
    """Try a few draws first: a group that leaves few of these effective is refitted anyway."""
    total = next(iter(values.values())).shape[0]
    at = np.floor((np.arange(min(TRIED, total)) + 0.5) * total / min(TRIED, total)).astype(np.intp)
    few = group_log_densities(design, {k: v[at] for k, v in values.items()}, groups, count)
    weights = np.exp(few.min(axis=0) - few)
    left = weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0)
    lost = np.flatnonzero(left * total < 0.5 * ESS_MIN * at.size)
    refusals = {
        int(g): f"too few effective draws are left ({left[g]:,.0f} of {at.size:,} that were tried)"
        for g in lost
    }
    if len(refusals) == count:
        return _Weights(None, refusals)
    kept = np.where(np.isin(groups, lost), -1, groups)
    return _Weights(group_log_densities(design, values, kept, count), refusals)


def _read(fit: Fit, name: str) -> set[str]:
    expressions = fit.designs[name].equation.expressions.values()
    return {name, *(read for e in expressions for read in e.names())}


def _plan(
    fit: Fit,
    values: Mapping[str, Floats],
    weights: Mapping[str, _Weights],
    groups: Indices,
    group: int,
    needed: frozenset[str],
    seed: int,
) -> _Plan:
    try:
        panel = fit.panel.select(units=groups != group)
        constants = {
            name: kept_constants(design, fit.panel, panel) for name, design in fit.designs.items()
        }
        components = components_of(fit.twin, panel, fit.designs, constants)
    except DataError as error:
        return _Plan(None, problem=str(error))
    draws: list[Draws | None] = []
    ways = []
    for component in components:
        members = tuple(design.child for design in component.designs)
        for design in component.designs:
            old = fit.designs[design.child]
            if changes_between(old, design, fit.panel, panel).revised:
                raise SpecificationError(
                    f"leave_out: in the mechanism of {design.child} units read those of other "
                    f"groups, so that without a group those that stay would not be what they were."
                )
        one, way = _without(fit, values, weights, component, members, groups, group, needed, seed)
        draws.append(one)
        ways.append(way)
    started = tuple(
        replace(c, start=_start(fit, c, values)) if one is None else c
        for c, one in zip(components, draws, strict=True)
    )
    return _Plan(panel, started, tuple(draws), tuple(ways))


def _without(
    fit: Fit,
    values: Mapping[str, Floats],
    weights: Mapping[str, _Weights],
    component: Component,
    members: tuple[str, ...],
    groups: Indices,
    group: int,
    needed: frozenset[str],
    seed: int,
) -> tuple[Draws | None, LeftOut]:
    """Return a component's draws without a group, or None where it must be refitted, and how."""
    name = component.name
    joint = len(members) > 1 or members not in fit.components
    joint = joint or component.imputation is not None or bool(component.factors)
    rows = sum(int((groups[fit.designs[one].unit] == group).sum()) for one in members)
    total = next(iter(values.values())).shape[0]
    if not joint and (not rows or not needed & set(members)):
        return _drawn(fit, component, values, np.arange(total)), LeftOut(name, "kept")
    if joint:
        return None, LeftOut(name, "refitted", "several mechanisms, or missing values, are one")
    found = weights.get(members[0])
    if found is None:
        return None, LeftOut(name, "refitted", "no shortcut was asked for")
    if found.logs is None or found.refusal(group):
        return None, LeftOut(name, "refitted", found.refusal(group))
    weight, khat = smoothed(-found.logs[:, group])
    ess = float(1.0 / (weight @ weight))
    if not khat < KHAT_MAX:
        why = f"the weights have too heavy a tail (k-hat {khat:.2f})"
        return None, LeftOut(name, "refitted", why, khat, ess)
    if ess < ESS_MIN:
        why = f"too few effective draws are left ({ess:,.0f} of {total:,})"
        return None, LeftOut(name, "refitted", why, khat, ess)
    # In the order of the draws, so that with and without the group they stay side by side.
    at, _ = resampled(weight, total, np.random.default_rng(component_seed(seed, component)))
    draws = _drawn(fit, component, values, at)
    if draws.certificate is not None:
        vouched = replace(
            draws.certificate,
            k_hat=max(draws.certificate.k_hat, khat),
            importance_ess=min(draws.certificate.importance_ess, ess),
        )
        draws = replace(draws, certificate=vouched)
    return draws, LeftOut(name, "re-weighted", "", khat, ess)


def _drawn(fit: Fit, component: Component, values: Mapping[str, Floats], at: Indices) -> Draws:
    """Take some draws of a mechanism for the units and groups that stay."""
    (design,) = component.designs
    old = fit.designs[design.child]
    chains = fit.settings.chains
    own = extended(old, design, {k: values[k][at] for k in _own(old)})
    posterior = {k: v.reshape(chains, -1, *v.shape[1:]) for k, v in own.items()}
    name = component.name
    return Draws(posterior, {}, fit.engines[name][0], 0.0, fit.certificates.get(name))


def _own(design: Design) -> list[str]:
    from dotwin.mechanisms.pymc_model import sampled_names

    return sampled_names([design])


def _start(fit: Fit, component: Component, values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the whole posterior's medians for the units and groups that stay."""
    start: dict[str, Floats] = {}
    for design in component.designs:
        old = fit.designs[design.child]
        names = [k for k in _own(old) if k in values]
        start |= extended(old, design, {k: np.median(values[k], axis=0)[None] for k in names})
    return {name: array[0] for name, array in start.items()}
