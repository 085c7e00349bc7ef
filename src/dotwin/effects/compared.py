"""Two worlds side by side: what their comparison is read from, and how its licence is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dotwin.errors import SpecificationError, nearest
from dotwin.graph import licence as identification_licence
from dotwin.spec.expressions import Expr, parse
from dotwin.worlds.aggregate import By, Groups, adds_up, aggregate, group_units
from dotwin.worlds.licence import Licence, licence_of
from dotwin.worlds.program import BASELINE, Program

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.inference import Fit
    from dotwin.spec.twin import Twin
    from dotwin.worlds.run import Run

__all__ = ["Worlds", "assumptions", "collected", "headline", "outcomes_of", "unlicensed", "what_is"]

#: What all else is for, in this order.
_ENDS = ("outcome", "utilization", "safeguarding", "quality", "cost")


@dataclass(frozen=True, eq=False)
class Worlds:
    """The values of some worlds, by indicator, as supports and licences read them.

    Parameters
    ----------
    run : Run
        Its programs are the worlds.
    draws : dict of str to tuple of float array (draw over all chains, unit, period)
        By indicator, one array per world.
    """

    run: Run
    draws: Mapping[str, tuple[NDArray[np.float64], ...]]

    @property
    def fit(self) -> Fit:
        """The fit that the worlds are made from."""
        return self.run.fit

    @property
    def twin(self) -> Twin:
        """The twin of the fit."""
        return self.run.twin

    def read(self, name: str) -> tuple[NDArray[np.float64], ...]:
        """Return an indicator's values, one array per world.

        Raises
        ------
        SpecificationError
            When the worlds do not hold it.
        """
        if name not in self.draws:
            raise SpecificationError(
                f"the answer does not hold '{name}'. {nearest(name, self.draws)}"
            )
        return self.draws[name]

    def program(self, name: str) -> Program:
        """Return a world's program."""
        return next(program for program in self.run.programs if program.name == name)

    def groups(self, by: By) -> Groups:
        """Return how the units fall into groups, by what is known before the worlds part."""
        return group_units(self.twin, self.run.states, by)

    def expression(self, text: str) -> Expr:
        """Read a quantity: an indicator, an expression, or the name of a threshold's quantity."""
        if text in self.twin.thresholds:
            return parse(self.twin.thresholds[text].of)
        return parse(text)

    def aggregate(self, text: str, world: int, groups: Groups) -> NDArray[np.float64]:
        """Read a quantity on groups in one world, dims (draw, group, period)."""
        expression = self.expression(text)
        return aggregate(self.twin, expression, lambda name: self.read(name)[world], groups)

    def licence(self, name: str, outcomes: tuple[str, ...], assume: frozenset[str]) -> Licence:
        """Judge the comparison of a world with the first one."""
        # A licence asks for what futures have too: their fit, programs and values.
        return licence_of(self, name, BASELINE, outcomes, assume)  # type: ignore[arg-type]

    def verdicts(self, outcomes: tuple[str, ...]) -> Licence:
        """Judge convergence and backtests alone."""
        return self.licence(BASELINE, outcomes, frozenset())

    def unit_level(self, licence: Licence, words: str) -> Licence:
        """Add to a licence's verdict on averages what single units rest on."""
        found = licence.identified
        return replace(licence, identified=replace(found, sentence=f"{found.sentence} {words}"))


def assumptions(assume: str | Sequence[str], accepted: Sequence[str]) -> frozenset[str]:
    """Read what is assumed.

    Raises
    ------
    SpecificationError
        When the answer knows no such assumption.
    """
    names = frozenset([assume] if isinstance(assume, str) else assume)
    if unknown := sorted(names - set(accepted)):
        listed = ", ".join(f"'{one}'" for one in accepted)
        raise SpecificationError(f"assume='{unknown[0]}': what can be assumed here is {listed}.")
    return names


def outcomes_of(
    worlds_twin: Twin, reached: frozenset[str], on: str | Sequence[str] | None
) -> tuple[str, ...]:
    """Return the indicators that are compared: all that are reached unless told."""
    if on is None:
        return tuple(name for name in worlds_twin.indicators if name in reached)
    found: dict[str, None] = {}
    for text in [on] if isinstance(on, str) else list(on):
        where = worlds_twin.thresholds[text].of if text in worlds_twin.thresholds else text
        for name in sorted(parse(where).names()):
            if name not in worlds_twin.indicators:
                raise SpecificationError(
                    f"on: there is no indicator '{name}'. "
                    f"{nearest(name, [*worlds_twin.indicators, *worlds_twin.thresholds])}"
                )
            found[name] = None
    return tuple(found)


def collected(twin: Twin, outcomes: Sequence[str]) -> tuple[str, ...]:
    """Return outcomes with what their ratios and averages are taken over."""
    found = dict.fromkeys(outcomes)
    for name in outcomes:
        one = twin.indicators[name]
        extra = [one.trials, one.weight]
        extra += sorted(parse(one.exposure).names()) if one.exposure else []
        found |= dict.fromkeys(other for other in extra if other)
    for threshold in twin.thresholds.values():
        names = parse(threshold.of).names()
        if names & set(outcomes):
            found |= dict.fromkeys(sorted(names))
    return tuple(name for name in found if name in twin.indicators)


def headline(twin: Twin, outcomes: Sequence[str], changed: frozenset[str]) -> str:
    """Return the outcome that a sentence is about: an end, else the last effect."""
    order = [name for name in twin.graph.order() if name in outcomes]
    others = [name for name in order if name not in changed] or order

    def weight(name: str) -> tuple[bool, int]:
        domain = twin.indicators[name].domain
        return domain in _ENDS, -_ENDS.index(domain) if domain in _ENDS else 0

    chosen: str = max(reversed(others), key=weight)
    return chosen


def unlicensed(twin: Twin, names: Sequence[str], outcome: str) -> list[str]:
    """Return what those of some indicators are called whose effect on an outcome has no licence."""
    return [
        twin.label(name)
        for name in names
        if name != outcome
        and twin.graph.reaches(name, outcome)
        and not identification_licence(twin.graph, name, outcome).licensed
    ]


def what_is(twin: Twin, text: str) -> str:
    """Say what a number of an indicator over units is: a total, a mean, a share."""
    if text not in twin.indicators:
        return text
    return f"{'total' if adds_up(twin, text) else 'mean'} {twin.label(text)}"
