"""Exposure matrices: which units see how much of which others."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property
from numbers import Real
from typing import Annotated, Any

from pydantic import BeforeValidator, model_validator

from dotwin.errors import SpecificationError
from dotwin.spec.value import Value, described

__all__ = ["Exposure"]

type Row = tuple[str, str, float]


def _rows(value: Any) -> tuple[Row, ...]:
    """Read rows of unit, other and weight, or a DataFrame with these columns."""
    if hasattr(value, "columns"):
        lacking = [name for name in ("unit", "other", "weight") if name not in value.columns]
        if lacking:
            raise SpecificationError(
                f"the table has no column {', '.join(lacking)}; it has a row per pair with the "
                f"columns unit, other and weight."
            )
        value = value[["unit", "other", "weight"]].itertuples(index=False, name=None)
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise SpecificationError(
            f"must be a list of rows [unit, other, weight], not {described(value)}."
        )
    found = []
    for position, row in enumerate(value):
        try:
            unit, other, weight = row
        except (TypeError, ValueError):
            raise SpecificationError(
                f"row {position + 1} must be [unit, other, weight], not {described(row)}."
            ) from None
        number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight < 0:
            raise SpecificationError(
                f"row {position + 1}: a weight is a number from 0, not {described(weight)}."
            )
        found.append((str(unit), str(other), float(weight)))
    return tuple(found)


class Exposure(Value):
    """How much each unit sees of which others: a row per pair, none for pairs that do not touch.

    ``mean(x, over=shared_staff)`` is then, for each unit, the mean of x over the others by these
    weights; ``sum(x, over=shared_staff)`` is the sum of x times weight, 0 where nobody is seen.

    Parameters
    ----------
    weights : rows of unit, other and weight
        The unit that sees, the one that is seen, and how much, from 0. In Python also a DataFrame
        with these columns.
    because : str
        Why units act on each other so.
    """

    weights: Annotated[tuple[tuple[str, str, float], ...], BeforeValidator(_rows)]
    because: str = ""

    @cached_property
    def code(self) -> int:
        """Its hash, worked out once: a matrix may have many rows."""
        return hash((self.weights, self.because))

    def __hash__(self) -> int:
        return self.code

    @model_validator(mode="after")
    def _once(self) -> Exposure:
        if not self.weights:
            raise SpecificationError("weights: at least one row is needed.")
        seen: set[tuple[str, str]] = set()
        for unit, other, _ in self.weights:
            if (unit, other) in seen:
                raise SpecificationError(f"weights: {unit} sees {other} in two rows; keep one.")
            seen.add((unit, other))
        return self
