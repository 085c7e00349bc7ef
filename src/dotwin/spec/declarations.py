"""What an indicator declares: which fields go together, and which values they can have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from dotwin.errors import Problem, nearest
from dotwin.spec.prior import Prior
from dotwin.spec.support import Support, support_of
from dotwin.spec.twin import Cause, Indicator, Twin

__all__ = ["DISPERSION", "LINKS", "is_positive", "problems_of_declaration"]

_TRIALS = ("binomial", "beta_binomial")
_COUNTS = ("poisson", "negative_binomial", *_TRIALS)
_POSITIVE = ("lognormal", "gamma")
_REAL = ("normal", "student_t")

#: Field -> the families that it has a meaning for.
_FITS: dict[str, tuple[str, ...]] = {
    "trials": _TRIALS,
    "exposure": ("poisson", "negative_binomial"),
    "at_least": (*_COUNTS, *_REAL, *_POSITIVE, "beta"),
    "ends": ("beta",),
    "out_of": ("beta",),
    "categories": ("ordinal",),
}
_ZEROS = {"inflated": _COUNTS, "hurdle": (*_COUNTS, *_POSITIVE)}
#: Family -> the links that it can have, its default first.
LINKS: dict[str, tuple[str, ...]] = {
    "normal": ("identity", "log"),
    "student_t": ("identity",),
    **dict.fromkeys(("lognormal", "gamma", "poisson", "negative_binomial"), ("log",)),
    **dict.fromkeys(("beta", "bernoulli", "binomial", "beta_binomial", "ordinal"), ("logit",)),
}
#: Family -> its parameters beside the linear predictor; the others have none.
DISPERSION: dict[str, tuple[str, ...]] = {
    "normal": ("residual_sd",),
    "student_t": ("residual_sd", "nu"),
    "lognormal": ("residual_sd",),
    **dict.fromkeys(("gamma", "beta", "beta_binomial", "negative_binomial"), ("dispersion",)),
}

#: Fields that only a mechanism with noise has, only accounting has, and only a given has.
_OF_MECHANISM = (
    "causes",
    "link",
    "exposure",
    "pooling",
    "season",
    "trend",
    "zeros",
    "at_least",
    "ends",
    "when",
    "otherwise",
    "priors",
)
_OF_EQUALS = ("start", "residual")
_OF_GIVEN = ("simulated_as", "hold", "unconfounded")

#: Period -> the cycles, in periods, after which a calendar repeats.
_CYCLES: dict[str, tuple[int, ...]] = {
    "day": (7, 365),
    "week": (52,),
    "month": (12, 6, 4, 3),
    "quarter": (4, 2),
    "year": (),
}
_HOLD = re.compile(r"last|seasonal|mean\([1-9]\d*\)")
_POSITIVE_PRIORS = ("half_normal", "half_student_t", "exponential", "gamma", "lognormal", "beta")

type _Said = Iterator[tuple[tuple[str | int, ...], str]]


def problems_of_declaration(twin: Twin, name: str) -> list[Problem]:
    """List what an indicator declares that cannot be so.

    Parameters
    ----------
    twin : Twin
    name : str

    Returns
    -------
    list of Problem
    """
    one = twin.indicators[name]
    checks = (_kind, _family, _special, _values, _references, _levels, _calendar, _priors, _future)
    return [
        Problem.at(("indicators", name, *path), what)
        for check in checks
        for path, what in check(twin, name, one)
    ]


def _declared(one: Indicator, field: str) -> bool:
    return bool(getattr(one, field) != type(one).model_fields[field].default)


def _kind(twin: Twin, name: str, one: Indicator) -> _Said:
    if one.family is not None and one.equals is not None:
        yield ("equals",), "an indicator has a family or equals, not both; equals has no noise."
    if one.family is None:
        for field in filter(lambda field: _declared(one, field), _OF_MECHANISM):
            if one.equals is not None:
                yield (field,), f"'{field}' belongs to a family; what equals others has no noise."
            elif field == "causes":
                yield (
                    (field,),
                    "causes without a family: say how the indicator varies around them (family), "
                    "or leave them out and it is given.",
                )
            else:
                yield (field,), f"'{field}' belongs to a mechanism; give the indicator a family."
    if one.equals is None:
        for field in filter(lambda field: _declared(one, field), _OF_EQUALS):
            yield (field,), f"'{field}' belongs to equals, and this indicator has none."
    if not one.is_given:
        for field in filter(lambda field: _declared(one, field), _OF_GIVEN):
            yield (field,), f"'{field}' belongs to a given, and this indicator has a mechanism."
    if one.equals is not None:
        yield from _accounting(name, one)


def _accounting(name: str, one: Indicator) -> _Said:
    own_past = re.search(rf"\b{re.escape(name)}\s*\[", one.equals or "")
    if own_past and one.column is None and one.start is None:
        yield (
            ("equals",),
            f"reads {name}[-1], so it needs a first value: give start, or the column that records "
            "it.",
        )
    if one.residual == "keep" and one.column is None:
        yield ("residual",), "'keep' needs the column whose differences from equals it keeps."
    if one.assigned is not None:
        yield ("assigned",), "what equals others cannot be assigned; mark its parts instead."


def _family(twin: Twin, name: str, one: Indicator) -> _Said:
    if one.family is None:
        return
    if one.family in _TRIALS and one.trials is None:
        yield (
            ("trials",),
            f"is missing: {one.family} counts events out of trials; name the indicator that counts "
            "the trials.",
        )
    if one.family == "ordinal" and len(one.categories) < 2:
        yield ("categories",), "is missing: ordinal needs its categories, lowest first."
    for field, families in _FITS.items():
        if _declared(one, field) and one.family not in families:
            yield (
                (field,),
                f"'{field}' has no meaning for {one.family}; it belongs to {', '.join(families)}.",
            )
    if one.link is not None and one.link not in LINKS[one.family]:
        accepted = " or ".join(LINKS[one.family])
        yield ("link",), f"{one.family} has the link {accepted}, not {one.link}."
    if one.zeros is not None and one.family not in _ZEROS[one.zeros.kind]:
        accepted = ", ".join(_ZEROS[one.zeros.kind])
        hint = " A beta has ends: [0] instead." if one.family == "beta" else ""
        yield (
            ("zeros",),
            f"'{one.zeros.kind}' has no meaning for {one.family}; it belongs to {accepted}.{hint}",
        )


def _special(twin: Twin, name: str, one: Indicator) -> _Said:
    accepted = {0.0, 1.0} if one.out_of is None else {0.0, 1.0, one.out_of}
    if one.ends and (len(set(one.ends)) < len(one.ends) or not set(one.ends) <= accepted):
        top = 1 if one.out_of is None else one.out_of
        yield ("ends",), f"ends are [0], [{top:g}] or [0, {top:g}], each once."
    if one.at_least is not None and one.ends:
        yield ("at_least",), "at_least and ends do not go together."
    if one.at_least is not None and one.zeros is not None and one.zeros.kind == "inflated":
        yield (
            ("zeros",),
            "'inflated' adds zeros that at_least excludes; write 'hurdle' (zero, or at least the "
            "bound).",
        )
    if one.when is not None and one.otherwise is None:
        yield ("when",), "needs otherwise: the value where the condition does not hold, such as 0."
    if one.otherwise is not None and one.when is None:
        yield ("otherwise",), "needs when: the condition under which the mechanism holds."
    if one.reference is not None and one.reference not in one.categories:
        hint = nearest(one.reference, one.categories) if one.categories else "Declare categories."
        yield ("reference",), f"'{one.reference}' is none of the categories. {hint}"
    for category in sorted({c for c in one.categories if one.categories.count(c) > 1}):
        yield ("categories",), f"'{category}' stands twice."


def _values(twin: Twin, name: str, one: Indicator) -> _Said:
    if one.plausible is None:
        return
    low, high = one.plausible
    if not low < high:
        yield (
            ("plausible",),
            f"the low end comes first: [{high:g}, {low:g}]."
            if high < low
            else (f"both ends are {low:g}; 90 % of real values lie between a low and a high end."),
        )
    elif one.trials is not None or one.family == "bernoulli":
        if low < 0 or high > 1:
            of = f"the share {name} / {one.trials}" if one.trials else "the probability of a 1"
            yield ("plausible",), f"means {of}, which lies between 0 and 1."
    else:
        # A range reaches between whole numbers, so only the ends count.
        support = support_of(one)
        ends = Support(support.low, support.high, support.closed_low, support.closed_high)
        if not ends.contains([low, high]).all():
            yield (
                ("plausible",),
                f"[{low:g}, {high:g}] reaches outside what {one.family or 'out_of'} can take: "
                f"{ends.describe()}.",
            )


def _references(twin: Twin, name: str, one: Indicator) -> _Said:
    for field in ("trials", "at_least", "weight"):
        other = getattr(one, field)
        if other is None or (field == "at_least" and one.floor is not None):
            continue
        if other not in twin.indicators:
            yield (field,), f"there is no indicator '{other}'. {nearest(other, twin.indicators)}"
        elif other == name:
            yield (field,), f"'{name}' cannot be its own {field.replace('_', ' ')}."
        elif twin.indicators[other].categories:
            yield (field,), f"'{other}' holds categories, not numbers."


def _levels(twin: Twin, name: str, one: Indicator) -> _Said:
    levels = twin.panel.all_levels
    if one.level is not None and one.level not in levels:
        yield ("level",), f"there is no level '{one.level}'. {nearest(one.level, levels)}"
    own = one.level if one.level in levels else twin.unit
    groups = levels[: levels.index(own) + 1]
    equations: list[tuple[tuple[str, ...], tuple[str, ...], bool]] = [((), one.pooling, True)]
    if one.zeros is not None:
        equations.append((("zeros",), one.zeros.pooling, False))
    for path, pooling, is_main in equations:
        for level in pooling:
            if what := _group(twin, level, own, (*groups, "period")):
                yield (*path, "pooling"), what
        for level in sorted({level for level in pooling if pooling.count(level) > 1}):
            yield (*path, "pooling"), f"'{level}' stands twice."
        seen_once = is_main and twin.panel.period is None and own in pooling and own == twin.unit
        if seen_once and one.family in DISPERSION:
            yield (
                ("pooling",),
                f"in a cross-section each {own} is seen once, so its own effect cannot be told "
                f"from the scatter that {one.family} has; leave '{own}' out.",
            )
    for place, text, cause in _causes(one):
        for level in cause.varying:
            if level == "period":
                yield (*place, text, "varying"), "a slope varies by levels, not by period."
            elif what := _group(twin, level, own, groups):
                yield (*place, text, "varying"), what
            elif twin.panel.period is None and level == twin.unit:
                yield (
                    (*place, text, "varying"),
                    f"in a cross-section each {twin.unit} is seen once; a slope cannot vary by it.",
                )


def _group(twin: Twin, level: str, own: str, accepted: tuple[str, ...]) -> str | None:
    if level == "period" and twin.panel.period is None:
        return "a cross-section has one period, so 'period' cannot be pooled."
    if level in accepted:
        return None
    if level in twin.panel.all_levels:
        return f"is recorded by {own}, so it cannot differ by {level}, which lies within."
    return f"there is no level '{level}'. {nearest(level, accepted)}"


def _causes(one: Indicator) -> Iterator[tuple[tuple[str, ...], str, Cause]]:
    for text, cause in one.causes.items():
        yield ("causes",), text, cause
    if one.zeros is not None:
        for text, cause in one.zeros.causes.items():
            yield ("zeros", "causes"), text, cause


def _calendar(twin: Twin, name: str, one: Indicator) -> _Said:
    if twin.panel.period is None:
        for field in ("season", "trend"):
            if _declared(one, field):
                yield (field,), f"a cross-section has one period, so it has no {field}."
        return
    if one.season is None:
        return
    frequency = twin.panel.period.frequency
    cycles = _CYCLES[frequency]
    if not cycles:
        yield ("season",), "a year's season cannot be seen in yearly periods."
    elif one.season.cycle not in cycles:
        accepted = ", ".join(map(str, cycles))
        yield (
            ("season", "cycle"),
            f"the calendar does not repeat after {one.season.cycle} {frequency}s. Accepted: "
            f"{accepted}.",
        )
    if 2 * one.season.harmonics > one.season.cycle:
        yield (
            ("season", "harmonics"),
            f"a cycle of {one.season.cycle} periods has at most {one.season.cycle // 2} harmonics.",
        )


def _priors(twin: Twin, name: str, one: Indicator) -> _Said:
    if one.family is None:
        return
    free, scales = _parameters(twin, one)
    yield from _named_priors(twin, ("priors",), one.pooling, one.priors, free, scales)
    if one.zeros is not None:
        zeros = one.zeros
        scales = (*zeros.pooling, *_slopes(zeros.causes.values()))
        free = ("intercept", *_unit_terms(twin, zeros.pooling))
        yield from _named_priors(
            twin, ("zeros", "priors"), zeros.pooling, zeros.priors, free, scales
        )


def _parameters(twin: Twin, one: Indicator) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name a mechanism's parameters that are free of sign, and those that are spreads."""
    free = ["cutpoints" if one.family == "ordinal" else "intercept"]
    free += ["season"] if one.season is not None else []
    free += ["trend"] if one.trend == "linear" else []
    free += _unit_terms(twin, one.pooling)
    scales = [*one.pooling, *_slopes(one.causes.values())]
    scales += ["walk"] if one.trend == "walk" else []
    scales += DISPERSION.get(one.family or "", ())
    return tuple(free), tuple(scales)


