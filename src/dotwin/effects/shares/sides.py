"""The two sides of a comparison: which periods or groups, which units, and what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import DataError, SpecificationError, nearest
from dotwin.spec.expressions import Across, Arithmetic, Bool, Call, Compare, Expr, Not, Ref, parse
from dotwin.worlds.abduction import look_back
from dotwin.worlds.aggregate import UnitStates, adds_up, group_units
from dotwin.worlds.facts import mechanism_reads
from dotwin.worlds.noise import tail_noise, unit_numbers
from dotwin.worlds.start import expressions_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.inference import Fit
    from dotwin.spec.twin import Twin
    from dotwin.worlds.facts import Facts
    from dotwin.worlds.run import Run

__all__ = ["Comparison", "End", "Measure", "compare", "read_measure"]


@dataclass(frozen=True)
class Measure:
    """What is added up over units: a total, an average, or a ratio of totals.

    Parameters
    ----------
    text : str
    above : str
        The indicator whose values are added up.
    below : str or None
        What they are divided by: trials, a weight, another indicator; units where None.
    weighted : bool
        Whether values are multiplied with ``below`` first, which is a weight.
    total : bool
        Whether nothing is divided.
    """

    text: str
    above: str
    below: str | None
    weighted: bool
    total: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The indicators that it is made of."""
        return (self.above,) if self.below is None else (self.above, self.below)

    def parts(self, above: Any, below: Any) -> tuple[Any, Any]:
        """Return what a unit adds above and below the line."""
        if self.below is None:
            return above, np.ones(np.shape(above))
        return (above * below if self.weighted else above), below

    def value(self, above: Any, below: Any) -> Any:
        """Return the total, average or ratio."""
        if self.total:
            return above
        with np.errstate(invalid="ignore", divide="ignore"):
            return above / below


def read_measure(twin: Twin, on: str, totals: bool) -> Measure:
    """Read what is compared.

    Parameters
    ----------
    twin : Twin
    on : str
        An indicator, ``share(x)``, or a ratio of two indicators.
    totals : bool
        Whether counts and money are compared as totals; otherwise as averages over units.

    Raises
    ------
    SpecificationError
    """
    text = twin.thresholds[on].of if on in twin.thresholds else on
    expression = parse(text)
    if unknown := sorted(expression.names() - set(twin.indicators)):
        raise SpecificationError(
            f"on: there is no indicator '{unknown[0]}'. {nearest(unknown[0], twin.indicators)}"
        )
    match expression:
        case Ref(name=name, lag=0):
            one = twin.indicators[name]
            total = totals and adds_up(twin, name)
            below = None if total else one.weight
            return Measure(text, name, below, below is not None, total)
        case Call(function="share", arguments=(Ref(name=name, lag=0),)):
            trials = twin.indicators[name].trials
            if trials is None:
                raise SpecificationError(f"on: '{name}' has no trials, so it has no share.")
            return Measure(text, name, trials, False, False)
        case Arithmetic(op="/", left=Ref(name=above, lag=0), right=Ref(name=below, lag=0)):
            return Measure(text, above, below, False, False)
    raise SpecificationError(
        f"on='{on}': what changes is an indicator, share(x), or a ratio such as "
        f"'incidents / clients'."
    )


@dataclass(frozen=True, eq=False)
class End:
    """One end of a comparison.

    Parameters
    ----------
    fit : Fit
    period : int
        Position in its panel.
    label : str
        What people call it.
    present, reported : bool array (unit of the panel,)
        Who was there, and of whom the measure is recorded.
    run : Run
        Of the units that are explained.
    facts : Facts
    above, below : float array (unit of the panel,)
        What each unit adds to the measure.
    """

    fit: Fit
    period: int
    label: str
    present: NDArray[np.bool_]
    reported: NDArray[np.bool_]
    run: Run
    facts: Facts
    above: NDArray[np.float64]
    below: NDArray[np.float64]

    def sums(self, units: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Add up what some units add above and below the line."""
        return np.array([np.where(units, x, 0.0).sum() for x in (self.above, self.below)])


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two ends, and which of their units are set against each other.

    Parameters
    ----------
    measure : Measure
    names : tuple of str
        What is made anew in hybrid worlds, causes first.
    depth : int
        How many periods back that reads.
    ends : (End, End)
    pairs : (int array, int array)
        Positions among the explained units of each end.
    weights : float array (pair,)
    matched : bool
        Whether units are paired at random, as two groups; otherwise a unit is its own pair.
    blocks : dict of str to (before, after)
        Sums above and below the line of units that are not paired, by what became of them.
    counts : dict of str to int
    """

    measure: Measure
    names: tuple[str, ...]
    depth: int
    ends: tuple[End, End]
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]]
    weights: NDArray[np.float64]
    matched: bool
    blocks: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    counts: dict[str, int]


