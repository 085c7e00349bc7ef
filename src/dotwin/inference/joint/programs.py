"""Columns that read unknown values, as little programs that a compiled loop can run.

A column is a product of expressions of the twin's language. What of it holds no unknown value is
read once, as an array; the rest becomes a sequence of operations on a stack.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.columns import Reference
from dotwin.mechanisms.equation import Term
from dotwin.panel.environment import ArrayEnvironment
from dotwin.spec.expressions import Arithmetic, Call, Expr, Number, Ref, evaluate

__all__ = ["Operation", "Programs", "can_be_read"]

Floats = NDArray[np.float64]


class Operation(IntEnum):
    """Operations of the stack; those after `DATA` take their operands from its top."""

    NUMBER = 0
    DATA = 1
    ADD = 2
    SUBTRACT = 3
    MULTIPLY = 4
    DIVIDE = 5
    MINIMUM = 6
    MAXIMUM = 7
    LOG = 8
    LOG1P = 9
    SQRT = 10
    EXP = 11
    SQUARE = 12
    LOGIT = 13
    LOGIT_SHARE = 14
    SATURATING = 15


_ARITHMETIC = {
    "+": Operation.ADD,
    "-": Operation.SUBTRACT,
    "*": Operation.MULTIPLY,
    "/": Operation.DIVIDE,
}
_FUNCTIONS = {
    "log": Operation.LOG,
    "log1p": Operation.LOG1P,
    "sqrt": Operation.SQRT,
    "exp": Operation.EXP,
    "square": Operation.SQUARE,
    "logit": Operation.LOGIT,
    "saturating": Operation.SATURATING,
}
_TWO = range(Operation.ADD, Operation.MAXIMUM + 1)


def can_be_read(expression: Expr, unknown: Collection[str]) -> bool:
    """Whether an expression of unknown values can be made a program.

    Parameters
    ----------
    expression : Expr
    unknown : collection of str
        Indicators with unknown values.
    """
    if not expression.names() & set(unknown) or isinstance(expression, Ref):
        return True
    parts: Sequence[Expr]
    match expression:
        case Arithmetic(left=left, right=right):
            parts = (left, right)
        case Call(arguments=arguments):
            parts = arguments
        case _:
            return False
    return all(can_be_read(part, unknown) for part in parts)


@dataclass
class Programs:
    """Programs of one component, and the arrays that they read.

    Parameters
    ----------
    environment : ArrayEnvironment
        Of the panel, unknown values filled in.
    unknown : dict of str to int
        By indicator: which array holds its values.
    arrays : list of array, dims (unit, period)
        Those of the unknown indicators first.
    """

    environment: ArrayEnvironment
    unknown: Mapping[str, int]
    arrays: list[Floats]
    operations: list[int] = field(default_factory=list)
    arguments: list[float] = field(default_factory=list)
    lags: list[int] = field(default_factory=list)
    deepest: int = 1
    _folded: dict[str, int] = field(default_factory=dict)

    def add(self, term: Term, reference: Reference, multiplier: float) -> tuple[int, int]:
        """Add a column's program.

        Parameters
        ----------
        term : Term
        reference : Reference
        multiplier : float
            What the whole column is multiplied by, before a unit's mean is taken off.

        Returns
        -------
        (int, int)
            Its first operation, and the one after its last.
        """
        first = len(self.operations)
        for position, factor in enumerate(term.factors):
            self._read(factor)
            if not term.category:
                centre, sd = reference.factors[str(factor)]
                self._step(Operation.NUMBER, centre)
                self._step(Operation.SUBTRACT)
                if not term.natural:
                    self._step(Operation.NUMBER, 1.0 / sd)
                    self._step(Operation.MULTIPLY)
            if position:
                self._step(Operation.MULTIPLY)
        if multiplier != 1.0:
            self._step(Operation.NUMBER, multiplier)
            self._step(Operation.MULTIPLY)
        last = len(self.operations)
        self.deepest = max(self.deepest, _depth(self.operations[first:last]))
        return first, last

    def _step(self, operation: Operation, argument: float = 0.0, lag: int = 0) -> None:
        self.operations.append(int(operation))
        self.arguments.append(argument)
        self.lags.append(lag)

    def _read(self, e: Expr) -> None:
        if not e.names() & set(self.unknown):
            self._fold(e)
            return
        match e:
            case Ref(name=name, lag=lag):
                self._step(Operation.DATA, self.unknown[name], lag)
            case Arithmetic(op=op, left=left, right=right):
                self._read(left)
                self._read(right)
                self._step(_ARITHMETIC[op])
            case Call(function="share", arguments=(Ref() as ref,)):
                self._share(ref)
                self._step(Operation.DIVIDE)
            case Call(function="logit", arguments=(Call(function="share", arguments=(ref,)),)):
                assert isinstance(ref, Ref)
                self._share(ref)
                self._step(Operation.LOGIT_SHARE)
            case Call(function="min" | "max", arguments=arguments):
                self._read(arguments[0])
                for other in arguments[1:]:
                    self._read(other)
                    self._step(Operation.MINIMUM if e.function == "min" else Operation.MAXIMUM)
            case Call(function="hinge", arguments=(value, Number(value=at))):
                self._read(value)
                self._step(Operation.NUMBER, at)
                self._step(Operation.SUBTRACT)
                self._step(Operation.NUMBER, 0.0)
                self._step(Operation.MAXIMUM)
            case Call(function="saturating", arguments=(value, Number(value=half))):
                self._read(value)
                self._step(Operation.SATURATING, half)
            case Call(function=function, arguments=(value,)) if function in _FUNCTIONS:
                self._read(value)
                self._step(_FUNCTIONS[function])
            case _:
                raise TypeError(f"{e} cannot be read from unknown values")

    def _share(self, ref: Ref) -> None:
        """Put a count and its trials on the stack."""
        self._read(ref)
        trials = self.environment.twin.indicators[ref.name].trials
        assert trials is not None
        self._read(Ref(trials, ref.lag))

    def _fold(self, e: Expr) -> None:
        """Put what holds no unknown value on the stack: a number, or an array read once."""
        values: Any = np.asarray(evaluate(e, self.environment), dtype=float)
        if values.ndim == 0:
            self._step(Operation.NUMBER, float(values))
            return
        text = str(e)
        if text not in self._folded:
            self._folded[text] = len(self.arrays)
            self.arrays.append(np.array(np.broadcast_to(values, self.arrays[0].shape)))
        self._step(Operation.DATA, self._folded[text])


def _depth(operations: Sequence[int]) -> int:
    deepest = depth = 0
    for one in operations:
        if one in (Operation.NUMBER, Operation.DATA):
            depth += 1
        elif one in _TWO or one == Operation.LOGIT_SHARE:
            depth -= 1
        deepest = max(deepest, depth)
    return deepest
