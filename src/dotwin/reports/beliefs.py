"""What a reader must believe for the answers to hold, a sentence each, with its status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.inference.loadings import verdicts_of
from dotwin.reports.effects import CausalAnswer, couples_worlds
from dotwin.reports.words import capital, listed

if TYPE_CHECKING:
    import pandas as pd

    from dotwin.inference.fit import Fit
    from dotwin.reports.answers import ScenarioAnswers
    from dotwin.worlds import Futures

__all__ = ["STATUSES", "Belief", "beliefs"]

Status = Literal[
    "tested and not contradicted",
    "contradicted",
    "contradicted and allowed for",
    "weakly supported",
    "not tested",
    "cannot be tested",
]
STATUSES: dict[str, str] = {
    "tested and not contradicted": "the data could have spoken against it and did not",
    "contradicted": "the data speak against it",
    "contradicted and allowed for": "the data speak against it, and the answers do not rest on it",
    "weakly supported": "the data say little about it",
    "not tested": "it could be tested and has not been",
    "cannot be tested": "no data of this kind can speak against it; it has to be argued",
}
#: Chance that a test of several pairs speaks up although every claim holds.
_FALSE_ALARM = 0.1


@dataclass(frozen=True)
class Belief:
    """One claim that the answers rest on.

    Parameters
    ----------
    claim : str
        A sentence.
    status : str
        One of `STATUSES`.
    why : str
        What the status rests on.
    """

    claim: str
    status: Status
    why: str


def beliefs(
    fit: Fit,
    futures: Futures | None,
    scenarios: list[ScenarioAnswers],
    effects: Sequence[CausalAnswer],
) -> list[Belief]:
    """List what must be believed.

    Parameters
    ----------
    fit : Fit
    futures : Futures, optional
    scenarios : list of ScenarioAnswers
    effects : sequence of CausalAnswer

    Returns
    -------
    list of Belief
    """
    found = [_causes(fit), *_hidden(fit), *_traits(fit), *_calendar(fit), _interference(fit)]
    if scenarios:
        found.append(_well_defined(fit, scenarios))
    if futures is not None:
        found += [_seen(futures, one.name) for one in scenarios]
        found.append(_same_mechanisms(fit))
    if any(couples_worlds(one) for one in effects):
        found.append(_coupling(fit))
    return found


def _causes(fit: Fit) -> Belief:
    graph = fit.twin.graph
    drawn = {(a.cause, a.effect) for a in graph.arrows if a.kind == "cause"}
    return Belief(
        f"Every direct cause is drawn: the {len(drawn)} cause-and-effect arrows of the graph point "
        f"the right way, and nothing else that is recorded acts directly.",
        "cannot be tested",
        "The direction of an arrow is knowledge, not data. The reason given for each stands with "
        "the graph below.",
    )


def _hidden(fit: Fit) -> list[Belief]:
    graph, declared = fit.twin.graph, fit.twin.hidden_causes
    unit = fit.twin.unit.replace("_", " ")
    found = [
        Belief(
            f"No {'other ' if declared else ''}unrecorded cause that changes over time moves two "
            f"indicators of one {unit}.",
            "cannot be tested",
            "What is not recorded cannot be looked for in the records.",
        )
    ]
    for name, hidden in declared.items():
        moved = listed([graph.label(one) for one in hidden.affects])
        if hidden.is_fitted:
            verdict = verdicts_of(fit)[name]
            forms = f" ({listed(verdict.forms)})" if verdict.forms else ""
            found.append(
                Belief(
                    f"{capital(graph.label(name))}, which nobody records, moves {moved} as one "
                    f"latent factor.",
                    "cannot be tested",
                    f"It is fitted with them: {verdict.status}{forms}. {verdict.reason}",
                )
            )
            continue
        found.append(
            Belief(
                f"{capital(graph.label(name))}, which nobody records, moves {moved}.",
                "cannot be tested",
                "It is declared and was left out of the fit: where it acts, differences between "
                "scenarios are associations.",
            )
        )
    return found


def _holm(table: pd.DataFrame, scale: str) -> pd.Series[Any]:
    """Tell which rows' intervals stay clear of 0 when all rows are looked at together.

    A 90 % interval misses 0 by chance in one row of ten, so the rows are tested as a family: by
    Holm (1979), from the middle and the width of each interval.
    """
    change = np.arctanh if scale == "correlation" else np.asarray
    middle, low, high = (
        np.asarray(change(table[key].clip(-0.999, 0.999) if scale == "correlation" else table[key]))
        for key in ("mean" if "mean" in table else "difference", "5%", "95%")
    )
    z = np.abs(middle) / np.maximum((high - low) / 3.29, 1e-12)
    p = np.array([2 * (1 - NormalDist().cdf(float(one))) for one in z])
    order = np.argsort(p)
    flagged = np.zeros(p.size, dtype=bool)
    for step, place in enumerate(order):
        if p[place] > _FALSE_ALARM / (p.size - step):
            break
        flagged[place] = True
    import pandas as pd

    return pd.Series(flagged, index=table.index)


def _traits(fit: Fit) -> list[Belief]:
    twin = fit.twin
    unit = twin.unit.replace("_", " ")
    diagnosis = fit.diagnose()
    traits = diagnosis.traits[diagnosis.traits["of"] != "period"]
    levels = listed(
        [f"a {level.replace('_', ' ')}" for level in reversed(twin.panel.all_levels)], "or"
    )
    claim = (
        f"No lasting trait of {levels} that nobody records moves two indicators, except along the "
        f"arrows drawn."
    )
    found = []
    if _known_parameters(fit):
        found.append(Belief(claim, "not tested", "The parameters are stated, not estimated."))
    elif traits.empty:
        found.append(
            Belief(
                claim,
                "cannot be tested",
                f"No two mechanisms on a path have effects of their own for each {unit}.",
            )
        )
    else:
        found.append(_correlations(fit, claim, traits))
    between = diagnosis.between
    if len(between) and not _known_parameters(fit):
        flagged = between[_holm(between, "difference")]
        claim = f"{unit.capitalize()}s that have lastingly more of a cause are alike in the rest."
        if flagged.empty:
            why = (
                f"For all {len(between)} causes compared, lasting differences between {unit}s "
                f"agree with changes within them."
            )
        else:
            named = [
                f"{twin.label(str(row.indicator))} ({row.cause})" for row in flagged.itertuples()
            ]
            why = (
                f"In {len(flagged)} of {len(between)} causes, lasting differences between {unit}s "
                f"say something else than changes within them: {listed(named)}. They differ in "
                f"more than the cause. So only changes within a {unit} are read as effects, and "
                f"lasting differences have a term of their own."
            )
        status: Status = (
            "tested and not contradicted" if flagged.empty else "contradicted and allowed for"
        )
        found.append(Belief(claim, status, why))
    return found


def _correlations(fit: Fit, claim: str, table: pd.DataFrame) -> Belief:
    twin = fit.twin
    flagged = table[_holm(table, "correlation")]
    count = len(table)
    if flagged.empty:
        return Belief(
            claim,
            "tested and not contradicted",
            f"{count} {'pair' if count == 1 else 'pairs'} of mechanisms on a path were compared, "
            f"and in none do the effects of the groups go together more than chance allows.",
        )
    named = [
        f"{twin.label(str(row.first))} and {twin.label(str(row.second))} by {row.of} "
        f"(correlation {row.mean:.2f})"
        for row in flagged.itertuples()
    ]
    return Belief(
        claim,
        "contradicted",
        f"In {len(flagged)} of {count} pairs of mechanisms the effects go together: "
        f"{listed(named)}. Something unrecorded moves both; declare it as a hidden cause, or "
        f"record it.",
    )


def _calendar(fit: Fit) -> list[Belief]:
    twin = fit.twin
    if twin.panel.period is None:
        return []
    period = twin.panel.period.frequency
    claim = (
        f"No event of a {period} that nobody records moves two indicators at once, except along "
        f"the arrows drawn."
    )
    traits = fit.diagnose().traits
    shocks = traits[traits["of"] == "period"]
    if _known_parameters(fit):
        return [Belief(claim, "not tested", "The parameters are stated, not estimated.")]
    if shocks.empty:
        return [
            Belief(
                claim,
                "cannot be tested",
                f"No two mechanisms on a path have a shock of their own for each {period}, so "
                f"there is nothing to compare.",
            )
        ]
    return [_correlations(fit, claim, shocks)]


def _interference(fit: Fit) -> Belief:
    sentence = str(fit.twin.graph.assumptions().of_kind("interference")[0])
    return Belief(
        sentence,
        "cannot be tested",
        "The records of one group cannot show what another would have had without it.",
    )


def _well_defined(fit: Fit, scenarios: list[ScenarioAnswers]) -> Belief:
    actions = dict.fromkeys(words.split(",")[0] for one in scenarios for words in one.interventions)
    return Belief(
        f"Each scenario is one well-defined thing that can be done, in one way whose means do not "
        f"matter: {'; '.join(actions)}.",
        "cannot be tested",
        "The model changes numbers. By which means they change, and whether that can be done, is "
        "for people to say.",
    )


def _seen(futures: Futures, name: str) -> Belief:
    support = futures.support(name)
    unit = futures.twin.unit.replace("_", " ")
    words: dict[str, Status] = {
        "supported": "tested and not contradicted",
        "thin": "weakly supported",
        "extrapolated": "contradicted",
    }
    sentence = support.sentence
    for indicator in support.table["indicator"]:
        label = futures.twin.label(str(indicator))
        sentence = sentence.replace(str(indicator), label)
        sentence = sentence.replace(capital(str(indicator)), capital(label))
    return Belief(
        f"Similar {unit}s have been seen at the levels that ‘{name}’ brings about.",
        words[support.verdict],
        sentence,
    )


def _same_mechanisms(fit: Fit) -> Belief:
    backtest = fit.notes.get("backtest")
    claim = "What held in the recorded periods goes on to hold in those ahead."
    if fit.twin.panel.period is None:
        return Belief(claim, "cannot be tested", "There is one period only.")
    if backtest is None:
        return Belief(claim, "not tested", "The forecasts were not backtested.")
    found = {backtest.verdict(name).status for name in backtest.indicators}
    status: Status = "weakly supported"
    if "not calibrated" in found:
        status = "contradicted"
    elif found == {"calibrated"}:
        status = "tested and not contradicted"
    why = f"{backtest.sentence} Past forecasts say how it was, not that it stays so."
    return Belief(claim, status, why)


def _coupling(fit: Fit) -> Belief:
    unit = fit.twin.unit.replace("_", " ")
    return Belief(
        f"The chance events that a {unit} met would have moved it the same way in the world that "
        f"did not happen: what is worse luck here is no better luck there.",
        "cannot be tested",
        "Nobody sees both worlds of one case. Effects on average do not rest on it.",
    )


def _known_parameters(fit: Fit) -> bool:
    return "known parameters" in {engine for engine, _ in fit.engines.values()}
