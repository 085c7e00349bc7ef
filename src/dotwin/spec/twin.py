"""The twin: pure, immutable data that a YAML file and a Python object share."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from dotwin.errors import Problem, SpecificationError
from dotwin.spec.exposure import Exposure
from dotwin.spec.indicator import (
    DOMAINS,
    FAMILIES,
    Assigned,
    Cause,
    Indicator,
    Season,
    Zeros,
)
from dotwin.spec.prior import Prior
from dotwin.spec.scenario import Scenario
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


class PeriodLayout(Value):
    """Which column holds the period, and how long a period is.

    Parameters
    ----------
    column : str
        The table's column.
    frequency : {'day', 'week', 'month', 'quarter', 'year'}
        How long one period lasts.
    """

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
    moves : {'error', 'last'}
        What to make of a unit that is recorded in several groups of a level: refuse the table, or
        place the unit in its last group and say so in the panel's quality.
    """

    unit: str
    levels: tuple[str, ...] = ()
    period: PeriodLayout | None = None
    columns: Annotated[Mapping[str, str], frozen] = FrozenDict()
    moves: Literal["error", "last"] = "error"

    @property
    def all_levels(self) -> tuple[str, ...]:
        """The levels and the unit, outermost first."""
        return (*self.levels, self.unit)


class HiddenCause(Value):
    """A common cause of several indicators that no column records.

    Parameters
    ----------
    affects : tuple of str
        Two or more indicators with a family. Where it is fitted, its sign is such that more of it
        means more of the first.
    level : str
        Where it differs: a level, the unit, or 'period'.
    over : {'constant', 'period'}, optional
        Fits it as a latent factor of standard deviation 1, jointly with what it affects: one value
        for each group of its level, or one for each group and period. Without it the hidden cause
        is declared only: it counts in every verdict on identification and is left out of the fit.
    loadings : dict of str to Prior
        By affected indicator: the prior of what one sd of it adds to the linear predictor.
    because : str
        Why it is believed.
    label : str
        What people read.
    """

    affects: tuple[str, ...]
    level: str
    over: Literal["constant", "period"] | None = None
    loadings: Annotated[Mapping[str, Prior], frozen] = FrozenDict()
    because: str = ""
    label: str = ""

    @property
    def is_fitted(self) -> bool:
        """Whether it is a latent factor of the fit, not a declaration only."""
        return self.over is not None


class Threshold(Value):
    """A line whose crossing means something to somebody.

    Parameters
    ----------
    of : expression
        What is compared.
    above : float, optional
        The line, when crossing it upwards matters.
    below : float, optional
        The line, when crossing it downwards matters; a threshold has one of the two.
    meaning : str
        What a crossing means.
    escalate_to : str
        Who is told.
    """

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
    """Who answers for the twin and what it may be used for.

    Parameters
    ----------
    owner : str
        Who answers for it.
    population : str
        Whom it speaks of.
    data_sources : tuple of str
        Where the data come from.
    approved_uses : tuple of str
        What it may be used for.
    prohibited_uses : tuple of str
        What it may not be used for.
    limitations : tuple of str
        What it cannot say.
    review_every : str
        How long until it is looked at again, such as '90 days'.
    """

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
        Counted up by whoever changes it.
    purpose : str
        The question that it is to answer.
    panel : PanelLayout
        What identifies a row of the table.
    indicators : dict of str to Indicator
        By name; a name is a word of letters, digits and _.
    hidden_causes : dict of str to HiddenCause
        Common causes that no column records.
    thresholds : dict of str to Threshold
        Lines whose crossing means something.
    exposures : dict of str to Exposure
        Which units see how much of which others, for ``mean(x, over=...)`` and ``sum``.
    scenarios : dict of str to Scenario
        Sets of interventions to compare.
    governance : Governance
        Who answers for it and what it may be used for.

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
    exposures: Annotated[Mapping[str, Exposure], frozen] = FrozenDict()
    scenarios: Annotated[Mapping[str, Scenario], frozen] = FrozenDict()
    governance: Governance = Governance()

    def __init__(self, **data: Any) -> None:
        from dotwin.spec.check import problems_of_twin

        super().__init__(**data)
        found = problems_of_twin(self)
        if found:
            raise SpecificationError(found)

    @classmethod
    def with_readable_fields(cls, data: dict[str, Any]) -> Twin:
        """Build a twin whose fields can each be read, without asking whether they fit together.

        Parameters
        ----------
        data : dict

        Raises
        ------
        SpecificationError
            With every field that cannot be read.
        """
        twin = cls.__new__(cls)
        Value.__init__(twin, **data)
        return twin

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

    def __repr__(self) -> str:
        counts = {
            "given": len(self.given),
            "with a mechanism": len(self.stochastic),
            "by accounting": len(self.indicators) - len(self.given) - len(self.stochastic),
        }
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        period = self.panel.period
        rows = f"{self.unit} and {period.frequency}" if period is not None else self.unit
        return f"Twin {self.twin!r}: {len(self.indicators)} indicators ({kinds}) per {rows}"

    __str__ = __repr__

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
        past: Literal["truth", "prior"] = "truth",
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
        past : {'truth', 'prior'}
            Which coefficients and spreads made what came before: those of the truth, or others
            drawn from the priors, so that first values say nothing about the truth.

        Returns
        -------
        Panel
            With ``.truth``, the parameters and effects that made it.
        """
        module = importlib.import_module("dotwin.worlds")
        return module.simulate_panel(
            self, units=units, periods=periods, seed=seed, parameters=parameters, past=past
        )

    def prior_predictive(self, panel: Any, *, draws: int = 100, seed: int) -> Any:
        """Simulate the panel anew from the priors: do made-up systems look like real ones?"""
        module = importlib.import_module("dotwin.worlds")
        return module.prior_predictive(self, panel, draws=draws, seed=seed)

    def to_yaml(self) -> str:
        """Write the twin as YAML that `read_twin` reads back to an equal twin."""
        from dotwin.spec.yaml import write_yaml

        return write_yaml(self)
