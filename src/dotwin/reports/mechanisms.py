"""Each mechanism in words, as an equation and in numbers; its convergence and its checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.inference.diagnosis import TRUSTED
from dotwin.inference.predictive import PredictiveCheck
from dotwin.mechanisms.equation import Term
from dotwin.mechanisms.words import describe, formula
from dotwin.panel.missing import compare_set_aside
from dotwin.plots.quantity import quantity
from dotwin.reports.table import Table, cell, from_frame
from dotwin.reports.words import capital, listed
from dotwin.spec.expressions import Call, Expr, Ref, parse

if TYPE_CHECKING:
    from dotwin.inference.fit import Fit
    from dotwin.mechanisms.design import Design

__all__ = [
    "check_words",
    "coefficients",
    "convergence_summary",
    "convergence_words",
    "mechanism_section",
    "set_aside",
]

INTERVAL = "90 % equal-tailed posterior interval"
#: A difference in sds between used and unused rows that a reader should know about.
_NOTABLE = 0.25


def _expit(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(-x)))


_INVERSE: dict[str, Callable[[float], float]] = {
    "logit": _expit,
    "log": np.exp,
    "log1p": np.expm1,
    "square": np.sqrt,
    "sqrt": np.square,
}


def mechanism_section(fit: Fit, indicator: str, check: PredictiveCheck | None) -> dict[str, Any]:
    """Gather all that a report says of one mechanism.

    Parameters
    ----------
    fit : Fit
    indicator : str
    check : PredictiveCheck, optional

    Returns
    -------
    dict
        Plain data and `Table` values.
    """
    twin, design = fit.twin, fit.designs[indicator]
    one = twin.indicators[indicator]
    return {
        "name": indicator,
        "label": twin.label(indicator),
        "unit": one.unit,
        "domain": one.domain,
        "description": one.description,
        "words": describe(design.equation, twin),
        "equation": formula(design.equation, twin),
        "rows": design.rows,
        "coefficients": coefficients(fit, indicator),
        "spreads": _spreads(fit, indicator),
        "priors": _priors(fit, indicator),
        "convergence": convergence_words(fit, indicator),
        "check": check_words(fit, check) if check is not None else "",
    }


def coefficients(fit: Fit, indicator: str) -> Table:
    """List a mechanism's coefficients, with what one reference sd of each cause is.

    Parameters
    ----------
    fit : Fit
    indicator : str

    Returns
    -------
    Table
    """
    design = fit.designs[indicator]
    values = fit.draws().values
    rows = []
    for predictor in design.equation.predictors:
        if not predictor.terms:
            continue
        draws = values[f"{predictor.prefix}.causes"]
        part = "" if predictor.role == "mean" else f"{predictor.role}: "
        for k, term in enumerate(predictor.terms):
            low, high = np.quantile(draws[:, k], [0.05, 0.95])
            rows.append(
                (
                    f"{part}{_term_words(fit, term)}",
                    float(draws[:, k].mean()),
                    float(low),
                    float(high),
                    _step(fit, design, term),
                    _consequence(fit, design, predictor.role, term, float(draws[:, k].mean())),
                    str(term.prior),
                    *_reasons(fit, design, predictor.role, term),
                )
            )
    return Table(
        "Coefficients: change of the linear predictor per step of the cause",
        (
            "cause",
            "mean",
            "5 %",
            "95 %",
            "one step is",
            "which means",
            "prior",
            "because",
            "evidence",
        ),
        tuple(rows),
        INTERVAL,
    )


def _term_words(fit: Fit, term: Term) -> str:
    if term.kind == "season":
        return f"season ({term.name})"
    if term.kind == "hidden":
        return f"{fit.twin.graph.label(term.name)} (hidden)"
    unit = fit.twin.unit.replace("_", " ")
    if term.kind == "between":
        return f"{term.name.removeprefix('between: ')}: difference between {unit}s"
    if term.kind == "initial":
        return f"{term.name.removeprefix('initial: ')}: the {unit}'s first value"
    return f"{term.name}: change within a {unit}" if term.within else term.name


def _step(fit: Fit, design: Design, term: Term) -> str:
    """Say what one reference sd of a cause is, in the indicator's own unit."""
    if term.kind == "season":
        return "the height of the yearly wave"
    if term.kind == "trend":
        return f"{cell(design.reference.trend[1])} periods"
    if term.kind == "hidden":
        return "1 sd of what is hidden"
    if term.category:
        return "yes instead of no"
    if len(term.factors) > 1:
        return "one step of each"
    (factor,) = term.factors
    centre, sd = design.reference.factors[str(factor)]
    if term.natural:
        return f"1 on the scale of {factor}"
    place = _place(fit, factor, centre, sd)
    return place or f"{cell(sd)} on the scale of {factor}"


