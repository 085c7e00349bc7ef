"""The families by name, and the one function that builds what an indicator declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from dotwin.errors import SpecificationError
from dotwin.mechanisms.atoms import Rescaled, WithAtoms
from dotwin.mechanisms.categories import Bernoulli, Ordinal
from dotwin.mechanisms.continuous import Lognormal, Normal, StudentT
from dotwin.mechanisms.count_families import CountFamily, NegativeBinomial, Poisson
from dotwin.mechanisms.family import DispersionParameter, Family, PlainFamily, Support
from dotwin.mechanisms.gamma_beta import Beta, Gamma
from dotwin.mechanisms.modifiers import Truncated
from dotwin.mechanisms.share_families import BetaBinomial, Binomial

__all__ = [
    "FAMILIES",
    "DispersionParameter",
    "Family",
    "FamilyLike",
    "PlainFamily",
    "Support",
    "build_family",
    "get_family",
]

type FamilyLike = Family
type Zeros = Literal["inflated", "hurdle"]

FAMILIES: Mapping[str, PlainFamily] = MappingProxyType(
    {
        family.name: family
        for family in (
            Normal(),
            StudentT(),
            Lognormal(),
            Gamma(),
            Beta(),
            Bernoulli(),
            Binomial(),
            BetaBinomial(),
            Poisson(),
            NegativeBinomial(),
            Ordinal(),
        )
    }
)
"""Every family by its name in a specification."""

_POSITIVE = ("lognormal", "gamma")
_COUNTS = tuple(name for name, family in FAMILIES.items() if isinstance(family, CountFamily))
_TRUNCATED = (*_COUNTS, "normal", "student_t", *_POSITIVE, "beta")


def get_family(name: str) -> PlainFamily:
    """Return the family with this name.

    Parameters
    ----------
    name : str
        Name of the family in a specification.

    Returns
    -------
    PlainFamily
        The family with its default link.

    Raises
    ------
    SpecificationError
        If there is no such family.

    Examples
    --------
    >>> get_family("poisson").support.describe()
    'a count 0, 1, 2, …'
    """
    if name not in FAMILIES:
        raise SpecificationError(
            f"There is no family {name!r}. The families are: {', '.join(FAMILIES)}."
        )
    return FAMILIES[name]


def build_family(
    name: str,
    *,
    zeros: Zeros | None = None,
    at_least: bool = False,
    ends: tuple[float, ...] = (),
    out_of: float | None = None,
    link: str | None = None,
) -> FamilyLike:
    """Build the distribution that an indicator declares.

    Parameters
    ----------
    name : str
        Name of the family.
    zeros : {'inflated', 'hurdle'}, optional
        ``inflated``: zeros beyond those of the counts. ``hurdle``: all zeros apart, the
        rest is positive. Adds the key ``zeros_eta`` to ``extra``: the logit of the
        probability of such a zero.
    at_least : bool
        Whether values are truncated from below. Adds the key ``lower``.
    ends : tuple of float
        Point masses of a beta: 0, 1 or both (or 0 and ``out_of``). Adds the keys
        ``end0_eta`` and ``end1_eta``: logits against the interior.
    out_of : float, optional
        The upper end of the recorded scale of a beta: 100 for percentages.
    link : str, optional
        Another link than the family's default.

    Returns
    -------
    Family
        The family with its modifiers.

    Raises
    ------
    SpecificationError
        If the combination has no meaning; the message names what is accepted.

    Examples
    --------
    >>> build_family("negative_binomial", zeros="hurdle").extra_names
    ('dispersion', 'zeros_eta')
    """
    plain = get_family(name)
    if link is not None:
        plain = replace(plain, link=link)
    _check(name, zeros, at_least, ends, out_of)
    family: Family = plain
    if at_least:
        minimum = 1.0 if zeros == "hurdle" and name in _COUNTS else -float("inf")
        family = Truncated(plain, reads_lower=True, minimum=minimum)
    elif zeros == "hurdle" and name in _COUNTS:
        family = Truncated(plain, reads_lower=False, minimum=1.0)
    if zeros is not None:
        kind = "zero-inflated" if zeros == "inflated" else "hurdle"
        family = WithAtoms(family, keys=("zeros_eta",), at=(0.0,), kind=kind)
    if ends:
        at = tuple(sorted({0.0 if end == 0 else 1.0 for end in ends}))
        keys = tuple(f"end{end:g}_eta" for end in at)
        family = WithAtoms(family, keys=keys, at=at, kind="end-inflated")
    if out_of is not None:
        family = Rescaled(family, out_of=float(out_of))
    return family


def _check(
    name: str,
    zeros: str | None,
    at_least: bool,
    ends: tuple[float, ...],
    out_of: float | None,
) -> None:
    """Raise one error that lists everything that does not fit together."""
    problems = []
    if zeros not in (None, "inflated", "hurdle"):
        problems.append(f"zeros: {zeros!r} is not known; accepted: inflated, hurdle")
    if zeros == "inflated" and name not in _COUNTS:
        problems.append(f"zeros: inflated is for counts ({', '.join(_COUNTS)})")
    if zeros == "hurdle" and name not in (*_COUNTS, *_POSITIVE):
        accepted = ", ".join((*_COUNTS, *_POSITIVE))
        problems.append(f"zeros: hurdle is for counts and positive values ({accepted})")
    if zeros == "inflated" and at_least:
        problems.append(
            "zeros: inflated adds zeros that at_least excludes; "
            "use zeros: hurdle (zero, or at least the bound)"
        )
    if at_least and name not in _TRUNCATED:
        problems.append(f"at_least is for {', '.join(_TRUNCATED)}")
    if ends and name != "beta":
        problems.append("ends is for beta; for zeros of other families use zeros: hurdle")
    accepted_ends = {0.0, 1.0} | ({float(out_of)} if out_of is not None else set())
    if any(end not in accepted_ends for end in ends):
        shown = ", ".join(f"{end:g}" for end in sorted(accepted_ends))
        problems.append(f"ends are among {shown}, not {', '.join(f'{e:g}' for e in ends)}")
    if ends and at_least:
        problems.append("ends and at_least do not go together")
    if out_of is not None and name != "beta":
        problems.append("out_of is for beta (a share recorded on another scale)")
    if out_of is not None and not 0 < out_of < float("inf"):
        problems.append(f"out_of must be a positive number, not {out_of:g}")
    if problems:
        raise SpecificationError(f"Family {name!r}: " + "; ".join(problems) + ".")
