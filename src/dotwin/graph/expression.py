"""Formulas of probabilities: printed in the field's notation and evaluated on a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    type Array = NDArray[np.float64]

__all__ = [
    "NATURAL",
    "Expression",
    "Probability",
    "Product",
    "Ratio",
    "Sum",
    "base_of",
    "product",
    "ratio",
    "summed",
]

#: Marks the value that a changed variable would have by itself: ``X°`` beside ``X``.
NATURAL = "°"


def base_of(variable: str) -> str:
    """Return the name of the column that a variable of a formula is read from."""
    return variable.removesuffix(NATURAL)


@dataclass(frozen=True)
class Probability:
    """A conditional probability of the observed joint distribution.

    Parameters
    ----------
    of, given : tuple of str
        Variables; nothing else is in common between them.
    """

    of: tuple[str, ...]
    given: tuple[str, ...] = ()

    @cached_property
    def free(self) -> frozenset[str]:
        """The variables that its value depends on."""
        return frozenset(self.of) | frozenset(self.given)

    def renamed(self, names: Mapping[str, str]) -> Probability:
        """Return it with other names for some variables."""
        return Probability(
            tuple(names.get(v, v) for v in self.of), tuple(names.get(v, v) for v in self.given)
        )


@dataclass(frozen=True)
class Product:
    """A product of expressions; of none, it is one."""

    factors: tuple[Expression, ...]

    @cached_property
    def free(self) -> frozenset[str]:
        """The variables that its value depends on."""
        return frozenset[str]().union(*(factor.free for factor in self.factors))

    def renamed(self, names: Mapping[str, str]) -> Product:
        """Return it with other names for some free variables."""
        return Product(tuple(factor.renamed(names) for factor in self.factors))


@dataclass(frozen=True)
class Sum:
    """A sum over all values of some variables, which are bound within it."""

    over: tuple[str, ...]
    of: Expression

    @cached_property
    def free(self) -> frozenset[str]:
        """The variables that its value depends on."""
        return self.of.free - frozenset(self.over)

    def renamed(self, names: Mapping[str, str]) -> Sum:
        """Return it with other names for some free variables; what is summed over keeps its."""
        left = {old: new for old, new in names.items() if old not in self.over}
        return Sum(self.over, self.of.renamed(left)) if left else self


@dataclass(frozen=True)
class Ratio:
    """One expression divided by another."""

    numerator: Expression
    denominator: Expression

    @cached_property
    def free(self) -> frozenset[str]:
        """The variables that its value depends on."""
        return self.numerator.free | self.denominator.free

    def renamed(self, names: Mapping[str, str]) -> Ratio:
        """Return it with other names for some free variables."""
        return Ratio(self.numerator.renamed(names), self.denominator.renamed(names))


type Expression = Probability | Product | Sum | Ratio


# ── building, with what cancels left out ───────────────────────────────────────────────────────


def _factors(expression: Expression) -> tuple[Expression, ...]:
    return expression.factors if isinstance(expression, Product) else (expression,)


def product(parts: Iterable[Expression]) -> Expression:
    """Multiply expressions; products among them are flattened."""
    flat = tuple(factor for part in parts for factor in _factors(part))
    return flat[0] if len(flat) == 1 else Product(flat)


def summed(over: Sequence[str], expression: Expression) -> Expression:
    """Sum an expression over some variables.

    A conditional probability that alone depends on a variable sums over it to one, and factors
    that do not depend on what is summed over stand before the sum.

    Parameters
    ----------
    over : sequence of str
        Best with effects before causes, so that more of it cancels.
    expression : Expression
    """
    factors = list(_factors(expression))
    left = list(over)
    changed = True
    while changed:
        changed = False
        for variable in tuple(left):
            reading = [i for i, factor in enumerate(factors) if variable in factor.free]
            if len(reading) != 1:
                continue
            one = factors[reading[0]]
            if not isinstance(one, Probability) or variable not in one.of:
                continue
            others = tuple(v for v in one.of if v != variable)
            factors[reading[0] : reading[0] + 1] = (
                [Probability(others, one.given)] if others else []
            )
            left.remove(variable)
            changed = True
    if not left:
        return product(factors)
    bound = frozenset(left)
    before = [factor for factor in factors if not factor.free & bound]
    within = [factor for factor in factors if factor.free & bound]
    # Two sums within each other are one, unless a name would be bound twice.
    inner = product(within)
    names = tuple(sorted(left))
    if isinstance(inner, Sum) and not set(inner.over) & bound:
        return product([*before, Sum((*names, *inner.over), inner.of)])
    return product([*before, Sum(names, inner)])


def ratio(numerator: Expression, denominator: Expression) -> Expression:
    """Divide one expression by another; factors that both have cancel."""
    above, below = list(_factors(numerator)), list(_factors(denominator))
    for factor in tuple(below):
        if factor in above:
            above.remove(factor)
            below.remove(factor)
    if not below:
        return product(above)
    return Ratio(product(above), product(below))


# ── printing ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Notation:
    """How the parts of a formula are written."""

    latex: bool

    def variable(self, name: str) -> str:
        if not self.latex:
            return name
        text, primes = name.rstrip("′"), len(name) - len(name.rstrip("′"))
        natural = text.endswith(NATURAL)
        stem, _, period = base_of(text).partition("[")
        stem = stem.replace("_", r"\_")
        stem = stem if len(stem) == 1 else rf"\mathrm{{{stem}}}"
        if period:
            stem += f"_{{{period.rstrip(']')}}}"
        above = (r"\circ" if natural else "") + r"\prime" * primes
        return f"{stem}^{{{above}}}" if above else stem

    def listed(self, names: Iterable[str]) -> str:
        return ", ".join(self.variable(name) for name in names)

    def probability(self, of: Iterable[str], given: Sequence[str]) -> str:
        bar = r" \mid " if self.latex else " | "
        return f"P({self.listed(of)}{bar + self.listed(given) if given else ''})"

    def total(self, over: Iterable[str], of: str) -> str:
        if self.latex:
            return rf"\sum_{{{self.listed(over)}}} {of}"
        names = list(over)
        under = names[0] if len(names) == 1 else f"{{{', '.join(names)}}}"
        return f"Σ_{under} {of}"

    def quotient(self, above: str, below: str) -> str:
        return rf"\frac{{{above}}}{{{below}}}" if self.latex else f"[{above}] / [{below}]"

    def bracketed(self, text: str) -> str:
        return rf"\left({text}\right)" if self.latex else f"({text})"


def written(expression: Expression, *, latex: bool = False) -> str:
    """Write an expression; a name that is bound where it is also free gets a prime.

    Parameters
    ----------
    expression : Expression
    latex : bool
        Whether to write LaTeX rather than plain text.
    """
    names = {variable: variable for variable in expression.free}
    return _written(expression, names, _Notation(latex))


def _written(expression: Expression, names: Mapping[str, str], notation: _Notation) -> str:
    match expression:
        case Probability(of, given):
            return notation.probability([names[v] for v in of], [names[v] for v in given])
        case Product(factors):
            if not factors:
                return "1"
            # A sum reaches to the end of its product, so only the last may stand bare.
            parts = [_written(factor, names, notation) for factor in factors]
            wrapped = [
                notation.bracketed(part)
                if isinstance(factor, Sum) and i < len(factors) - 1
                else part
                for i, (factor, part) in enumerate(zip(factors, parts, strict=True))
            ]
            return " ".join(wrapped)
        case Sum(over, of):
            # Only what is visible here can be mistaken for what is bound.
            visible = {names[v] for v in expression.free}
            inner = {v: names[v] for v in expression.free}
            for variable in over:
                name = variable
                while name in visible or name in names.values():
                    name += "′"
                visible.add(name)
                inner[variable] = name
            return notation.total([inner[v] for v in over], _written(of, inner, notation))
        case Ratio(numerator, denominator):
            return notation.quotient(
                _written(numerator, names, notation), _written(denominator, names, notation)
            )


# ── evaluating ─────────────────────────────────────────────────────────────────────────────────


class Table:
    """A joint distribution in which formulas are evaluated.

    Each variable of the formula has an axis of its own, of length one where a value does not
    depend on it, so that factors multiply by broadcasting.

    Parameters
    ----------
    joint : float array
        Probabilities, an axis for each of ``columns``.
    columns : sequence of str
    variables : sequence of str
        The variables of the formula, free and bound; ``X`` and ``X°`` are read from one column.
    """

    def __init__(self, joint: Array, columns: Sequence[str], variables: Sequence[str]) -> None:
        self.joint = joint
        self.columns = {name: i for i, name in enumerate(columns)}
        self.axis = {name: i for i, name in enumerate(variables)}

    def size(self, variable: str) -> int:
        """Return how many values a variable has."""
        return int(self.joint.shape[self.columns[base_of(variable)]])

    def value(self, expression: Expression) -> Array:
        """Evaluate an expression: an axis per variable, NaN where it is undefined."""
        match expression:
            case Probability(of, given):
                whole = self._marginal([*of, *given])
                if not given:
                    return whole
                axes = tuple(self.axis[v] for v in of)
                return _divided(whole, whole.sum(axis=axes, keepdims=True))
            case Product(factors):
                import numpy as np

                result: Array = np.ones((1,) * len(self.axis))
                for factor in factors:
                    result = _multiplied(result, self.value(factor))
                return result
            case Sum(over, of):
                values = self.value(of)
                for variable in over:
                    axis = self.axis[variable]
                    # What does not depend on a variable is counted once for each of its values.
                    repeats = self.size(variable) if values.shape[axis] == 1 else 1
                    values = values.sum(axis=axis, keepdims=True) * repeats
                return values
            case Ratio(numerator, denominator):
                return _divided(self.value(numerator), self.value(denominator))

    def _marginal(self, variables: Sequence[str]) -> Array:
        """Return the joint of some variables on their axes."""
        place = {self.columns[base_of(v)]: self.axis[v] for v in variables}
        rest = tuple(i for i in range(self.joint.ndim) if i not in place)
        marginal = self.joint.sum(axis=rest)
        kept = sorted(place)
        order = sorted(range(len(kept)), key=lambda i: place[kept[i]])
        shape = [1] * len(self.axis)
        for i in kept:
            shape[place[i]] = self.joint.shape[i]
        reordered: Array = marginal.transpose(order).reshape(shape)
        return reordered


def _multiplied(a: Array, b: Array) -> Array:
    """Multiply; what is undefined does not matter where it is multiplied by zero."""
    import numpy as np

    values: Array = np.where((a == 0.0) | (b == 0.0), 0.0, a * b)
    return values


def _divided(above: Array, below: Array) -> Array:
    """Divide; zero by zero is undefined."""
    import numpy as np

    above, below = np.broadcast_arrays(above, below)
    result = np.full(above.shape, np.nan)
    np.divide(above, below, out=result, where=below != 0.0)
    return result


def variables_of(expression: Expression) -> frozenset[str]:
    """Return the variables of an expression, free and bound."""
    match expression:
        case Probability():
            return expression.free
        case Product(factors):
            return frozenset[str]().union(*map(variables_of, factors))
        case Sum(over, of):
            return frozenset(over) | variables_of(of)
        case Ratio(numerator, denominator):
            return variables_of(numerator) | variables_of(denominator)
