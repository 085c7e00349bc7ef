"""An indicator, its causes, and what is special about its values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from dotwin.spec.expressions import Expr, parse
from dotwin.spec.prior import Prior
from dotwin.spec.value import FrozenDict, Number, Value, Whole, frozen

__all__ = ["DOMAINS", "FAMILIES", "Assigned", "Cause", "Indicator", "Season", "Zeros"]

Domain = Literal[
    "workforce",
    "quality",
    "safeguarding",
    "utilization",
    "demand",
    "capacity",
    "cost",
    "outcome",
    "context",
]
FamilyName = Literal[
    "normal",
    "student_t",
    "lognormal",
    "gamma",
    "beta",
    "bernoulli",
    "binomial",
    "beta_binomial",
    "poisson",
    "negative_binomial",
    "ordinal",
]
DOMAINS: tuple[str, ...] = Domain.__args__  # type: ignore[attr-defined] # typing keeps the names there
FAMILIES: tuple[str, ...] = FamilyName.__args__  # type: ignore[attr-defined] # as above


class Cause(Value):
    """A term of a mechanism.

    Parameters
    ----------
    prior : Prior, optional
        On the change of the linear predictor per reference sd of the expression.
    because, evidence : str
        Why it is believed, and where that is shown.
    varying : tuple of str
        Levels by whose groups the slope varies.
    scale : {'reference', 'natural'}
        'natural' puts the prior on the change per raw unit.
    between : {'separate', 'same'}
        Whether differences between units act as changes within a unit do.
    """

    prior: Prior | None = None
    because: str = ""
    evidence: str = ""
    varying: tuple[str, ...] = ()
    scale: Literal["reference", "natural"] = "reference"
    between: Literal["separate", "same"] = "separate"


def _bare_causes(value: Any) -> Any:
    """Let ``acuity:`` with nothing behind it stand for the defaults."""
    if isinstance(value, Mapping):
        return {key: {} if cause is None else cause for key, cause in value.items()}
    return value


type Causes = Annotated[Mapping[str, Cause], BeforeValidator(_bare_causes), frozen]


class Season(Value):
    """A yearly pattern: sine and cosine pairs anchored to the calendar."""

    cycle: Annotated[Whole, Field(ge=2)]
    harmonics: Annotated[Whole, Field(ge=1)] = 1


class Zeros(Value):
    """More zeros than the family gives, with an equation of their own."""

    model_config = ConfigDict(populate_by_name=True)

    kind: Literal["inflated", "hurdle"] = Field(alias="as")
    causes: Causes = FrozenDict()
    pooling: tuple[str, ...] = ()
    priors: Annotated[Mapping[str, Prior], frozen] = FrozenDict()


class Assigned(Value):
    """How an indicator was set by someone, and the column that marks where."""

    how: Literal["randomised", "rule", "phased"]
    column: str


class Indicator(Value):
    """One quantity per unit and period, and the mechanism that makes it.

    Without ``family`` and ``equals`` the indicator is *given*: a known input.

    Parameters
    ----------
    domain : str
        workforce, quality, safeguarding, utilization, demand, capacity, cost, outcome or context.
    unit : str
        What one means: 'hours per resident day', 'share of funded posts'.
    label, description, column : str
        What people read; what it is; the table's column when its name differs.
    level : str, optional
        The level at which it is recorded, when not the unit's.
    plausible : pair of float, optional
        Where 90 % of real values lie: of the share for indicators with trials, of the rate for
        those with an exposure.
    simulated_as : Prior, optional
        How `simulate_panel` draws a given.
    categories, reference : text categories in order, and the one others are compared with.
    family, link : str
        The distribution, and the scale on which causes add up.
    trials, exposure : str, optional
        The indicator of what could have happened; the expression of time or people at risk.
    pooling : tuple of str
        Levels, the unit and 'period' whose groups have their own intercepts.
    season, trend : calendar pattern and drift.
    causes : dict of expression to Cause
    zeros, at_least, ends, out_of, when, otherwise : special data
        More zeros; truncation from below; point masses; a percentage; where it holds.
    equals, start, residual : exact accounting
    because : str
        Why the indicator is what it is, such as the accounting behind ``equals``.
    priors : dict of str to Prior
        The rest: 'intercept', a level's sd, 'period', 'dispersion', 'residual_sd' and so on.
    initial : bool
        Whether the unit's first value of each lagged term enters (Wooldridge 2005).
    missing : {'set_aside', 'impute'}
        What becomes of rows in which this indicator is a missing cause.
    hold : str
        How a given goes on in the future: 'last', 'mean(4)' or 'seasonal'.
    unconfounded : str
        The reason why a given varies for no reason that touches its effects.
    assigned : Assigned, optional
    weight : str, optional
        The indicator that weights averages over units.
    """

    domain: Domain
    unit: str = ""
    label: str = ""
    description: str = ""
    column: str | None = None
    level: str | None = None
    plausible: tuple[Number, Number] | None = None
    simulated_as: Prior | None = None
    categories: tuple[str, ...] = ()
    reference: str | None = None
    family: FamilyName | None = None
    link: Literal["identity", "log", "logit"] | None = None
    trials: str | None = None
    exposure: str | None = None
    pooling: tuple[str, ...] = ()
    season: Season | None = None
    trend: Literal["linear", "walk"] | None = None
    causes: Causes = FrozenDict()
    zeros: Zeros | None = None
    at_least: str | None = None
    ends: tuple[Number, ...] = ()
    out_of: Annotated[Number, Field(gt=0)] | None = None
    when: str | None = None
    otherwise: Number | None = None
    equals: str | None = None
    start: Number | None = None
    residual: Literal["error", "keep"] = "error"
    because: str = ""
    priors: Annotated[Mapping[str, Prior], frozen] = FrozenDict()
    initial: bool = True
    missing: Literal["set_aside", "impute"] = "set_aside"
    hold: str = "last"
    unconfounded: str = ""
    assigned: Assigned | None = None
    weight: str | None = None

    @field_validator("zeros", mode="before")
    @classmethod
    def _short_zeros(cls, value: Any) -> Any:
        return {"as": value} if isinstance(value, str) else value

    @property
    def is_given(self) -> bool:
        """Whether it is a known input, without a mechanism."""
        return self.family is None and self.equals is None

    @property
    def is_stochastic(self) -> bool:
        """Whether it has a mechanism with noise, to be fitted."""
        return self.family is not None

    @cached_property
    def terms(self) -> dict[str, Expr]:
        """The causes' expressions, parsed, by their text."""
        return {text: parse(text) for text in self.causes}
