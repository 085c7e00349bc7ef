"""The printer: mechanisms as equations and in words, and every prior with its meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dotwin.mechanisms.columns import Reference
from dotwin.mechanisms.equation import Equation, Predictor, Structure, equation
from dotwin.mechanisms.links import get_link
from dotwin.mechanisms.parameters import parameters
from dotwin.spec.twin import Twin

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["describe", "equations", "formula", "priors"]


def formula(eq: Equation, twin: Twin) -> str:
    """Write a mechanism as an equation.

    Parameters
    ----------
    eq : Equation
    twin : Twin

    Returns
    -------
    str
        One line per linear predictor.
    """
    lines = [f"{eq.child} ~ {eq.family.title}{_arguments(eq)}"]
    for predictor in eq.predictors:
        lines.append(f"  {_left(eq, predictor)} = {_right(eq, predictor, twin)}")
    one = eq.indicator
    if one.when is not None:
        lines.append(f"  where {one.when}; elsewhere {eq.child} = {one.otherwise:g}")
    return "\n".join(lines)


def _arguments(eq: Equation) -> str:
    parts = ["expected value"]
    if eq.indicator.trials:
        parts = [f"{eq.indicator.trials} trials", "probability"]
    parts += [parameter.name for parameter in eq.family.dispersion]
    if eq.indicator.at_least:
        parts.append(f"at least {eq.indicator.at_least}")
    return f"({', '.join(parts)})"


def _left(eq: Equation, predictor: Predictor) -> str:
    if predictor.role == "zeros":
        return "logit P(a zero of its own)"
    if predictor.role != "mean":
        return f"log odds of exactly {predictor.role.removeprefix('end')}"
    name = "probability" if eq.indicator.trials else f"expected {eq.child}"
    if eq.indicator.family == "ordinal":
        return "logit P(above each cutpoint)"
    return {"identity": name, "log": f"log({name})", "logit": f"logit({name})"}[eq.family.link]


def _right(eq: Equation, predictor: Predictor, twin: Twin) -> str:
    parts = ["cutpoints" if eq.indicator.family == "ordinal" else "intercept"]
    if predictor.role == "mean" and eq.indicator.exposure:
        parts.append(f"log({eq.indicator.exposure})")
    for term in predictor.terms:
        name = f"within-{twin.unit} {term.name}" if term.within else term.name
        slope = f" (slope varies by {', '.join(term.varying)})" if term.varying else ""
        parts.append(f"b·[{name}]{slope}")
    parts += [f"effect of the {level}" for level in predictor.levels]
    if predictor.period:
        parts.append("shock of the period")
    if predictor.walk:
        parts.append("drifting level")
    return " + ".join(parts)


def describe(eq: Equation, twin: Twin) -> str:
    """Say in a sentence or two how an indicator comes about.

    Parameters
    ----------
    eq : Equation
    twin : Twin

    Returns
    -------
    str
    """
    one = eq.indicator
    label = twin.label(eq.child)
    causes = [f"{text}{f' ({c.because})' if c.because else ''}" for text, c in one.causes.items()]
    kind = eq.family.title
    text = f"{label[:1].upper()}{label[1:]} follows a {kind} distribution"
    text += f" given {'; '.join(causes)}." if causes else " without recorded causes."
    if eq.factors:
        hidden = [
            twin.hidden_causes[one.name].label or one.name.replace("_", " ") for one in eq.factors
        ]
        text += f" What no column records moves it too: {', '.join(hidden)}."
    pooled = [level for level in one.pooling if level != "period"]
    if pooled:
        text += f" Each {' and each '.join(pooled)} has a level of its own, drawn to the common one"
        text += " as far as its data are few."
    if "period" in one.pooling:
        text += " In each period a shock moves all units together."
    if one.zeros is not None:
        text += " Zeros beyond those have an equation of their own."
    if one.when is not None:
        text += f" This holds where {one.when}; elsewhere it is {one.otherwise:g}."
    return text


def equations(twin: Twin) -> str:
    """Print every mechanism of a twin as an equation and in words.

    Parameters
    ----------
    twin : Twin

    Returns
    -------
    str
    """
    blocks = []
    for name, one in twin.indicators.items():
        if one.equals is not None:
            blocks.append(f"{name} = {one.equals}\n  exactly, by accounting")
        elif one.is_stochastic:
            eq = equation(twin, name)
            blocks.append(f"{formula(eq, twin)}\n  {describe(eq, twin)}")
    return "\n\n".join(blocks)


def priors(twin: Twin) -> pd.DataFrame:
    """List every prior of a twin with its meaning.

    Parameters
    ----------
    twin : Twin

    Returns
    -------
    DataFrame
        Columns indicator, parameter, term, prior, of (the quantity it describes), meaning; a row
        per parameter or term.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for name in twin.stochastic:
        eq = equation(twin, name, _all_varying(twin))
        groups = dict.fromkeys(twin.panel.all_levels, ("…",))
        for one in parameters(eq, _reference(eq), groups, ("…",)):
            if one.kind in ("effects", "walk", "factor"):
                continue
            terms = one.coords[0] if one.coords and len(one.priors) > 1 else ("",)
            prior_of = one.transform.prior_on if one.transform else "itself"
            for term, prior in zip(terms, one.priors, strict=True):
                rows.append(
                    {
                        "indicator": name,
                        "parameter": one.name,
                        "term": term,
                        "prior": str(prior),
                        "of": prior_of,
                        "meaning": one.meaning,
                    }
                )
    return pd.DataFrame(rows)


def _all_varying(twin: Twin) -> Structure:
    categories = {name: one.categories for name, one in twin.indicators.items() if one.categories}
    varying = frozenset(twin.indicators) if twin.panel.period is not None else frozenset()
    return Structure(varying, categories)


def _reference(eq: Equation) -> Reference:
    """Centre and scale that the plausible range alone gives; 0 and 1 where there is none."""
    one = eq.indicator
    link = get_link(eq.family.link)
    if one.plausible is None:
        return Reference()
    low, high = (float(v) for v in link.forward([p / (one.out_of or 1.0) for p in one.plausible]))
    child = (0.5 * (low + high), (high - low) / 3.29)
    return Reference({}, child, (0.0, 1.0), child[1] if eq.family.link == "identity" else 1.0)
