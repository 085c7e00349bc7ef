"""The structural equation of one indicator: which terms it has, on which scale, with which priors.

An `Equation` holds no data. It is built from the twin and from the `Structure` of a panel (which
indicators vary within a unit, which categories occur), and every interpreter reads it: inference,
simulation and the printer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from dotwin.errors import SpecificationError, nearest
from dotwin.graph.twin_graph import TwinGraph
from dotwin.mechanisms.families import Family, build_family, get_family
from dotwin.spec.expressions import Arithmetic, Call, Compare, Expr, Ref, Text, parse
from dotwin.spec.prior import Prior
from dotwin.spec.twin import Cause, Indicator, Twin, Zeros

if TYPE_CHECKING:
    from dotwin.panel import Panel

__all__ = [
    "DEFAULT_PRIORS",
    "Equation",
    "Factor",
    "Predictor",
    "Structure",
    "Term",
    "equation",
    "structure_of",
]

TermKind = Literal["cause", "between", "initial", "season", "trend", "hidden"]

#: Defaults on the link scale; for identity links they are in reference sds of the indicator.
DEFAULT_PRIORS: dict[str, Prior] = {
    "intercept_sd": Prior("half_normal", (1.5,)),
    "causes": Prior("normal", (0.0, 0.5)),
    "persistence": Prior("normal", (0.5, 0.25)),
    "between": Prior("normal", (0.0, 0.5)),
    "initial": Prior("normal", (0.0, 0.5)),
    "season": Prior("normal", (0.0, 0.5)),
    "trend": Prior("normal", (0.0, 0.5)),
    "loading": Prior("normal", (0.0, 0.5)),
    # The first indicator that a hidden cause affects fixes its sign.
    "first_loading": Prior("half_normal", (0.5,)),
    "group": Prior("half_normal", (0.5,)),
    "period": Prior("half_normal", (0.25,)),
    "slope": Prior("half_normal", (0.25,)),
    "walk": Prior("half_normal", (0.1,)),
    "zeros.intercept": Prior("normal", (-2.0, 1.5)),
    "ends.intercept": Prior("normal", (-3.0, 1.5)),
    "cutpoints": Prior("normal", (0.0, 3.0)),
    # A prior on 1/sqrt(dispersion): 0 is the family without extra spread.
    "dispersion": Prior("half_normal", (1.0,)),
    "residual_sd": Prior("half_normal", (1.0,)),
    # A prior on nu - 2, so that the variance is finite (Juarez and Steel 2010,
    # doi 10.1198/jbes.2009.07145).
    "nu": Prior("gamma", (2.0, 0.1)),
}


@dataclass(frozen=True)
class Structure:
    """What a panel shows about the form of an equation, kept with the fit and reused.

    Parameters
    ----------
    varying : frozenset of str
        Indicators that change within a unit.
    categories : dict of str to tuple of str
        The categories of text and ordinal indicators, the reference first.
    """

    varying: frozenset[str]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Term:
    """One column of a linear predictor.

    Its value is ``multiplier * product((expression - centre) / scale)`` over its factors, less the
    unit's mean of that product when ``within``; or, for ``between`` and ``initial`` terms, the
    unit's mean or first value of it. The column of a ``hidden`` term is a hidden cause, whose
    values are unknown.

    Parameters
    ----------
    name : str
        Its coordinate in the posterior.
    kind : {'cause', 'between', 'initial', 'season', 'trend', 'hidden'}
    factors : tuple of Expr
        One, or two for an interaction.
    prior : Prior
    natural : bool
        In raw units: neither scaled nor multiplied.
    category : bool
        A yes/no column: neither centred nor scaled.
    within : bool
        Whether the unit's mean is taken off.
    varying : tuple of str
        Levels by whose groups its slope varies.
    harmonic : int
        For a season: +k for the k-th sine, -k for the k-th cosine.
    """

    name: str
    kind: TermKind
    factors: tuple[Expr, ...]
    prior: Prior
    natural: bool = False
    category: bool = False
    within: bool = False
    varying: tuple[str, ...] = ()
    harmonic: int = 0

    @property
    def is_unit_constant(self) -> bool:
        """Whether it is one number per unit."""
        return self.kind in ("between", "initial")


@dataclass(frozen=True)
class Factor:
    """A hidden cause that is fitted.

    Parameters
    ----------
    name : str
    level : str
        A level, the unit, or 'period'.
    over : {'constant', 'period'}
        Whether a group keeps its value or has one in each period.
    """

    name: str
    level: str
    over: Literal["constant", "period"]

    @property
    def dims(self) -> tuple[str, ...]:
        """The dims of its values."""
        if self.level == "period":
            return ("period",)
        return (self.level, "period") if self.over == "period" else (self.level,)


@dataclass(frozen=True)
class Predictor:
    """One linear predictor: the main one, or that of zeros or of an end.

    Parameters
    ----------
    prefix : str
        Of its parameters' names: ``y`` or ``y.zeros``, ``y.end0``, ``y.end1``.
    role : {'mean', 'zeros', 'end0', 'end1'}
    terms : tuple of Term
    levels : tuple of str
        Pooled levels, the unit among them when it is pooled.
    period, walk : bool
        A shock per period that all units share; a random walk over periods.
    priors : dict of str to Prior
        Given by the author: 'intercept', levels, 'period', 'walk', 'slope_<level>'.
    """

    prefix: str
    role: Literal["mean", "zeros", "end0", "end1"]
    terms: tuple[Term, ...]
    levels: tuple[str, ...]
    period: bool
    walk: bool
    priors: Mapping[str, Prior]

    def slopes(self, level: str) -> tuple[int, ...]:
        """Return the positions of the terms whose slope varies by a level."""
        return tuple(i for i, term in enumerate(self.terms) if level in term.varying)

    @cached_property
    def slope_levels(self) -> tuple[str, ...]:
        """The levels by which any slope varies."""
        return tuple(dict.fromkeys(level for term in self.terms for level in term.varying))


@dataclass(frozen=True)
class Equation:
    """The structural equation of one indicator.

    Parameters
    ----------
    child : str
    indicator : Indicator
    family : Family
        With its modifiers.
    predictors : tuple of Predictor
        The main one first.
    factors : tuple of Factor
        Hidden causes that are fitted, whose terms stand in the main predictor.
    """

    child: str
    indicator: Indicator
    family: Family
    predictors: tuple[Predictor, ...]
    factors: tuple[Factor, ...] = ()

    @property
    def main(self) -> Predictor:
        """The linear predictor of the family's mean."""
        return self.predictors[0]

    @cached_property
    def expressions(self) -> dict[str, Expr]:
        """Every expression that the equation reads, by its text."""
        found: dict[str, Expr] = {}
        for predictor in self.predictors:
            for term in predictor.terms:
                for factor in term.factors:
                    found[str(factor)] = factor
        one = self.indicator
        for text in (one.trials, one.exposure, one.at_least, one.when):
            if text is not None:
                found[str(parse(text))] = parse(text)
        return found

    @property
    def max_lag(self) -> int:
        """The longest lag that it reads."""
        return max((expr.max_lag for expr in self.expressions.values()), default=0)


