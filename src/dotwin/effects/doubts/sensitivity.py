"""How strong a hidden cause would have to be for an effect to be in doubt.

The hidden cause is standard normal, independent over units and periods, and acts on the cause and
on the outcome. What it does to the outcome's coefficients follows from a regression of it on the
observed causes; the effect is then simulated again with the coefficients corrected for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import SpecificationError
from dotwin.spec.expressions import Ref
from dotwin.worlds.start import all_reads, expressions_of
from dotwin.worlds.tables import number

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dotwin.effects.average.question import Question
    from dotwin.effects.average.result import Effect
    from dotwin.inference import Fit
    from dotwin.mechanisms.design import Design
    from dotwin.mechanisms.equation import Term

__all__ = ["STRENGTHS", "Sensitivity", "sensitivity"]

#: In multiples of the strongest observed cause.
STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
#: Rounds of taking group means off, over levels that cross; nested levels need one.
_ROUNDS = 50
#: Of the strongest hidden cause that can be.
_NEARLY = 0.99


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity:
    """What hidden causes of stated strengths would leave of an effect.

    Made by `Effect.sensitivity`.

    Parameters
    ----------
    effect : Effect
        As it was found, without a hidden cause.
    table : DataFrame
        Columns ``strength`` (multiples of the strongest observed cause), ``direction`` ('towards 0'
        or 'away from 0': where the hidden cause moves the effect), ``bias`` (what it had added to
        the coefficient), ``mean``, ``5%`` and ``95%``.
    tipping : float
        The smallest strength at which the 90 % interval includes 0; infinite when none of the
        strengths reaches it.
    on_outcome : str
        The strongest observed cause of the outcome.
    on_cause : str
        That of the cause, or the partial correlation that was stated in its place.
    notes : tuple of str
    """

    effect: Effect
    table: pd.DataFrame
    tipping: float
    on_outcome: str
    on_cause: str
    notes: tuple[str, ...]

    def summary(self) -> pd.DataFrame:
        """Return the table."""
        return self.table

    def __repr__(self) -> str:
        twin, question = self.effect.question.twin, self.effect.question
        what = f"the effect of {twin.label(question.cause)} on {question.outcome.words}"
        than = f"the strongest observed cause of the outcome ({self.on_outcome})"
        if self.tipping == 0:
            text = f"The 90 % interval of {what} includes 0 without any hidden cause"
        elif np.isinf(self.tipping):
            most = number(self.table["strength"].max())
            text = (
                f"No hidden cause up to {most} times as strong as {than} and {self.on_cause} would "
                f"bring 0 into the 90 % interval of {what}"
            )
        else:
            text = (
                f"A hidden cause {self.tipping:.2g} times as strong as {than} and {self.on_cause} "
                f"would be enough to bring 0 into the 90 % interval of {what}"
            )
        return ". ".join([text, *self.notes]) + "."

    def plot(self) -> Any:
        """Draw the effect against the strength of the hidden cause."""
        return importlib.import_module("dotwin.plots.sensitivity").plot_sensitivity(self)


@dataclass(frozen=True, eq=False)
class _Bias:
    """What a hidden cause of strength 1 adds to the outcome's coefficients and intercept.

    Parameters
    ----------
    coefficients : float array (term,)
    intercept : float
    own : int
        The cause's place among the terms.
    power : int
        With which power of the strength it grows: 2 where both arrows grow, 1 where one is stated.
    most : float
        The strength at which the hidden cause would explain all that is left of the cause.
    """

    coefficients: NDArray[np.float64]
    intercept: float
    own: int
    power: int
    most: float


def sensitivity(
    effect: Effect, strengths: Sequence[float] = STRENGTHS, correlation: float | None = None
) -> Sensitivity:
    r"""Add a hidden cause of stated strength and say where the interval first includes zero.

    The outcome's coefficient of the cause holds, besides the cause's own effect,
    :math:`\gamma\delta` [1]_: what one sd of the hidden cause adds to the outcome's linear
    predictor, times the coefficient of the cause in a regression of the hidden cause on the
    observed causes,
    :math:`\delta = \alpha / \operatorname{var}(A \mid \text{the others})`. Coefficients of the
    others move with it. Both arrows are as strong as the strength says, in multiples of the
    largest effect per sd that any observed cause has on the same indicator.

    Parameters
    ----------
    effect : Effect
    strengths : sequence of float
    correlation : float, optional
        The hidden cause's partial correlation with the cause, given the others, in place of a
        strength there; needed where the cause has no normal mechanism with observed causes.

    Returns
    -------
    Sensitivity

    Raises
    ------
    SpecificationError
        Where the formula does not hold, or a strength cannot be.

    References
    ----------
    .. [1] Cinelli, C. and Hazlett, C. (2020). Making sense of sensitivity: extending omitted
       variable bias. doi:10.1111/rssb.12348
    """
    import pandas as pd

    question = effect.question
    grid = np.unique(np.asarray(strengths, dtype=float))
    if grid.size == 0 or not np.isfinite(grid).all() or grid[0] <= 0:
        raise SpecificationError(f"strengths={strengths!r}: positive numbers, such as 0.5, 1, 2.")
    design, own = _handled(effect)
    alpha, on_cause = _arrow_to_cause(question, correlation)
    gamma, strongest = _strongest(question.fit, design)
    bias = _bias(question, design, own, alpha, gamma, correlation)
    notes = []
    if (possible := grid[grid < bias.most]).size < grid.size:
        notes.append(
            f"A hidden cause {number(bias.most)} times as strong or more cannot be: it would "
            f"explain more than all that is left of {question.twin.label(question.cause)}"
        )
        # As near to the strongest that can be as still leaves something of the cause.
        grid = np.unique([*possible, _NEARLY * bias.most])
    if (link := design.equation.family.link) != "identity":
        notes.append(
            f"The outcome has a {link} link: the formula holds on its linear predictor, "
            f"approximately"
        )
    if design.main.predictor.levels or design.main.predictor.period:
        notes.append(
            "Only differences within the outcome's groups and periods are taken to inform its "
            "coefficients"
        )
    if design.main.predictor.terms[own].within:
        notes.append("It is the effect of changes within units that the hidden cause bears on")
    rows = [(0.0, "none", 0.0, *_read(effect))]
    # Which sign moves the effect towards 0 is seen from where the mean goes.
    for strength in grid:
        size = strength**bias.power
        both = [
            (sign * size * bias.coefficients[bias.own], *_read(_without(effect, design, bias, s)))
            for sign in (1, -1)
            for s in [sign * size]
        ]
        down = rows[0][3] > 0
        both.sort(key=lambda row: row[1], reverse=not down)
        for direction, row in zip(("towards 0", "away from 0"), both, strict=True):
            rows.append((float(strength), direction, *row))
    table = pd.DataFrame(rows, columns=["strength", "direction", "bias", "mean", "5%", "95%"])
    return Sensitivity(
        effect, table, _tipping(table, bias.power), strongest, on_cause, tuple(notes)
    )


def _handled(effect: Effect) -> tuple[Design, int]:
    """Return the outcome's design and the cause's place in it, or say why the formula is no use."""
    question = effect.question
    twin, fit, cause = question.twin, question.fit, question.cause
    where = f"sensitivity of {question.outcome.text} to {cause}"
    outcome = question.outcome.name

    def refuse(why: str) -> SpecificationError:
        return SpecificationError(f"{where}: {why}")

    if question.groups.names:
        raise refuse("ask an effect without by=, one group at a time with among=.")
    if effect.reading == ("long run",):
        raise refuse("a long run is not handled; read the effect in one period with at().")
    if outcome is None or outcome not in fit.designs:
        raise refuse("the outcome must be one indicator with a mechanism.")
    if cause in _reached(twin, outcome):
        raise refuse(f"{outcome} acts back on {cause}, and the formula does not hold then.")
    design = fit.designs[outcome]
    predictor = design.main.predictor
    if len(design.equation.predictors) > 1:
        raise refuse("the outcome has a second linear predictor, for zeros or ends.")
    if predictor.walk:
        raise refuse("the outcome has a walk over periods.")
    if any(term.kind == "hidden" for term in predictor.terms):
        raise refuse("a hidden cause is fitted already.")
    if design.rows == 0:
        raise refuse("the fit was saved without its panel, and the formula needs its rows.")
    # A change moves the part within units only, and there the hidden cause acts on it. What a
    # unit's mean goes along with is no part of the effect.
    mine = [
        i
        for i, term in enumerate(predictor.terms)
        if cause in _names(twin, term) and term.kind != "between"
    ]
    if len(mine) != 1:
        count = "no term" if not mine else f"{len(mine)} terms"
        raise refuse(f"the cause enters the outcome's mechanism with {count}; it must be one.")
    term = predictor.terms[mine[0]]
    if len(term.factors) != 1 or not isinstance(term.factors[0], Ref) or term.varying:
        raise refuse("the cause must enter as itself, with one coefficient for all.")
    for child in twin.graph.descendants(cause) - {outcome}:
        if child in fit.designs and outcome in _reached(twin, child):
            names = {n for n, _ in _reads_of(twin, child)}
            if outcome in names:
                raise refuse(f"{outcome} acts back on {child}, and the formula does not hold then.")
    return design, mine[0]


def _names(twin: Any, term: Term) -> frozenset[str]:
    return frozenset(name for f in term.factors for name, _ in all_reads(twin, f))


def _reads_of(twin: Any, child: str) -> set[tuple[str, int]]:
    return {
        read for name, e in expressions_of(twin) if name == child for read in all_reads(twin, e)
    }


def _reached(twin: Any, source: str) -> dict[str, int]:
    """Return what an indicator acts on, by any path, with the shortest total lag."""
    arrows = [
        (name, child, lag)
        for child, expression in expressions_of(twin)
        for name, lag in all_reads(twin, expression)
    ]
    found = {source: 0}
    for _ in twin.indicators:
        for name, child, lag in arrows:
            if name in found:
                found[child] = min(found.get(child, found[name] + lag), found[name] + lag)
    del found[source]
    return found


def _strongest(fit: Fit, design: Design) -> tuple[float, str]:
    """Return the largest effect per sd of an observed cause, on the linear predictor."""
    posterior = fit.tree["posterior"].to_dataset()
    means = posterior[f"{design.child}.causes"].mean(("chain", "draw")).values
    sds = design.main.columns.std(axis=0)
    size = {
        i: abs(float(means[i]) * float(sds[i]))
        for i, term in enumerate(design.main.predictor.terms)
        if term.kind == "cause" and design.child not in _names(fit.twin, term)
    }
    best = max(size, key=lambda i: size[i])
    return size[best], design.main.predictor.terms[best].name


def _arrow_to_cause(question: Question, correlation: float | None) -> tuple[float, str]:
    """Return what the hidden cause adds to the cause at strength 1, in the cause's own unit."""
    cause, fit = question.cause, question.fit
    if correlation is not None:
        if not 0 < correlation < 1:
            raise SpecificationError(f"correlation={correlation}: a number between 0 and 1.")
        return 0.0, f"of a partial correlation of {correlation:g} with the cause"
    design = fit.designs.get(cause)
    observed = design is not None and any(
        term.kind == "cause" and cause not in _names(fit.twin, term)
        for term in design.main.predictor.terms
    )
    if design is None or not observed or design.equation.family.link != "identity":
        raise SpecificationError(
            f"correlation: {cause} has no mechanism with observed causes and an identity link by "
            f"which a strength could be measured; state the hidden cause's partial correlation "
            f"with {cause} instead, such as correlation=0.3."
        )
    alpha, name = _strongest(fit, design)
    return alpha, f"of the cause ({name})"


