"""Expressions as small immutable trees: what `parse` returns and every interpreter reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dotwin.spec.value import shortest

__all__ = [
    "ACROSS",
    "FUNCTIONS",
    "Across",
    "Arithmetic",
    "Bool",
    "Call",
    "Compare",
    "Expr",
    "Not",
    "Number",
    "Ref",
    "Start",
    "Text",
]

#: Functions of one expression and of numbers: name -> number of arguments (None: one or more).
FUNCTIONS: dict[str, int | None] = {
    "log": 1,
    "log1p": 1,
    "logit": 1,
    "sqrt": 1,
    "square": 1,
    "exp": 1,
    "min": None,
    "max": None,
    "hinge": 2,
    "saturating": 2,
    "share": 1,
}
#: Functions over the units of a group.
ACROSS = ("mean", "sum")


@dataclass(frozen=True)
class Expr:
    """A parsed expression; ``str(expr)`` gives its canonical text."""

    def children(self) -> tuple[Expr, ...]:
        """Return the expressions that this one is made of."""
        return ()

    def walk(self) -> Iterator[Expr]:
        """Yield this expression and all below it."""
        yield self
        for child in self.children():
            yield from child.walk()

    def refs(self) -> frozenset[tuple[str, int]]:
        """Return the (indicator, lag) pairs that the expression reads."""
        return frozenset((e.name, e.lag) for e in self.walk() if isinstance(e, Ref))

    def names(self) -> frozenset[str]:
        """Return the indicators that the expression reads."""
        return frozenset(name for name, _ in self.refs())

    @property
    def max_lag(self) -> int:
        """The longest lag in it, 0 when there is none."""
        return max((lag for _, lag in self.refs()), default=0)


@dataclass(frozen=True)
class Number(Expr):
    """A constant."""

    value: float

    def __str__(self) -> str:
        return shortest(self.value)


@dataclass(frozen=True)
class Text(Expr):
    """A quoted category, such as ``'for profit'``."""

    value: str

    def __str__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True)
class Ref(Expr):
    """An indicator, or its value ``lag`` periods ago."""

    name: str
    lag: int = 0

    def __str__(self) -> str:
        return f"{self.name}[-{self.lag}]" if self.lag else self.name


@dataclass(frozen=True)
class Arithmetic(Expr):
    """``left op right`` with op one of + - * /."""

    op: str
    left: Expr
    right: Expr

    def children(self) -> tuple[Expr, ...]:
        """Return the expressions that this one is made of."""
        return (self.left, self.right)

    def __str__(self) -> str:
        def side(expr: Expr, right: bool) -> str:
            # The right side keeps its parentheses even where they change nothing but rounding, so
            # that the text reads back to the same tree.
            loose = isinstance(expr, Compare | Bool | Not) or (
                isinstance(expr, Arithmetic)
                and (
                    (self.op in "*/" and expr.op in "+-")
                    or (right and (self.op in "*/") == (expr.op in "*/"))
                )
            )
            return f"({expr})" if loose else str(expr)

        return f"{side(self.left, False)} {self.op} {side(self.right, True)}"


@dataclass(frozen=True)
class Compare(Expr):
    """``left op right`` with op one of < <= > >= == !=; 1 where it holds, else 0."""

    op: str
    left: Expr
    right: Expr

    def children(self) -> tuple[Expr, ...]:
        """Return the expressions that this one is made of."""
        return (self.left, self.right)

    def __str__(self) -> str:
        def side(expr: Expr) -> str:
            return f"({expr})" if isinstance(expr, Compare | Bool | Not) else str(expr)

        return f"{side(self.left)} {self.op} {side(self.right)}"


@dataclass(frozen=True)
class Bool(Expr):
    """``and`` or ``or`` over two or more conditions."""

    op: str
    items: tuple[Expr, ...]

    def children(self) -> tuple[Expr, ...]:
        """Return the expressions that this one is made of."""
        return self.items

    def __str__(self) -> str:
        return f" {self.op} ".join(
            f"({item})" if isinstance(item, Bool) else str(item) for item in self.items
        )


@dataclass(frozen=True)
class Not(Expr):
    """The opposite of a condition."""

    item: Expr

    def children(self) -> tuple[Expr, ...]:
        """Return the expressions that this one is made of."""
        return (self.item,)

    def __str__(self) -> str:
        return f"not ({self.item})"


@dataclass(frozen=True)
class Call(Expr):
    """A function of the language, such as ``logit(x)`` or ``hinge(x, 45)``."""

    function: str
    arguments: tuple[Expr, ...]

    def children(self) -> tuple[Expr, ...]:
        """Return the expressions that this one is made of."""
        return self.arguments

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True)
class Start(Expr):
    """The value that an expression has when the intervention begins."""

    item: Expr

    def children(self) -> tuple[Expr, ...]:
        """Return the expressions that this one is made of."""
        return (self.item,)

    def __str__(self) -> str:
        return f"start({self.item})"


@dataclass(frozen=True)
class Across(Expr):
    """A mean or sum over the units of a group, with or without the unit itself."""

    function: str
    item: Expr
    over: str
    others: bool = False

    def children(self) -> tuple[Expr, ...]:
        """Return the expressions that this one is made of."""
        return (self.item,)

    def __str__(self) -> str:
        others = ", others=True" if self.others else ""
        return f"{self.function}({self.item}, over={self.over}{others})"
