"""Scenarios: named sets of interventions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from pydantic import model_validator

from dotwin.errors import Problem, SpecificationError, nearest
from dotwin.spec.interventions import Intervention
from dotwin.spec.value import Value, described

__all__ = ["Scenario"]


class Scenario(Value):
    """A named set of interventions.

    Parameters
    ----------
    name : str
        What people call it; 'baseline' is taken by the world without intervention.
    interventions : sequence of Intervention or str
        At most one per indicator and period.
    question : str
        What the scenario is to answer, in the reader's words.
    source : str
        Where resources that it adds come from, such as the budget that pays for them. Without it
        a scenario that adds staff or capacity warns that resources appear from nowhere.

    Raises
    ------
    SpecificationError
        When an intervention cannot be read, or two of them meet on one indicator.

    Examples
    --------
    >>> Scenario("surge", ["scale(referrals, 1.15, over=8)"]).interventions
    (scale(referrals, 1.15, over=8),)
    """

    name: str
    interventions: tuple[Intervention, ...]
    question: str = ""
    source: str = ""

    def __init__(
        self,
        name: str,
        interventions: Intervention | str | Sequence[Intervention | str],
        *,
        question: str = "",
        source: str = "",
    ) -> None:
        if isinstance(interventions, Intervention | str):
            interventions = [interventions]
        super().__init__(name=name, interventions=interventions, question=question, source=source)

    @classmethod
    def read(cls, name: str, fields: Any) -> Scenario:
        """Read a scenario as a file gives it: its name, and a map of its fields.

        Parameters
        ----------
        name : str
        fields : dict
            ``interventions``, ``question`` and ``source``.

        Raises
        ------
        SpecificationError
            Also for fields that a scenario does not have.
        """
        if not isinstance(fields, dict):
            raise SpecificationError(f"must be a map of fields to values, not {described(fields)}.")
        known = ("interventions", "question", "source")
        fields = {key: value for key, value in fields.items() if (key, value) != ("name", name)}
        problems = [
            Problem.at((key,), f"there is no '{key}' here. {nearest(str(key), known)}")
            for key in fields
            if key not in known
        ]
        if "interventions" not in fields:
            problems.append(Problem.at(("interventions",), "is missing."))
        try:
            given = {key: value for key, value in fields.items() if key in known}
            scenario = cls(name, **{"interventions": ["do(x, 0)"], **given})
        except SpecificationError as error:
            raise SpecificationError([*problems, *error.problems]) from None
        if problems:
            raise SpecificationError(problems)
        return scenario

    @model_validator(mode="after")
    def _sound(self) -> Scenario:
        if self.name == "baseline":
            raise SpecificationError(
                "'baseline' is the world without intervention; choose another name."
            )
        if not self.name.strip():
            raise SpecificationError("a scenario needs a name.")
        if not self.interventions:
            raise SpecificationError("a scenario needs at least one intervention.")
        for one, other in combinations(self.interventions, 2):
            same = (one.indicator, one.effect) == (other.indicator, other.effect)
            if same and _meet(one, other):
                raise SpecificationError(
                    f"'{one}' and '{other}' change {one.indicator} in the same periods; a scenario "
                    "holds one change per indicator and period. End the first with until=, or "
                    "write two scenarios."
                )
        return self


def _meet(one: Intervention, other: Intervention) -> bool:
    """Whether two interventions share a period, as far as their options say."""
    for first, second in ((one, other), (other, one)):
        # Periods written alike sort as they follow each other: 2025-03 before 2025-04.
        if isinstance(first.until, str) and isinstance(second.start, str):
            if len(first.until) == len(second.start) and first.until < second.start:
                return False
        elif first.window[1] < second.window[0]:
            return False
    return True