def relevant(twin: Twin, measure: Measure) -> tuple[str, ...]:
    """Return what a measure depends on within its period, causes first."""
    above: dict[str, set[str]] = {}
    for arrow in twin.graph.arrows:
        if arrow.lag == 0:
            above.setdefault(arrow.effect, set()).add(arrow.cause)
    found, waiting = set(measure.names), list(measure.names)
    while waiting:
        fresh = above.get(waiting.pop(), set()) - found
        found |= fresh
        waiting += fresh
    reads = mechanism_reads(twin)
    found |= {name for one in found for name, lag in reads[one] if lag == 0}
    for name, expression in expressions_of(twin):
        if name in found and any(isinstance(part, Across) for part in expression.walk()):
            raise SpecificationError(
                f"{name} reads other units, so what belongs to one unit cannot be told apart."
            )
    return tuple(name for name in twin.graph.order() if name in found)


def compare(
    fit: Fit,
    other: Fit | None,
    on: str,
    before: str | None,
    after: str | None,
    *,
    period: str | None,
    units: Sequence[str] | None,
    seed: int,
    draws: int,
) -> Comparison:
    """Work out the two ends; see `dotwin.effects.attribute`."""
    second = fit if other is None else other
    if second.twin.indicators != fit.twin.indicators:
        raise SpecificationError("other: this fit is of another twin, so parts do not match.")
    twin = fit.twin
    groups = [_is_condition(twin, text) for text in (before, after)]
    strangers = not set(map(str, fit.panel.units)) & set(map(str, second.panel.units))
    matched = any(groups) or strangers
    if any(groups) and not all(groups) and other is None:
        raise SpecificationError(
            f"before='{before}', after='{after}': compare two periods, or two groups of units."
        )
    measure = read_measure(twin, on, totals=not matched)
    names = relevant(twin, measure)
    if twin.indicators[measure.above].is_given:
        raise SpecificationError(
            f"on: {measure.above} is given; why it varies is not declared, so there is no answer."
        )
    depth = max((lag for name in names for _, lag in mechanism_reads(twin)[name]), default=0)
    chosen = [_end_of(one, text, group, period) for one, text, group in (
        (fit, before, groups[0]), (second, after, groups[1]))]  # fmt: skip
    recorded = [
        _recorded(one, measure, at) for (at, _, _), one in zip(chosen, (fit, second), strict=True)
    ]
    asked = [
        _asked(one, units) & members
        for one, (_, members, _) in zip((fit, second), chosen, strict=True)
    ]
    if not matched:
        ids = [np.asarray([str(u) for u in one.panel.units], dtype=object) for one in (fit, second)]
        both = [np.isin(ids[0], ids[1][recorded[1][1] & asked[1]]),
                np.isin(ids[1], ids[0][recorded[0][1] & asked[0]])]  # fmt: skip
    else:
        both = [np.ones(len(one.panel.units), dtype=bool) for one in (fit, second)]
    ends = []
    for k, one in enumerate((fit, second)):
        at, _, label = chosen[k]
        present, reported, above, below = recorded[k]
        among = asked[k] & reported & both[k]
        if not among.any():
            raise DataError(
                f"{label}: nobody to compare: no unit has {measure.text} recorded there"
                + ("." if matched else " and at the other end.")
            )
        window = None if one.panel.is_cross_section else one.panel.period_labels[at]
        run, facts = look_back(
            one, [], periods=window, seed=seed, draws=draws,
            reached=frozenset(n for n in names if not twin.indicators[n].is_given), among=among,
        )  # fmt: skip
        ends.append(
            End(one, at, label, present & asked[k], reported & asked[k], run, facts, above, below)
        )
    first, last = ends
    if first.run.shape[:2] != last.run.shape[:2]:
        raise SpecificationError("other: the two fits have different numbers of chains or draws.")
    if matched:
        pairs, weights = _matched(first.run, last.run, seed)
        return Comparison(
            measure, names, depth, (first, last), pairs, weights, True, {},
            {"before": len(first.run.start.members.units),
             "after": len(last.run.start.members.units)},
        )  # fmt: skip
    return _paired(measure, names, depth, first, last)


def _is_condition(twin: Twin, text: str | None) -> bool:
    if text is None:
        return False
    try:
        expression: Expr = parse(text)
    except ValueError:
        return False
    known = expression.names() <= {*twin.indicators, *twin.panel.all_levels}
    return isinstance(expression, Compare | Bool | Not) and known