def _bias(
    question: Question,
    design: Design,
    own: int,
    alpha: float,
    gamma: float,
    correlation: float | None,
) -> _Bias:
    twin, terms = question.twin, design.main.predictor.terms
    (factor,) = terms[own].factors
    assert isinstance(factor, Ref)
    # What the cause acts on in time says nothing more of the hidden cause, given the cause.
    after = _reached(twin, question.cause)
    others = [
        i
        for i, term in enumerate(terms)
        if i != own
        and not any(
            name in after and after[name] + lag <= factor.lag
            for f in term.factors
            for name, lag in all_reads(twin, f)
        )
    ]
    if len(others) < len(terms) - 1:
        _nothing_opened(question, design, [terms[i] for i in others], factor)
    raw = design.main.columns
    flat = _within(design, raw)
    slopes = np.linalg.lstsq(flat[:, others], flat[:, own], rcond=None)[0]
    left = float((flat[:, own] - flat[:, others] @ slopes).var())
    if left <= 1e-12 * float(raw[:, own].var()):
        raise SpecificationError(
            f"sensitivity: the other causes of {design.child} leave nothing of {question.cause}."
        )
    kept = _kept(design)
    if correlation is not None:
        share, power, most = correlation, 1, np.inf
    else:
        reference = design.reference
        unit = (
            1.0 if terms[own].natural else reference.multiplier / reference.factors[str(factor)][1]
        )
        share = alpha * unit * np.sqrt(kept / left)
        power, most = 2, 1 / share if share > 0 else np.inf
    size = gamma * share * np.sqrt(kept / left)
    coefficients = np.zeros(len(terms))
    coefficients[own] = size
    coefficients[others] = -size * slopes
    # The linear predictor keeps its mean over the rows.
    intercept = -float(raw.mean(axis=0) @ coefficients)
    return _Bias(coefficients, intercept, own, power, most)


