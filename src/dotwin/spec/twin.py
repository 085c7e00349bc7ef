"""The twin: pure, immutable data that a YAML file and a Python object share."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from dotwin.errors import Problem, SpecificationError
from dotwin.spec.expressions import Expr, parse
from dotwin.spec.interventions import Scenario
from dotwin.spec.prior import Prior
from dotwin.spec.value import FrozenDict, Number, Value, Whole, frozen, shortest

if TYPE_CHECKING:  # rooms above this one: named for readers and type checkers only
    import pandas as pd
    import xarray as xr

__all__ = [
    "DOMAINS",
    "FAMILIES",
    "Assigned",
    "Cause",
    "Governance",
    "HiddenCause",
    "Indicator",
    "PanelLayout",
    "PeriodLayout",
    "Season",
    "Threshold",
    "Twin",
    "Zeros",
]

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


class PeriodLayout(Value):
    """Which column holds the period, and how long a period is."""

    column: str
    frequency: Literal["day", "week", "month", "quarter", "year"]


class PanelLayout(Value):
    """What identifies a row of the table.

    Parameters
    ----------
    unit : str
        The innermost thing observed; the name of its column too, unless ``columns`` says another.
    levels : tuple of str
        The groups that hold the unit, outermost first.
    period : PeriodLayout, optional
        Absent for a cross-section.
    columns : dict
        The table's column of a unit or level, where it has another name.
    """

    unit: str
    levels: tuple[str, ...] = ()
    period: PeriodLayout | None = None
    columns: Annotated[Mapping[str, str], frozen] = FrozenDict()

    @property
    def all_levels(self) -> tuple[str, ...]:
        """The levels and the unit, outermost first."""
        return (*self.levels, self.unit)


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


class Season(Value):
    """A yearly pattern: sine and cosine pairs anchored to the calendar."""

    cycle: Annotated[Whole, Field(ge=2)]
    harmonics: Annotated[Whole, Field(ge=1)] = 1


class Zeros(Value):
    """More zeros than the family gives, with an equation of their own."""

    model_config = ConfigDict(populate_by_name=True)

    kind: Literal["inflated", "hurdle"] = Field(alias="as")
    causes: Annotated[Mapping[str, Cause], frozen] = FrozenDict()
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
    causes: Annotated[Mapping[str, Cause], frozen] = FrozenDict()
    zeros: Zeros | None = None
    at_least: str | None = None
    ends: tuple[Number, ...] = ()
    out_of: Annotated[Number, Field(gt=0)] | None = None
    when: str | None = None
    otherwise: Number | None = None
    equals: str | None = None
    start: Number | None = None
    residual: Literal["error", "keep"] = "error"
    priors: Annotated[Mapping[str, Prior], frozen] = FrozenDict()
    initial: bool = True
    missing: Literal["set_aside", "impute"] = "set_aside"
    hold: str = "last"
    unconfounded: str = ""
    assigned: Assigned | None = None
    weight: str | None = None

    @field_validator("causes", mode="before")
    @classmethod
    def _bare_causes(cls, value: Any) -> Any:
        """Let ``acuity:`` with nothing behind it stand for the defaults."""
        if isinstance(value, dict):
            return {key: {} if cause is None else cause for key, cause in value.items()}
        return value

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


class HiddenCause(Value):
    """A common cause of several indicators that no column records."""

    affects: tuple[str, ...]
    level: str
    because: str = ""
    label: str = ""


class Threshold(Value):
    """A line whose crossing means something to somebody."""

    of: str
    above: Number | None = None
    below: Number | None = None
    meaning: str = ""
    escalate_to: str = ""

    @model_validator(mode="after")
    def _one_side(self) -> Threshold:
        if (self.above is None) == (self.below is None):
            raise SpecificationError("give one of above and below.")
        return self

    @property
    def condition(self) -> str:
        """The crossing as an expression."""
        sign, value = (">", self.above) if self.above is not None else ("<", self.below)
        assert value is not None  # `_one_side` has seen to it
        return f"({self.of}) {sign} {shortest(value)}"


class Governance(Value):
    """Who answers for the twin and what it may be used for."""

    owner: str = ""
    population: str = ""
    data_sources: tuple[str, ...] = ()
    approved_uses: tuple[str, ...] = ()
    prohibited_uses: tuple[str, ...] = ()
    limitations: tuple[str, ...] = ()
    review_every: str = ""


class Twin(Value):
    """The whole specification of a digital twin.

    Parameters
    ----------
    twin : str
        Its name.
    version : int
    purpose : str
        The question that it is to answer.
    panel : PanelLayout
    indicators : dict of str to Indicator
    hidden_causes : dict of str to HiddenCause
    thresholds : dict of str to Threshold
    scenarios : dict of str to Scenario
    governance : Governance

    Raises
    ------
    SpecificationError
        With every problem found, when the parts do not fit together.

    Examples
    --------
    >>> import dotwin as dw
    >>> twin = dw.Twin(
    ...     twin="visits",
    ...     panel={"unit": "provider"},
    ...     indicators={
    ...         "staff": {"domain": "workforce"},
    ...         "visits": {"domain": "quality", "family": "poisson", "causes": {"staff": {}}},
    ...     },
    ... )
    >>> twin.indicators["staff"].is_given
    True
    """

    twin: str
    version: Annotated[Whole, Field(ge=1)] = 1
    purpose: str = ""
    panel: PanelLayout
    indicators: Annotated[Mapping[str, Indicator], frozen]
    hidden_causes: Annotated[Mapping[str, HiddenCause], frozen] = FrozenDict()
    thresholds: Annotated[Mapping[str, Threshold], frozen] = FrozenDict()
    scenarios: Annotated[Mapping[str, Scenario], frozen] = FrozenDict()
    governance: Governance = Field(default_factory=Governance)

    @field_validator("scenarios", mode="before")
    @classmethod
    def _named_scenarios(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            if not all(isinstance(one, Scenario) for one in value):
                raise SpecificationError("must be a map from names to scenarios.")
            value = {scenario.name: scenario for scenario in value}
        if not isinstance(value, Mapping):
            return value
        named: dict[str, Scenario] = {}
        problems: list[Problem] = []
        for name, one in value.items():
            try:
                named[name] = one if isinstance(one, Scenario) else Scenario.read(name, one)
            except SpecificationError as error:
                problems.extend(problem.under((name,)) for problem in error.problems)
            else:
                if named[name].name != name:
                    other = named[name].name
                    problems.append(Problem.at((name,), f"the scenario calls itself '{other}'."))
        if problems:
            raise SpecificationError(problems)
        return named

    @model_validator(mode="after")
    def _parts_fit(self) -> Twin:
        from dotwin.spec.check import problems_of_twin

        found = problems_of_twin(self)
        if found:
            raise SpecificationError(found)
        return self

    @property
    def name(self) -> str:
        """The twin's name."""
        return self.twin

    @property
    def unit(self) -> str:
        """What one unit is called."""
        return self.panel.unit

    @property
    def stochastic(self) -> tuple[str, ...]:
        """The indicators with a mechanism to fit, as declared."""
        return tuple(name for name, one in self.indicators.items() if one.is_stochastic)

    @property
    def given(self) -> tuple[str, ...]:
        """The known inputs, as declared."""
        return tuple(name for name, one in self.indicators.items() if one.is_given)

    def label(self, indicator: str) -> str:
        """What people read for an indicator."""
        return self.indicators[indicator].label or indicator.replace("_", " ")

    # The verbs below live in the rooms above, which import this one; they are looked up when
    # called, so that a twin stays data and the rooms keep their order.

    @property
    def graph(self) -> Any:
        """The twin's causal graph, a `dotwin.graph.TwinGraph`."""
        return importlib.import_module("dotwin.graph").TwinGraph(self)

    def equations(self) -> str:
        """Print every mechanism as an equation and in words."""
        text: str = importlib.import_module("dotwin.mechanisms").equations(self)
        return text

    def priors(self) -> pd.DataFrame:
        """List every prior with its meaning, a row per parameter."""
        table: pd.DataFrame = importlib.import_module("dotwin.mechanisms").priors(self)
        return table

    def simulate_panel(
        self,
        *,
        units: dict[str, int],
        periods: int = 1,
        seed: int,
        parameters: dict[str, Any] | xr.Dataset | None = None,
    ) -> Any:
        """Simulate a panel of made-up units with known truth.

        Parameters
        ----------
        units : dict of str to int
            How many groups of each level, such as ``{"region": 6, "provider": 60}``.
        periods : int
        seed : int
        parameters : dict or Dataset, optional
            Parameters to fix, by their posterior name; the rest are drawn from their priors.

        Returns
        -------
        Panel
            With ``.truth``, the parameters and effects that made it.
        """
        module = importlib.import_module("dotwin.worlds")
        return module.simulate_panel(
            self, units=units, periods=periods, seed=seed, parameters=parameters
        )

    def prior_predictive(self, panel: Any, *, draws: int = 100, seed: int) -> Any:
        """Simulate the panel anew from the priors: do made-up systems look like real ones?"""
        module = importlib.import_module("dotwin.worlds")
        return module.prior_predictive(self, panel, draws=draws, seed=seed)

    def to_yaml(self) -> str:
        """Write the twin as YAML that `read_twin` reads back to an equal twin."""
        from dotwin.spec.yaml import write_yaml

        return write_yaml(self)
