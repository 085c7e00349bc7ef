"""Can the data tell what a hidden cause that is fitted adds to each indicator?

A hidden cause that is fitted is one latent factor behind several indicators. What identifies it is
the form of the model, never the graph alone; this module says which form, or what is lacking.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from dotwin.graph.question import listed

if TYPE_CHECKING:
    from dotwin.graph.twin_graph import TwinGraph
    from dotwin.spec.twin import HiddenCause

__all__ = [
    "BY_FORM",
    "NOT_IDENTIFIED",
    "Basis",
    "FactorVerdict",
    "factor_verdict",
    "factor_verdicts",
    "resting_on",
]

type Basis = Literal["graph", "form", "prior", ""]
type Form = Literal["normality", "linearity", "constancy", "three or more measures"]

type Status = Literal["identified only by form", "not identified"]

BY_FORM: Status = "identified only by form"
NOT_IDENTIFIED: Status = "not identified"
#: Indicators that determine the loadings of a factor seen once.
_MEASURES = 3


@dataclass(frozen=True)
class FactorVerdict:
    """Whether the loadings of a hidden cause follow from the data, and on what that rests.

    Parameters
    ----------
    hidden : str
    status : {'identified only by form', 'not identified'}
    forms : tuple of str
        What identifies it besides the graph: 'normality', 'linearity', 'constancy', 'three or more
        measures'.
    reason : str
        The verdict in a sentence or two for people.
    add : str
        Where not identified: what would identify it.
    """

    hidden: str
    status: Status
    forms: tuple[Form, ...]
    reason: str
    add: str = ""

    @property
    def identified(self) -> bool:
        """Whether the data determine it, given the form."""
        return self.status == BY_FORM

    def __str__(self) -> str:
        forms = f" ({listed(self.forms)})" if self.forms else ""
        return f"{self.hidden}: {self.status}{forms}. {self.reason} {self.add}".rstrip()


def factor_verdicts(graph: TwinGraph, periods: int | None = None) -> dict[str, FactorVerdict]:
    """Judge every hidden cause of a twin that is fitted.

    Parameters
    ----------
    graph : TwinGraph
    periods : int, optional
        How many periods the panel has; two or more unless given.

    Returns
    -------
    dict of str to FactorVerdict
        By hidden cause.
    """
    return {
        name: factor_verdict(graph, name, periods)
        for name, hidden in graph.twin.hidden_causes.items()
        if hidden.is_fitted
    }


def factor_verdict(graph: TwinGraph, name: str, periods: int | None = None) -> FactorVerdict:
    r"""Judge whether the loadings of a hidden cause follow from the data.

    The indicators' residuals, given their recorded causes, are
    :math:`\lambda_k L + \varepsilon_k` on the link scale, :math:`L` standard normal and the
    :math:`\varepsilon_k` independent. The sign of :math:`L` is that of the first indicator.

    *Seen repeatedly* (a value acts on several rows of an indicator: a constant cause over periods,
    one of a region on its units, one of a period on all units). The rows that share a value tell
    what they share from noise, and differences among them tell the arrows between indicators.
    Two such indicators suffice. Where each has an effect of its own in the same groups, they
    determine the product of the two loadings and not each of them: what the hidden cause adds to
    one cannot be told from the indicator's own effect. The product is all by which the hidden
    cause confounds. With three indicators each loading is determined [1]_ [2]_ [3]_.

    *Seen once* (a value acts on one row of each indicator). Three indicators of which none acts on
    another within the period determine the loadings, by their three covariances; each further
    indicator needs one among the three that it is not linked to. With two, one covariance cannot
    determine two loadings.

    Parameters
    ----------
    graph : TwinGraph
    name : str
        A hidden cause that is fitted.
    periods : int, optional

    Returns
    -------
    FactorVerdict

    Notes
    -----
    The conditions suffice for loadings that are not 0 (for almost all values of the parameters);
    that a loading is near 0 only the posterior shows. Linearity means that the hidden cause adds
    the same on the link scale wherever an indicator stands; normality matters where a link is not
    the identity, since there the shape of what is shared is not told by covariances.

    References
    ----------
    .. [1] Anderson, T. W. and Rubin, H. (1956). Statistical inference in factor analysis. Third
       Berkeley Symposium on Mathematical Statistics and Probability 5, 111-150.
    .. [2] Bollen, K. A. (1989). Structural Equations with Latent Variables, chapter 7: the
       three-indicator rule. doi:10.1002/9781118619179
    .. [3] Bekker, P. A. and ten Berge, J. M. F. (1997). Generic global identification in factor
       analysis. Linear Algebra and its Applications 264, 255-263.
       doi:10.1016/S0024-3795(96)00363-1
    """
    hidden = graph.twin.hidden_causes[name]
    label = graph.label(name)
    repeated = [one for one in hidden.affects if _is_repeated(graph, hidden, one, periods)]
    curved = any(not _is_linear(graph, one) for one in hidden.affects)
    normality: tuple[Form, ...] = ("normality",) if curved else ()
    if len(repeated) >= 2:
        constancy: tuple[Form, ...] = ("constancy",) if hidden.over == "constant" else ()
        several: tuple[Form, ...] = (
            ("three or more measures",) if len(repeated) >= _MEASURES else ()
        )
        forms: tuple[Form, ...] = (*normality, "linearity", *constancy, *several)
        return FactorVerdict(name, BY_FORM, forms, _of_repeated(graph, name, repeated))
    if len(hidden.affects) < _MEASURES:
        named = listed([graph.label(one) for one in hidden.affects])
        return FactorVerdict(
            name,
            NOT_IDENTIFIED,
            (),
            f"Each value of {label} is seen once by {named}: one covariance cannot determine "
            f"{len(hidden.affects)} loadings.",
            _remedy(graph, name),
        )
    if _has_pure_measures(graph, hidden):
        forms = (*normality, "linearity", "three or more measures")
        return FactorVerdict(
            name,
            BY_FORM,
            forms,
            f"{len(hidden.affects)} indicators see each value of {label} once, and what they "
            f"share beyond their recorded causes is taken to be {label} alone.",
        )
    return FactorVerdict(
        name,
        NOT_IDENTIFIED,
        (),
        f"Each value of {label} is seen once, and the indicators that it affects act on each "
        f"other within a period, so what they share cannot be told from what one does to another.",
        _remedy(graph, name),
    )


def resting_on(
    graph: TwinGraph, acting: Collection[str], paths: str, how: str
) -> tuple[str, Basis]:
    """Say what an answer rests on whose open paths hidden causes that are fitted close.

    Parameters
    ----------
    graph : TwinGraph
    acting : collection of str
        These hidden causes.
    paths : str
        What would be open without them.
    how : str
        How the graph identifies the answer with them unknown; empty where it does not.

    Returns
    -------
    (str, str)
        The reason, and 'graph', 'form' or 'prior'.
    """
    labels = listed([graph.label(name) for name in acting])
    verb = "is" if len(acting) == 1 else "are"
    if how:
        return (
            f"identified by the graph, {how}; {labels}, which no column records ({paths}), {verb} "
            f"fitted as a latent factor with what it affects, and so the mechanisms compute it.",
            "graph",
        )
    verdicts = [factor_verdict(graph, name) for name in acting]
    failed = [one for one in verdicts if not one.identified]
    if failed:
        said = " ".join(f"{one.reason} {one.add}" for one in failed)
        return (
            f"not identified: {labels}, which no column records, acts on both sides ({paths}), "
            f"and what it adds to each indicator rests on its prior. {said}",
            "prior",
        )
    forms = listed([form for one in verdicts for form in one.forms])
    said = " ".join(one.reason for one in verdicts)
    return (
        f"identified only by form ({forms}): {labels}, which no column records ({paths}), {verb} "
        f"fitted as a latent factor. {said}",
        "form",
    )


def _of_repeated(graph: TwinGraph, name: str, repeated: list[str]) -> str:
    hidden, label = graph.twin.hidden_causes[name], graph.label(name)
    place = hidden.level.replace("_", " ")
    told = f"Rows of one {place} share a value of {label}, which tells it from noise"
    if hidden.over == "constant":
        told = f"{label} keeps its value over the periods of a {place}, which tells it from noise"
    told = told[:1].upper() + told[1:]
    if len(repeated) >= _MEASURES:
        return f"{told}; {len(repeated)} indicators tell it from their own {place} effects."
    own = [one for one in repeated if hidden.level in graph.twin.indicators[one].pooling]
    if len(own) == len(repeated):
        return (
            f"{told}. The product of the two loadings is determined, which is all by which it "
            f"confounds; each of them is not, because what it adds to one indicator cannot be told "
            f"from that indicator's own {place} effect."
        )
    without = [graph.label(one) for one in repeated if one not in own]
    return f"{told}, taking {listed(without)} to have no {place} effect besides."


def _remedy(graph: TwinGraph, name: str) -> str:
    hidden, label = graph.twin.hidden_causes[name], graph.label(name)
    named = listed([graph.label(one) for one in hidden.affects])
    more = (
        f"Add to affects an indicator that {label} moves too and that, within a period, neither "
        f"acts on {named} nor follows from them"
    )
    if hidden.over == "period":
        more += "; or write over: constant, if it keeps its value over the panel's periods"
    elif hidden.level == graph.twin.unit:
        more += f"; or record each {hidden.level.replace('_', ' ')} in two periods or more"
    return f"{more}."


def _is_repeated(
    graph: TwinGraph, hidden: HiddenCause, indicator: str, periods: int | None
) -> bool:
    """Whether a value of a hidden cause acts on several rows of an indicator."""
    panel = graph.twin.panel
    own = graph.twin.indicators[indicator].level or graph.twin.unit
    if hidden.level == "period":
        return True
    if panel.all_levels.index(own) > panel.all_levels.index(hidden.level):
        return True
    several = panel.period is not None and (periods is None or periods > 1)
    return hidden.over == "constant" and several


def _is_linear(graph: TwinGraph, indicator: str) -> bool:
    one = graph.twin.indicators[indicator]
    return one.family in ("normal", "student_t") and one.link in (None, "identity")


def _has_pure_measures(graph: TwinGraph, hidden: HiddenCause) -> bool:
    """Whether three indicators are unlinked, and each other one is so with one of them."""
    linked = _links(graph)
    affects = tuple(dict.fromkeys(hidden.affects))

    def are_linked(a: str, b: str) -> bool:
        return (a, b) in linked or (b, a) in linked

    for three in combinations(affects, _MEASURES):
        if any(are_linked(a, b) for a, b in combinations(three, 2)):
            continue
        others = [one for one in affects if one not in three]
        if all(any(not are_linked(one, pure) for pure in three) for one in others):
            return True
    return False


def _links(graph: TwinGraph) -> set[tuple[str, str]]:
    """Return the pairs of which the first acts on the second within a period.

    An exact indicator passes on what it reads without noise of its own, so it is no way between
    two that keeps them apart.
    """
    children: dict[str, set[str]] = {}
    for arrow in graph.arrows:
        if arrow.lag == 0:
            children.setdefault(arrow.cause, set()).add(arrow.effect)

    def reached(name: str) -> Iterator[str]:
        for child in children.get(name, ()):
            yield child
            if graph.twin.indicators[child].equals is not None:
                yield from reached(child)

    return {(name, child) for name in graph.indicators for child in reached(name)}
