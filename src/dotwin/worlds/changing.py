"""What a program changes in one world of a block of draws: how much, and for whom.

An intervened indicator keeps two values: the natural one, which its own lag reads, and the changed
one, which everything else reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.mechanisms.links import get_link
from dotwin.spec.expressions import Expr, evaluate
from dotwin.spec.prior import Prior
from dotwin.worlds.noise import prior_quantile, tail_noise
from dotwin.worlds.redeployment import moved
from dotwin.worlds.verbs import Changed, acts_on_share, change_share, change_value, support_edges
from dotwin.worlds.world import World, WorldEnvironment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.mechanisms.response import Response
    from dotwin.worlds.program import Change, Program
    from dotwin.worlds.unfolding import Unfolding

__all__ = ["Changing", "Tally"]

type Key = tuple[str, str]


@dataclass(eq=False)
class Tally:
    """What interventions did, summed over draws, by scenario and indicator.

    Parameters
    ----------
    changed, at_edge : dict of (scenario, indicator) to int
        How many unit-periods were changed, and how many of them had to be held at the edge of what
        is possible.
    added : dict of (scenario, indicator) to float
        Changed minus natural values, summed over unit-periods.
    received : dict of (scenario, indicator) to float array (unit, period)
        What redeployments moved to each unit, in units of what stays the same; less than 0 where a
        unit gave.
    """

    changed: dict[Key, int] = field(default_factory=dict)
    at_edge: dict[Key, int] = field(default_factory=dict)
    added: dict[Key, float] = field(default_factory=dict)
    received: dict[Key, NDArray[np.float64]] = field(default_factory=dict)

    def add(self, key: Key, changed: int, at_edge: int, added: float) -> None:
        """Count further unit-periods."""
        self.changed[key] = self.changed.get(key, 0) + changed
        self.at_edge[key] = self.at_edge.get(key, 0) + at_edge
        self.added[key] = self.added.get(key, 0.0) + added

    def merge(self, other: Tally) -> None:
        """Count what another has counted."""
        for key, changed in other.changed.items():
            self.add(key, changed, other.at_edge[key], other.added[key])
        for key, received in other.received.items():
            self.received[key] = self.received.get(key, 0.0) + received

    def edge_shares(self) -> dict[Key, float]:
        """Return the share at the edge, by scenario and indicator."""
        return {
            key: self.at_edge[key] / changed if changed else 0.0
            for key, changed in self.changed.items()
        }


class Changing:
    """Puts the values of one world, changed as its program says.

    Parameters
    ----------
    run : Unfolding
        The block of draws.
    world : World
    program : Program
    """

    def __init__(self, run: Unfolding, world: World, program: Program) -> None:
        self.run, self.world, self.program = run, world, program
        self.groups: dict[int, Any] = {}

    def put(self, name: str, t: int, natural: Any, response: Response | None, noise: Any) -> None:
        """Put an indicator's value in a future period, changed where some change acts."""
        position = self.run.past + t
        acting = [one for one in self.program.changes.get(name, ()) if one.acts(t)]
        if not acting:
            self.world.put(name, position, natural, natural)
            return
        (change,) = acting
        if change.intervention.verb == "redeploy":
            changed, acts = self._redeployed(change, name, t, natural, response)
        else:
            changed, acts = self._changed(change, name, t, natural, response, noise)
        value = np.where(acts, changed.value, natural)
        at_edge = changed.at_edge & acts
        # What cannot be computed is counted elsewhere.
        added = float(np.nansum(np.where(acts, value - natural, 0.0)))
        key = (self.program.name, name)
        self.run.tally.add(key, int(acts.sum()), int(at_edge.sum()), added)
        self.world.put(name, position, value, value if change.feeds_back else natural)

    def _changed(
        self, change: Change, name: str, t: int, natural: Any, response: Response | None, noise: Any
    ) -> tuple[Changed, NDArray[np.bool_]]:
        """Return the changed value, and where it takes the place of the natural one."""
        amount = self._amount(change, name, t, natural)
        changed = self._by_verb(change, name, natural, response, noise, amount, t)
        # A rule that reads a missing state says nothing.
        acts = np.isfinite(changed.value) & np.isfinite(amount)
        group = self._group(change, name, t, natural)
        if group is not None:
            acts = acts & group
        if response is not None and response.holds is not None:
            acts = acts & (np.asarray(response.holds) != 0)
        return changed, acts

    def _by_verb(
        self,
        change: Change,
        name: str,
        natural: Any,
        response: Response | None,
        noise: Any,
        amount: Any,
        t: int,
    ) -> Changed:
        run, strength = self.run, float(change.strength[t])
        verb = "do" if change.intervention.verb == "policy" else change.intervention.verb
        if response is None:
            return change_value(verb, natural, amount, strength, -np.inf, np.inf)
        mechanism = run.machine.mechanisms[name]
        if acts_on_share(mechanism.equation):
            changed = change_share(verb, response, mechanism.equation, noise, amount, strength)
            level = mechanism.equation.indicator.level
            if level is not None and level != run.twin.unit:
                first = run.start.members.levels[level].representative
                changed = Changed(changed.value[:, first], changed.at_edge[:, first])
            return changed
        low, high = self._edges(name, response)
        return change_value(verb, natural, amount, strength, low, high)

    def _edges(self, name: str, response: Response) -> tuple[Any, Any]:
        mechanism = self.run.machine.mechanisms[name]
        family = mechanism.equation.family
        usual = float(get_link(family.link).inverse(mechanism.design.reference.child[0]))
        return support_edges(mechanism.equation, family.support, usual, response.extra.get("lower"))

    def _amount(self, change: Change, name: str, t: int, natural: Any) -> Any:
        """Return an intervention's value: said, drawn once per draw, or by a policy's rule."""
        if change.intervention.verb == "policy":
            return self._ruled(change, name, t, natural)
        one = change.intervention
        value = next(v for v in (one.value, one.share, one.amount) if v is not None)
        if not isinstance(value, Prior):
            return value
        run, address = self.run, change.address
        if address not in run.amounts:
            v = tail_noise(run.engine.seed, address, run.machine.draws, run.everyone, 0)
            run.amounts[address] = prior_quantile(value, v)
        return run.amounts[address]

    def _ruled(self, change: Change, name: str, t: int, natural: Any) -> NDArray[np.float64]:
        """Return what a rule says of each unit, dims (draw, unit)."""
        assert change.rule is not None
        said = np.asarray(evaluate(change.rule, self._environment(change, name, t, natural)))
        shape = np.broadcast_shapes(np.shape(natural), np.shape(np.atleast_2d(said)))
        return np.broadcast_to(said.astype(float), shape)

    def _redeployed(
        self, change: Change, name: str, t: int, natural: Any, response: Response | None
    ) -> tuple[Changed, NDArray[np.bool_]]:
        """Return values between which a resource has moved, and whose changed."""
        run, one = self.run, change.intervention
        members = run.start.members
        floor: Any = 0.0 if one.floor is None else one.floor
        if response is not None:
            low, _ = self._edges(name, response)
            floor = np.maximum(floor, low)
        weight = run.twin.indicators[name].weight
        weights: Any = 1.0
        if weight is not None:
            weights = self.world.seen[weight][run.past + t]
        need = self._ruled(change, name, t, natural)
        group = self._group(change, name, t, natural)
        taking_part = np.isfinite(need) if group is None else np.isfinite(need) & group
        if response is not None and response.holds is not None:
            taking_part = taking_part & (np.asarray(response.holds) != 0)
        received = moved(
            natural,
            weights,
            need,
            members.levels[str(one.within)].codes,
            taking_part,
            self._amount(change, name, t, natural),
            one.share is not None,
            floor,
            float(change.strength[t]),
        )
        key = (self.program.name, name)
        total = run.tally.received.setdefault(
            key, np.zeros((len(members.units), run.engine.horizon))
        )
        total[:, t] += np.broadcast_to(received, (len(run.machine.draws), len(members.units))).sum(
            axis=0
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(received != 0.0, natural + received / weights, natural)
        return Changed(value, np.zeros(value.shape, dtype=bool)), received != 0.0

    def _group(self, change: Change, name: str, t: int, natural: Any) -> Any:
        """Return who is intervened on, or None for everyone; an unknown condition does not hold."""
        if change.where is None:
            return None
        if change.group == "fixed" and id(change) in self.groups:
            return self.groups[id(change)]
        environment = self._environment(change, name, t, natural)
        condition = np.atleast_2d(np.asarray(evaluate(change.where, environment), dtype=float))
        group = np.nan_to_num(condition) != 0
        if change.group == "fixed":
            self.groups[id(change)] = group
        return group

    def _environment(self, change: Change, name: str, t: int, natural: Any) -> WorldEnvironment:
        """Return what conditions and rules read: the world as it is before the change."""
        return WorldEnvironment(
            self.run.twin,
            self.world,
            self.run.start.members,
            self.run.past + t,
            overrides={name: natural},
            begun=partial(self._begun, change),
        )

    def _begun(self, change: Change, expression: Expr) -> Any:
        """Return what an expression was in the period before the intervention began."""
        run = self.run
        before = run.past + change.first - 1
        return evaluate(
            expression, WorldEnvironment(run.twin, self.world, run.start.members, before)
        )
