"""Who crosses a line, and when, in futures that are simulated many times per posterior draw.

One path of noise per posterior draw says little of a rare event. So every draw is followed through
several noises, in mirrored pairs, and the last step of each path is not drawn but reckoned: what
counts is the probability of crossing in a period given all that the path holds up to there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import SpecificationError
from dotwin.spec.expressions import Arithmetic, Call, Compare, Expr, Number, Ref, evaluate
from dotwin.worlds.world import WorldEnvironment

if TYPE_CHECKING:
    from dotwin.mechanisms.response import Response
    from dotwin.spec.twin import Twin
    from dotwin.worlds.engine import Block, Engine
    from dotwin.worlds.run import Run
    from dotwin.worlds.world import World

__all__ = ["Crossings", "Line", "follow", "line_of"]

Floats = NDArray[np.float64]

#: A share times its trials may miss the whole number that it stands for by so much.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Line:
    """A condition whose probability a mechanism gives without drawing its indicator.

    Parameters
    ----------
    indicator : str
        With a mechanism.
    above : bool
        Whether the indicator crosses upwards.
    value : Expr
        What it is compared with; reads no indicator, or the indicator's own trials.
    """

    indicator: str
    above: bool
    value: Expr


@dataclass(frozen=True, eq=False)
class Crossings:
    """How probable it is that units cross a line, per posterior draw.

    Parameters
    ----------
    first : array, dims (program, draw, unit, period)
        Probability that the first crossing falls in a period, averaged over noises.
    noise : array, dims (program, unit)
        Variance of a draw's probability of crossing at all that is left of simulating.
    looked : array, dims (draw, unit), or None
        Probability of being looked at within the horizon; of the baseline.
    found : array, dims (draw, unit), or None
        Probability of a crossing in a period with a look.
    unknown : array, dims (unit,)
        Share of the baseline's unit-periods whose condition could not be computed.
    """

    first: Floats
    noise: Floats
    looked: Floats | None
    found: Floats | None
    unknown: Floats

    @property
    def ever(self) -> Floats:
        """Probability of crossing within the horizon, dims (program, draw, unit)."""
        return np.clip(self.first.sum(axis=-1), 0.0, 1.0)


def line_of(twin: Twin, condition: Expr, changed: frozenset[str] = frozenset()) -> Line | None:
    """Tell whether a condition compares one indicator that has noise of its own with a number.

    ``share of trials > c`` is such a condition too: the count is compared with c times the trials.

    Parameters
    ----------
    twin : Twin
    condition : Expr
    changed : frozenset of str
        Indicators that some program changes: their own mechanism does not give what is seen.
    """
    if not (isinstance(condition, Compare) and isinstance(condition.right, Number)):
        return None
    if condition.op not in (">", "<"):
        return None
    match condition.left:
        case Ref(name=name, lag=0):
            out_of = None
        case Arithmetic(op="/", left=Ref(name=name, lag=0), right=Ref(name=out_of, lag=0)):
            if name not in twin.indicators or twin.indicators[name].trials != out_of:
                return None
        case Call(function="share", arguments=(Ref(name=name, lag=0),)):
            out_of = twin.indicators[name].trials if name in twin.indicators else None
        case _:
            return None
    if name not in twin.stochastic or name in changed:
        return None
    if twin.indicators[name].level not in (None, twin.unit):
        return None
    value: Expr = condition.right
    if out_of is not None:
        value = Arithmetic("*", value, Ref(out_of, 0))
    return Line(name, condition.op == ">", value)


def crossing_probability(response: Response, line: Line, value: Any) -> Floats:
    """Return the probability that an indicator crosses a value, dims (draw, unit).

    Parameters
    ----------
    response : Response
        The indicator's distribution given its causes.
    line : Line
    value : array, broadcastable to (draw, unit)
    """
    family, discrete = response.family, response.family.discrete
    limit = np.asarray(value, dtype=float)
    with np.errstate(all="ignore"):
        if line.above:
            at = np.floor(limit + _ROUNDING) if discrete else limit
            chance = family.sf(at, response.eta, response.extra, response.trials)
        else:
            # Below the line, not at it: a count's next lower value, or just under an atom.
            at = np.ceil(limit - _ROUNDING) - 1.0 if discrete else np.nextafter(limit, -np.inf)
            chance = family.cdf(at, response.eta, response.extra, response.trials)
    fixed: list[tuple[Any, float]] = []
    if response.trials is not None:
        fixed.append((np.asarray(response.trials) == 0, 0.0))
    if response.holds is not None:
        fixed.append((np.asarray(response.holds) == 0, response.otherwise))
    for where, held in fixed:
        crossed = held > limit if line.above else held < limit
        chance = np.where(where, np.asarray(crossed, dtype=float), chance)
    return np.asarray(chance, dtype=float)


def follow(run: Run, condition: Expr, replicates: int, *, look: Expr | None = None) -> Crossings:
    """Simulate all programs of a run through several noises and count who crosses.

    Parameters
    ----------
    run : Run
    condition : Expr
        Read unit by unit.
    replicates : int
        Noises per posterior draw, an even number: replicates 2k and 2k + 1 mirror each other.
    look : Expr, optional
        The condition under which a unit is looked at, of the baseline.

    Returns
    -------
    Crossings
    """
    if replicates < 4 or replicates % 2:
        raise SpecificationError(f"replicates={replicates}: an even number, 4 or more.")
    chains, each, units, periods = run.shape
    count, draws = len(run.programs), chains * each
    # What a program sets, or reads with an arrow cut, is not what its own mechanism gives.
    changed = [
        frozenset(program.changes) | {cut.effect for cut in program.cuts}
        for program in run.programs
    ]
    lines = [line_of(run.twin, condition, names) for names in changed]
    first = np.zeros((count, draws, units, periods))
    squares = np.zeros((count, draws, units))
    looked, found = np.zeros((2, draws, units))
    unknown = np.zeros(units)
    for pair in range(replicates // 2):
        ever = np.zeros((count, draws, units))
        for replicate in (2 * pair, 2 * pair + 1):
            engine = run.engine(replicate=replicate)
            for block in engine.blocks():
                for number, line in enumerate(lines):
                    path = _Path(run, engine, block, number, condition, line)
                    chances, missing = path.first_crossings()
                    first[number, block.rows] += chances
                    ever[number, block.rows] += chances.sum(axis=-1)
                    if number == 0:
                        unknown += missing
                        if look is not None:
                            any_look, hit = path.looks(look)
                            looked[block.rows] += any_look
                            found[block.rows] += hit
        squares += (0.5 * ever) ** 2
    pairs = replicates // 2
    first /= replicates
    mean = first.sum(axis=-1)
    within = np.maximum(squares / pairs - mean**2, 0.0) * pairs / (pairs - 1)
    return Crossings(
        first=first,
        noise=within.mean(axis=1) / pairs,
        looked=looked / replicates if look is not None else None,
        found=found / replicates if look is not None else None,
        unknown=unknown / (replicates * draws * periods),
    )


class _Path:
    """One program's world in a block of draws, read period by period."""

    def __init__(
        self,
        run: Run,
        engine: Engine,
        block: Block,
        number: int,
        condition: Expr,
        line: Line | None,
    ) -> None:
        self.run, self.world = run, block.worlds[number]
        self.shape = (block.rows.stop - block.rows.start, len(run.start.members.units))
        self.holds: list[NDArray[np.bool_]] = []
        self.chances: list[Floats] = []
        self.missing = np.zeros(self.shape[1])
        for t in range(run.shape[3]):
            seen = self._read(condition, self.world, t)
            self.missing += np.isnan(seen).sum(axis=0)
            self.holds.append(np.nan_to_num(seen) != 0)
            if line is None:
                self.chances.append(self.holds[-1].astype(float))
                continue
            response = engine.response(block, line.indicator, t, number)
            value = evaluate(line.value, self._environment(self.world, t))
            chance = crossing_probability(response, line, value)
            self.chances.append(np.nan_to_num(np.broadcast_to(chance, self.shape)))

    def _environment(self, world: World, t: int) -> WorldEnvironment:
        start = self.run.start
        return WorldEnvironment(self.run.twin, world, start.members, start.past + t)

    def _read(self, condition: Expr, world: World, t: int) -> Floats:
        with np.errstate(all="ignore"):
            values = np.asarray(evaluate(condition, self._environment(world, t)), dtype=float)
        return np.broadcast_to(values, self.shape)

    def first_crossings(self) -> tuple[Floats, Floats]:
        """Return the probability of the first crossing by period, and how often none is known."""
        alive = np.ones(self.shape, dtype=bool)
        found = np.empty((*self.shape, len(self.holds)))
        for t, (holds, chance) in enumerate(zip(self.holds, self.chances, strict=True)):
            found[..., t] = alive * chance
            alive &= ~holds
        return found, self.missing

    def looks(self, look: Expr) -> tuple[Floats, Floats]:
        """Return whether there is any look, and the probability of a crossing with one."""
        alive, any_look = np.ones(self.shape, dtype=bool), np.zeros(self.shape, dtype=bool)
        hit = np.zeros(self.shape)
        for t, (holds, chance) in enumerate(zip(self.holds, self.chances, strict=True)):
            seen = np.nan_to_num(self._read(look, self.world, t)) != 0
            any_look |= seen
            hit += alive * seen * chance
            # Only what was looked at counts as found.
            alive &= ~(holds & seen)
        return any_look.astype(float), hit
