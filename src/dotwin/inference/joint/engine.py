"""The engine of joined mechanisms: parameters and the unknown values that they share."""

from __future__ import annotations

import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.engine import Component, Draws, Progress, Settings
from dotwin.inference.joint.compiled import kernels
from dotwin.inference.joint.programs import can_be_read
from dotwin.inference.joint.tables import Tables, build_tables
from dotwin.inference.nuts.accepts import is_known
from dotwin.mechanisms.design import COUNTS

if TYPE_CHECKING:
    from dotwin.inference.joint.chain import Chain

__all__ = ["JointEngine"]

Floats = NDArray[np.float64]

#: Further sweeps per draw where all of a mechanism's counts are missing.
_SWEEPS = 5


@dataclass(frozen=True)
class JointEngine:
    """Sampling of mechanisms that missing or hidden causes join, without compiling a model.

    Missing numbers and hidden causes are parameters like any other: the No-U-turn sampler moves
    them together with those of all mechanisms. Missing counts have no gradient: a sweep moves the
    parameters given the counts and then draws every count given all else. Each of these steps
    leaves the joint posterior as it is, and so does a sweep (Geman and Geman 1984, doi
    10.1109/TPAMI.1984.4767596).

    Parameters
    ----------
    target_accept : float
        Acceptance that step sizes aim at.

    Examples
    --------
    >>> JointEngine().name
    'joint'
    """

    target_accept: float = 0.9
    name: str = "joint"

    def accepts(self, component: Component) -> bool:
        """Whether it knows all that the component needs."""
        if component.imputation is None and not component.factors:
            return False
        names = set(component.imputation.cells) if component.imputation is not None else set()
        return all(
            is_known(design)
            and all(can_be_read(e, names) for e in design.equation.expressions.values())
            for design in component.designs
        )

    def refusal(self, component: Component) -> str | None:
        """Say in words what of a component it does not know, or None where it knows all."""
        if self.accepts(component):
            return None
        return "it shares no unknown that compiled readings know"

    def sample(self, component: Component, settings: Settings, progress: Progress) -> Draws:
        """Draw from the posterior.

        Parameters
        ----------
        component : Component
            One that `accepts` says yes to.
        settings : Settings
        progress : callable
            Told the share of the work that is done, and a few words.

        Returns
        -------
        Draws
        """
        began = time.perf_counter()
        progress(0.0, "preparing")
        from dotwin.inference.joint.chain import Chain, statistics_of

        tables, compiled = build_tables(component), kernels()
        progress(0.0, "sampling")
        per_draw = _sweeps_per_draw(component)
        sweeps = per_draw * (settings.draws + settings.tune)
        done = [0] * settings.chains

        def one(number: int) -> Chain:
            seed = np.random.SeedSequence([settings.seed, number])
            chain = Chain(tables, compiled, settings, seed, self.target_accept, per_draw)
            for done[number] in chain.run():
                progress(sum(done) / (sweeps * settings.chains), "sampling")
            return chain

        with ThreadPoolExecutor(min(settings.chains, os.cpu_count() or 1)) as pool:
            chains = list(pool.map(one, range(settings.chains)))
        progress(1.0, "done")
        return Draws(
            posterior=_posterior(component, tables, chains),
            statistics=statistics_of(chains),
            engine=self.name,
            seconds=time.perf_counter() - began,
        )


def _sweeps_per_draw(component: Component) -> int:
    """Sweep the more often, the more of a mechanism's counts are missing.

    Parameters and missing counts are drawn by turns, so that neighbouring sweeps are the more alike
    the more of what informs the parameters is itself unknown.
    """
    if component.imputation is None:
        return 1
    missing = component.imputation.cells
    shares = [
        missing[d.child].sum() / d.rows
        for d in component.designs
        if d.child in missing and d.equation.indicator.family in COUNTS
    ]
    return 1 + math.ceil(_SWEEPS * max(shares, default=0.0))


def _posterior(component: Component, tables: Tables, chains: list[Chain]) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for m, one in enumerate(tables.mechanisms):
        found |= one.layout.constrain(np.stack([chain.of_mechanism(m) for chain in chains]))
    values = np.stack([chain.values for chain in chains])
    for name, span in tables.spans.items():
        factor = component.factors.get(name)
        if factor is None:
            found[f"{name}.missing"] = values[:, :, span]
        else:
            found[name] = values[:, :, span].reshape(*values.shape[:2], *factor.shape)
    return found