def structure_of(twin: Twin, panel: Panel) -> Structure:
    """Read off a panel which indicators vary within a unit and which categories occur."""
    import numpy as np

    varying: set[str] = set()
    categories: dict[str, tuple[str, ...]] = {}
    for name, one in twin.indicators.items():
        if name not in panel.data:
            continue
        values = panel.data[name].values
        if values.dtype.kind in "OUT":
            seen = tuple(sorted({str(v) for v in values.ravel() if v not in ("", None)}))
            names = one.categories or seen
            first = one.reference or names[0]
            categories[name] = (first, *(c for c in names if c != first))
            filled = values.shape[1] > 1 and any(
                len({v for v in row if v != ""}) > 1 for row in values
            )
            if filled:
                varying.add(name)
            continue
        if one.family == "ordinal" or one.categories:
            first = one.reference or one.categories[0]
            categories[name] = (first, *(c for c in one.categories if c != first))
        if values.shape[1] > 1:
            low = np.where(np.isnan(values), np.inf, values).min(axis=1)
            high = np.where(np.isnan(values), -np.inf, values).max(axis=1)
            if bool((high > low).any()):
                varying.add(name)
    return Structure(frozenset(varying), categories)


def equation(twin: Twin, child: str, structure: Structure | None = None) -> Equation:
    """Build the structural equation of an indicator.

    Parameters
    ----------
    twin : Twin
    child : str
        An indicator with a family.
    structure : Structure, optional
        What the panel shows; without it every indicator of a panel is taken to vary within units.

    Returns
    -------
    Equation

    Raises
    ------
    SpecificationError
        When the indicator has no family.
    """
    if child not in twin.indicators:
        raise SpecificationError(
            f"there is no indicator '{child}'. {nearest(child, twin.indicators)}"
        )
    one = twin.indicators[child]
    if one.family is None:
        raise SpecificationError(f"'{child}' has no family, so it has no equation with noise.")
    if structure is None:
        names = frozenset(twin.indicators) if twin.panel.period is not None else frozenset()
        structure = Structure(
            names, {n: i.categories for n, i in twin.indicators.items() if i.categories}
        )
    family = build_family(
        one.family,
        zeros=one.zeros.kind if one.zeros else None,
        at_least=one.at_least is not None,
        ends=one.ends,
        out_of=one.out_of,
        link=one.link,
    )
    reach = TwinGraph(twin).descendants(child)
    predictors = [_predictor(twin, child, "mean", one, structure, reach)]
    if one.zeros is not None:
        predictors.append(_predictor(twin, child, "zeros", one.zeros, structure, reach))
    for end in one.ends:
        role: Literal["end0", "end1"] = "end0" if end == 0 else "end1"
        predictors.append(Predictor(f"{child}.{role}", role, (), (), False, False, {}))
    factors = tuple(
        Factor(name, hidden.level, hidden.over)
        for name, hidden in twin.hidden_causes.items()
        if hidden.over is not None and child in hidden.affects
    )
    return Equation(child, one, family, tuple(predictors), factors)


