"""The one expression language of twins: parsed with a whitelist, never run as Python.

Causes, ``equals``, ``where``, ``of``, ``when`` and probabilities are all written in it. An
expression becomes a small immutable tree; `evaluate` reads the tree with any array library that
has NumPy's names, so that inference and simulation share one meaning.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from dotwin.errors import ExpressionError, nearest
from dotwin.spec.value import shortest

__all__ = [
    "FUNCTIONS",
    "Across",
    "Arithmetic",
    "Bool",
    "Call",
    "Compare",
    "Environment",
    "Expr",
    "Not",
    "Number",
    "Ref",
    "Start",
    "Text",
    "evaluate",
    "parse",
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
_ACROSS = ("mean", "sum")
#: Deeper nesting is no equation that a person could review.
_DEEPEST = 100


@dataclass(frozen=True)
class Expr:
    """A parsed expression; ``str(expr)`` gives its canonical text."""

    def children(self) -> tuple[Expr, ...]:
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
        return (self.item,)

    def __str__(self) -> str:
        return f"not ({self.item})"


@dataclass(frozen=True)
class Call(Expr):
    """A function of the language, such as ``logit(x)`` or ``hinge(x, 45)``."""

    function: str
    arguments: tuple[Expr, ...]

    def children(self) -> tuple[Expr, ...]:
        return self.arguments

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True)
class Start(Expr):
    """The value that an expression has when the intervention begins."""

    item: Expr

    def children(self) -> tuple[Expr, ...]:
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
        return (self.item,)

    def __str__(self) -> str:
        others = ", others=True" if self.others else ""
        return f"{self.function}({self.item}, over={self.over}{others})"


_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARE = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


@lru_cache(maxsize=4096)
def parse(text: str) -> Expr:
    """Read an expression of the language.

    Parameters
    ----------
    text : str
        For instance ``logit(vacancy_rate[-1])`` or ``acuity > 2 and not rural``.

    Returns
    -------
    Expr

    Raises
    ------
    ExpressionError
        When the text is not in the language; the message names the part and what is accepted.

    Examples
    --------
    >>> sorted(parse("acuity * logit(vacancy_rate[-1])").refs())
    [('acuity', 0), ('vacancy_rate', 1)]
    """
    try:
        body = ast.parse(_source(text), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ExpressionError(f"'{text}' cannot be read as an expression. {_ACCEPTED}") from None
    if _depth(body) > _DEEPEST:
        raise ExpressionError(
            f"'{text[:40]}…' is nested more than {_DEEPEST} deep; declare its parts as indicators "
            "with equals."
        )
    expression = _read(body, text)
    _refuse_loose_text(expression, text)
    return expression


_ACCEPTED = (
    "Accepted: indicators, x[-1] for a lag, + - * /, comparisons, and/or/not, and the functions "
    f"{', '.join([*FUNCTIONS, 'start', *_ACROSS])}."
)
#: Signs and line breaks that people type -> what Python reads.
_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-", "\n": " "})


def _source(text: str) -> str:
    """Translate what people type, except in quoted categories."""
    parts = re.split(r"""('[^']*'|"[^"]*")""", text)
    parts[::2] = [part.translate(_SIGNS) for part in parts[::2]]
    return "".join(parts).strip()


def _depth(node: ast.AST) -> int:
    """Depth of a tree, counted without recursion."""
    depth, level = 0, [node]
    while level:
        depth += 1
        level = [child for one in level for child in ast.iter_child_nodes(one)]
    return depth


def _refuse_loose_text(expression: Expr, text: str) -> None:
    """A quoted category means something only where it is compared for equality."""
    compared = {
        id(side)
        for e in expression.walk()
        if isinstance(e, Compare) and e.op in ("==", "!=")
        for side in (e.left, e.right)
    }
    for e in expression.walk():
        if isinstance(e, Text) and id(e) not in compared:
            raise ExpressionError(
                f"'{text}': the category {e} can only be compared, as in ownership == {e}."
            )


