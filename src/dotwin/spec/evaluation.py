"""Reading an expression against arrays: the one meaning that every interpreter shares."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from dotwin.errors import ExpressionError, nearest
from dotwin.spec.tree import (
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

__all__ = ["Environment", "evaluate"]


class Environment(Protocol):
    """What an expression is read against: arrays of one common, broadcastable shape.

    One that also has a ``twin`` lets ordinals be compared with their categories; one that has
    ``across_units(expression, ops)`` reads means and sums over units by itself.
    """

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
    stands for missing and carries through all of it. Values outside a function's domain give NaN
    or infinities, for the caller to count and name.

    Parameters
    ----------
    expression : Expr
    environment : Environment
        Gives the arrays; their shapes must broadcast.
    ops : module
        `numpy`, or a module with the same names for elementwise functions; it may have ``logit``
        and ``logit_share`` of its own.

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
                    return _divide(ops, a, b)
        case Compare(op=op, left=left, right=right):
            a, b = _recorded(left, right, env), _recorded(right, left, env)
            return _compare(op, _evaluate(a, env, ops), _evaluate(b, env, ops))
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
        case Across() if hasattr(env, "across_units"):
            return env.across_units(e, ops)
        case Across(function=function, item=item, over=over, others=others):
            return env.across(function, _evaluate(item, env, ops), over, others)
        case Call():
            return _apply(e, env, ops)
    raise TypeError(f"not an expression: {e!r}")


def _recorded(side: Expr, other: Expr, env: Environment) -> Expr:
    """Put a category of an ordinal indicator as its values are recorded: by its position."""
    twin = getattr(env, "twin", None)
    if twin is None or not (isinstance(side, Text) and isinstance(other, Ref)):
        return side
    one = twin.indicators.get(other.name)
    if one is None or one.family != "ordinal":
        return side
    if side.value not in one.categories:
        hint = nearest(side.value, one.categories)
        raise ExpressionError(f"'{other.name}' has no category '{side.value}'. {hint}")
    return Number(float(one.categories.index(side.value)))


def _truth(e: Expr, env: Environment, ops: Any) -> Any:
    value = _evaluate(e, env, ops)
    return value if isinstance(e, Compare | Bool | Not) else _compare("!=", value, 0.0)


def _divide(ops: Any, a: Any, b: Any) -> Any:
    """Divide as arrays do, which also holds for two plain numbers; PyTensor has its own name."""
    return ops.true_div(a, b) if hasattr(ops, "true_div") else np.true_divide(a, b)


def _apply(e: Call, env: Environment, ops: Any) -> Any:
    if e.function == "share":
        (ref,) = e.arguments
        assert isinstance(ref, Ref)
        return _divide(ops, env.value(ref.name, ref.lag), env.trials(ref.name, ref.lag))
    if e.function == "logit":
        match e.arguments[0]:
            case Call(function="share", arguments=(Ref(name=name, lag=lag),)):
                count, trials = env.value(name, lag), env.trials(name, lag)
                if hasattr(ops, "logit_share"):
                    return ops.logit_share(count, trials)
                # Half an event either way keeps 0 of n and n of n finite (Haldane 1956); no
                # trials at all is missing.
                known = _divide(ops, trials, trials)
                return ops.log((count + 0.5) / (trials - count + 0.5)) * known
    first, *rest = (_evaluate(argument, env, ops) for argument in e.arguments)
    match e.function:
        case "log" | "log1p" | "sqrt" | "exp":
            return getattr(ops, e.function)(first)
        case "square":
            return first * first
        case "logit" if hasattr(ops, "logit"):
            return ops.logit(first)
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
    for numbers, text in ((a, b), (b, a)):
        if numbers.dtype.kind in "fiub" and text.dtype.kind in "UT" and np.isfinite(numbers).any():
            raise ExpressionError(f"numbers are compared with the category '{text.flat[0]}'.")
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
