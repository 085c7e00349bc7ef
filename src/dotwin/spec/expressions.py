"""The one expression language of twins: parsed with a whitelist, never run as Python.

Causes, ``equals``, ``where``, ``of``, ``when`` and probabilities are all written in it. `parse`
turns the text into a small immutable tree; `evaluate` reads the tree against arrays.
"""

from __future__ import annotations

import ast
import math
import re
from functools import lru_cache

from dotwin.errors import ExpressionError, nearest
from dotwin.spec.evaluation import Environment, evaluate
from dotwin.spec.tree import (
    ACROSS,
    FUNCTIONS,
    Across,
    Arithmetic,
    Bool,
    Call,
    Compare,
    Expr,
    Not,
    Number,
    Ref,
    Start,
    Text,
)

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

#: Deeper nesting is no equation that a person could review.
_DEEPEST = 100

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
    f"{', '.join([*FUNCTIONS, 'start', *ACROSS])}."
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
    if name in ACROSS:
        return _across(node, name, text)
    if name not in FUNCTIONS:
        hint = nearest(name, [*FUNCTIONS, "start", *ACROSS])
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