def _read(node: ast.expr, text: str) -> Expr:
    match node:
        case ast.Constant(value=bool()):
            raise ExpressionError(f"'{text}': write 1 or 0 instead of True or False.")
        case ast.Constant(value=int() | float() as value):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isinf(number):
                raise ExpressionError(f"'{text}': a number in it is too large to compute with.")
            return Number(number)
        case ast.Constant(value=str() as value):
            return Text(value)
        case ast.Name(id=name):
            return Ref(name)
        case ast.Subscript(value=ast.Name(id=name), slice=index):
            return Ref(name, _lag(index, name, text))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _read(operand, text)
            if isinstance(inner, Number):
                return Number(-inner.value)
            return Arithmetic("-", Number(0.0), inner)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Not(_read(operand, text))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return Arithmetic(_ARITHMETIC[type(op)], _read(left, text), _read(right, text))
        case ast.BinOp(op=ast.Pow()):
            raise ExpressionError(f"'{text}': powers are written square(x) or sqrt(x).")
        case ast.Compare(left=left, ops=ops, comparators=others):
            if any(type(op) not in _COMPARE for op in ops):
                raise ExpressionError(f"'{text}': accepted comparisons are < <= > >= == !=.")
            sides = [_read(side, text) for side in (left, *others)]
            parts = tuple(
                Compare(_COMPARE[type(op)], a, b)
                for op, a, b in zip(ops, sides[:-1], sides[1:], strict=True)
            )
            return parts[0] if len(parts) == 1 else Bool("and", parts)
        case ast.BoolOp(op=op, values=values):
            name = "and" if isinstance(op, ast.And) else "or"
            return Bool(name, tuple(_read(value, text) for value in values))
        case ast.Call(func=ast.Name(id=name)):
            return _call(node, name, text)
        case _:
            raise ExpressionError(
                f"'{text}': '{ast.unparse(node)}' is not in the language. {_ACCEPTED}"
            )


def _lag(index: ast.expr, name: str, text: str) -> int:
    match index:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as lag)) if (
            not isinstance(lag, bool) and lag >= 1
        ):
            return lag
        case _:
            raise ExpressionError(
                f"'{text}': a lag is written {name}[-1] for the period before, {name}[-2] for two "
                f"periods before; '{name}[{ast.unparse(index)}]' is not one."
            )


def _call(node: ast.Call, name: str, text: str) -> Expr:
    if name == "start":
        if len(node.args) != 1 or node.keywords:
            raise ExpressionError(f"'{text}': start takes one expression, as in start(acuity).")
        return Start(_read(node.args[0], text))
    if name in _ACROSS:
        return _across(node, name, text)
    if name not in FUNCTIONS:
        hint = nearest(name, [*FUNCTIONS, "start", *_ACROSS])
        raise ExpressionError(f"'{text}': there is no function '{name}'. {hint}")
    if node.keywords:
        raise ExpressionError(f"'{text}': {name} takes its arguments by position.")
    count = FUNCTIONS[name]
    if (count is None and len(node.args) < 2) or (count is not None and len(node.args) != count):
        wants = "two or more arguments" if count is None else f"{count} argument(s)"
        raise ExpressionError(f"'{text}': {name} takes {wants}, not {len(node.args)}.")
    arguments = tuple(_read(argument, text) for argument in node.args)
    if name == "share" and not isinstance(arguments[0], Ref):
        raise ExpressionError(f"'{text}': share takes an indicator with trials, as in share(x).")
    if name in ("hinge", "saturating"):
        last = arguments[1]
        if not isinstance(last, Number):
            raise ExpressionError(f"'{text}': the second argument of {name} is a number.")
        if name == "saturating" and not last.value > 0:
            raise ExpressionError(
                f"'{text}': the second argument of saturating is the value at which half of the "
                "effect is reached, above 0."
            )
    return Call(name, arguments)


def _across(node: ast.Call, name: str, text: str) -> Expr:
    options = {keyword.arg: keyword.value for keyword in node.keywords}
    over, others = options.pop("over", None), options.pop("others", ast.Constant(value=False))
    example = f"{name}(x, over=region) or {name}(x, over=region, others=True)"
    if (
        len(node.args) != 1
        or options
        or len({keyword.arg for keyword in node.keywords}) < len(node.keywords)
        or not isinstance(over, ast.Name)
        or not isinstance(others, ast.Constant)
        or not isinstance(others.value, bool)
    ):
        raise ExpressionError(f"'{text}': write {example}.")
    return Across(name, _read(node.args[0], text), over.id, others.value)


class Environment(Protocol):
    """What an expression is read against: arrays of one common, broadcastable shape."""

    def value(self, name: str, lag: int) -> Any:
        """Return the indicator's values, ``lag`` periods back, NaN where missing."""

    def trials(self, name: str, lag: int) -> Any:
        """Return the trials of an indicator that has them."""

    def start(self, expression: Expr) -> Any:
        """Return the expression's value when the intervention begins."""

    def across(self, function: str, values: Any, over: str, others: bool) -> Any:
        """Return the mean or sum of values over each unit's group."""


