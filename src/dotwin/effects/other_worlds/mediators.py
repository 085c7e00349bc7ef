"""Ways from a cause to an outcome, and whether two worlds at once can be identified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from dotwin.errors import LicenceError, SpecificationError, nearest
from dotwin.worlds.licence import MONOTONE_COUPLING, Licence, Verdict

if TYPE_CHECKING:
    from dotwin.spec.twin import Twin

__all__ = ["Paths", "check_paths", "cross_world"]


@dataclass(frozen=True)
class Paths:
    """Which ways are asked for.

    Parameters
    ----------
    cause, on : str
    through : tuple of str
    arrows : frozenset of (cause, effect)
        Those of a path, own lags among them; empty where mediators are meant.
    """

    cause: str
    on: str
    through: tuple[str, ...]
    arrows: frozenset[tuple[str, str]] = frozenset()

    def above(
        self, twin: Twin, ends: set[str], blocked: frozenset[str] = frozenset()
    ) -> frozenset[str]:
        """Return what some indicators depend on, themselves included, at any lag.

        Nothing is followed above what is blocked, although it is included.
        """
        found, waiting = set(ends), list(ends)
        while waiting:
            name = waiting.pop()
            if name in blocked:
                continue
            fresh = set(twin.graph.parents(name)) - found
            # Trials of a share are read where the share is.
            found |= fresh
            waiting += fresh
        trials = {twin.indicators[n].trials for n in found & set(self.through)} - {None}
        further = {str(name) for name in trials} - found
        return frozenset(found) | (self.above(twin, further, blocked) if further else frozenset())


def check_paths(twin: Twin, cause: str, on: str, through: str | Sequence[str], kind: str) -> Paths:
    """Read the question, and refuse what has no way through.

    Raises
    ------
    SpecificationError
    """
    steps = (through,) if isinstance(through, str) else tuple(through)
    for what, name in (("cause", cause), ("on", on), *(("through", one) for one in steps)):
        if name not in twin.indicators:
            raise SpecificationError(
                f"{what}: there is no indicator '{name}'. {nearest(name, twin.indicators)}"
            )
    if not steps:
        raise SpecificationError("through: name at least one mediator.")
    if len({cause, on, *steps}) < 2 + len(steps):
        raise SpecificationError("cause, mediators and outcome are different indicators.")
    graph = twin.graph
    if kind == "path":
        way = (cause, *steps, on)
        for above, below in pairwise(way):
            if above not in graph.parents(below):
                raise SpecificationError(
                    f"through: {above} is no cause of {below}, so no path goes there. "
                    f"{nearest(above, graph.parents(below))}"
                )
        arrows = {*pairwise(way), *((name, name) for name in way[1:])}
        return Paths(cause, on, steps, frozenset(arrows))
    for name in steps:
        if twin.indicators[name].equals is not None:
            raise SpecificationError(
                f"through: {name} is exact accounting and has no law of its own; name its parts."
            )
        if not graph.reaches(cause, name):
            raise SpecificationError(
                f"through: {cause} does not reach {name}, so nothing of its effect goes through it."
            )
        if not _reaches_without(twin, name, on, frozenset(steps) - {name}) and not graph.reaches(
            name, on
        ):
            raise SpecificationError(
                f"through: {name} does not reach {on}, so nothing of the effect goes through it."
            )
    return Paths(cause, on, steps)


def _reaches_without(twin: Twin, start: str, end: str, without: frozenset[str]) -> bool:
    """Whether a chain of causes leads from one indicator to another past some others."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for child in twin.graph.children(waiting.pop()):
            if child == end:
                return True
            if child not in found and child not in without:
                found.add(child)
                waiting.append(child)
    return False


def _witness(twin: Twin, paths: Paths, kind: str) -> str | None:
    """Find an indicator that two worlds at once would need in two states (Avin et al. 2005)."""
    graph = twin.graph
    if kind == "path":
        # An arrow off the path needs its own cause as it was, while the path needs it changed.
        for name in (*paths.through, paths.on):
            for child in graph.children(name):
                off = (name, child) not in paths.arrows and child != paths.cause
                if off and (
                    child == paths.on
                    or _reaches_without(twin, child, paths.on, frozenset({paths.cause}))
                ):
                    return name if name != paths.on else paths.through[-1]
        return None
    held = frozenset({paths.cause, *paths.through})
    for between in graph.order():
        if between in held or not _reaches_without(
            twin, paths.cause, between, frozenset(paths.through)
        ):
            continue
        others = frozenset({paths.cause})
        to_mediator = any(_reaches_without(twin, between, m, others) for m in paths.through)
        if to_mediator and _reaches_without(twin, between, paths.on, held):
            return str(between)
    return None


def cross_world(
    twin: Twin, paths: Paths, kind: str, licence: Licence, assumed: frozenset[str]
) -> Licence:
    """Add to a licence whether one unit's two worlds are identified.

    Raises
    ------
    LicenceError
        When an indicator would have to be in two states at once, and nobody said that the model's
        coupling decides.
    """
    label = twin.label
    mediators = " and ".join(map(label, paths.through))
    found = licence.identified
    witness = _witness(twin, paths, kind)
    if witness is not None:
        reason = (
            f"{label(paths.cause)} changes {label(witness)}, which acts on {label(paths.on)} both "
            f"through {mediators} and otherwise: the effect would need it in two states at once, "
            f"and no data say how these belong together (Avin, Shpitser and Pearl 2005)."
        )
        if MONOTONE_COUPLING not in assumed:
            raise LicenceError(
                f"{reason} Ask for kind='interventional', which is identified here, or say "
                f"assume='{MONOTONE_COUPLING}' to let the form of the mechanisms decide."
            )
        sentence = f"{found.sentence} {reason} The form of the model decides."
        verdict = Verdict("assumed", sentence, found.assumption or MONOTONE_COUPLING)
        return replace(licence, identified=verdict)
    sentence = (
        f"{found.sentence} Beyond that it takes cross-world independence: that, given the recorded "
        f"past, what {mediators} would be under one value of {label(paths.cause)} and what "
        f"{label(paths.on)} would be under the other share no cause, their unit effects and period "
        f"shocks included. No experiment could test this."
    )
    return replace(licence, identified=replace(found, sentence=sentence))
