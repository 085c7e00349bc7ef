"""Everything that a report says, gathered once for the page and for the JSON beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dotwin.inference.predictive import PredictiveCheck, predictive_check
from dotwin.reports.answers import (
    Answer,
    ScenarioAnswers,
    answers,
    differences_table,
    realised_table,
    thresholds_table,
    worse_table,
)
from dotwin.reports.beliefs import STATUSES, beliefs
from dotwin.reports.effects import CausalAnswer, effect_section
from dotwin.reports.exchanges import exchange_sentences
from dotwin.reports.forecasts import forecasts, futures_section, outlook
from dotwin.reports.mechanisms import convergence_summary, mechanism_section, set_aside
from dotwin.reports.table import Table, from_frame
from dotwin.reports.words import capital, listed

if TYPE_CHECKING:
    from dotwin.inference.fit import Fit
    from dotwin.worlds import Futures
    from dotwin.worlds.calibration import Backtest

__all__ = ["Gathered", "gather", "plain"]

#: Seed of the replicated data and of ties broken at random; they decide nothing.
_SEED = 20240601


class Gathered:
    """The content of a report, and what its figures are drawn from.

    Parameters
    ----------
    content : dict
        Nested plain data and `Table` values.
    scenarios : list of ScenarioAnswers
    checks : dict of str to PredictiveCheck
    """

    def __init__(
        self,
        content: dict[str, Any],
        scenarios: list[ScenarioAnswers],
        checks: Mapping[str, PredictiveCheck],
    ) -> None:
        self.content = content
        self.scenarios = scenarios
        self.checks = checks


def gather(
    fit: Fit, futures: Futures | None, effects: Sequence[CausalAnswer], question: str | None
) -> Gathered:
    """Gather what a report says.

    Parameters
    ----------
    fit : Fit
    futures : Futures, optional
    effects : sequence of CausalAnswer
    question : str, optional
        The twin's purpose unless given.

    Returns
    -------
    Gathered
    """
    twin = fit.twin
    scenarios = answers(futures) if futures is not None else []
    checks = {
        name: predictive_check(fit, name, seed=_SEED)
        for name, design in fit.designs.items()
        if design.rows
    }
    backtest = fit.notes.get("backtest")
    content: dict[str, Any] = {
        "twin": twin.name,
        "version": twin.version,
        "question": question or " ".join(twin.purpose.split()),
        "panel": fit.panel.quality.headline,
        "unit": twin.unit.replace("_", " "),
        "governance": twin.governance.model_dump(mode="json"),
        "outlook": outlook(futures) if futures is not None else [],
        "answers": [_scenario_summary(fit, one) for one in scenarios],
        "effects": [effect_section(number, one) for number, one in enumerate(effects, 1)],
        "beliefs": [asdict(one) for one in beliefs(fit, futures, scenarios, effects)],
        "statuses": STATUSES,
        "graph": _graph(fit),
        "data": _data(fit),
        "mechanisms": [mechanism_section(fit, name, checks.get(name)) for name in fit.designs],
        "accounting": [
            {"label": twin.label(name), "equals": one.equals, "because": one.because}
            for name, one in twin.indicators.items()
            if one.equals is not None
        ],
        "convergence": convergence_summary(fit),
        "converged": fit.diagnose().converged or not fit.settings.tune,
        "traits": _traits(fit),
        "backtest": _backtest(backtest),
        "forecasts": forecasts(futures) if futures is not None else [],
        "futures": futures_section(futures) if futures is not None else {},
        "scenarios": [_scenario(futures, one) for one in scenarios if futures is not None],
        "unknown": _unknown(fit, futures),
        "provenance": _provenance(fit, futures),
    }
    return Gathered(content, scenarios, checks)


def plain(value: Any) -> Any:
    """Turn gathered content into what JSON can hold."""
    if isinstance(value, Table):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def _scenario_summary(fit: Fit, one: ScenarioAnswers) -> dict[str, Any]:
    """Return what the first page says of a scenario."""
    compared = []
    for answer in one.answers:
        first = answer.findings[0] if answer.findings else None
        licence = _licence(fit, answer)
        failed = next((f.identified for f in answer.findings if not f.identified.licensed), None)
        compared.append(
            {
                "against": answer.against,
                "sentence": first.sentence if first else "Nothing differs.",
                "finding": None
                if first is None
                else {
                    "quantity": first.quantity.axis,
                    "unit": first.quantity.difference,
                    "period": first.period,
                    "mean": first.mean,
                    "5%": first.low,
                    "95%": first.high,
                    "interval": "90 % equal-tailed",
                    "largest harm not ruled out": first.harm,
                },
                "meaning": answer.licence.meaning,
                "open_paths": [str(path) for path in failed.open_paths] if failed else [],
                "what_would_help": failed.further if failed else "",
                "licence": licence,
            }
        )
    return {
        "scenario": one.name,
        "question": " ".join(one.question.split()),
        "interventions": list(one.interventions),
        "compared": compared,
    }


def _licence(fit: Fit, answer: Answer) -> dict[str, dict[str, str]]:
    """Return the four verdicts; what is said of every outcome alike is said once."""
    licence = answer.licence
    found = {
        name: {
            "status": getattr(licence, name).status,
            "sentence": getattr(licence, name).sentence,
        }
        for name in ("identified", "supported", "converged", "backtested")
    }
    if answer.findings and licence.identified.status == "yes":
        found["identified"]["sentence"] = answer.findings[0].identified.reason
        if len(answer.findings) > 1:
            found["identified"]["sentence"] += " The same holds for its other outcomes."
    if licence.converged.status == "no":
        found["converged"]["sentence"] = convergence_summary(fit)
    return found


def _scenario(futures: Futures | None, one: ScenarioAnswers) -> dict[str, Any]:
    assert futures is not None
    support = futures.support(one.name)
    return {
        "name": one.name,
        "question": " ".join(one.question.split()),
        "interventions": list(one.interventions),
        "sentences": [
            {
                "against": answer.against,
                "sentences": [f.sentence for f in answer.findings] + exchange_sentences(answer),
            }
            for answer in one.answers
        ],
        "differences": differences_table(one),
        "realised": realised_table(futures, one.name),
        "thresholds": thresholds_table(futures, one.name),
        "worse": worse_table(one),
        "support": {"verdict": support.verdict, "sentence": support.sentence},
    }


def _graph(fit: Fit) -> dict[str, Any]:
    twin, graph = fit.twin, fit.twin.graph
    rows = []
    for name, one in twin.indicators.items():
        declared = [(text, cause) for text, cause in one.causes.items()]
        if one.zeros is not None:
            declared += [(f"zeros: {text}", cause) for text, cause in one.zeros.causes.items()]
        for text, cause in declared:
            rows.append((twin.label(name), text, cause.because, cause.evidence))
    causes = Table(
        "Every cause that is drawn, and why",
        ("acts on", "cause", "because", "evidence"),
        tuple(rows),
    )
    from dotwin.graph.assumptions import KINDS

    listed_claims = graph.assumptions()
    claims = [
        {"heading": heading, "sentences": [str(one) for one in listed_claims.of_kind(kind)]}
        for kind, heading in KINDS.items()
        if len(listed_claims.of_kind(kind))
    ]
    return {"causes": causes, "claims": claims}


def _data(fit: Fit) -> dict[str, Any]:
    quality, twin = fit.panel.quality, fit.twin
    table = quality.table.reset_index()
    table["indicator"] = [twin.label(name) for name in table["indicator"]]
    table["unit of measure"] = [twin.indicators[name].unit for name in quality.table.index]
    coverage = quality.coverage.reset_index()
    # A period like the one before says nothing new.
    present = coverage["units present"]
    moving = (present != present.shift()) | (coverage[["entries", "exits", "in a gap"]] > 0).any(
        axis=1
    )
    coverage = coverage[moving]
    reasons, differences = set_aside(fit)
    return {
        "headline": quality.headline,
        "problems": list(quality.problems),
        "sources": list(twin.governance.data_sources),
        "table": from_frame(
            table,
            "What is recorded of each indicator",
            [
                ("indicator", "indicator"),
                ("unit of measure", "unit"),
                ("rows", "rows"),
                ("missing", "missing"),
                ("missing %", "missing, %"),
                ("impossible", "impossible"),
                ("zero %", "zero, %"),
                ("first period", "first"),
                ("last period", "last"),
            ],
        ),
        "coverage": from_frame(
            coverage,
            f"{twin.unit.replace('_', ' ').capitalize()}s present, where that changes",
            [(str(name), str(name)) for name in coverage.columns],
        )
        if len(quality.coverage) > 1
        else None,
        "set_aside": reasons,
        "differences": differences,
    }


def _traits(fit: Fit) -> dict[str, Table]:
    diagnosis, twin = fit.diagnose(), fit.twin
    traits, between = diagnosis.traits.copy(), diagnosis.between.copy()
    for column in ("first", "second"):
        traits[column] = [twin.label(name) for name in traits[column]]
    between["indicator"] = [twin.label(name) for name in between["indicator"]]
    heads = [("mean", "correlation"), ("5%", "5 %"), ("95%", "95 %")]
    return {
        "traits": from_frame(
            traits,
            "Do the effects of the same groups, or the shocks of the same periods, go together?",
            [
                ("of", "effects of"),
                ("first", "of"),
                ("second", "and"),
                ("groups", "groups"),
                *heads,
            ],
            "90 % equal-tailed posterior interval; one in ten misses 0 by chance",
        ),
        "between": from_frame(
            between,
            "The same cause within units over time and between units, per reference sd",
            [
                ("indicator", "indicator"),
                ("cause", "cause"),
                ("within", "within"),
                ("between", "between"),
                ("difference", "difference"),
                ("5%", "5 %"),
                ("95%", "95 %"),
            ],
            "90 % equal-tailed posterior interval of the difference",
        ),
    }


def _backtest(backtest: Backtest | None) -> dict[str, Any]:
    if backtest is None:
        return {"done": False, "sentence": "Not backtested.", "notes": [], "verdicts": None}
    verdicts = [backtest.verdict(name) for name in backtest.indicators]
    scores = backtest.table.copy()
    scores["indicator"] = [backtest.labels[name] for name in scores["indicator"]]
    return {
        "done": True,
        "sentence": backtest.sentence,
        "notes": list(backtest.notes),
        "verdicts": Table(
            "Did past forecasts hold what they promised?",
            ("indicator", "verdict", "80 % intervals held, %", "standard error, %", "cases"),
            tuple(
                (
                    backtest.labels[one.indicator],
                    one.status,
                    100 * one.coverage,
                    100 * one.error,
                    one.cases,
                )
                for one in verdicts
            ),
        ),
        "scores": from_frame(
            scores,
            "Scores beside simpler methods, with standard errors clustered by unit",
            [
                ("indicator", "indicator"),
                ("horizon", f"{backtest.frequency}s ahead"),
                ("method", "method"),
                ("n", "cases"),
                ("log_score", "log score"),
                ("crps", "CRPS"),
                ("crps_se", "its error"),
                ("gain_of_model", "model's gain in log score"),
                ("gain_se", "its error"),
            ],
        ),
    }


def _unknown(fit: Fit, futures: Futures | None) -> list[str]:
    """List what the model does not know, a sentence each."""
    twin, graph = fit.twin, fit.twin.graph
    found = [
        f"{capital(graph.label(name))} is not recorded and moves "
        f"{listed([graph.label(one) for one in hidden.affects])}."
        for name, hidden in twin.hidden_causes.items()
    ]
    found += [str(one) for one in graph.assumptions().of_kind("given")]
    found += [str(one) for one in graph.assumptions().of_kind("missing")]
    found += [str(one) for one in fit.diagnose().notes]
    if futures is not None:
        found += [f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in futures.notes]
    aside = {name: int(d.accounting["rows"].sum()) for name, d in fit.designs.items()}
    for name, rows in aside.items():
        total = rows + fit.designs[name].rows
        if rows and rows > 0.1 * total:
            found.append(
                f"The mechanism of {twin.label(name)} does not use {rows:,} of {total:,} rows."
            )
    found += [one.rstrip(".") + "." for one in twin.governance.limitations]
    return list(dict.fromkeys(found))


def _provenance(fit: Fit, futures: Futures | None) -> dict[str, Any]:
    from importlib.metadata import version

    settings = fit.settings
    return {
        "dotwin": version("dotwin"),
        "panel and twin, SHA-256": fit.panel.digest,
        "draws": settings.draws,
        "chains": settings.chains,
        "seed of the fit": settings.seed,
        "engines": {name: engine for name, (engine, _) in fit.engines.items()},
        "seed of the futures": futures.run.seed if futures is not None else None,
        "simulated data": fit.panel.truth is not None,
    }
