"""Write `docs/specification.md` from the classes that read a specification.

Run it after a change: python docs/specification_reference.py
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAliasType, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from dotwin.spec import (
    Assigned,
    Cause,
    Exposure,
    Governance,
    HiddenCause,
    Indicator,
    PanelLayout,
    PeriodLayout,
    Prior,
    Scenario,
    Season,
    Threshold,
    Twin,
    Zeros,
    at_least,
    at_most,
    block,
    do,
    policy,
    redeploy,
    scale,
    shift,
)
from dotwin.spec.declarations import DISPERSION, LINKS
from dotwin.spec.interventions import VERBS, Intervention
from dotwin.spec.prior import PRIORS
from dotwin.spec.support import SUPPORTS
from dotwin.spec.tree import ACROSS, FUNCTIONS

PAGE = Path(__file__).with_name("specification.md")

#: Section title -> the class that it is about.
SECTIONS: dict[str, type[BaseModel]] = {
    "The twin": Twin,
    "The panel": PanelLayout,
    "The period": PeriodLayout,
    "An indicator": Indicator,
    "A cause": Cause,
    "A season": Season,
    "Zeros": Zeros,
    "Assignment": Assigned,
    "A hidden cause": HiddenCause,
    "A threshold": Threshold,
    "An exposure matrix": Exposure,
    "A scenario": Scenario,
    "Governance": Governance,
}

#: What a function of the language gives.
MEANINGS = {
    "log": ("log(x)", "the natural logarithm"),
    "log1p": ("log1p(x)", "log(1 + x), which is defined at 0"),
    "logit": ("logit(p)", "log(p / (1 − p)); of a share of trials, log((y + ½) / (n − y + ½))"),
    "sqrt": ("sqrt(x)", "the square root"),
    "square": ("square(x)", "x times x"),
    "exp": ("exp(x)", "e to the power x"),
    "min": ("min(x, y, …)", "the smallest"),
    "max": ("max(x, y, …)", "the largest"),
    "hinge": ("hinge(x, at)", "0 up to `at`, then x − at"),
    "saturating": (
        "saturating(x, half)",
        "x / (x + half): half of the effect is reached at `half`",
    ),
    "share": ("share(x)", "the share of trials of an indicator that has them"),
    "start": ("start(x)", "the value when the intervention begins; in `where` and rules only"),
    "mean": (
        "mean(x, over=region)",
        "the mean over the units of each unit's group, or weighted over those that an exposure "
        "matrix names; `others=True` leaves the unit itself out",
    ),
    "sum": ("sum(x, over=region)", "the sum over them"),
}


def words(annotation: Any) -> str:
    """Say in words what a field accepts."""
    if isinstance(annotation, TypeAliasType):
        named = {"Number": "number", "Whole": "whole number", "Amount": "number or distribution"}
        return named.get(annotation.__name__) or words(annotation.__value__)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return words(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(words(one) for one in arguments if one is not type(None))
    if origin is tuple:
        if Ellipsis in arguments:
            return f"list of {words(arguments[0])}"
        if len(arguments) > 2:
            return f"[{', '.join(words(one) for one in arguments)}]"
        return "[low, high]"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"map from name to {words(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        titles = {model: title for title, model in SECTIONS.items()}
        title = titles.get(annotation)
        if title is None:
            return "intervention"
        anchor = title.lower().replace(" ", "-")
        return f"[{title.lower()}](#{anchor})"
    return {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}.get(
        annotation, "distribution" if annotation is Prior else str(annotation)
    )


def meanings(model: type[BaseModel]) -> dict[str, tuple[str, str]]:
    """Read type and meaning of each field from a numpydoc section of parameters."""
    text = inspect.getdoc(model) or ""
    section = re.search(r"Parameters\n-+\n(.*?)(?=\n\n\w+\n-+|\Z)", text, re.S)
    found: dict[str, tuple[str, str]] = {}
    for entry in re.split(r"\n(?=\S)", section.group(1).strip() if section else ""):
        head, _, body = entry.partition("\n")
        name, _, kind = head.partition(" : ")
        found[name] = (kind, " ".join(body.split()).replace("``", "`"))
    return found


def default(value: Any) -> str:
    """Write a field's default."""
    if value is PydanticUndefined:
        return "required"
    if value is None or value == "" or (not value and not isinstance(value, bool)):
        return ""
    if isinstance(value, BaseModel):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table(model: type[BaseModel]) -> list[str]:
    """Write a class's fields as a table."""
    said = meanings(model)
    rows = ["| field | accepts | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if model is Scenario and name == "name":
            continue  # its key says it
        shown = field.alias or name
        kind, meaning = said[shown]
        accepts = words(field.annotation)
        for special in ("expression", "condition"):
            if kind.startswith(special):
                accepts = f"[{special}](#expressions)"
        accepts = accepts.replace(
            "map from name to [a cause]", "map from [expression](#expressions) to [a cause]"
        )
        rows.append(f"| `{shown}` | {accepts} | {default(field.default)} | {meaning} |")
    return rows


def summary(thing: Any) -> str:
    """Take the first line of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n")[0].replace("``", "`")


def paragraphs(thing: Any) -> str:
    """Take what a docstring says between its first line and its first section."""
    body = (inspect.getdoc(thing) or "").partition("\n")[2]
    text = re.split(r"\n\n\w+\n-+", body)[0].replace("``", "`").replace(" [1]_", "")
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def page() -> str:
    """Write the whole page."""
    lines = [
        "# The specification",
        "",
        "A twin is a YAML 1.2 file, or the same fields in Python. Only what is required has to be "
        "written; what is misspelt is an error that names the nearest field, and "
        "`dotwin check` lists every problem with its line. This page is written from the classes "
        "that read the file.",
        "",
    ]
    for title, model in SECTIONS.items():
        lines += [f"## {title}", "", summary(model), "", *table(model), ""]
    lines += [
        "## Interventions",
        "",
        "Written as calls, in a scenario's list: `shift(vacancy_rate, -0.02, start=3, over=4, "
        "where='acuity > 2')`.",
        "",
        "| verb | what it does |",
        "|---|---|",
    ]
    arguments = {
        "policy": "indicator, 'rule'",
        "block": "cause, effect",
        "redeploy": "indicator, 'rule', within=level, share=0.1",
    }
    for verb in (do, shift, scale, at_least, at_most, policy, block, redeploy):
        meaning = re.sub(r" See `Intervention`( for the options)?\.", "", summary(verb))
        said_as = arguments.get(verb.__name__, "indicator, value")
        lines.append(f"| `{verb.__name__}({said_as})` | {meaning} |")
    lines += [
        "",
        "A value may be a distribution, such as `shift(vacancy_rate, normal(-0.02, 0.01))`: ",
    ]
    lines[-1] += (
        "it is drawn once per posterior draw, and alike in all scenarios that say the same change."
    )
    for verb in (policy, block, redeploy):
        lines += ["", f"`{verb.__name__}`: {paragraphs(verb)}"]
    said = meanings(Intervention)
    lines += ["", "| option | of | meaning |", "|---|---|---|"]
    for name in dict.fromkeys(option for options in VERBS.values() for option in options):
        takes = [verb for verb, options in VERBS.items() if name in options]
        of = "all" if len(takes) == len(VERBS) else ", ".join(f"`{verb}`" for verb in takes)
        meaning = said["share, amount" if name in ("share", "amount") else name][1]
        lines.append(f"| `{name}` | {of} | {meaning} |")
    lines += [
        "",
        "## Expressions",
        "",
        "One small language serves causes, `equals`, `exposure`, `when`, `where`, `of` and "
        "probabilities: indicators by name, `x[-1]` for the period before, `+ - * /`, comparisons, "
        "`and or not`, quoted categories, and these functions. It is parsed with a list of what is "
        "accepted and never run as code. `a * b` as a cause is an interaction: both must be causes "
        "too. Inside `{…}` and `[…]` an expression with a lag stands in quotes.",
        "",
        "| function | value |",
        "|---|---|",
    ]
    assert set(MEANINGS) == {*FUNCTIONS, *ACROSS, "start"}
    lines += [f"| `{form}` | {meaning} |" for form, meaning in MEANINGS.values()]
    lines += ["", "## Distributions", "", "| name | numbers |", "|---|---|"]
    lines += [f"| `{name}` | {', '.join(numbers)} |" for name, numbers in PRIORS.items()]
    lines += [
        "",
        "## Families",
        "",
        "| family | values | links | parameters beside the causes' |",
        "|---|---|---|---|",
    ]
    for name, links in LINKS.items():
        values = "the categories" if name == "ordinal" else SUPPORTS[name].describe()
        parameters = ", ".join(f"`{one}`" for one in DISPERSION.get(name, ()))
        if name == "ordinal":
            parameters = "`cutpoints`"
        lines.append(f"| `{name}` | {values} | {', '.join(links)} | {parameters} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
