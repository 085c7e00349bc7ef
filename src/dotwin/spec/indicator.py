"""An indicator, its causes, and what is special about its values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from dotwin.spec.expressions import Expr, parse
from dotwin.spec.prior import Prior
from dotwin.spec.value import FrozenDict, Number, Value, Whole, frozen, shortest

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
    """A term of a mechanism: what stands behind its expression.

    Parameters
    ----------
    prior : Prior, optional
        On the change of the linear predictor per reference sd of the expression.
    because : str
        Why it is believed.
    evidence : str
        Where that is shown: a study, a regulation, a person who knows.
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
    """A pattern that the calendar repeats: sine and cosine pairs anchored to it.

    Parameters
    ----------
    cycle : int
        Periods after which it repeats: 12 for months, 4 for quarters, 52 for weeks, 7 or 365 for
        days.
    harmonics : int
        How many pairs; more can follow a sharper pattern.
    """

    cycle: Annotated[Whole, Field(ge=2)]
    harmonics: Annotated[Whole, Field(ge=1)] = 1


class Zeros(Value):
    """More zeros than the family gives, with an equation of their own on the logit scale.

    Parameters
    ----------
    as : {'inflated', 'hurdle'}
        'inflated' adds zeros to those of the counts; 'hurdle' sets all zeros apart, and the rest
        is positive. ``zeros: hurdle`` is short for ``zeros: {as: hurdle}``.
    causes : dict of expression to Cause
        Of a zero: a positive coefficient makes zeros likelier.
    pooling : tuple of str
        Levels and 'period' whose groups have their own share of zeros.
    priors : dict of str to Prior
        'intercept' and the levels pooled.
    """

    model_config = ConfigDict(populate_by_name=True)

    kind: Literal["inflated", "hurdle"] = Field(alias="as")
    causes: Causes = FrozenDict()
    pooling: tuple[str, ...] = ()
    priors: Annotated[Mapping[str, Prior], frozen] = FrozenDict()


class Assigned(Value):
    """How an indicator was set by someone, and where.

    Parameters
    ----------
    how : {'randomised', 'rule', 'phased'}
        Drawn by lot, set by a rule that is known, or begun at different times.
    column : str
        The table's column that is 1 where the indicator was set: what causes it is cut there, and
        its mechanism is not fitted there.
    """

    how: Literal["randomised", "rule", "phased"]
    column: str


class Indicator(Value):
    """One quantity per unit and period, and the mechanism that makes it.

    Without ``family`` and ``equals`` the indicator is *given*: a known input.

    Parameters
    ----------
    domain : str
        What part of the service it speaks of.
    unit : str
        What one means: 'hours per resident day', 'share of funded posts'.
    label : str
        What people read; the name with spaces unless said otherwise.
    description : str
        What it is, in a sentence or two.
    column : str, optional
        The table's column, when its name differs.
    level : str, optional
        The level at which it is recorded, when not the unit's.
    plausible : pair of float, optional
        Where 90 % of real values lie: of the share for indicators with trials, of the rate for
        those with an exposure. Sets the reference centre and sd.
    simulated_as : Prior, optional
        How a simulated panel draws a given.
    categories : tuple of str
        The categories of a text or ordinal indicator; of an ordinal the lowest first.
    reference : str, optional
        The category that the others are compared with; the first unless said otherwise.
    family : str, optional
        The distribution around what the causes say.
    link : str, optional
        The scale on which causes add up, where not the family's own.
    trials : str, optional
        The indicator that counts how often the event could have happened.
    exposure : expression, optional
        Time or people at risk: the mechanism is for the rate.
    pooling : tuple of str
        Levels, the unit among them, and 'period', whose groups have their own intercepts.
    season : Season, optional
        A pattern that the calendar repeats.
    trend : str, optional
        A drift: a straight line, or a walk whose step each period is new.
    causes : dict of expression to Cause
        What the mechanism reads, and why that is believed.
    zeros : Zeros, optional
        More zeros than the family gives.
    at_least : str or float, optional
        The indicator, or the number, that it never falls below: the family is truncated there.
        Kept as text.
    ends : tuple of float
        The ends of a beta that occur themselves: 0, 1, or both.
    out_of : float, optional
        The whole of which a beta records a part: 100 for a percentage.
    when : condition, optional
        Where the mechanism holds.
    otherwise : float, optional
        The value where ``when`` does not hold; such rows say nothing about the mechanism.
    equals : expression, optional
        Exact accounting, without noise, instead of a family.
    start : float, optional
        The value before the first period of an ``equals`` that reads its own past.
    residual : {'error', 'keep'}
        What becomes of differences between ``equals`` and the recorded column: an error, or an
        adjustment that is the same in every world and zero in futures.
    because : str
        Why the indicator is what it is, such as the accounting behind ``equals``.
    priors : dict of str to Prior
        The rest: 'intercept', a level's sd by the level, 'period', 'walk', 'trend', 'season',
        'between', 'initial', 'slope_<level>', 'dispersion', 'residual_sd', 'nu', 'cutpoints'.
    initial : bool
        Whether the unit's first value of each lagged term that the indicator can reach enters, as
        dynamic panels with unit effects need (Wooldridge 2005, doi 10.1002/jae.770).
    missing : {'set_aside', 'impute'}
        What becomes of rows in which this indicator is a missing cause.
    hold : str
        How a given goes on in the future: 'last', 'mean(4)' or 'seasonal'.
    unconfounded : str
        The reason why a given varies for no reason that touches its effects.
    assigned : Assigned, optional
        That someone set it, how and where.
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

    @field_validator("at_least", mode="before")
    @classmethod
    def _bound_as_text(cls, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return shortest(float(value)) if number else value

    @property
    def is_given(self) -> bool:
        """Whether it is a known input, without a mechanism."""
        return self.family is None and self.equals is None

    @cached_property
    def floor(self) -> float | None:
        """The number that it never falls below, where ``at_least`` is one."""
        try:
            return None if self.at_least is None else float(self.at_least)
        except ValueError:
            return None

    @property
    def is_stochastic(self) -> bool:
        """Whether it has a mechanism with noise, to be fitted."""
        return self.family is not None

    @cached_property
    def terms(self) -> dict[str, Expr]:
        """The causes' expressions, parsed, by their text."""
        return {text: parse(text) for text in self.causes}