def _predictor(
    twin: Twin,
    child: str,
    role: Literal["mean", "zeros"],
    source: Indicator | Zeros,
    structure: Structure,
    reach: frozenset[str],
) -> Predictor:
    one = twin.indicators[child]
    pooled_by_unit = twin.unit in source.pooling and twin.panel.period is not None
    explained = _sharing_a_trait(twin, child) if role == "mean" else frozenset()
    terms: list[Term] = []
    extra: list[Term] = []
    for text, cause in source.causes.items():
        for term in _cause_terms(text, cause, one, child, source.causes, structure):
            varies = bool(structure.varying & _names(term.factors))
            if not (pooled_by_unit and varies):
                terms.append(term)
                continue
            if _names(term.factors) & reach:
                # The unit's mean would hold the child's own doing: its first value stands in.
                terms.append(term)
                if one.initial:
                    extra.append(_unit_term(term, "initial", source))
            elif cause.between == "same" or _names(term.factors) & explained:
                terms.append(term)
            else:
                terms.append(replace(term, within=True))
                extra.append(_unit_term(term, "between", source))
    terms += extra
    if isinstance(source, Indicator):
        terms += _calendar_terms(source)
        terms += _hidden_terms(twin, child)
    prefix = child if role == "mean" else f"{child}.{role}"
    return Predictor(
        prefix=prefix,
        role=role,
        terms=tuple(terms),
        levels=tuple(level for level in twin.panel.all_levels if level in source.pooling),
        period="period" in source.pooling,
        walk=isinstance(source, Indicator) and source.trend == "walk",
        priors=dict(source.priors),
    )