def evaluate(expression: Expr, environment: Environment, ops: Any = np) -> Any:
    """Read an expression against arrays.

    Conditions give 1.0 and 0.0, and a number counts as a condition that holds unless it is 0; NaN
    stands for missing and carries through all of it. Values
    outside a function's domain give NaN or infinities, for the caller to count and name.

    Parameters
    ----------
    expression : Expr
    environment : Environment
        Gives the arrays; their shapes must broadcast.
    ops : module
        `numpy`, or a module with the same names for elementwise functions.

    Returns
    -------
    array
        Of the broadcast shape.
    """
    if ops is np:
        with np.errstate(all="ignore"):
            return _evaluate(expression, environment, np)
    return _evaluate(expression, environment, ops)


def _evaluate(e: Expr, env: Environment, ops: Any) -> Any:
    match e:
        case Number(value=value) | Text(value=value):
            return value
        case Ref(name=name, lag=lag):
            return env.value(name, lag)
        case Arithmetic(op=op, left=left, right=right):
            a, b = _evaluate(left, env, ops), _evaluate(right, env, ops)
            match op:
                case "+":
                    return a + b
                case "-":
                    return a - b
                case "*":
                    return a * b
                case _:
                    return ops.true_divide(a, b)
        case Compare(op=op, left=left, right=right):
            return _compare(op, _evaluate(left, env, ops), _evaluate(right, env, ops))
        case Bool(op=op, items=items):
            result = _truth(items[0], env, ops)
            for item in items[1:]:
                other = _truth(item, env, ops)
                result = result * other if op == "and" else ops.maximum(result, other)
            return result
        case Not(item=item):
            return 1.0 - _truth(item, env, ops)
        case Start(item=item):
            return env.start(item)
        case Across(function=function, item=item, over=over, others=others):
            return env.across(function, _evaluate(item, env, ops), over, others)
        case Call():
            return _apply(e, env, ops)
    raise TypeError(f"not an expression: {e!r}")


def _truth(e: Expr, env: Environment, ops: Any) -> Any:
    value = _evaluate(e, env, ops)
    return value if isinstance(e, Compare | Bool | Not) else _compare("!=", value, 0.0)


def _apply(e: Call, env: Environment, ops: Any) -> Any:
    if e.function == "share":
        (ref,) = e.arguments
        assert isinstance(ref, Ref)
        return ops.true_divide(env.value(ref.name, ref.lag), env.trials(ref.name, ref.lag))
    if e.function == "logit":
        match e.arguments[0]:
            case Call(function="share", arguments=(Ref(name=name, lag=lag),)):
                count, trials = env.value(name, lag), env.trials(name, lag)
                # Half an event either way keeps 0 of n and n of n finite (Haldane 1956); no
                # trials at all is missing.
                known = ops.true_divide(trials, trials)
                return ops.log((count + 0.5) / (trials - count + 0.5)) * known
    first, *rest = (_evaluate(argument, env, ops) for argument in e.arguments)
    match e.function:
        case "log" | "log1p" | "sqrt" | "exp":
            return getattr(ops, e.function)(first)
        case "square":
            return first * first
        case "logit":
            return ops.log(first) - ops.log1p(-first)
        case "hinge":
            return ops.maximum(first - rest[0], 0.0)
        case "saturating":
            return first / (first + rest[0])
        case "min" | "max":
            extreme = ops.minimum if e.function == "min" else ops.maximum
            for other in rest:
                first = extreme(first, other)
            return first
    raise TypeError(f"not a function of the language: {e.function}")


def _compare(op: str, a: Any, b: Any) -> Any:
    a, b = np.asarray(a), np.asarray(b)
    match op:
        case "==":
            holds = a == b
        case "!=":
            holds = a != b
        case "<":
            holds = a < b
        case "<=":
            holds = a <= b
        case ">":
            holds = a > b
        case _:
            holds = a >= b
    result = np.asarray(holds, dtype=float)
    for side in (a, b):
        if side.dtype.kind == "f":
            result = np.where(np.isnan(side), np.nan, result)
        elif side.dtype.kind in "OUT":
            result = np.where(side == "", np.nan, result)
    return result
