"""The licence of an answer: identified? supported by data? converged? backtested?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dotwin.errors import LicenceError
from dotwin.graph import IdentificationVerdict
from dotwin.graph import licence as identification_licence

if TYPE_CHECKING:
    from dotwin.graph import TwinGraph
    from dotwin.inference import Fit
    from dotwin.worlds.futures import Futures
    from dotwin.worlds.program import Change, Program

__all__ = [
    "NO_HIDDEN_CAUSES",
    "Licence",
    "Verdict",
    "differing",
    "identification_of",
    "licence_of",
    "refuse",
]

#: What to assume where the declared graph does not license an effect.
NO_HIDDEN_CAUSES = "no hidden causes"

Status = Literal["yes", "thin", "no", "unknown", "assumed"]


@dataclass(frozen=True)
class Verdict:
    """One verdict in a word and a sentence.

    Parameters
    ----------
    status : {'yes', 'thin', 'no', 'unknown', 'assumed'}
    sentence : str
    """

    status: Status
    sentence: str

    def __str__(self) -> str:
        return f"{self.status}. {self.sentence}"


@dataclass(frozen=True)
class Licence:
    """The verdicts that an answer carries.

    Parameters
    ----------
    identified : Verdict
        Does the effect follow from the declared graph and the data?
    supported : Verdict
        Does the panel show what the intervention brings about?
    converged : Verdict
        Can the posterior be trusted?
    backtested : Verdict
        Did forecasts of the kind hold before?
    """

    identified: Verdict
    supported: Verdict
    converged: Verdict
    backtested: Verdict

    @property
    def ok(self) -> bool:
        """Whether it is identified, supported and converged, with nothing assumed."""
        return all(v.status == "yes" for v in (self.identified, self.supported, self.converged))

    @property
    def meaning(self) -> str:
        """What the answer is, in words."""
        if self.identified.status == "yes":
            return "effect"
        return "association under the declared graph, not an effect"

    def __str__(self) -> str:
        lines = [
            f"identified: {self.identified}",
            f"supported: {self.supported}",
            f"converged: {self.converged}",
            f"backtested: {self.backtested}",
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{line.partition(': ')[0]}</th><td>{line.partition(': ')[2]}</td></tr>"
            for line in str(self).splitlines()
        )
        return f"<table>{rows}</table>"


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
    if not changed:
        return IdentificationVerdict("licensed", "Both scenarios make the same changes.")
    several = [c for p in (one, other) for name in changed for c in p.changes.get(name, ())]
    lasting = [change for change in several if _keeps_its_mechanism(change)]
    read = frozenset[str]().union(*(c.where.names() for c in lasting if c.where is not None))
    return identification_licence(
        graph,
        changed,
        outcome,
        natural={change.intervention.indicator for change in lasting},
        reads=read & set(graph.indicators),
        carry={change.intervention.indicator for change in lasting if change.feeds_back},
    )


def _keeps_its_mechanism(change: Change) -> bool:
    """Whether what the indicator would be by itself goes on to matter.

    It does when the change starts from the natural value, rises to full strength, ends within the
    horizon, or waits for a rule.
    """
    acting = change.strength[change.first :]
    return change.intervention.verb != "do" or change.group == "rule" or bool((acting < 1).any())


def licence_of(
    futures: Futures,
    scenario: str,
    against: str,
    outcomes: tuple[str, ...],
    assume: frozenset[str] = frozenset(),
) -> Licence:
    """Judge the comparison of two scenarios on some outcomes.

    Parameters
    ----------
    futures : Futures
    scenario, against : str
    outcomes : tuple of str
        Indicators.
    assume : frozenset of str
    """
    one, other = futures.program(scenario), futures.program(against)
    return Licence(
        identified=_identified(futures, one, other, outcomes, assume),
        supported=_supported(futures, one, other),
        converged=_converged(futures.fit),
        backtested=_backtested(futures.fit, outcomes),
    )


def _identified(
    futures: Futures,
    one: Program,
    other: Program,
    outcomes: tuple[str, ...],
    assume: frozenset[str],
) -> Verdict:
    changed = differing(one, other)
    if not changed:
        return Verdict("yes", "both scenarios make the same changes, so every difference is zero.")
    graph = futures.twin.graph
    found = {y: identification_of(one, other, y, graph) for y in outcomes}
    failed = {y: verdict for y, verdict in found.items() if not verdict.licensed}
    both = [name for name in one.changes if name in other.changes and name not in changed]
    setting = f" Both scenarios change {', '.join(both)} alike." if both else ""
    if not failed:
        reasons = list(dict.fromkeys(verdict.reason for verdict in found.values()))
        if len(reasons) > 1:
            labels = futures.twin.label
            reasons = [
                f"on the declared graph, nothing unrecorded moves both "
                f"{' or '.join(map(labels, changed))} and any of {', '.join(map(labels, found))}"
            ]
        return Verdict("yes", " ".join(map(_sentence, reasons)) + setting)
    # Outcomes that fail for one reason are named together.
    by_reason: dict[str, list[str]] = {}
    for y, verdict in failed.items():
        by_reason.setdefault(verdict.reason.rstrip("."), []).append(futures.twin.label(y))
    text = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())
    if NO_HIDDEN_CAUSES in assume:
        return Verdict(
            "assumed", f"Association under the declared graph, not an effect. {_sentence(text)}"
        )
    return Verdict("no", _sentence(text))


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _supported(futures: Futures, one: Program, other: Program) -> Verdict:
    from dotwin.worlds.support import judge_support

    parts = [judge_support(futures, p) for p in (one, other) if p.scenario is not None]
    if not parts:
        return Verdict("yes", "Nothing is intervened on.")
    worst = max(parts, key=lambda support: support.rank)
    words: dict[str, Status] = {"supported": "yes", "thin": "thin", "extrapolated": "no"}
    return Verdict(words[worst.verdict], worst.sentence)


def _converged(fit: Fit) -> Verdict:
    if "known parameters" in {engine for engine, _ in fit.engines.values()}:
        return Verdict("yes", "The parameters are stated, not estimated.")
    diagnosis = fit.diagnose()
    return Verdict("yes" if diagnosis.converged else "no", diagnosis.sentence)


def _backtested(fit: Fit, outcomes: tuple[str, ...]) -> Verdict:
    backtest = fit.notes.get("backtest")
    if backtest is None:
        return Verdict("unknown", "Not backtested.")
    scored = [name for name in outcomes if name in backtest.indicators]
    if not scored:
        return Verdict("unknown", "None of the outcomes is among those backtested.")
    found = {backtest.verdict(name).status for name in scored}
    status: Status = "yes" if found == {"calibrated"} else "unknown"
    return Verdict("no" if "not calibrated" in found else status, backtest.sentence)


def refuse(licence: Licence, outcomes: tuple[str, ...]) -> None:
    """Raise when a comparison is not identified and nobody named the assumption.

    Raises
    ------
    LicenceError
    """
    if licence.identified.status != "no":
        return
    raise LicenceError(
        f"{licence.identified.sentence} So the difference between the scenarios is no effect. "
        f"Say assume='{NO_HIDDEN_CAUSES}' to see it as an association under the declared graph"
        + (", or name licensed outcomes with on=." if len(outcomes) > 1 else ".")
    )
