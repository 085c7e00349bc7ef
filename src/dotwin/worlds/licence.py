"""The licence of an answer: identified? supported by data? converged? backtested?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dotwin.errors import LicenceError
from dotwin.worlds.identified import differing, differing_cuts, identification_of

if TYPE_CHECKING:
    from dotwin.inference import Fit
    from dotwin.worlds.futures import Futures
    from dotwin.worlds.program import Program

__all__ = [
    "MONOTONE_COUPLING",
    "NO_HIDDEN_CAUSES",
    "SAME_MECHANISMS",
    "Licence",
    "Status",
    "Verdict",
    "backtested_verdict",
    "converged_verdict",
    "licence_of",
    "refuse",
]

#: What to assume where the declared graph does not license an effect.
NO_HIDDEN_CAUSES = "no hidden causes"
#: What to assume where an answer holds two worlds' values of one unit at once.
MONOTONE_COUPLING = "monotone coupling"

#: What to assume where a mechanism may differ in a new place and is not recorded there.
SAME_MECHANISMS = "same mechanisms"

Status = Literal["yes", "thin", "no", "unknown", "assumed"]


@dataclass(frozen=True)
class Verdict:
    """One verdict in a word and a sentence.

    Parameters
    ----------
    status : {'yes', 'thin', 'no', 'unknown', 'assumed'}
    sentence : str
    assumption : str
        What was assumed, or would have to be, for an answer that is not licensed.
    """

    status: Status
    sentence: str
    assumption: str = ""

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
        if self.identified.assumption == MONOTONE_COUPLING:
            return "effect if the two worlds' noise is monotonely coupled"
        if self.identified.assumption == SAME_MECHANISMS:
            return "effect if no mechanism differs in the new place"
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
        converged=converged_verdict(futures.fit),
        backtested=backtested_verdict(futures.fit, outcomes),
    )


def _identified(
    futures: Futures,
    one: Program,
    other: Program,
    outcomes: tuple[str, ...],
    assume: frozenset[str],
) -> Verdict:
    changed = tuple(dict.fromkeys((*differing(one, other), *differing_cuts(one, other))))
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
    if all(verdict.coupling for verdict in failed.values()):
        status: Status = "assumed" if MONOTONE_COUPLING in assume else "no"
        return Verdict(status, f"Coupling: monotone. {_sentence(text)}", MONOTONE_COUPLING)
    if NO_HIDDEN_CAUSES in assume:
        return Verdict(
            "assumed",
            f"Association under the declared graph, not an effect. {_sentence(text)}",
            NO_HIDDEN_CAUSES,
        )
    return Verdict("no", _sentence(text), NO_HIDDEN_CAUSES)


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


def converged_verdict(fit: Fit) -> Verdict:
    """Say whether a fit's posterior can be trusted."""
    if "known parameters" in {engine for engine, _ in fit.engines.values()}:
        return Verdict("yes", "The parameters are stated, not estimated.")
    diagnosis = fit.diagnose()
    return Verdict("yes" if diagnosis.converged else "no", diagnosis.sentence)


def backtested_verdict(fit: Fit, outcomes: tuple[str, ...]) -> Verdict:
    """Say whether forecasts of some indicators held before."""
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
    assumption = licence.identified.assumption
    as_what = {
        NO_HIDDEN_CAUSES: "So the difference between the scenarios is no effect. Say "
        f"assume='{NO_HIDDEN_CAUSES}' to see it as an association under the declared graph",
        MONOTONE_COUPLING: f"Say assume='{MONOTONE_COUPLING}' to see it under that coupling",
    }[assumption]
    raise LicenceError(
        f"{licence.identified.sentence} {as_what}"
        + (", or name licensed outcomes with on=." if len(outcomes) > 1 else ".")
    )
