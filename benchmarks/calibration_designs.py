"""What is calibrated: families times layouts, missing causes, and engines broken on purpose.

Priors are narrow enough that systems simulated from them could be services. Reference scales come
from stated ranges, not from the panel: a prior that depends on the data is not the prior that the
truth was drawn from. An outcome whose own past is a cause has a range for that reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GIVEN = {"domain": "workforce", "simulated_as": "normal(0, 1)", "plausible": [-1.6, 1.6]}
VISITS = {"domain": "demand", "simulated_as": "lognormal(2.3, 0.3)", "plausible": [6, 16]}


@dataclass(frozen=True)
class Family:
    """A family's outcome and its own past as a cause.

    Parameters
    ----------
    fields : dict
        Of the outcome in every layout.
    past : str
        How the outcome's last value enters.
    rare : dict
        Fields of the layout in which the family is at its hardest.
    """

    fields: Mapping[str, Any]
    past: str
    rare: Mapping[str, Any] = field(default_factory=dict)


def _priors(intercept: str, **more: str) -> dict[str, Any]:
    return {"priors": {"intercept": intercept, **more}}


_SPREAD = "lognormal(-1, 0.4)"
_SHARE = {"trials": "visits", "plausible": [0.1, 0.7]}
_HURDLE = {"as": "hurdle", "causes": {"staff": {}}, "priors": {"intercept": "normal(-1, 0.5)"}}

#: A line per family; each is met in every layout.
FAMILIES: dict[str, Family] = {
    "normal": Family({"plausible": [-1.6, 1.6], **_priors("normal(0, 0.5)")}, "outcome[-1]"),
    "student_t": Family({"plausible": [-1.6, 1.6], **_priors("normal(0, 0.5)")}, "outcome[-1]"),
    "lognormal": Family(
        {"plausible": [0.2, 5], **_priors("normal(0, 0.5)")},
        "log(outcome[-1])",
        {"zeros": _HURDLE},
    ),
    "gamma": Family(
        {"plausible": [0.2, 5], **_priors("normal(0, 0.5)", dispersion=_SPREAD)},
        "log(outcome[-1])",
        {"zeros": _HURDLE},
    ),
    "beta": Family(
        {"plausible": [0.1, 0.7], **_priors("normal(-0.7, 0.5)", dispersion=_SPREAD)},
        "logit(outcome[-1])",
        {"ends": [0]},
    ),
    "bernoulli": Family(
        {"plausible": [0, 1], **_priors("normal(-0.5, 0.5)")},
        "outcome[-1]",
        _priors("normal(-2.5, 0.5)"),
    ),
    "binomial": Family(
        {**_SHARE, **_priors("normal(-0.7, 0.5)")},
        "logit(share(outcome[-1]))",
        {"plausible": None, **_priors("normal(-3, 0.5)")},
    ),
    "beta_binomial": Family(
        {**_SHARE, **_priors("normal(-0.7, 0.5)", dispersion=_SPREAD)},
        "logit(share(outcome[-1]))",
        {"plausible": None, **_priors("normal(-3, 0.5)", dispersion=_SPREAD)},
    ),
    "poisson": Family(
        {"plausible": [0.5, 6], **_priors("normal(0.5, 0.5)")},
        "log1p(outcome[-1])",
        {"plausible": None, **_priors("normal(-1.5, 0.5)")},
    ),
    "negative_binomial": Family(
        {"plausible": [0.5, 6], **_priors("normal(1, 0.5)", dispersion=_SPREAD)},
        "log1p(outcome[-1])",
        {"zeros": _HURDLE},
    ),
}

#: How a unit's first value may act on it: narrowly, so that a system stays one.
_SHOCKS = {"initial": "normal(0, 0.2)"}


def _dense(family: Family) -> dict[str, Any]:
    return {"pooling": ["region", "provider"], "causes": {"staff": {}}}


def _sparse(family: Family) -> dict[str, Any]:
    return {
        "pooling": ["provider", "period"],
        "causes": {
            "staff[-1]": {"between": "same"},
            family.past: {"prior": "normal(0.3, 0.1)", "scale": "natural"},
        },
        "priors": {**family.fields["priors"], **_SHOCKS},
    }


def _rare(family: Family) -> dict[str, Any]:
    return {"pooling": ["region"], "causes": {"staff": {"varying": ["region"]}}, **family.rare}


#: Units, periods, and what an outcome has beside its family.
LAYOUTS: dict[str, tuple[dict[str, int], int, Any]] = {
    "dense": ({"region": 4, "provider": 16}, 6, _dense),
    "sparse": ({"region": 3, "provider": 12}, 6, _sparse),
    "rare": ({"region": 6, "provider": 24}, 5, _rare),
}


@dataclass(frozen=True)
class Case:
    """One engine on panels of one design.

    Parameters
    ----------
    engine : {'deterministic', 'nuts', 'joint'}
    design : str
    indicators : dict
        Of the twin that panels are simulated from, the outcome among them.
    units : dict
    periods : int
    missing : str
        The indicator of which one cell in five is missing, at random.
    broken : str
        What is wrong on purpose in the fit; a key of `benchmarks.calibration.BREAKS`.
    """

    engine: str
    design: str
    indicators: Mapping[str, Any]
    units: Mapping[str, int]
    periods: int
    missing: str = ""
    broken: str = ""

    @property
    def name(self) -> str:
        """What its results are kept under."""
        return "-".join(part for part in (self.engine, self.design, self.broken) if part)


def _outcome(name: str, layout: str) -> dict[str, Any]:
    family = FAMILIES[name]
    one = {"domain": "quality", "family": name, **family.fields, **LAYOUTS[layout][2](family)}
    indicators = {"staff": GIVEN, "outcome": {k: v for k, v in one.items() if v is not None}}
    if "trials" in one:
        indicators["visits"] = VISITS
    return indicators


def _case(engine: str, name: str, layout: str, broken: str = "") -> Case:
    units, periods, _ = LAYOUTS[layout]
    return Case(engine, f"{name}, {layout}", _outcome(name, layout), units, periods, broken=broken)


_NEED = {"domain": "demand", "simulated_as": "normal(0, 1)", "plausible": [-1.6, 1.6]}
_STAFF = {
    "domain": "workforce",
    "plausible": [-1.6, 1.6],
    "family": "normal",
    "priors": {"intercept": "normal(0, 0.5)"},
    "causes": {"need": {}},
    "missing": "impute",
}
#: Causes of which cells are missing, and who reads them.
GAPS: dict[str, dict[str, Any]] = {
    "a number": {
        "need": _NEED,
        "staff": _STAFF,
        "outcome": {
            "domain": "quality",
            "family": "poisson",
            "priors": {"intercept": "normal(0.5, 0.5)"},
            "pooling": ["region"],
            "causes": {"staff": {}, "staff[-1]": {}},
        },
    },
    "a number, within and between units": {
        "need": _NEED,
        "staff": _STAFF,
        "outcome": {
            "domain": "quality",
            "family": "normal",
            "plausible": [-1.6, 1.6],
            "priors": {"intercept": "normal(0, 0.5)"},
            "pooling": ["provider"],
            "causes": {"staff": {}},
        },
    },
    "a count": {
        "need": _NEED,
        "referrals": {
            "domain": "demand",
            "plausible": [0.5, 6],
            "family": "poisson",
            "priors": {"intercept": "normal(0.5, 0.5)"},
            "causes": {"need": {}},
            "missing": "impute",
        },
        "outcome": {
            "domain": "quality",
            "family": "bernoulli",
            "priors": {"intercept": "normal(-0.5, 0.5)"},
            "pooling": ["region"],
            "causes": {"log1p(referrals)": {}},
        },
    },
    "a share": {
        "need": _NEED,
        "vacancies": {
            "domain": "workforce",
            "plausible": [0.1, 0.7],
            "family": "beta",
            "priors": {"intercept": "normal(-0.7, 0.5)", "dispersion": _SPREAD},
            "causes": {"need": {}},
            "missing": "impute",
        },
        "outcome": {
            "domain": "quality",
            "family": "negative_binomial",
            "priors": {"intercept": "normal(1, 0.5)", "dispersion": _SPREAD},
            "pooling": ["region"],
            "causes": {"logit(vacancies)": {}},
        },
    },
}
_IMPUTED = {"a number": "staff", "a count": "referrals", "a share": "vacancies"}


def _gaps(design: str, broken: str = "") -> Case:
    missing = _IMPUTED[design.partition(",")[0]]
    return Case("joint", design, GAPS[design], {"region": 4, "provider": 16}, 5, missing, broken)


CASES: tuple[Case, ...] = (
    *(_case("deterministic", name, layout) for name in FAMILIES for layout in LAYOUTS),
    *(_case("nuts", name, layout) for name in FAMILIES for layout in LAYOUTS),
    *(_gaps(design) for design in GAPS),
)

#: Each is to be seen.
BROKEN: tuple[Case, ...] = (
    _case("deterministic", "bernoulli", "sparse", "a prior's sd halved"),
    _case("deterministic", "negative_binomial", "dense", "a constant dropped"),
    _case("deterministic", "gamma", "dense", "dispersion 20 % too large"),
    _case("deterministic", "poisson", "sparse", "first values from the truth"),
    _case("nuts", "bernoulli", "sparse", "a prior's sd halved"),
    _case("nuts", "poisson", "dense", "a Jacobian counted twice"),
    _gaps("a count", "a prior's sd halved"),
)
