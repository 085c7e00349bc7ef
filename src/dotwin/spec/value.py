"""What every value of a specification is: immutable, closed, and clear about what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from numbers import Integral, Real
from typing import Annotated, Any, Never

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from dotwin.errors import Problem, SpecificationError, nearest

__all__ = ["FrozenDict", "Number", "Value", "Whole", "frozen", "problems_of_error", "shortest"]


def shortest(number: float) -> str:
    """Write a number with as few digits as read back to the same number.

    Examples
    --------
    >>> shortest(2.0), shortest(0.1), shortest(-1e-9)
    ('2', '0.1', '-1e-09')
    """
    text = repr(float(number))
    return text.removesuffix(".0")


def described(value: Any) -> str:
    """Say what was found where something else belongs."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text '{value}'"
    if isinstance(value, Real):
        return f"the number {value}"
    if isinstance(value, dict):
        return "a map of names"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a {type(value).__name__}"


def _number(value: Any) -> float:
    # Neither true nor "0.1" is a number here: a file that says so means something else.
    if isinstance(value, bool) or not isinstance(value, Real):
        raise SpecificationError(f"must be a number, not {described(value)}.")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise SpecificationError(f"must be a whole number, not {described(value)}.")
    return int(value)


#: A finite number, and nothing that could be mistaken for one.
type Number = Annotated[float, BeforeValidator(_number)]
#: A whole number.
type Whole = Annotated[int, BeforeValidator(_whole)]


class FrozenDict[V](dict[str, V]):
    """A mapping from names that stays as it was made.

    Examples
    --------
    >>> FrozenDict(a=1) == {"a": 1}
    True
    """

    def _refuse(self, *_: Any, **__: Any) -> Never:
        raise TypeError("a specification is immutable; make a new one with what is to be changed.")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override] # dict has none, since it can change
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[FrozenDict[V]], tuple[dict[str, V]]]:
        return FrozenDict, (dict(self),)


frozen = AfterValidator(FrozenDict)


class Value(BaseModel):
    """Immutable data without unknown fields, whose errors are `SpecificationError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise SpecificationError(problems_of_error(error, type(self))) from None


def problems_of_error(
    error: ValidationError, model: type[BaseModel] | None = None
) -> list[Problem]:
    """Put pydantic's errors in the words of the field.

    Parameters
    ----------
    error : ValidationError
    model : type of BaseModel, optional
        Whose error it is; its fields are what a misspelt one is compared with.

    Returns
    -------
    list of Problem
        Each with its path; what our own validators said stays as they said it.
    """
    found: list[Problem] = []
    for detail in error.errors(include_url=False):
        path = tuple(step for step in detail["loc"] if step != "[key]")
        inner = detail.get("ctx", {}).get("error")
        if isinstance(inner, SpecificationError):
            found.extend(problem.under(path) for problem in inner.problems)
        else:
            found.append(Problem.at(path, _words(detail, model)))
    return found


def _fields(model: type[BaseModel] | None) -> list[str]:
    fields = model.model_fields if model is not None else {}
    return [field.alias or name for name, field in fields.items()]


def _unknown(detail: ErrorDetails, model: type[BaseModel] | None) -> str:
    key = str(detail["loc"][-1])
    return f"there is no '{key}' here. {nearest(key, _fields(model))}"


def _not_listed(detail: ErrorDetails, model: type[BaseModel] | None) -> str:
    accepted = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
    found = detail["input"]
    if not isinstance(found, str):
        return f"must be text, not {described(found)}. Accepted: {', '.join(accepted)}."
    return f"'{found}' is not accepted. {nearest(found, accepted)}"


def _missing(detail: ErrorDetails, model: type[BaseModel] | None) -> str:
    return "is missing." if isinstance(detail["loc"][-1], str) else "a second number is missing."


def _not_text(detail: ErrorDetails, model: type[BaseModel] | None) -> str:
    found = detail["input"]
    if isinstance(found, Real):
        written = str(found).lower() if isinstance(found, bool) else str(found)
        return f"must be text, not {described(found)}; write it in quotes: '{written}'."
    return f"must be text, not {described(found)}."


def _not_list(detail: ErrorDetails, model: type[BaseModel] | None) -> str:
    found = detail["input"]
    offer = f"; write [{found}]" if isinstance(found, str) else ""
    return f"must be a list, not {described(found)}{offer}."


def _plain(text: str) -> Callable[[ErrorDetails, type[BaseModel] | None], str]:
    def words(detail: ErrorDetails, model: type[BaseModel] | None) -> str:
        return text.format(found=described(detail["input"]), **detail.get("ctx", {}))

    return words


#: What pydantic calls an error -> the words for it.
_WORDS: dict[str, Callable[[ErrorDetails, type[BaseModel] | None], str]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _not_listed,
    "string_type": _not_text,
    "tuple_type": _not_list,
    "too_long": _plain("has {actual_length} items where {max_length} belong."),
    "dict_type": _plain("must be a map of names to values, not {found}."),
    "mapping_type": _plain("must be a map of names to values, not {found}."),
    "model_type": _plain("must be a map of fields to values, not {found}."),
    "model_attributes_type": _plain("must be a map of fields to values, not {found}."),
    "finite_number": _plain("must be a finite number."),
    "greater_than": _plain("must be above {gt}, not {found}."),
    "greater_than_equal": _plain("must be {ge} or more, not {found}."),
    "bool_parsing": _plain("must be true or false, not {found}."),
    "bool_type": _plain("must be true or false, not {found}."),
    "value_error": _plain("{error}"),
}


def _words(detail: ErrorDetails, model: type[BaseModel] | None) -> str:
    words = _WORDS.get(detail["type"])
    if words is None:
        return detail["msg"].replace("Input should be", "must be") + "."
    return words(detail, model)
