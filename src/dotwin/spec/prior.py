"""Priors as values: a distribution's name and its numbers."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from dotwin.errors import SpecificationError, nearest
from dotwin.spec.value import described, shortest

__all__ = ["PRIORS", "Prior"]

#: Distribution -> the names of its arguments, in order.
PRIORS: dict[str, tuple[str, ...]] = {
    "normal": ("mean", "sd"),
    "student_t": ("nu", "mean", "scale"),
    "half_normal": ("sd",),
    "half_student_t": ("nu", "scale"),
    "exponential": ("rate",),
    "gamma": ("shape", "rate"),
    "lognormal": ("median_log", "sd_log"),
    "beta": ("a", "b"),
    "uniform": ("low", "high"),
}
_POSITIVE = {"sd", "nu", "scale", "rate", "shape", "sd_log", "a", "b"}


@dataclass(frozen=True)
class Prior:
    """A probability distribution by name, such as ``normal(0, 0.5)``.

    Parameters
    ----------
    distribution : str
        One of the names in `PRIORS`.
    arguments : tuple of float
        Its numbers, in the order that `PRIORS` gives.

    Examples
    --------
    >>> Prior.parse("normal(0.3, 0.2)").arguments
    (0.3, 0.2)
    >>> str(Prior("half_normal", (0.5,)))
    'half_normal(0.5)'
    """

    distribution: str
    arguments: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", tuple(float(value) for value in self.arguments))
        if self.distribution not in PRIORS:
            hint = nearest(self.distribution, PRIORS)
            raise SpecificationError(f"there is no distribution '{self.distribution}'. {hint}")
        names = PRIORS[self.distribution]
        form = f"{self.distribution}({', '.join(names)})"
        if len(self.arguments) != len(names):
            raise SpecificationError(f"'{self}' has {len(self.arguments)} numbers; write {form}.")
        for name, value in zip(names, self.arguments, strict=True):
            if not math.isfinite(value):
                raise SpecificationError(f"'{self}': {name} must be a finite number.")
            if name in _POSITIVE and not value > 0:
                raise SpecificationError(f"'{self}': {name} must be above 0; write {form}.")
        if self.distribution == "uniform" and not self.arguments[0] < self.arguments[1]:
            raise SpecificationError(f"'{self}': low must be below high.")

    @classmethod
    def parse(cls, text: str) -> Prior:
        """Read a prior as it is written in YAML.

        Parameters
        ----------
        text : str
            For instance ``"normal(0, 0.5)"``.

        Raises
        ------
        SpecificationError
            When the text is no distribution with numbers.
        """
        try:
            node = ast.parse(text.strip(), mode="eval").body
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                raise ValueError
            values = [ast.literal_eval(argument) for argument in node.args]
            if node.keywords or any(type(value) not in (int, float) for value in values):
                raise ValueError
            numbers = tuple(float(value) for value in values)
            name = node.func.id
        except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError):
            raise SpecificationError(
                f"'{text}' is no prior; write a distribution with its numbers, such as "
                f"normal(0, 0.5) or half_normal(0.5). Accepted: {', '.join(PRIORS)}."
            ) from None
        return cls(name, numbers)

    def __str__(self) -> str:
        return f"{self.distribution}({', '.join(map(shortest, self.arguments))})"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Let pydantic read a prior from its text and write it as text."""

        def read(value: Any) -> Prior:
            if isinstance(value, cls):
                return value
            if isinstance(value, str):
                return cls.parse(value)
            raise SpecificationError(
                f"must be a distribution such as normal(0, 0.5), not {described(value)}."
            )

        return core_schema.no_info_plain_validator_function(
            read,
            serialization=core_schema.plain_serializer_function_ser_schema(str),
            metadata={"pydantic_js_functions": [lambda *_: {"type": "string"}]},
        )
