"""The engine: certified draws of one mechanism without sampling it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.certificate import worst_of
from dotwin.inference.deterministic.problem import Problem
from dotwin.inference.deterministic.solve import NEAR, solve
from dotwin.inference.deterministic.split import problems_of, refusal
from dotwin.inference.engine import Component, Declined, Draws, Progress, Settings

__all__ = ["DeterministicEngine", "named_draws"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DeterministicEngine:
    """Draws by importance weights, where a certificate says that they are the posterior's.

    The innermost groups' effects are integrated out by quadrature (of a normal mechanism all but
    the spreads in closed form), the rest is drawn from a proposal shaped to it and weighted.

    Examples
    --------
    >>> DeterministicEngine().name
    'deterministic'
    """

    name: str = "deterministic"

    def accepts(self, component: Component) -> bool:
        """Whether it knows all that the component needs."""
        return self.refusal(component) is None

    def refusal(self, component: Component) -> str | None:
        """Say in words why it does not accept a component, or None where it does.

        Parameters
        ----------
        component : Component
        """
        if component.imputation is not None:
            return "missing values are imputed with it"
        if len(component.designs) != 1:
            return "its mechanisms are fitted together"
        return refusal(component.designs[0])

    def sample(self, component: Component, settings: Settings, progress: Progress) -> Draws:
        """Draw from the posterior.

        Parameters
        ----------
        component : Component
            One that `accepts` says yes to.
        settings : Settings
            Draws are independent, so ``tune`` has no meaning here, and chains are a layout.
        progress : callable

        Returns
        -------
        Draws
            With their certificate.

        Raises
        ------
        Declined
            When the certificate does not hold.
        """
        began = time.perf_counter()
        progress(0.0, "integrating")
        problems = problems_of(component.designs[0])
        total = settings.draws * settings.chains
        posterior: dict[str, Floats] = {}
        solutions = []
        for part, problem in enumerate(problems):
            rng = np.random.default_rng([settings.seed, part])
            try:
                solution = solve(problem, total, rng)
                if not solution.certificate.holds and not problem.inner:
                    # Effects that were explored as globals may have to be integrated out.
                    other = problems_of(component.designs[0], rich=True)[part]
                    if other.inner:
                        problem, solution = other, solve(other, total, rng)
            except np.linalg.LinAlgError:
                raise Declined("its precision matrices are singular to every digit") from None
            solutions.append(solution)
            if not solution.certificate.holds and solution.h.shape[0] == 0:
                raise Declined("; ".join(solution.certificate.failures))
            drawn = named_draws(problem, solution.h, solution.beta, solution.effects)
            posterior |= drawn
            progress((part + 1) / len(problems), "drawn")
        certificates = [solution.certificate for solution in solutions]
        failures = [said for one in certificates for said in one.failures]
        if failures:
            some = {name: values[:NEAR] for name, values in posterior.items()}
            raise Declined("; ".join(dict.fromkeys(failures)), some)
        posterior = {
            name: values.reshape(settings.chains, settings.draws, *values.shape[1:])
            for name, values in posterior.items()
        }
        return Draws(
            posterior=posterior,
            engine=self.name,
            seconds=round(time.perf_counter() - began, 3),
            certificate=worst_of(certificates),
        )


def named_draws(problem: Problem, h: Floats, beta: Floats, effects: Floats) -> dict[str, Floats]:
    """Return a problem's draws under the posterior's names, dims (draw, ...).

    Parameters
    ----------
    problem : Problem
    h, beta, effects : array, dims (draw, ...)
        Hyperparameters, globals and the innermost groups' effects.
    """
    draws = h.shape[0]
    found: dict[str, Floats] = {}
    values = problem.values(h)
    places: dict[str, list[int]] = {}
    for j, hyper in enumerate(problem.hypers):
        places.setdefault(hyper.name, []).append(j)
    blocks = {
        name: [b for b in problem.blocks if b.name == name]
        for name in {b.name for b in problem.blocks}
    }
    for one in problem.listed:
        shape = (draws, *one.shape)
        if one.name in places:
            raw = values[:, places[one.name]].reshape(shape)
            found[one.name] = one.transform.natural(raw) if one.transform else raw
        elif one.name in problem.free:
            found[one.name] = beta[:, problem.free[one.name]].reshape(shape)
        elif one.name == problem.inner:
            found[one.name] = effects
        elif one.name in blocks:
            parts = [beta[:, b.start : b.start + b.size] for b in blocks[one.name]]
            both = np.concatenate(parts, axis=1)
            if one.kind == "walk":
                both = np.concatenate([np.zeros((draws, 1)), both], axis=1)
            found[one.name] = both.reshape(shape)
        else:
            # A walk over a single period has no step.
            found[one.name] = np.zeros(shape)
    return found