def _place(fit: Fit, factor: Expr, centre: float, sd: float) -> str:
    """Say from where to where a step leads, where the expression can be undone."""
    inverse: Callable[[float], float] = float
    inner = factor
    if isinstance(factor, Call) and factor.function in _INVERSE and len(factor.arguments) == 1:
        inverse, inner = _INVERSE[factor.function], factor.arguments[0]
    match inner:
        case Ref(name=name) if name in fit.twin.indicators:
            shown = quantity(fit.twin, name)
        case Call(function="share", arguments=(Ref(name=name),)):
            shown = quantity(fit.twin, f"share({name})")
        case _:
            return ""
    start, end = (float(inverse(x)) * shown.factor for x in (centre, centre + sd))
    if not (np.isfinite(start) and np.isfinite(end)):
        return ""
    return f"from {cell(start)} to {cell(end)} {shown.unit}".rstrip()


def _consequence(fit: Fit, design: Design, role: str, term: Term, value: float) -> str:
    """Say what a coefficient does to the indicator."""
    if term.natural:
        return "the share of last period's departure that stays" if _own_lag(design, term) else ""
    if role != "mean":
        return f"odds × {cell(float(np.exp(value)))}"
    label = fit.twin.label(design.child)
    match design.equation.family.link:
        case "log":
            return f"{label} × {cell(float(np.exp(value)))}"
        case "logit":
            return f"odds of {label} × {cell(float(np.exp(value)))}"
        case _:
            change = value * design.reference.multiplier
            shown = quantity(fit.twin, design.child)
            return f"{cell(change * shown.factor)} {shown.difference}"


def _own_lag(design: Design, term: Term) -> bool:
    return all(design.child in factor.names() for factor in term.factors)


def _reasons(fit: Fit, design: Design, role: str, term: Term) -> tuple[str, str]:
    one = design.equation.indicator
    declared = one.causes if role == "mean" else (one.zeros.causes if one.zeros else {})
    if term.kind == "cause":
        for text, cause in declared.items():
            if text == term.name or str(parse(text)) == term.name:
                return cause.because, cause.evidence
    if term.kind == "between":
        return "lasting differences are kept apart from changes (Mundlak 1978)", ""
    if term.kind == "initial":
        return "what came before the panel (Wooldridge 2005)", ""
    if term.kind == "hidden":
        return fit.twin.hidden_causes[term.name].because, ""
    return "", ""


def _spreads(fit: Fit, indicator: str) -> Table:
    values = fit.draws().values
    rows = []
    for one in fit.parameters(indicator):
        if one.kind in ("effects", "walk") or one.name.endswith(".causes"):
            continue
        draws = values[one.name].reshape(len(values[one.name]), -1)
        words = list(one.coords[0]) if one.shape else [""]
        for k, word in enumerate(words):
            low, high = np.quantile(draws[:, k], [0.05, 0.95])
            rows.append(
                (
                    one.name.removeprefix(f"{indicator}.") + (f" [{word}]" if word else ""),
                    float(draws[:, k].mean()),
                    float(low),
                    float(high),
                    one.meaning,
                )
            )
    return Table(
        "Everything else that was estimated",
        ("parameter", "mean", "5 %", "95 %", "meaning"),
        tuple(rows),
        INTERVAL,
    )


def _priors(fit: Fit, indicator: str) -> Table:
    frame = fit.twin.priors()
    frame = frame[frame["indicator"] == indicator]
    return from_frame(
        frame,
        "Priors: what was held likely before the data",
        [
            ("parameter", "parameter"),
            ("term", "term"),
            ("prior", "prior"),
            ("of", "of"),
            ("meaning", "meaning"),
        ],
    )