def _sharing_a_trait(twin: Twin, child: str) -> frozenset[str]:
    """Return the indicators that a fitted trait of the unit moves together with the child.

    Their unit means need no coefficient of their own: the trait is what it would stand for, and
    beside it the trait's loadings could not be told from it.
    """
    traits = [
        hidden.affects
        for hidden in twin.hidden_causes.values()
        if hidden.over == "constant" and hidden.level == twin.unit and child in hidden.affects
    ]
    return frozenset[str]().union(*traits) - {child}


def _hidden_terms(twin: Twin, child: str) -> list[Term]:
    terms = []
    for name, hidden in twin.hidden_causes.items():
        if hidden.is_fitted and child in hidden.affects:
            kind = "first_loading" if child == hidden.affects[0] else "loading"
            prior = hidden.loadings.get(child, DEFAULT_PRIORS[kind])
            terms.append(Term(name, "hidden", (), prior))
    return terms


def _names(factors: tuple[Expr, ...]) -> frozenset[str]:
    return frozenset().union(*(factor.names() for factor in factors))


def _unit_term(term: Term, kind: Literal["between", "initial"], source: Indicator | Zeros) -> Term:
    return Term(
        name=f"{kind}: {term.name}",
        kind=kind,
        factors=term.factors,
        prior=source.priors.get(kind, DEFAULT_PRIORS[kind]),
        category=term.category,
    )


def _cause_terms(
    text: str,
    cause: Cause,
    one: Indicator,
    child: str,
    causes: Mapping[str, Cause],
    structure: Structure,
) -> list[Term]:
    expr = parse(text)
    prior = cause.prior or DEFAULT_PRIORS["causes"]
    declared = {str(parse(other)) for other in causes}
    natural = cause.scale == "natural"
    match expr:
        case Arithmetic(op="*", left=left, right=right) if {str(left), str(right)} <= declared:
            return [
                Term(text, "cause", (left, right), prior, natural=natural, varying=cause.varying)
            ]
        case Ref(name=name, lag=lag) if name in structure.categories:
            return [
                Term(
                    f"{text} = {category}",
                    "cause",
                    (Compare("==", Ref(name, lag), Text(category)),),
                    prior,
                    natural=natural,
                    category=True,
                    varying=cause.varying,
                )
                for category in structure.categories[name][1:]
            ]
    if _is_own_lag(expr, one, child):
        prior = cause.prior or DEFAULT_PRIORS["persistence"]
        natural = True
    return [Term(text, "cause", (expr,), prior, natural=natural, varying=cause.varying)]


def _is_own_lag(expr: Expr, one: Indicator, child: str) -> bool:
    """Whether an expression is the child's own past in the child's own link."""
    link = one.link or get_family(one.family or "").link
    match link, expr:
        case "identity", Ref(name=name, lag=lag):
            pass
        case "log", Call(function="log", arguments=(Ref(name=name, lag=lag),)):
            pass
        case "logit", Call(function="logit", arguments=(Ref(name=name, lag=lag),)):
            pass
        case "logit", Call(
            function="logit",
            arguments=(Call(function="share", arguments=(Ref(name=name, lag=lag),)),),
        ):
            pass
        case "logit", Call(
            function="logit",
            arguments=(Arithmetic(op="/", left=Ref(name=name, lag=lag), right=_),),
        ):
            pass
        case _:
            return False
    return name == child and lag >= 1


def _calendar_terms(one: Indicator) -> list[Term]:
    terms: list[Term] = []
    if one.season is not None:
        prior = one.priors.get("season", DEFAULT_PRIORS["season"])
        for k in range(1, one.season.harmonics + 1):
            # The sine of an even cycle's highest frequency is zero in every period.
            if 2 * k != one.season.cycle:
                terms.append(Term(f"season sin {k}", "season", (), prior, harmonic=k))
            terms.append(Term(f"season cos {k}", "season", (), prior, harmonic=-k))
    if one.trend == "linear":
        terms.append(Term("trend", "trend", (), one.priors.get("trend", DEFAULT_PRIORS["trend"])))
    return terms