def _end_of(
    fit: Fit, text: str | None, group: bool, period: str | None
) -> tuple[int, NDArray[np.bool_], str]:
    """Return the period's position, who belongs, and what people call this end."""
    panel, everyone = fit.panel, np.ones(len(fit.panel.units), dtype=bool)
    last = len(panel.period_labels) - 1
    if panel.is_cross_section:
        at = 0
    elif group or text is None:
        at = last if period is None else panel.period_position(period)
    else:
        at = panel.period_position(text)
    label = panel.period_labels[at]
    if not group:
        if text is not None and panel.is_cross_section:
            raise SpecificationError(
                f"'{text}': a cross-section has one period; compare two groups of units, such as "
                f"before=\"region == 'north'\", or two fits with other=."
            )
        return at, everyone, label if not panel.is_cross_section else "all units"
    levels = {
        level: np.asarray(panel.groups(level)[1], dtype=object)[panel.groups(level)[0]]
        for level in panel.twin.panel.all_levels
    }
    facts = {name: panel.values(name)[:, at] for name in panel.indicators}
    found = group_units(panel.twin, UnitStates(levels, facts), str(text))
    holds = np.array([label[0] == "yes" for label in found.labels])
    return at, (found.codes >= 0) & holds[found.codes], str(text)


def _asked(fit: Fit, units: Sequence[str] | None) -> NDArray[np.bool_]:
    ids = [str(unit) for unit in fit.panel.units]
    if units is None:
        return np.ones(len(ids), dtype=bool)
    wanted = [units] if isinstance(units, str) else list(units)
    if unknown := [one for one in wanted if one not in set(ids)]:
        raise DataError(f"units: no {fit.twin.unit} '{unknown[0]}'. {nearest(unknown[0], ids)}")
    return np.isin(np.asarray(ids, dtype=object), np.asarray(wanted, dtype=object))


def _recorded(
    fit: Fit, measure: Measure, at: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    panel = fit.panel
    present = np.asarray(panel.data["present"].values, dtype=bool)[:, at]
    values = [np.asarray(panel.values(name)[:, at], dtype=float) for name in measure.names]
    above, below = measure.parts(values[0], values[-1])
    reported = present & np.isfinite(above) & np.isfinite(below)
    return present, reported, above, np.asarray(below, dtype=float)


def _paired(
    measure: Measure, names: tuple[str, ...], depth: int, first: End, last: End
) -> Comparison:
    """Set each unit against itself, and say what became of all others."""
    ids = [np.asarray([str(u) for u in end.fit.panel.units], dtype=object) for end in (first, last)]
    explained = [set(end.run.start.members.units) for end in (first, last)]
    both = explained[0] & explained[1]
    if not both:
        raise DataError("no unit can be explained at both ends.")
    place = [
        {unit: i for i, unit in enumerate(end.run.start.members.units)} for end in (first, last)
    ]
    order = [unit for unit in first.run.start.members.units if unit in both]
    pairs = tuple(np.array([where[unit] for unit in order], dtype=np.intp) for where in place)

    def those(k: int, names: set[Any]) -> NDArray[np.bool_]:
        return np.isin(ids[k], np.asarray(sorted(names), dtype=object))

    was, now = (
        {"there": set(ids[k][end.present]), "told": set(ids[k][end.reported])}
        for k, end in enumerate((first, last))
    )
    became = {
        "units that left": (was["told"] - now["there"], 0),
        "reports that stopped": ((was["told"] & now["there"]) - now["told"], 0),
        "units that entered": (now["told"] - was["there"], 1),
        "reports that began": ((now["told"] & was["there"]) - was["told"], 1),
    }
    nothing = np.zeros(2)
    blocks, counts = {}, {"units compared": len(order)}
    for what, (who, k) in became.items():
        if who:
            end = (first, last)[k]
            sums = end.sums(those(k, who))
            blocks[what] = (sums, nothing) if k == 0 else (nothing, sums)
            counts[what] = len(who)
    rest = (was["told"] & now["told"]) - both
    if rest:
        what = "units whose causes are not recorded"
        blocks[what] = (first.sums(those(0, rest)), last.sums(those(1, rest)))
        counts[what] = len(rest)
    weights = np.ones(len(order))
    ends = (first, last)
    return Comparison(
        measure, names, depth, ends, (pairs[0], pairs[1]), weights, False, blocks, counts
    )


#: How many times two groups are matched at random; more make the answer less a matter of luck.
_MATCHINGS = 4


def _matched(
    first: Run, last: Run, seed: int
) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float64]]:
    """Match two groups at random so that every unit of a group has the same weight.

    Both groups are laid along the unit interval in random order; where a stretch of one meets a
    stretch of the other, the two are a pair with the length of their meeting as its weight.
    """
    counts = [len(run.start.members.units) for run in (first, last)]
    left, right, weights = [], [], []
    for number in range(_MATCHINGS):
        orders = []
        for k, run in enumerate((first, last)):
            v = tail_noise(
                seed, f"matching {k}", np.array([number]), unit_numbers(run.start.members.units), 0
            )
            orders.append(np.argsort(v[0], kind="stable"))
        cuts = np.unique(
            np.concatenate([np.arange(c + 1) * (counts[0] * counts[1] // c) for c in counts])
        )
        starts = cuts[:-1]
        left.append(orders[0][starts // counts[1]])
        right.append(orders[1][starts // counts[0]])
        weights.append(np.diff(cuts) / (counts[0] * counts[1] * _MATCHINGS))
    return (np.concatenate(left), np.concatenate(right)), np.concatenate(weights)
