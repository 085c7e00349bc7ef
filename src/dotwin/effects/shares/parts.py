"""The parts that a change is shared out among, and what every coalition of them is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.effects.shares.shapley import shapley
from dotwin.effects.shares.sides import Comparison
from dotwin.worlds.abduction import looking_back
from dotwin.worlds.facts import mechanism_reads
from dotwin.worlds.hybrids import Hybrid, Part, Side

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.spec.twin import Twin

__all__ = ["Contributions", "contributions", "part_name", "players_of", "prefixes"]

#: 2**10 hybrid worlds take a while already; more parts are averaged over some orders.
_MOST_PARTS = 10
#: How many random orders, each with its reverse.
_ORDERS = 16
#: What kinds are called when they stand for all their indicators.
_KINDS = {
    "state": "starting states",
    "given": "givens",
    "calendar": "season and trend",
    "shock": "period shocks",
    "effects": "what is the units' own",
    "hidden": "hidden causes",
    "noise": "noise of units",
    "mechanism": "mechanisms",
}
#: What a kind is called for one indicator.
_ONE = {
    "state": "{} before",
    "given": "{}",
    "calendar": "season and trend of {}",
    "shock": "period shock of {}",
    "effects": "what is the units' own in {}",
    "hidden": "{}",
    "noise": "noise of {}",
    "mechanism": "mechanism of {}",
}


@dataclass(frozen=True, eq=False)
class Contributions:
    """What each part adds.

    Parameters
    ----------
    names : tuple of str
    values : float array (part, draw)
    before, after : float
        The measure at the two ends.
    orders : int
        Over how many random orders they are averaged; 0 where all orders are.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    before: float
    after: float
    orders: int


def part_name(part: Part, twin: Twin, detail: str) -> str:
    """Say what a part is called: its kind's name, or that of its kind for its indicator.

    Parameters
    ----------
    part : Part
    twin : Twin
    detail : {'kinds', 'indicators'}
    """
    kind, name = part
    return _KINDS[kind] if detail == "kinds" else _ONE[kind].format(twin.graph.label(name))


def players_of(found: Comparison, detail: str, two_fits: bool) -> dict[str, frozenset[Part]]:
    """List the parts that can differ between the ends, by name.

    Parameters
    ----------
    found : Comparison
    detail : {'kinds', 'indicators'}
    two_fits : bool
    """
    twin = found.ends[0].fit.twin
    reads = mechanism_reads(twin)
    modelled = [name for name in found.names if not twin.indicators[name].is_given]
    earlier = {n for one in modelled for n, lag in reads[one] if lag}
    parts: list[Part] = []
    parts += [("state", n) for n in twin.indicators if n in earlier and n not in twin.given]
    used = {*found.names, *earlier}
    parts += [("given", n) for n in twin.given if n in used]
    same_period = found.ends[0].period == found.ends[1].period and not two_fits
    for name in modelled:
        mechanism = found.ends[0].run.machine.mechanisms.get(name)
        if mechanism is None:
            continue
        predictors = mechanism.equation.predictors
        if not same_period:
            if any(p.period or p.walk for p in predictors):
                parts.append(("shock", name))
            one = twin.indicators[name]
            if one.season is not None or one.trend is not None:
                parts.append(("calendar", name))
        if two_fits:
            parts.append(("mechanism", name))
        elif found.matched and (mechanism.codes or mechanism.constants):
            parts.append(("effects", name))
        for factor in mechanism.equation.factors:
            same_value = not found.matched and factor.over == "constant"
            differs = not same_period if factor.level == "period" else not same_value
            if differs and not two_fits and ("hidden", factor.name) not in parts:
                parts.append(("hidden", factor.name))
    parts += [("noise", name) for name in modelled]
    players: dict[str, set[Part]] = {}
    for kind, name in parts:
        key = part_name((kind, name), twin, detail)
        players.setdefault(key, set()).add((kind, name))
    return {name: frozenset(group) for name, group in players.items()}


def contributions(found: Comparison, detail: str, seed: int) -> Contributions:
    """Share the change of a measure out among its parts, draw by draw.

    Parameters
    ----------
    found : Comparison
    detail : {'kinds', 'indicators'}
    seed : int
        Of random orders, where there are too many parts for all orders.
    """
    two_fits = found.ends[0].fit is not found.ends[1].fit
    players = players_of(found, detail, two_fits)
    blocks = list(found.blocks)
    count, total = len(players), len(players) + len(blocks)
    if count <= _MOST_PARTS:
        orders, asked = [], list(range(2**count))
    else:
        rng = np.random.default_rng(seed)
        orders = [rng.permutation(total) for _ in range(_ORDERS)]
        orders += [order[::-1] for order in orders]
        asked = sorted({p & (2**count - 1) for order in orders for p in prefixes(order)})
    sums = _hybrid_sums(found, list(players.values()), two_fits, asked)

    def worth(coalition: int) -> NDArray[np.float64]:
        whole = sums[coalition & (2**count - 1)].copy()
        for i, name in enumerate(blocks):
            whole += found.blocks[name][coalition >> (count + i) & 1][:, None]
        return np.asarray(found.measure.value(whole[0], whole[1]))

    everyone = 2**total - 1
    if orders:
        values = np.zeros((total, sums[0].shape[-1]))
        for order in orders:
            before = worth(0)
            for player, coalition in zip(order, prefixes(order)[1:], strict=True):
                after = worth(coalition)
                values[player] += (after - before) / len(orders)
                before = after
    else:
        values = shapley(np.stack([worth(coalition) for coalition in range(2**total)]))
    return Contributions(
        (*players, *blocks),
        values,
        float(worth(0).mean()),
        float(worth(everyone).mean()),
        len(orders),
    )


def prefixes(order: NDArray[np.intp]) -> list[int]:
    """Return the coalitions that form as players join one after another."""
    found = [0]
    for player in order.tolist():
        found.append(found[-1] | 1 << player)
    return found


def _hybrid_sums(
    found: Comparison, players: list[frozenset[Part]], two_fits: bool, asked: list[int]
) -> dict[int, NDArray[np.float64]]:
    """Add up the measure over pairs in hybrid worlds: (2, draw) by coalition."""
    first, last = (looking_back(end.run, end.facts) for end in found.ends)
    total = len(first.machine.draws)
    sums = {coalition: np.zeros((2, total)) for coalition in asked}
    measure = found.measure
    size = first.size()
    for begin in range(0, total, size):
        rows = slice(begin, min(begin + size, total))
        with np.errstate(all="ignore"):
            sides = []
            for engine, units in zip((first, last), found.pairs, strict=True):
                unfolding = engine.unfolding(rows)
                unfolding.factual = unfolding.past_world()
                sides.append(Side(unfolding, engine.start.past, units))
            hybrid = Hybrid((sides[0], sides[1]), found.names, found.depth, two_fits)
            for coalition in asked:
                moved = frozenset[Part]().union(
                    *(group for i, group in enumerate(players) if coalition >> i & 1)
                )
                if coalition in (0, 2 ** len(players) - 1):
                    # The two ends are the facts themselves.
                    side = int(coalition > 0)
                    values: list[Any] = [hybrid.facts(name, side) for name in measure.names]
                else:
                    world = hybrid.world(moved)
                    values = [world.seen[name][found.depth] for name in measure.names]
                parts = measure.parts(
                    *(np.asarray(v, dtype=float) for v in (values[0], values[-1]))
                )
                for k, part in enumerate(parts):
                    sums[coalition][k, rows] = (np.asarray(part) * found.weights).sum(axis=1)
    return sums