def _nothing_opened(question: Question, design: Design, others: Sequence[Term], cause: Ref) -> None:
    """Refuse where a result of the cause would tell of the hidden cause after all.

    Given the cause, the hidden cause and the cause's other causes depend on each other. A result
    of the cause that those act on too tells of them, unless the outcome's mechanism reads them.
    """
    twin = question.twin
    known = {read for term in others for f in term.factors for read in all_reads(twin, f)}
    for name, lag in sorted(_reads_of(twin, cause.name)):
        if (name, lag + cause.lag) not in known:
            raise SpecificationError(
                f"sensitivity of {design.child} to {cause.name}: the outcome's mechanism reads a "
                f"result of {cause.name} but not {name}, a cause of {cause.name}; the formula is "
                f"not known to hold then."
            )


def _within(design: Design, columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take off the means of all rows, of the pooled groups and of pooled periods."""
    predictor = design.main.predictor
    kinds = [design.main.groups[level] for level in predictor.levels]
    if predictor.period:
        kinds.append(design.period)
    flat = columns - columns.mean(axis=0)
    for _ in range(_ROUNDS if len(kinds) > 1 else len(kinds)):
        for codes in kinds:
            counts = np.maximum(np.bincount(codes), 1)[:, None]
            sums = np.zeros((counts.size, flat.shape[1]))
            np.add.at(sums, codes, flat)
            flat = flat - (sums / counts)[codes]
    return flat


def _kept(design: Design) -> float:
    """Return what is left of the variance of an independent hidden cause by the same means."""
    predictor = design.main.predictor
    groups = [np.unique(design.main.groups[level]).size for level in predictor.levels]
    # Outer groups are made of inner ones, and take nothing more off.
    means = max(groups, default=1)
    if predictor.period:
        means += np.unique(design.period).size - 1
    return 1.0 - means / design.rows


def _without(effect: Effect, design: Design, bias: _Bias, size: float) -> Effect:
    """Return the effect with the bias taken off every draw of the outcome's coefficients."""
    fit = effect.question.fit
    tree = fit.tree.copy()
    posterior = tree["posterior"].to_dataset()
    causes, intercept = f"{design.child}.causes", f"{design.child}.intercept"
    shifted = posterior.assign(
        {
            causes: posterior[causes].copy(
                data=posterior[causes].values - size * bias.coefficients
            ),
            intercept: posterior[intercept] - size * bias.intercept,
        }
    )
    tree["posterior"].dataset = shifted
    return effect._again(replace(effect.question, fit=replace(fit, tree=tree)))


def _read(effect: Effect) -> tuple[float, float, float]:
    row = effect.summary().iloc[-1]
    return float(row["mean"]), float(row["5%"]), float(row["95%"])


def _tipping(table: pd.DataFrame, power: int) -> float:
    """Find where the interval's nearer end reaches 0; ends are straight in the bias, or nearly."""
    first = table.iloc[0]
    if first["5%"] <= 0 <= first["95%"]:
        return 0.0
    end, sign = ("5%", 1.0) if first["5%"] > 0 else ("95%", -1.0)
    path = table[table["direction"] != "away from 0"]
    at, values = path["strength"].to_numpy() ** power, sign * path[end].to_numpy()
    reached = np.flatnonzero(values <= 0)
    if reached.size == 0:
        return float("inf")
    i = int(reached[0])
    part = values[i - 1] / (values[i - 1] - values[i])
    return float((at[i - 1] + part * (at[i] - at[i - 1])) ** (1 / power))
