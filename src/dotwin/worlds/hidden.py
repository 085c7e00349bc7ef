"""Hidden causes that are fitted, in a world: those of the posterior, and those that it cannot know.

A value that the posterior holds (of a fitted group, in a fitted period) is kept with its draw, in
every world. What it cannot hold is standard normal noise with an address, so that all scenarios
share it: a new group's value, and the values of later periods where the cause has one for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.mechanisms.factors import factor_terms
from dotwin.worlds.noise import normal_noise, tail_noise, unit_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.mechanisms.equation import Factor
    from dotwin.worlds.machine import Machine, Mechanism
    from dotwin.worlds.world import Membership

__all__ = ["HiddenCauses"]


@dataclass(frozen=True, eq=False)
class HiddenCauses:
    """The hidden causes of one block of draws.

    Parameters
    ----------
    machine : Machine
        Of the block.
    members : Membership
    known : dict of int to int
        The calendar's numbers of the fit's periods, and their positions.
    noise : callable
        ``noise(node, units, ordinal)`` gives signed tail noise, dims (draw, unit).
    seed : int
        Of the values of groups that the fit has never seen.
    """

    machine: Machine
    members: Membership
    known: Mapping[int, int]
    noise: Callable[[str, NDArray[np.uint64], int], NDArray[np.float64]]
    seed: int
    _found: dict[tuple[str, int], Any] = field(default_factory=dict)

    def parts(self, mechanism: Mechanism, ordinal: int) -> dict[str, Any]:
        """Return what each adds to a mechanism's linear predictor, dims (draw, unit or 1).

        Parameters
        ----------
        mechanism : Mechanism
        ordinal : int
            The period's own number.
        """
        equation = mechanism.equation
        factors = {one.name: one for one in equation.factors}
        coefficients = self.machine.parameters.get(f"{equation.main.prefix}.causes")
        found: dict[str, Any] = {}
        for k, name in factor_terms(equation.main):
            assert coefficients is not None  # a hidden cause is one of the terms
            loading = mechanism.design.reference.multiplier * coefficients[:, k, None]
            found[name] = loading * self._values(factors[name], mechanism, ordinal)
        return found

    def _values(self, factor: Factor, mechanism: Mechanism, ordinal: int) -> Any:
        """Return the values that act on each unit in a period, dims (draw, unit) or (draw, 1)."""
        lasting = factor.over == "constant"
        key = (factor.name, 0 if lasting else ordinal)
        if key not in self._found:
            self._found[key] = self._read(factor, mechanism, ordinal)
        return self._found[key]

    def _read(self, factor: Factor, mechanism: Mechanism, ordinal: int) -> Any:
        held = self.machine.parameters[factor.name]
        position = self.known.get(ordinal)
        if factor.level == "period":
            if position is not None:
                return held[:, position, None]
            return normal_noise(self.noise(factor.name, unit_numbers([""]), ordinal))
        if factor.over == "period":
            if position is None:
                groups = unit_numbers(self.members.levels[factor.level].labels[0])
                return normal_noise(self.noise(factor.name, groups, ordinal))
            held = held[:, :, position]
        unseen = mechanism.unseen.get(factor.level, ())
        if unseen:
            numbers, at = unit_numbers(unseen), 0 if factor.over == "constant" else ordinal
            fresh = tail_noise(self.seed, factor.name, self.machine.draws, numbers, at)
            held = np.concatenate([held, normal_noise(fresh)], axis=1)
        return held[:, mechanism.codes[factor.level]]
