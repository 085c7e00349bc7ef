"""Every exception and warning of the package.

All of them derive from `DotwinError` or `DotwinWarning`, so one ``except`` clause is enough for a
caller that wants to show a person what went wrong. A message says what, where, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "CertificateError",
    "ConservationWarning",
    "ConvergenceWarning",
    "DataError",
    "DotwinError",
    "DotwinWarning",
    "ExpressionError",
    "ExtrapolationWarning",
    "IntegrityError",
    "LicenceError",
    "NewGroupsError",
    "Problem",
    "SpecificationError",
    "nearest",
]

#: More names than this are not listed whole in a message, but the first few.
_MOST_LISTED, _FEW_LISTED = 60, 10


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, where it is, and what is accepted there.

    Parameters
    ----------
    where : str
        The place in the field's words, such as ``indicators > missed_visits > family``.
    what : str
        What is wrong and what is accepted, in one or two sentences.
    line : int, optional
        Line of the file, counted from 1.
    path : tuple of str and int, optional
        The same place as keys and positions, by which the line is found.

    Examples
    --------
    >>> print(Problem.at(("indicators", "visits", "family"), "is missing."))
    indicators > visits > family: is missing.
    """

    where: str
    what: str
    line: int | None = None
    path: tuple[str | int, ...] = ()

    @classmethod
    def at(cls, path: Sequence[str | int], what: str, line: int | None = None) -> Problem:
        """Name a problem by the keys and positions that lead to it.

        Parameters
        ----------
        path : sequence of str and int
            Positions in a list count from 0 here and from 1 in what people read.
        what : str
        line : int, optional
        """
        steps = (f"#{step + 1}" if isinstance(step, int) else step for step in path)
        return cls(" > ".join(steps), what, line, tuple(path))

    def under(self, path: Sequence[str | int]) -> Problem:
        """Give the same problem seen from further out."""
        if self.where and not self.path:
            return Problem.at(path, f"{self.where}: {self.what}", self.line)
        return Problem.at((*path, *self.path), self.what, self.line)

    def __str__(self) -> str:
        line = f"line {self.line}" if self.line is not None else ""
        place = ", ".join(part for part in (line, self.where) if part)
        return f"{place}: {self.what}" if place else self.what


class DotwinError(Exception):
    """Base of every error that dotwin raises on purpose."""


class _ProblemError(DotwinError, ValueError):
    """An error that can carry several problems at once."""

    def __init__(self, problems: str | Problem | Sequence[Problem], source: str = "") -> None:
        if isinstance(problems, str):
            problems = [Problem("", problems)]
        elif isinstance(problems, Problem):
            problems = [problems]
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.source = source
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [str(problem) for problem in self.problems]
        head = f"{self.source}: " if self.source else ""
        if len(lines) == 1:
            return head + lines[0]
        return head + f"{len(lines)} problems\n" + "\n".join(f"  - {line}" for line in lines)


class SpecificationError(_ProblemError):
    """A twin, scenario or prior that cannot be what it says; lists every problem found."""


class ExpressionError(SpecificationError):
    """An expression that the language of twins does not have, or that is undefined."""


class DataError(_ProblemError):
    """A table that does not fit its twin; lists every problem found."""


class CertificateError(_ProblemError):
    """Mechanisms that the engine asked for cannot vouch for; lists each with its reason."""


class NewGroupsError(DotwinError, ValueError):
    """Units or groups that the fit has never seen, without leave to draw them."""


class LicenceError(DotwinError, ValueError):
    """An answer whose licence failed, asked for without naming the assumption."""


class IntegrityError(DotwinError, OSError):
    """A folder on disk whose files do not match their manifest."""


class DotwinWarning(UserWarning):
    """Base of every warning of dotwin."""


class ConvergenceWarning(DotwinWarning):
    """A posterior whose chains have not converged."""


class ConservationWarning(DotwinWarning):
    """A scenario in which resources appear from nowhere."""


class ExtrapolationWarning(DotwinWarning):
    """An intervention that leaves what the panel shows."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Say the nearest valid names, for the end of an error message.

    Parameters
    ----------
    name : str
        What was written.
    valid : iterable of str
        What is accepted.

    Returns
    -------
    str
        A sentence such as ``Did you mean 'family'?`` or the list of what is accepted.

    Examples
    --------
    >>> nearest("famly", ["family", "causes"])
    "Did you mean 'family'?"
    """
    names = list(valid)
    close = difflib.get_close_matches(name, names, n=2, cutoff=0.6)
    if len(close) == 2:
        # A second guess is worth saying only when it is about as near as the first.
        first, second = (difflib.SequenceMatcher(None, name, one).ratio() for one in close)
        close = close if first - second < 0.1 else close[:1]
    if close:
        return "Did you mean " + " or ".join(repr(match) for match in close) + "?"
    if not names:
        return "Nothing is accepted here."
    listed = sorted(names)
    if len(listed) > _MOST_LISTED:
        shown = ", ".join(listed[:_FEW_LISTED])
        return f"Accepted: {shown}, … ({len(listed):,} in all)."
    return "Accepted: " + ", ".join(listed) + "."
