"""The engine: nutpie's NUTS on the compiled log density of one mechanism."""

from __future__ import annotations

import os
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
from dotwin.inference.nuts.warm import Scales, scales_of, unconstrained

__all__ = ["NutsEngine"]

Floats = NDArray[np.float64]

#: A mechanism of more rows than this keeps a core busy by itself.
_MANY_ROWS = 4000
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
    cores : int, optional
        Chains that run side by side. Unless given, as many as there are cores for a mechanism of
        many rows and one for others, whose evaluations are too short to share the interpreter.

    Examples
    --------
    >>> NutsEngine().name
    'nuts'
    """

    target_accept: float = 0.95
    cores: int | None = None
    name: str = "nuts"

    def accepts(self, component: Component) -> bool:
        """Whether it knows all that the component needs: one mechanism, nothing imputed."""
        if component.imputation is not None or len(component.designs) != 1:
            return False
        return is_known(component.designs[0])

    def refusal(self, component: Component) -> str | None:
        """Say in words what of a component it does not know, or None where it knows all."""
        return None if self.accepts(component) else "it is none that the compiled density knows"

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
        design = component.designs[0]
        layout = build_layout(design)
        start = layout.start
        if component.start is not None:
            middle = unconstrained(layout, component.start)
            start = replace(layout, middle=middle).start
        scales = scales_of(layout, component.near)

        def report(chains: list[Any]) -> None:
            done = sum(chain.finished_draws for chain in chains)
            whole = max(sum(chain.total_draws for chain in chains), 1)
            diverged = sum(chain.divergences for chain in chains)
            progress(done / whole, f"{diverged} divergences" if diverged else "sampling")

        abreast = os.cpu_count() if design.rows > _MANY_ROWS else 1
        trace = nutpie.sample(
            _model(layout, start, scales),
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            cores=self.cores or abreast,
            seed=settings.seed,
            save_warmup=False,
            progress_bar=False,
            progress_callback=report,
            target_accept=self.target_accept,
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


def _model(layout: Layout, start: Callable[[int], Floats], scales: Scales | None) -> Any:
    """Wrap the log density for nutpie, which copies what each call returns."""
    from nutpie.compiled_pyfunc import from_pyfunc

    density, parts = compiled_log_density(), layout.parts

    def make_log_density() -> Callable[[Floats], tuple[float, Floats]]:
        gradient = np.empty(layout.size)

        def log_density(point: Floats) -> tuple[float, Floats]:
            return density(point, parts, gradient), gradient

        def scaled(z: Floats) -> tuple[float, Floats]:
            assert scales is not None
            value = density(scales.middle + scales.scale * z, parts, gradient)
            return value, gradient * scales.scale

        return log_density if scales is None else scaled

    def make_expand(*_: int) -> Callable[[Floats], dict[str, Floats]]:
        if scales is None:
            return lambda point: {"point": point}
        return lambda z: {"point": scales.middle + scales.scale * z}

    return from_pyfunc(
        ndim=layout.size,
        make_logp_fn=make_log_density,
        make_expand_fn=make_expand,
        expanded_dtypes=[np.dtype(np.float64)],
        expanded_shapes=[(layout.size,)],
        expanded_names=["point"],
        make_initial_point_fn=start if scales is None else scales.start,
    )