def convergence_words(fit: Fit, indicator: str) -> str:
    """Say whether a mechanism's posterior can be trusted.

    Parameters
    ----------
    fit : Fit
    indicator : str

    Returns
    -------
    str
    """
    component = next(" + ".join(c) for c in fit.components if indicator in c)
    table = fit.diagnose().table
    (row,) = table[table["component"] == component].to_dict("records")
    verdict = str(row["verdict"])
    if verdict == "not sampled":
        return str(row["advice"])
    if component in fit.certificates:
        numbers = (
            f"{fit.certificates[component]}; smallest effective number of draws "
            f"{row['ess_bulk']:,.0f}, 400 at least"
        )
        if verdict == "certified":
            return f"Computed without sampling, and checked ({numbers})."
        return (
            f"The numbers of this mechanism are not to be relied on ({numbers}). "
            f"{capital(str(row['advice']))}"
        )
    numbers = (
        f"worst R-hat {row['rhat']:.3f} (1.01 at most), smallest effective number of draws "
        f"{row['ess_bulk']:,.0f} (400 at least), {int(row['divergent'])} divergent draws"
    )
    if verdict == "converged":
        return f"Converged: independent chains found the same posterior ({numbers})."
    return (
        f"Not converged: the numbers of this mechanism are not to be relied on ({numbers}). "
        f"{capital(str(row['advice']))}"
    )


def convergence_summary(fit: Fit) -> str:
    """Say in a sentence whether the posterior can be trusted.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    str
    """
    diagnosis = fit.diagnose()
    if diagnosis.converged:
        return diagnosis.sentence
    if not fit.settings.tune:
        return "The parameters are stated, not estimated."
    table = diagnosis.table
    bad = table.loc[~table["verdict"].isin(TRUSTED), "component"].tolist()
    named = [fit.twin.label(name) for one in bad for name in str(one).split(" + ")]
    return (
        f"{len(named)} of {len(fit.designs)} mechanisms did not converge, so numbers that rest "
        f"on them are not to be relied on: {listed(named)}."
    )


def check_words(fit: Fit, check: PredictiveCheck) -> str:
    """Say whether a mechanism gives data like those recorded.

    Parameters
    ----------
    fit : Fit
    check : PredictiveCheck

    Returns
    -------
    str
    """
    label = fit.twin.label(check.indicator)
    inside = check.coverage(0.9)
    text = (
        f"{inside:.0%} of recorded values of {label} lie inside their 90 % predictive interval, "
        f"each predicted from all others"
    )
    if check.uniformity < 0.01:
        text += (
            f". The predictions are off (test of calibration: p {_p(check.uniformity)}): the "
            f"figure shows where. Forecasts of {label} are to be read with that in mind"
        )
    else:
        text += f"; nothing speaks against the calibration (p {_p(check.uniformity)})"
    if check.doubtful:
        text += (
            f". For {check.doubtful:,} of {check.observed.size:,} values the prediction from all "
            f"others is uncertain"
        )
    return f"{text}."


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"= {value:.2g}"


def set_aside(fit: Fit) -> tuple[Table, Table]:
    """Account for the rows that mechanisms did not use, and how they differ.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    reasons, differences : Table
    """
    reasons: list[tuple[Any, ...]] = []
    differences: list[tuple[Any, ...]] = []
    for name, design in fit.designs.items():
        label = fit.twin.label(name)
        for row in design.accounting.to_dict("records"):
            reasons.append((label, design.rows, row["reason"], int(row["rows"])))
        compared = compare_set_aside(fit.panel, design.used)
        gap = compared["difference in sds"].abs()
        compared = compared[(gap >= _NOTABLE) & np.isfinite(gap)].reset_index()
        for row in compared.to_dict("records"):
            shown = str(row["indicator"])
            if shown in fit.twin.indicators:
                shown = fit.twin.label(shown)
            differences.append(
                (
                    label,
                    shown,
                    float(row["mean used"]),
                    float(row["mean set aside"]),
                    float(row["difference in sds"]),
                )
            )
    return (
        Table(
            "Rows set aside by each mechanism, by reason",
            ("mechanism of", "rows used", "reason", "rows set aside"),
            tuple(reasons),
        ),
        Table(
            f"How the rows set aside differ from those used, where by {_NOTABLE:g} sds or more",
            ("mechanism of", "indicator", "mean, used", "mean, set aside", "difference in sds"),
            tuple(differences),
        ),
    )
