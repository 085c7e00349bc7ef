"""The reference engine: a PyMC model of the component, sampled by nutpie's NUTS."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from dotwin.errors import SpecificationError
from dotwin.inference.engine import Component, Draws, Progress, Settings
from dotwin.mechanisms.design import COUNTS
from dotwin.mechanisms.pymc_model import build_pymc_model, sampled_names

__all__ = ["PymcEngine", "statistics_of"]

#: NUTS statistics that are kept, by nutpie's name and ours.
STATISTICS = {
    "diverging": "diverging",
    "energy": "energy",
    "depth": "tree_depth",
    "n_steps": "n_steps",
    "step_size": "step_size",
}
#: Acceptance that adaptation aims at: smaller steps than the usual 0.8, for funnels of few groups.
TARGET_ACCEPT = 0.9


class PymcEngine:
    """NUTS on the component's PyMC model, compiled anew for each."""

    name = "pymc"

    def refusal(self, component: Component) -> str | None:
        """Take every component: this is the whole language."""
        return None

    def sample(self, component: Component, settings: Settings, progress: Progress) -> Draws:
        """Draw from the posterior.

        Parameters
        ----------
        component : Component
        settings : Settings
        progress : callable

        Returns
        -------
        Draws
        """
        import nutpie

        began = time.perf_counter()
        if component.imputation is not None:
            _refuse_counts(component)
        progress(0.0, "compiling")
        model = build_pymc_model(component.designs, component.imputation)
        compiled = nutpie.compile_pymc_model(model)
        total = settings.chains * (settings.draws + settings.tune)

        def told(chains: list[Any]) -> None:
            progress(sum(chain.finished_draws for chain in chains) / total, "sampling")

        tree = nutpie.sample(
            compiled,
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            seed=settings.seed,
            target_accept=TARGET_ACCEPT,
            save_warmup=False,
            progress_bar=False,
            progress_callback=told,
        )
        names = sampled_names(component.designs)
        if component.imputation is not None:
            names += [f"{name}.missing" for name in component.imputation.cells]
        posterior = {name: np.asarray(tree["posterior"][name].values) for name in names}
        return Draws(
            posterior, statistics_of(tree), self.name, round(time.perf_counter() - began, 3)
        )


def _refuse_counts(component: Component) -> None:
    """Refuse whole numbers as parameters: they have no gradient."""
    assert component.imputation is not None
    indicators = {design.child: design.equation.indicator for design in component.designs}
    counts = [name for name in component.imputation.cells if indicators[name].family in COUNTS]
    if counts:
        raise SpecificationError(
            f"missing counts of {', '.join(counts)} are imputed, and PyMC's sampler of "
            f"{component.name} draws continuous parameters only; write engine='auto' and priors "
            f"that it knows, or missing: set_aside."
        )


def statistics_of(tree: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Read the sampler's statistics from nutpie's result."""
    stats = tree["sample_stats"]
    return {
        ours: np.asarray(stats[theirs].values)
        for theirs, ours in STATISTICS.items()
        if theirs in stats
    }
