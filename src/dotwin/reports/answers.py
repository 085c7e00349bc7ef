"""What each scenario answers: differences, harm that is not ruled out, and their licence."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.graph import IdentificationVerdict
from dotwin.plots.quantity import Quantity, quantity
from dotwin.reports.table import Table, cell, declared
from dotwin.reports.words import capital, intervention_words, listed, range_words
from dotwin.spec.expressions import parse
from dotwin.worlds.aggregate import aggregate
from dotwin.worlds.identified import differing, identification_of
from dotwin.worlds.licence import MONOTONE_COUPLING, NO_HIDDEN_CAUSES, PRIOR, Licence
from dotwin.worlds.program import BASELINE

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dotwin.spec.twin import Twin
    from dotwin.worlds import Contrast, Futures

__all__ = ["Answer", "Finding", "ScenarioAnswers", "answers", "headline_texts"]

#: Noises over which differences are averaged: a page is read more often than it is made. Many
#: units average much of the noise by themselves, and their worlds take much memory.
_REPLICATES, _REPLICATES_OF_MANY = 8, 2
_MANY_VALUES = 2_000_000
INTERVAL = "90 % equal-tailed interval over posterior draws"


@dataclass(frozen=True)
class Finding:
    """One quantity's difference between two scenarios in the last period.

    Parameters
    ----------
    quantity : Quantity
    period : str
    mean, low, high : float
        As shown: percentages are percentages.
    noise : float
        The share of the spread that comes from simulating, not from the posterior.
    worse : {'higher', 'lower', ''}
        Which direction a threshold calls harm.
    identified : IdentificationVerdict or None
        None where the scenario does not reach it.
    sentence : str
    """

    quantity: Quantity
    period: str
    mean: float
    low: float
    high: float
    noise: float
    worse: Literal["higher", "lower", ""]
    identified: IdentificationVerdict
    sentence: str

    @property
    def harm(self) -> float | None:
        """The largest harm that the interval does not rule out; None without a direction."""
        if not self.worse:
            return None
        return max(0.0, self.high if self.worse == "higher" else -self.low)


@dataclass(frozen=True, eq=False)
class Answer:
    """One scenario against another.

    Parameters
    ----------
    against : str
    contrast : Contrast
    licence : Licence
    findings : tuple of Finding
        The headline quantities first.
    """

    against: str
    contrast: Contrast
    licence: Licence
    findings: tuple[Finding, ...]


@dataclass(frozen=True, eq=False)
class ScenarioAnswers:
    """All that is said of one scenario.

    Parameters
    ----------
    name, question : str
    interventions : tuple of str
        In words.
    answers : tuple of Answer
        Against the baseline first, then against each scenario that it extends.
    """

    name: str
    question: str
    interventions: tuple[str, ...]
    answers: tuple[Answer, ...]


def headline_texts(twin: Twin) -> list[tuple[str, Literal["higher", "lower", ""]]]:
    """Return the quantities that the twin's thresholds watch, and which direction is worse."""
    found: dict[str, Literal["higher", "lower", ""]] = {}
    for threshold in twin.thresholds.values():
        found.setdefault(threshold.of, "higher" if threshold.above is not None else "lower")
    return list(found.items())


def answers(futures: Futures) -> list[ScenarioAnswers]:
    """Answer every scenario: against the baseline, and against those that it extends.

    Parameters
    ----------
    futures : Futures

    Returns
    -------
    list of ScenarioAnswers
    """
    result = []
    for name, scenario in futures.scenarios.items():
        if scenario is None:
            continue
        against = [BASELINE]
        own = {str(one) for one in scenario.interventions}
        for other, candidate in futures.scenarios.items():
            if candidate is not None and other != name:
                theirs = {str(one) for one in candidate.interventions}
                if theirs < own:
                    against.append(other)
        result.append(
            ScenarioAnswers(
                name,
                scenario.question,
                (
                    *(intervention_words(futures.twin, one) for one in scenario.interventions),
                    *([f"resources come from {scenario.source}"] if scenario.source else []),
                ),
                tuple(_answer(futures, name, other) for other in against),
            )
        )
    return result