def _unit_terms(twin: Twin, pooling: tuple[str, ...]) -> list[str]:
    in_panel = twin.panel.period is not None and twin.unit in pooling
    return ["between", "initial"] if in_panel else []


def _slopes(causes: Iterable[Cause]) -> list[str]:
    levels = dict.fromkeys(level for cause in causes for level in cause.varying)
    return [f"slope_{level}" for level in levels]


def _named_priors(
    twin: Twin,
    path: tuple[str, ...],
    pooling: tuple[str, ...],
    priors: Mapping[str, Prior],
    free: tuple[str, ...],
    scales: tuple[str, ...],
) -> _Said:
    for name, prior in priors.items():
        if name in (*twin.panel.all_levels, "period") and name not in pooling:
            yield (*path, name), f"pooling does not name '{name}', so it has no spread."
        elif name not in (*free, *scales):
            hint = nearest(name, (*free, *scales))
            yield (*path, name), f"there is no parameter '{name}' here. {hint}"
        elif name in scales and not is_positive(prior):
            yield (
                (*path, name),
                f"'{prior}' allows values below 0, and {name} is a spread; write half_normal(0.5) "
                f"or another of {', '.join(_POSITIVE_PRIORS)}.",
            )


def is_positive(prior: Prior) -> bool:
    """Whether a prior leaves no room for values below 0."""
    if prior.distribution == "uniform":
        return prior.arguments[0] >= 0
    return prior.distribution in _POSITIVE_PRIORS


def _future(twin: Twin, name: str, one: Indicator) -> _Said:
    if not _HOLD.fullmatch(one.hold):
        yield ("hold",), f"'{one.hold}' is not accepted. Write last, mean(4) or seasonal."
    if one.simulated_as is not None and one.categories:
        yield ("simulated_as",), "an indicator with categories cannot be drawn from numbers."
