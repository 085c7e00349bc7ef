"""What else is wrong with a twin whose fields are not all readable."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from dotwin.errors import Problem, SpecificationError
from dotwin.spec.check import problems_of_twin
from dotwin.spec.twin import Twin

__all__ = ["problems_of_sound_parts"]


#: Fields on which it depends what others may do with an indicator.
_KIND = frozenset({"family", "trials", "equals", "categories", "level", "zeros"})


def problems_of_sound_parts(data: dict[str, Any], found: Sequence[Problem]) -> list[Problem]:
    """Look past unreadable fields for problems elsewhere, so that all are told at once.

    Every field with a problem is put aside and the rest is checked. What is then said about the
    same indicator, or mentions one whose kind is now unknown, may follow from what was put aside
    and is not repeated.

    Parameters
    ----------
    data : dict
        The twin's fields as written.
    found : sequence of Problem
        What is wrong with them so far, with paths.

    Returns
    -------
    list of Problem
        Further problems; none when too little is readable.
    """
    if any(problem.path[:1] == ("panel",) for problem in found):
        return []  # without its levels little can be said of the rest
    rest = deepcopy(data)
    rest.setdefault("twin", "unnamed")
    for problem in found:
        _put_aside(rest, problem.path)
    try:
        further = problems_of_twin(Twin.with_readable_fields(rest))
    except SpecificationError:
        return []
    broken = {problem.path[:2] for problem in found}
    unclear = [
        str(problem.path[1])
        for problem in found
        if problem.path[:1] == ("indicators",) and not _KIND.isdisjoint(problem.path[2:3] or _KIND)
    ]
    mention = re.compile(rf"\b({'|'.join(map(re.escape, unclear))})\b") if unclear else None
    return [
        problem
        for problem in further
        if problem.path[:2] not in broken and not (mention and mention.search(problem.what))
    ]


def _put_aside(data: dict[str, Any], path: tuple[str | int, ...]) -> None:
    """Take out the smallest part that holds a problem and that a twin can do without."""
    match path:
        case ("indicators", name, "domain"):
            data["indicators"][name]["domain"] = "context"
            return
        case ("indicators", _, "causes", _, _, *_):
            depth = 5
        case ("indicators", _, _, *_):
            depth = 3
        case ("twin",):
            data["twin"] = "unnamed"
            return
        case _:
            depth = 2
    *way, last = path[:depth] or ("",)
    place: Any = data
    for step in way:
        if not isinstance(place, dict) or step not in place:
            return
        place = place[step]
    if isinstance(place, dict):
        place.pop(last, None)
