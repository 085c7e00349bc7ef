"""Does a comparison of two programs follow from the declared graph?"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from dotwin.graph import IdentificationVerdict
from dotwin.graph import licence as identification_licence
from dotwin.graph.path_specific import recanting_witness
from dotwin.spec.expressions import Expr, Ref, Start

if TYPE_CHECKING:
    from dotwin.graph import TwinGraph
    from dotwin.worlds.program import Change, Program

__all__ = ["differing", "differing_cuts", "identification_of"]


def differing(one: Program, other: Program) -> tuple[str, ...]:
    """Return the indicators whose interventions differ between two programs.

    What both change alike is part of the setting in which they are compared.
    """

    def changes(program: Program) -> dict[str, frozenset[str]]:
        return {
            name: frozenset(str(change.intervention) for change in several)
            for name, several in program.changes.items()
        }

    first, second = changes(one), changes(other)
    return tuple(n for n in {**first, **second} if first.get(n) != second.get(n))


def differing_cuts(one: Program, other: Program) -> tuple[str, ...]:
    """Return the effects of the arrows that two programs do not cut alike."""

    def cuts(program: Program) -> set[tuple[str, str, bytes]]:
        return {(cut.cause, cut.effect, cut.periods.tobytes()) for cut in program.cuts}

    return tuple(sorted({effect for _, effect, _ in cuts(one) ^ cuts(other)}))


def identification_of(
    one: Program, other: Program, outcome: str, graph: TwinGraph
) -> IdentificationVerdict:
    """Judge on the declared graph whether a comparison of two programs identifies an effect.

    Parameters
    ----------
    one, other : Program
    outcome : str
    graph : TwinGraph

    Returns
    -------
    IdentificationVerdict
    """
    changed = differing(one, other)
    if differing_cuts(one, other) or (changed and (one.cuts or other.cuts)):
        return _around_cuts(one, other, outcome, graph)
    if not changed:
        return IdentificationVerdict("licensed", "Both scenarios make the same changes.")
    return _of_changes(_changes_of((one, other), changed), outcome, graph)


def _changes_of(programs: Collection[Program], names: Collection[str]) -> list[Change]:
    return [c for p in programs for name in names for c in p.changes.get(name, ())]


def _of_changes(
    several: Collection[Change],
    outcome: str,
    graph: TwinGraph,
    also: Collection[str] = (),
) -> IdentificationVerdict:
    """Judge the effect of some changes, and of setting some indicators besides."""
    twin = graph.twin
    interfering = any(arrow.across for arrow in graph.arrows)
    lasting = [change for change in several if _keeps_its_mechanism(change, interfering)]
    rules: dict[str, set[tuple[str, int | None]]] = {}
    for change in lasting:
        one = change.intervention
        read = {pair for e in change.expressions for pair in _reads(e)}
        if one.verb == "redeploy" and twin.indicators[one.indicator].weight is not None:
            read.add((str(twin.indicators[one.indicator].weight), 0))
        read = {(name, lag) for name, lag in read if name in twin.indicators}
        rules.setdefault(one.indicator, set()).update(read)
    read_names = {name for read in rules.values() for name, _ in read}
    return identification_licence(
        graph,
        {*(change.intervention.indicator for change in several), *also},
        outcome,
        natural={change.intervention.indicator for change in lasting},
        reads=read_names,
        carry={change.intervention.indicator for change in lasting if change.feeds_back},
        rules=rules,
        exchanging={
            change.intervention.indicator
            for change in lasting
            if change.intervention.verb == "redeploy"
        },
    )


def _reads(expression: Expr, begun: bool = False) -> frozenset[tuple[str, int | None]]:
    """Return what an expression reads, with lags; None where it is the value at the start."""
    inside = begun or isinstance(expression, Start)
    own: set[tuple[str, int | None]] = set()
    if isinstance(expression, Ref):
        own.add((expression.name, None if begun else expression.lag))
    return frozenset(own).union(*(_reads(child, inside) for child in expression.children()))


def _around_cuts(
    one: Program, other: Program, outcome: str, graph: TwinGraph
) -> IdentificationVerdict:
    """Judge a comparison in which an arrow is cut.

    What passes elsewhere must be identified, and so must what passes along the arrow: the joint
    effect of the changes and of the cause, and the effect of the changes on the cause.
    """
    programs = [program for program in (one, other) if program.changes]
    names = {name for program in programs for name in program.changes}
    if not names:
        return IdentificationVerdict("licensed", "an arrow is cut, but nothing passes along it.")
    several = _changes_of(programs, sorted(names))
    causes = {cut.cause for program in (one, other) for cut in program.cuts}
    verdicts = [_of_changes(several, outcome, graph)]
    verdicts.append(_of_changes(several, outcome, graph, also=sorted(causes - names)))
    verdicts += [_of_changes(several, cause, graph) for cause in sorted(causes - names)]
    failed = next((verdict for verdict in verdicts if not verdict.licensed), None)
    if failed is not None:
        return failed
    if (crossed := _crossing(one, other, outcome, graph)) is not None:
        return IdentificationVerdict("not licensed", crossed, coupling=True)
    # What rests on the form of a hidden cause anywhere, does so on the whole.
    return next((verdict for verdict in verdicts if verdict.basis == "form"), verdicts[0])


def _crossing(one: Program, other: Program, outcome: str, graph: TwinGraph) -> str | None:
    """Return in words why a comparison rests on how two worlds belong together, or None."""
    for program in (one, other):
        if not program.cuts or not program.changes:
            continue
        several = _changes_of([program], tuple(program.changes))
        lasting = [change for change in several if _keeps_its_mechanism(change, False)]
        witness = recanting_witness(
            graph,
            tuple(program.changes),
            [(cut.cause, cut.effect) for cut in program.cuts],
            outcome,
            natural={change.intervention.indicator for change in lasting},
            carry={change.intervention.indicator for change in lasting if change.feeds_back},
            part_time=not all(bool(cut.periods.all()) for cut in program.cuts),
        )
        if witness is not None:
            label = graph.label
            return (
                f"{label(outcome)} depends on {label(witness)} in two worlds at once, as in the "
                f"baseline along the cut arrow and as changed around it. How the two belong "
                f"together in one {graph.twin.unit} is what no data can test."
            )
    return None


def _keeps_its_mechanism(change: Change, interfering: bool) -> bool:
    """Whether what the indicator would be by itself goes on to matter.

    It does when the change starts from the natural value, rises to full strength, ends within the
    horizon, or waits for a rule; where units act on each other, also when it spares some of them.
    """
    acting = change.strength[change.first :]
    spared = change.group == "rule" or (interfering and change.group == "fixed")
    return change.intervention.verb != "do" or spared or bool((acting < 1).any())