def _answer(futures: Futures, name: str, against: str) -> Answer:
    # Where the graph does not license an effect the numbers are shown as what they are then, an
    # association, and every sentence about them says so.
    replicates = _REPLICATES_OF_MANY if prod(futures.run.shape) > _MANY_VALUES else _REPLICATES
    assume = (NO_HIDDEN_CAUSES, MONOTONE_COUPLING, PRIOR)
    contrast = futures.contrast(name, against, assume=assume, replicates=replicates)
    changed = differing(futures.program(name), futures.program(against))
    watched = headline_texts(futures.twin)
    reached = [
        (text, worse)
        for text, worse in watched
        if parse(text).names() & set(contrast.outcomes)
        and parse(text).names() <= set(contrast.worlds)
    ]
    others: list[tuple[str, Literal["higher", "lower", ""]]] = [
        (_shown(contrast, outcome), "") for outcome in contrast.outcomes if outcome not in changed
    ]
    # A share is one thing, whether written share(x) or x / trials.
    covered = {quantity(futures.twin, text).axis for text, _ in reached}
    chosen = reached + [
        (text, worse) for text, worse in others if quantity(futures.twin, text).axis not in covered
    ]
    # What is acted on is shown as realised change; it heads the findings only where all is.
    chosen.sort(key=lambda one: parse(one[0]).names() <= set(changed))
    findings = [_finding(contrast, text, worse) for text, worse in chosen]
    return Answer(against, contrast, contrast.licence, tuple(findings))


def _shown(contrast: Contrast, outcome: str) -> str:
    """Return the expression by which an outcome is shown: its share where it has trials."""
    trials = contrast.futures.twin.indicators[outcome].trials
    return f"share({outcome})" if trials and trials in contrast.worlds else outcome


def _finding(
    contrast: Contrast,
    text: str,
    worse: Literal["higher", "lower", ""],
) -> Finding:
    futures = contrast.futures
    shown = quantity(futures.twin, text)
    row: pd.Series[Any] = contrast.summary(on=text).iloc[-1]
    mean, low, high = (float(row[key]) * shown.factor for key in ("mean", "5%", "95%"))
    verdict = _identified(contrast, text)
    period = str(row["period"]) if futures.run.future.frequency is not None else ""
    sentence = _sentence(contrast, shown, period, (mean, low, high), worse, verdict)
    return Finding(shown, period, mean, low, high, float(row["noise"]), worse, verdict, sentence)


def _identified(contrast: Contrast, text: str) -> IdentificationVerdict:
    """Judge a quantity by the worst of the indicators in it that the change reaches."""
    futures, graph = contrast.futures, contrast.futures.twin.graph
    names = sorted(name for name in parse(text).names() if name in contrast.outcomes)
    one, other = futures.program(contrast.name), futures.program(contrast.against)
    found = [identification_of(one, other, name, graph) for name in names]
    return min(found, key=lambda verdict: verdict.licensed)


def _sentence(
    contrast: Contrast,
    shown: Quantity,
    period: str,
    values: tuple[float, float, float],
    worse: str,
    verdict: IdentificationVerdict,
) -> str:
    mean, low, high = values
    total = "the total of " if shown.total else ""
    when = f" in {period}" if period else ""
    against = (
        "if nothing is done" if contrast.against == BASELINE else f"under ‘{contrast.against}’"
    )
    level = _level(contrast, shown)
    interval = f"90 % interval of the difference {range_words(low, high)}"
    where = f"{total}{shown.label}"
    if mean == low == high == 0:
        text = f"{capital(where)} does not differ{when} from what it is {against}."
    elif low <= 0 <= high:
        text = (
            f"No clear difference is seen in {where}{when}: {cell(mean)} {shown.difference} "
            f"against {level} {against} ({interval})."
        )
    else:
        direction = "lower" if mean < 0 else "higher"
        text = (
            f"{capital(where)}: {cell(abs(mean))} {shown.difference} {direction}{when} than "
            f"the {level} {against} ({interval})."
        )
    if low <= 0 <= high and not (mean == low == high == 0):
        ends = []
        if high > 0 and worse != "lower":
            ends.append(f"a rise of {cell(high)}")
        if low < 0 and worse != "higher":
            ends.append(f"a fall of {cell(-low)}")
        if ends:
            text += f" That is no proof of safety: {listed(ends, 'or')} is not ruled out."
    if verdict.coupling:
        text += f" {capital(verdict.reason)} The number assumes a monotone coupling."
    elif not verdict.licensed:
        text += (
            " This is an association under the declared graph, not an effect: acting may do "
            "something else."
        )
    return text


def _level(contrast: Contrast, shown: Quantity) -> str:
    """Write the level that is expected in the scenario compared with."""
    table = contrast.futures.summary(of=shown.text)
    row = table[table["scenario"] == contrast.against].iloc[-1]
    return f"{cell(float(row['mean']) * shown.factor)} {shown.unit}".rstrip()


