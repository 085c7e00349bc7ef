"""The engine: nutpie's NUTS on the compiled log density of one mechanism."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.engine import Component, Draws, Progress, Settings
from dotwin.inference.nuts.accepts import is_known
from dotwin.inference.nuts.density import compiled_log_density
from dotwin.inference.nuts.layout import Layout, build_layout

__all__ = ["NutsEngine"]

Floats = NDArray[np.float64]

#: With more groups than this the parametrisation is chosen by a short run.
_MANY_GROUPS = 100
_PILOT_TUNE, _PILOT_DRAWS = 300, 200
_MOST_DOUBLINGS = 3
#: What nutpie calls its statistics, by the name that they have here.
_STATISTICS = {
    "diverging": "diverging",
    "energy": "energy",
    "tree_depth": "depth",
    "n_steps": "n_steps",
    "step_size": "step_size",
}


@dataclass(frozen=True)
class NutsEngine:
    """No-U-turn sampling of one mechanism, without compiling a model.

    Parameters
    ----------
    target_accept : float
        Acceptance that the step size aims at.
    cores : int
        Chains that run side by side.

    Examples
    --------
    >>> NutsEngine().name
    'nuts'
    """

    target_accept: float = 0.85
    cores: int = 1
    name: str = "nuts"

    def accepts(self, component: Component) -> bool:
        """Whether it knows all that the component needs: one mechanism, nothing imputed."""
        if component.imputation is not None or len(component.designs) != 1:
            return False
        return is_known(component.designs[0])

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
        import nutpie

        began = time.perf_counter()
        progress(0.0, "preparing")
        layout, doublings = self._piloted(build_layout(component.designs[0]), component, settings)

        def report(chains: list[Any]) -> None:
            done = sum(chain.finished_draws for chain in chains)
            whole = max(sum(chain.total_draws for chain in chains), 1)
            diverged = sum(chain.divergences for chain in chains)
            progress(done / whole, f"{diverged} divergences" if diverged else "sampling")

        trace = nutpie.sample(
            _model(layout),
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            cores=self.cores,
            seed=settings.seed,
            save_warmup=False,
            progress_bar=False,
            progress_callback=report,
            target_accept=self.target_accept,
            extra_doublings=doublings,
        )
        points = trace["posterior"]["point"].values
        statistics = {
            name: trace["sample_stats"][theirs].values for name, theirs in _STATISTICS.items()
        }
        progress(1.0, "done")
        return Draws(
            posterior=layout.constrain(points),
            statistics=statistics,
            engine=self.name,
            seconds=time.perf_counter() - began,
        )

    def _piloted(
        self, layout: Layout, component: Component, settings: Settings
    ) -> tuple[Layout, int]:
        """Choose the parametrisation of many groups, and the length of steps, by a short run.

        Where a mechanism has thousands of groups, a parametrisation that is a little off makes the
        energy drift with their spread. With the weight that each group's posterior asks for, the
        volume of its effect does not depend on the spread, and the drift is gone. A slow direction
        among thousands of quick ones does not stop a trajectory from turning back too early: it is
        then doubled further, as often as the slowest parameter asks for.
        """
        many = [
            one.name
            for one in layout.listed
            if one.kind == "effects" and one.shape[-1] > _MANY_GROUPS
        ]
        if not many:
            return layout, 0
        import nutpie
        from arviz_stats.base.array import array_stats

        trace = nutpie.sample(
            _model(layout),
            draws=_PILOT_DRAWS,
            tune=_PILOT_TUNE,
            chains=1,
            cores=1,
            seed=settings.seed,
            save_warmup=False,
            progress_bar=False,
            target_accept=self.target_accept,
        )
        values = layout.constrain(trace["posterior"]["point"].values)
        sds = {one.name: one.sd for one in layout.listed}
        centrings = dict(layout.centrings)
        for name in many:
            effects = values[name].reshape((_PILOT_DRAWS, len(centrings[name]), -1))
            spread = np.square(values[sds[name]]).reshape((_PILOT_DRAWS, -1)).mean(axis=0)
            known = np.clip(1.0 - effects.var(axis=0) / spread[:, None], 0.0, 1.0)
            centrings[name] = [
                replace(how, weight=weight, pull=weight)
                for how, weight in zip(centrings[name], known, strict=True)
            ]
        slowest = min(
            float(np.min(array_stats.ess(values[one.name].reshape((1, _PILOT_DRAWS, -1)), 0, 1)))
            for one in layout.listed
            if one.kind in ("free", "dispersion")
        )
        # Effective draws grow with the square of a trajectory's length.
        doublings = round(0.5 * np.log2(_PILOT_DRAWS / 2.0 / max(slowest, 1.0)))
        layout = build_layout(component.designs[0], centrings)
        return layout, min(max(doublings, 0), _MOST_DOUBLINGS)


def _model(layout: Layout) -> Any:
    """Wrap the log density for nutpie, which copies what each call returns."""
    from nutpie.compiled_pyfunc import from_pyfunc

    density, parts = compiled_log_density(), layout.parts

    def make_log_density() -> Callable[[Floats], tuple[float, Floats]]:
        gradient = np.empty(layout.size)

        def log_density(point: Floats) -> tuple[float, Floats]:
            return density(point, parts, gradient), gradient

        return log_density

    def make_expand(*_: int) -> Callable[[Floats], dict[str, Floats]]:
        return lambda point: {"point": point}

    return from_pyfunc(
        ndim=layout.size,
        make_logp_fn=make_log_density,
        make_expand_fn=make_expand,
        expanded_dtypes=[np.dtype(np.float64)],
        expanded_shapes=[(layout.size,)],
        expanded_names=["point"],
        make_initial_point_fn=layout.start,
    )