def differences_table(scenario: ScenarioAnswers) -> Table:
    """List every quantity's difference in the last period."""
    rows = []
    for answer in scenario.answers:
        for one in answer.findings:
            rows.append(
                (
                    one.quantity.label,
                    one.quantity.difference,
                    answer.against,
                    one.mean,
                    one.low,
                    one.high,
                    max(0.0, one.high),
                    max(0.0, -one.low),
                    round(100 * one.noise, 1),
                    "effect" if one.identified.licensed else "association, not an effect",
                )
            )
    period = next((f.period for a in scenario.answers for f in a.findings if f.period), "")
    return Table(
        f"What ‘{scenario.name}’ changes" + (f" in {period}" if period else ""),
        (
            "quantity",
            "unit of the difference",
            "against",
            "mean",
            "5 %",
            "95 %",
            "largest rise not ruled out",
            "largest fall not ruled out",
            "of the spread, from simulating, %",
            "what it is",
        ),
        tuple(rows),
        INTERVAL,
    )


def realised_table(futures: Futures, name: str) -> Table:
    """List what a scenario really changed in the indicators that it acts on."""
    frame = futures.realised
    frame = frame[frame["scenario"] == name] if len(frame) else frame
    rows = []
    for row in frame.to_dict("records"):
        shown = quantity(futures.twin, str(row["indicator"]))
        f = shown.factor
        rows.append(
            (
                shown.label,
                shown.difference,
                row["period"],
                row["mean"] * f,
                row["5%"] * f,
                row["95%"] * f,
                100 * row["relative"],
                100 * row["at_edge"],
            )
        )
    return Table(
        f"Realised change of what ‘{name}’ acts on, against the baseline",
        ("indicator", "unit", "period", "mean", "5 %", "95 %", "relative, %", "held at an edge, %"),
        tuple(rows),
        "90 % equal-tailed interval over simulated futures",
    )


def thresholds_table(futures: Futures, name: str) -> Table:
    """List how probable it is that each declared threshold is crossed."""
    twin = futures.twin
    rows = []
    for key, threshold in twin.thresholds.items():
        each = futures.probability(key, by=twin.unit, ever=True)
        pooled = futures.probability(key, ever=True)
        shown = quantity(twin, key)
        line = threshold.above if threshold.above is not None else threshold.below
        assert line is not None  # a threshold has one side
        sign = "above" if threshold.above is not None else "below"
        share, whole = (
            {s: float(p["probability"].mean()) for s, p in table.groupby("scenario")}
            for table in (each, pooled)
        )
        rows.append(
            (
                f"{shown.label} {sign} {declared(line * shown.factor)} {shown.unit}".rstrip(),
                threshold.meaning,
                threshold.escalate_to,
                100 * share[BASELINE],
                100 * share[name],
                100 * whole[BASELINE],
                100 * whole[name],
            )
        )
    unit = twin.unit.replace("_", " ")
    return Table(
        "Probability that a threshold is crossed in any period ahead, %",
        (
            "threshold",
            "what it means",
            "who is told",
            f"one {unit}, on average: nothing done",
            f"one {unit}, on average: {name}",
            "all together: nothing done",
            f"all together: {name}",
        ),
        tuple(rows),
    )


def worse_table(scenario: ScenarioAnswers) -> Table:
    """List for what share of units the scenario makes a watched quantity worse."""
    rows = []
    for answer in scenario.answers:
        for finding in answer.findings:
            if not finding.worse:
                continue
            share = 100 * _share_made_worse(answer.contrast, finding)
            low, high = np.quantile(share, [0.05, 0.95])
            rows.append(
                (
                    finding.quantity.label,
                    finding.worse,
                    answer.against,
                    float(share.mean()),
                    float(low),
                    float(high),
                    finding.harm,
                    finding.quantity.difference,
                )
            )
    unit = scenario.answers[0].contrast.futures.twin.unit.replace("_", " ")
    return Table(
        f"{unit.capitalize()}s made worse, and the largest harm that is not ruled out",
        (
            "quantity",
            "worse is",
            "against",
            f"{unit}s made worse, %",
            "5 %",
            "95 %",
            "largest harm not ruled out",
            "unit of the harm",
        ),
        tuple(rows),
        f"{INTERVAL}; expected values in the last period",
    )


def _share_made_worse(contrast: Contrast, finding: Finding) -> NDArray[np.float64]:
    """Return the share of units whose expected value moves towards harm, dims (draw,)."""
    futures = contrast.futures
    units = futures.groups(futures.twin.unit)
    values = aggregate(
        futures.twin,
        parse(finding.quantity.text),
        lambda name: contrast.worlds[name].mean(axis=1),
        units,
    )[..., -1]
    change = values[0] - values[1]
    worse = change > 0 if finding.worse == "higher" else change < 0
    return np.asarray(worse.mean(axis=-1), dtype=float)
